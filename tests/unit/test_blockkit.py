"""The Block Kit validator, row by row.

reference: slack-platform.md §9 (limits and surfaces), §12 (what other checkers are blind to)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block

from bot.sandbox.slack.blockkit import Problem, validate_message, validate_options, validate_view

Json = dict[str, Any]
Validate = Callable[[Json], list[Problem]]


# -- building payloads ------------------------------------------------------------------------------------------


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str) -> Json:
    return {"type": "mrkdwn", "text": text}


def section(**fields: Any) -> Json:
    return {"type": "section", **({} if "text" in fields or "fields" in fields else {"text": mrkdwn("s")}), **fields}


def option(text: str = "One", value: str = "1", **more: Any) -> Json:
    return {"text": plain(text), "value": value, **more}


def option_list(count: int) -> list[Json]:
    return [option(str(number), str(number)) for number in range(count)]


def button(**fields: Any) -> Json:
    return {"type": "button", "text": plain("Go"), "action_id": "go", **fields}


def select(**fields: Any) -> Json:
    known = "options" in fields or "option_groups" in fields
    return {"type": "static_select", "action_id": "s", **({} if known else {"options": [option()]}), **fields}


def actions(*elements: Json) -> Json:
    return {"type": "actions", "elements": list(elements)}


def input_block(element: Json | None = None, **fields: Any) -> Json:
    element = element or {"type": "plain_text_input", "action_id": "i"}
    return {"type": "input", "label": plain("Label"), "element": element, **fields}


def entered(kind: str, **fields: Any) -> Json:
    """A modal with one input of this kind."""
    return modal(input_block({"type": kind, **fields}))


def acting(*elements: Json) -> Json:
    """A message with these elements in an actions block."""
    return message(actions(*elements))


def confirm(**fields: Any) -> Json:
    return button(confirm={"text": plain("Sure?"), **fields})


def rich_text(text: str = "r") -> Json:
    return {
        "type": "rich_text",
        "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}],
    }


def card(**fields: Any) -> Json:
    return {"type": "card", **({} if fields else {"body": mrkdwn("b")}), **fields}


def container(*children: Json, **fields: Any) -> Json:
    return {"type": "container", "title": plain("t"), "child_blocks": list(children), **fields}


def image(**fields: Any) -> Json:
    return {"type": "image", "image_url": "https://acme.example/i.png", "alt_text": "a", **fields}


def video(**fields: Any) -> Json:
    urls = {"video_url": "https://acme.example/v", "thumbnail_url": "https://acme.example/t"}
    return {"type": "video", **urls, "alt_text": "a", "title": plain("t"), **fields}


def cell(text: str = "c") -> Json:
    return {"type": "raw_text", "text": text}


def table(rows: int = 1, columns: int = 1, text: str = "c", **fields: Any) -> Json:
    return {"type": "table", "rows": [[cell(text)] * columns for _ in range(rows)], **fields}


def data_table(rows: int = 2, columns: int = 1, text: str = "c", **fields: Any) -> Json:
    return {**table(rows, columns, text), "type": "data_table", "caption": "Runs", **fields}


def chart(categories: int = 2, series: int = 1, kind: str = "line", **fields: Any) -> Json:
    names = [f"d{number}" for number in range(categories)]
    points = [{"label": name, "value": 1.5} for name in names]
    listed = [{"name": f"s{number}", "data": points} for number in range(series)]
    drawn = {"type": kind, "series": listed, "axis_config": {"categories": names}}
    return {"type": "data_visualization", "title": "History", "chart": drawn, **fields}


def pie(*segments: Json) -> Json:
    return {"type": "data_visualization", "title": "Share", "chart": {"type": "pie", "segments": list(segments)}}


def task(task_id: str = "1", status: str = "complete", **fields: Any) -> Json:
    return {"type": "task_card", "task_id": task_id, "title": "t", "status": status, **fields}


def message(*blocks: Json, **fields: Any) -> Json:
    return {"text": "t", "blocks": list(blocks), **fields}


def modal(*blocks: Json, **fields: Any) -> Json:
    return {"type": "modal", "title": plain("T"), "submit": plain("S"), "blocks": list(blocks), **fields}


def home(*blocks: Json, **fields: Any) -> Json:
    return {"type": "home", "blocks": list(blocks), **fields}


def problems(payload: Json) -> list[Problem]:
    return validate_view(payload) if "type" in payload else validate_message(payload)


def errors(payload: Json) -> list[Problem]:
    return [one for one in problems(payload) if one.is_error]


# -- lengths ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limit:
    """A place that holds a text of at most so many characters (`least` 0: may be empty)."""

    name: str
    most: int
    path: str
    build: Callable[[str], Json]
    least: int = 1


TEXT, IN_SELECT = "/blocks/0/text/text", "/blocks/0/elements/0"
LENGTHS = [
    Limit("section text", 3000, TEXT, lambda t: message(section(text=mrkdwn(t)))),
    Limit("section field", 2000, "/blocks/0/fields/0/text", lambda t: message(section(fields=[plain(t)]))),
    Limit("header", 150, TEXT, lambda t: message({"type": "header", "text": plain(t)})),
    Limit(
        "context text",
        3000,
        "/blocks/0/elements/0/text",
        lambda t: message({"type": "context", "elements": [mrkdwn(t)]}),
    ),
    Limit("block_id", 255, "/blocks/0/block_id", lambda t: message(section(block_id=t))),
    Limit("action_id", 255, f"{IN_SELECT}/action_id", lambda t: acting(button(action_id=t))),
    Limit("button text", 75, f"{IN_SELECT}/text/text", lambda t: acting(button(text=plain(t)))),
    Limit("button value", 2000, f"{IN_SELECT}/value", lambda t: acting(button(value=t))),
    Limit("button url", 3000, f"{IN_SELECT}/url", lambda t: acting(button(url=t))),
    Limit(
        "button accessibility label",
        75,
        f"{IN_SELECT}/accessibility_label",
        lambda t: acting(button(accessibility_label=t)),
    ),
    Limit("button agent prompt", 4000, f"{IN_SELECT}/agent_prompt", lambda t: acting(button(agent_prompt=t))),
    Limit("confirm title", 100, f"{IN_SELECT}/confirm/title/text", lambda t: acting(confirm(title=plain(t)))),
    Limit("confirm text", 300, f"{IN_SELECT}/confirm/text/text", lambda t: acting(confirm(text=plain(t)))),
    Limit("confirm yes", 30, f"{IN_SELECT}/confirm/confirm/text", lambda t: acting(confirm(confirm=plain(t)))),
    Limit("confirm no", 30, f"{IN_SELECT}/confirm/deny/text", lambda t: acting(confirm(deny=plain(t)))),
    Limit("option text", 75, f"{IN_SELECT}/options/0/text/text", lambda t: acting(select(options=[option(t)]))),
    Limit(
        "option value",
        150,
        f"{IN_SELECT}/options/0/value",
        lambda t: acting(select(options=[option(value=t)])),
    ),
    Limit(
        "option description",
        75,
        f"{IN_SELECT}/options/0/description/text",
        lambda t: acting(select(options=[option(description=plain(t))])),
    ),
    Limit(
        "option url",
        3000,
        f"{IN_SELECT}/options/0/url",
        lambda t: acting({"type": "overflow", "options": [option(url=t)]}),
    ),
    Limit(
        "option in a group",
        75,
        f"{IN_SELECT}/option_groups/0/options/0/text/text",
        lambda t: acting(select(option_groups=[{"label": plain("g"), "options": [option(t)]}])),
    ),
    Limit(
        "group label",
        75,
        f"{IN_SELECT}/option_groups/0/label/text",
        lambda t: acting(select(option_groups=[{"label": plain(t), "options": [option()]}])),
    ),
    Limit("placeholder", 150, f"{IN_SELECT}/placeholder/text", lambda t: acting(select(placeholder=plain(t)))),
    Limit("input label", 2000, "/blocks/0/label/text", lambda t: modal(input_block(label=plain(t)))),
    Limit("input hint", 2000, "/blocks/0/hint/text", lambda t: modal(input_block(hint=plain(t)))),
    Limit(
        "initial text",
        3000,
        "/blocks/0/element/initial_value",
        lambda t: entered("plain_text_input", initial_value=t),
        least=0,
    ),
    Limit("image url", 3000, "/blocks/0/image_url", lambda t: message(image(image_url=t))),
    Limit("image alt text", 2000, "/blocks/0/alt_text", lambda t: message(image(alt_text=t))),
    Limit("image title", 2000, "/blocks/0/title/text", lambda t: message(image(title=plain(t)))),
    Limit(
        "accessory alt text",
        2000,
        "/blocks/0/accessory/alt_text",
        lambda t: message(section(accessory=image(alt_text=t))),
    ),
    Limit("alert", 200, TEXT, lambda t: modal({"type": "alert", "text": plain(t)})),
    Limit("card title", 150, "/blocks/0/title/text", lambda t: message(card(title=mrkdwn(t)))),
    Limit("card body", 200, "/blocks/0/body/text", lambda t: message(card(body=mrkdwn(t)))),
    Limit("container title", 150, "/blocks/0/title/text", lambda t: message(container(section(), title=plain(t)))),
    Limit("chart title", 50, "/blocks/0/title", lambda t: message(chart(title=t))),
    Limit(
        "segment label",
        20,
        "/blocks/0/chart/segments/0/label",
        lambda t: message(pie({"label": t, "value": 1})),
    ),
    Limit("video title", 199, "/blocks/0/title/text", lambda t: message(video(title=plain(t)))),
    Limit("video author", 49, "/blocks/0/author_name", lambda t: message(video(author_name=t))),
    Limit("view title", 24, "/title/text", lambda t: modal(title=plain(t))),
    Limit("view submit", 24, "/submit/text", lambda t: modal(submit=plain(t))),
    Limit("view close", 24, "/close/text", lambda t: modal(close=plain(t))),
    Limit("private metadata", 3000, "/private_metadata", lambda t: home(private_metadata=t), least=0),
    Limit("callback id", 255, "/callback_id", lambda t: modal(callback_id=t), least=0),
    Limit("external id", 255, "/external_id", lambda t: modal(external_id=t), least=0),
]
ANY_CHARACTER = st.characters(exclude_categories=["Cs"])


@pytest.mark.parametrize("limit", LENGTHS, ids=lambda limit: limit.name)
@settings(max_examples=15, deadline=None)
@given(character=ANY_CHARACTER, over=st.integers(1, 300), share=st.floats(0, 1))
def test_each_length_holds_to_the_character(limit: Limit, character: str, over: int, share: float) -> None:
    for length in (limit.least, max(limit.least, int(limit.most * share)), limit.most):
        assert errors(limit.build(character * length)) == []
    [problem] = errors(limit.build(character * (limit.most + over)))
    assert (problem.path, problem.rule) == (limit.path, f"must be at most {limit.most} characters")
    assert problem.found == f"{limit.most + over} characters"


@pytest.mark.parametrize("limit", [one for one in LENGTHS if one.least], ids=lambda limit: limit.name)
def test_an_empty_text_is_refused_where_one_is_needed(limit: Limit) -> None:
    [problem] = errors(limit.build(""))
    assert (problem.path, problem.found) == (limit.path, "0 characters")


# -- counts -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Count:
    """A place that holds from `least` to `most` things."""

    name: str
    least: int
    most: int
    path: str
    build: Callable[[int], Json]


def _several(kind: str, count: int, **more: Any) -> Json:
    return {"type": kind, "action_id": "a", "options": option_list(count), **more}


def _groups(count: int, each: int = 1) -> list[Json]:
    return [{"label": plain("g"), "options": [option(value=f"{n}.{m}") for m in range(each)]} for n in range(count)]


COUNTS = [
    Count("blocks of a message", 0, 50, "/blocks", lambda n: message(*[section()] * n)),
    Count("blocks of a modal", 0, 100, "/blocks", lambda n: modal(*[section()] * n)),
    Count("blocks of Home", 0, 100, "/blocks", lambda n: home(*[section()] * n)),
    Count("section fields", 1, 10, "/blocks/0/fields", lambda n: message(section(fields=[plain("f")] * n))),
    Count(
        "context elements",
        1,
        10,
        "/blocks/0/elements",
        lambda n: message({"type": "context", "elements": [plain("c")] * n}),
    ),
    Count("actions", 1, 25, "/blocks/0/elements", lambda n: acting(*[button(action_id=str(i)) for i in range(n)])),
    Count(
        "context actions",
        1,
        5,
        "/blocks/0/elements",
        lambda n: message(
            {
                "type": "context_actions",
                "elements": [
                    {"type": "icon_button", "icon": "trash", "text": plain("t"), "action_id": str(i)} for i in range(n)
                ],
            }
        ),
    ),
    Count("select options", 1, 100, f"{IN_SELECT}/options", lambda n: acting(select(options=option_list(n)))),
    Count(
        "option groups",
        1,
        100,
        f"{IN_SELECT}/option_groups",
        lambda n: acting(select(option_groups=_groups(n))),
    ),
    Count(
        "options of a group",
        1,
        100,
        f"{IN_SELECT}/option_groups/0/options",
        lambda n: acting(select(option_groups=_groups(1, n))),
    ),
    Count("checkboxes", 1, 10, f"{IN_SELECT}/options", lambda n: acting(_several("checkboxes", n))),
    Count("radio buttons", 1, 10, f"{IN_SELECT}/options", lambda n: acting(_several("radio_buttons", n))),
    Count("overflow", 1, 5, f"{IN_SELECT}/options", lambda n: acting(_several("overflow", n))),
    Count("table rows", 1, 100, "/blocks/0/rows", lambda n: message(table(rows=n))),
    Count("table cells", 1, 20, "/blocks/0/rows/0", lambda n: message(table(columns=n))),
    Count(
        "column settings",
        1,
        20,
        "/blocks/0/column_settings",
        lambda n: message(table(column_settings=[{"align": "right"}] * n)),
    ),
    Count("data table rows", 2, 201, "/blocks/0/rows", lambda n: message(data_table(rows=n))),
    Count("series", 1, 12, "/blocks/0/chart/series", lambda n: message(chart(series=n))),
    Count(
        "segments",
        1,
        12,
        "/blocks/0/chart/segments",
        lambda n: message(pie(*[{"label": str(i), "value": 1} for i in range(n)])),
    ),
    Count(
        "card buttons",
        1,
        3,
        "/blocks/0/actions",
        lambda n: message(card(actions=[button(action_id=str(i)) for i in range(n)])),
    ),
    Count("carousel", 1, 10, "/blocks/0/elements", lambda n: message({"type": "carousel", "elements": [card()] * n})),
    Count("container", 1, 10, "/blocks/0/child_blocks", lambda n: message(container(*[section()] * n))),
    Count(
        "plan",
        0,
        50,
        "/blocks/0/tasks",
        lambda n: message({"type": "plan", "title": "p", "tasks": [task(str(i)) for i in range(n)]}),
    ),
]


@pytest.mark.parametrize("count", COUNTS, ids=lambda count: count.name)
def test_each_count_holds_to_the_item(count: Count) -> None:
    for allowed in {count.least, (count.least + count.most) // 2, count.most}:
        assert errors(count.build(allowed)) == []
    assert count.path in [one.path for one in errors(count.build(count.most + 1))]
    if count.least:
        assert [one.path for one in errors(count.build(count.least - 1))] == [count.path]


def test_category_and_point_counts_go_together() -> None:
    assert errors(message(chart(categories=20))) == []
    paths = {one.path for one in errors(message(chart(categories=21)))}
    assert paths == {"/blocks/0/chart/axis_config/categories", "/blocks/0/chart/series/0/data"}


@pytest.mark.parametrize(
    ("key", "right", "wrong"),
    [
        ("max_files", (1, 10), (0, 11)),
        ("min_length", (0, 3000), (-1, 3001)),
        ("max_length", (1, 3000), (0, 3001)),
        ("min_query_length", (0, 50), (-1,)),
        ("max_selected_items", (1,), (0, -1)),
        ("min_lines", (1, 100), (0, 101)),
    ],
)
def test_numbers_stay_in_their_range(key: str, right: tuple[int, ...], wrong: tuple[int, ...]) -> None:
    kinds = {
        "max_files": "file_input",
        "min_query_length": "external_select",
        "max_selected_items": "multi_users_select",
        "min_lines": "rich_text_input",
    }
    for value in right + wrong:
        element = {"type": kinds.get(key, "plain_text_input"), "action_id": "a", key: value}
        found = {one.path for one in errors(modal(input_block(element)))}
        assert (f"/blocks/0/element/{key}" in found) == (value in wrong)


@pytest.mark.parametrize("size", [0, 101])
def test_a_page_of_a_data_table_has_one_to_a_hundred_rows(size: int) -> None:
    assert errors(message(data_table(page_size=50))) == []
    assert [one.path for one in errors(message(data_table(page_size=size)))] == ["/blocks/0/page_size"]


# -- totals -----------------------------------------------------------------------------------------------------


@given(first=st.integers(1, 11_999))
def test_markdown_is_limited_over_all_its_blocks_together(first: int) -> None:
    def two(total: int) -> Json:
        parts = ("x" * first, "x" * (total - first))
        return message(*[{"type": "markdown", "text": part} for part in parts])

    assert errors(two(12_000)) == []
    assert [one.path for one in errors(two(12_001))] == ["/blocks"]


@pytest.mark.parametrize(("build", "most"), [(table, 10_000), (data_table, 20_000)])
def test_the_text_of_a_table_is_limited_over_all_its_cells(build: Callable[..., Json], most: int) -> None:
    assert errors(message(build(rows=2, columns=2, text="x" * (most // 4)))) == []
    over = errors(message(build(rows=2, columns=2, text="x" * (most // 4 + 1))))
    assert [one.path for one in over] == ["/blocks/0/rows"]
    assert f"{most} characters" in over[0].rule


def test_a_message_has_one_table_and_two_charts() -> None:
    assert errors(message(table(), chart(), chart())) == []
    assert len(errors(message(table(), table()))) == 1
    assert len(errors(message(chart(), chart(), chart()))) == 1
    assert errors(home(table(), table())) == []


def test_a_view_is_at_most_250_kilobytes() -> None:
    rows = [section(text=mrkdwn("x" * 2900)) for _ in range(86)]
    assert errors(home(*rows[:84])) == []
    assert [one.found.split()[1] for one in errors(home(*rows))] == ["bytes"]


# -- what other checkers are blind to, and what they see --------------------------------------------------------

WRONG: list[tuple[str, Json, str]] = [
    ("field over its length", message(section(fields=[plain("x" * 2001)])), "/blocks/0/fields/0/text"),
    ("empty text", message(section(text=plain(""))), TEXT),
    ("a block_id twice", message(section(block_id="b"), section(block_id="b")), "/blocks/1/block_id"),
    ("an action_id twice in a block", acting(button(), button()), "/blocks/0/elements/1/action_id"),
    (
        "an option's text too long in a nested list",
        modal(input_block(select(options=[option("x" * 76)]))),
        "/blocks/0/element/options/0/text/text",
    ),
    ("eleven checkboxes", modal(input_block(_several("checkboxes", 11))), "/blocks/0/element/options"),
    (
        "an initial option that is not offered",
        acting(select(initial_option=option("Two", "2"))),
        f"{IN_SELECT}/initial_option",
    ),
    (
        "an initial option of the same value and another text",
        acting(select(initial_option=option("Uno", "1"))),
        f"{IN_SELECT}/initial_option",
    ),
    (
        "initial checkboxes that are not offered",
        acting(_several("checkboxes", 1, initial_options=option_list(2))),
        f"{IN_SELECT}/initial_options",
    ),
    ("fifty-one blocks", message(*[section()] * 51), "/blocks"),
    ("a table too wide", message(table(columns=21)), "/blocks/0/rows/0"),
    ("an unknown key", message(section(colour="red")), "/blocks/0"),
    ("an unknown key in a view", modal(id="V1"), ""),
    ("a title on Home", home(title=plain("T")), ""),
    ("an input in an actions block", acting({"type": "plain_text_input"}), IN_SELECT),
    ("a button in an input block", modal(input_block(button())), "/blocks/0/element"),
    ("a button in a context block", message({"type": "context", "elements": [button()]}), "/blocks/0/elements/0/type"),
    (
        "a plain_text_input beside a section",
        message(section(accessory={"type": "plain_text_input"})),
        "/blocks/0/accessory",
    ),
    ("a missing submit with an input", {k: v for k, v in modal(input_block()).items() if k != "submit"}, ""),
    ("a missing title", {"type": "modal", "blocks": []}, ""),
    ("missing blocks", {"type": "modal", "title": plain("T")}, ""),
    ("a missing alt text", message({"type": "image", "image_url": "https://acme.example"}), "/blocks/0"),
    ("an image with two sources", message(image(slack_file={"id": "F1"})), "/blocks/0"),
    ("mrkdwn in a header", message({"type": "header", "text": mrkdwn("h")}), "/blocks/0/text/type"),
    ("mrkdwn in a button", acting(button(text=mrkdwn("b"))), f"{IN_SELECT}/text/type"),
    (
        "mrkdwn in a select option",
        acting(select(options=[option() | {"text": mrkdwn("o")}])),
        f"{IN_SELECT}/options/0/text/type",
    ),
    ("a text that is a string", message({"type": "section", "text": "s"}), "/blocks/0/text"),
    ("a section without text or fields", message({"type": "section"}), "/blocks/0"),
    ("options and groups at once", acting(select(options=[option()], option_groups=_groups(1))), IN_SELECT),
    ("a select without options", acting({"type": "static_select"}), IN_SELECT),
    ("an option without a value", acting(select(options=[{"text": plain("o")}])), f"{IN_SELECT}/options/0"),
    ("a style there is not", acting(button(style="warning")), f"{IN_SELECT}/style"),
    ("a block that is null", message(None), "/blocks/0"),  # type: ignore[arg-type]
    ("a field that is null", message(section(accessory=None)), "/blocks/0/accessory"),
    ("blocks that are no list", {"text": "t", "blocks": {"a": 1}}, "/blocks"),
    ("attachments that are no list", message(attachments="x"), "/attachments"),
    (
        "a bad block in an attachment",
        message(attachments=[{"blocks": [{"type": "section"}]}]),
        "/attachments/0/blocks/0",
    ),
    ("an unknown block", message({"type": "sections"}), "/blocks/0/type"),
    ("an unknown view", {"type": "page", "blocks": []}, "/type"),
    ("a date that is none", entered("datepicker", initial_date="2026-13-01"), "/blocks/0/element/initial_date"),
    ("a time that is none", entered("timepicker", initial_time="7:30"), "/blocks/0/element/initial_time"),
    (
        "a moment in milliseconds",
        entered("datetimepicker", initial_date_time=10**12),
        "/blocks/0/element/initial_date_time",
    ),
    (
        "two elements with focus",
        modal(*[input_block({"type": "datepicker", "focus_on_load": True})] * 2),
        "/blocks/1/element/focus_on_load",
    ),
    (
        "a least length above the most",
        entered("plain_text_input", min_length=5, max_length=4),
        "/blocks/0/element/min_length",
    ),
    (
        "an initial text longer than allowed",
        entered("plain_text_input", initial_value="abcde", max_length=4),
        "/blocks/0/element/initial_value",
    ),
    (
        "a least number above the most",
        entered("number_input", is_decimal_allowed=False, min_value="5", max_value="4"),
        "/blocks/0/element/min_value",
    ),
    (
        "a number that is no string",
        entered("number_input", is_decimal_allowed=False, min_value=5),
        "/blocks/0/element/min_value",
    ),
    (
        "more chosen than may be",
        entered("multi_users_select", initial_users=["U1", "U2"], max_selected_items=1),
        "/blocks/0/element",
    ),
    ("a filter of nothing", acting({"type": "conversations_select", "filter": {}}), f"{IN_SELECT}/filter"),
    ("a pending task by itself", message(task(status="pending")), "/blocks/0/status"),
    ("a task status of its own", message(task(status="completed")), "/blocks/0/status"),
    ("tasks of one id", message({"type": "plan", "title": "p", "tasks": [task(), task()]}), "/blocks/0/tasks"),
    ("an alert of its own level", modal({"type": "alert", "text": plain("a"), "level": "fatal"}), "/blocks/0/level"),
    ("rows of different lengths", message({**data_table(), "rows": [[cell()], [cell(), cell()]]}), "/blocks/0/rows"),
    ("a data table without a caption", message({**table(rows=2), "type": "data_table"}), "/blocks/0"),
    (
        "a row header that is no column",
        message(data_table(row_header_column_index=1)),
        "/blocks/0/row_header_column_index",
    ),
    ("an empty segment", message(pie({"label": "l", "value": 0})), "/blocks/0/chart/segments/0/value"),
    ("a container in a container", message(container(container(section()))), "/blocks/0/child_blocks/0"),
    (
        "collapsed without being collapsible",
        message(container(section(), default_collapsed=True)),
        "/blocks/0/default_collapsed",
    ),
    ("an empty card", message({"type": "card", "subtitle": plain("s")}), "/blocks/0"),
    (
        "a list in rich text without a style",
        message({"type": "rich_text", "elements": [{"type": "rich_text_list", "elements": rich_text()["elements"]}]}),
        "/blocks/0/elements/0",
    ),
    ("nothing to say", {"text": ""}, ""),
]


@pytest.mark.parametrize(("payload", "path"), [one[1:] for one in WRONG], ids=[one[0] for one in WRONG])
def test_a_wrong_payload_is_found_at_its_place(payload: Json, path: str) -> None:
    found = errors(payload)
    assert [one.path for one in found] == [path], [str(one) for one in found]
    assert found[0].rule
    assert found[0].found


# -- surfaces ---------------------------------------------------------------------------------------------------

VALID: dict[str, Json] = {
    "actions": actions(button(style="danger", value="v"), select(), {"type": "datetimepicker", "action_id": "d"}),
    "alert": {"type": "alert", "text": mrkdwn("a"), "level": "warning"},
    "card": card(title=mrkdwn("t"), hero_image=image(), actions=[button()]),
    "carousel": {"type": "carousel", "elements": [card()]},
    "container": container(section(), is_collapsible=True, default_collapsed=True, width="wide"),
    "context": {"type": "context", "elements": [plain("c"), mrkdwn("d"), image()]},
    "context_actions": {
        "type": "context_actions",
        "elements": [
            {
                "type": "feedback_buttons",
                "action_id": "f",
                "positive_button": {"text": plain("+"), "value": "1"},
                "negative_button": {"text": plain("-"), "value": "0"},
            }
        ],
    },
    "data_table": data_table(page_size=10, row_header_column_index=0),
    "data_visualization": chart(),
    "divider": {"type": "divider"},
    "file": {"type": "file", "external_id": "x", "source": "remote"},
    "header": {"type": "header", "text": plain("h")},
    "image": image(title=plain("t")),
    "input": input_block(optional=True, dispatch_action=True, hint=plain("h")),
    "markdown": {"type": "markdown", "text": "# m"},
    "plan": {"type": "plan", "title": "p", "tasks": [task(status="pending")]},
    "rich_text": rich_text(),
    "section": section(fields=[plain("f")], accessory={"type": "overflow", "options": [option()], "action_id": "o"}),
    "table": table(2, 3, column_settings=[{"align": "right", "is_wrapped": True}]),
    "task_card": task(details=rich_text(), sources=[{"type": "url", "url": "https://acme.example", "text": "s"}]),
    "video": video(author_name="a", provider_name="p"),
}
EVERYWHERE = {"actions", "card", "context", "divider", "header", "image", "input", "rich_text", "section", "video"}
SURFACES = {
    "modal": EVERYWHERE | {"alert"},
    "home": EVERYWHERE | {"carousel", "container", "data_table", "table"},
    "message": VALID.keys() - {"alert"},
}


@pytest.mark.parametrize("kind", VALID)
def test_each_block_stands_on_its_surfaces_only(kind: str) -> None:
    for surface, build in (("modal", modal), ("home", home), ("message", message)):
        paths = [one.path for one in errors(build(VALID[kind]))]
        assert paths == ([] if kind in SURFACES[surface] else ["/blocks/0"]), surface


@pytest.mark.parametrize("kind", sorted(VALID.keys() - {"data_table", "data_visualization"}))
def test_slacks_own_models_know_each_of_these_blocks_too(kind: str) -> None:
    parsed = Block.parse(VALID[kind])
    assert parsed is not None
    assert parsed.type == kind


# -- warnings, options, robustness ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ({"blocks": [section()]}, "/text"),
        ({"text": "x" * 4001}, "/text"),
        ({"text": "x" * 40_001}, "/text"),
        (message(attachments=[{"text": "a"}] * 21), "/attachments"),
        (acting(select(options=[option("One"), option("Two")])), IN_SELECT),
    ],
)
def test_what_slack_takes_and_people_suffer_from_is_a_warning(payload: Json, path: str) -> None:
    [problem] = problems(payload)
    assert (problem.path, problem.level, problem.is_error) == (path, "warning", False)


def test_a_hundred_and_one_attachments_are_an_error() -> None:
    assert [one.path for one in errors(message(attachments=[{"text": "a"}] * 101))] == ["/attachments"]


def test_the_answer_of_an_options_handler_is_checked_too() -> None:
    assert validate_options({"options": option_list(100)}) == []
    assert validate_options({"options": []}) == []
    assert validate_options({"option_groups": _groups(3)}) == []
    for wrong in (None, {}, {"options": option_list(101)}, {"options": [option("x" * 76)]}, {"options": [], "more": 1}):
        assert validate_options(wrong) != []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_malformed_part_is_reported_and_never_raises(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(VALID)))
    place = data.draw(st.sampled_from(sorted(VALID[kind])))
    broken = {**VALID[kind], place: data.draw(json_values)}
    for payload in (message(broken), home(broken), modal(broken)):
        for problem in problems(payload):
            assert problem.path.startswith("/blocks") or problem.path in ("", "/text")


def test_a_problem_reads_as_a_sentence() -> None:
    [problem] = errors(message({"type": "header", "text": plain("x" * 151)}))
    assert str(problem) == "/blocks/0/text/text: must be at most 150 characters (found 151 characters)"
