"""The emulator's time: the machine's, sped up by a factor and set forward on request."""

import math
import time
from datetime import UTC, datetime


class Clock:
    """Virtual seconds since 1970.

    With `scale` 20, a virtual minute lasts three real seconds; every wait told to a client is in real seconds.
    """

    def __init__(self, scale: float = 1) -> None:
        if scale <= 0:
            raise ValueError(f"time can't pass {scale:g} times as fast")
        self.scale = scale
        self._started = time.monotonic()
        self._origin = time.time()
        self._skipped = 0.0

    def now(self) -> float:
        return self._origin + (time.monotonic() - self._started) * self.scale + self._skipped

    def advance(self, seconds: float) -> None:
        """Let so many virtual seconds pass at once; clients' own clocks know nothing of it."""
        self._skipped += seconds

    def real_seconds(self, virtual: float) -> int:
        """How long a client waits for so many virtual seconds: whole seconds, rounded up, at least one."""
        return max(1, math.ceil(virtual / self.scale))

    def timestamp(self) -> str:
        return datetime.fromtimestamp(self.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
