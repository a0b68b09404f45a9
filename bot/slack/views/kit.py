"""Block Kit in small pieces: each function makes one block or element, within Slack's limits.

`text` is mrkdwn: escape what people wrote with `safe`. `plain` texts need no escaping. Limits: Slack docs, Block Kit.
"""

from collections.abc import Iterable, Sequence
from typing import Any

Json = dict[str, Any]

SECTION_TEXT = 3_000
HEADER_TEXT = 150
BUTTON_TEXT = 75
OPTION_TEXT = 75
TITLE_TEXT = 24
FIELD_TEXT = 2_000
MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
MOST_OPTIONS = 100
ALERT_TEXT = 200


def safe(text: object) -> str:
    """Text of people's making, harmless within mrkdwn: no mention, no link, no `@channel`."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, most: int) -> str:
    """At most `most` characters, the last one an ellipsis if something is missing; never inside an entity."""
    if len(text) <= most:
        return text
    kept = text[: most - 1]
    entity = kept.rfind("&")
    if entity >= 0 and ";" not in kept[entity:] and len(kept) - entity < 6:
        kept = kept[:entity]
    return kept + "…"


def bullets(texts: Sequence[str]) -> str:
    return "\n".join(f"• {text}" for text in texts)


def plain(text: str, most: int = SECTION_TEXT) -> Json:
    return {"type": "plain_text", "text": cut(text, most) or " ", "emoji": True}


def mrkdwn(text: str, most: int = SECTION_TEXT) -> Json:
    """`verbatim`: Slack makes no mentions or links out of words that look like them."""
    return {"type": "mrkdwn", "text": cut(text, most) or " ", "verbatim": True}


# --- blocks


def header(text: str) -> Json:
    return {"type": "header", "text": plain(text, HEADER_TEXT)}


def section(text: str, accessory: Json | None = None, *, block: str = "") -> Json:
    return _block({"type": "section", "text": mrkdwn(text), "accessory": accessory}, block)


def sections(text: str) -> list[Json]:
    """One section, or none where there is nothing to say."""
    return [section(text)] if text else []


def fields(*texts: str) -> Json:
    """Short facts in two columns; at most ten."""
    return {"type": "section", "fields": [mrkdwn(text, FIELD_TEXT) for text in texts[:10]]}


def context(*texts: str) -> Json:
    return {"type": "context", "elements": [mrkdwn(text) for text in texts[:10]]}


def divider() -> Json:
    return {"type": "divider"}


def actions(*elements: Json | None, block: str = "") -> Json:
    return _block({"type": "actions", "elements": [one for one in elements if one is not None][:25]}, block)


def alert(text: str, level: str = "error") -> Json:
    """A notice with an icon, for modals only; longer texts stand as a section."""
    if len(text) <= ALERT_TEXT:
        return {"type": "alert", "level": level, "text": mrkdwn(text, ALERT_TEXT)}
    return section(f":{'warning' if level in ('error', 'warning') else 'information_source'}: {text}")


def field(
    label: str,
    element: Json,
    block: str,
    *,
    hint: str = "",
    optional: bool = False,
    dispatch: bool = False,
) -> Json:
    """An input with its label. Its action id is the block's id without the suffix."""
    return {
        "type": "input",
        "block_id": block,
        "label": plain(label, FIELD_TEXT),
        "element": {**element, "action_id": block.partition(":")[0]},
        "optional": optional,
        **({"hint": plain(hint, FIELD_TEXT)} if hint else {}),
        **({"dispatch_action": True} if dispatch else {}),
    }


def _block(block: Json, block_id: str) -> Json:
    made = {key: value for key, value in block.items() if value is not None}
    return {**made, "block_id": block_id} if block_id else made


# --- elements


def button(
    text: str,
    action: str,
    value: object = "",
    *,
    style: str | None = None,
    confirm: Json | None = None,
    label: str = "",
) -> Json:
    """`label` says to screen readers what the button does where its text alone does not."""
    made: Json = {"type": "button", "text": plain(text, BUTTON_TEXT), "action_id": action}
    if value != "":
        made["value"] = str(value)
    if style:
        made["style"] = style
    if confirm:
        made["confirm"] = confirm
    if label:
        made["accessibility_label"] = cut(label, BUTTON_TEXT)
    return made


def confirm(title: str, text: str, yes: str, no: str, *, danger: bool = True) -> Json:
    made: Json = {
        "title": plain(title, 100),
        "text": plain(text, 300),
        "confirm": plain(yes, 30),
        "deny": plain(no, 30),
    }
    return {**made, "style": "danger"} if danger else made


def option(text: str, value: object, description: str = "") -> Json:
    made: Json = {"text": plain(text, OPTION_TEXT), "value": str(value)}
    return {**made, "description": plain(description, OPTION_TEXT)} if description else made


def overflow(action: str, options: Sequence[Json]) -> Json | None:
    """A menu of at most five entries; none without entries."""
    return {"type": "overflow", "action_id": action, "options": list(options[:5])} if options else None


