"""The source itself: what the protocol asks for, put together from the parts."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from bot.duck import DuckDBConnection
from bot.sources.base import Field, Note, ReadSummary, Segment
from bot.sources.tables import profiles
from bot.sources.tables.child import Limits
from bot.sources.tables.data_out import AnyFolder
from bot.sources.tables.desk import Desk
from bot.sources.tables.files import FileFault
from bot.sources.tables.folder import Folder, SegmentFile
from bot.sources.tables.membership import fold
from bot.sources.tables.segments import Segments
from storage.errors import mark

FIRST_ROWS = 10_000  # where samples are looked for first
_NAMELESS = mark("{rows} rows of profiles have no CustomerId and were left out.")
SMALL_LIST_BYTES = 1_000_000  # a list of ids up to this size is counted when segments are listed


class TablesSource:
    """Unified profiles and segments from a folder of files (the layout stands in the package's docstring).

    `memory_mb` is what DuckDB may use to read the profiles; a file with very large row groups may need more than the
    default. `segment_seconds` is how long the computation of one segment may take.
    """

    def __init__(self, folder: Path, *, memory_mb: int = 128, segment_seconds: float = 60) -> None:
        self._folder: Folder = AnyFolder(folder)
        self._memory_mb = memory_mb
        self._segments = Segments(self._folder, Limits(seconds=segment_seconds))

    @property
    def kind(self) -> str:
        return "tables"

    @property
    def label(self) -> str:
        return self._folder.label

    async def check(self) -> None:
        """Raise unless there are profiles with a CustomerId and segments that are told apart by their names."""
        await self.fields()
        async with Desk(self._memory_mb) as desk:
            with self._folder.reading():
                await desk.do(lambda _: self._folder.segments())

    async def segments(self) -> Sequence[Segment]:
        async with Desk(self._memory_mb) as desk:
            with self._folder.reading():
                files = await desk.do(lambda _: self._folder.segments())
            return [Segment(name, await desk.do(_small_count, self._folder, file)) for name, file in files.items()]

    async def count(self, segment: str) -> int:
        async with Desk(self._memory_mb) as desk:
            with self._folder.reading():
                table = await desk.do(lambda _: self._folder.profiles())
                (keys,) = await self._segments.keys(desk, [segment], table)
            return len(keys)

    async def fields(self) -> Sequence[Field]:
        async with Desk(self._memory_mb) as desk:
            with self._folder.reading():
                table = await desk.do(lambda _: self._folder.profiles())
                return await desk.do(profiles.fields, table)

    async def sample(self, fields: Sequence[str]) -> Mapping[str, str | None]:
        found: dict[str, str | None] = dict.fromkeys(fields)
        async with Desk(self._memory_mb) as desk:
            with self._folder.reading():
                table = await desk.do(lambda _: self._folder.profiles())
                profiles.require(await desk.do(profiles.columns, table), fields)
                # Most fields have a value near the beginning; only for the others is the whole file worth a look.
                for rows in (FIRST_ROWS, None):
                    missing = [field for field, value in found.items() if value is None]
                    found |= await desk.do(profiles.sample, table, missing, rows)
        return found

    def profiles(self, segments: Sequence[str], fields: Sequence[str]) -> "TablesStream":
        return TablesStream(self._folder, self._segments, Desk(self._memory_mb), segments, fields)

    async def close(self) -> None:
        """Nothing stays open between two calls."""


class TablesStream:
    """A reading of the folder's profiles; see `ProfileStream`. Not for a second use."""

    def __init__(
        self, folder: Folder, segments: Segments, desk: Desk, names: Sequence[str], fields: Sequence[str]
    ) -> None:
        self._folder = folder
        self._segments = segments
        self._desk = desk
        self._names = names
        self._fields = fields
        self._open = AsyncExitStack()
        self._scan: profiles.Scan | None = None
        self.summary = ReadSummary()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            await opening.enter_async_context(self._desk)
            with self._folder.reading():
                self._scan = await self._begin()
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scan = None
        await self._open.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> pa.RecordBatch:
        if self._scan is None:
            raise StopAsyncIteration
        with self._folder.reading():
            batch = await self._desk.do(_next_batch, self._scan)
        if batch is None:
            await self._finish(self._scan)
            raise StopAsyncIteration
        return batch

    async def _begin(self) -> profiles.Scan:
        """Find out who is a member, then begin to read."""
        table = await self._desk.do(lambda _: self._folder.profiles())
        profiles.require(await self._desk.do(profiles.columns, table), self._fields)
        keys = await self._segments.keys(self._desk, self._names, table)
        self.summary.notes += await self._desk.do(lambda _: self._folder.notes(self._names))
        self.summary.members = {name: len(members) for name, members in zip(self._names, keys, strict=True)}
        membership = await self._desk.do(lambda _: fold(keys))
        scan = await self._desk.do(profiles.Scan, table, membership, self._fields)
        self._desk.keep(scan.close)
        return scan

    async def _finish(self, scan: profiles.Scan) -> None:
        self._scan = None
        self.summary.without_profile = await self._desk.do(lambda _: scan.without_profile())
        if scan.nameless:
            self.summary.notes.append(Note(_NAMELESS, rows=scan.nameless))


def _next_batch(_: DuckDBConnection, scan: profiles.Scan) -> pa.RecordBatch | None:
    return scan.next_batch()


def _small_count(connection: DuckDBConnection, folder: Folder, file: SegmentFile) -> int | None:
    """How many ids a small list holds; None for SQL, for a large list, and for one that can't be read."""
    if file.format == "sql":
        return None
    try:
        table = folder.list_table(file)
        small = sum(path.stat().st_size for path in table.files.values()) <= SMALL_LIST_BYTES
        return profiles.count_ids(connection, table) if small else None
    except (FileFault, OSError):
        return None
