"""One reading of profiles: first who is a member, then their profiles.

The two are read one after the other although Dataverse would take both at once: profiles read before it is known who
matters would have to be kept somewhere, and how they are read best depends on how many members there are.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from bot.sources.base import CUSTOMER_ID, SEGMENTS, FieldMissing, Note, ReadSummary
from bot.sources.dataverse import queries
from bot.sources.dataverse.catalog import Catalog
from bot.sources.dataverse.client import DataverseClient
from bot.sources.dataverse.columns import ATTRIBUTE, PROFILE_ID, Column, columns
from bot.sources.dataverse.faults import DataverseError, QueryRefused
from bot.sources.dataverse.memberships import SEGMENT_LIST, Members
from bot.sources.dataverse.pace import PARALLEL
from bot.sources.dataverse.pages import Page
from bot.sources.dataverse.refresh import Refreshes
from storage.errors import mark

FEW = 0.05  # members as a part of all profiles: up to this, profiles are asked for by id
FEW_OF_UNKNOWN = 10_000  # members up to which they are asked for by id where nobody knows how many profiles there are
FEWEST_ROWS = 5_000  # batches are put together until they have so many rows

_LOST = mark("Values of {field} that do not fit its type, left out: {values}.")

log = structlog.get_logger(__name__)


async def all_columns(client: DataverseClient) -> dict[str, Column]:
    """The profile's fields by name."""
    answer = await client.first_page(queries.ATTRIBUTES, ATTRIBUTE, queries.PAGE_ROWS)
    return {column.name: column for column in columns(answer.to_pylist())}


def chosen(there: dict[str, Column], wanted: Iterable[str]) -> list[Column]:
    """The columns of these fields, once each. Raises `FieldMissing`."""
    names = [name for name in dict.fromkeys(wanted) if name != CUSTOMER_ID]
    missing = [name for name in names if name not in there]
    if missing:
        raise FieldMissing.among(there, missing)
    return [there[name] for name in names]


@dataclass(frozen=True, slots=True)
class Environment:
    """What readings of one environment share."""

    client: DataverseClient
    catalog: Catalog
    refreshes: Refreshes
    most_members: int | None


