"""Listeners, forms and small rules of the face.

reference: slack-platform.md §3 (interaction rules), §4 (payload shapes), §11 (manifest, scopes)
"""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.web.async_client import AsyncWebClient

from bot.i18n import translator
from bot.services.context import Services
from bot.slack import ids
from bot.slack.boundary import new_reference, scrubbed
from bot.slack.drafts import DraftGone, Drafts
from bot.slack.face import Face
from bot.slack.form import Form
from bot.slack.ids import Action, Field, Modal
from bot.slack.router import Once
from bot.slack.views import kit
from bot.slack.views.mapping import Row
from bot.slack.views.words import explained
from storage.errors import FerryError
from storage.models import MappingKind

ROOT = Path(__file__).parents[2]

# What each scope is for, by the Web API methods that need it (Slack docs, Scopes).
SCOPES = {
    "commands": set[str](),
    "chat:write": {"chat.postMessage", "chat.update"},
    "chat:write.public": {"chat.postMessage"},
    "files:write": {"files.getUploadURLExternal", "files.completeUploadExternal"},
    "im:write": {"conversations.open"},
    "users:read": {"users.info", "users.list"},
    "usergroups:read": {"usergroups.list"},
}
NO_SCOPE = {"views.open", "views.push", "views.update", "views.publish", "auth.test", "apps.connections.open"}


async def test_every_action_and_modal_is_answered_by_somebody() -> None:
    services = cast(Services, SimpleNamespace(people=None, database=None, export_users=None, hooks=None, settings=None))
    async with aiohttp.ClientSession() as http:
        face = Face(services, AsyncWebClient(token="xoxb-1"), http)
    assert {str(action) for action in Action} <= face.router.answered
    submitted = {str(modal) for modal in Modal} - {str(Modal.NOTICE)}
    assert submitted <= face.router.answered
    dispatching = {Field.AUDIENCE, Field.CONNECTION, Field.SEGMENTS, Field.WHEN, Field.ATTRIBUTE}
    searching = {Field.GROUPS, Field.SEGMENTS, Field.EMAIL, Field.SOURCE_FIELD, Field.ZONE}
    assert {str(field) for field in dispatching | searching} <= face.router.answered


def test_ids_are_never_shared_by_two_meanings() -> None:
    fields, actions = {str(field) for field in ids.Field}, {str(action) for action in ids.Action}
    assert not fields & actions


def test_the_manifest_asks_for_what_the_gateway_calls_and_nothing_more() -> None:
    manifest = yaml.safe_load((ROOT / "manifest.yml").read_text(encoding="utf-8"))
    asked = set(manifest["oauth_config"]["scopes"]["bot"])
    source = "".join(
        (ROOT / "bot" / "slack" / name).read_text(encoding="utf-8") for name in ("gateway.py", "sockets.py")
    )
    known = {method for methods in SCOPES.values() for method in methods} | NO_SCOPE
    called = {method for method in known if f'"{method}"' in source}
    assert asked == {scope for scope, methods in SCOPES.items() if not methods or methods & called}
    assert called == known


def test_the_manifest_subscribes_to_the_events_that_are_heard_and_no_others() -> None:
    manifest = yaml.safe_load((ROOT / "manifest.yml").read_text(encoding="utf-8"))
    heard = {
        name
        for path in (ROOT / "bot" / "slack").glob("*.py")
        for name in re.findall(r"""router\.event\(["'](\w+)["']""", path.read_text(encoding="utf-8"))
    }
    assert heard == set(manifest["settings"]["event_subscriptions"]["bot_events"])
    assert [command["command"] for command in manifest["features"]["slash_commands"]] == [ids.SLASH_COMMAND]
    assert manifest["settings"]["interactivity"]["is_enabled"]


def test_no_other_module_calls_slack_than_those_the_manifest_is_held_against() -> None:
    """Whatever calls the Web API does it through the gateway (or, to connect, through the sockets)."""
    callers = {
        path.name
        for path in (ROOT / "bot").rglob("*.py")
        if "sandbox" not in path.parts
        and re.search(
            r"client\.(chat|views|users|usergroups|files|conversations|auth|apps)_", path.read_text(encoding="utf-8")
        )
    }
    assert callers == {"gateway.py", "sockets.py"}


def test_the_manifest_explains_each_scope_beside_it() -> None:
    lines = (ROOT / "manifest.yml").read_text(encoding="utf-8").splitlines()
    for scope in SCOPES:
        line = next(line for line in lines if line.strip().startswith(f"- {scope} #"))
        assert len(line.partition("#")[2].strip()) >= len("/ferry")


