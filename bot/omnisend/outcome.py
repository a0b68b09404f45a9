"""What one exchange with Omnisend came to, and what that says about the request."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from functools import cached_property
from typing import Any

import httpx
import orjson

from bot.omnisend.errors import (
    Circumstances,
    Conflict,
    KeyRefused,
    NotFound,
    OmnisendError,
    PlanRefused,
    Refused,
    ScopeMissing,
    TooLarge,
    VersionRetired,
)
from bot.omnisend.problems import Problem, seconds

API_VERSION = "2026-03-15"  # sent with every request; a retired one is answered with 410


class Fate(Enum):
    """What became of a request at Omnisend."""

    DONE = auto()
    REFUSED = auto()  # and would be again
    NOT_TAKEN = auto()  # and may be taken later
    UNKNOWN = auto()


class Outcome:
    """An answer, or (`status` None) the name of what came in its place, such as `ReadTimeout`."""

    def __init__(
        self, status: int | None = None, body: bytes = b"", headers: httpx.Headers | None = None, cause: str = ""
    ) -> None:
        self.status = status
        self._body = body
        self._headers = headers or httpx.Headers()
        self._cause = cause

    def __str__(self) -> str:
        return self._cause if self.status is None else f"status {self.status}"

    @property
    def fate(self) -> Fate:
        """Judged by the status (Omnisend docs, Errors).

        A redirect was not said by the API, and neither was a success whose body is neither empty nor JSON.
        """
        status = self.status
        if status is None or status < 200 or 300 <= status < 400:
            return Fate.UNKNOWN
        if status < 300:
            return Fate.DONE if self._is_json() else Fate.UNKNOWN
        if status in (429, 503):
            return Fate.NOT_TAKEN
        if status == 408 or status >= 500:
            return Fate.UNKNOWN
        return Fate.REFUSED

    @cached_property
    def data(self) -> Any:
        """The body, parsed; None for an empty one. Only for a request that was done."""
        return orjson.loads(self._body) if self._body.strip() else None

    @cached_property
    def problem(self) -> Problem:
        """What the body says about a failure."""
        return Problem.read(self._body)

    @property
    def asked_wait(self) -> float | None:
        """Seconds that the answer asks us to wait: by its `Retry-After` header, else by `retryAfter` in the body."""
        asked = self._header_wait()
        return self.problem.retry_after if asked is None else asked

    def refusal(self, call: str) -> OmnisendError:
        """The error of a 4xx (Omnisend docs, Errors); `call` is the method and path."""
        problem = self.problem
        circumstances = Circumstances(call=call, status=self.status, detail=problem.detail, trace=problem.trace)
        match self.status:
            case 401:
                return KeyRefused(**circumstances)
            case 402:
                return PlanRefused(**circumstances)
            case 403:
                return ScopeMissing(scope=problem.scope, **circumstances)
            case 404:
                return NotFound(**circumstances)
            case 409:
                return Conflict(**circumstances)
            case 410:
                return VersionRetired(version=API_VERSION, **circumstances)
            case 413:
                return TooLarge(**circumstances)
        return Refused(fields=problem.fields, **circumstances)

    def _header_wait(self) -> float | None:
        """The header gives seconds or a date; a date is measured against the answer's own clock if it shows one."""
        header = self._headers.get("retry-after", "")
        try:
            until = parsedate_to_datetime(header)
            now = parsedate_to_datetime(self._headers["date"]) if "date" in self._headers else datetime.now(UTC)
            return max(0.0, (until - now).total_seconds())
        except (TypeError, ValueError):
            return seconds(header)

    def _is_json(self) -> bool:
        try:
            self.data  # noqa: B018  parses it
        except orjson.JSONDecodeError:
            return False
        return True
