"""The page for those who use a keyboard, a screen reader, a dark room or a small screen.

reference: slack-platform.md §14 (accessibility: contrast, labels, structure), §3 (errors, stack, what was typed)
"""

import re

import pytest
from playwright.async_api import Locator, expect

from bot.sandbox.room.house import House
from tests.browser.conftest import Open, Screen
from tests.browser.findings import findings
from tests.browser.gallery import freeze, richest, show
from tests.scenario.conftest import Ferry
from tests.unit.view_gallery import SHORT


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious_in_any_view(ferry: Ferry, open_screen: Open, scheme: str) -> None:
    ferry.source.profiles["p3"]["EMail"] = "no address"
    ferry.source.write()
    await ferry.connect()
    await ferry.set_up()
    screen = await open_screen(color_scheme=scheme)
    for runs in (1, 2):
        await screen.command("/ferry run newsletter")
        await expect(screen.page.locator(".message").filter(has_text="is up to date")).to_have_count(runs)
    await screen.command("/ferry history newsletter")
    await screen.message("The last runs of").get_by_text("Numbers as a table").first.click()
    assert await findings(screen.page) == [], "a channel with reports and a chart"

    await screen.box.fill("/ferry ")
    await expect(screen.page.get_by_role("listbox", name="Commands")).to_be_visible()
    assert await findings(screen.page) == [], "completions"
    await screen.command("/ferry edit newsletter")
    form = await screen.titled("Edit export")
    await form.get_by_role("combobox", name="Segments").click()
    await expect(form.get_by_role("option", name="VIP")).to_be_visible()
    assert await findings(screen.page) == [], "a form with an open list"
    await screen.close()

    await screen.go("Segment Ferry")
    await expect(screen.page.locator("#home").get_by_role("heading", name="Exports")).to_be_visible()
    for pane in ("Source", "Trouble"):
        await screen.page.get_by_role("tab", name=pane).click()
        assert await findings(screen.page) == [], f"Home and {pane}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious_in_anything_that_the_bot_can_show(open_shown: Open, scheme: str) -> None:
    tall = {"width": 1200, "height": 2000}  # axe takes a label that is scrolled out of sight for none
    screen = await open_shown(color_scheme=scheme, reduced_motion="reduce", viewport=tall)
    await freeze(screen.page)
    found = {}
    for exhibit in richest():
        if exhibit.name.startswith(SHORT.label):
            part = await show(screen.page, exhibit)
            found[exhibit.name] = await findings(screen.page, part)
            if found[exhibit.name]:  # what is found only while the page is being drawn is none
                found[exhibit.name] = await findings(screen.page, await show(screen.page, exhibit))
    assert {name: what for name, what in found.items() if what} == {}


async def test_the_colours_follow_the_machine_until_somebody_chooses(open_screen: Open) -> None:
    screen = await open_screen(color_scheme="dark")
    assert await _darkness(screen.page.locator("body")) > 0.8
    switch = screen.page.get_by_role("button", name="Colours")
    await switch.click()
    await expect(switch).to_have_accessible_name("Colours: light. Change")
    assert await _darkness(screen.page.locator("body")) < 0.2
    await screen.page.reload()
    await expect(screen.box).to_be_visible()
    assert await _darkness(screen.page.locator("body")) < 0.2


async def _darkness(element: Locator) -> float:
    """From 0 (white ground) to 1 (black ground)."""
    colour = await element.evaluate("element => getComputedStyle(element).backgroundColor")
    red, green, blue = (float(part) for part in re.findall(r"[\d.]+", colour)[:3])
    return 1 - (red + green + blue) / 3 / 255


