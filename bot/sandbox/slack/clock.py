"""The emulator's clock, which tests move forward instead of sleeping."""

import asyncio
import time
from typing import Any


class Clock:
    """Two readings of one clock: `now`, which may run faster than real time, and `patience`, which does not.

    `time_scale` F makes a minute of Slack's own rules (rate limits, lifetime of response URLs) last 60/F real seconds.
    Deadlines for the app and for people (the 3 seconds of an acknowledgement or a trigger) stay in real seconds: the
    app under test is no faster for it. `advance` moves both.
    """

    def __init__(self, time_scale: float = 1.0) -> None:
        self.time_scale = time_scale
        self._started_wall = time.time()
        self._started = time.monotonic()
        self._advanced = 0.0
        self._moved: asyncio.Future[None] | None = None

    def now(self) -> float:
        """Seconds since the epoch, scaled."""
        return self._started_wall + self._advanced + (time.monotonic() - self._started) * self.time_scale

    def patience(self) -> float:
        """Seconds since the start, real and advanced."""
        return self._advanced + time.monotonic() - self._started

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once, and wake everything that waits for a time."""
        self._advanced += seconds
        self._wake()

    def reset(self) -> None:
        """Back to real time."""
        self._advanced = 0.0
        self._wake()

    async def settled(self, future: asyncio.Future[Any], seconds: float) -> bool:
        """Wait until `future` is done, at most `seconds` of patience; whether it is."""
        deadline = self.patience() + seconds
        while not future.done():
            left = deadline - self.patience()
            if left <= 0:
                return False
            await asyncio.wait({future, self._moving()}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        return True

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of patience."""
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self.settled(never, seconds)

    def _moving(self) -> asyncio.Future[None]:
        if self._moved is None or self._moved.done():
            self._moved = asyncio.get_running_loop().create_future()
        return self._moved

    def _wake(self) -> None:
        if self._moved is not None and not self._moved.done():
            self._moved.set_result(None)
