"""Virtual time: it starts at the real time, may run faster, and can be moved forward by hand."""

import asyncio
import time


class VirtualClock:
    """Seconds since 1970 in which `scale` virtual seconds pass for each real one."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self._start = time.time()
        self._started = time.monotonic()
        self._moved = asyncio.Event()
        self._ahead = 0.0

    def now(self) -> float:
        """The virtual time, never going back."""
        return self._start + (time.monotonic() - self._started) * self.scale + self._ahead

    def advance(self, seconds: float) -> None:
        """Jump forward, and wake whoever waits for a moment that has now come."""
        if seconds < 0:
            raise ValueError("The clock only goes forward.")
        self._ahead += seconds
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def sleep(self, seconds: float) -> None:
        """Wait for virtual seconds to pass, by themselves or by `advance`."""
        until = self.now() + seconds
        while (left := until - self.now()) > 0:
            try:
                await asyncio.wait_for(self._moved.wait(), left / self.scale)
            except TimeoutError:
                continue

    def real(self, seconds: float) -> float:
        """How many real seconds so many virtual ones last."""
        return seconds / self.scale
