"""Omnisend counts its segments late: the report follows, and says so where the counts stay apart.

reference: omnisend-api.md §6.1 (counts lag behind the contacts; a difference is a finding to show)
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from bot.settings import Settings
from tests.scenario.conftest import PEOPLE, Ferry, Start


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"recount_seconds": (0.5, 1.0, 2.0)})


@pytest.fixture
def patient(settings: Settings) -> Settings:
    settings.recount_seconds = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 600.0)
    return settings


@pytest.fixture
async def ferry(settings: Settings, start: Start) -> AsyncIterator[Ferry]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(start())


async def _one_missing(ferry: Ferry) -> None:
    """A second run finds nothing to send, though Omnisend counts one contact less."""
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    await ferry.vera.message(f"*Added*\n{PEOPLE}", channel="marketing")
    await ferry.omnisend.control("contacts/delete", {"email": "person1@example.com"})
    await ferry.carl.command("/ferry run newsletter", channel="marketing")


async def _comes_back(ferry: Ferry) -> None:
    """Omnisend has counted the contact after all."""
    like = (await ferry.omnisend.contacts())[0]
    identifier = {"type": "email", "id": "person1@example.com", "channels": {"email": {"status": "nonSubscribed"}}}
    body = {"identifiers": [identifier], "customProperties": like["customProperties"]}
    headers = {"Authorization": f"Omnisend-API-Key {ferry.omnisend.key}", "Omnisend-Version": "2026-03-15"}
    url = f"{ferry.omnisend.told['url']}/contacts"
    (await ferry.omnisend.http.post(url, json=body, headers=headers)).raise_for_status()


@pytest.mark.usefixtures("patient")
async def test_a_count_that_comes_later_is_put_into_the_report(ferry: Ferry) -> None:
    await _one_missing(ferry)
    early = await ferry.vera.message(f"not yet counted ({PEOPLE - 1} so far)", channel="marketing")
    await _comes_back(ferry)
    messages = await ferry.vera.wait_for_messages(
        "marketing", lambda seen: [one for one in seen if one.ts == early.ts and f"count: {PEOPLE}" in one.shown]
    )
    late = next(one for one in messages if one.ts == early.ts)
    assert late.edited
    assert "Full resync" not in late.buttons


async def test_a_count_that_stays_apart_offers_a_full_resync(ferry: Ferry) -> None:
    await _one_missing(ferry)
    apart = await ferry.vera.message(f"*{PEOPLE - 1}*, and it stays apart", channel="marketing")
    assert "Full resync" in apart.buttons

    await ferry.carl.open_home()
    assert "stays apart" in await ferry.carl.home("Needs attention")
    await ferry.carl.click("Full resync", where="home", confirm=True)
    await ferry.vera.message(f"*Changed*\n{PEOPLE}", channel="marketing")
    assert len(await ferry.omnisend.contacts()) == PEOPLE
