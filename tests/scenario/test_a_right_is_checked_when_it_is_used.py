"""What was drawn for somebody who has lost the right since, or was never theirs, does nothing.

reference: slack-platform.md §14 (a button's value is no authorisation)
"""

from storage.models import Audience
from tests.scenario.conftest import Ferry, form, submit


async def test_an_admin_who_is_none_any_more_can_not_submit_what_is_open(ferry: Ferry) -> None:
    await ferry.ada.command("/ferry connect")
    modal = await form(ferry.ada, "Connect Omnisend")
    await modal.fill({"Display name": "Shop", "Omnisend API key": ferry.omnisend.key, "I agree": True})
    await ferry.ada.change(is_admin=False, is_owner=False, is_primary_owner=False)
    await submit(modal)
    await ferry.ada.wait_for(lambda one: "Only admins may do this" in one.modal_text)


async def test_a_contributor_whose_connection_is_no_longer_shared_can_not_save(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.carl.command("/ferry export Newsletter")
    modal = await form(ferry.carl, "New export")
    await modal.fill({"Segments": ["VIP"]})
    await ferry.ada.command("/ferry connections")
    await ferry.ada.wait_for(lambda one: "Acme Shop" in one.modal_text)
    await ferry.ada.click("Edit, share")
    edit = await form(ferry.ada, "Edit connection")
    await ferry.ada.choose("Who may use it", "Admins only")
    await submit(edit)
    await ferry.ada.wait_for(lambda one: "is saved" in one.modal_text)
    await submit(modal)
    await ferry.carl.wait_for(lambda one: "Only admins and people that the connection is shared with" in one.modal_text)


async def test_somebody_elses_button_in_the_channel_does_nothing_for_a_viewer(ferry: Ferry) -> None:
    await ferry.connect(Audience.ADMINS)
    await ferry.set_up("ada")
    (ferry.source.folder / "segments" / "VIP.csv").unlink()
    await ferry.ada.command("/ferry run newsletter", channel="marketing")
    await ferry.vera.message("*Newsletter* failed", channel="marketing")
    await ferry.vera.click("Run again", where="marketing")
    await ferry.vera.message("Only admins and people that the connection is shared with", channel="marketing")
    assert sum("failed" in one.shown for one in await ferry.vera.messages("marketing")) == 2
