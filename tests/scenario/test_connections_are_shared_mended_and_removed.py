"""What admins do with a connection: share it, replace its key, remove it.

reference: the design's rules of the product (a connection in use can't be removed)
"""

from storage.models import Audience
from tests.scenario.conftest import Ferry, form, submit


async def _menu(ferry: Ferry, entry: str) -> None:
    await ferry.ada.command("/ferry connections")
    await ferry.ada.wait_for(lambda one: "Acme Shop" in one.modal_text)
    await ferry.ada.click(entry)


async def test_sharing_with_a_group_lets_its_members_use_it(ferry: Ferry) -> None:
    await ferry.slack.add_group("marketing-leads", members=["carl"])
    await ferry.connect(Audience.ADMINS)
    await _menu(ferry, "Edit, share")
    modal = await form(ferry.ada, "Edit connection")
    await ferry.ada.choose("Who may use it", "Admins, and people that I choose")
    await ferry.ada.wait_for(lambda one: "User groups" in one.modal_text)
    await modal.fill({"User groups": ["@marketing-leads"]})
    await submit(modal)
    await ferry.ada.wait_for(lambda one: "is saved" in one.modal_text)
    await ferry.carl.command("/ferry export")
    await form(ferry.carl, "New export")
    await ferry.vera.command("/ferry export")
    await ferry.vera.wait_for(lambda one: "No connection is shared with you yet" in one.modal_text)


async def test_sharing_with_nobody_in_particular_is_answered_in_the_form(ferry: Ferry) -> None:
    await ferry.connect()
    await _menu(ferry, "Edit, share")
    modal = await form(ferry.ada, "Edit connection")
    await ferry.ada.choose("Who may use it", "Admins, and people that I choose")
    await ferry.ada.wait_for(lambda one: "User groups" in one.modal_text)
    await submit(modal)
    await ferry.ada.wait_for(lambda one: "Nobody is named" in one.modal_text)


async def test_a_key_of_the_same_brand_changes_nothing_else(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    another = await ferry.omnisend.control("keys", {})
    await _menu(ferry, "Replace the API key")
    modal = await form(ferry.ada, "Replace the API key")
    assert ferry.omnisend.key[-4:] in modal.text
    await modal.fill({"New Omnisend API key": another["key"]})
    await submit(modal)
    await ferry.ada.wait_for(lambda one: "It is the same brand" in one.modal_text)


async def test_a_key_of_another_brand_asks_for_consent_again(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    other = await ferry.omnisend.control("keys", {"brand": "Other Shop"})
    await _menu(ferry, "Replace the API key")
    modal = await form(ferry.ada, "Replace the API key")
    await modal.fill({"New Omnisend API key": other["key"]})
    await submit(modal)
    await ferry.ada.wait_for(lambda one: "it belongs to another brand" in one.modal_text)
    await ferry.carl.command("/ferry run newsletter")
    await ferry.carl.message("does not cover this")
    await ferry.ada.click("Read and agree")
    agree = await form(ferry.ada, "Data privacy")
    assert (await agree.submit()).errors.keys() == {"agree"}
    await agree.fill({"I agree": True})
    await submit(agree)
    await ferry.ada.wait_for(lambda one: "Your agreement is recorded" in one.modal_text)
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    await ferry.vera.message("is up to date at Omnisend", channel="marketing")


async def test_a_wrong_new_key_leaves_the_old_one_in_use(ferry: Ferry) -> None:
    await ferry.connect()
    await _menu(ferry, "Replace the API key")
    modal = await form(ferry.ada, "Replace the API key")
    await modal.fill({"New Omnisend API key": "0123456789abcdef01234567-nothing"})
    await submit(modal)
    screen = await ferry.ada.wait_for(lambda one: "does not accept this API key" in one.modal_text)
    assert f"The key in use ends in {ferry.omnisend.key[-4:]}" in screen.modal_text


async def test_a_connection_in_use_names_its_exports_and_offers_to_detach_each(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await _menu(ferry, "Remove…")
    await ferry.ada.wait_for(lambda one: "is used by 1 export" in one.modal_text)
    await ferry.ada.click("Detach (keep its settings)")
    await ferry.ada.wait_for(lambda one: "is used by no export" in one.modal_text)
    await ferry.ada.click("Remove", confirm=True)
    await ferry.ada.wait_for(lambda one: "was removed and its key erased" in one.modal_text)


async def test_guests_named_beside_everyone_stay_named_when_something_else_is_changed(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.vera.change(is_restricted=True)
    await ferry.vera.command("/ferry export")
    await ferry.vera.wait_for(lambda one: "No connection is shared with you yet" in one.modal_text)
    for entries in ({"Guests who may use it too": ["vera"]}, {"Display name": "Shop"}):
        await ferry.ada.command("/ferry connections")
        await ferry.ada.wait_for(lambda one: "everyone" in one.modal_text)
        await ferry.ada.click("Edit, share")
        modal = await form(ferry.ada, "Edit connection")
        await modal.fill(entries)
        await submit(modal)
        screen = await ferry.ada.wait_for(lambda one: "is saved" in one.modal_text)
        assert "It can be used by everyone and <@" in screen.modal_text
    await ferry.vera.command("/ferry export")
    await form(ferry.vera, "New export")
