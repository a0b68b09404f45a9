"""The validator: whole messages, views and answers with options, against the tables."""

import json
from typing import Any, Literal

from bot.sandbox.slack.blockkit import rules
from bot.sandbox.slack.blockkit.blocks import BLOCK_SURFACES, BLOCKS
from bot.sandbox.slack.blockkit.objects import OPTION_GROUPS, SELECT_OPTION, plain
from bot.sandbox.slack.blockkit.schema import Fields, Flag, Items, Json, Problem, Problems, Spec, String, Typed, kind_of

Surface = Literal["message", "modal", "home"]

MOST_BLOCKS: dict[Surface, int] = {"message": 50, "modal": 100, "home": 100}
MOST_ATTACHMENTS = 100
SENSIBLE_ATTACHMENTS = 20
LARGEST_VIEW = 250_000  # bytes of JSON
LONGEST_TEXT = 40_000  # of a message, in characters; what is longer is cut
SENSIBLE_TEXT = 4_000

_VIEW: dict[str, Spec] = {
    "type": String(),
    "private_metadata": String(3000, least=0),
    "callback_id": String(255, least=0),
    "external_id": String(255, least=0),
}
MODAL = Fields(
    {
        **_VIEW,
        "title": plain(24),
        "submit": plain(24),
        "close": plain(24),
        "clear_on_close": Flag(),
        "notify_on_close": Flag(),
        "submit_disabled": Flag(),
    },
    ("type", "title"),
)
HOME = Fields(_VIEW, ("type",))


def validate_message(payload: Json) -> list[Problem]:
    """What is wrong with the `text`, `blocks` and `attachments` of a message; other keys are not looked at."""
    return list(_message(payload))


def _message(payload: Json) -> Problems:
    words, blocks = payload.get("text"), payload.get("blocks") or []
    attachments = payload.get("attachments") or []
    if not isinstance(attachments, list):
        yield Problem("/attachments", "must be an array", kind_of(attachments))
        attachments = []
    if words is not None and not isinstance(words, str):
        yield Problem("/text", "must be a string", kind_of(words))
    yield from _message_text(words if isinstance(words, str) else "", has_more=bool(blocks or attachments))
    yield from _blocks(blocks, "/blocks", "message")
    groups = [(blocks, "/blocks")]
    if len(attachments) > MOST_ATTACHMENTS:
        yield Problem("/attachments", f"must have at most {MOST_ATTACHMENTS} items", f"{len(attachments)} items")
    elif len(attachments) > SENSIBLE_ATTACHMENTS:
        rule = f"should have at most {SENSIBLE_ATTACHMENTS} items"
        yield Problem("/attachments", rule, f"{len(attachments)} items", "warning")
    for index, attachment in enumerate(attachments):
        if not isinstance(attachment, dict):
            yield Problem(f"/attachments/{index}", "must be an object", kind_of(attachment))
        elif attachment.get("blocks"):
            base = f"/attachments/{index}/blocks"
            yield from _blocks(attachment["blocks"], base, "message")
            groups.append((attachment["blocks"], base))
    yield from rules.block_ids_differ(groups)


def _message_text(words: str, *, has_more: bool) -> Problems:
    if not words and has_more:
        rule = "should be there: notifications, search and screen readers use it"
        yield Problem("/text", rule, "none", "warning")
    if not words and not has_more:
        yield Problem("", "must have text, blocks or attachments", "none")
    if len(words) > LONGEST_TEXT:
        rule = f"should be at most {LONGEST_TEXT} characters: the rest is cut"
        yield Problem("/text", rule, f"{len(words)} characters", "warning")
    elif len(words) > SENSIBLE_TEXT:
        rule = f"should be at most {SENSIBLE_TEXT} characters"
        yield Problem("/text", rule, f"{len(words)} characters", "warning")


def validate_view(view: Json) -> list[Problem]:
    """What is wrong with a modal or Home view, as an app sends it to `views.*` or in an acknowledgement."""
    return list(_view(view))


def _view(view: Json) -> Problems:
    kind = view.get("type")
    if kind not in ("modal", "home"):
        yield Problem("/type", "must be modal or home", repr(kind)[:60])
        return
    surface: Surface = "modal" if kind == "modal" else "home"
    blocks = view.get("blocks")
    frame = {name: value for name, value in view.items() if name != "blocks"}
    yield from (MODAL if surface == "modal" else HOME).problems(frame, "")
    if blocks is None:
        yield Problem("", "must have the field blocks", "none")
        return
    yield from _blocks(blocks, "/blocks", surface)
    yield from rules.block_ids_differ([(blocks, "/blocks")])
    yield from rules.one_focus(blocks, "/blocks")
    has_input = any(isinstance(block, dict) and block.get("type") == "input" for block, _ in rules.walk(blocks, ""))
    if surface == "modal" and has_input and "submit" not in view:
        yield Problem("", "must have the field submit, since there is an input block", "none")
    size = size_of_view(view)
    if size > LARGEST_VIEW:
        yield Problem("", f"must be at most {LARGEST_VIEW} bytes of JSON", f"{size} bytes")


def size_of_view(view: Json) -> int:
    """Bytes of a view as compact JSON."""
    return len(json.dumps(view, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))


def _blocks(blocks: Any, base: str, surface: Surface) -> Problems:
    if not isinstance(blocks, list):
        yield Problem(base, "must be an array", kind_of(blocks))
        return
    if len(blocks) > MOST_BLOCKS[surface]:
        yield Problem(base, f"must have at most {MOST_BLOCKS[surface]} items", f"{len(blocks)} items")
    allowed = frozenset(kind for kind, surfaces in BLOCK_SURFACES.items() if surface in surfaces)
    block_here = Typed("a block", BLOCKS, allowed)
    for index, block in enumerate(blocks):
        yield from block_here.problems(block, f"{base}/{index}")
    yield from rules.action_ids_differ(blocks, base)
    yield from rules.totals(blocks, base, is_message=surface == "message")


def validate_options(payload: Any) -> list[Problem]:
    """What is wrong with the answer to a `block_suggestion`: `options` or `option_groups`, at most 100."""
    known: dict[str, Spec] = {"options": Items(SELECT_OPTION, 100, least=0), "option_groups": OPTION_GROUPS}
    return list(Fields(known, one_of=("options", "option_groups")).problems(payload, ""))
