"""The emulator's rate limits, on the clock that tests move.

reference: slack-platform.md §2
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.sandbox.slack.client import SlackWorld
from bot.sandbox.slack.clock import Clock
from bot.sandbox.slack.limits import RateLimits
from tests.processes import emulator
from tests.system.slack_emulator_app import BareApp

Json = dict[str, Any]


@pytest.fixture(scope="module")
async def told() -> AsyncIterator[Json]:
    async with emulator("bot.sandbox.slack", "--rate-limits", "on") as first_line:
        yield first_line


@pytest.fixture
async def slack(told: Json) -> AsyncIterator[SlackWorld]:
    async with SlackWorld(told["url"]) as world:
        await world.reset()
        yield world


@pytest.fixture
async def app(told: Json, slack: SlackWorld) -> AsyncIterator[BareApp]:
    async with BareApp(told) as bare:
        yield bare


async def test_a_channel_takes_one_message_a_second(app: BareApp, slack: SlackWorld) -> None:
    assert (await app.call("chat.postMessage", channel="#general", text="1"))["ok"] is True
    by_id = await slack.channel_id("general")
    refused = await app.post("chat.postMessage", channel=by_id, text="2")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert refused.json() == {"ok": False, "error": "ratelimited"}
    assert (await app.call("chat.postMessage", channel="#marketing", text="other channel"))["ok"] is True
    await slack.advance(1)
    assert (await app.call("chat.postMessage", channel=by_id, text="2"))["ok"] is True
    [call] = [one for one in await slack.calls("chat.postMessage") if one["status"] == 429]
    assert (call["error"], call["retry_after"]) == ("ratelimited", 1)


async def test_a_direct_message_is_one_channel_by_whatever_name(app: BareApp, slack: SlackWorld) -> None:
    ada = next(one["id"] for one in (await slack.state())["people"] if one["name"] == "ada")
    channel = (await app.call("conversations.open", users=ada))["channel"]["id"]
    assert (await app.call("chat.postMessage", channel=ada, text="1"))["ok"] is True
    assert (await app.post("chat.postMessage", channel=channel, text="2")).status_code == 429


@pytest.mark.parametrize(
    ("method", "calls"),
    [("usergroups.list", 20), ("team.info", 50), ("conversations.members", 100), ("apps.connections.open", 50)],
)
async def test_a_method_is_blocked_by_itself_until_its_minute_is_over(
    app: BareApp, slack: SlackWorld, method: str, calls: int
) -> None:
    bearer = app.told["app_token"] if method.startswith("apps.") else None
    for _ in range(calls):
        assert (await app.call(method, bearer, channel="#general"))["ok"] is True
    refused = await app.post(method, bearer, channel="#general")
    assert refused.status_code == 429
    assert 58 <= int(refused.headers["Retry-After"]) <= 60
    assert (await app.call("auth.test"))["ok"] is True
    await slack.advance(int(refused.headers["Retry-After"]))
    assert (await app.call(method, bearer, channel="#general"))["ok"] is True


async def test_refused_calls_do_not_prolong_the_wait(app: BareApp, slack: SlackWorld) -> None:
    for _ in range(20):
        await app.call("usergroups.list")
    await slack.advance(30)
    for _ in range(20):
        assert (await app.post("usergroups.list")).status_code == 429
    await slack.advance(30)
    assert (await app.call("usergroups.list"))["ok"] is True


async def test_limits_can_be_switched_off(app: BareApp, slack: SlackWorld) -> None:
    await slack.change_app(rate_limits=False)
    for number in range(5):
        assert (await app.call("chat.postMessage", channel="#general", text=str(number)))["ok"] is True


def test_with_a_time_scale_the_wait_is_said_in_real_seconds() -> None:
    limits = RateLimits(Clock(time_scale=20), enabled=True)
    assert all(limits.admit("users.list") == 0 for _ in range(20))
    assert 1 <= limits.admit("users.list") <= 3


def test_with_a_time_scale_people_are_as_patient_as_ever() -> None:
    clock = Clock(time_scale=1000)
    before = clock.patience()
    clock.advance(2)
    assert 2 <= clock.patience() - before < 3