class ProfileReading:
    """A reading of the environment's profiles; see `ProfileStream`. Not for a second use."""

    def __init__(self, environment: Environment, segments: Sequence[str], fields: Sequence[str]) -> None:
        self._environment = environment
        self._segments = segments
        self._fields = fields
        self._began: datetime | None = None
        self._open = AsyncExitStack()
        self._batches: AsyncGenerator[pa.RecordBatch, None] | None = None
        self.summary = ReadSummary()

    async def __aenter__(self) -> Self:
        environment = self._environment
        self._began = environment.refreshes.check()
        there = chosen(await all_columns(environment.client), self._fields)
        enrolment = await environment.catalog.enrol(self._segments, environment.most_members)
        self.summary.members = await asyncio.to_thread(enrolment.members.counts)
        self.summary.notes += enrolment.notes
        sieve = Sieve(enrolment.members, there)
        self._batches = await self._open.enter_async_context(aclosing(self._read(sieve)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._batches = None
        await self._open.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> pa.RecordBatch:
        if self._batches is None:
            raise StopAsyncIteration
        return await anext(self._batches)

    async def _read(self, sieve: "Sieve") -> AsyncGenerator[pa.RecordBatch, None]:
        """The members' profiles in batches; at the end, what the summary says about them.

        A refresh that begins meanwhile ends it: what comes after that may not fit what came before.
        """
        assert self._began is not None
        check_since = self._environment.refreshes.check_since
        gathered: list[pa.RecordBatch] = []
        if len(sieve.members):
            async with aclosing(self._pages(sieve)) as pages:
                async for page in pages:
                    check_since(self._began)
                    if len(batch := await asyncio.to_thread(sieve.sift, page)):
                        gathered.append(batch)
                    if sum(map(len, gathered)) >= FEWEST_ROWS:
                        yield pa.concat_batches(gathered)
                        gathered.clear()
        check_since(self._began)
        self.summary.without_profile = sieve.without_profile
        self.summary.notes += sieve.notes()
        if gathered:
            yield pa.concat_batches(gathered)

    async def _pages(self, sieve: "Sieve") -> AsyncGenerator[Page, None]:
        """Pages that have every member's profile: asked for by id if members are few, else among all profiles."""
        client = self._environment.client
        names = [column.name for column in sieve.columns]
        if await self._are_few(len(sieve.members)):
            by_id = queries.profiles_by_id(names, sieve.members.ids(), root=client.root)
            try:
                async with aclosing(_side_by_side(client, by_id, sieve.read)) as pages:
                    async for page in pages:
                        yield page
            except QueryRefused as refused:
                log.info("dataverse does not take ids; reading all profiles", why=refused.code)
            else:
                if sieve.without_profile < len(sieve.members):
                    return
                log.info("dataverse finds no profile by its id; reading all profiles")
        async with aclosing(client.scan(queries.profiles(names), sieve.read, _nothing)) as pages:
            async for page in pages:
                yield page

    async def _are_few(self, members: int) -> bool:
        total = await _total_profiles(self._environment.client)
        return members <= (FEW * total if total else FEW_OF_UNKNOWN)


class Sieve:
    """Picks the members' profiles out of pages: each once, however often it comes along."""

    def __init__(self, members: Members, columns: Sequence[Column]) -> None:
        self.members = members
        self.columns = columns
        self.read = (PROFILE_ID, *columns)
        self._had = bytearray(len(members))
        self._lost = dict.fromkeys((column.name for column in columns), 0)
        fields = [(column.name, column.kind.arrow) for column in columns]
        self._schema = pa.schema([(CUSTOMER_ID, pa.string()), *fields, (SEGMENTS, SEGMENT_LIST)])

    def sift(self, page: Page) -> pa.RecordBatch:
        """A page's rows of members that did not come before. It blocks for a few milliseconds: call it in a thread."""
        rows, places = self._fresh(page.rows.column(0))
        for name, flags in page.lost.items():
            if name in self._lost:
                self._lost[name] += flags.take(rows).true_count
        kept = page.rows.take(rows)
        return pa.record_batch([*kept.columns, self.members.segments_at(places)], schema=self._schema)

    def _fresh(self, ids: pa.Array) -> tuple[pa.Array, list[int]]:
        """The members among these ids that did not come before: at which rows, and their places among the members."""
        rows, places = [], []
        found = self.members.places(pc.fill_null(ids, "").to_pylist()).to_pylist()
        for row, place in enumerate(found):
            if place is not None and not self._had[place]:
                self._had[place] = True
                rows.append(row)
                places.append(place)
        return pa.array(rows, pa.int32()), places

    @property
    def without_profile(self) -> int:
        return len(self._had) - sum(self._had)

    def notes(self) -> list[Note]:
        return [Note(_LOST, field=name, values=lost) for name, lost in self._lost.items() if lost]


async def _side_by_side(
    client: DataverseClient, requests: Iterable[str], columns: Sequence[Column]
) -> AsyncGenerator[Page, None]:
    """The pages of many requests, a few of which are under way at any time."""
    under_way: deque[asyncio.Task[list[Page]]] = deque()
    try:
        for request in requests:
            under_way.append(asyncio.create_task(_whole(client, request, columns)))
            if len(under_way) > PARALLEL:  # of these, one more than may be sent waits for its turn
                for page in await under_way[0]:
                    yield page
                under_way.popleft()
        while under_way:
            for page in await under_way[0]:
                yield page
            under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _whole(client: DataverseClient, request: str, columns: Sequence[Column]) -> list[Page]:
    """All pages of a request for some hundred customers."""
    async with aclosing(client.scan(request, columns, _nothing)) as pages:
        return [page async for page in pages]


async def _total_profiles(client: DataverseClient) -> int | None:
    """How many profiles there are, as of at most a day ago; None where Dataverse can't say."""
    try:
        answer = await client.get(queries.TOTAL_PROFILES)
        return int(answer["EntityRecordCountCollection"]["Values"][0])
    except (DataverseError, LookupError, TypeError, ValueError):
        return None


def _nothing() -> None:
    """A scan of profiles may begin again: the sieve knows what it had."""
