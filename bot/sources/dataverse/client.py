"""Requests to Dataverse: GET only, repeated where that helps, page after page.

Requests go straight to an httpx transport and not through `httpx.AsyncClient`, which logs every address with its query,
and queries carry customer ids here. The transport is httpx's own: aiohttp rewrites addresses (`%2C` becomes a comma),
and the link of a next page has to go back as it came.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from random import Random
from typing import Protocol, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pyarrow as pa
import structlog

from bot.proxy import proxy_to
from bot.sources.base import SourceError
from bot.sources.dataverse.columns import Column, Row
from bot.sources.dataverse.faults import (
    SQL_TIMEOUT,
    THROTTLE_CODES,
    ForeignLink,
    Interrupted,
    LinkRefused,
    NotDataverse,
    Throttled,
    TooSlow,
    Unavailable,
    Unreachable,
    code_of,
    outcome_of,
    refusal,
)
from bot.sources.dataverse.pace import Pace, Pause
from bot.sources.dataverse.pages import Page, read_object, read_page
from bot.sources.dataverse.queries import PAGE_ROWS, WHO_AM_I

SERVICE = "/api/data/v9.2/"
CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 130.0  # seconds without a byte: Dataverse itself gives a request two minutes
WHOLE_TIMEOUT = 300.0  # seconds for a whole exchange
TRIES = 5
SLOW_TRIES = 2  # of a filtered query that isn't answered in time
BACK_OFF = (1, 4, 16, 32)  # seconds after each failure, each ± half at random
LONGEST_BACK_OFF = 120.0  # seconds, whatever an answer asks for
PATIENCE = 900.0  # seconds of waiting that one request may be told to do
LEAST_WAIT = 0.5  # seconds after any 429, so that "wait 0" does not make us run in circles
RESTARTS = 3  # how often a scan begins again because its link was refused

TRANSIENT = {
    HTTPStatus.OK,  # if it comes here it could not be read: cut short, or a proxy's page
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}

OUT_OF_TIME = {"ReadTimeout", "TimeoutError"}  # names of errors: the request was sent, and no answer came in time

T = TypeVar("T")

log = structlog.get_logger(__name__)


class TokenProvider(Protocol):
    """Whoever reads: gives access tokens for the environment. Both raise a `SourceError` if there is none to be had."""

    async def token(self) -> str:
        """A token that should be good."""
        ...

    async def refresh(self) -> str:
        """Another token, since the last one was refused."""
        ...


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of one try: a status with a body, or (status 0) the name of what broke the connection.

    `unreachable`: why there was no connection at all.
    """

    status: int = 0
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cause: str = ""
    unreachable: str = ""

    @property
    def outcome(self) -> str:
        if not self.status:
            return self.cause
        return "an answer that can't be read" if self.status == HTTPStatus.OK else outcome_of(self.status, self.body)

    @property
    def reference(self) -> str:
        """Dataverse's own id of the request, for its support."""
        return self.headers.get("x-ms-service-request-id", "unknown")

    @property
    def asked_wait(self) -> float | None:
        """Seconds that the answer asks us to wait; it may also name a time of day."""
        header = self.headers.get("retry-after", "")
        try:
            return max(0.0, float(header))
        except ValueError:
            pass
        try:
            return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
        except (TypeError, ValueError):
            return None


