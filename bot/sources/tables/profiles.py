"""Reads profiles and lists of ids with DuckDB. Everything here blocks: `desk.py` calls it in a thread."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from bot.duck import DuckDBConnection, identifier
from bot.sources.base import CUSTOMER_ID, SEGMENTS, Field, FieldMissing
from bot.sources.tables.faults import in_table
from bot.sources.tables.files import FileFault, Table
from bot.sources.tables.membership import Membership, locate

BATCH_ROWS = 20_480  # a multiple of DuckDB's vectors of 2,048 rows
FEWEST_ROWS = 10_000  # where few profiles are members, batches are joined until they have so many rows

_ID = CUSTOMER_ID.casefold()
_RESERVED = frozenset({_ID, SEGMENTS})  # columns that every batch has
_SIGNED = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"})
_NUMBERS = _SIGNED | {"UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE", "DECIMAL"}


def key_of(id_sql: str) -> str:
    """SQL for the digest that stands for an id: 16 bytes, and of no use to whoever finds it."""
    return f"unhex(md5({id_sql}))"


def columns(connection: DuckDBConnection, table: Table) -> dict[str, str]:
    """The table's columns and DuckDB's names of their types. Raises `FileFault`, also if CustomerId is missing."""
    with _reading(table):
        types = dict(row[:2] for row in connection.execute(f"DESCRIBE FROM {table.relation}").fetchall())
    if not any(name.casefold() == _ID for name in types):
        raise FileFault(f"{table.name} has no column named {CUSTOMER_ID}{_instead(next(iter(types), ''))}")
    return types


def fields(connection: DuckDBConnection, table: Table) -> list[Field]:
    """What a profile offers beside its CustomerId."""
    types = columns(connection, table)
    return [Field(name, field_type(type_)) for name, type_ in types.items() if name.casefold() not in _RESERVED]


def require(types: Mapping[str, str], wanted: Iterable[str]) -> None:
    """Raise `FieldMissing` unless the profile has these fields."""
    missing = [name for name in wanted if name not in types or name.casefold() in _RESERVED - {_ID}]
    if missing:
        raise FieldMissing.among([name for name in types if name.casefold() not in _RESERVED], missing)


def field_type(type_: str) -> str:
    """The source's word for a DuckDB type: text, number, boolean or date."""
    base = type_ if type_.endswith("]") else type_.partition("(")[0]
    if base in _NUMBERS:
        return "number"
    if base == "BOOLEAN":
        return "boolean"
    return "date" if base == "DATE" or re.fullmatch(r"TIMESTAMP(_\w+| WITH TIME ZONE)?", base) else "text"


def sample(
    connection: DuckDBConnection, table: Table, wanted: Sequence[str], first_rows: int | None = None
) -> dict[str, str | None]:
    """One non-empty value of each field as text, None where there is none (in the first so many rows, if given)."""
    if not wanted:
        return {}
    values = ", ".join(f"any_value(NULLIF(trim(CAST({identifier(field)} AS VARCHAR)), ''))" for field in wanted)
    rows = table.relation if first_rows is None else f"(FROM {table.relation} LIMIT {first_rows})"
    with _reading(table):
        row = connection.execute(f"SELECT {values} FROM {rows}").fetchone()
    return dict(zip(wanted, row or (), strict=True))


def count_ids(connection: DuckDBConnection, table: Table) -> int:
    """How many distinct ids a list holds."""
    columns(connection, table)
    with _reading(table):
        id_ = f"CAST({CUSTOMER_ID} AS VARCHAR)"
        row = connection.execute(f"SELECT count(DISTINCT {id_}) FROM {table.relation} WHERE {id_} <> ''").fetchone()
    return int(row[0]) if row else 0


class Scan:
    """The members' profiles, read once, batch by batch in any order."""

    def __init__(
        self, connection: DuckDBConnection, table: Table, membership: Membership, wanted: Sequence[str]
    ) -> None:
        self.nameless = 0  # profiles without CustomerId, so far
        self._connection = connection
        self._table = table
        self._membership = membership
        self._places: list[pa.Array] = []  # of the members found so far
        names = [field for field in dict.fromkeys(wanted) if field != CUSTOMER_ID]
        self._names = [CUSTOMER_ID, *names, SEGMENTS]
        with _reading(table):
            self._batches = connection.sql(self._query(names)).to_arrow_reader(BATCH_ROWS)

    def next_batch(self) -> pa.RecordBatch | None:
        """The next members' profiles, None at the end."""
        gathered: list[pa.RecordBatch] = []
        rows = 0
        with _reading(self._table):
            for batch in self._batches:
                if len(members := self._members_in(batch)):
                    gathered.append(members)
                    rows += len(members)
                if rows >= FEWEST_ROWS:
                    break
        return pa.concat_batches(gathered) if gathered else None

    def without_profile(self) -> int:
        """How many members have no profile. To be asked at the end."""
        self._batches.close()
        self._connection.register("places", pa.table({"place": pa.chunked_array(self._places, pa.uint32())}))
        # A bit for each member takes an eighth of a byte; counting distinct values would take hundreds of times that.
        last = max(0, len(self._membership) - 1)
        found = self._connection.execute(f"SELECT bit_count(bitstring_agg(place, 0, {last})) FROM places").fetchone()
        return len(self._membership) - int(found[0] if found and found[0] else 0)

    def close(self) -> None:
        self._batches.close()

    def _query(self, names: Iterable[str]) -> str:
        types = columns(self._connection, self._table)
        require(types, names)
        id_ = f"NULLIF(CAST(profile.{CUSTOMER_ID} AS VARCHAR), '')"
        shown = [_as_interchanged(f"profile.{identifier(name)}", types[name]) for name in names]
        return f"SELECT {', '.join([key_of(id_), id_, *shown])} FROM {self._table.relation} AS profile"

    def _members_in(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        key, *values = batch.columns
        self.nameless += key.null_count
        place = locate(self._membership.keys, key)
        member = place.is_valid()
        place = place.filter(member)
        self._places.append(place.cast(pa.uint32()))
        kept = [value.filter(member) for value in values]
        return pa.record_batch([*kept, self._membership.segments_at(place)], names=self._names)


def _as_interchanged(column: str, type_: str) -> str:
    """SQL for a column in one of the few types that batches carry."""
    match field_type(type_):
        case "text":
            return f"CAST({column} AS VARCHAR)"
        case "date" if type_ != "DATE":
            return f"CAST({column} AS TIMESTAMP)"  # microseconds, UTC
        case "number" if type_ == "HUGEINT":
            return f"CAST({column} AS DECIMAL(38, 0))"  # files that disagree about a number's sign end up here
        case _:
            return column


@contextmanager
def _reading(table: Table) -> Iterator[None]:
    """Turn DuckDB's errors into words; a stream reports the same ones as OSError."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        if "Out of Memory" in str(error):
            raise FileFault(f"{table.name} needs more memory to be read than may be used for it") from None
        raise FileFault(in_table(str(error), table) or f"{table.name} can't be read; perhaps it is damaged") from None


def _instead(name: str) -> str:
    """What stands in its place, if that is surely a name and nobody's data."""
    return f" (the first is {name})" if re.fullmatch(r"[A-Za-z_]{1,30}", name) else ""
