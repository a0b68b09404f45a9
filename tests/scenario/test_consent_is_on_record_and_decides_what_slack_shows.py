"""The consent's record, and the choice in it: examples and rejected rows masked, or in full.

reference: the design's rules of the product (consent; Slack is outside the boundary too)
"""

from sqlmodel import update

from storage.models import Consent
from tests.scenario.conftest import Ferry, form, submit

BAD = "not-an-address-of-p1"


async def _open(ferry: Ferry) -> str:
    await ferry.ada.command("/ferry connections")
    await ferry.ada.wait_for(lambda one: "Acme Shop" in one.modal_text)
    await ferry.ada.click("Consent…")
    return (await ferry.ada.wait_for(lambda one: "agreed for *Acme Shop* on" in one.modal_text)).modal_text


async def _agree(ferry: Ferry, *, full: bool) -> None:
    await _open(ferry)
    await ferry.ada.click("Read it, or change it")
    modal = await form(ferry.ada, "Data privacy")
    assert "Slack" in modal.text
    await modal.fill({"I agree": True, "Show full values of samples and rejected rows in Slack": full})
    await submit(modal)
    await ferry.ada.modal("Thank you")
    await ferry.ada.close(everything=True)


async def _shown(ferry: Ferry) -> tuple[str, str, str]:
    """What Carl sees: the preview, the form with its examples, and the list of rejected rows."""
    await ferry.carl.command("/ferry preview newsletter")
    preview = (await ferry.carl.wait_for(lambda one: "Nothing was sent" in one.modal_text)).modal_text
    await ferry.carl.close(everything=True)
    await ferry.carl.command("/ferry export Second")
    examples = str((await form(ferry.carl, "New export")).view)
    await ferry.carl.close(everything=True)
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    found = await ferry.carl.wait_for_messages("dm", lambda messages: any(one.files for one in messages))
    file = next(one.files[0] for one in found if one.files)
    return preview, examples, (await ferry.carl.read_file(file)).decode()


async def _prepared(ferry: Ferry) -> None:
    ferry.source.profiles["p1"]["EMail"] = BAD
    ferry.source.write()
    await ferry.connect()
    await ferry.set_up()


async def test_the_record_says_who_agreed_to_what_and_what_slack_shows(ferry: Ferry) -> None:
    await ferry.connect()
    text = await _open(ferry)
    for words in (f"<@{await ferry.slack.person_id('ada')}>", "shown masked in Slack", "Text version 2026-", "en-US"):
        assert words in text


async def test_full_values_are_shown_once_an_admin_has_chosen_so(ferry: Ferry) -> None:
    await _prepared(ferry)
    await _agree(ferry, full=True)
    assert "*full values* in Slack" in await _open(ferry)
    preview, examples, rejects = await _shown(ferry)
    assert "@example.com" in preview
    assert "Berlin" in examples or BAD in examples or "@example.com" in examples
    assert BAD in rejects


async def test_they_are_masked_again_as_soon_as_the_choice_is_taken_back(ferry: Ferry) -> None:
    await _prepared(ferry)
    await _agree(ferry, full=True)
    await _agree(ferry, full=False)
    for shown in await _shown(ferry):
        assert "@example.com" not in shown
        assert BAD not in shown


async def test_a_new_text_is_asked_about_before_the_next_run(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    async with ferry.app.database.write() as session:  # as if agreed to with an older version of the program
        await session.exec(update(Consent).values(text_version="2020-01.1"))
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    await ferry.carl.message("the privacy text or the brand changed", channel="marketing")
    assert await ferry.omnisend.batches_posted() == 0
    await ferry.ada.command("/ferry connections")
    await ferry.ada.wait_for(lambda one: "an admin has to agree again" in one.modal_text)
    await ferry.ada.click("Read and agree")
    modal = await form(ferry.ada, "Data privacy")
    await modal.fill({"I agree": True})
    await submit(modal)
    await ferry.ada.modal("Thank you")
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    await ferry.carl.message("is up to date at Omnisend", channel="marketing")
