"""Service protection: what a user may ask of a web server in any 300 seconds (Dataverse docs, "Service protection API
limits").
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bot.sandbox.dataverse.assumptions import Assumptions
from bot.sandbox.dataverse.clock import Clock
from bot.sandbox.dataverse.errors import EXECUTION_TIME, TOO_MANY_CONCURRENT, TOO_MANY_REQUESTS, ODataError

WINDOW = 300.0  # virtual seconds
CONCURRENCY_WAIT = 5.0  # virtual seconds
GROWTH = 1.5
"""Each request sent during a wait makes the wait this much longer."""

REQUESTS_LEFT = "x-ms-ratelimit-burst-remaining-xrm-requests"
TIME_LEFT = "x-ms-ratelimit-time-remaining-xrm-requests"


@dataclass
class Charge:
    """What a request in progress has cost so far, in milliseconds of execution time."""

    milliseconds: float


@dataclass
class _Usage:
    """What one user has used up: end and charge of each finished request in the window, oldest first."""

    charges: deque[tuple[float, float]] = field(default_factory=deque)
    milliseconds: float = 0
    running: int = 0
    most_running: int = 0
    barred_until: float = 0
    wait: float = 0
    reason: str = ""

    def forget_before(self, start: float) -> None:
        while self.charges and self.charges[0][0] <= start:
            self.milliseconds -= self.charges.popleft()[1]


class ServiceProtection:
    """The three limits, kept for each user."""

    def __init__(self, clock: Clock, assumptions: Assumptions) -> None:
        self._clock = clock
        self.assumptions = assumptions
        self._users: dict[str, _Usage] = {}
        self.refused = dict.fromkeys((TOO_MANY_REQUESTS, EXECUTION_TIME, TOO_MANY_CONCURRENT), 0)

    @property
    def most_running(self) -> int:
        return max((usage.most_running for usage in self._users.values()), default=0)

    @contextmanager
    def request(self, user: str) -> Iterator[Charge]:
        """A request while it is worked on; what it costs is added to the charge. Raises `ODataError` (429)."""
        usage = self._users.setdefault(user, _Usage())
        self._admit(usage)
        usage.running += 1
        usage.most_running = max(usage.most_running, usage.running)
        charge = Charge(self.assumptions.request_ms)
        try:
            yield charge
        finally:
            usage.running -= 1
            usage.charges.append((self._clock.now(), charge.milliseconds))
            usage.milliseconds += charge.milliseconds

    def headers(self, user: str) -> dict[str, str]:
        """What is left to the user, as every answer says."""
        requests, milliseconds = self._left(self._users.setdefault(user, _Usage()))
        return {REQUESTS_LEFT: str(max(0, requests)), TIME_LEFT: f"{max(0, round(milliseconds)):,}"}

    def refusal(self, code: str, wait: float) -> ODataError:
        """The answer to a request that is one too many; `wait` is in virtual seconds."""
        self.refused[code] += 1
        return ODataError(429, code, self._message(code), {"Retry-After": str(self._clock.real_seconds(wait))})

    def _admit(self, usage: _Usage) -> None:
        now = self._clock.now()
        if now < usage.barred_until:  # it goes on asking: let it wait longer
            usage.wait = min(usage.wait * GROWTH, WINDOW)
            usage.barred_until = now + usage.wait
            raise self.refusal(usage.reason, usage.wait)
        requests, milliseconds = self._left(usage)
        if usage.running >= self.assumptions.concurrent_limit:
            raise self.refusal(TOO_MANY_CONCURRENT, CONCURRENCY_WAIT)
        if requests > 0 and milliseconds > 0:
            usage.wait = 0
            return
        usage.reason = TOO_MANY_REQUESTS if requests <= 0 else EXECUTION_TIME
        usage.wait = max(1.0, self._until_free(usage, now))
        usage.barred_until = now + usage.wait
        raise self.refusal(usage.reason, usage.wait)

    def _left(self, usage: _Usage) -> tuple[int, float]:
        usage.forget_before(self._clock.now() - WINDOW)
        requests = self.assumptions.request_limit - len(usage.charges) - usage.running
        return requests, self.assumptions.execution_limit_ms - usage.milliseconds

    def _until_free(self, usage: _Usage, now: float) -> float:
        """How long until enough of the oldest requests have left the window for another to be within both limits."""
        requests, milliseconds = self._left(usage)
        for end, charge in usage.charges:
            requests, milliseconds = requests + 1, milliseconds + charge
            if requests > 0 and milliseconds > 0:
                return end + WINDOW - now
        return CONCURRENCY_WAIT

    def _message(self, code: str) -> str:
        limits = self.assumptions
        if code == TOO_MANY_REQUESTS:
            return f"Number of requests exceeded the limit of {limits.request_limit} over time window of 300 seconds."
        if code == TOO_MANY_CONCURRENT:
            return f"Number of concurrent requests exceeded the limit of {limits.concurrent_limit}."
        return (
            f"Combined execution time of incoming requests exceeded limit of {limits.execution_limit_ms:,} "
            "milliseconds over time window of 300 seconds. Decrease number of concurrent requests or reduce the "
            "duration of requests and try again later."
        )
