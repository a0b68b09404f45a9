"""An access token in memory: given out while it is fresh, renewed once however many ask for another."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from bot.sources.entra.msal_calls import Answer

MARGIN = 300.0  # seconds before its end at which a token is renewed; of a short-lived one, a tenth of its life

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, repr=False)
class _Token:
    text: str
    good_until: float


class HeldToken:
    """Keeps the last token. `renew(forced)` gets another; it is never interrupted, since what Entra gave is used up.

    A refresh token may be good for one use only. If whoever waits for a renewal is cancelled, the renewal goes on, so
    that the new tokens are kept; `close` waits for it.
    """

    def __init__(self, renew: Callable[[bool], Awaitable[Answer]], clock: Callable[[], float] = time.monotonic) -> None:
        self._renew = renew
        self._clock = clock
        self._token: _Token | None = None
        self._lock = asyncio.Lock()
        self._renewals: set[asyncio.Task[str]] = set()

    async def get(self) -> str:
        """A token that is good for some time to come."""
        token = self._token
        if token is not None and self._clock() < token.good_until:
            return token.text
        return await self._uninterrupted(self._another(stale=None))

    async def replace(self) -> str:
        """Another token than the one that was given out last."""
        stale = self._token
        return await self._uninterrupted(self._another(stale=stale))

    def put(self, answer: Answer) -> str:
        """Keep the token of an answer of Entra's."""
        seconds = float(answer.get("expires_in", 0))
        good = seconds - min(MARGIN, seconds / 10)
        self._token = _Token(answer["access_token"], self._clock() + good)
        return self._token.text

    def drop(self) -> None:
        self._token = None

    async def close(self) -> None:
        await asyncio.gather(*self._renewals, return_exceptions=True)

    async def _another(self, stale: _Token | None) -> str:
        async with self._lock:
            token = self._token
            if token is not None and token is not stale and self._clock() < token.good_until:
                return token.text  # somebody else has renewed it meanwhile
            return self.put(await self._renew(stale is not None))

    async def _uninterrupted(self, renewal: Coroutine[Any, Any, str]) -> str:
        task = asyncio.create_task(renewal)
        self._renewals.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[str]) -> None:
        self._renewals.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.info("no token", error=getattr(error, "code", type(error).__name__))
