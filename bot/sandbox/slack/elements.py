"""The interactive elements in blocks, and their names as a person would say them."""

import random
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bot.sandbox.slack.errors import Json
from bot.sandbox.slack.words import mrkdwn_words

_EMPHASIS = re.compile(r"[*_~`]")
STATELESS = frozenset({"button", "overflow", "icon_button", "feedback_buttons", "workflow_button"})


@dataclass(frozen=True, slots=True)
class Placed:
    """An interactive element and the block that holds it."""

    block: Json
    element: Json

    @property
    def block_id(self) -> str:
        return str(self.block.get("block_id", ""))

    @property
    def action_id(self) -> str:
        return str(self.element.get("action_id", ""))

    @property
    def kind(self) -> str:
        return str(self.element["type"])

    @property
    def in_input(self) -> bool:
        return bool(self.block["type"] == "input")

    @property
    def dispatches(self) -> bool:
        """Whether using it tells the app at once."""
        return not self.in_input or bool(self.block.get("dispatch_action"))

    @property
    def label(self) -> str:
        """What a person would call it."""
        return next(self._texts(), self.action_id)

    def names(self) -> set[str]:
        """All names by which it can be addressed, as written and as read."""
        words = set(self._texts())
        read = {mrkdwn_words(text) for text in words}
        bare = {_EMPHASIS.sub("", text) for text in read}
        ids = {self.action_id, self.block_id, str(self.element.get("accessibility_label", ""))}
        return (words | read | bare | ids) - {""}

    def _texts(self) -> Iterator[str]:
        """What stands on it, before it or beside it."""
        beside = self.block.get("text") if self.block["type"] == "section" else None
        for text in (self.block.get("label"), self.element.get("text"), self.element.get("placeholder"), beside):
            if isinstance(text, dict):
                yield str(text["text"])

    def options(self) -> list[Json]:
        """The options it offers by itself, groups opened."""
        grouped = [option for group in self.element.get("option_groups", []) for option in group["options"]]
        return [*self.element.get("options", []), *grouped]


def placed_elements(blocks: list[Json]) -> Iterator[Placed]:
    """The interactive elements of blocks, top to bottom."""
    for block in blocks:
        yield from (Placed(block, element) for element in _elements_of(block))
        yield from placed_elements([*block.get("child_blocks", []), *_cards(block)])


def _cards(block: Json) -> list[Json]:
    return block["elements"] if block["type"] == "carousel" else []


def _elements_of(block: Json) -> list[Json]:
    match block["type"]:
        case "section":
            candidates = [block.get("accessory")]
        case "input":
            candidates = [block["element"]]
        case "actions" | "context_actions":
            candidates = block["elements"]
        case "card":
            candidates = block.get("actions", [])
        case _:
            candidates = []
    return [element for element in candidates if element and element["type"] != "image"]


def with_ids(blocks: list[Json], source: random.Random) -> list[Json]:
    """A copy of blocks as Slack stores them: with ids where the app gave none, and text objects made complete."""
    stored = [_completed(block) for block in blocks]
    _give_block_ids(stored, source)
    for placed in placed_elements(stored):
        if not placed.action_id:
            placed.element["action_id"] = _short_id(source)
    return stored


def _give_block_ids(blocks: list[Json], source: random.Random) -> None:
    for block in blocks:
        if not block.get("block_id"):
            block["block_id"] = _short_id(source)
        _give_block_ids([*block.get("child_blocks", []), *_cards(block)], source)


def _short_id(source: random.Random) -> str:
    return "".join(source.choices(string.ascii_letters + string.digits, k=5))


def _completed(value: Any) -> Any:
    if isinstance(value, list):
        return [_completed(item) for item in value]
    if not isinstance(value, dict):
        return value
    copy = {key: _completed(item) for key, item in value.items() if item is not None}
    if copy.get("type") == "plain_text" and "text" in copy:
        copy.setdefault("emoji", True)
    if copy.get("type") == "mrkdwn" and "text" in copy:
        copy.setdefault("verbatim", False)
    return copy
