"""What can be done with an export once it is there.

reference: the design's rules of the product; slack-platform.md §14 (danger with confirm)
"""

from tests.scenario.conftest import PEOPLE, Ferry, form, submit


async def test_edit_begins_with_what_is_saved_and_keeps_the_rest(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry edit newsletter")
    modal = await form(ferry.carl, "Edit export")
    assert modal.values["segments:0"]["segments"]["selected_options"][0]["value"] == "VIP"
    await modal.fill({"Name": "Monthly letter"})
    await submit(modal)
    await ferry.carl.modal("Saved")
    await ferry.carl.close(everything=True)
    await ferry.carl.command("/ferry run monthly letter", channel="marketing")
    await ferry.vera.message("*Monthly letter* is up to date", channel="marketing")


async def test_a_copy_has_everything_but_the_segments(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry duplicate newsletter")
    modal = await form(ferry.carl, "Duplicate export")
    assert modal.values["name"]["name"]["value"] == "Newsletter (copy)"
    await submit(modal)
    await ferry.carl.wait_for(lambda one: "Choose its segments next" in one.modal_text)
    await ferry.carl.click("Edit")
    again = await form(ferry.carl, "Edit export")
    assert again.values["segments:0"]["segments"]["selected_options"] == []
    assert again.values["email_field:0"]["email_field"]["selected_option"]["value"] == "EMail"


async def test_a_copy_needs_a_name_of_its_own(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry duplicate newsletter")
    modal = await form(ferry.carl, "Duplicate export")
    await modal.fill({"Name of the copy": "newsletter"})
    await submit(modal)
    await ferry.carl.wait_for(lambda one: "There is an export named *Newsletter* already" in one.modal_text)


async def test_a_paused_export_does_not_run_until_it_is_resumed(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry pause newsletter")
    await ferry.carl.message("is paused: nothing starts it")
    await ferry.carl.command("/ferry run newsletter")
    await ferry.carl.message("Resume it, then run it")
    await ferry.carl.command("/ferry resume newsletter")
    await ferry.carl.message("is resumed")
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    await ferry.vera.message("is up to date at Omnisend", channel="marketing")


async def test_a_detached_export_keeps_its_settings_and_gets_a_connection_again(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry detach newsletter")
    await ferry.carl.message("is detached")
    await ferry.carl.command("/ferry edit newsletter")
    modal = await form(ferry.carl, "Edit export")
    await ferry.carl.choose("Connection", "Acme Shop")
    await ferry.carl.wait_for(lambda one: one.modal is not None and "segments:1" in str(one.modal["blocks"]))
    await submit(modal)
    await ferry.carl.modal("Saved")


async def test_removing_asks_first_and_leaves_omnisend_as_it_is(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    await ferry.vera.message("is up to date at Omnisend", channel="marketing")
    await ferry.carl.command("/ferry remove newsletter")
    await ferry.carl.wait_for(lambda one: "never touches what Omnisend has" in one.modal_text)
    await ferry.carl.click("Remove only here", confirm=True)
    await ferry.carl.modal("Removed")
    assert len(await ferry.omnisend.contacts()) == PEOPLE
    await ferry.carl.command("/ferry status")
    await ferry.carl.message("There are no exports yet")


async def test_its_segments_can_be_emptied_before_it_is_removed(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    await ferry.vera.message("is up to date at Omnisend", channel="marketing")
    await ferry.carl.command("/ferry remove newsletter")
    await ferry.carl.wait_for(lambda one: "never touches what Omnisend has" in one.modal_text)
    await ferry.carl.click("Empty, then remove", confirm=True)
    await ferry.vera.message(f"*Removed*\n{PEOPLE}", channel="marketing")
    await ferry.carl.click("Remove…", where="modal")
    await ferry.carl.wait_for(lambda one: "never touches what Omnisend has" in one.modal_text)
    await ferry.carl.click("Remove only here", confirm=True)
    await ferry.carl.modal("Removed")


async def test_a_window_that_outlived_its_export_says_so(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry edit newsletter")
    modal = await form(ferry.carl, "Edit export")
    await ferry.ada.command("/ferry remove newsletter")
    await ferry.ada.wait_for(lambda one: "never touches what Omnisend has" in one.modal_text)
    await ferry.ada.click("Remove only here", confirm=True)
    await ferry.ada.modal("Removed")
    await submit(modal)
    await ferry.carl.wait_for(lambda one: "This export is no longer there" in one.modal_text)