def text_input(initial: str = "", *, placeholder: str = "", most: int = 0, multiline: bool = False) -> Json:
    made: Json = {"type": "plain_text_input"}
    if initial:
        made["initial_value"] = initial[: most or SECTION_TEXT]
    if placeholder:
        made["placeholder"] = plain(placeholder, 150)
    if most:
        made["max_length"] = most
    return {**made, "multiline": True} if multiline else made


def number_input(initial: str = "", *, decimal: bool = False, least: str = "0", most: str = "") -> Json:
    made: Json = {"type": "number_input", "is_decimal_allowed": decimal, "min_value": least}
    if most:
        made["max_value"] = most
    return {**made, "initial_value": initial} if initial else made


def select(options: Sequence[Json], initial: object = None, *, placeholder: str = "") -> Json:
    return _choice("static_select", options, initial, placeholder)


def radio(options: Sequence[Json], initial: object = None) -> Json:
    return _choice("radio_buttons", options, initial, "")


def _choice(kind: str, options: Sequence[Json], initial: object, placeholder: str) -> Json:
    made: Json = {"type": kind, "options": list(options[:MOST_OPTIONS])}
    chosen = next((one for one in made["options"] if one["value"] == str(initial)), None)
    if chosen:
        made["initial_option"] = chosen
    return {**made, "placeholder": plain(placeholder, 150)} if placeholder else made


def checkboxes(options: Sequence[Json], initial: Iterable[object] = ()) -> Json:
    return _choices("checkboxes", options, initial, "")


def multi_select(
    options: Sequence[Json], initial: Iterable[object] = (), *, placeholder: str = "", most: int = 0
) -> Json:
    made = _choices("multi_static_select", options[:MOST_OPTIONS], initial, placeholder)
    return {**made, "max_selected_items": most} if most else made


def _choices(kind: str, options: Sequence[Json], initial: Iterable[object], placeholder: str) -> Json:
    made: Json = {"type": kind, "options": list(options)}
    wanted = {str(one) for one in initial}
    chosen = [one for one in made["options"] if one["value"] in wanted]
    if chosen:
        made["initial_options"] = chosen
    return {**made, "placeholder": plain(placeholder, 150)} if placeholder else made


def search(initial: Json | None = None, *, placeholder: str = "") -> Json:
    """A select whose options the app gives while the person types; asked at once, with nothing typed."""
    made: Json = {"type": "external_select", "min_query_length": 0}
    if initial:
        made["initial_option"] = initial
    return {**made, "placeholder": plain(placeholder, 150)} if placeholder else made


def multi_search(initial: Sequence[Json] = (), *, placeholder: str = "", most: int = 0) -> Json:
    made: Json = {"type": "multi_external_select", "min_query_length": 0}
    if initial:
        made["initial_options"] = list(initial[:MOST_OPTIONS])
    if most:
        made["max_selected_items"] = most
    return {**made, "placeholder": plain(placeholder, 150)} if placeholder else made


def people_input(initial: Sequence[str] = (), *, placeholder: str = "") -> Json:
    made: Json = {"type": "multi_users_select"}
    if initial:
        made["initial_users"] = list(initial)
    return {**made, "placeholder": plain(placeholder, 150)} if placeholder else made


def channel_input(initial: str = "", *, placeholder: str = "") -> Json:
    """A channel, public or private."""
    made: Json = {
        "type": "conversations_select",
        "filter": {"include": ["public", "private"], "exclude_bot_users": True},
    }
    if initial:
        made["initial_conversation"] = initial
    return {**made, "placeholder": plain(placeholder, 150)} if placeholder else made


# --- whole surfaces


def message(text: str, blocks: Sequence[Json]) -> Json:
    """`text` is the notification, the preview and what screen readers read: a full sentence."""
    return {"text": cut(text, 3_900), "blocks": fitted(blocks, MESSAGE_BLOCKS)}


def modal(
    title: str,
    blocks: Sequence[Json],
    *,
    callback: str,
    submit: str = "",
    close: str = "",
    metadata: str = "",
) -> Json:
    made: Json = {
        "type": "modal",
        "callback_id": callback,
        "title": plain(title, TITLE_TEXT),
        "blocks": fitted(blocks, VIEW_BLOCKS),
        "private_metadata": metadata,
    }
    if submit:
        made["submit"] = plain(submit, TITLE_TEXT)
    if close:
        made["close"] = plain(close, TITLE_TEXT)
    return made


def home(blocks: Sequence[Json]) -> Json:
    return {"type": "home", "blocks": fitted(blocks, VIEW_BLOCKS)}


def fitted(blocks: Sequence[Json], most: int) -> list[Json]:
    """No more blocks than the surface takes; the last one then says that something is missing."""
    return list(blocks) if len(blocks) <= most else [*blocks[: most - 1], context("…")]
