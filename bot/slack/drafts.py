"""Exports being set up: what a modal can't carry from one click to the next. Kept in memory, gone with the process."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.services.exports import SourceChoices
from bot.slack.form import Form
from bot.slack.ids import Field
from bot.slack.views.configure import ExportForm, SegmentChoice
from bot.slack.views.mapping import STANDARD, OptIn, Row
from bot.slack.views.schedule import Recurrence
from storage.errors import FerryError, mark
from storage.models import Leavers, MappingKind, When

LIFETIME = 3 * 3600.0  # seconds after the last click
MOST_DRAFTS = 1_000  # the oldest go first


class DraftGone(FerryError):
    """The modal is older than its draft: the bot was restarted, or the export was saved meanwhile."""

    code = "draft-gone"
    what = mark("This window has outlived its meaning: the export was saved meanwhile, or the bot was restarted.")
    consequence = mark("Nothing was changed by it.")
    remedy = mark("Open it again to see how it stands.")


@dataclass(slots=True)
class Draft:
    """One export form on somebody's screen, as far as it is known here. `offered`: what the source has."""

    id: str
    user_id: str
    export_id: int | None = None
    seen: datetime | None = None  # of the export as it was when the form was opened
    connections: Sequence[tuple[int, str]] = ()
    connection_id: int | None = None
    name: str = ""
    segments: list[str] = field(default_factory=list)
    email: str = ""
    rows: list[Row] = field(default_factory=list)
    opt_in: OptIn | None = None
    when: When = When.MANUAL
    recurrence: Recurrence = field(default_factory=Recurrence)
    channel: str = ""
    leavers: Leavers = Leavers.FLAG_FALSE
    notify: tuple[str, ...] = ()
    limits: dict[str, float] = field(default_factory=dict)
    refresh_active: bool = True
    offered: SourceChoices | None = None
    samples: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    looks: int = 0
    """How often its segments were looked at, each look begun."""
    saving: bool = False
    """It was submitted: the form is off the screen, unless saving fails."""
    generation: int = 0
    touched: float = 0.0

    # --- what is on the screen

    def remember(self, form: Form) -> None:
        """Take over what stands in the inputs of the form now."""
        if Field.NAME in form:
            self.name = form.text(Field.NAME)
        if Field.CONNECTION in form and (chosen := form.choice(Field.CONNECTION)).isdigit():
            self.connection_id = int(chosen)
        if Field.SEGMENTS in form:
            self.segments = [self.full_name(value, self.segment_names) for value in form.choices(Field.SEGMENTS)]
        if Field.EMAIL in form:
            self.email = self.full_name(form.choice(Field.EMAIL), self.field_names)
        if Field.WHEN in form and (when := form.choice(Field.WHEN)):
            self.when = When(when)
        if Field.CHANNEL in form:
            self.channel = form.channel(Field.CHANNEL)
        if Field.TIMES in form:
            self.recurrence = recurrence_in(form, self.recurrence)

    def form(self, *, problem: str = "", problem_at: Field | None = None) -> ExportForm:
        return ExportForm(
            draft=self.id,
            connections=self.connections,
            connection_id=self.connection_id,
            editing=self.export_id is not None,
            name=self.name,
            segments=[self.segment_choice(name) for name in self.segments],
            warnings=self.warnings,
            email=self.email,
            rows=self.rows,
            samples=self.samples,
            suggestions=self.suggestions,
            opt_in=self.opt_in,
            when=self.when,
            refresh_active=self.refresh_active,
            recurrence=self.recurrence,
            channel=self.channel,
            leavers=self.leavers,
            notify=self.notify,
            generation=self.generation,
            problem=problem,
            problem_at=problem_at,
        )

    # --- the source

    @property
    def field_names(self) -> list[str]:
        return [one.name for one in self.offered.fields] if self.offered else []

    def fields_with(self, typed: str) -> list[str]:
        """The fields to offer to whoever typed this: technical ones only by their whole name."""
        typed = typed.strip().casefold()
        offered = self.offered.fields if self.offered else []
        return [
            one.name for one in offered if typed in one.name.casefold() and not (one.technical and typed != one.name)
        ]

    @property
    def segment_names(self) -> list[str]:
        return [one.name for one in self.offered.segments] if self.offered else []

    def segments_with(self, typed: str) -> list[str]:
        """The segments to offer to whoever typed this, a part of a name or of a title."""
        typed = typed.strip().casefold()
        offered = self.offered.segments if self.offered else []
        return [one.name for one in offered if typed in one.name.casefold() or typed in one.title.casefold()]

    def full_name(self, value: str, names: Sequence[str]) -> str:
        """The name behind an option's value, which is cut for very long names."""
        return value if value in names else next((name for name in names if value and name.startswith(value)), value)

    def members(self, segment: str) -> int | None:
        return self.segment_choice(segment).members

    def segment_choice(self, name: str) -> SegmentChoice:
        """The segment with its members as counted for this form, else as the source remembers them, with their time."""
        offered = self.offered.segments if self.offered else []
        known = next((one for one in offered if one.name == name), None)
        if name in self.counts:
            return SegmentChoice(name, self.counts[name], title=known.title if known else "")
        return SegmentChoice(name, known.members, known.counted_at, known.title) if known else SegmentChoice(name)

    # --- the mapping

    @property
    def suggestions(self) -> dict[str, str]:
        """For standard attributes that are not mapped: the field that most likely holds each."""
        mapped = {row.attribute for row in self.rows}
        offered = self.offered.suggestions if self.offered else {}
        return {name: offered[name] for name in STANDARD if name in offered and name not in mapped}

    @property
    def free_attributes(self) -> list[str]:
        mapped = {row.attribute for row in self.rows}
        return [name for name in STANDARD if name not in mapped]

    def row(self, attribute: str) -> Row | None:
        return next((row for row in self.rows if row.attribute == attribute), None)

    def put(self, row: Row) -> None:
        """Add a row, or put it in the place of the one for its attribute."""
        for position, known in enumerate(self.rows):
            if known.attribute == row.attribute:
                self.rows[position] = row
                return
        self.rows.append(row)

    def drop(self, attribute: str) -> None:
        self.rows = [row for row in self.rows if row.attribute != attribute]

    def add_suggested(self) -> None:
        for attribute, name in self.suggestions.items():
            self.put(Row(attribute, name, MappingKind.FIELD))


def recurrence_in(form: Form, before: Recurrence) -> Recurrence:
    return Recurrence(
        times=tuple(form.choices(Field.TIMES)),
        weekdays=tuple(int(day) for day in form.choices(Field.WEEKDAYS)),
        zone=form.choice(Field.ZONE) or before.zone,
    )


class Drafts:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._drafts: dict[str, Draft] = {}

    def begin(self, user_id: str, **values: object) -> Draft:
        self._forget_old()
        draft = Draft(secrets.token_urlsafe(9), user_id, **values)  # type: ignore[arg-type]
        draft.touched = self._clock()
        self._drafts[draft.id] = draft
        return draft

    def get(self, draft_id: str, user_id: str) -> Draft:
        """Raises `DraftGone`, also for somebody else's."""
        draft = self._drafts.get(draft_id)
        if draft is None or draft.user_id != user_id:
            raise DraftGone
        draft.touched = self._clock()
        return draft

    def end(self, draft: Draft) -> None:
        self._drafts.pop(draft.id, None)

    def _forget_old(self) -> None:
        horizon = self._clock() - LIFETIME
        newest = sorted(self._drafts.values(), key=lambda draft: draft.touched)[-(MOST_DRAFTS - 1) :]
        self._drafts = {draft.id: draft for draft in newest if draft.touched > horizon}
