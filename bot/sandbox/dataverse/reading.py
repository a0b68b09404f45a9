"""Answering a query: which rows make up a page, and where the next one starts."""

import asyncio
from dataclasses import dataclass
from typing import Any, Generic

from bot.sandbox.dataverse.assumptions import Assumptions
from bot.sandbox.dataverse.errors import not_implemented
from bot.sandbox.dataverse.population import Value
from bot.sandbox.dataverse.query import Query
from bot.sandbox.dataverse.tables import B, Table

START = -1
CHUNK = 5_000
SORTABLE_ROWS = 200_000
"""The emulator's own limit, not Dataverse's: sorting needs all rows at once."""


@dataclass(frozen=True)
class Page(Generic[B]):
    """Rows of an answer; `cursor` is where the next page starts, None after the last."""

    rows: B
    cursor: int | None
    scanned: int


async def read_page(table: Table[B], query: Query, cursor: int, size: int, scan_rows: int) -> Page[B]:
    """The next `size` rows after `cursor`.

    A filter that has to look at more than `scan_rows` rows ends its page early, with a link and perhaps without a
    row. Other requests are served between chunks.
    """
    if query.order:
        return _slice(_sorted_rows(table, query), cursor, size)
    pinned = query.condition.pinned("msdynci_customerid") if query.condition else None
    if pinned is not None:
        batch = table.find(pinned)
        return _page_of(_filtered(batch.keep(key > cursor for key in batch.keys), query), size, None, len(batch))
    return await _scan(table, query, cursor, size, scan_rows)


async def _scan(table: Table[B], query: Query, cursor: int, size: int, scan_rows: int) -> Page[B]:
    filtered = query.condition is not None
    batch, after = table.scan(cursor, CHUNK if filtered else _enough_for(size + 1))
    scanned = len(batch)
    found = _filtered(batch, query)
    while after is not None and len(found) <= size and not (filtered and 0 < scan_rows <= scanned):
        await asyncio.sleep(0)
        batch, after = table.scan(after, CHUNK if filtered else _enough_for(size + 1 - len(found)))
        scanned += len(batch)
        found += _filtered(batch, query)
    return _page_of(found, size, after, scanned)


def _enough_for(rows: int) -> int:
    """How many places of a table to look at for so many rows: in the memberships, one place in four is empty."""
    return rows + rows // 3 + 10


def _filtered(batch: B, query: Query) -> B:
    return batch if query.condition is None else batch.keep(query.condition.matches(batch))


def _page_of(found: B, size: int, after: int | None, scanned: int) -> Page[B]:
    if len(found) <= size:
        return Page(found, after, scanned)
    rows = found.at(range(size))
    return Page(rows, rows.keys[-1], scanned)


async def count_rows(table: Table[B], query: Query, cap: int) -> int:
    """How many rows the query matches, as far as `cap`."""
    total = 0
    after: int | None = START
    while after is not None and total < cap:
        batch, after = table.scan(after, CHUNK)
        total += len(_filtered(batch, query))
        await asyncio.sleep(0)
    return min(total, cap)


def _sorted_rows(table: Table[B], query: Query) -> B:
    if table.estimate() > SORTABLE_ROWS:
        raise not_implemented(f"This emulator sorts no table of more than {SORTABLE_ROWS:,} rows.")
    batch, after = table.scan(START, SORTABLE_ROWS)
    ordered = _filtered(batch, query)
    while after is not None:
        batch, after = table.scan(after, SORTABLE_ROWS)
        ordered = batch.of([*ordered.rows, *_filtered(batch, query).rows])
    for order in reversed(query.order):
        values = ordered.column(order.column)
        places = sorted(range(len(values)), key=lambda place: _sort_key(values[place]), reverse=order.descending)
        ordered = ordered.at(places)
    return ordered


def _sort_key(value: Value) -> Any:
    return (value is not None, value.lower() if isinstance(value, str) else value or 0)


def _slice(ordered: B, cursor: int, size: int) -> Page[B]:
    """A page of sorted rows, whose cursor is the place of the last row given."""
    stop = cursor + 1 + size
    rows = ordered.at(range(cursor + 1, min(stop, len(ordered))))
    return Page(rows, stop - 1 if stop < len(ordered) else None, len(ordered))


def page_size(query: Query, assumptions: Assumptions) -> int:
    """How many rows a page may have. `$top` only counts where no page size was preferred."""
    if query.page_size is not None:
        return min(query.page_size, assumptions.page_cap)
    return min(query.top or assumptions.page_cap, assumptions.page_cap)