# --- once


def test_the_same_click_counts_once_while_it_is_carried_out_and_just_after() -> None:
    now = [0.0]
    once = Once(lambda: now[0])
    assert once.admits("click")
    once.begin("click")
    assert not once.admits("click")
    assert once.admits("another")
    once.end("click", rest=1.0)
    assert not once.admits("click")
    now[0] = 1.5
    assert once.admits("click")


# --- forms


def test_a_form_finds_its_field_whatever_the_suffix_of_the_block() -> None:
    values = {"email_field:3": {"email_field": {"selected_option": {"value": "EMail"}}}}
    form = Form({"state": {"values": values}})
    assert form.choice(Field.EMAIL) == "EMail"
    assert form.block(Field.EMAIL) == "email_field:3"
    assert Field.EMAIL in form
    assert Field.NAME not in form


def test_untouched_inputs_read_as_nothing() -> None:
    entries: dict[str, Any] = {"value": None, "selected_option": None, "selected_options": [], "selected_users": None}
    form = Form({"state": {"values": {"name": {"name": entries}}}})
    assert form.text(Field.NAME) == ""
    assert form.choice(Field.NAME) == ""
    assert form.choices(Field.NAME) == []
    assert form.people(Field.NAME) == ()


# --- drafts


def test_a_draft_belongs_to_one_person_and_ends() -> None:
    drafts = Drafts()
    draft = drafts.begin("U1")
    assert drafts.get(draft.id, "U1") is draft
    with pytest.raises(DraftGone):
        drafts.get(draft.id, "U2")
    drafts.end(draft)
    with pytest.raises(DraftGone):
        drafts.get(draft.id, "U1")


def test_drafts_that_nobody_touches_are_forgotten() -> None:
    now = [0.0]
    drafts = Drafts(lambda: now[0])
    old = drafts.begin("U1")
    now[0] = 4 * 3600.0
    drafts.begin("U1")
    with pytest.raises(DraftGone):
        drafts.get(old.id, "U1")


def test_a_row_takes_the_place_of_the_one_for_its_attribute() -> None:
    draft = Drafts().begin("U1")
    draft.put(Row("city", "City"))
    draft.put(Row("state", "State"))
    draft.put(Row("city", "Town", MappingKind.FIELD))
    assert [(row.attribute, row.value) for row in draft.rows] == [("city", "Town"), ("state", "State")]


# --- texts


class Quoting(FerryError):
    what = "Started by {by} for {name}."


def test_errors_show_people_as_mentions_and_nobodys_markup() -> None:
    shown = explained(translator(), Quoting(by="U0123456789", name="<!channel> & co"))
    assert shown == "Started by <@U0123456789> for &lt;!channel&gt; &amp; co."


@given(st.text(alphabet="a&<>é🧡", max_size=60), st.integers(1, 60))
def test_cutting_leaves_no_half_entity_and_keeps_the_limit(text: str, most: int) -> None:
    short = kit.cut(kit.safe(text), most)
    assert len(short) <= most
    if short.endswith("…"):
        assert "&" not in short[-6:] or ";" in short[short.rindex("&") :]


@given(st.lists(st.integers(), max_size=150))
def test_a_surface_never_gets_more_blocks_than_it_takes(numbers: list[int]) -> None:
    blocks: list[dict[str, Any]] = [kit.context(str(number)) for number in numbers]
    assert len(kit.fitted(blocks, kit.MESSAGE_BLOCKS)) <= kit.MESSAGE_BLOCKS


# --- the boundary


def test_references_are_short_and_hard_to_misread() -> None:
    references = {new_reference() for _ in range(200)}
    assert len(references) > 190
    assert not [one for one in references if set("01OI") & set(one[2:]) or len(one) != 6]


@pytest.mark.parametrize(
    "secret",
    [
        "ann.lee+news@example.co.uk",
        "xoxb-123456789-abcdef",
        "xapp-1-A1-2-f00",
        "https://hooks.slack.com/commands/T1/1/secret",
        "0123456789abcdef01234567-ThisWouldBeAnOmnisendApiKey1234567890abcd",
    ],
)
def test_the_log_holds_no_addresses_tokens_and_links(secret: str) -> None:
    assert secret not in scrubbed(f"ValueError: could not use '{secret}' (from {secret})")
