"""The source itself: what the protocol asks for, put together from the parts."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import httpx
import pyarrow as pa

from bot.sources.base import Field, Segment
from bot.sources.dataverse import queries
from bot.sources.dataverse.catalog import Catalog
from bot.sources.dataverse.client import DataverseClient, TokenProvider, default_transport
from bot.sources.dataverse.columns import PROFILE_ID, Column
from bot.sources.dataverse.pace import Pause
from bot.sources.dataverse.reading import Environment, ProfileReading, all_columns, chosen
from bot.sources.dataverse.refresh import NoRefreshes, RefreshClock, Refreshes

MOST_MEMBERS = 1_000_000  # of one export (Customer Insights docs, "Export segments to Omnisend")
SAMPLE_ROWS = 1_000  # where samples are looked for
SAMPLE_COLUMNS = 100  # asked for at once: the names of all columns of a wide table may not fit in an address
CHECK_TRIES = 2  # somebody is waiting for the answer


def _now() -> datetime:
    return datetime.now(UTC)


class DataverseSource:
    """Segments and unified profiles of one Customer Insights environment, read in the name of `tokens`.

    `url`: the environment's origin, checked by `environment_url`. `refresh`: who knows when Customer Insights
    refreshes. `most_members`: how many members a reading may have. `ca_file`: trust this certificate and no other (an
    emulator's). The rest is for tests: the way to Dataverse, time, and the jitter of retries.
    """

    def __init__(
        self,
        url: str,
        tokens: TokenProvider,
        *,
        refresh: RefreshClock | None = None,
        most_members: int | None = MOST_MEMBERS,
        ca_file: Path | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        pause: Pause = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _now,
        random: Random | None = None,
        page_rows: int = queries.PAGE_ROWS,
    ) -> None:
        self._client = DataverseClient(
            url,
            tokens,
            transport=transport or default_transport(ca_file, url=url),
            pause=pause,
            clock=clock,
            random=random,
            page_rows=page_rows,
        )
        refreshes = Refreshes(refresh or NoRefreshes(), now, self._client.source)
        self._catalog = Catalog(self._client, refreshes, now)
        self._environment = Environment(self._client, self._catalog, refreshes, most_members)

    @property
    def kind(self) -> str:
        return "dataverse"

    @property
    def label(self) -> str:
        return self._client.source

    async def check(self) -> None:
        """Raise unless the account is known there and may read both tables and what columns they have."""
        for query in (
            queries.WHO_AM_I,
            queries.one_row(queries.PROFILES, queries.CUSTOMER),
            queries.one_row(queries.MEMBERSHIPS, queries.CUSTOMER),
            queries.ATTRIBUTES,
        ):
            await self._client.get(query, tries=CHECK_TRIES)

    async def segments(self) -> Sequence[Segment]:
        """The segments on offer, with what was counted last and when. Old counts are renewed in the background."""
        return await self._catalog.segments()

    async def recount(self) -> None:
        """Count the members of every segment: a scan of all memberships (some hundred requests for a million)."""
        await self._catalog.recount()

    async def count(self, segment: str) -> int:
        return len((await self._catalog.enrol([segment])).members)

    async def fields(self) -> Sequence[Field]:
        return [column.field for column in (await all_columns(self._client)).values()]

    async def sample(self, fields: Sequence[str]) -> Mapping[str, str | None]:
        """One value of each field from the first page of profiles."""
        columns = chosen(await all_columns(self._client), fields)
        found: dict[str, str | None] = {}
        for start in range(0, len(columns), SAMPLE_COLUMNS):
            some = columns[start : start + SAMPLE_COLUMNS]
            query = queries.profiles([column.name for column in some])
            page = await self._client.first_page(query, [PROFILE_ID, *some], SAMPLE_ROWS)
            found |= await asyncio.to_thread(_first_values, page, some)
        return found

    def profiles(self, segments: Sequence[str], fields: Sequence[str]) -> ProfileReading:
        return ProfileReading(self._environment, segments, fields)

    async def close(self) -> None:
        await self._catalog.close()
        await self._client.close()


def _first_values(rows: pa.RecordBatch, columns: Sequence[Column]) -> dict[str, str | None]:
    """The first value of each column that is not empty."""
    return {
        column.name: next((text for value in rows[column.name] if (text := _as_text(value.as_py()))), None)
        for column in columns
    }


def _as_text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()
