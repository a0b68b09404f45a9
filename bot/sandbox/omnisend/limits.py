"""Rate limits over a sliding window of 60 virtual seconds, counted per brand (Omnisend docs, Rate limit)."""

from collections import deque

from bot.sandbox.omnisend.assumptions import Assumptions

WINDOW = 60.0  # seconds
TAGS_PER_WINDOW = 60
SEGMENT_READS_PER_WINDOW = 100
SEGMENT_WRITES_PER_WINDOW = 15

READS = ("GET", "DELETE")


class Window:
    """The moments of the requests of the last 60 seconds."""

    def __init__(self) -> None:
        self._moments: deque[float] = deque()
        self.peak = 0

    def wait(self, now: float, limit: int) -> float:
        """Seconds until one more request has room; 0 for now."""
        self._forget(now)
        if len(self._moments) < limit:
            return 0.0
        return self._moments[len(self._moments) - limit] + WINDOW - now

    def add(self, now: float) -> None:
        """Count a request."""
        self._forget(now)
        self._moments.append(now)
        self.peak = max(self.peak, len(self._moments))

    def count(self, now: float) -> int:
        """Requests in the last 60 seconds."""
        self._forget(now)
        return len(self._moments)

    def _forget(self, now: float) -> None:
        moments = self._moments
        while moments and moments[0] <= now - WINDOW:
            moments.popleft()


class Limiter:
    """The windows of one brand. `limit` 0 switches every limit off; counting goes on."""

    def __init__(self, limit: int, assume: Assumptions) -> None:
        self._limit = limit
        self._assume = assume
        self._pots: dict[str, Window] = {}
        self.offered = Window()  # all requests, the refused too
        self.accepted = Window()

    def admit(self, resource: str, method: str, now: float) -> float:
        """Count the request and give 0, or give the seconds after which it would have room.

        `resource` is the first part of the path, or `contacts/tags`. A request that is refused does not count
        (assumed).
        """
        self.offered.add(now)
        pots = [(self._pots.setdefault(name, Window()), limit) for name, limit in self._pots_of(resource, method)]
        if self._limit:
            wait = max(pot.wait(now, limit) for pot, limit in pots)
            if wait > 0:
                return wait
        for pot, _ in pots:
            pot.add(now)
        self.accepted.add(now)
        return 0.0

    def peaks(self) -> dict[str, int]:
        """The fullest window so far, by pot."""
        return {name: pot.peak for name, pot in sorted(self._pots.items())}

    def _pots_of(self, resource: str, method: str) -> list[tuple[str, int]]:
        own = self._own_pot(resource, method)
        if self._assume.says("pots", "one"):
            return [("all", self._limit), *own]
        return own or [(resource, self._limit)]

    def _own_pot(self, resource: str, method: str) -> list[tuple[str, int]]:
        if resource == "contacts/tags":
            separate = self._assume.says("tags-limit", "separate")
            return [(f"contacts/tags {method}" if separate else "contacts/tags", TAGS_PER_WINDOW)]
        if resource == "segments" and method in READS:
            return [("segments read", SEGMENT_READS_PER_WINDOW)]
        if resource == "segments":
            return [("segments write", SEGMENT_WRITES_PER_WINDOW)]
        return []
