"""What a person can and can't do in the emulator, and what the app hears of it.

reference: slack-platform.md §3 (interaction rules), §4 (payloads), §9 (limits)
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.sandbox.slack.client import NotSeen, Person, SlackWorld, SlackWorldError
from tests.processes import emulator
from tests.system.slack_emulator_app import (
    BareApp,
    actions,
    button,
    connected_app,
    field,
    home,
    modal,
    options,
    plain,
    section,
    text_field,
)

Json = dict[str, Any]
REQUIRED = "Please complete this required field."


@pytest.fixture(scope="module")
async def told() -> AsyncIterator[Json]:
    async with emulator("bot.sandbox.slack", "--rate-limits", "off") as first_line:
        yield first_line


@pytest.fixture
async def slack(told: Json) -> AsyncIterator[SlackWorld]:
    async with SlackWorld(told["url"]) as world:
        await world.connected(0)
        await world.reset()
        yield world


@pytest.fixture
async def app(told: Json, slack: SlackWorld) -> AsyncIterator[BareApp]:
    async with connected_app(told) as bare:
        yield bare


@pytest.fixture
def ada(slack: SlackWorld) -> Person:
    return slack.person("ada")


async def _open(app: BareApp, person: Person, view: Json) -> Json:
    """Let a person type a command, and the app answer it with a modal."""
    await person.command("/ferry", channel="marketing")
    opened = await app.call("views.open", trigger_id=(await app.next_payload())["trigger_id"], view=view)
    assert opened["ok"], opened
    shown: Json = opened["view"]
    return shown


async def _submitted(app: BareApp, person: Person) -> Json:
    """Submit the modal; `state.values` as the app got them."""
    result = await person.submit()
    assert result.sent, result.errors
    values: Json = (await app.next_payload())["view"]["state"]["values"]
    return values


def _listed(kind: str, *texts: str, **more: Any) -> Json:
    return {"type": kind, "action_id": "a", "options": options(*texts), **more}


# -- inputs and submission --------------------------------------------------------------------------------------


async def test_a_required_input_left_empty_is_refused_before_anything_is_sent(app: BareApp, ada: Person) -> None:
    agree = field("Privacy", _listed("checkboxes", "I agree"), "privacy")
    note = field("Note", {"type": "plain_text_input", "action_id": "a"}, "note", optional=True)
    await _open(app, ada, modal(text_field(), agree, note))
    result = await ada.submit()
    assert (result.sent, result.errors) == (False, {"name": REQUIRED, "privacy": REQUIRED})
    assert REQUIRED in (await ada.screen()).modal_text
    assert app.heard_nothing()
    await (await ada.modal()).fill({"Name": "Shop", "I agree": True})
    values = await _submitted(app, ada)
    assert values["name"]["typed"] == {"type": "plain_text_input", "value": "Shop"}
    assert [one["value"] for one in values["privacy"]["a"]["selected_options"]] == ["i agree"]
    assert values["note"]["a"] == {"type": "plain_text_input", "value": None}


async def test_untouched_optional_inputs_arrive_as_null_or_an_empty_list(app: BareApp, ada: Person) -> None:
    kinds = {
        "plain_text_input": "value",
        "email_text_input": "value",
        "url_text_input": "value",
        "number_input": "value",
        "rich_text_input": "rich_text_value",
        "static_select": "selected_option",
        "radio_buttons": "selected_option",
        "external_select": "selected_option",
        "users_select": "selected_user",
        "conversations_select": "selected_conversation",
        "channels_select": "selected_channel",
        "datepicker": "selected_date",
        "timepicker": "selected_time",
        "datetimepicker": "selected_date_time",
        "checkboxes": "selected_options",
        "multi_static_select": "selected_options",
        "multi_external_select": "selected_options",
        "multi_users_select": "selected_users",
        "multi_conversations_select": "selected_conversations",
        "multi_channels_select": "selected_channels",
        "file_input": "files",
    }
    with_options = ("static_select", "radio_buttons", "checkboxes", "multi_static_select")
    extra: dict[str, Json] = {kind: {"options": options("A")} for kind in with_options}
    extra["number_input"] = {"is_decimal_allowed": False}
    blocks = [
        field(kind, {"type": kind, "action_id": "a", **extra.get(kind, {})}, kind, optional=True) for kind in kinds
    ]
    await _open(app, ada, modal(*blocks))
    values = await _submitted(app, ada)
    for kind, key in kinds.items():
        empty: Any = [] if key in ("files", "selected_options") or kind.startswith("multi_") else None
        assert values[kind]["a"] == {"type": kind, key: empty}


async def test_initial_values_are_there_from_the_start(app: BareApp, ada: Person, slack: SlackWorld) -> None:
    marketing = await slack.channel_id("marketing")
    [daily, weekly] = options("Daily", "Weekly")
    blocks = [
        text_field(initial_value="Shop"),
        field("When", _listed("static_select", "Daily", "Weekly", initial_option=weekly), "when"),
        field("Also", _listed("checkboxes", "Daily", "Weekly", initial_options=[daily]), "also"),
        field("On", {"type": "datepicker", "action_id": "a", "initial_date": "2026-11-30"}, "on"),
        field("At", {"type": "timepicker", "action_id": "a", "initial_time": "07:30"}, "at"),
        field(
            "Where",
            {"type": "conversations_select", "action_id": "a", "default_to_current_conversation": True},
            "where",
        ),
        field("Who", {"type": "multi_users_select", "action_id": "a", "initial_users": ["U1"]}, "who"),
    ]
    await _open(app, ada, modal(*blocks))
    values = await _submitted(app, ada)
    assert values["name"]["typed"]["value"] == "Shop"
    assert values["when"]["a"]["selected_option"]["value"] == "weekly"
    assert [one["value"] for one in values["also"]["a"]["selected_options"]] == ["daily"]
    assert values["on"]["a"]["selected_date"] == "2026-11-30"
    assert values["at"]["a"]["selected_time"] == "07:30"
    assert values["where"]["a"]["selected_conversation"] == marketing
    assert values["who"]["a"]["selected_users"] == ["U1"]


@pytest.mark.parametrize(
    ("element", "wrong", "right"),
    [
        ({"type": "plain_text_input", "min_length": 3, "max_length": 5}, "ab", "abc"),
        ({"type": "plain_text_input", "min_length": 3, "max_length": 5}, "abcdef", "abcde"),
        ({"type": "email_text_input"}, "nobody", "nobody@acme.example"),
        ({"type": "url_text_input"}, "acme", "https://acme.example"),
        ({"type": "number_input", "is_decimal_allowed": False, "max_value": "10"}, "1.5", "10"),
        ({"type": "number_input", "is_decimal_allowed": True, "min_value": "1"}, "0.5", "1.5"),
        ({"type": "number_input", "is_decimal_allowed": False, "max_value": "10"}, "11", "-3"),
    ],
)
async def test_what_is_typed_must_fit_its_field(
    app: BareApp, ada: Person, element: Json, wrong: str, right: str
) -> None:
    await _open(app, ada, modal(field("Field", {**element, "action_id": "a"}, "f")))
    await ada.type("Field", wrong)
    result = await ada.submit()
    assert not result.sent
    assert result.errors["f"].startswith("Please enter")
    await ada.type("Field", right)
    assert (await _submitted(app, ada))["f"]["a"]["value"] == right


async def test_every_kind_of_choice_reaches_the_app(app: BareApp, ada: Person, slack: SlackWorld) -> None:
    people = {one["name"]: one["id"] for one in (await slack.state())["people"]}
    kinds: list[tuple[str, Any, str]] = [
        ("users_select", "carl", "selected_user"),
        ("multi_users_select", ["carl", "vera"], "selected_users"),
        ("channels_select", "random", "selected_channel"),
        ("conversations_select", "#leads", "selected_conversation"),
        ("datepicker", "2026-12-24", "selected_date"),
        ("timepicker", "23:59", "selected_time"),
        ("datetimepicker", 1_800_000_000, "selected_date_time"),
    ]
    blocks = [field(kind, {"type": kind, "action_id": kind}, kind) for kind, _, _ in kinds]
    blocks.append(field("Radio", _listed("radio_buttons", "One", "Two"), "radio"))
    blocks.append(field("Several", _listed("multi_static_select", "One", "Two", "Three"), "several"))
    blocks.append(field("Rich", {"type": "rich_text_input", "action_id": "a"}, "rich"))
    await _open(app, ada, modal(*blocks))
    for kind, value, _ in kinds:
        await ada.choose(kind, value)
    await ada.choose("Radio", "Two")
    await ada.choose("Several", ["Three", "one"])
    await ada.type("Rich", "bold words")
    values = await _submitted(app, ada)
    expected = {
        "users_select": people["carl"],
        "multi_users_select": [people["carl"], people["vera"]],
        "channels_select": await slack.channel_id("random"),
        "conversations_select": await slack.channel_id("leads"),
        "datepicker": "2026-12-24",
        "timepicker": "23:59",
        "datetimepicker": 1_800_000_000,
    }
    assert {kind: values[kind][kind][key] for kind, _, key in kinds} == expected
    assert values["radio"]["a"]["selected_option"]["text"]["text"] == "Two"
    assert [one["value"] for one in values["several"]["a"]["selected_options"]] == ["three", "one"]
    assert values["rich"]["a"]["rich_text_value"]["elements"][0]["elements"][0]["text"] == "bold words"


@pytest.mark.parametrize(
    ("element", "value", "reason"),
    [
        (_listed("static_select", "One"), "Two", "no_such_option"),
        (_listed("static_select", "One"), ["One", "One"], "bad_value"),
        (_listed("multi_static_select", "One", "Two", max_selected_items=1), ["One", "Two"], "too_many"),
        ({"type": "users_select"}, "nobody", "no_such_option"),
        ({"type": "channels_select"}, "leads", "no_such_option"),
        ({"type": "conversations_select", "filter": {"include": ["private"]}}, "general", "no_such_option"),
        ({"type": "datepicker"}, "30.11.2026", "bad_value"),
        ({"type": "timepicker"}, "25:00", "bad_value"),
        ({"type": "datetimepicker"}, "tomorrow", "bad_value"),
        ({"type": "external_select"}, "ab", "query_too_short"),
    ],
)
async def test_only_what_is_offered_can_be_chosen(
    app: BareApp, ada: Person, element: Json, value: Any, reason: str
) -> None:
    await _open(app, ada, modal(field("Field", {**element, "action_id": "a"}, "f")))
    with pytest.raises(SlackWorldError) as refusal:
        await ada.choose("Field", value)
    assert refusal.value.reason == reason


async def test_private_channels_are_offered_to_their_members_only(app: BareApp, slack: SlackWorld) -> None:
    vera = slack.person("vera")
    await _open(app, vera, modal(field("Where", {"type": "conversations_select", "action_id": "a"}, "f")))
    with pytest.raises(SlackWorldError, match="offers no conversation 'leads'"):
        await vera.choose("Where", "leads")


async def test_a_checkbox_is_ticked_and_unticked_by_its_own_text(app: BareApp, ada: Person) -> None:
    await _open(app, ada, modal(field("Days", _listed("checkboxes", "Mon", "Tue", "Wed"), "days")))
    for text, on in (("Wed", True), ("Mon", True), ("Tue", True), ("Mon", False)):
        await ada.enter(text, on)
    values = await _submitted(app, ada)
    assert [one["value"] for one in values["days"]["a"]["selected_options"]] == ["tue", "wed"]


# -- answers to a submission ------------------------------------------------------------------------------------


async def test_an_empty_ack_closes_only_the_top_view(app: BareApp, ada: Person) -> None:
    await _open(app, ada, modal(actions(button("More", "more")), title="Below"))
    await ada.click("More")
    await app.call("views.push", trigger_id=(await app.next_payload())["trigger_id"], view=modal(title="Above"))
    await ada.modal("Above")
    result = await ada.submit()
    assert result.closed
    assert (await ada.modal()).title == "Below"
    payload = await app.next_payload()
    assert payload["view"]["previous_view_id"] == payload["view"]["root_view_id"]


async def test_errors_of_the_app_stand_at_their_inputs_and_keep_the_modal_open(app: BareApp, ada: Person) -> None:
    await _open(app, ada, modal(text_field()))
    await ada.type("Name", "Shop")
    app.answer = lambda payload: {"response_action": "errors", "errors": {"name": "This key is wrong."}}
    result = await ada.submit()
    assert (result.sent, result.closed, result.errors) == (True, False, {"name": "This key is wrong."})
    shown = await ada.modal()
    assert shown.errors == {"name": "This key is wrong."}
    assert shown.values["name"]["typed"]["value"] == "Shop"
    app.answer = lambda payload: None
    assert (await ada.submit()).closed


@pytest.mark.parametrize(
    "answer",
    [
        {"response_action": "errors", "errors": {"elsewhere": "No."}},
        {"response_action": "errors", "errors": {"words": "Not an input block."}},
        {"response_action": "errors", "errors": {}},
        {"response_action": "errors", "errors": {"name": ""}},
        {"response_action": "update", "view": {"type": "modal", "blocks": []}},
        {"response_action": "push"},
        {"response_action": "dance"},
        {"text": "not an answer to a submission"},
    ],
)
async def test_an_answer_that_slack_would_not_take_is_trouble_and_closes_nothing(
    app: BareApp, ada: Person, answer: Json
) -> None:
    await _open(app, ada, modal(text_field(), section("words", block_id="words")))
    await ada.type("Name", "Shop")
    app.answer = lambda payload: answer
    result = await ada.submit()
    assert (result.closed, result.errors) == (False, {})
    assert result.error
    assert "trouble connecting" in (result.notice or "")
    assert (await ada.modal()).view["trouble"] == result.notice


async def test_update_push_and_clear_answers(app: BareApp, ada: Person) -> None:
    first = await _open(app, ada, modal(title="One"))
    app.answer = lambda payload: {"response_action": "update", "view": modal(title="Two")}
    await ada.submit()
    shown = await ada.modal("Two")
    assert shown.id == first["id"]
    assert shown.view["hash"] != first["hash"]
    app.answer = lambda payload: {"response_action": "push", "view": modal(title="Three")}
    await ada.submit()
    assert (await ada.modal("Three")).view["previous_view_id"] == first["id"]
    app.answer = lambda payload: {"response_action": "clear"}
    assert (await ada.submit()).closed
    await ada.no_modal()


async def test_without_an_ack_the_modal_stays_and_says_so(app: BareApp, ada: Person, slack: SlackWorld) -> None:
    await _open(app, ada, modal(text_field()))
    await ada.type("Name", "Shop")
    app.silent = True
    submitting = asyncio.create_task(ada.submit())
    await app.next()
    await slack.advance(3.5)
    result = await submitting
    assert (result.acknowledged, result.error) == (False, "operation_timeout")
    shown = await ada.modal()
    assert "trouble" in shown.view["trouble"]
    assert shown.values["name"]["typed"]["value"] == "Shop"


async def test_a_modal_without_a_submit_button_can_only_be_closed(app: BareApp, ada: Person) -> None:
    await _open(app, ada, modal(section("read me"), submit=None))
    with pytest.raises(SlackWorldError, match="no submit button"):
        await ada.submit()
    assert (await ada.close()).closed
    with pytest.raises(SlackWorldError, match="no modal open"):
        await ada.submit()


async def test_two_submissions_at_once_both_reach_the_app(app: BareApp, ada: Person) -> None:
    await _open(app, ada, modal(text_field(initial_value="x")))
    app.silent = True
    both = [asyncio.create_task(ada.submit()) for _ in range(2)]
    envelopes = [await app.next() for _ in both]
    for envelope in envelopes:
        await app.sockets[0].send_json({"envelope_id": envelope["envelope_id"]})
    assert [one.acknowledged for one in await asyncio.gather(*both)] == [True, True]
    await ada.no_modal()


# -- closing ----------------------------------------------------------------------------------------------------


async def _two_views(app: BareApp, ada: Person, *, notify: bool, **above: Any) -> None:
    await _open(app, ada, modal(actions(button("More", "more")), title="Below", notify_on_close=notify))
    await ada.click("More")
    view = modal(title="Above", notify_on_close=notify, **above)
    await app.call("views.push", trigger_id=(await app.next_payload())["trigger_id"], view=view)


async def test_cancel_tells_of_one_view_and_the_x_of_the_root(app: BareApp, ada: Person) -> None:
    await _two_views(app, ada, notify=True)
    await ada.close()
    payload = await app.next_payload()
    assert (payload["type"], payload["is_cleared"], payload["view"]["title"]["text"]) == ("view_closed", False, "Above")
    assert (await ada.modal()).title == "Below"
    await ada.close()
    await app.next()
    await _two_views(app, ada, notify=True)
    await ada.close(everything=True)
    payload = await app.next_payload()
    assert (payload["is_cleared"], payload["view"]["title"]["text"]) == (True, "Below")
    await ada.no_modal()


async def test_closing_is_silent_unless_asked_for(app: BareApp, ada: Person) -> None:
    await _two_views(app, ada, notify=False)
    assert not (await ada.close()).sent
    assert app.heard_nothing()


async def test_a_view_may_close_all_with_it(app: BareApp, ada: Person) -> None:
    await _two_views(app, ada, notify=False, clear_on_close=True)
    await ada.close()
    await ada.no_modal()


# -- updates ----------------------------------------------------------------------------------------------------


async def test_what_was_typed_survives_an_update_only_under_the_same_ids(app: BareApp, ada: Person) -> None:
    opened = await _open(app, ada, modal(text_field("A", "a"), text_field("B", "b"), text_field("C", "c")))
    for label in "ABC":
        await ada.type(label, f"typed {label}")
    renamed = [text_field("A", "a"), text_field("B", "b", "other"), text_field("C", "new", initial_value="initial")]
    await app.call("views.update", view_id=opened["id"], view=modal(*renamed))
    values = (await ada.modal()).values
    assert values["a"]["typed"]["value"] == "typed A"
    assert values["b"]["other"]["value"] is None
    assert values["new"]["typed"]["value"] == "initial"
    assert "c" not in values


async def test_a_new_initial_value_does_not_show_under_old_ids(app: BareApp, ada: Person) -> None:
    opened = await _open(app, ada, modal(text_field(initial_value="first")))
    await app.call("views.update", view_id=opened["id"], view=modal(text_field(initial_value="second")))
    assert (await _submitted(app, ada))["name"]["typed"]["value"] == "first"


async def test_a_choice_that_is_no_longer_offered_is_dropped(app: BareApp, ada: Person) -> None:
    opened = await _open(app, ada, modal(field("When", _listed("static_select", "Daily", "Weekly"), "when")))
    await ada.choose("When", "Weekly")
    narrower = modal(field("When", _listed("static_select", "Daily"), "when", optional=True))
    await app.call("views.update", view_id=opened["id"], view=narrower)
    assert (await _submitted(app, ada))["when"]["a"]["selected_option"] is None


async def test_an_update_can_be_waited_for(app: BareApp, ada: Person) -> None:
    opened = await _open(app, ada, modal(section("Checking…")))
    before = await ada.modal()
    waiting = asyncio.create_task(before.updated())
    await app.call("views.update", view_id=opened["id"], view=modal(section("Shop of Acme")))
    assert (await waiting).text == "Shop of Acme"


# -- actions ----------------------------------------------------------------------------------------------------


async def test_a_button_in_a_message_sends_all_there_is_to_know(app: BareApp, ada: Person, slack: SlackWorld) -> None:
    blocks = [section("Run?", block_id="q"), actions(button("Run", "run", value="42", style="primary"))]
    posted = await app.call("chat.postMessage", channel="#general", text="Run?", blocks=blocks)
    result = await ada.click("Run")
    assert result.acknowledged
    payload = await app.next_payload()
    assert payload["type"] == "block_actions"
    assert payload["container"] == {
        "type": "message",
        "message_ts": posted["ts"],
        "channel_id": posted["channel"],
        "is_ephemeral": False,
    }
    assert payload["channel"] == {"id": posted["channel"], "name": "general"}
    assert payload["message"]["blocks"][0]["block_id"] == "q"
    assert payload["user"]["name"] == "ada"
    assert payload["response_url"].startswith(slack.url + "/actions/")
    assert {"trigger_id", "team", "api_app_id", "token", "state", "enterprise"} <= payload.keys()
    [action] = payload["actions"]
    told = (action["type"], action["action_id"], action["block_id"], action["value"], action["style"])
    assert told == ("button", "run", "acts", "42", "primary")
    assert action["text"]["text"] == "Run"
    assert action["action_ts"]


async def test_an_action_in_a_view_carries_the_view_with_what_was_typed(app: BareApp, ada: Person) -> None:
    opened = await _open(app, ada, modal(text_field(), actions(button("Check", "check")), private_metadata="ctx"))
    await ada.type("Name", "Shop")
    await ada.click("Check")
    payload = await app.next_payload()
    assert payload["container"] == {"type": "view", "view_id": opened["id"]}
    view = payload["view"]
    assert (view["hash"], view["private_metadata"], view["callback_id"]) == (opened["hash"], "ctx", "cb")
    assert view["state"]["values"]["name"]["typed"]["value"] == "Shop"
    assert not {"response_url", "message", "channel"} & payload.keys()


async def test_choices_outside_inputs_are_sent_at_once_and_kept(app: BareApp, ada: Person) -> None:
    select = {**_listed("static_select", "Daily", "Weekly"), "placeholder": plain("When")}
    days = {**_listed("checkboxes", "Mon", "Tue"), "action_id": "days"}
    await app.call("chat.postMessage", channel="#general", text="t", blocks=[actions(select, days)])
    await ada.choose("When", "Weekly")
    payload = await app.next_payload()
    assert payload["actions"][0]["selected_option"]["value"] == "weekly"
    assert payload["state"]["values"]["acts"]["a"]["selected_option"]["value"] == "weekly"
    await ada.choose("days", ["Mon", "Tue"])
    payload = await app.next_payload()
    assert [one["value"] for one in payload["actions"][0]["selected_options"]] == ["mon", "tue"]
    assert payload["state"]["values"]["acts"]["a"]["selected_option"]["value"] == "weekly"


async def test_an_overflow_menu_sends_the_entry_and_holds_no_state(app: BareApp, ada: Person) -> None:
    menu = {"type": "overflow", "action_id": "menu", "options": options("Edit", "Remove")}
    await app.call("chat.postMessage", channel="#general", text="t", blocks=[section("VIP", accessory=menu)])
    await ada.click("Remove")
    payload = await app.next_payload()
    assert payload["actions"][0]["selected_option"]["value"] == "remove"
    assert payload["state"]["values"] == {}
    await ada.choose("menu", "Edit")
    assert (await app.next_payload())["actions"][0]["selected_option"]["value"] == "edit"


async def test_an_input_is_silent_unless_it_dispatches(app: BareApp, ada: Person) -> None:
    each_key = {"trigger_actions_on": ["on_character_entered"]}
    blocks = [
        text_field("Silent", "s"),
        {**text_field("On Enter", "e"), "dispatch_action": True},
        {**text_field("Each key", "k", dispatch_action_config=each_key), "dispatch_action": True},
        field("Choice", _listed("static_select", "One"), "c"),
        field("Told", _listed("static_select", "One"), "t", dispatch_action=True),
    ]
    await _open(app, ada, modal(*blocks))
    assert not (await ada.type("Silent", "x", enter=True)).sent
    assert not (await ada.type("On Enter", "x")).sent
    assert not (await ada.choose("Choice", "One")).sent
    assert app.heard_nothing()
    assert (await ada.type("On Enter", "x", enter=True)).sent
    assert (await ada.type("Each key", "x")).sent
    assert (await ada.choose("Told", "One")).sent
    heard = [(await app.next_payload())["actions"][0]["block_id"] for _ in range(3)]
    assert heard == ["e", "k", "t"]


async def test_a_confirmation_has_to_be_given(app: BareApp, ada: Person) -> None:
    dialog = {"title": plain("Sure?"), "text": plain("It is gone then."), "confirm": plain("Yes"), "deny": plain("No")}
    blocks = [actions(button("Remove", "remove", confirm=dialog))]
    await app.call("chat.postMessage", channel="#general", text="t", blocks=blocks)
    with pytest.raises(SlackWorldError) as refusal:
        await ada.click("Remove")
    assert refusal.value.reason == "confirm_needed"
    assert refusal.value.detail["dialog"]["title"]["text"] == "Sure?"
    assert app.heard_nothing()
    assert (await ada.click("Remove", confirm=True)).acknowledged


async def test_a_link_button_opens_its_page_and_tells_the_app(app: BareApp, ada: Person) -> None:
    blocks = [actions(button("Docs", "docs", url="https://acme.example/docs"))]
    await app.call("chat.postMessage", channel="#general", text="t", blocks=blocks)
    assert (await ada.click("Docs")).url == "https://acme.example/docs"
    assert (await app.next_payload())["actions"][0]["action_id"] == "docs"


async def test_only_what_is_on_the_screen_can_be_clicked(app: BareApp, ada: Person, slack: SlackWorld) -> None:
    people = {one["name"]: one["id"] for one in (await slack.state())["people"]}
    general = await slack.channel_id("general")
    post = {"channel": general, "text": "t"}
    await app.call("chat.postEphemeral", **post, user=people["carl"], blocks=[actions(button("Carl's", "c"))])
    gone = await app.call("chat.postMessage", **post, blocks=[actions(button("Gone", "g"))])
    await app.call("chat.delete", channel=general, ts=gone["ts"])
    hidden = button("Vera's", "v", visible_to_user_ids=[people["vera"]])
    await app.call("chat.postMessage", **post, blocks=[actions(button("Everyone's", "e"), hidden)])
    for text in ("Carl's", "Gone", "Vera's", "Never there"):
        with pytest.raises(SlackWorldError) as refusal:
            await ada.click(text)
        assert refusal.value.reason == "not_on_screen"
        assert "Everyone's" in str(refusal.value)
    assert app.heard_nothing()
    for person, text in (("carl", "Carl's"), ("vera", "Vera's"), ("ada", "Everyone's")):
        assert (await slack.person(person).click(text)).sent


async def test_an_open_modal_lies_over_everything(app: BareApp, ada: Person) -> None:
    await app.call("chat.postMessage", channel="#general", text="t", blocks=[actions(button("Go", "go"))])
    await _open(app, ada, modal(section("in front")))
    with pytest.raises(SlackWorldError, match="not on the open modal"):
        await ada.click("Go")
    await ada.close()
    assert (await ada.click("Go")).sent


async def test_the_newest_message_is_meant_unless_another_is_named(app: BareApp, ada: Person) -> None:
    posted = [
        await app.call("chat.postMessage", channel="#general", text="t", blocks=[actions(button("Go", "go", value=n))])
        for n in ("old", "new")
    ]
    await ada.click("Go")
    await ada.click("Go", where="general", ts=posted[0]["ts"])
    assert [(await app.next_payload())["actions"][0]["value"] for _ in posted] == ["new", "old"]


async def test_two_buttons_of_one_name_are_told_apart_by_their_block(app: BareApp, ada: Person) -> None:
    blocks = [actions(button("Run", "run", value=name), block_id=name) for name in ("vip", "new")]
    await app.call("chat.postMessage", channel="#general", text="t", blocks=blocks)
    with pytest.raises(SlackWorldError) as refusal:
        await ada.click("Run")
    assert refusal.value.reason == "ambiguous"
    await ada.click("Run", block_id="new")
    assert (await app.next_payload())["actions"][0]["value"] == "new"


async def test_an_unacknowledged_click_is_seen_to_fail(app: BareApp, ada: Person, slack: SlackWorld) -> None:
    await app.call("chat.postMessage", channel="#general", text="t", blocks=[actions(button("Go", "go"))])
    app.silent = True
    clicking = asyncio.create_task(ada.click("Go"))
    await app.next()
    await slack.advance(3.5)
    assert (await clicking).error == "operation_timeout"
    assert (await ada.screen()).notices[-1]["error"] == "operation_timeout"


# -- external selects -------------------------------------------------------------------------------------------


async def test_an_external_select_asks_the_app_with_the_view_it_stands_in(app: BareApp, ada: Person) -> None:
    element = {"type": "external_select", "action_id": "segments", "min_query_length": 0}
    await _open(app, ada, modal(field("Segment", element, "s"), private_metadata="ctx"))
    app.answer = lambda payload: {"options": options("VIP", "VIP 2")} if payload["type"] == "block_suggestion" else None
    assert await ada.suggestions("Segment", "") == ["VIP", "VIP 2"]
    payload = await app.next_payload()
    assert (payload["type"], payload["action_id"], payload["block_id"]) == ("block_suggestion", "segments", "s")
    assert (payload["value"], payload["view"]["private_metadata"]) == ("", "ctx")
    await ada.choose("Segment", "VIP 2", query="VI")
    assert (await app.next_payload())["value"] == "VI"
    assert (await _submitted(app, ada))["s"]["segments"]["selected_option"]["value"] == "vip 2"


async def test_option_groups_are_offered_too(app: BareApp, ada: Person) -> None:
    element = {"type": "multi_external_select", "action_id": "a", "min_query_length": 1}
    await _open(app, ada, modal(field("Segments", element, "s")))
    groups = [{"label": plain(label), "options": options(label + "1")} for label in ("A", "B")]
    app.answer = lambda payload: {"option_groups": groups}
    await ada.choose("Segments", ["A1", "B1"])
    assert {(await app.next_payload())["value"] for _ in range(2)} == {"A1", "B1"}


@pytest.mark.parametrize("answer", [None, {}, {"options": options(*map(str, range(101)))}, {"options": [{"a": 1}]}])
async def test_invalid_options_are_not_shown(app: BareApp, ada: Person, answer: Json | None) -> None:
    element = {"type": "external_select", "action_id": "a", "min_query_length": 0}
    await _open(app, ada, modal(field("Segment", element, "s")))
    app.answer = lambda payload: answer
    with pytest.raises(SlackWorldError) as refusal:
        await ada.suggestions("Segment", "VIP")
    assert refusal.value.reason == "no_options"


# -- Home, channels, watching -----------------------------------------------------------------------------------


async def test_home_buttons_act_in_the_home_view(app: BareApp, ada: Person) -> None:
    await ada.open_home()
    user = (await app.next_payload())["event"]["user"]
    await app.call("views.publish", user_id=user, view=home(actions(button("Connect", "connect"))))
    await app.call("chat.postMessage", channel="#general", text="t", blocks=[actions(button("Connect", "other"))])
    await ada.click("Connect")
    payload = await app.next_payload()
    assert (payload["actions"][0]["action_id"], payload["view"]["type"]) == ("connect", "home")
    await ada.click("Connect", where="general")
    assert (await app.next_payload())["actions"][0]["action_id"] == "other"
    await ada.say("back in the channel", channel="general")
    await ada.click("Connect")
    assert (await app.next_payload())["actions"][0]["action_id"] == "other"


async def test_a_command_needs_a_channel_one_is_in(app: BareApp, slack: SlackWorld) -> None:
    await slack.change_channel("random", archived=True)
    for person, channel, reason in (
        ("gus", "general", "not_in_channel"),
        ("vera", "leads", "not_in_channel"),
        ("ada", "random", "is_archived"),
        ("ada", "nowhere", "no_such_channel"),
    ):
        with pytest.raises(SlackWorldError) as refusal:
            await slack.person(person).command("/ferry", channel=channel)
        assert refusal.value.reason == reason
    with pytest.raises(SlackWorldError, match="does not begin with a slash"):
        await slack.person("ada").command("ferry")
    with pytest.raises(SlackWorldError, match="There is no person 'zoe'"):
        await slack.person("zoe").command("/ferry")
    with pytest.raises(SlackWorldError, match="is the app"):
        await slack.person("ferry").command("/ferry")
    assert app.heard_nothing()


async def test_people_channels_and_groups_can_be_added(app: BareApp, slack: SlackWorld) -> None:
    zoe = await slack.add_person("zoe", real_name="Zoë Neu", is_admin=True, locale="de-DE")
    channel = await slack.add_channel("zoo", members=["zoe", "ferry"], kind="private")
    await zoe.command("/ferry", channel="zoo")
    payload = await app.next_payload()
    assert (payload["channel_id"], payload["user_name"]) == (channel, "zoe")
    user = (await app.call("users.info", user=payload["user_id"], include_locale=1))["user"]
    assert (user["real_name"], user["is_admin"], user["locale"]) == ("Zoë Neu", True, "de-DE")
    assert [one.name for one in (slack.person("Zoë Neu"), zoe)] == ["Zoë Neu", "zoe"]
    for taken in (slack.add_person("zoe"), slack.add_channel("zoo", members=[])):
        with pytest.raises(SlackWorldError, match="already"):
            await taken
    with pytest.raises(SlackWorldError, match="A person has no shoes"):
        await zoe.change(shoes="red")


async def test_a_person_reads_words_and_not_markup(app: BareApp, ada: Person) -> None:
    menu = {**_listed("static_select", "Hidden until opened"), "placeholder": plain("Choose")}
    rich = {"type": "link", "url": "https://acme.example", "text": "a link"}
    blocks = [
        section("*VIP* &amp; <https://acme.example|friends>, <!date^1764000000^{date}|24 Nov>", accessory=menu),
        {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [rich]}]},
        {"type": "context", "elements": [plain("a &amp; b")]},
    ]
    await app.call("chat.postMessage", channel="#general", text="x &lt; y", blocks=blocks)
    await app.call("chat.postMessage", channel="#general", text="x &lt; y")
    first, second = await ada.messages("general")
    assert first.shown == "*VIP* & friends, 24 Nov\nChoose\na link\na &amp; b"
    assert second.shown == "x < y"
    assert (await ada.choose("VIP & friends, 24 Nov", "Hidden until opened")).sent


async def test_who_left_can_do_nothing_and_places_must_exist(slack: SlackWorld, ada: Person) -> None:
    await ada.change(deleted=True)
    with pytest.raises(SlackWorldError, match="can't sign in"):
        await ada.command("/ferry")
    with pytest.raises(SlackWorldError, match="no time zone 'Mars/Olympus'"):
        await slack.person("vera").change(tz="Mars/Olympus")
    for path, body in (("clock", {"advance_seconds": "soon"}), ("people/vera/click", {}), ("channels", {})):
        with pytest.raises(SlackWorldError) as refusal:
            await slack.request("POST", path, body)
        assert refusal.value.reason == "bad_request"
    with pytest.raises(SlackWorldError, match="“after” must be a number"):
        await slack.request("GET", "state", after="then")


async def test_waiting_in_vain_says_what_was_there(app: BareApp, ada: Person) -> None:
    await app.call("chat.postMessage", channel="#general", text="something else")
    with pytest.raises(NotSeen, match="something else"):
        await ada.message("never said", channel="general", seconds=0.05)
    await _open(app, ada, modal(section("a modal"), title="Connect"))
    with pytest.raises(NotSeen, match=r"“Connect” is open:(.|\n)*a modal"):
        await ada.wait_for(lambda screen: False, seconds=0.05)


async def test_every_change_is_pushed_to_whoever_follows(app: BareApp, slack: SlackWorld) -> None:
    url = slack.url.replace("http", "ws") + "/_control/events"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await app.call("chat.postMessage", channel="#general", text="t")
        seen: list[Json] = []
        while not any(one["type"] == "notification" for one in seen):
            seen.append(await socket.receive_json(timeout=10))
        versions = [one["version"] for one in seen]
        assert versions == sorted(versions)
        assert [one["type"] for one in seen][:2] == ["call", "message"]
        async with session.ws_connect(f"{url}?after={versions[0] - 1}") as later:
            assert await later.receive_json(timeout=10) == seen[0]


async def test_a_reset_forgets_the_day_but_not_the_app(app: BareApp, ada: Person, slack: SlackWorld) -> None:
    await _open(app, ada, modal(section("a")))
    await app.call("chat.postMessage", channel="#general", text="t")
    await slack.advance(1000)
    version = (await slack.state())["version"]
    await slack.reset()
    assert (await slack.state())["version"] > version
    assert await ada.messages() == []
    assert (await ada.screen()).modal is None
    assert await slack.calls() == []
    assert (await app.call("auth.test"))["user_id"] == app.told["bot_user_id"]
    assert (await ada.command("/ferry")).acknowledged


# -- the manifest -----------------------------------------------------------------------------------------------

MANIFEST: Json = {
    "display_information": {"name": "Segment Ferry"},
    "features": {
        "bot_user": {"display_name": "Ferry Bot"},
        "app_home": {"home_tab_enabled": False},
        "slash_commands": [{"command": "/ferry", "description": "d", "should_escape": True}],
    },
    "oauth_config": {"scopes": {"bot": ["commands", "chat:write"]}},
    "settings": {"event_subscriptions": {"bot_events": ["message.im", "app_mention", "user_change"]}},
}


async def test_a_manifest_sets_name_scopes_commands_and_events(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.yml"  # JSON is YAML
    manifest.write_text(json.dumps(MANIFEST))
    arguments = ("--manifest", str(manifest), "--seed", "7", "--trigger-seconds", "1")
    async with (
        emulator("bot.sandbox.slack", *arguments) as told,
        connected_app(told) as app,
        SlackWorld(told["url"]) as slack,
    ):
        ada = slack.person("ada")
        assert (await app.call("auth.test"))["user"] == "ferry-bot"
        assert (await app.call("users.list"))["provided"] == "chat:write,commands"
        unknown = await ada.command("/fairy")
        assert (unknown.sent, unknown.error) == (False, "invalid_command")

        await ada.command("/ferry share @carl #leads @nobody")
        payload = await app.next_payload()
        people = {one["name"]: one["id"] for one in (await slack.state())["people"]}
        leads = await slack.channel_id("leads")
        assert payload["text"] == f"share <@{people['carl']}|carl> <#{leads}|leads> @nobody"
        await slack.advance(1.5)
        late = await app.call("views.open", trigger_id=payload["trigger_id"], view=modal())
        assert late["error"] == "expired_trigger_id"

        with pytest.raises(SlackWorldError, match="no Home tab"):
            await ada.open_home()
        await ada.say("hi", channel="dm")
        event = (await app.next_payload())["event"]
        assert (event["type"], event["channel_type"], event["text"]) == ("message", "im", "hi")
        await ada.say(f"hey <@{told['bot_user_id']}>", channel="general")
        assert (await app.next_payload())["event"]["type"] == "app_mention"
        await ada.change(locale="fr-FR")
        assert (await app.next_payload())["event"]["user"]["locale"] == "fr-FR"