class DataverseClient:
    """Reads from one environment in one name. The token never shows in errors or logs, nor does any query."""

    def __init__(
        self,
        url: str,
        tokens: TokenProvider,
        *,
        transport: httpx.AsyncBaseTransport,
        pause: Pause = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        random: Random | None = None,
        page_rows: int = PAGE_ROWS,
    ) -> None:
        """`url` is the environment's origin, as `address.environment_url` gives it."""
        self.root = url + SERVICE
        self.source = urlsplit(url).netloc
        self._tokens = tokens
        self._transport = transport
        self._pause = pause
        self._pace = Pace(pause, clock=clock)
        self._random = random or Random()  # noqa: S311 (jitter, no secrets)
        self._page_rows = page_rows

    async def close(self) -> None:
        await self._transport.aclose()

    async def get(self, query: str, *, tries: int = TRIES) -> Row:
        """One answer that is not a page. Raises a `SourceError`."""
        return await self._fetch(self.root + query, read_object, tries=tries)

    async def first_page(self, query: str, columns: Sequence[Column], rows: int) -> pa.RecordBatch:
        """The first rows, at most so many."""
        return (await self._page(self.root + query, columns, rows)).rows

    async def scan(
        self, query: str, columns: Sequence[Column], on_restart: Callable[[], None], *, rows: int | None = None
    ) -> AsyncGenerator[Page, None]:
        """All rows, page by page; to be closed. The next page is on its way while the caller works on this one.

        `rows`: how many to ask for in a page, if not as many as usual.

        Where Dataverse refuses to go on with a link (it expired), the scan begins again after `on_restart`: rows given
        before come again. Raises `Interrupted` if that happens again and again, or another `SourceError`.
        """
        for restarts in range(RESTARTS + 1):
            if restarts:
                log.info("dataverse scan begins again", call=_call(query), restarts=restarts)
                on_restart()
            try:
                async with aclosing(self._pages(self.root + query, columns, rows or self._page_rows)) as pages:
                    async for page in pages:
                        yield page
            except LinkRefused:
                continue
            return
        raise Interrupted(call=_call(query), times=RESTARTS + 1, source=self.source)

    async def _pages(self, link: str, columns: Sequence[Column], rows: int) -> AsyncGenerator[Page, None]:
        ahead: asyncio.Task[Page] | None = asyncio.create_task(self._page(link, columns, rows))
        followed = {hash(link)}
        try:
            while ahead is not None:
                page = await ahead
                ahead = None
                if page.next is not None:
                    self._check_link(page.next, followed)
                    ahead = asyncio.create_task(self._page(page.next, columns, rows, is_link=True))
                yield page
        finally:
            if ahead is not None:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)

    async def _page(self, link: str, columns: Sequence[Column], rows: int, *, is_link: bool = False) -> Page:
        def read(body: bytes) -> Page | None:
            return read_page(body, columns)

        return await self._fetch(link, read, prefer=f"odata.maxpagesize={rows}", is_link=is_link)

    def _check_link(self, following: str, followed: set[int]) -> None:
        """A link gets our token: it has to lead to the same host, and to a page that did not come before."""
        origin = _origin(following)
        if origin != _origin(self.root):
            raise ForeignLink(host=origin[1] if origin else "none", source=self.source)
        if hash(following) in followed:
            raise LinkRefused
        followed.add(hash(following))

    # --- one request

    async def _fetch(
        self,
        link: str,
        read: Callable[[bytes], T | None],
        *,
        prefer: str = "",
        is_link: bool = False,
        tries: int = TRIES,
    ) -> T:
        """Ask until there is an answer that can be read, or until it is clear that there won't be one."""
        call = _call(link)
        failures, waited, renewed = 0, 0.0, False
        while True:
            token = await self._tokens.token()
            answer = await self._exchange(link, prefer, token)
            if answer.status == HTTPStatus.OK:
                content = await asyncio.to_thread(read, answer.body)
                if content is not None:
                    return content
            if answer.status == HTTPStatus.UNAUTHORIZED and not renewed:
                renewed = True  # refused again right after this, it is not the token's age
                if await self._tokens.token() == token:  # nobody else has renewed it meanwhile
                    await self._tokens.refresh()
                continue
            renewed = renewed and answer.status == HTTPStatus.UNAUTHORIZED
            if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
                waited += self._wait_as_told(answer, call, waited)
                continue
            if answer.status and answer.status not in TRANSIENT:
                raise self._refusal(answer, call, is_link=is_link)
            failures += 1
            if "$filter=" in link:
                self._check_speed(answer, call, failures)
            if failures >= tries:
                raise self._exhausted(answer, call, tries)
            await self._back_off(answer, call, failures)

    async def _exchange(self, link: str, prefer: str, token: str) -> _Answer:
        request = httpx.Request("GET", link, headers=_headers(token, prefer), extensions={"timeout": _TIMEOUTS})
        async with self._pace.turn():
            try:
                async with asyncio.timeout(WHOLE_TIMEOUT):
                    response = await self._transport.handle_async_request(request)
                    try:
                        body = await response.aread()
                    finally:
                        await response.aclose()
            except (httpx.RequestError, OSError) as error:  # also TimeoutError
                return _Answer(cause=type(error).__name__, unreachable=_why_unreachable(error))
        self._pace.note(response.headers)
        return _Answer(response.status_code, body, response.headers)

    def _wait_as_told(self, answer: _Answer, call: str, waited: float) -> float:
        """Hold all requests back for as long as the answer says; the seconds. Raises `Throttled` after too many."""
        asked = answer.asked_wait
        wait = max(LEAST_WAIT, BACK_OFF[-1] if asked is None else asked)
        limit = THROTTLE_CODES.get(code_of(answer.body), "too much is asked")
        if waited + wait > PATIENCE:
            raise Throttled(limit=limit, minutes=round(PATIENCE / 60), call=call, source=self.source)
        log.info("dataverse asks us to wait", call=call, limit=limit, seconds=round(wait, 1))
        self._pace.hold(wait)
        return wait

    def _check_speed(self, answer: _Answer, call: str, failures: int) -> None:
        """Raise `TooSlow` if a filtered query is not answered in time: a plainer one may be."""
        if code_of(answer.body) == SQL_TIMEOUT or (answer.cause in OUT_OF_TIME and failures == SLOW_TRIES):
            raise TooSlow(call=call, outcome=answer.outcome, reference=answer.reference, source=self.source)

    async def _back_off(self, answer: _Answer, call: str, failures: int) -> None:
        """Wait before the next try."""
        asked = answer.asked_wait
        wait = (
            BACK_OFF[failures - 1] * self._random.uniform(0.5, 1.5) if asked is None else min(asked, LONGEST_BACK_OFF)
        )
        log.info("dataverse request repeated", call=call, outcome=answer.outcome, seconds=round(wait, 1))
        await self._pause(wait)

    def _exhausted(self, answer: _Answer, call: str, tries: int) -> SourceError:
        """The error after the last try."""
        log.info("dataverse given up", call=call, outcome=answer.outcome, reference=answer.reference)
        if answer.unreachable:
            return Unreachable(reason=answer.unreachable, source=self.source)
        if answer.status == HTTPStatus.OK and call == WHO_AM_I:
            return NotDataverse(outcome=answer.outcome, source=self.source)
        return Unavailable(call=call, outcome=answer.outcome, tries=tries, source=self.source)

    def _refusal(self, answer: _Answer, call: str, *, is_link: bool) -> SourceError:
        log.info("dataverse refused", call=call, outcome=answer.outcome, reference=answer.reference)
        return refusal(
            answer.status, answer.body, call=call, source=self.source, reference=answer.reference, is_link=is_link
        )


