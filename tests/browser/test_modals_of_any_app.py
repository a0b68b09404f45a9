"""Modals as any app may use them: errors, updates, a stack, an app that is too slow.

reference: slack-platform.md §3 (response_action, stack of three, what an update keeps, 3 seconds), §14 (focus)
"""

import asyncio

from playwright.async_api import Route, expect

from bot.sandbox.slack.client import SlackWorld
from tests.browser.any_app import AnyApp, field, modal, option, options, text
from tests.browser.conftest import Open, Screen
from tests.browser.findings import findings
from tests.system.slack_emulator_app import Json, plain

NAME = field("Name", type="plain_text_input")
COLOUR = field("Colour", type="static_select", options=options(), block={"dispatch_action": True})


async def test_errors_of_the_app_stand_at_their_fields_and_go_with_the_next_answer(app: AnyApp, shown: Screen) -> None:
    def answer(payload: Json) -> Json | None:
        if payload.get("type") != "view_submission":
            return None
        name = payload["view"]["state"]["values"]["name"]["name"]["value"]
        return {"response_action": "errors", "errors": {"name": "There is one already."}} if name == "Old" else None

    app.answer = answer
    await shown.command("/ferry new")
    await app.open(modal("New", NAME, COLOUR))
    name = (await shown.titled("New")).get_by_label("Name", exact=True)
    await name.fill("Old")
    await shown.pick("Colour", "Red")
    await shown.submit("Send")
    await expect(name).to_be_focused()
    await expect(name).to_have_accessible_description("There is one already.")
    await expect(name).to_have_attribute("aria-invalid", "true")
    await name.fill("New")
    await shown.submit("Send")
    await expect(shown.modal).to_be_hidden()
    await expect(shown.box).to_be_focused()


async def test_a_choice_is_told_at_once_and_the_update_keeps_what_was_typed(app: AnyApp, shown: Screen) -> None:
    await shown.command("/ferry new")
    opened = await app.open(modal("New", NAME, COLOUR))
    form = await shown.titled("New")
    await form.get_by_label("Name", exact=True).fill("Half typed")
    await shown.pick("Colour", "Green")
    payload = await app.next_payload()
    assert payload["actions"][0]["selected_option"]["value"] == "green"
    updated = modal("New", NAME, COLOUR, text("Green it is."))
    await app.done("views.update", view_id=opened["view"]["id"], view=updated)
    await expect(form).to_contain_text("Green it is.")
    await expect(form.get_by_label("Name", exact=True)).to_have_value("Half typed")
    await expect(form.get_by_role("combobox", name="Colour")).to_have_value("Green")
    await expect(form.get_by_role("combobox", name="Colour")).to_be_focused()


async def test_modals_lie_on_one_another_and_lead_back(app: AnyApp, shown: Screen) -> None:
    deeper = {"type": "button", "action_id": "deeper", "text": plain("Deeper")}
    await shown.command("/ferry new")
    await app.open(modal("First", NAME, {"type": "actions", "elements": [deeper]}))
    form = await shown.titled("First")
    await form.get_by_label("Name", exact=True).fill("Kept")
    await form.get_by_role("button", name="Deeper").click()
    payload = await app.next_payload()
    await app.done("views.push", trigger_id=payload["trigger_id"], view=modal("Second", text("Below is the first.")))
    await shown.titled("Second")
    await expect(form).to_contain_text("back leads to “First”")
    assert await findings(shown.page) == []
    await form.get_by_role("button", name="Return to First").click()
    await shown.titled("First")
    await expect(form.get_by_label("Name", exact=True)).to_have_value("Kept")
    await shown.close()
    await expect(shown.box).to_be_focused()


async def test_f6_leads_to_backstage_where_a_thread_lay_over_it(app: AnyApp, shown: Screen) -> None:
    await app.say("Shall we?")
    await app.send({"type": "actions", "elements": [{"type": "button", "action_id": "open", "text": plain("Open it")}]})
    await shown.page.get_by_role("button", name="in a thread").first.click()
    await expect(shown.page.get_by_role("complementary", name="Thread")).to_be_visible()
    for part in (shown.page.get_by_role("radio", name="Ada Owner"), shown.box):
        await shown.page.keyboard.press("F6")
        await expect(part).to_be_focused()
    await shown.page.get_by_role("button", name="Open it").click()
    payload = await app.next_payload()
    await app.done("views.open", trigger_id=payload["trigger_id"], view=modal("New", NAME))
    name = (await shown.titled("New")).get_by_label("Name", exact=True)
    await expect(name).to_be_focused()
    await shown.page.keyboard.press("F6")
    await expect(shown.page.get_by_role("tab", name="Omnisend")).to_be_focused()
    await shown.page.keyboard.press("F6")
    await expect(name).to_be_focused()


