"""App Home: different for admin, contributor and viewer, what needs attention first, current by itself.

reference: slack-platform.md §3 (views.publish), §9 (100 blocks), §14 (App Home)
"""

from bot.sandbox.slack.client import Person
from bot.sandbox.slack.elements import placed_elements
from storage.models import Audience, When
from tests.scenario.conftest import Ferry, form, submit


async def _buttons(person: Person) -> list[str]:
    screen = await person.screen()
    assert screen.home is not None
    return [one.label for one in placed_elements(screen.home["blocks"])]


async def test_an_admin_begins_with_connecting(ferry: Ferry) -> None:
    await ferry.ada.open_home()
    await ferry.ada.home("There is no export yet")
    buttons = await _buttons(ferry.ada)
    assert "Connect Omnisend" in buttons
    assert {"Set refresh", "Admins"} <= set(buttons)


async def test_a_contributor_sees_name_and_type_of_a_connection_and_no_settings(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.open_home()
    text = await ferry.carl.home("Acme Shop")
    assert "key ends in" not in text
    buttons = await _buttons(ferry.carl)
    assert {"New export", "Run", "Preview", "History"} <= set(buttons)
    assert not {"Set refresh", "Admins", "Connect Omnisend"} & set(buttons)


async def test_a_viewer_sees_exports_and_runs_and_can_ask(ferry: Ferry) -> None:
    await ferry.connect(Audience.ADMINS)
    await ferry.set_up("ada")
    await ferry.vera.open_home()
    await ferry.vera.home("Newsletter")
    buttons = await _buttons(ferry.vera)
    assert "History" in buttons
    assert "Request a connection" in buttons
    assert not {"Run", "Preview", "New export"} & set(buttons)


async def test_home_changes_by_itself_when_something_happens(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.vera.open_home()
    await ferry.vera.home("never run")
    await ferry.carl.open_home()
    await ferry.carl.home("never run")
    await ferry.carl.click("Run", where="home")
    await ferry.carl.wait_for(lambda one: "is on its way" in one.modal_text)
    await ferry.vera.home("last run")
    await ferry.carl.home("last run")


async def test_what_needs_attention_comes_first_with_the_button_that_helps(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.omnisend.control("keys/revoke", {})
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    await ferry.carl.message("*Newsletter* failed", channel="marketing")
    await ferry.carl.open_home()
    text = await ferry.carl.home("Needs attention")
    assert text.index("failed. Omnisend does not accept the API key") < text.index("Exports")
    assert "Run again" in await _buttons(ferry.carl)


async def test_exports_that_wait_for_a_refresh_that_is_off_need_attention_until_it_is_set(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up(when=When.REFRESH)
    await ferry.ada.open_home()
    assert "1 export waits for the workspace's refresh, which is off" in await ferry.ada.home("Needs attention")
    await ferry.ada.click("Set refresh", where="home", block_id="attention-0")
    modal = await form(ferry.ada, "Refresh schedule")
    await modal.fill({"The refresh is": "On"})
    await submit(modal)
    await ferry.ada.wait_for(lambda one: "all is well" in one.home_text)


async def test_many_exports_are_paged(ferry: Ferry) -> None:
    await ferry.connect()
    for number in range(12):
        ferry.source.segment(f"S{number:02}", ["p1"])
    for number in range(12):
        await ferry.set_up(name=f"Export {number:02}", segments=[f"S{number:02}"])
    await ferry.carl.open_home()
    assert "Export 11" not in await ferry.carl.home("Export 09")
    await ferry.carl.click("Next", where="home")
    assert "Export 09" not in await ferry.carl.home("Export 11")
    await ferry.carl.click("Previous", where="home")
    await ferry.carl.home("Export 00")


async def test_an_admin_answers_a_request_from_home(ferry: Ferry) -> None:
    await ferry.connect(Audience.ADMINS)
    await ferry.carl.command("/ferry connect")
    modal = await form(ferry.carl, "Request a connection")
    await modal.fill({"What for": "Newsletter"})
    await submit(modal)
    await ferry.carl.modal("Request sent")
    await ferry.ada.open_home()
    await ferry.ada.home("asks for a connection")
    await ferry.ada.click("Review", where="home")
    await submit(await form(ferry.ada, "Connection request"))
    await ferry.ada.modal("Approved")
    await ferry.ada.wait_for(lambda one: "asks for a connection" not in one.home_text)
