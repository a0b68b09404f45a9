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
    return settings.model_copy(update={"recount_seconds": (0.5, 1.0)})


@pytest.fixture
async def ferry(settings: Settings, start: Start) -> AsyncIterator[Ferry]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(start())


async def test_a_count_that_comes_later_is_put_into_the_report(ferry: Ferry) -> None:
    await ferry.omnisend.control("assume", {"segment-statistics-lag": "60s"})
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    early = await ferry.vera.message("Omnisend's own count: not yet counted", channel="marketing")
    late = await ferry.vera.message(f"Omnisend's own count: {PEOPLE}", channel="marketing")
    assert (late.ts, late.edited) == (early.ts, True)
    assert "Full resync" not in late.buttons


async def test_a_count_that_stays_apart_offers_a_full_resync(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    await ferry.vera.message(f"*Added*\n{PEOPLE}", channel="marketing")
    await ferry.omnisend.control("contacts/delete", {"email": "person1@example.com"})
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    apart = await ferry.vera.message(f"*{PEOPLE - 1}*, and it stays apart", channel="marketing")
    assert "Full resync" in apart.buttons

    await ferry.carl.open_home()
    assert "stays apart" in await ferry.carl.home("Needs attention")
    await ferry.carl.click("Full resync", where="home", confirm=True)
    await ferry.vera.message(f"*Changed*\n{PEOPLE}", channel="marketing")
    assert len(await ferry.omnisend.contacts()) == PEOPLE
