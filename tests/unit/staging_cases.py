"""Profiles and ledgers for tests of staging's differences, in a DuckDB of their own."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from bot.duck import connect
from bot.pipeline.mapping import Line, Plan, check
from bot.pipeline.staging import Selected, Staging
from storage.ledger import LEDGER_SCHEMA
from storage.secrets import DigestKey

KEY = DigestKey(bytes(range(32)))
VIP, NEW, LOST = (Selected(name, f"segment_{name.lower()}_0a") for name in ("VIP", "New", "Lost"))
PLAN = check([Line("email", "Email"), Line("firstName", "First"), Line("lastName", "Last")])

Entry = tuple[str, bytes, str, bool]
"""Of the ledger: email, payload digest, state of its batch, whether Omnisend knows the contact."""


def person(customer_id: str, email: str | None, segments: Sequence[int] = (0,), **values: Any) -> dict[str, Any]:
    return {"CustomerId": customer_id, "Email": email, **values, "segments": list(segments)}


def profiles(
    rows: Sequence[Mapping[str, Any]], types: Mapping[str, pa.DataType], fields: Sequence[str]
) -> pa.RecordBatch:
    """A batch as a source gives it: each field text unless `types` says otherwise."""
    columns = {"CustomerId": pa.array([row["CustomerId"] for row in rows], pa.string())}
    for name in fields:
        columns[name] = pa.array([row.get(name) for row in rows], types.get(name, pa.string()))
    columns["segments"] = pa.array([row["segments"] for row in rows], pa.list_(pa.int32()))
    return pa.record_batch(columns)


@contextmanager
def staged(
    *rows: Mapping[str, Any],
    plan: Plan = PLAN,
    segments: Sequence[Selected] = (VIP, NEW),
    types: Mapping[str, pa.DataType] | None = None,
    ledger: Sequence[Entry] = (),
    **options: Any,
) -> Iterator[Staging]:
    """Staging with these profiles and this ledger taken in, not yet compared."""
    staging = Staging(connect(memory_mb=256, spill=None, threads=1), plan, segments, KEY, **options)
    try:
        staging.add(profiles(rows, types or {}, plan.fields))
        if ledger:
            emails, payloads, states, known = zip(*ledger, strict=True)
            digests = [KEY.of_email(email) for email in emails]
            columns = [pa.array(digests, pa.binary()), pa.array(payloads, pa.binary()), pa.array(states)]
            staging.add_ledger(pa.record_batch([*columns, pa.array(known, pa.bool_())], schema=LEDGER_SCHEMA))
        yield staging
    finally:
        staging.close()


@dataclass(frozen=True)
class Outgoing:
    """A contact to create or update."""

    digest: bytes
    payload: bytes
    op: str
    known: bool
    email: str
    body: dict[str, Any]


def outgoing(staging: Staging, only: Sequence[bytes] | None = None) -> list[Outgoing]:
    """What goes out, in order."""
    rows = [row for batch in staging.upserts(only) for row in batch.to_pylist()]
    return [Outgoing(**{**row, "body": orjson.loads(row["body"])}) for row in rows]


def gone(staging: Staging, only: Sequence[bytes] | None = None) -> list[bytes]:
    """Who is taken out of the segments, in order."""
    return [row["digest"] for batch in staging.removals(only) for row in batch.to_pylist()]


def contact(*rows: Mapping[str, Any], **options: Any) -> Outgoing:
    """The one contact that these profiles make."""
    with staged(*rows, **options) as staging:
        staging.compare()
        [only] = outgoing(staging)
        return only
