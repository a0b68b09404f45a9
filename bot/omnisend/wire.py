"""One request to Omnisend, from the limiter to a verdict: sent, and repeated where that is safe.

Requests go straight to an httpx transport and not through `httpx.AsyncClient`, which logs every address with its query,
and queries carry emails here. The loop that repeats is our own and not stamina's: the wait comes from the answer, a 429
has to hold the whole brand and not one call, and pauses and jitter are injected.
"""

import asyncio
import functools
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import httpx
import structlog
from httpx_aiohttp import AiohttpTransport

from bot.omnisend.errors import FateUnknown, KeyRefused, OmnisendError, RubbishAnswer, Unavailable
from bot.omnisend.limiter import Limiter, Pot
from bot.omnisend.models import NotAsPromised
from bot.omnisend.outcome import API_VERSION, Fate, Outcome
from bot.proxy import proxy_to

CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 30.0  # seconds without a byte
WHOLE_TIMEOUT = 90.0  # seconds for a whole exchange: aiohttp waits for ever for a server that stops reading
TRIES = 6
BACK_OFF = (1, 4, 16, 64, 128)  # sixtieths of the rate's window (so seconds at Omnisend), each ± half at random
PATIENCE = 900.0  # seconds that the waits of one call may add up to, whatever the answers ask for

T = TypeVar("T")
log = structlog.get_logger(__name__)


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The certificates to trust: reading them takes long enough to hold up a loop, so they are read once."""
    return httpx.create_ssl_context()


def default_transport(base_url: str) -> AiohttpTransport:
    """The way to Omnisend: through the proxy that the environment variables name for it, if any."""
    proxy = proxy_to(base_url)
    return AiohttpTransport(verify=_trusted(), proxy=httpx.Proxy(proxy) if proxy else None)


class Effect(Enum):
    """What a call does at Omnisend, and so when it may be repeated."""

    NONE = auto()
    """Changes nothing: repeated after any failure."""
    REPEATABLE = auto()
    """Twice is as good as once: repeated too, but if no try is answered nobody knows whether it was done."""
    ONCE = auto()
    """Repeated only where Omnisend surely did not take it (429, 503)."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request to be made. `query` values are percent-encoded here; `body` is sent as it is. Neither is shown."""

    method: str
    path: str
    effect: Effect
    query: Mapping[str, str | int] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    pot: Pot = Pot.ALL

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def target(self) -> str:
        query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in self.query.items())
        return f"{self.path}?{query}" if query else self.path


class Wire:
    """The way to one brand under one key. Neither key nor body ever shows in `repr`, errors or logs."""

    def __init__(
        self,
        key: str,
        *,
        base_url: str,
        limiter: Limiter,
        transport: httpx.AsyncBaseTransport | None,
        pause: Callable[[float], Awaitable[None]],
        random: Random,
        connect_timeout: float,
        read_timeout: float,
        whole_timeout: float,
        tries: int,
    ) -> None:
        self.requests = 0
        self.base_url = base_url.rstrip("/")
        self._headers = _headers(key)
        self._limiter = limiter
        self._transport = transport or default_transport(self.base_url)
        self._pause = pause
        self._random = random
        self._timeouts = httpx.Timeout(read_timeout, connect=connect_timeout, pool=whole_timeout).as_dict()
        self._whole_timeout = whole_timeout
        self._tries = tries

    async def close(self) -> None:
        await self._transport.aclose()

    async def send(self, call: Call, read: Callable[[Any], T]) -> T:
        """Make the call and give what `read` makes of the parsed answer (None for an empty one).

        Raises `FateUnknown` if it may or may not have been done, `Unavailable` if it surely was not, `RubbishAnswer`
        if something other than the API answered, and for a refusal the error of its status.
        """
        waited = 0.0
        in_doubt = False
        for attempt in range(1, self._tries + 1):
            outcome = await self._exchange(call)
            if outcome.fate is Fate.DONE:
                return _understood(call, outcome, read)
            if outcome.fate is Fate.REFUSED:
                raise outcome.refusal(str(call))
            in_doubt = in_doubt or outcome.fate is Fate.UNKNOWN
            if in_doubt and call.effect is Effect.ONCE:
                break
            wait = self._wait_after(outcome, attempt)
            waited += wait
            if outcome.status == 429:
                self._limiter.hold(min(wait, PATIENCE))  # so the next try waits there, behind those who came before
            if attempt == self._tries or waited > PATIENCE:
                break
            log.info("omnisend request repeated", call=str(call), outcome=str(outcome), seconds=round(wait, 1))
            if outcome.status != 429:
                await self._pause(wait)
        raise _given_up(call, outcome, in_doubt=in_doubt, tries=attempt)

    async def _exchange(self, call: Call) -> Outcome:
        request = httpx.Request(
            call.method,
            self.base_url + call.target,
            headers=self._headers,
            content=call.body,
            extensions={"timeout": self._timeouts},
        )
        async with self._limiter.slot(call.pot):
            self.requests += 1
            try:
                async with asyncio.timeout(self._whole_timeout):
                    response = await self._transport.handle_async_request(request)
                    try:
                        body = await response.aread()
                    finally:
                        await response.aclose()
            except (httpx.RequestError, aiohttp.ClientError, OSError) as error:
                # The name alone: texts and attributes of these errors hold addresses and headers.
                return Outcome(cause=type(error).__name__)
        return Outcome(response.status_code, body, response.headers)

    def _wait_after(self, outcome: Outcome, attempt: int) -> float:
        """Seconds: what the answer asks for, else after a 429 a whole window, else our own back-off."""
        window = self._limiter.rate.seconds
        if outcome.asked_wait:
            return outcome.asked_wait
        if outcome.status == 429:
            return window
        step = BACK_OFF[min(attempt, len(BACK_OFF)) - 1]
        return step * window / 60 * self._random.uniform(0.5, 1.5)


def _headers(key: str) -> httpx.Headers:
    """The headers of every request. A key that can't stand in a header is a slip of the hand: `KeyRefused`."""
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable():
        raise KeyRefused(detail="it has characters that no key has")
    return httpx.Headers(
        {
            "Authorization": f"Omnisend-API-Key {key}",
            "Omnisend-Version": API_VERSION,
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "Content-Type": "application/json",
            "User-Agent": "segment-ferry",
        }
    )


def _understood(call: Call, outcome: Outcome, read: Callable[[Any], T]) -> T:
    """What a success says; for a change that can't be read, nobody knows what was done."""
    try:
        return read(outcome.data)
    except NotAsPromised as error:
        complaint = str(error)
    if call.effect is Effect.NONE:
        raise RubbishAnswer(call=str(call), status=outcome.status, detail=complaint)
    raise FateUnknown(call=str(call), status=outcome.status, outcome=f"{outcome}, {complaint}")


def _given_up(call: Call, outcome: Outcome, *, in_doubt: bool, tries: int) -> OmnisendError:
    name, last, trace = str(call), str(outcome), outcome.problem.trace
    if in_doubt and call.effect is not Effect.NONE:
        return FateUnknown(call=name, status=outcome.status, outcome=last, trace=trace)
    if outcome.status is not None and outcome.status < 400:
        return RubbishAnswer(call=name, status=outcome.status, detail=f"{last}, not JSON")
    return Unavailable(call=name, status=outcome.status, outcome=last, tries=tries, trace=trace)
