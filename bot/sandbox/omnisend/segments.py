"""The segments of a brand: rules whose members are computed (Omnisend docs, Segments)."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from bot.sandbox.omnisend.agenda import Agenda
from bot.sandbox.omnisend.assumptions import Assumptions
from bot.sandbox.omnisend.formats import hex_id, seconds_text
from bot.sandbox.omnisend.problems import conflict, not_found
from bot.sandbox.omnisend.segment_rules import Rule, parse_segment
from bot.sandbox.omnisend.store import ContactStore, Record


@dataclass(slots=True)
class Segment:
    """One segment. Times in virtual seconds."""

    id: str
    number: int  # in order of creation
    name: str
    groups: list[Any]
    rule: Rule
    created: float
    updated: float
    ready_at: float
    shown_count: int = 0  # what the statistics say while they lag
    counted: tuple[int, int] | None = None  # (version of the contacts, members)


class Segments:
    """All segments of a brand over its contacts."""

    def __init__(self, store: ContactStore, assume: Assumptions, agenda: Agenda, random: Random) -> None:
        self._store = store
        self._assume = assume
        self._agenda = agenda
        self._random = random
        self._segments: dict[str, Segment] = {}
        self._made = 0

    def create(self, body: Any, now: float) -> Segment:
        """Raises `Problem` 400. Two segments may have one name (assumed)."""
        name, groups, rule = self._parse(body)
        segment = Segment(hex_id(self._random, now), self._made, name, groups, rule, now, now, now)
        self._made += 1
        self._segments[segment.id] = segment
        self._build(segment, now)
        self._recount_every_minute(segment, segment.ready_at)
        return segment

    def replace(self, segment_id: str, body: Any, now: float) -> Segment:
        """Raises `Problem` 400, 404, 409 while it is building."""
        segment = self._settled(segment_id, now)
        segment.name, segment.groups, segment.rule = self._parse(body)
        segment.updated = now
        segment.counted = None
        self._build(segment, now)
        return segment

    def delete(self, segment_id: str, now: float) -> None:
        """Raises `Problem` 404, 409 while it is building."""
        del self._segments[self._settled(segment_id, now).id]

    def get(self, segment_id: str) -> Segment:
        """Raises `Problem` 404."""
        segment = self._segments.get(segment_id)
        if segment is None:
            raise not_found("Segment")
        return segment

    def all(self) -> list[Segment]:
        """In order of creation."""
        return list(self._segments.values())

    def statistics(self, segment: Segment, now: float) -> int:
        """`contactsCount` as the API shows it: 0 while building, behind by up to a minute where it lags."""
        if now < segment.ready_at:
            return 0
        if self._assume.seconds("segment-statistics-lag"):
            return segment.shown_count
        return self.count(segment, now)

    def count(self, segment: Segment, now: float) -> int:
        """How many contacts the rule covers at this moment."""
        if segment.rule.mark is not None:
            marks, mark = segment.rule.mark(self._store)
            return marks.count(mark)
        version = self._store.version
        if segment.counted is None or segment.counted[0] != version or segment.rule.depends_on_time:
            segment.counted = (version, sum(1 for _ in self.members(segment, now)))
        return segment.counted[1]

    def members(self, segment: Segment, now: float) -> Iterator[int]:
        """Numbers of the contacts that the rule covers, in order of creation."""
        if segment.rule.mark is not None:
            marks, mark = segment.rule.mark(self._store)
            yield from marks.walk(mark, None, forward=True)
            return
        for number in self._store.walk_created(None, forward=True):
            record = self._store.record(number)
            if record is not None and segment.rule.covers(record, int(now * 1000)):
                yield number

    def of_contact(self, record: Record, now: float) -> list[str]:
        """Ids of the segments that cover a contact."""
        now_ms = int(now * 1000)
        return [
            segment.id
            for segment in self._segments.values()
            if now >= segment.ready_at and segment.rule.covers(record, now_ms)
        ]

    def as_json(self, segment: Segment, now: float) -> dict[str, Any]:
        """`Segment` of the API."""
        return {
            "segmentID": segment.id,
            "name": segment.name,
            "conditionGroups": segment.groups,
            "status": "building" if now < segment.ready_at else "ready",
            "isStarred": False,
            "createdAt": seconds_text(segment.created),
            "updatedAt": seconds_text(segment.updated),
            "archivedAt": None,
        }

    def _parse(self, body: Any) -> tuple[str, list[Any], Rule]:
        known_first = self._assume.says("segment-property", "known-first")
        return parse_segment(body, known_properties=set(self._store.property_types) if known_first else None)

    def _settled(self, segment_id: str, now: float) -> Segment:
        segment = self.get(segment_id)
        if now < segment.ready_at:
            raise conflict("The segment is still building.")
        return segment

    def _build(self, segment: Segment, now: float) -> None:
        segment.ready_at = now + self._assume.seconds("segment-building")

    def _recount_every_minute(self, segment: Segment, start: float) -> None:
        def recount(due: float, horizon: float) -> float | None:
            if self._segments.get(segment.id) is not segment:
                return None
            if self._assume.seconds("segment-statistics-lag"):
                segment.shown_count = self.count(segment, due)
            return due + 60

        self._agenda.at(start + 60, recount)
