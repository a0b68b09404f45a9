"""How often Omnisend may be asked: a sliding window for the brand, with smaller ones inside it for some endpoints.

Omnisend counts the requests of the last 60 seconds as they *arrive* (Omnisend docs, Rate limits). We see only when we
let a request go and when its answer is here; it arrived somewhere in between. So a request takes up room from its
grant until one window after its completion. Whenever it arrived, it holds its place for as long as Omnisend may still
count it, and the limit is kept for every order of arrival.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from enum import Enum

from bot.settings import Rate

BRAND_LIMIT = 400  # requests a minute in Omnisend's table; the limits of single endpoints are given beside it


class Pot(Enum):
    """Endpoints with a limit of their own inside the brand's; the value is that limit where the brand has 400."""

    ALL = BRAND_LIMIT
    TAGS = 60
    SEGMENTS_READ = 100
    SEGMENTS_WRITE = 15


class Limiter:
    """Grants at most `rate.requests * share` requests (rounded down, at least one) in any `rate.seconds`.

    First come, first served: requests of one pot are granted in the order in which they asked, and one that waits
    for its own small pot does not hold up the others. A waiter that is cancelled takes no room. A rate of 0 requests
    sets no limit; `hold` works all the same. All times are in seconds. For one event loop, not for several threads.
    """

    def __init__(
        self,
        rate: Rate,
        share: float = 0.9,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.rate = rate
        self._limited = rate.requests > 0
        allowed = max(1, int(rate.requests * share)) if self._limited else math.inf
        self._all = _Window(allowed, rate.seconds, clock, pause)
        self._pots: dict[Pot, _Window] = {
            pot: _Window(max(1, allowed * pot.value // BRAND_LIMIT), rate.seconds, clock, pause)
            for pot in Pot
            if self._limited and pot is not Pot.ALL
        }

    def __repr__(self) -> str:
        return f"<Limiter {self.rate}: {self._all.occupied()} of {self._all.limit:g} taken>"

    @asynccontextmanager
    async def slot(self, pot: Pot = Pot.ALL) -> AsyncIterator[None]:
        """Wait until a request of this pot may go. Send it inside the block, and leave once its answer is here."""
        own = self._pots.get(pot)
        if own is not None:
            await own.enter()
        try:
            await self._all.enter()
        except BaseException:
            if own is not None:
                own.give_back()
            raise
        try:
            yield
        finally:
            self._all.leave()
            if own is not None:
                own.leave()

    def hold(self, seconds: float) -> None:
        """Grant nothing for so long (Omnisend answered 429). A shorter hold does not shorten one under way."""
        self._all.hold(seconds)

    def snapshot(self) -> list[float]:
        """The ages in seconds, oldest first, of the requests that still count; those under way have age 0."""
        return self._all.ages() if self._limited else []

    def restore(self, ages: Iterable[float]) -> None:
        """Count the requests of an earlier process, `ages` seconds old by now, so that a restart makes no burst.

        A snapshot does not say which endpoints they went to, so they count against every pot.
        """
        known = list(ages)
        for window in (self._all, *self._pots.values()):
            window.add(known)

    def fill(self) -> None:
        """Count as many requests as are allowed, made just now: after a crash nobody knows how many there were."""
        if self._limited:
            self.restore([0.0] * int(self._all.limit))

    def per_minute(self) -> float:
        """The present rate: requests of the last window, those under way included, as requests a minute."""
        return self._all.occupied() * 60 / self.rate.seconds


class _Window:
    """One sliding window: a request is in it from `enter` until `seconds` after `leave`, and at most `limit` are."""

    def __init__(
        self, limit: float, seconds: float, clock: Callable[[], float], pause: Callable[[float], Awaitable[None]]
    ) -> None:
        self.limit = limit
        self._seconds = seconds
        self._clock = clock
        self._pause = pause
        self._under_way = 0
        self._completed: deque[float] = deque()  # times of completion, oldest first; none older than the window
        self._held_until = -math.inf
        self._turn = asyncio.Lock()  # first come, first served; only its holder watches the clock
        self._room_may_come = asyncio.Event()

    async def enter(self) -> None:
        async with self._turn:
            while (delay := self._delay()) > 0:
                if math.isinf(delay):
                    self._room_may_come.clear()
                    await self._room_may_come.wait()
                else:
                    await self._pause(delay)
            self._under_way += 1

    def leave(self) -> None:
        self._under_way -= 1
        self._completed.append(self._clock())
        self._room_may_come.set()

    def give_back(self) -> None:
        """Undo `enter`: the request was never sent."""
        self._under_way -= 1
        self._room_may_come.set()

    def hold(self, seconds: float) -> None:
        self._held_until = max(self._held_until, self._clock() + seconds)

    def add(self, ages: Iterable[float]) -> None:
        now = self._clock()
        self._completed = deque(sorted([*self._completed, *(now - max(age, 0.0) for age in ages)]))

    def ages(self) -> list[float]:
        now = self._clock()
        self._forget_expired(now)
        return [now - completed for completed in self._completed] + [0.0] * self._under_way

    def occupied(self) -> int:
        self._forget_expired(self._clock())
        return self._under_way + len(self._completed)

    def _delay(self) -> float:
        """Seconds until there may be room; infinite if some request has to complete first."""
        now = self._clock()
        self._forget_expired(now)
        surplus = self._under_way + len(self._completed) - self.limit
        if surplus < 0:
            room = now
        elif surplus < len(self._completed):
            room = self._completed[int(surplus)] + self._seconds
        else:
            room = math.inf
        return max(room, self._held_until) - now

    def _forget_expired(self, now: float) -> None:
        while self._completed and self._completed[0] + self._seconds <= now:
            self._completed.popleft()
