"""A brand at Omnisend, as this installation reaches it: one limiter, one sender at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from bot.omnisend.client import OmnisendClient
from bot.omnisend.limiter import Limiter
from bot.pipeline.errors import LeaseLost
from bot.pipeline.settling import first_cause
from bot.pipeline.waiting import unless
from bot.settings import Settings
from storage import lease
from storage.database import Database, unbroken

WAIT_SECONDS = 1.0  # between two tries to get the lease while another process has it


@dataclass(frozen=True, slots=True)
class Access:
    """The right to send to a brand. `quiet_seconds`: how long ago the last sender was heard of."""

    client: OmnisendClient
    quiet_seconds: float


class Brands:
    """Gives clients for brands: all under the brand's one limiter, and only one at a time that sends."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        transport: Callable[[], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self._database = database
        self._settings = settings
        self._transport = transport
        self._holder = lease.this_process()
        self._limiters: dict[str, Limiter] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    def client(self, key: str, brand_id: str = "", share: float | None = None) -> OmnisendClient:
        """A client for looking. Sending goes through `sending`."""
        return OmnisendClient(
            key,
            base_url=self._settings.omnisend_url,
            limiter=self.limiter(brand_id, share),
            transport=self._transport() if self._transport else None,
        )

    def limiter(self, brand_id: str, share: float | None = None) -> Limiter:
        limiter = self._limiters.get(brand_id)
        if limiter is None:
            limiter = Limiter(self._settings.omnisend_rate, share or self._settings.omnisend_share)
            self._limiters[brand_id] = limiter
        return limiter

    @asynccontextmanager
    async def sending(
        self, key: str, brand_id: str, share: float | None = None, *, called_off: asyncio.Event | None = None
    ) -> AsyncIterator[Access]:
        """Wait for the brand's turn and lease, and keep both during the block.

        Raises `RunCancelled` if `called_off` is set before it is the caller's turn, and `LeaseLost` out of the block.
        """
        called_off = called_off or asyncio.Event()
        async with self._turn(brand_id, called_off):
            limiter = self.limiter(brand_id, share)
            try:
                taken = await unless(called_off, self._take(brand_id))
                limiter.restore(self._ages(taken))
                async with asyncio.TaskGroup() as group, self.client(key, brand_id, share) as client:
                    renewal = group.create_task(self._renew(brand_id), name=f"lease-{brand_id}")
                    try:
                        yield Access(client, taken.idle_seconds)
                    finally:
                        renewal.cancel()
            except BaseExceptionGroup as failures:
                raise first_cause(failures) from None
            finally:
                await lease.release(self._database, brand_id, self._holder, limiter.snapshot())

    @asynccontextmanager
    async def _turn(self, brand_id: str, called_off: asyncio.Event) -> AsyncIterator[None]:
        lock = self._turns.setdefault(brand_id, asyncio.Lock())
        acquiring = asyncio.ensure_future(lock.acquire())
        try:
            await unless(called_off, _ended(acquiring))
            yield
        finally:
            acquiring.cancel()
            await _ended(acquiring)
            if not acquiring.cancelled():
                lock.release()

    async def _take(self, brand_id: str) -> lease.Taken:
        # Another process lets go without telling this one: there is nothing to wait on but time.
        while (taken := await lease.take(self._database, brand_id, self._holder)) is None:  # noqa: ASYNC110
            await asyncio.sleep(WAIT_SECONDS)
        return taken

    async def _renew(self, brand_id: str) -> None:
        while True:
            await asyncio.sleep(lease.RENEW_SECONDS)
            if not await unbroken(lease.renew(self._database, brand_id, self._holder)):
                raise LeaseLost

    def _ages(self, taken: lease.Taken) -> list[float]:
        """After a crash nobody knows what was sent last: assume a full window at the last sign of life."""
        if not taken.after_crash:
            return list(taken.ages)
        rate = self._settings.omnisend_rate
        return [taken.idle_seconds] * rate.requests if taken.idle_seconds < rate.seconds else []


async def _ended(task: asyncio.Future[Any]) -> None:
    """Wait for its end, however it ends; it goes on if nobody waits any more."""
    await asyncio.wait([task])
