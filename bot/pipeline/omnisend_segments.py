"""The Omnisend segments that stand for ours: found by their rule, made once, counted, never changed.

Omnisend's segments are rules. Ours says "this boolean property equals true" and carries our segment's name; where a
segment of that name exists with another rule, it is left alone and ours gets a suffix. Without the permission for
segments everything else works, and the report says how to make them by hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from bot.omnisend.client import OmnisendClient
from bot.omnisend.errors import FateUnknown, KeyRefused, NotFound, OmnisendError, ScopeMissing, VersionRetired
from bot.omnisend.models import SegmentInfo
from storage.database import Database
from storage.models import ExportSegment

SUFFIX = "Segment Ferry"
MAX_NAME = 256  # characters of a segment's name (Omnisend docs, Segments)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class SegmentReport:
    """What is at Omnisend for each segment of an export."""

    counts: dict[str, int] = field(default_factory=dict)  # Omnisend's own count, by our segment's name
    notes: list[dict[str, Any]] = field(default_factory=list)


class OmnisendSegments:
    """The segments of one export at its brand."""

    def __init__(self, client: OmnisendClient, database: Database, segments: Sequence[ExportSegment]) -> None:
        self._client = client
        self._database = database
        self._segments = segments
        self._listed: list[SegmentInfo] | None = None

    async def count(self) -> SegmentReport:
        """Find the segments that exist already and ask for their counts. Never fails for want of a permission.

        Raises `KeyRefused` or `VersionRetired`: no other request would fare better.
        """
        report = SegmentReport()
        try:
            for segment in self._segments:
                await self._count_one(segment, report)
        except ScopeMissing as error:
            report.notes.append({"kind": "segments_scope", "scope": error.scope or "segments.read"})
        except (KeyRefused, VersionRetired):
            raise
        except OmnisendError as error:
            log.warning("could not count Omnisend's segments", error=str(error))
            report.notes.append({"kind": "segments_unknown"})
        return report

    async def ensure(self) -> SegmentReport:
        """Make the missing ones, then count. Call it after contacts with the properties have been sent.

        Raises as `count` does.
        """
        notes: list[dict[str, Any]] = []
        for segment in self._segments:
            try:
                if segment.omnisend_id is None and await self._find(segment) is None:
                    await self._create(segment, notes)
            except ScopeMissing as error:
                notes.append(
                    {
                        "kind": "segment_by_hand",
                        "scope": error.scope or "segments.write",
                        "segment": segment.name,
                        "property": segment.property_name,
                    }
                )
            except OmnisendError as error:
                log.warning("could not make an Omnisend segment", segment=segment.name, error=str(error))
                notes.append({"kind": "segment_later", "segment": segment.name})
        report = await self.count()
        report.notes[:0] = notes
        return report

    async def _count_one(self, segment: ExportSegment, report: SegmentReport) -> None:
        if segment.omnisend_id is None and await self._find(segment) is None:
            return
        assert segment.omnisend_id is not None
        try:
            report.counts[segment.name] = await self._client.segment_count(segment.omnisend_id)
        except NotFound:  # deleted by hand: a later run makes it again
            await self._remember(segment, None, None)

    async def _find(self, segment: ExportSegment) -> SegmentInfo | None:
        """Ours is known by its rule, whatever people have renamed it to."""
        for info in await self._list():
            if info.status != "archived" and info.follows(segment.property_name):
                await self._remember(segment, info.id, info.name)
                return info
        return None

    async def _create(self, segment: ExportSegment, notes: list[dict[str, Any]]) -> None:
        taken = {info.name for info in await self._list()}
        name = _free_name(segment.name, taken)
        try:
            info = await self._client.create_segment(name, segment.property_name)
        except FateUnknown:
            self._listed = None
            if await self._find(segment) is None:
                raise
        else:
            await self._remember(segment, info.id, name)
        if name != segment.name:
            notes.append({"kind": "segment_renamed", "segment": segment.name, "name": name})

    async def _list(self) -> list[SegmentInfo]:
        if self._listed is None:
            self._listed = [info async for page in self._client.segments() for info in page]
        return self._listed

    async def _remember(self, segment: ExportSegment, omnisend_id: str | None, name: str | None) -> None:
        segment.omnisend_id, segment.omnisend_name = omnisend_id, name
        async with self._database.write() as session:
            stored = await session.get(ExportSegment, segment.id)
            if stored is not None:
                stored.omnisend_id, stored.omnisend_name = omnisend_id, name
                session.add(stored)


def _free_name(name: str, taken: set[str]) -> str:
    name = name[: MAX_NAME - len(SUFFIX) - 8]
    candidates = [name, f"{name} ({SUFFIX})", *(f"{name} ({SUFFIX} {number})" for number in range(2, 100))]
    return next(candidate for candidate in candidates if candidate not in taken)
