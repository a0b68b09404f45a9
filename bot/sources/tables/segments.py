"""The members of segments: which job a child process gets for each, and what its failures mean."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from bot.duck import DuckDBConnection
from bot.sources.base import SegmentFailed, SourceError
from bot.sources.tables.child import ChildFailed, ChildStopped, Job, Limits, compute, keys_in
from bot.sources.tables.desk import Desk
from bot.sources.tables.faults import SegmentListFailed, SegmentTableFailed, in_sql, in_table
from bot.sources.tables.files import FileFault, Table
from bot.sources.tables.folder import Folder, SegmentFile
from bot.sources.tables.profiles import columns, key_of

CHILDREN = 2  # segments computed side by side
SQL_BYTES = 1_000_000  # the longest SQL of a segment

# What the child's errors are when they come from the files that it reads, rather than from its SQL.
_READING = frozenset({"InvalidInputException", "IOException", "Error", "OSError"})

_FAILURES: Mapping[str, type[SegmentFailed]] = {
    "sql": SegmentFailed,
    "csv": SegmentListFailed,
    "parquet": SegmentListFailed,
    "table": SegmentTableFailed,
}


class Segments:
    """Computes who is in which segment of a folder, at most two segments at a time."""

    def __init__(self, folder: Folder, limits: Limits) -> None:
        self._folder = folder
        self._limits = limits
        self._slots = asyncio.Semaphore(CHILDREN)

    async def keys(self, desk: Desk, names: Sequence[str], profiles: Table) -> list[pa.Array]:
        """The keys of each segment's members (binary, ascending, distinct). Raises `SourceError`."""
        files = await desk.do(lambda _: [self._folder.segment(name) for name in names])
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._keys(desk, file, profiles)) for file in files]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _keys(self, desk: Desk, file: SegmentFile, profiles: Table) -> pa.Array:
        failed = _FAILURES[file.format]
        try:
            job, table = await desk.do(self._job, file, profiles)
            async with self._slots:
                answer = await compute(job, self._limits)
            return await desk.do(lambda _: keys_in(answer))
        except (FileFault, ChildStopped) as fault:
            raise failed(segment=file.segment, detail=fault) from None
        except ChildFailed as failure:
            raise self._explained(failure, file, table) from None

    def _job(self, connection: DuckDBConnection, file: SegmentFile, profiles: Table) -> tuple[Job, Table]:
        """What to compute, and over which table. Raises `FileFault`."""
        if file.format == "sql":
            sql = _read_sql(self._folder.inside(file.path, file.shown), file.shown)
            return Job(sql, "profiles", profiles.relation, profiles.paths, key_of("id")), profiles
        table = self._folder.list_table(file)
        columns(connection, table)
        return Job("FROM members", "members", table.relation, table.paths, key_of("id")), table

    def _explained(self, failure: ChildFailed, file: SegmentFile, table: Table) -> SourceError:
        fault = in_table(failure.message, table) if failure.kind in _READING else None
        detail = in_sql(failure.kind, failure.message, self._limits.memory_mb)
        if file.format != "sql":
            return _FAILURES[file.format](segment=file.segment, detail=fault or detail)
        if fault is not None:
            return self._folder.unreadable(fault)
        return SegmentFailed(segment=file.segment, detail=detail)


def _read_sql(path: Path, shown: str) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(SQL_BYTES + 1)
        if len(text) > SQL_BYTES:
            raise FileFault(f"{shown} is longer than {SQL_BYTES:,} bytes")
        return text.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileFault(f"{shown} is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise FileFault(f"{shown} can't be opened ({error.strerror})") from None
