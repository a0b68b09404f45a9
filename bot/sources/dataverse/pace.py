"""How fast requests go: a few at a time, none while Dataverse asks us to wait, slower before it has to.

Dataverse allows a user so much in any 300 seconds, says in each answer what is left, and makes waits longer for those
who go on asking (Dataverse docs, "Service protection API limits").
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

PARALLEL = 4  # requests at the same time; Dataverse allows 52, and people use the same account

LIMITS = {
    "x-ms-ratelimit-burst-remaining-xrm-requests": 6_000,
    "x-ms-ratelimit-time-remaining-xrm-requests": 1_200_000,  # milliseconds of execution time
}
"""What a user has in any 300 seconds, by the header that says what is left of it."""

LOW = 0.1  # the part left of a limit below which requests slow down
SLOWEST = 15.0  # seconds before a request when nothing is left

Pause = Callable[[float], Awaitable[None]]


class Pace:
    """The pace of all requests to one environment in one name."""

    def __init__(self, pause: Pause, *, clock: Callable[[], float] = time.monotonic, parallel: int = PARALLEL) -> None:
        self._pause = pause
        self._clock = clock
        self._places = asyncio.Semaphore(parallel)
        self._held_until = clock()
        self._most = dict(LIMITS)
        self._breath = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for leave to make one request."""
        async with self._places:
            if self._breath:
                await self._pause(self._breath)
            held_until = float("-inf")
            while held_until != self._held_until:  # another answer may have made the wait longer meanwhile
                held_until = self._held_until
                if (wait := held_until - self._clock()) > 0:
                    await self._pause(wait)
            yield

    def hold(self, seconds: float) -> None:
        """Let no further request go for so long."""
        self._held_until = max(self._held_until, self._clock() + seconds)

    def note(self, headers: Mapping[str, str]) -> None:
        """Learn from an answer's headers how much is left."""
        left = [self._part_left(name, headers[name]) for name in LIMITS if name in headers]
        if left:
            self._breath = max(0.0, SLOWEST * (1 - min(left) / LOW))

    def _part_left(self, name: str, value: str) -> float:
        try:
            left = float(value.replace(",", ""))
        except ValueError:
            return 1.0
        self._most[name] = max(self._most[name], int(left))  # a tenant may have been given more
        return max(0.0, left) / self._most[name]
