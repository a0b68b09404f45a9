"""Staging over rows given as dicts, and what it says of them as plain Python: what its tests share."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from bot import duck
from bot.pipeline.mapping import Line, check
from bot.pipeline.staging import Comparison, Selected, Staging
from storage.ledger import LEDGER_SCHEMA
from storage.secrets import DigestKey

KEY = DigestKey(bytes(range(32)))
EMAIL = Line("email", "Email")
FIRST = Line("firstName", "First")
VIP = Selected("VIP", "segment_vip")
NEWS = Selected("News", "segment_news")


class Contact(NamedTuple):
    """A contact as staging hands it out to be sent."""

    email: str
    op: str
    known: bool
    payload: bytes
    body: dict[str, Any]


class Standing(NamedTuple):
    """A contact as the ledger has it."""

    email: str
    payload: bytes = b"something else"
    state: str = "confirmed"
    known: bool = True


def profile(email: str | None = "ann@example.com", segments: Sequence[int] = (0,), **fields: Any) -> dict[str, Any]:
    """A row as a source gives it; customer ids are given by `batch` where `CustomerId` is left out."""
    return {"Email": email, "segments": list(segments), **fields}


def batch(rows: Sequence[Mapping[str, Any]], types: Mapping[str, pa.DataType] | None = None) -> pa.RecordBatch:
    """Rows as Arrow: text unless `types` says otherwise."""
    types = {"segments": pa.list_(pa.int32()), **(types or {})}
    rows = [{"CustomerId": f"c{number:04}", **row} for number, row in enumerate(rows)]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: pa.array([row.get(name) for row in rows], types.get(name, pa.string())) for name in names}
    return pa.record_batch(columns)


@contextmanager
def staging(
    rows: Sequence[Mapping[str, Any]],
    lines: Iterable[Line] = (EMAIL,),
    segments: Sequence[Selected] = (VIP,),
    *,
    types: Mapping[str, pa.DataType] | None = None,
    ledger: Sequence[Standing] = (),
    **options: Any,
) -> Iterator[Staging]:
    """Staging with these rows and this ledger in it, before the comparison."""
    made = Staging(duck.connect(memory_mb=128, spill=None), check(lines), segments, KEY, **options)
    try:
        if rows:
            made.add(batch(rows, types))
        made.add_ledger(ledger_batch(ledger))
        yield made
    finally:
        made.close()


def ledger_batch(standings: Sequence[Standing]) -> pa.RecordBatch:
    columns = [
        pa.array([KEY.of_email(standing.email) for standing in standings], pa.binary()),
        pa.array([standing.payload for standing in standings], pa.binary()),
        pa.array([standing.state for standing in standings], pa.string()),
        pa.array([standing.known for standing in standings], pa.bool_()),
    ]
    return pa.record_batch(columns, schema=LEDGER_SCHEMA)


def rows_of(batches: Iterable[pa.RecordBatch]) -> list[dict[str, Any]]:
    return [row for batch in batches for row in batch.to_pylist()]


def to_send(made: Staging, only: Sequence[bytes] | None = None) -> list[Contact]:
    """What goes out as upserts, in its order."""
    return [
        Contact(row["email"], row["op"], row["known"], row["payload"], orjson.loads(row["body"]))
        for row in rows_of(made.upserts(only))
    ]


def send(rows: Sequence[Mapping[str, Any]], *lines: Line, **options: Any) -> dict[str, dict[str, Any]]:
    """The bodies that these rows make, by email, in a first run."""
    with staging(rows, (EMAIL, *lines), **options) as made:
        made.compare()
        return {contact.email: contact.body for contact in to_send(made)}


def value(column: Any, kind: pa.DataType | None = None, *, attribute: str = "custom:x", clear: bool = False) -> Any:
    """What one field's value becomes in the body; None where it is left out."""
    types = {"Field": kind} if kind is not None else None
    rows = [profile(Field=column)]
    (body,) = send(rows, Line(attribute, "Field", clear=clear), types=types).values()
    return body["customProperties"].get("x") if attribute == "custom:x" else body.get(attribute)


def compared(made: Staging, **options: Any) -> tuple[Comparison, dict[str, str]]:
    """The comparison, and for each contact to be sent what it is."""
    comparison = made.compare(**options)
    return comparison, {contact.email: contact.op for contact in to_send(made)}


def rejected(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Reason by customer id."""
    with staging(rows) as made:
        made.compare()
        return {row["customer_id"]: row["reason"] for row in rows_of(made.rejects())}
