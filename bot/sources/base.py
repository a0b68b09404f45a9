"""Where unified profiles come from: the protocol that every source keeps.

Arrow record batches are the interchange format: a million profiles pass through without a Python object each.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

import pyarrow as pa

from bot.sources.nearest import nearest
from storage.errors import FerryError, mark

CUSTOMER_ID = "CustomerId"  # the key of a unified profile: opaque text, never parsed
SEGMENTS = "segments"  # the column that says which of the asked-for segments a profile belongs to


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment that a source offers. `members` is None where counting it would cost a scan.

    `counted_at`: when the members were counted (aware), for a source that remembers counts; None: just now. `title`:
    how people call it in the source, where that is something else than its name.
    """

    name: str
    members: int | None = None
    counted_at: datetime | None = None
    title: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the unified profile, with the source's own word for its type and, where known, its meaning.

    `technical`: a key of some system that nobody would map; it is not offered, though it may be named.
    """

    name: str
    type: str = "text"
    semantic_type: str | None = None  # such as `Identity.Service.Email` (Customer Insights)
    technical: bool = False


class Note(str):
    """Something that people should know about a reading: its English text, which remembers what it was made of.

    `template` is a text marked for translation, `facts` fill in its placeholders.
    """

    template: str
    facts: dict[str, str | int]

    def __new__(cls, template: str, **facts: str | int) -> Self:
        shown = {name: f"{fact:,}" if isinstance(fact, int) else fact for name, fact in facts.items()}
        note = super().__new__(cls, template.format_map(shown))
        note.template, note.facts = template, facts
        return note


@dataclass(slots=True)
class ReadSummary:
    """What a finished reading found out: complete only after the stream has ended.

    `members` counts the distinct ids of each segment; `without_profile` counts members that have no profile row.
    """

    members: dict[str, int] = field(default_factory=dict)
    without_profile: int = 0
    notes: list[Note] = field(default_factory=list)


class ProfileStream(Protocol):
    """An open reading: an async context manager that yields record batches, one row a member profile.

    Columns: `CustomerId` (string), one column per asked-for field (string, or the source's number, boolean or date
    type), and `segments` (list<int32>: indexes into the asked-for segments, ascending). A profile that is in none of
    them is not in the stream. Two rows may carry the same email; that is for staging to fold.
    """

    @property
    def summary(self) -> ReadSummary: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __aiter__(self) -> AsyncIterator[pa.RecordBatch]: ...


class Source(Protocol):
    """A place that unified profiles are read from."""

    @property
    def kind(self) -> str:
        """A short name such as `tables`, stored with a connection."""
        ...

    @property
    def label(self) -> str:
        """How people call it, without any secret (a folder's name, a host)."""
        ...

    async def check(self) -> None:
        """Raise a `SourceError` that names the cause if the source can't be read."""
        ...

    async def segments(self) -> Sequence[Segment]:
        """The segments on offer, by name."""
        ...

    async def count(self, segment: str) -> int:
        """How many members the segment has now; raises as `profiles` does."""
        ...

    async def fields(self) -> Sequence[Field]:
        """The profile's columns, without `CustomerId`."""
        ...

    async def sample(self, fields: Sequence[str]) -> Mapping[str, str | None]:
        """One non-empty value of each field, for a masked example; None where there is none."""
        ...

    def profiles(self, segments: Sequence[str], fields: Sequence[str]) -> ProfileStream:
        """The members' profiles. Raises `SegmentMissing`, `FieldMissing` or another `SourceError` on entering."""
        ...

    async def close(self) -> None: ...


class SourceError(FerryError):
    """The root of what a source raises. Nothing has been sent when it is raised."""

    code = "source"
    consequence = mark("Nothing was sent.")


class SourceUnreadable(SourceError):
    code = "source-unreadable"
    what = mark("The profiles can't be read: {detail}.")
    remedy = mark("Check the source ({source}) or ask whoever looks after it, then run again.")


class SourceBusy(SourceError):
    """The source is being changed at large, so that what is read would not fit together. It passes by itself."""

    code = "source-busy"


class SegmentMissing(SourceError):
    code = "segment-missing"
    what = mark("The segment *{segment}* is not in the source ({source}).{near}")
    remedy = mark(
        "Bring it back, or ask whoever looks after the source to; or edit the export and choose another segment."
    )


class SegmentFailed(SourceError):
    code = "segment-failed"
    what = mark("The segment *{segment}* can't be computed: {detail}.")
    remedy = mark("Whoever wrote its SQL can mend it: one SELECT of CustomerId over profiles, and nothing else.")


class FieldMissing(SourceError):
    code = "field-missing"
    what = mark("The profile has no field named {field} any more.{near}")
    remedy = mark("Edit the export's mapping and choose another field for {used_for}.")

    @classmethod
    def among(cls, there: Collection[str], missing: Sequence[str], used_for: str = "") -> Self:
        """Of these fields, at least one. `there`: those that the profile has, of which some may be meant."""
        alike = dict.fromkeys(near for name in missing if (near := nearest(name, there)))
        near = f" Did you mean {', '.join(alike)}?" if alike else ""
        purpose = used_for or ("it" if len(missing) == 1 else "each of them")
        return cls(field=", ".join(missing), near=near, used_for=purpose)
