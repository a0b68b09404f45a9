"""The rules of Block Kit that span several fields, elements or blocks."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from bot.sandbox.slack.blockkit.schema import Json, Problem, Problems

MARKDOWN_TOTAL = 12_000
TABLE_TEXT_TOTAL = 10_000
DATA_TABLE_TEXT_TOTAL = 20_000
CHARTS_PER_MESSAGE = 2
TABLES_PER_MESSAGE = 1


# -- one element ------------------------------------------------------------------------------------------------


def _offered(element: Json) -> list[Json]:
    grouped = [option for group in element.get("option_groups", []) for option in group["options"]]
    return [*element.get("options", []), *grouped]


def initial_option_is_offered(element: Json, path: str) -> Problems:
    """What is chosen at first must be, field by field, one of the options."""
    chosen = [element["initial_option"]] if "initial_option" in element else element.get("initial_options", [])
    offered = [_comparable(option) for option in _offered(element)]
    for option in chosen:
        if _comparable(option) not in offered:
            name = "initial_option" if "initial_option" in element else "initial_options"
            yield Problem(f"{path}/{name}", "must be one of the options, exactly", repr(option.get("value"))[:60])


def _comparable(option: Json) -> tuple[Any, ...]:
    texts = (option["text"], option.get("description") or {})
    return (option.get("value"), *((text.get("type"), text.get("text")) for text in texts))


def option_values_differ(element: Json, path: str) -> Problems:
    """Slack does not tell apart two options of one value, nor can the app."""
    for value, count in Counter(option.get("value") for option in _offered(element)).items():
        if value is not None and count > 1:
            yield Problem(path, "should have options of different values", f"{value!r} {count} times", "warning")


def choice_fits_maximum(element: Json, path: str) -> Problems:
    most = element.get("max_selected_items")
    chosen: list[Any] = next((value for name, value in element.items() if name.startswith("initial_")), [])
    if most is not None and len(chosen) > most:
        yield Problem(path, f"must choose at most {most} at first (max_selected_items)", f"{len(chosen)}")


def text_length_bounds(element: Json, path: str) -> Problems:
    least, most = element.get("min_length", 0), element.get("max_length", 3000)
    if least > most:
        yield Problem(f"{path}/min_length", "must not be more than max_length", f"{least} > {most}")
    if "max_length" in element and len(element.get("initial_value", "")) > most:
        found = f"{len(element['initial_value'])} characters"
        yield Problem(f"{path}/initial_value", f"must be at most max_length ({most}) characters", found)


def number_bounds(element: Json, path: str) -> Problems:
    least, most = element.get("min_value"), element.get("max_value")
    if least is not None and most is not None and float(least) > float(most):
        yield Problem(f"{path}/min_value", "must not be more than max_value", f"{least} > {most}")


def line_bounds(element: Json, path: str) -> Problems:
    least, most = element.get("min_lines"), element.get("max_lines")
    if least is not None and most is not None and least > most:
        yield Problem(f"{path}/min_lines", "must not be more than max_lines", f"{least} > {most}")


# -- one block --------------------------------------------------------------------------------------------------


def collapsed_needs_collapsible(block: Json, path: str) -> Problems:
    if block.get("default_collapsed") and not block.get("is_collapsible"):
        yield Problem(f"{path}/default_collapsed", "needs is_collapsible", "none")


def table_text_total(block: Json, path: str) -> Problems:
    total = _text_in(block["rows"])
    if total > TABLE_TEXT_TOTAL:
        yield Problem(f"{path}/rows", f"must hold at most {TABLE_TEXT_TOTAL} characters", f"{total} characters")


def data_table_shape(block: Json, path: str) -> Problems:
    widths = {len(row) for row in block["rows"]}
    if len(widths) > 1:
        yield Problem(f"{path}/rows", "must have rows of one length", f"{sorted(widths)} cells")
    index = block.get("row_header_column_index", 0)
    if index >= min(widths):
        yield Problem(f"{path}/row_header_column_index", "must be a column of the table", str(index))
    total = _text_in(block["rows"])
    if total > DATA_TABLE_TEXT_TOTAL:
        yield Problem(f"{path}/rows", f"must hold at most {DATA_TABLE_TEXT_TOTAL} characters", f"{total} characters")


def _text_in(value: Any) -> int:
    """The characters of all texts in table cells."""
    if isinstance(value, list):
        return sum(_text_in(item) for item in value)
    if isinstance(value, dict):
        return sum(
            len(item) if key == "text" and isinstance(item, str) else _text_in(item) for key, item in value.items()
        )
    return 0


def chart_points_match_categories(chart: Json, path: str) -> Problems:
    categories = chart["axis_config"]["categories"]
    if len(set(categories)) != len(categories):
        yield Problem(f"{path}/axis_config/categories", "must be different from one another", "a repetition")
    names = [series["name"] for series in chart["series"]]
    if len(set(names)) != len(names):
        yield Problem(f"{path}/series", "must have series of different names", "a repetition")
    for index, series in enumerate(chart["series"]):
        labels = [point["label"] for point in series["data"]]
        if sorted(labels) != sorted(categories):
            rule = "must have exactly one point for each category"
            yield Problem(f"{path}/series/{index}/data", rule, f"{len(labels)} points, {len(categories)} categories")


def task_ids_differ(block: Json, path: str) -> Problems:
    for task_id, count in Counter(task["task_id"] for task in block.get("tasks", [])).items():
        if count > 1:
            yield Problem(f"{path}/tasks", "must have tasks of different ids", f"{task_id!r} {count} times")


# -- all blocks of a payload ------------------------------------------------------------------------------------


def walk(value: Any, path: str) -> Iterator[tuple[Json, str]]:
    """Every object inside blocks, with its path."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, f"{path}/{index}")
    elif isinstance(value, dict):
        yield value, path
        for key, item in value.items():
            yield from walk(item, f"{path}/{key}")