def default_transport(ca_file: Path | None = None, *, url: str = "") -> httpx.AsyncHTTPTransport:
    """The way to Dataverse at `url`: through the proxy that the environment variables name for it, if any.

    `ca_file`: trust this certificate and no other (an emulator's), and go straight.
    """
    if ca_file is not None:
        return httpx.AsyncHTTPTransport(verify=ssl.create_default_context(cafile=ca_file))
    return httpx.AsyncHTTPTransport(proxy=proxy_to(url))


_TIMEOUTS = httpx.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT, pool=WHOLE_TIMEOUT).as_dict()


def _headers(token: str, prefer: str) -> dict[str, str]:
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
        "OData-MaxVersion": "4.0",
        "OData-Version": "4.0",
        "User-Agent": "segment-ferry",
        "x-ms-client-request-id": str(uuid4()),
    }
    return headers | {"Prefer": prefer} if prefer else headers


def _origin(link: str) -> tuple[str, str, int] | None:
    """Scheme, host and port as the transport will understand them; None for what is no address."""
    try:
        url = httpx.URL(link)
    except httpx.InvalidURL:
        return None
    return url.scheme, url.host, url.port or 443


def _why_unreachable(error: BaseException) -> str:
    """Why there was no connection at all, in words that name nothing but the kind of cause; empty if there was one."""
    if not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return ""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    words = {
        ssl.SSLCertVerificationError: "its certificate is not to be trusted",
        ssl.SSLError: "it does not speak TLS as it should",
        socket.gaierror: "no host of this name is known",
        ConnectionRefusedError: "it refuses connections",
        httpx.ConnectTimeout: "it does not answer",
    }
    found = (word for kind, word in words.items() if any(isinstance(each, kind) for each in causes))
    return next(found, "no connection comes about")


def _call(link: str) -> str:
    """What was asked for without the query, which may hold customer ids."""
    path = link.partition("?")[0]
    return path.partition(SERVICE)[2] or path