async def test_an_app_that_does_not_answer_is_told_to_the_person(shown: Screen) -> None:
    await shown.command("/ferry help")
    await expect(shown.page.get_by_role("status").filter(has_text="/ferry failed with the error")).to_be_visible()


async def test_a_submission_without_an_answer_waits_and_then_says_so(
    app: AnyApp, shown: Screen, slack: SlackWorld
) -> None:
    await shown.command("/ferry new")
    await app.open(modal("New", NAME))
    form = await shown.titled("New")
    await form.get_by_label("Name", exact=True).fill("Patience")
    app.silent = True
    await shown.submit("Send")
    await app.next_payload()
    await expect(form.get_by_role("button", name="Send")).to_have_attribute("aria-busy", "true")
    await slack.advance(4)
    await expect(form.get_by_role("alert")).to_contain_text("We had some trouble connecting. Try again?")
    await expect(form.get_by_label("Name", exact=True)).to_have_value("Patience")
    await expect(form.get_by_role("button", name="Send")).not_to_have_attribute("aria-busy", "true")


async def test_what_is_typed_last_is_sent_too(app: AnyApp, shown: Screen) -> None:
    await shown.command("/ferry new")
    await app.open(modal("New", NAME))
    await (await shown.titled("New")).get_by_label("Name", exact=True).focus()
    await shown.page.keyboard.type("Quick")
    await shown.page.keyboard.press("Enter")
    payload = await app.next_payload()
    assert payload["view"]["state"]["values"]["name"]["name"]["value"] == "Quick"


async def test_what_is_chosen_last_is_sent_too_on_a_slow_line(app: AnyApp, shown: Screen) -> None:
    pressed, chosen = asyncio.Event(), asyncio.Event()
    waits_for = iter((chosen, pressed))

    async def late(route: Route) -> None:
        if (event := next(waits_for, None)) is not None:
            await event.wait()
        await route.continue_()

    await shown.page.route("**/choose", late)
    await shown.command("/ferry new")
    await app.open(modal("New", field("Colours", type="multi_static_select", options=options())))
    form = await shown.titled("New")
    await shown.pick("Colours", "Red", "Green")
    await expect(form.get_by_role("list", name="Chosen")).to_contain_text("Green")
    chosen.set()
    await shown.submit("Send")
    await expect(form.get_by_role("button", name="Send")).to_have_attribute("aria-busy", "true")
    pressed.set()
    payload = await app.next_payload()
    assert payload["type"] == "view_submission"
    held = payload["view"]["state"]["values"]["colours"]["colours"]["selected_options"]
    assert [one["value"] for one in held] == ["red", "green"]


async def test_a_list_stays_open_while_the_app_changes_what_is_around_it(
    app: AnyApp, shown: Screen, slack: SlackWorld
) -> None:
    def colours(*chosen: str) -> Json:
        initial = {"initial_options": [option(one) for one in chosen]} if chosen else {}
        return field(
            "Colours", type="multi_static_select", options=options(), block={"dispatch_action": True}, **initial
        )

    await shown.command("/ferry new")
    opened = await app.open(modal("New", NAME, colours()))
    form = await shown.titled("New")
    await form.get_by_role("combobox", name="Colours").click()
    await form.get_by_role("option", name="Red").click()
    await app.next_payload()
    view = modal("New", NAME, colours("Red"), text("There is little red left."))
    await app.done("views.update", view_id=opened["view"]["id"], view=view)
    await expect(form).to_contain_text("There is little red left.")
    await app.done("conversations.open", users=await slack.person_id("vera"))  # another name in the workspace
    await form.get_by_role("option", name="Green").click()
    await shown.page.keyboard.press("Escape")
    await expect(form.get_by_role("option", name="Green")).to_be_hidden()
    await expect(form.get_by_role("list", name="Chosen")).to_contain_text("Green")
    await expect(form.get_by_role("heading", name="New")).to_be_visible()


async def test_a_modal_that_one_person_has_open_is_not_the_others(app: AnyApp, open_shown: Open) -> None:
    ada, carl = await asyncio.gather(open_shown(), open_shown())
    await carl.become("Carl Contributor")
    await ada.command("/ferry new")
    await app.open(modal("For Ada", text("Only hers.")))
    await ada.titled("For Ada")
    await expect(carl.modal).to_be_hidden()


async def test_the_home_of_an_app_is_shown_and_kept_up(app: AnyApp, shown: Screen, slack: SlackWorld) -> None:
    def home(words: str) -> Json:
        return {"type": "home", "blocks": [text(words)]}

    ada = await slack.person_id("ada")
    await shown.go("Ferry")
    await expect(shown.page.locator("#home")).to_contain_text("The app has published nothing here yet.")
    await app.done("views.publish", user_id=ada, view=home("Welcome."))
    await expect(shown.page.locator("#home")).to_have_text("Welcome.")
    await app.done("views.publish", user_id=ada, view=home("Welcome again."))
    await expect(shown.page.locator("#home")).to_have_text("Welcome again.")
