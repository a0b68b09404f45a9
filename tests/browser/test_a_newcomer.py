"""Somebody who has read nothing: types what the page says, presses the primary buttons, fills what is asked for.

reference: slack-platform.md §14 (lead with the likely action)
"""

from playwright.async_api import Locator, expect

from tests.browser.conftest import Open, Screen
from tests.scenario.conftest import PEOPLE, Ferry


def _primary(place: Locator) -> Locator:
    """The one button that stands out; a modal's own submit button only counts where nothing in it does."""
    return place.locator(".blocks .button.primary").or_(place.locator("#modal-submit")).first


async def test_a_newcomer_gets_to_the_first_finished_export_by_what_stands_out(ferry: Ferry, open_screen: Open) -> None:
    screen: Screen = await open_screen(permissions=["clipboard-read", "clipboard-write"])
    await expect(screen.page.locator("#nothing")).to_contain_text("Type /ferry below")
    await screen.command("/ferry")
    await _primary(screen.message("First step")).click()

    form = await screen.titled("Connect Omnisend")
    await form.get_by_label("Display name").fill("Acme Shop")
    await screen.page.get_by_role("button", name="Copy").click()
    await form.get_by_label("Omnisend API key").focus()
    await screen.page.keyboard.press("ControlOrMeta+v")
    await form.get_by_label("I agree").check()
    await _primary(form).click()
    await expect(form).to_contain_text("Save to finish")
    await _primary(form).click()
    await _primary(await screen.titled("Connected")).click()

    form = await screen.titled("New export")
    await form.get_by_label("Name", exact=True).fill("Newsletter")
    await screen.pick("Segments", "VIP")
    await screen.submit("Save")
    await _primary(await screen.titled("Saved")).click()
    await expect(await screen.titled("Preview")).to_contain_text(f"Would be added{PEOPLE}")
    await form.get_by_role("button", name="Run now").click()
    await screen.titled("Run")
    await screen.close()
    await expect(screen.message("is up to date at Omnisend")).to_contain_text(f"Added{PEOPLE}")
