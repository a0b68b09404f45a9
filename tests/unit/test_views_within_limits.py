"""Every view and message that can be built is one that Slack takes.

reference: slack-platform.md §9 (Block Kit limits), §12 (validation: our table, and Slack's models as well)
"""

import importlib
import inspect
import logging
import pkgutil
import re
from types import ModuleType
from typing import Any

import pytest
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

from bot.sandbox.slack.blockkit import validate_message, validate_view
from bot.slack import ids, views
from tests.unit.view_gallery import Exhibit, exhibits

GALLERY = list(exhibits())
# What is part of a view, or needs no view.
PARTS = {
    "audience_inputs", "consent_inputs", "connection_blocks", "segment_option", "field_option", "recurrence_inputs",
    "export_menu", "resync_button", "cancel_button", "run_button", "mapping_blocks", "opt_in_blocks", "answer_buttons",
    "reader_inputs", "done_words", "reads_as", "sign_in_again",
}  # fmt: skip
MODULES = [importlib.import_module(f"{views.__name__}.{one.name}") for one in pkgutil.iter_modules(views.__path__)]
TOOLS = {"bot.slack.views.kit", "bot.slack.views.words"}  # pieces and words: what is built of them is in the gallery
NOT_IN_SDK = {"data_visualization"}  # the SDK has no class for it yet


def _problems(exhibit: Exhibit) -> list[str]:
    validate = validate_message if exhibit.surface == "message" else validate_view
    return [f"{problem.path}: {problem.rule} ({problem.found})" for problem in validate(exhibit.payload)]


@pytest.mark.parametrize("size", ["short", "long"])
def test_every_view_and_message_keeps_to_slacks_limits(size: str) -> None:
    wrong = {one.name: found for one in GALLERY if one.name.startswith(size) and (found := _problems(one))}
    assert not wrong


def test_every_view_and_message_passes_slacks_own_models(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for exhibit in GALLERY:
            blocks = [block for block in exhibit.payload["blocks"] if block["type"] not in NOT_IN_SDK]
            parsed = Block.parse_all(blocks)
            assert len(parsed) == len(blocks), exhibit.name
            for block in parsed:
                block.validate_json()
            if exhibit.surface != "message":
                View(**{**exhibit.payload, "blocks": parsed}).validate_json()
    assert not [record.message for record in caplog.records]


def test_every_message_says_itself_in_plain_text() -> None:
    for exhibit in GALLERY:
        if exhibit.surface == "message":
            assert exhibit.payload["text"].strip(), exhibit.name


def test_no_text_of_peoples_making_becomes_a_mention_or_a_broadcast() -> None:
    for exhibit in GALLERY:
        texts = [exhibit.payload.get("text", ""), *_texts("mrkdwn", exhibit.payload["blocks"])]
        for text in texts:
            assert "<!channel>" not in text, exhibit.name
            assert "<@U1>" not in text, exhibit.name


def test_no_mark_of_mrkdwn_stands_in_a_plain_text() -> None:
    """Slack shows it as it is: a backtick, a star, an escaped ampersand. What people typed may hold anything."""
    marked = re.compile(r"`|\*\w[^*]*\*|\b_\w[^_]*_\b|~\w[^~]*~|<[@#!]|<https?:|&(amp|lt|gt);")
    for exhibit in GALLERY:
        if exhibit.name.startswith("short"):  # whose data have none
            found = [text for text in _texts("plain_text", exhibit.payload) if marked.search(text)]
            assert not found, exhibit.name


def test_sending_in_spite_of_the_guard_never_stands_out_as_the_thing_to_do() -> None:
    """reference: slack-platform.md §14 (one `primary`; `danger` for what can't be undone)"""
    sends = [
        (exhibit.name, button["style"])
        for exhibit in GALLERY
        for block in exhibit.payload["blocks"]
        for button in block.get("elements", ())
        if button.get("action_id") == ids.Action.GUARD_SEND
    ]
    assert sends
    assert {style for _, style in sends} == {"danger"}, sends


@pytest.mark.parametrize(
    "module", [module for module in MODULES if module.__name__ not in TOOLS], ids=lambda module: module.__name__
)
def test_the_gallery_leaves_out_no_view(module: ModuleType) -> None:
    shown = {exhibit.function for exhibit in GALLERY}
    for name, function in inspect.getmembers(module, inspect.isfunction):
        builds = str(inspect.signature(function).return_annotation) in (
            "dict[str, typing.Any]",
            "dict[str, typing.Any] | None",
        )
        if function.__module__ == module.__name__ and builds and not name.startswith("_") and name not in PARTS:
            assert f"{module.__name__}.{name}" in shown, f"{name} is in no gallery"


def test_every_button_and_modal_has_a_listener() -> None:
    """Whatever a view can send must be answered: Slack shows an error otherwise."""
    sent = {action for exhibit in GALLERY for action in _dispatched(exhibit.payload["blocks"])}
    known = {str(action) for action in ids.Action} | {str(field) for field in ids.Field}
    assert sent <= known
    callbacks = {exhibit.payload["callback_id"] for exhibit in GALLERY if exhibit.payload.get("submit")}
    assert callbacks <= {str(modal) for modal in ids.Modal}


def _texts(kind: str, value: Any) -> list[str]:
    """The texts of a kind within blocks: `plain_text` or `mrkdwn`."""
    if isinstance(value, list):
        return [text for item in value for text in _texts(kind, item)]
    if isinstance(value, dict):
        if value.get("type") == kind:
            return [value["text"]]
        return [text for item in value.values() for text in _texts(kind, item)]
    return []


def _dispatched(value: Any) -> set[str]:
    if isinstance(value, list):
        return {one for item in value for one in _dispatched(item)}
    if isinstance(value, dict):
        own = {str(value["action_id"])} if "action_id" in value else set()
        return own | {one for item in value.values() for one in _dispatched(item)}
    return set()