async def test_everything_can_be_done_with_the_keyboard(ferry: Ferry, screen: Screen) -> None:
    await ferry.connect()
    keyboard = screen.page.keyboard
    await screen.page.get_by_role("navigation").get_by_role("button", name="marketing").press("Enter")
    await expect(screen.box).to_be_focused()
    await keyboard.type("/fe")
    await keyboard.press("Tab")
    await expect(screen.box).to_have_value("/ferry ")
    await keyboard.type("exp")
    await keyboard.press("ArrowDown")
    await keyboard.press("Enter")
    await expect(screen.box).to_have_value("/ferry export")
    await keyboard.press("Enter")

    form = await screen.titled("New export")
    await expect(form.get_by_label("Name", exact=True)).to_be_focused()
    await keyboard.type("Newsletter")
    await keyboard.press("Tab")
    await expect(form.get_by_role("combobox", name="Connection")).to_be_focused()
    await keyboard.press("Tab")
    await keyboard.type("vi")
    await expect(form.get_by_role("option", name="VIP")).to_be_visible()
    await keyboard.press("ArrowDown")
    await keyboard.press("Enter")
    await expect(form.get_by_role("list", name="Chosen")).to_contain_text("VIP")
    await keyboard.press("Escape")
    await form.get_by_label("Name", exact=True).press("Enter")
    await screen.titled("Saved")
    await keyboard.press("Escape")
    await expect(screen.modal).to_be_hidden()
    await expect(screen.box).to_be_focused()
    await keyboard.type("/ferry run newsletter")
    await keyboard.press("Enter")
    await expect(screen.message("is up to date")).to_be_visible()


async def test_tab_goes_round_in_a_modal_and_the_focus_comes_back(ferry: Ferry, screen: Screen) -> None:
    await screen.command("/ferry connect")
    form = await screen.titled("Connect Omnisend")
    for key, end, beginning in (("Tab", "Connect", "Close all"), ("Shift+Tab", "Close all", "Connect")):
        await form.get_by_role("button", name=end, exact=True).focus()
        await screen.page.keyboard.press(key)
        await expect(form.get_by_role("button", name=beginning, exact=True)).to_be_focused()
    for _ in range(30):
        await screen.page.keyboard.press("Tab")
        assert await form.evaluate("modal => modal.contains(document.activeElement)")
    await screen.page.keyboard.press("Escape")
    await expect(screen.modal).to_be_hidden()
    await expect(screen.box).to_be_focused()


async def test_f6_leads_from_a_modal_to_backstage_and_back_to_the_same_field(ferry: Ferry, screen: Screen) -> None:
    await screen.command("/ferry connect")
    form = await screen.titled("Connect Omnisend")
    await expect(form).to_have_accessible_description(re.compile("F6 leads to Backstage"))
    field = form.get_by_label("Omnisend API key")
    await field.focus()
    keyboard = screen.page.keyboard
    await keyboard.press("F6")
    await expect(screen.page.get_by_role("tab", name="Omnisend")).to_be_focused()
    await keyboard.press("Tab")
    await keyboard.press("F6")
    await expect(field).to_be_focused()
    await keyboard.press("F6")
    await keyboard.press("Escape")  # leads back, too: the form is not lost to it
    await expect(field).to_be_focused()


async def test_f6_opens_backstage_on_a_small_screen(open_screen: Open) -> None:
    screen = await _narrow(open_screen)
    await screen.command("/ferry connect")
    form = await screen.titled("Connect Omnisend")
    await form.get_by_label("Display name").focus()
    await screen.page.keyboard.press("F6")
    await expect(screen.page.get_by_role("tab", name="Omnisend")).to_be_focused()
    await screen.page.keyboard.press("Escape")
    await expect(form.get_by_label("Display name")).to_be_focused()
    await expect(screen.page.get_by_role("tabpanel", name="Omnisend")).to_be_hidden()


async def test_f6_goes_round_the_parts_of_the_page(ferry: Ferry, screen: Screen) -> None:
    keyboard = screen.page.keyboard
    person = screen.page.get_by_role("radio", name=re.compile("^Ada Owner"))
    tab = screen.page.get_by_role("tab", name="Omnisend")
    await person.focus()
    for part in (screen.box, tab, person):
        await keyboard.press("F6")
        await expect(part).to_be_focused()
    await keyboard.press("Shift+F6")
    await expect(tab).to_be_focused()


