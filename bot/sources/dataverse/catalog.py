"""The segments on offer: their names, how many members they had when last counted, and who their members are now."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyarrow as pa
import structlog

from bot.sources.base import Note, Segment, SegmentMissing, SourceError
from bot.sources.dataverse import queries
from bot.sources.dataverse.client import DataverseClient
from bot.sources.dataverse.columns import MEMBERSHIP, METADATA, PAYLOAD, Column, Row
from bot.sources.dataverse.faults import DataverseError, QueryRefused
from bot.sources.dataverse.memberships import Members, Roll
from bot.sources.dataverse.names import title_in
from bot.sources.dataverse.refresh import Refreshes
from bot.sources.nearest import nearest
from storage.errors import mark

log = structlog.get_logger(__name__)


COUNTS_LAST = timedelta(hours=6)  # after which all members are counted again, if somebody looks at the list …
COUNT_AGAIN = timedelta(minutes=10)  # … or after this, where counting failed
COUNTING = "counting members"  # the name of the task in the background
FILTERS_FAIL = timedelta(days=1)  # for which a filter that was refused or too slow is not tried again


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The members of segments, and what is worth a note about how they were found."""

    members: Members
    notes: Sequence[Note]


@dataclass(slots=True)
class Listed:
    """What Customer Insights' metadata says of segments: by name, whether each is active; and which were deleted.

    `titles`: how people call them, as far as that was asked for and can be told.
    """

    active: dict[str, bool] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    titles: dict[str, str] = field(default_factory=dict)

    def clear(self) -> None:
        self.active.clear()
        self.deleted.clear()
        self.titles.clear()

    def add(self, rows: pa.RecordBatch) -> None:
        """Take in a page. It may block for some milliseconds: call it in a thread."""
        for row in rows.to_pylist():
            self._add(row)

    def _add(self, row: Row) -> None:
        name = row["msdyn_name"]
        if not name or row["msdyn_ishistoryentry"]:
            return
        if row["msdyn_isdeleted"]:
            self.deleted.add(name)
        else:
            self.active[name] = row["statecode"] != 1
            if (title := title_in(row.get(PAYLOAD.name))) and title != name:
                self.titles[name] = title

    def is_deleted(self, name: str) -> bool:
        return name in self.deleted and name not in self.active  # or there is a new one of that name


