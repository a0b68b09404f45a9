"""What a person can read in blocks and messages."""

import re
from collections.abc import Iterator
from typing import Any

from bot.sandbox.slack.errors import Json

# Where words stand in blocks, in the order in which they are read.
_READABLE = (
    "title", "subtitle", "label", "text", "body", "fields", "elements", "rows", "caption", "hint",
    "element", "placeholder", "options", "description", "accessory", "actions",
    "alt_text", "child_blocks", "tasks", "details", "output",
)  # fmt: skip
_RICH_RUNS = frozenset({"rich_text_section", "rich_text_preformatted", "rich_text_quote"})
_CLOSED = re.compile(r"overflow|(multi_)?(static|external)_select")
_DATE = re.compile(r"<!date\^[^>|]*\|([^>]*)>")
_LINK = re.compile(r"<((?:https?://|mailto:)[^>|]*)(?:\|([^>]*))?>")


def visible_text(value: Any) -> str:
    """All text that a person can read in blocks, a line for each piece. What a closed menu holds is not seen."""
    return "\n".join(_pieces(value))


def mrkdwn_words(text: str) -> str:
    """`mrkdwn` as it is read: links and dates by their words, entities as characters. Emphasis marks stay."""
    text = _LINK.sub(lambda match: match[2] or match[1], _DATE.sub(r"\1", text))
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _pieces(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _pieces(item)
    elif isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, dict):
        kind = str(value.get("type", ""))
        if kind == "mrkdwn":
            yield mrkdwn_words(str(value.get("text", "")))
        elif kind in _RICH_RUNS:
            yield "".join(_rich_piece(item) for item in value.get("elements", []))
        elif _CLOSED.fullmatch(kind):
            shown = value.get("initial_options") or value.get("initial_option") or value.get("placeholder")
            yield from _pieces(shown)
        else:
            for key in _READABLE:
                yield from _pieces(value.get(key))


def _rich_piece(item: Json) -> str:
    match item.get("type"):
        case "text" | "link":
            return str(item.get("text") or item.get("url", ""))
        case "emoji":
            return f":{item.get('name')}:"
        case "user":
            return f"<@{item.get('user_id')}>"
        case "channel":
            return f"<#{item.get('channel_id')}>"
        case "date":
            return str(item.get("fallback", item.get("timestamp", "")))
        case _:
            return ""