def block_ids_differ(groups: list[tuple[list[Any], str]]) -> Problems:
    """A block_id may stand once in a view or message, over all its lists of blocks."""
    seen: dict[str, str] = {}
    for blocks, base in groups:
        for holder, path in walk(blocks, base):
            block_id = holder.get("block_id")
            if not isinstance(block_id, str):
                continue
            if block_id in seen:
                rule = f"must differ from the other block_ids (also at {seen[block_id]})"
                yield Problem(f"{path}/block_id", rule, repr(block_id[:60]))
            seen.setdefault(block_id, path)


def action_ids_differ(blocks: list[Any], base: str) -> Problems:
    """An action_id may stand once in a block."""
    for index, block in enumerate(blocks):
        seen: set[str] = set()
        for holder, path in walk(block, f"{base}/{index}"):
            action_id = holder.get("action_id")
            if not isinstance(action_id, str):
                continue
            if action_id in seen:
                rule = "must differ from the other action_ids of the block"
                yield Problem(f"{path}/action_id", rule, repr(action_id[:60]))
            seen.add(action_id)


def one_focus(blocks: list[Any], base: str) -> Problems:
    focused = [path for holder, path in walk(blocks, base) if holder.get("focus_on_load") is True]
    for path in focused[1:]:
        yield Problem(f"{path}/focus_on_load", "may be true for one element of a view", f"also at {focused[0]}")


def totals(blocks: list[Any], base: str, *, is_message: bool) -> Problems:
    """What is limited over all blocks together."""
    kinds = [block.get("type") for block in blocks if isinstance(block, dict)]
    texts = [block.get("text") for block in blocks if _is(block, "markdown")]
    markdown = sum(len(text) for text in texts if isinstance(text, str))
    if markdown > MARKDOWN_TOTAL:
        rule = f"must have at most {MARKDOWN_TOTAL} characters in all markdown blocks together"
        yield Problem(base, rule, f"{markdown} characters")
    limits = {"table": TABLES_PER_MESSAGE, "data_visualization": CHARTS_PER_MESSAGE} if is_message else {}
    for kind, most in limits.items():
        if kinds.count(kind) > most:
            yield Problem(base, f"must have at most {most} {kind} block(s) in a message", f"{kinds.count(kind)}")
    for index, block in enumerate(blocks):
        if _is(block, "task_card") and block.get("status") == "pending":
            yield Problem(f"{base}/{index}/status", "may be pending only inside a plan", "pending")


def _is(block: Any, kind: str) -> bool:
    return isinstance(block, dict) and block.get("type") == kind
