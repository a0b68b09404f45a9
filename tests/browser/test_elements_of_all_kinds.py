"""What a person can use in blocks: what they do reaches the app as Slack would tell it.

reference: slack-platform.md §4 (payloads, state.values), §3 (suggestions), §9 (elements)
"""

from typing import Any

from playwright.async_api import expect

from bot.sandbox.slack.client import SlackWorld
from tests.browser.any_app import AnyApp, field, option, options, text
from tests.browser.conftest import Screen
from tests.browser.findings import findings
from tests.system.slack_emulator_app import Json, plain


async def test_inputs_of_all_kinds_hold_what_a_person_enters(app: AnyApp, shown: Screen, slack: SlackWorld) -> None:
    posted = await app.send(
        field("Line", type="plain_text_input"),
        field("Lines", type="plain_text_input", multiline=True),
        field("Mail", type="email_text_input"),
        field("Number", type="number_input", is_decimal_allowed=True),
        field("Colour", type="static_select", options=options()),
        field("Colours", type="multi_static_select", options=options()),
        field("Mark", type="radio_buttons", options=options()),
        field("Ticks", type="checkboxes", options=options()),
        field("Person", type="users_select"),
        field("People", type="multi_users_select"),
        field("Talk", type="conversations_select", filter={"include": ["private"]}),
        field("Places", type="multi_channels_select"),
        field("Day", type="datepicker", initial_date="2026-11-30"),
        field("Hour", type="timepicker"),
    )
    page = shown.page.locator(".message")
    for label, words in (("Line", "one"), ("Lines", "two\nthree"), ("Mail", "a@b.example"), ("Number", "-1.5")):
        await page.get_by_label(label, exact=True).fill(words)
    choices = {
        "Colour": "Blue",
        "Colours": "Red",
        "Person": "Carl",
        "People": "Vera",
        "Talk": "#leads",
        "Places": "#random",
    }
    for label, choice in choices.items():
        box = page.get_by_role("combobox", name=label, exact=True)
        await box.click()
        await page.get_by_role("option", name=choice).click()
        await box.press("Escape")
    await page.get_by_role("radiogroup", name="Mark").get_by_label("Green").check()
    await page.get_by_role("group", name="Ticks").get_by_label("Red").check()
    await page.get_by_role("group", name="Ticks").get_by_label("Green").check()
    await expect(page.get_by_label("Day")).to_have_value("2026-11-30")
    await page.get_by_label("Day").fill("2026-12-01")
    await page.get_by_label("Hour").fill("07:30")
    carl, vera = await slack.person_id("carl"), await slack.person_id("vera")
    leads, random = await slack.channel_id("leads"), await slack.channel_id("random")

    def entered(messages: list[Any]) -> bool:
        message = next(one for one in messages if one.ts == posted["ts"])
        values = {name: inner[name] for name, inner in message.raw["state"]["values"].items()}
        return (
            values["line"]["value"] == "one"
            and values["lines"]["value"] == "two\nthree"
            and values["mail"]["value"] == "a@b.example"
            and values["number"]["value"] == "-1.5"
            and values["colour"]["selected_option"]["value"] == "blue"
            and [one["value"] for one in values["colours"]["selected_options"]] == ["red"]
            and values["mark"]["selected_option"]["value"] == "green"
            and [one["value"] for one in values["ticks"]["selected_options"]] == ["red", "green"]
            and values["person"]["selected_user"] == carl
            and values["people"]["selected_users"] == [vera]
            and values["talk"]["selected_conversation"] == leads
            and values["places"]["selected_channels"] == [random]
            and values["day"]["selected_date"] == "2026-12-01"
            and values["hour"]["selected_time"] == "07:30"
        )

    await slack.person("ada").wait_for_messages("marketing", entered)


