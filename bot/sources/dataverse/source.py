"""The source itself: what the protocol asks for, put together from the parts."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import httpx

from bot.sources.base import Field
from bot.sources.dataverse import queries
from bot.sources.dataverse.catalog import Catalog, CountedSegment
from bot.sources.dataverse.client import DataverseClient, TokenProvider, default_transport
from bot.sources.dataverse.columns import PROFILE_ID
from bot.sources.dataverse.pace import Pause
from bot.sources.dataverse.reading import Environment, ProfileReading, all_columns, chosen
from bot.sources.dataverse.refresh import NoRefreshes, RefreshClock

MOST_MEMBERS = 1_000_000  # of one export (Customer Insights docs, "Export segments to Omnisend")
SAMPLE_ROWS = 1_000  # where samples are looked for


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
            transport=transport or default_transport(ca_file),
            pause=pause,
            clock=clock,
            random=random,
            page_rows=page_rows,
        )
        self._catalog = Catalog(self._client, now)
        self._environment = Environment(self._client, self._catalog, refresh or NoRefreshes(), now, most_members)

    @property
    def kind(self) -> str:
        return "dataverse"

    @property
    def label(self) -> str:
        return self._client.source

    async def check(self) -> None:
        """Raise unless the account is known there and may read both tables."""
        await self._client.get(queries.WHO_AM_I)
        await self._client.get(queries.one_row(queries.PROFILES, queries.CUSTOMER))
        await self._client.get(queries.one_row(queries.MEMBERSHIPS, queries.CUSTOMER))

    async def segments(self) -> Sequence[CountedSegment]:
        """The segments on offer, with what was counted last and when."""
        return await self._catalog.segments()

    async def recount(self) -> None:
        """Count the members of every segment: a scan of all memberships (some hundred requests for a million)."""
        self._environment.check_refresh()
        await self._catalog.recount()

    async def count(self, segment: str) -> int:
        self._environment.check_refresh()
        return len((await self._catalog.enrol([segment])).members)

    async def fields(self) -> Sequence[Field]:
        return [column.field for column in (await all_columns(self._client)).values()]

    async def sample(self, fields: Sequence[str]) -> Mapping[str, str | None]:
        """One value of each field from the first page of profiles."""
        columns = chosen(await all_columns(self._client), fields)
        query = queries.profiles([column.name for column in columns])
        rows = (await self._client.first_page(query, [PROFILE_ID, *columns], SAMPLE_ROWS)).to_pylist()
        return {
            column.name: next((text for row in rows if (text := _as_text(row[column.name]))), None)
            for column in columns
        }

    def profiles(self, segments: Sequence[str], fields: Sequence[str]) -> ProfileReading:
        return ProfileReading(self._environment, segments, fields)

    async def close(self) -> None:
        await self._client.close()


def _as_text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()
