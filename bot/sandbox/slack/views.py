"""Modals and App Homes: what each person has open, and how views replace one another."""

import random
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.slack.clock import Clock
from bot.sandbox.slack.elements import with_ids
from bot.sandbox.slack.errors import Json, SlackError
from bot.sandbox.slack.forms import Form
from bot.sandbox.slack.journal import Journal
from bot.sandbox.slack.workspace import Workspace

STACK_LIMIT = 3
TROUBLE = "We had some trouble connecting. Try again?"


@dataclass(slots=True)
class View:
    """A modal or Home as one person has it before them."""

    id: str
    person: str
    definition: Json
    hash: str
    root_id: str
    previous_id: str | None = None
    channel: str | None = None
    form: Form = field(default_factory=Form)
    errors: dict[str, str] = field(default_factory=dict)
    trouble: str | None = None
    """What the client shows across the modal when the app did not answer as it should."""

    @property
    def kind(self) -> str:
        return str(self.definition["type"])

    @property
    def title(self) -> str:
        return str((self.definition.get("title") or {}).get("text", ""))

    @property
    def blocks(self) -> list[Json]:
        blocks: list[Json] = self.definition["blocks"]
        return blocks

    @property
    def external_id(self) -> str:
        return str(self.definition.get("external_id") or "")


class Views:
    """All open views of the workspace."""

    def __init__(self, workspace: Workspace, clock: Clock, journal: Journal, source: random.Random) -> None:
        self._workspace = workspace
        self._clock = clock
        self._journal = journal
        self._random = source
        self._stacks: dict[str, list[View]] = {}
        self.homes: dict[str, View] = {}

    def stack(self, person: str) -> list[View]:
        """The open modals of a person, the visible one last."""
        return self._stacks.setdefault(person, [])

    def find(self, view_id: str) -> View | None:
        return next((view for view in self._all() if view.id == view_id), None)

    def find_external(self, external_id: str) -> View | None:
        return next((view for view in self._all() if external_id and view.external_id == external_id), None)

    def push(self, person: str, definition: Json, channel: str | None) -> View:
        """Open a modal, on top of those that are open. Raises `SlackError` for a fourth one."""
        stack = self.stack(person)
        if len(stack) >= STACK_LIMIT:
            raise SlackError("push_limit_reached")
        self._check_external_id(definition, None)
        view = self._new(person, definition, channel)
        if stack:
            view.previous_id = stack[-1].id
            view.root_id = stack[0].id
        stack.append(view)
        self._changed("view_opened", view)
        return view

    def update(self, view: View, definition: Json, expected_hash: str | None = None) -> View:
        """Replace what a view shows; inputs keep what they hold where their ids stay. A stale hash is refused."""
        if expected_hash and expected_hash != view.hash:
            raise SlackError("hash_conflict")
        self._check_external_id(definition, view)
        view.definition = self._stored(definition)
        view.form = view.form.carried_to(view.blocks, view.channel)
        view.hash = self._new_hash()
        view.errors = {}
        view.trouble = None
        self._changed("view_updated", view)
        return view

    def publish(self, person: str, definition: Json, expected_hash: str | None = None) -> View:
        """Show a Home tab, for the first time or anew."""
        home = self.homes.get(person)
        if home is not None:
            return self.update(home, definition, expected_hash)
        self._check_external_id(definition, None)
        home = self.homes[person] = self._new(person, definition, None)
        self._changed("view_opened", home)
        return home

    def close(self, view: View) -> None:
        """Take one modal off its stack; the one below comes into sight again."""
        stack = self.stack(view.person)
        if view in stack:
            stack.remove(view)
            self._changed("view_closed", view)

    def clear(self, person: str) -> None:
        """Close all modals of a person."""
        for view in reversed(list(self.stack(person))):
            self.close(view)

    def annotate(self, view: View, *, errors: dict[str, str] | None = None, trouble: str | None = None) -> None:
        """Show errors at inputs, or trouble across the modal."""
        view.errors = errors or {}
        view.trouble = trouble
        self._changed("view_updated", view)

    def touched(self, view: View) -> None:
        """Note that a person changed an input."""
        self._changed("view_input", view)

    def payload(self, view: View) -> Json:
        """The view as it stands in interaction payloads; API answers leave `state` empty."""
        ws = self._workspace
        modal: dict[str, Any] = {
            "title": view.definition.get("title"),
            "submit": view.definition.get("submit"),
            "close": view.definition.get("close"),
        }
        return {
            "id": view.id,
            "team_id": ws.team_id,
            "type": view.kind,
            "blocks": view.blocks,
            "private_metadata": view.definition.get("private_metadata") or "",
            "callback_id": view.definition.get("callback_id") or "",
            "state": {"values": view.form.values},
            "hash": view.hash,
            "title": {"type": "plain_text", "text": "View Title", "emoji": True},
            "clear_on_close": bool(view.definition.get("clear_on_close")),
            "notify_on_close": bool(view.definition.get("notify_on_close")),
            "close": None,
            "submit": None,
            **(modal if view.kind == "modal" else {}),
            "previous_view_id": view.previous_id,
            "root_view_id": view.root_id,
            "app_id": ws.app_id,
            "external_id": view.external_id,
            "app_installed_team_id": ws.team_id,
            "bot_id": ws.bot_id,
        }

    def _all(self) -> list[View]:
        return [*self.homes.values(), *(view for stack in self._stacks.values() for view in stack)]

    def _new(self, person: str, definition: Json, channel: str | None) -> View:
        view_id = self._workspace.new_id("V")
        view = View(view_id, person, self._stored(definition), self._new_hash(), view_id, channel=channel)
        view.form = Form.fresh(view.blocks, channel)
        return view

    def _stored(self, definition: Json) -> Json:
        return {**definition, "blocks": with_ids(definition["blocks"], self._random)}

    def _new_hash(self) -> str:
        return f"{int(self._clock.now())}.{self._random.getrandbits(32):08x}"

    def _check_external_id(self, definition: Json, own: View | None) -> None:
        external_id = str(definition.get("external_id") or "")
        taken = self.find_external(external_id)
        if taken is not None and taken is not own:
            raise SlackError("duplicate_external_id")

    def _changed(self, kind: str, view: View) -> None:
        self._journal.record(kind, person=view.person, view=view.id, surface=view.kind)
