"""The switches for trouble, each with a run under way: what the bot makes of it, and that it comes out of it.

reference: omnisend-api.md §2 (errors, rate limits); slack-platform.md §5 (reconnecting), §9 (rate limits)
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.sandbox.room.house import House, Plan, opened
from bot.sandbox.slack.client import Person, SlackWorld
from tests.system.sandbox_story import ask_omnisend, count, newest, run, set_up

DONE, FAILED = "is up to date at Omnisend", "*Campaign* failed"


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A sandbox with an export of everybody that has run once."""
    plan = Plan(tmp_path_factory.mktemp("trouble"), profiles=400, time_scale=200)
    async with opened(plan) as made, SlackWorld(made.slack["url"]) as slack:
        await set_up(made, "Newsletter")
        await run(slack.person("ada"))
        await newest(slack.person("ada"), DONE)
        yield made


@pytest.fixture
async def ada(house: House) -> AsyncIterator[Person]:
    """Ada, after some data has changed, so that the next run has something to send.

    The bot may still be on its way back from the last trouble: a command that no socket hears is lost.
    """
    await house.source.change("edit")
    async with SlackWorld(house.slack["url"]) as slack:
        await slack.connected()
        yield slack.person("ada")
    for switch in house.troubles.listing():
        if switch["on"]:
            await house.troubles.turn(switch["name"], on=False)
    await house.bot.start()


async def _answered(house: House, status: str) -> int:
    async with house.http.get(f"{house.omnisend_control}/stats") as answer:
        return int((await answer.json())["requests_by_status"].get(status, 0))


async def _answers(house: House, status: str, wanted: int) -> None:
    """Wait until Omnisend has answered so many requests with this status. Its controls can only be asked."""
    async with asyncio.timeout(30):
        while True:
            if await _answered(house, status) >= wanted:
                return
            await asyncio.sleep(0.05)


async def _held_up(house: House, ada: Person) -> None:
    """Start a run while Omnisend is down, and wait until it has found that out."""
    await house.troubles.turn("omnisend-down", on=True)
    before = await _answered(house, "503")
    await run(ada)
    await _answers(house, "503", before + 1)


def _has_changed_something(report: str) -> bool:
    return "*Changed*\n0\n" not in report and "*Changed*\n" in report


async def test_omnisend_is_down_and_comes_back(house: House, ada: Person) -> None:
    before = await count(ada, DONE)
    await _held_up(house, ada)
    assert await count(ada, DONE) == before
    await house.troubles.turn("omnisend-down", on=False)
    assert _has_changed_something(await newest(ada, DONE, before))


async def test_omnisend_limits_the_rate(house: House, ada: Person) -> None:
    before = await count(ada, DONE)
    await house.troubles.turn("omnisend-busy", on=True)
    while not await _answered(house, "429"):
        await ask_omnisend(house)
    await run(ada)
    assert _has_changed_something(await newest(ada, DONE, before))


async def test_the_key_is_revoked_during_a_run_and_the_next_one_goes_on(house: House, ada: Person) -> None:
    done, failed = await count(ada, DONE), await count(ada, FAILED)
    await _held_up(house, ada)
    await house.troubles.turn("key-revoked", on=True)
    await house.troubles.turn("omnisend-down", on=False)
    assert "does not accept the API key" in await newest(ada, FAILED, failed)
    await house.troubles.turn("key-revoked", on=False)
    await run(ada)
    assert _has_changed_something(await newest(ada, DONE, done))


async def test_slack_is_slow(house: House, ada: Person) -> None:
    before = await count(ada, DONE)
    await house.troubles.turn("slack-slow", on=True)
    await run(ada)
    assert _has_changed_something(await newest(ada, DONE, before))


async def test_slack_is_away_while_a_run_ends(house: House, ada: Person) -> None:
    before = await count(ada, DONE)
    await _held_up(house, ada)
    await house.troubles.turn("slack-away", on=True)
    served = await _answered(house, "200")
    await house.troubles.turn("omnisend-down", on=False)
    await _answers(house, "200", served + 3)
    assert await count(ada, DONE) == before
    await house.troubles.turn("slack-away", on=False)
    assert _has_changed_something(await newest(ada, DONE, before))


async def test_the_bot_is_killed_during_a_run_and_the_next_one_ends_it(house: House, ada: Person) -> None:
    before = await count(ada, DONE)
    await _held_up(house, ada)
    await house.bot.kill()
    assert house.bot.state == "killed"
    await house.troubles.turn("omnisend-down", on=False)
    await house.bot.start()
    assert _has_changed_something(await newest(ada, DONE, before))
