"""A source in memory, for tests of everything behind the source's protocol."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from bot.sources.base import Field, ReadSummary, Segment, SegmentMissing


@dataclass
class MemorySource:
    """`profiles`: customer id → its fields. `members`: segment → customer ids. Both may be changed between runs."""

    profiles_by_id: dict[str, dict[str, Any]] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    kind: str = "tables"
    label: str = "memory"
    batch_rows: int = 1_000

    async def check(self) -> None:
        return

    async def segments(self) -> Sequence[Segment]:
        return [Segment(name, len(ids)) for name, ids in sorted(self.members.items())]

    async def count(self, segment: str) -> int:
        self._refuse_missing([segment])
        return len(self.members[segment])

    async def fields(self) -> Sequence[Field]:
        names = dict.fromkeys(name for profile in self.profiles_by_id.values() for name in profile)
        return [Field(name, self.types.get(name, "text")) for name in names]

    async def sample(self, fields: Sequence[str]) -> Mapping[str, str | None]:
        return {
            name: next((str(p[name]) for p in self.profiles_by_id.values() if p.get(name)), None) for name in fields
        }

    def profiles(self, segments: Sequence[str], fields: Sequence[str]) -> "MemoryStream":
        self._refuse_missing(segments)
        return MemoryStream(self, segments, fields)

    def _refuse_missing(self, segments: Sequence[str]) -> None:
        for name in segments:
            if name not in self.members:
                raise SegmentMissing(segment=name, source=self.label, near="")

    async def close(self) -> None:
        return


class MemoryStream:
    def __init__(self, source: MemorySource, segments: Sequence[str], fields: Sequence[str]) -> None:
        self._source, self._segments, self._fields = source, segments, fields
        self.summary = ReadSummary()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    async def __aiter__(self) -> AsyncIterator[pa.RecordBatch]:
        source = self._source
        rows: list[dict[str, Any]] = []
        for customer_id, profile in list(source.profiles_by_id.items()):
            positions = [n for n, name in enumerate(self._segments) if customer_id in source.members[name]]
            if positions:
                rows.append(
                    {"CustomerId": customer_id, "segments": positions}
                    | {name: profile.get(name) for name in self._fields}
                )
        for start in range(0, len(rows), source.batch_rows):
            yield _batch(rows[start : start + source.batch_rows], self._fields)
        members = [source.members[name] for name in self._segments]
        self.summary.members = {name: len(ids) for name, ids in zip(self._segments, members, strict=True)}
        self.summary.without_profile = len(set().union(*members) - source.profiles_by_id.keys())


def _batch(rows: list[dict[str, Any]], fields: Sequence[str]) -> pa.RecordBatch:
    columns = {"CustomerId": pa.array([row["CustomerId"] for row in rows], pa.string())}
    for name in fields:
        values = [row[name] for row in rows]
        text = all(value is None or isinstance(value, str) for value in values)
        columns[name] = pa.array(values, pa.string() if text else None)
    columns["segments"] = pa.array([row["segments"] for row in rows], pa.list_(pa.int32()))
    return pa.record_batch(columns)
