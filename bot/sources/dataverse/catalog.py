"""The segments on offer: their names, how many members they had when last counted, and who their members are now."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

import structlog

from bot.sources.base import Segment, SegmentMissing
from bot.sources.dataverse import queries
from bot.sources.dataverse.client import DataverseClient
from bot.sources.dataverse.columns import MEMBERSHIP, METADATA, Row
from bot.sources.dataverse.faults import DataverseError, QueryRefused
from bot.sources.dataverse.memberships import Members, Roll
from bot.sources.dataverse.names import nearest

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CountedSegment(Segment):
    """A segment with the time at which `members` were counted; None where they never were."""

    counted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The members of segments, and what is worth a note about how they were found."""

    members: Members
    notes: Sequence[str]


class Catalog:
    """Segments and memberships of one environment.

    Names come from Customer Insights' metadata where that can be read, else from the memberships themselves. Counts
    are kept from whatever counted last: a reading, `count`, or a recount of everything.
    """

    def __init__(self, client: DataverseClient, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now
        self._counts: dict[str, tuple[int, datetime]] = {}
        self._scanned: set[str] | None = None  # names that turned up when all memberships were read last
        self._counting = asyncio.Lock()

    async def segments(self) -> Sequence[CountedSegment]:
        """All segments, by name. Without metadata the first call reads all memberships; `recount` renews that."""
        listed = await self._listed()
        if not listed:
            async with self._counting:
                if self._scanned is None:
                    await self._recount()
        names = listed.keys() | (self._scanned or set())
        return [CountedSegment(name, *self._counts.get(name, (None, None))) for name in sorted(names)]

    async def recount(self) -> None:
        """Read all memberships and count the members of every segment (of the first 256 that turn up)."""
        async with self._counting:
            await self._recount()

    async def _recount(self) -> None:
        roll = Roll()
        await self._read(queries.MEMBERSHIPS_ALL, roll)
        members = await asyncio.to_thread(roll.members)
        self._scanned = set(roll.seen)
        self._keep(await asyncio.to_thread(members.counts))

    async def enrol(self, names: Sequence[str], most: int | None = None) -> Enrolment:
        """The members of these segments. Raises `SegmentMissing`, `TooManyMembers` or another `SourceError`."""
        listed = await self._listed()
        roll, members = await self._found(tuple(dict.fromkeys(names)), most)
        counts = await asyncio.to_thread(members.counts)
        for name, count in counts.items():
            if not count:
                self._check_empty(name, roll, listed)
        self._keep(counts)
        return Enrolment(members, _notes(counts, roll, listed))

    async def _found(self, names: tuple[str, ...], most: int | None) -> tuple[Roll, Members]:
        """By a filter where that finds somebody in each segment, else by reading all memberships."""
        roll = Roll(names, most)
        filtered = queries.memberships_of(names)
        if filtered is not None and await self._read_filtered(filtered, roll):
            members = await asyncio.to_thread(roll.members)
            if all((await asyncio.to_thread(members.counts)).values()):
                return roll, members
            log.info("dataverse filter found nobody; reading all memberships")
        roll.clear()
        await self._read(queries.MEMBERSHIPS_ALL, roll)
        return roll, await asyncio.to_thread(roll.members)

    async def _read_filtered(self, query: str, roll: Roll) -> bool:
        """Whether the filter worked."""
        try:
            await self._read(query, roll)
        except QueryRefused as refused:
            log.info("dataverse filter is of no use; reading all memberships", why=refused.code)
            return False
        return True

    async def _read(self, query: str, roll: Roll) -> None:
        async with aclosing(self._client.scan(query, MEMBERSHIP, roll.clear)) as pages:
            async for page in pages:
                await asyncio.to_thread(roll.add, page.rows)

    async def _listed(self) -> Mapping[str, bool]:
        """Segments by the metadata, and whether each is active; empty where it says nothing.

        It is a help and no more: whatever goes wrong with it must not stop a reading.
        """
        active: dict[str, bool] = {}
        try:
            async with aclosing(self._client.scan(queries.METADATA_ALL, METADATA, active.clear)) as pages:
                async for page in pages:
                    rows = page.rows.to_pylist()
                    active |= {row["msdyn_name"]: row["statecode"] != 1 for row in rows if _is_segment(row)}
        except DataverseError as error:
            log.info("dataverse has no list of segments for us", why=error.code)
            return {}
        return active

    def _check_empty(self, name: str, roll: Roll, listed: Mapping[str, bool]) -> None:
        """Raise `SegmentMissing` unless it may well be that nobody is in the segment.

        It is missing if memberships know it by a slightly other name, or if there is a list of segments without it.
        """
        alike = [other for other in roll.near(name) if other not in listed]
        if not alike and (name in listed or not listed):
            return
        near = alike[0] if alike else nearest(name, listed.keys() | roll.seen)
        meant = f" Did you mean *{near}*?" if near else ""
        raise SegmentMissing(segment=name, source=self._client.source, near=meant)

    def _keep(self, counts: Mapping[str, int]) -> None:
        now = self._now()
        self._counts.update((name, (members, now)) for name, members in counts.items())


def _is_segment(row: Row) -> bool:
    """Whether a row of the metadata is about a segment that there is now."""
    return bool(row["msdyn_name"]) and not row["msdyn_isdeleted"] and not row["msdyn_ishistoryentry"]


def _notes(counts: Mapping[str, int], roll: Roll, listed: Mapping[str, bool]) -> list[str]:
    """What people should know about how the members were found."""
    notes = []
    for name, count in counts.items():
        if not listed.get(name, True):
            notes.append(f"*{name}* is inactive in Customer Insights: its members are those of its last refresh.")
        if not count and not listed:
            notes.append(f"No membership names *{name}*: it may be empty, renamed or deleted. Its list can't be read.")
        notes += [
            f"Memberships also name *{other}*, which is another segment than *{name}*."
            for other in roll.near(name)
            if other not in listed
        ]
    if not roll.rows:
        notes.append("Dataverse has no memberships at all: Customer Insights may not have synchronised them yet.")
    if roll.unreadable:
        notes.append(f"Memberships that could not be read, left out: {roll.unreadable:,}.")
    if roll.nameless:
        notes.append(f"Memberships without a customer id, left out: {roll.nameless:,}.")
    return notes