async def test_a_moment_is_entered_by_the_clocks_of_the_persons_own_zone(app: AnyApp, shown: Screen) -> None:
    picker = {"type": "datetimepicker", "action_id": "when", "initial_date_time": 1764590400}
    await app.send({"type": "actions", "elements": [picker]})
    await expect(shown.page.locator(".picker")).to_have_value("2025-12-01T12:00")
    await expect(shown.page.locator(".picker-box")).to_contain_text("Europe/London")
    await shown.page.locator(".picker").fill("2026-07-01T09:30")
    payload = await app.next_payload()
    assert payload["actions"][0]["selected_date_time"] == 1782894600  # 08:30 UTC: it is summer in London


async def test_a_question_is_asked_before_and_only_a_yes_is_told(app: AnyApp, shown: Screen) -> None:
    question = {
        "title": plain("Sure?"),
        "text": plain("It is gone then."),
        "confirm": plain("Remove"),
        "deny": plain("Keep"),
    }
    remove = {
        "type": "button",
        "action_id": "remove",
        "text": plain("Remove it"),
        "confirm": {**question, "style": "danger"},
    }
    await app.send({"type": "actions", "elements": [remove]})
    await shown.page.get_by_role("button", name="Remove it").click()
    await expect(shown.question).to_contain_text("It is gone then.")
    await expect(shown.question.get_by_role("button", name="Keep")).to_be_focused()
    assert await findings(shown.page) == []
    await shown.page.keyboard.press("Escape")
    await expect(shown.question).to_be_hidden()
    assert app.heard_nothing()
    await shown.page.get_by_role("button", name="Remove it").click()
    await shown.question.get_by_role("button", name="Remove", exact=True).click()
    payload = await app.next_payload()
    assert payload["actions"][0]["action_id"] == "remove"
    await expect(shown.page.get_by_role("button", name="Remove it")).to_be_focused()


async def test_a_menu_is_used_with_the_keyboard(app: AnyApp, shown: Screen) -> None:
    menu = {"type": "overflow", "action_id": "more", "options": [option("Edit"), option("Copy"), option("Pause")]}
    await app.send({**text("*Newsletter*"), "accessory": menu})
    opener = shown.page.get_by_role("button", name="More actions: Newsletter")
    await opener.press("Enter")
    await expect(shown.page.get_by_role("menuitem", name="Edit")).to_be_focused()
    await shown.page.keyboard.press("End")
    await shown.page.keyboard.press("ArrowUp")
    await shown.page.keyboard.press("Enter")
    payload = await app.next_payload()
    assert payload["actions"][0]["selected_option"]["value"] == "copy"
    await expect(opener).to_be_focused()


async def test_an_external_select_asks_the_app_while_one_types(app: AnyApp, shown: Screen) -> None:
    found = [option("Autumn"), option("Aubergine")]

    def answer(payload: Json) -> Json | None:
        return {"options": found} if payload.get("type") == "block_suggestion" else None

    app.answer = answer
    select = {"type": "external_select", "action_id": "which", "placeholder": plain("Which?"), "min_query_length": 2}
    await app.send({"type": "actions", "elements": [select]})
    box = shown.page.get_by_role("combobox", name="Which?")
    await box.click()
    await expect(shown.page.get_by_role("listbox", name="Which?")).to_contain_text("Type at least 2 characters.")
    await box.press_sequentially("Au")
    await shown.page.get_by_role("option", name="Autumn").click()
    asked = [await app.next_payload(), await app.next_payload(), await app.next_payload()]
    assert asked[0]["value"] == "Au"
    assert asked[-1]["actions"][0]["selected_option"]["value"] == "autumn"
    await expect(box).to_have_value("Autumn")


async def test_a_button_for_somebody_else_is_not_there(app: AnyApp, shown: Screen, slack: SlackWorld) -> None:
    button = {"type": "button", "action_id": "own", "text": plain("Only Carl's")}
    await app.send(
        {"type": "actions", "elements": [{**button, "visible_to_user_ids": [await slack.person_id("carl")]}]}
    )
    await expect(shown.page.locator(".message")).to_be_visible()
    await expect(shown.page.get_by_role("button", name="Only Carl's")).to_have_count(0)
    await shown.become("Carl Contributor")
    await expect(shown.page.get_by_role("button", name="Only Carl's")).to_be_visible()