async def test_the_key_is_copied_from_backstage_into_the_form_that_asks_for_it(open_screen: Open, house: House) -> None:
    screen = await open_screen(permissions=["clipboard-read", "clipboard-write"])
    await screen.command("/ferry connect")
    form = await screen.titled("Connect Omnisend")
    await screen.page.get_by_role("button", name="Copy").click()
    await expect(screen.page.get_by_text("Copied.")).to_be_visible()
    await screen.page.get_by_role("button", name="Dismiss").click()  # it lies above Backstage, too
    await expect(screen.page.get_by_text("Copied.")).to_be_hidden()
    await form.get_by_label("Omnisend API key").focus()
    await screen.page.keyboard.press("ControlOrMeta+v")
    await expect(form.get_by_label("Omnisend API key")).to_have_value(house.omnisend["key"])


async def test_what_is_wrong_stands_at_its_field_which_gets_the_focus(screen: Screen) -> None:
    await screen.command("/ferry connect")
    form = await screen.titled("Connect Omnisend")
    await form.get_by_label("Display name").fill("Acme Shop")
    await screen.submit("Connect")
    key = form.get_by_label("Omnisend API key")
    await expect(key).to_be_focused()
    await expect(key).to_have_attribute("aria-invalid", "true")
    await expect(key).to_have_accessible_description(re.compile("Please complete this required field"))
    await expect(form.get_by_label("Display name")).to_have_value("Acme Shop")


async def test_who_comes_first_is_shown_what_to_type_and_may_try_it(ferry: Ferry, screen: Screen) -> None:
    await screen.page.get_by_role("button", name="Try /ferry").click()
    await expect(screen.message("brings your customer segments")).to_be_visible()
    await expect(screen.box).to_be_focused()


async def test_new_messages_are_said_aloud_and_old_ones_are_not(ferry: Ferry, screen: Screen) -> None:
    await screen.command("/ferry help")
    said = screen.page.locator("#announcer")
    await expect(said).to_contain_text("Segment Ferry: what you can do.")
    await screen.go("general")
    await screen.go("marketing")
    await expect(screen.message("brings your customer segments")).to_be_visible()
    await expect(said.get_by_text("what you can do")).to_have_count(1)


async def test_a_person_has_a_language_that_the_app_hears_of(ferry: Ferry, screen: Screen) -> None:
    async with screen.page.expect_response(lambda answer: answer.request.method == "PATCH"):
        await screen.page.get_by_label("Language", exact=True).select_option("fr-FR")
    people = (await ferry.slack.state())["people"]
    ada = next(one for one in people if one["name"] == "ada")
    assert ada["locale"] == "fr-FR"


async def test_a_narrow_screen_keeps_everything_within_reach(ferry: Ferry, open_screen: Open, house: House) -> None:
    screen = await _narrow(open_screen)
    panes = screen.page.get_by_role("tabpanel", name="Omnisend")
    await expect(panes).to_be_hidden()
    await screen.command("/ferry help")
    await expect(screen.message("Segment Ferry")).to_be_visible()
    width = "document.documentElement.scrollWidth <= window.innerWidth"
    assert await screen.page.evaluate(width)
    await screen.page.get_by_role("button", name="Menu").click()
    await screen.go("Segment Ferry")
    await expect(screen.page.locator("#home").get_by_role("heading", name="Segment Ferry")).to_be_visible()
    await screen.page.get_by_role("button", name="Backstage").click()
    await expect(panes).to_be_visible()
    assert await screen.page.evaluate(width)
    assert await findings(screen.page) == []


async def _narrow(open_screen: Open) -> Screen:
    return await open_screen(viewport={"width": 390, "height": 780})


async def test_nothing_moves_for_those_who_want_it_still(open_screen: Open) -> None:
    screen = await open_screen(reduced_motion="reduce")
    await screen.command("/ferry connect")
    await screen.titled("Connect Omnisend")
    moving = "document.getAnimations().filter(one => one.playState === 'running').length"
    assert await screen.page.evaluate(moving) == 0
    assert await screen.modal.evaluate("element => getComputedStyle(element).animationName") == "none"
