"""A run that looks wrong asks in the channel: Show, Send, Skip; and answers that come too late say so.

reference: slack-platform.md §14 (re-check on every action; condense the message after the decision)
"""

import asyncio

from storage.models import Audience
from tests.scenario.conftest import Ferry


async def _asked(ferry: Ferry) -> None:
    """VIP falls from 40 members to 2."""
    ferry.source.fill(40)
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    await ferry.vera.message("*Added*\n40", channel="marketing")
    ferry.source.segment("VIP", ["p1", "p2"])
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    question = await ferry.vera.message("please look before anything is sent", channel="marketing")
    assert "*VIP* fell from 40 to 2 members." in question.shown
    assert question.buttons == ["Show", "Send", "Skip"]
    assert question.shown.startswith("<@U")  # its owner
    assert "The question is open until" in question.shown


async def test_send_goes_on_and_the_question_shows_who_said_so(ferry: Ferry) -> None:
    await _asked(ferry)
    await ferry.carl.click("Send", where="marketing", confirm=True)
    await ferry.vera.message("*Removed*\n38", channel="marketing")
    settled = await ferry.vera.message("said: send it", channel="marketing")
    assert settled.buttons == []


async def test_skip_sends_nothing(ferry: Ferry) -> None:
    await _asked(ferry)
    before = await ferry.omnisend.batches_posted()
    await ferry.carl.click("Skip", where="marketing")
    await ferry.vera.message("was skipped: nothing was sent", channel="marketing")
    assert await ferry.omnisend.batches_posted() == before


async def test_show_opens_what_would_be_sent_and_can_be_answered_there(ferry: Ferry) -> None:
    await _asked(ferry)
    await ferry.carl.click("Show", where="marketing")
    screen = await ferry.carl.wait_for(lambda one: "The guard would ask first" in one.modal_text)
    assert "*Would be removed*\n38" in screen.modal_text
    await ferry.carl.click("Skip", where="modal")
    await ferry.carl.wait_for(lambda one: "is skipped; nothing was sent" in one.modal_text)


async def test_two_answers_at_once_count_as_one(ferry: Ferry) -> None:
    await _asked(ferry)
    await asyncio.gather(
        ferry.carl.click("Send", where="marketing", confirm=True),
        ferry.ada.click("Skip", where="marketing"),
    )
    await ferry.vera.message("said:", channel="marketing")
    told = [
        asyncio.create_task(person.message("no longer open", channel="marketing")) for person in (ferry.carl, ferry.ada)
    ]
    done, waiting = await asyncio.wait(told, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert all(task.result().ephemeral for task in done)


async def test_a_question_that_a_newer_run_overtook_is_closed(ferry: Ferry) -> None:
    await _asked(ferry)
    ferry.source.segment("VIP", ferry.source.profiles)
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    await ferry.vera.message("*Unchanged*\n40", channel="marketing")
    question = next(one for one in await ferry.vera.messages("marketing") if "had a question" in one.shown)
    assert question.buttons == []


async def test_a_question_whose_run_is_cancelled_is_closed(ferry: Ferry) -> None:
    await _asked(ferry)
    await ferry.carl.command("/ferry cancel newsletter", channel="general")
    await ferry.carl.message("*Newsletter* is cancelled.", channel="general")
    closed = await ferry.vera.message("The run was cancelled.", channel="marketing")
    assert closed.buttons == []


async def test_a_viewer_can_not_answer(ferry: Ferry) -> None:
    ferry.source.segment("VIP", [])
    await ferry.connect(Audience.ADMINS)
    await ferry.set_up("ada")
    await ferry.ada.command("/ferry run newsletter", channel="marketing")
    await ferry.vera.message("please look before anything is sent", channel="marketing")
    await ferry.vera.click("Send", where="marketing", confirm=True)
    await ferry.vera.message("Only admins and people that the connection is shared with", channel="marketing")
    question = await ferry.vera.message("please look before anything is sent", channel="marketing")
    assert question.buttons == ["Show", "Send", "Skip"]
