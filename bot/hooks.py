"""The webhook's own small web server: off unless it has a port, and open to this machine only unless a host is set.

It speaks plain HTTP. Whoever opens it to the network puts a proxy with TLS before it. The token is part of the path, so
that no line of a log may hold a path, a request line or what a broken request looked like.
"""

import asyncio
import ipaddress
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Protocol

import structlog
from aiohttp import web

from bot.services.hooks import HOOK_PATH, HookUnknown
from bot.settings import Rate
from storage.errors import FerryError, mark

LOOPBACK = "127.0.0.1"
LARGEST_BODY = 16_384  # bytes; what a flow sends along is not looked at
BODY_SECONDS = 10.0  # a body that takes longer is not waited for
LINGER_SECONDS = 1.0  # how long the rest of a refused body is taken in, so that the answer arrives
IDLE_SECONDS = 30.0  # a connection without calls is closed
STOP_SECONDS = 5.0  # how long calls under way may take to end
MOST_CLIENTS = 100  # whose calls are counted at once; the service is for one flow a workspace
RATE = Rate(30, 60)  # calls of one client

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger(__name__)


def _without_exception(record: logging.LogRecord) -> bool:
    """What aiohttp logs about a broken request, without the exception: that one quotes the request line."""
    record.exc_info = record.exc_text = None
    return True


_http_log = logging.getLogger(f"{__name__}.http")
_http_log.addFilter(_without_exception)


class HookServerFailed(FerryError):
    code = "hook-server-failed"
    what = mark("The webhook can't listen on {host}, port {port}: {detail}.")
    consequence = mark("Nothing was started by it; schedules are not affected.")
    remedy = mark("Choose another FERRY_HOOK_PORT or FERRY_HOOK_HOST, or end the program that uses the port.")


class Receives(Protocol):
    async def receive(self, token: str) -> object:
        """A refresh was reported. Raises `HookUnknown`."""
        ...


class Gate:
    """Lets each client make `rate.requests` calls in any `rate.seconds`; a rate of 0 requests sets no limit.

    It counts at most `MOST_CLIENTS` clients at a time and lets no further ones in meanwhile.
    """

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._calls: dict[str, deque[float]] = {}

    def wait(self, client: str) -> float:
        """Seconds until the client may call again. 0: it may now, and this call counts."""
        if not self._rate.requests:
            return 0
        now = self._clock()
        self._forget(now - self._rate.seconds)
        calls = self._calls.get(client, deque())
        if len(calls) >= self._rate.requests:
            return calls[0] + self._rate.seconds - now
        if client not in self._calls and len(self._calls) >= MOST_CLIENTS:
            return self._rate.seconds
        calls.append(now)
        self._calls[client] = calls
        return 0

    def _forget(self, before: float) -> None:
        for client, calls in list(self._calls.items()):
            while calls and calls[0] <= before:
                calls.popleft()
            if not calls:
                del self._calls[client]


class HookServer:
    """Takes `POST /hooks/refresh/{token}`. Answers with small JSON that says whether it was taken, and no more."""

    def __init__(
        self,
        hooks: Receives,
        *,
        port: int,
        host: str = LOOPBACK,
        rate: Rate = RATE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`port` 0 takes any free one."""
        self._hooks = hooks
        self._host = host
        self._port = port
        self._gate = Gate(rate, clock)
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        """Where it listens, such as `http://127.0.0.1:8321`. Only while it does."""
        assert self._runner is not None
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def start(self) -> None:
        """Raises `HookServerFailed` if it can't listen."""
        app = web.Application(middlewares=[self._answer_in_json], client_max_size=LARGEST_BODY)
        app.router.add_post(HOOK_PATH, self._refreshed)
        runner = web.AppRunner(
            app,
            access_log=None,
            logger=_http_log,
            auto_decompress=False,  # a small body stays one
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=LINGER_SECONDS,
            shutdown_timeout=STOP_SECONDS,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError as error:
            await runner.cleanup()
            detail = error.strerror or str(error)
            raise HookServerFailed(host=self._host, port=self._port, detail=detail) from error
        self._runner = runner
        log.info("the webhook is listening", address=self.address)
        if not _is_loopback(self._host):
            log.warning("the webhook is open to the network in plain HTTP: put a proxy with TLS before it")

    async def stop(self) -> None:
        """Take no further calls, and let those under way end."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _refreshed(self, request: web.Request) -> web.Response:
        async with asyncio.timeout(BODY_SECONDS):
            await request.read()
        await self._hooks.receive(request.match_info["token"])
        return web.json_response({"ok": True})

    @web.middleware
    async def _answer_in_json(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count the call, and turn what goes wrong into answers that tell a stranger nothing."""
        if wait := self._gate.wait(request.remote or ""):
            return _refusal(HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(math.ceil(wait))})
        try:
            return await handler(request)
        except HookUnknown:
            log.warning("the webhook was called with an unknown token", client=request.remote)
            return _refusal(HTTPStatus.NOT_FOUND)
        except web.HTTPException as refused:
            allow = {"Allow": refused.headers["Allow"]} if "Allow" in refused.headers else {}
            return _refusal(HTTPStatus(refused.status), allow)
        except TimeoutError:
            return _refusal(HTTPStatus.REQUEST_TIMEOUT)
        except (web.RequestPayloadError, ConnectionError):
            return _refusal(HTTPStatus.BAD_REQUEST)
        except FerryError as error:
            log.error("a call of the webhook failed", code=error.code, error=str(error))
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE)
        except Exception:
            log.exception("a call of the webhook failed")
            return _refusal(HTTPStatus.INTERNAL_SERVER_ERROR)


def _refusal(status: HTTPStatus, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"ok": False, "error": status.phrase.lower()}, status=status, headers=headers)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