class Catalog:
    """Segments and memberships of one environment.

    Names come from Customer Insights' metadata where that can be read, else from the memberships themselves. Counts
    are kept, with their time, from whatever counted last: a reading, `count`, or a recount of everything.
    """

    def __init__(self, client: DataverseClient, refreshes: Refreshes, now: Callable[[], datetime]) -> None:
        self._client = client
        self._refreshes = refreshes
        self._now = now
        self._counts: dict[str, tuple[int, datetime]] = {}
        self._scanned: set[str] | None = None  # names that turned up when all memberships were read last …
        self._count_at: datetime | None = None  # … and from when on they are worth reading again
        self._filter_at: datetime | None = None  # from when on a filter is worth trying again
        self._counting = asyncio.Lock()
        self._in_background: asyncio.Task[None] | None = None

    async def segments(self) -> Sequence[Segment]:
        """All segments, by name. Where there is no metadata the first call has to read all memberships for them.

        Members that were not counted for some hours are counted again in the background, for the next call.
        """
        listed = await self._titled()
        if not listed.active and self._scanned is None:
            async with self._counting:
                if self._scanned is None:
                    await self._recount()
        elif self._count_at is None or self._now() >= self._count_at:
            self._recount_in_background()
        names = listed.active.keys() | (self._scanned or set())
        return [self._segment(name, listed.titles.get(name, "")) for name in sorted(names)]

    def _segment(self, name: str, title: str) -> Segment:
        members, counted_at = self._counts.get(name, (None, None))
        return Segment(name, members, counted_at, title)

    async def recount(self) -> None:
        """Read all memberships and count the members of every segment (of the first 256 that turn up).

        Raises `RefreshRunning`, or another `SourceError`.
        """
        async with self._counting:
            await self._recount()

    async def close(self) -> None:
        if self._in_background is not None:
            self._in_background.cancel()
            await asyncio.gather(self._in_background, return_exceptions=True)

    def _recount_in_background(self) -> None:
        if self._in_background is None or self._in_background.done():
            self._in_background = asyncio.create_task(self._try_to_recount(), name=COUNTING)

    async def _try_to_recount(self) -> None:
        """Recount; whatever keeps us from it is no reason to bother somebody who looks at a list."""
        self._count_at = self._now() + COUNT_AGAIN
        try:
            await self.recount()
        except SourceError as error:
            log.info("members not counted", why=error.code)
        except Exception:
            log.exception("members not counted")

    async def _recount(self) -> None:
        began = self._refreshes.check()
        roll = Roll()
        await self._read(queries.MEMBERSHIPS_ALL, roll)
        self._refreshes.check_since(began)
        members = await asyncio.to_thread(roll.members)
        self._scanned, self._count_at = set(roll.seen), self._now() + COUNTS_LAST
        self._keep(await asyncio.to_thread(members.counts))

    async def enrol(self, names: Sequence[str], most: int | None = None) -> Enrolment:
        """The members of these segments.

        Raises `SegmentMissing`, `TooManyMembers`, `RefreshRunning` or another `SourceError`.
        """
        began = self._refreshes.check()
        listed = await self._listed()
        roll, members = await self._found(tuple(dict.fromkeys(names)), most)
        self._refreshes.check_since(began)
        counts = await asyncio.to_thread(members.counts)
        for name, count in counts.items():
            if not count:
                self._check_empty(name, roll, listed)
        self._keep(counts)
        return Enrolment(members, _notes(counts, roll, listed))

    async def _found(self, names: tuple[str, ...], most: int | None) -> tuple[Roll, Members]:
        """By a filter where that finds somebody in each segment, else by reading all memberships."""
        roll = Roll(names, most)
        is_worth_trying = self._filter_at is None or self._now() >= self._filter_at
        filtered = queries.memberships_of(names) if is_worth_trying else None
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
            self._filter_at = self._now() + FILTERS_FAIL
            return False
        return True

    async def _read(self, query: str, roll: Roll) -> None:
        async with aclosing(self._client.scan(query, MEMBERSHIP, roll.clear)) as pages:
            async for page in pages:
                await asyncio.to_thread(roll.add, page.rows)

    async def _titled(self) -> Listed:
        """As `_listed`, with titles where the payload can be had."""
        try:
            return await self._metadata(queries.METADATA_TITLED, (*METADATA, PAYLOAD), rows=queries.TITLED_ROWS)
        except DataverseError as error:
            log.info("dataverse has no titles of segments for us", why=error.code)
            return await self._listed()

    async def _listed(self) -> Listed:
        """Segments by the metadata; empty where it says nothing.

        It is a help and no more: whatever goes wrong with it must not stop a reading.
        """
        try:
            return await self._metadata(queries.METADATA_ALL, METADATA)
        except DataverseError as error:
            log.info("dataverse has no list of segments for us", why=error.code)
            return Listed()

    async def _metadata(self, query: str, columns: Sequence[Column], rows: int | None = None) -> Listed:
        listed = Listed()
        async with aclosing(self._client.scan(query, columns, listed.clear, rows=rows)) as pages:
            async for page in pages:
                await asyncio.to_thread(listed.add, page.rows)
        return listed

    def _check_empty(self, name: str, roll: Roll, listed: Listed) -> None:
        """Raise `SegmentMissing` unless it may well be that nobody is in the segment.

        It is missing if memberships know it by a slightly other name, or if there is a list of segments without it.
        """
        there = listed.active
        alike = [other for other in roll.near(name) if other not in there]
        if not alike and (name in there or not there):
            return
        near = alike[0] if alike else nearest(name, there.keys() | roll.seen)
        meant = " It was deleted in Customer Insights." if listed.is_deleted(name) else ""
        meant += f" Did you mean *{near}*?" if near else ""
        raise SegmentMissing(segment=name, source=self._client.source, near=meant)

    def _keep(self, counts: Mapping[str, int]) -> None:
        now = self._now()
        self._counts.update((name, (members, now)) for name, members in counts.items())


_INACTIVE = mark("*{segment}* is inactive in Customer Insights: its members are those of its last refresh.")
_DELETED = mark(
    "*{segment}* was deleted in Customer Insights, but memberships still name it: its members are those of its last "
    "refresh. An admin of Customer Insights can tell; edit the export if it is not meant any more."
)
_NOWHERE = mark("No membership names *{segment}*: it may be empty, renamed or deleted. Its list can't be read.")
_ALIKE = mark("Memberships also name *{other}*, which is another segment than *{segment}*.")
_NO_MEMBERSHIPS = mark("Dataverse has no memberships at all: Customer Insights may not have synchronised them yet.")
_AGAIN = mark("Further memberships of customers who had one already, each counted once: {rows}.")
_UNREADABLE = mark("Memberships that could not be read, left out: {rows}.")
_NAMELESS = mark("Memberships without a customer id, left out: {rows}.")


def _notes(counts: Mapping[str, int], roll: Roll, listed: Listed) -> list[Note]:
    """What people should know about how the members were found."""
    notes = []
    there = listed.active
    for name, count in counts.items():
        if count and listed.is_deleted(name):
            notes.append(Note(_DELETED, segment=name))
        if not there.get(name, True):
            notes.append(Note(_INACTIVE, segment=name))
        if not count and not there:
            notes.append(Note(_NOWHERE, segment=name))
        notes += [Note(_ALIKE, other=other, segment=name) for other in roll.near(name) if other not in there]
    if not roll.rows:
        notes.append(Note(_NO_MEMBERSHIPS))
    counted = {_AGAIN: roll.again, _UNREADABLE: roll.unreadable, _NAMELESS: roll.nameless}
    return notes + [Note(text, rows=rows) for text, rows in counted.items() if rows]
