"""What stands in the inputs of a view or message: initial values, choices, and the rules a client checks.

The shape is that of `state.values` in Slack's payloads: `{block_id: {action_id: {"type": …, <value key>: …}}}`.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot.sandbox.slack.elements import STATELESS, Placed, placed_elements
from bot.sandbox.slack.errors import Json, Refused

# The key that holds the value of each kind of element, and the key of the element that says how it begins.
VALUE_KEYS: dict[str, tuple[str, str]] = {
    "plain_text_input": ("value", "initial_value"),
    "email_text_input": ("value", "initial_value"),
    "url_text_input": ("value", "initial_value"),
    "number_input": ("value", "initial_value"),
    "rich_text_input": ("rich_text_value", "initial_value"),
    "static_select": ("selected_option", "initial_option"),
    "external_select": ("selected_option", "initial_option"),
    "radio_buttons": ("selected_option", "initial_option"),
    "users_select": ("selected_user", "initial_user"),
    "conversations_select": ("selected_conversation", "initial_conversation"),
    "channels_select": ("selected_channel", "initial_channel"),
    "multi_static_select": ("selected_options", "initial_options"),
    "multi_external_select": ("selected_options", "initial_options"),
    "checkboxes": ("selected_options", "initial_options"),
    "multi_users_select": ("selected_users", "initial_users"),
    "multi_conversations_select": ("selected_conversations", "initial_conversations"),
    "multi_channels_select": ("selected_channels", "initial_channels"),
    "datepicker": ("selected_date", "initial_date"),
    "timepicker": ("selected_time", "initial_time"),
    "datetimepicker": ("selected_date_time", "initial_date_time"),
    "file_input": ("files", ""),
}
LISTS = frozenset({"selected_options", "selected_users", "selected_conversations", "selected_channels", "files"})
TYPED = frozenset({"plain_text_input", "email_text_input", "url_text_input", "number_input", "rich_text_input"})

REQUIRED = "Please complete this required field."
_PATTERNS = {"datepicker": "%Y-%m-%d", "timepicker": "%H:%M"}


def holds_several(kind: str) -> bool:
    """Whether an element's value is a list."""
    return kind in VALUE_KEYS and VALUE_KEYS[kind][0] in LISTS


@dataclass(slots=True)
class Form:
    """The inputs of one view (or message) as they stand for one person."""

    values: dict[str, dict[str, Json]] = field(default_factory=dict)

    @classmethod
    def fresh(cls, blocks: list[Json], current_channel: str | None = None) -> "Form":
        """As it is when the view is first shown."""
        return cls().carried_to(blocks, current_channel)

    def carried_to(self, blocks: list[Json], current_channel: str | None = None) -> "Form":
        """The form after an update to `blocks`: what was there stays where block_id, action_id and type are unchanged.

        That holds for initial values too: a new one shows only under a new id (Slack docs, Modals: updating views).
        """
        carried = Form()
        for placed in placed_elements(blocks):
            if placed.kind in STATELESS or placed.kind not in VALUE_KEYS:
                continue
            before = self.values.get(placed.block_id, {}).get(placed.action_id)
            kept = before is not None and before["type"] == placed.kind and _still_offered(placed, before)
            entry = before if kept and before is not None else _initial(placed, current_channel)
            carried.values.setdefault(placed.block_id, {})[placed.action_id] = entry
        return carried

    def get(self, placed: Placed) -> Any:
        return self.values[placed.block_id][placed.action_id].get(VALUE_KEYS[placed.kind][0])

    def put(self, placed: Placed, value: Any) -> None:
        key = VALUE_KEYS[placed.kind][0]
        self.values.setdefault(placed.block_id, {})[placed.action_id] = {"type": placed.kind, key: value}

    def problems(self, blocks: list[Json]) -> dict[str, str]:
        """What a client says under each input block before it lets the view be submitted."""
        found = {}
        for placed in placed_elements(blocks):
            if placed.in_input and (problem := self._problem(placed)):
                found[placed.block_id] = problem
        return found

    def _problem(self, placed: Placed) -> str | None:
        value = self.get(placed)
        if value in (None, "", []):
            return None if placed.block.get("optional") else REQUIRED
        return _CHECKS[placed.kind](placed.element, value) if placed.kind in _CHECKS else None


def _initial(placed: Placed, current_channel: str | None) -> Json:
    key, initial_key = VALUE_KEYS[placed.kind]
    value = placed.element.get(initial_key)
    if value is None and placed.element.get("default_to_current_conversation") and current_channel:
        value = [current_channel] if key in LISTS else current_channel
    if value is None and key in LISTS:
        value = []
    return {"type": placed.kind, key: value}


def _still_offered(placed: Placed, entry: Json) -> bool:
    """Whether the options chosen before are still there."""
    if placed.kind not in ("static_select", "multi_static_select", "radio_buttons", "checkboxes"):
        return True
    chosen = entry[VALUE_KEYS[placed.kind][0]] or []
    offered = {option.get("value") for option in placed.options()}
    return {option.get("value") for option in (chosen if isinstance(chosen, list) else [chosen])} <= offered


def parse_moment(placed: Placed, value: Any) -> Any:
    """A date, time of day or moment as the picker gives it; refuses what it could not give."""
    if value is None:
        return None
    if placed.kind == "datetimepicker":
        if isinstance(value, int):
            return value
        raise Refused("bad_value", f"“{placed.label}” takes seconds since the epoch, not {value!r}.", status=422)
    try:
        moment = datetime.strptime(str(value), _PATTERNS[placed.kind])  # noqa: DTZ007  a wall clock's reading
    except ValueError:
        wanted = "2026-11-30" if placed.kind == "datepicker" else "07:30"
        message = f"“{placed.label}” takes a value such as {wanted}, not {value!r}."
        raise Refused("bad_value", message, status=422) from None
    return moment.date().isoformat() if placed.kind == "datepicker" else moment.strftime("%H:%M")


def _check_text(element: Json, value: str) -> str | None:
    if len(value) < element.get("min_length", 0):
        return f"Please enter at least {element['min_length']} characters."
    if len(value) > element.get("max_length", 3000):
        return f"Please enter at most {element.get('max_length', 3000)} characters."
    return None


def _check_email(_element: Json, value: str) -> str | None:
    return None if re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value) else "Please enter a valid email address."


def _check_url(_element: Json, value: str) -> str | None:
    return None if re.fullmatch(r"https?://\S+", value) else "Please enter a valid URL."


def _check_number(element: Json, value: str) -> str | None:
    pattern = r"-?\d+(\.\d+)?" if element.get("is_decimal_allowed") else r"-?\d+"
    if not re.fullmatch(pattern, value):
        return "Please enter a valid number."
    number = float(value)
    if "min_value" in element and number < float(element["min_value"]):
        return f"Please enter a number of at least {element['min_value']}."
    if "max_value" in element and number > float(element["max_value"]):
        return f"Please enter a number of at most {element['max_value']}."
    return None


_CHECKS = {
    "plain_text_input": _check_text,
    "email_text_input": _check_email,
    "url_text_input": _check_url,
    "number_input": _check_number,
}
