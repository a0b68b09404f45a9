"""The database was lost: the guard asks, and Adopt takes over who is in Omnisend's segment before anything is sent.

reference: the design's table of cases (ledger lost); omnisend-api.md §3.6 (`GET /contacts?segmentID=`)
"""

from sqlmodel import delete

from bot.sandbox.slack.client import Message
from storage.models import Audience, Batch, Book, LedgerEntry
from tests.scenario.conftest import Ferry


async def _asked(ferry: Ferry, people: int = 40, audience: Audience = Audience.EVERYONE) -> Message:
    """40 contacts were exported, then the ledger was lost, and p1 left."""
    ferry.source.fill(people)
    await ferry.connect(audience)
    await ferry.set_up("ada")
    await ferry.ada.command("/ferry run newsletter", channel="marketing")
    await ferry.vera.message(f"*Added*\n{people}", channel="marketing")
    async with ferry.app.database.write() as session:
        for table in (LedgerEntry, Batch, Book):
            await session.exec(delete(table))
    ferry.source.segment("VIP", [number for number in ferry.source.profiles if number != "p1"])
    await ferry.ada.command("/ferry run newsletter", channel="marketing")
    return await ferry.vera.message("please look before anything is sent", channel="marketing")


async def test_the_question_offers_it_first_and_says_what_it_does(ferry: Ferry) -> None:
    question = await _asked(ferry)
    assert "Omnisend's segment has 40 contacts, but this export remembers only 0" in question.shown
    assert "*Adopt* takes over who is at Omnisend, then looks again." in question.shown
    assert question.buttons == ["Show", "Adopt", "Send", "Skip"]


async def test_adopt_takes_over_whoever_is_there_and_takes_out_who_has_left(ferry: Ferry) -> None:
    await _asked(ferry)
    await ferry.carl.click("Adopt", where="marketing", confirm=True)
    report = await ferry.vera.message("*Removed*\n1", channel="marketing")
    assert "*Changed*\n39" in report.shown
    assert "memory rebuilt from Omnisend" in report.shown
    settled = await ferry.vera.message("rebuild its memory from Omnisend first", channel="marketing")
    assert settled.buttons == []
    left = next(one for one in await ferry.omnisend.contacts() if one["email"] == "person1@example.com")
    assert [value for name, value in left["customProperties"].items() if name.startswith("segment_")] == [False]


async def test_it_can_be_answered_from_what_show_opens(ferry: Ferry) -> None:
    await _asked(ferry)
    await ferry.carl.click("Show", where="marketing")
    await ferry.carl.wait_for(lambda one: "The guard would ask first" in one.modal_text)
    await ferry.carl.click("Adopt", where="modal", confirm=True)
    await ferry.carl.wait_for(lambda one: "takes over who is in its segments at Omnisend" in one.modal_text)
    await ferry.vera.message("*Removed*\n1", channel="marketing")


async def test_a_viewer_can_not(ferry: Ferry) -> None:
    await _asked(ferry, audience=Audience.ADMINS)
    await ferry.vera.click("Adopt", where="marketing", confirm=True)
    await ferry.vera.message("Only admins and people that the connection is shared with", channel="marketing")
    question = await ferry.vera.message("please look before anything is sent", channel="marketing")
    assert "Adopt" in question.buttons
