"""What the entity sets have in common: columns, and rows in the order of the primary key, from any key on.

A row is known by its number within its table. Rows are handed out in batches whose columns are computed only when
asked for, so a scan costs little more than what it selects.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, Generic, Self, TypeVar
from uuid import NAMESPACE_URL, uuid5

from bot.sandbox.dataverse.population import Column, Value
from bot.sandbox.dataverse.world import KEY_SPACE, AddedRows

REFRESHED = "2026-11-20T03:12:44Z"
CREATED = "2026-03-02T02:40:10Z"
ETAG = "@odata.etag"
OWNER = str(uuid5(NAMESPACE_URL, "https://contoso.example/owner"))

SYSTEM_COLUMNS: dict[str, Column] = {
    "createdon": Column("DateTime", "Created On", lambda numbers, hashes: [CREATED] * len(hashes), system=True),
    "modifiedon": Column("DateTime", "Modified On", lambda numbers, hashes: [REFRESHED] * len(hashes), system=True),
    "versionnumber": Column("BigInt", "Version Number", system=True),
    "partitionid": Column("String", "Partition Id", system=True),
    "ttlinseconds": Column("Integer", "Time to live", system=True),
    "_ownerid_value": Column("Owner", "Owner", lambda numbers, hashes: [OWNER] * len(hashes), system=True),
    "importsequencenumber": Column("Integer", None, system=True),
    "overriddencreatedon": Column("DateTime", None, system=True),
}

FIRST_VERSION = 1_234_567
_TAILS = tuple(f"4{i:03x}-8{i * 29 % 4096:03x}-{i * 0x9E3779B97F4A7 % (1 << 48):012x}" for i in range(4096))


def guid(key: int, bits: int) -> str:
    """A primary key that sorts by `key`, its first 48 bits."""
    return f"{key >> 16:08x}-{key & 0xFFFF:04x}-{_TAILS[bits & 4095]}"


class Batch(ABC):
    """Some rows of a table, in the order of the primary key. What was worked out about them goes along with them."""

    _worked_out: ClassVar[tuple[str, ...]] = ()
    """Names of cached lists, one value a row."""

    def __init__(self, rows: Sequence[int]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @property
    @abstractmethod
    def keys(self) -> list[int]:
        """What the rows are ordered by."""

    @abstractmethod
    def column(self, name: str) -> list[Value]:
        """The rows' values in a column that the table has."""

    @abstractmethod
    def of(self, rows: Sequence[int]) -> Self:
        """A batch of other rows of the same table."""

    def keep(self, flags: Iterable[object]) -> Self:
        """The rows whose flags are true."""
        places = [place for place, flag in enumerate(flags) if flag]
        return self if len(places) == len(self.rows) else self.at(places)

    def __add__(self, later: Self) -> Self:
        batch = self.of([*self.rows, *later.rows])
        for name in self._worked_out:
            if name in self.__dict__ and name in later.__dict__:
                batch.__dict__[name] = self.__dict__[name] + later.__dict__[name]
        return batch

    def at(self, places: Sequence[int]) -> Self:
        """The rows at these places, counted from 0."""
        batch = self.of([self.rows[place] for place in places])
        for name in self._worked_out:
            if (values := self.__dict__.get(name)) is not None:
                batch.__dict__[name] = [values[place] for place in places]
        return batch

    def versions(self) -> list[int]:
        return [FIRST_VERSION + row for row in self.rows]

    def records(self, names: Sequence[str]) -> list[dict[str, Value]]:
        """The rows as they stand in an answer: the ETag, then the named columns."""
        etags = [f'W/"{version}"' for version in self.versions()]
        columns = [etags, *(self.column(name) for name in names)]
        fields = (ETAG, *names)
        return [dict(zip(fields, row, strict=True)) for row in zip(*columns, strict=True)]


B = TypeVar("B", bound=Batch)


class Table(ABC, Generic[B]):
    """An entity set."""

    logical_name: str
    schema_name: str
    set_name: str
    primary_key: str
    primary_name: str
    elastic = True

    @property
    def privilege(self) -> str:
        return f"prvRead{self.logical_name}"

    @property
    @abstractmethod
    def columns(self) -> Mapping[str, Column]: ...

    @abstractmethod
    def scan(self, after: int, limit: int) -> tuple[B, int | None]:
        """About `limit` rows with keys greater than `after` (-1: from the start), and the key to go on after.

        The key is None when no rows are left. Fewer rows than asked for do not mean the end.
        """

    @abstractmethod
    def find(self, customer_ids: Iterable[str]) -> B:
        """The rows of these customers."""

    @abstractmethod
    def estimate(self) -> int:
        """About how many rows there are."""


class RecordBatch(Batch):
    """Rows that are simply held: those of small tables and of definitions."""

    def __init__(self, records: Sequence[Mapping[str, Value]], rows: Sequence[int] | None = None) -> None:
        super().__init__(range(len(records)) if rows is None else rows)
        self._records = records

    @property
    def keys(self) -> list[int]:
        return list(self.rows)

    def of(self, rows: Sequence[int]) -> Self:
        return type(self)(self._records, rows)

    def column(self, name: str) -> list[Value]:
        return [self._records[row][name] for row in self.rows]


def system_column(name: str, batch: Batch, hashes: Sequence[int]) -> list[Value]:
    """A column that every table has. Raises `KeyError` if there is none of this name."""
    return [*batch.versions()] if name == "versionnumber" else SYSTEM_COLUMNS[name].derive(batch.rows, hashes)


def merged(rows: Sequence[int], added: AddedRows, between: tuple[int, int], key: Callable[[int], int]) -> Sequence[int]:
    """`rows` with those added later whose keys are in between, in the order of their keys."""
    extra = added.between(*between)
    return sorted([*rows, *extra], key=key) if extra else rows


def first_after(after: int, size: int, key: Callable[[int], int]) -> int:
    """The first of the rows 0 … size - 1 whose key is greater than `after`; keys rise with the row."""
    if size == 0 or after < 0:
        return 0
    row = min(after // (KEY_SPACE // size), size)
    return row + 1 if row < size and key(row) <= after else row
