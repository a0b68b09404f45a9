"""What every request to the API passes before and after its operation.

Order of the checks: key (401), version (400, 410), rate limit (429), faults, operation (404), scope (403), content.
"""

import math
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import date
from typing import Any

import orjson
from aiohttp import web

from bot.sandbox.omnisend.answers import json_response
from bot.sandbox.omnisend.contacts import contact_response
from bot.sandbox.omnisend.listing import refuse_unknown
from bot.sandbox.omnisend.problems import Problem, bad_request, forbidden, rate_limited, unauthorized
from bot.sandbox.omnisend.store import Record
from bot.sandbox.omnisend.world import FIRST_VERSION, Brand, Key, LoggedRequest, World

API = "/api"
SCHEME = "Omnisend-API-Key "
PREVIEW_VERSION = "2026-preview"
BIG_BODY = 1_000_000  # bytes
SLOW = 20.0  # virtual seconds

_HTML = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"


class Call:
    """One request that passed the gateway. `raw` is its body, `now` the virtual time at which it was complete."""

    def __init__(self, request: web.Request, raw: bytes, world: World, key: Key, now: float) -> None:
        self.request = request
        self.raw = raw
        self.world = world
        self.key = key
        self.now = now

    @property
    def brand(self) -> Brand:
        """The brand of the key."""
        return self.key.brand

    def need(self, scope: str) -> None:
        """Raises `Problem` 403 if the key lacks the scope."""
        if scope not in self.key.scopes:
            raise forbidden(scope)

    def query(self, *allowed: str) -> Mapping[str, str]:
        """The query; unknown parameters give 400."""
        refuse_unknown(self.request.query, allowed)
        return self.request.query

    def part(self, name: str) -> str:
        """A part of the path."""
        return self.request.match_info[name]

    def body(self) -> Any:
        """The decoded body; raises `Problem` 400, 413."""
        if len(self.raw) > BIG_BODY and self.world.assume.says("big-body", "413"):
            raise Problem(413, "payload-too-large", "Payload too large", "The body is over 1 MB.")
        if self.request.content_type != "application/json":
            raise bad_request("Content-Type must be application/json.")
        try:
            return orjson.loads(self.raw)
        except orjson.JSONDecodeError:
            raise bad_request("The body is not valid JSON.") from None

    def contact(self, record: Record) -> dict[str, Any]:
        """`ContactResponse`."""
        contact_id = self.brand.contacts.ids.of(record["n"])
        return contact_response(record, contact_id, self.brand.segments_of(self.now))


Operation = Callable[[Call], web.Response]
"""Runs at one moment of virtual time; raises `Problem` for a refusal."""


class Gateway:
    """What every request to the API passes before and after its operation."""

    def __init__(self, world: World) -> None:
        self._world = world

    def handler(self, operation: Operation) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Wrap an operation for the router."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._handle(request, operation)

        return handle

    async def _handle(self, request: web.Request, operation: Operation) -> web.StreamResponse:
        world = self._world
        raw = await request.read()  # first of all: from here on nothing else happens until the answer stands
        started = time.perf_counter()
        now = world.catch_up()
        real_now = time.time()
        fault = None
        try:
            key = self._authenticate(request)
            self._check_version(request)
            self._admit(request, key, now)
            path = request.path.removeprefix(API)
            fault = world.faults.on_request(request.method, path)
            response = self._answer(fault, operation, Call(request, raw, world, key, now))
        except Problem as problem:
            response = self._problem(problem)
        world.log.append(
            LoggedRequest(
                method=request.method,
                path=request.path_qs,
                status=None if response is None else response.status,
                time=now,
                real_time=real_now,
                seconds=time.perf_counter() - started,
                key=request.headers.get("Authorization", "")[-4:],
                fault=fault,
            )
        )
        if response is None:
            return _broken(request)
        if fault == "slow":
            await world.clock.sleep(SLOW)
        return response

    def _answer(self, fault: str | None, operation: Operation, call: Call) -> web.Response | None:
        """The answer under a fault; None where the connection is to be broken."""
        match fault:
            case None | "slow":
                return operation(call)
            case "500":
                raise Problem(500, "internal-error", "Internal server error", "Something went wrong.")
            case "503":
                raise Problem(503, "service-unavailable", "Service unavailable", "Try again later.")
            case "429":
                raise self._rate_limited(30.0)
            case "html" if call.world.faults.chance("html") < 0.5:
                return web.Response(status=502, text=_HTML.format("502 Bad Gateway"), content_type="text/html")
            case "drop-before":
                return None
        with suppress(Problem):  # nobody learns of it
            operation(call)
        if fault == "drop-after":
            return None
        return web.Response(status=524, text=_HTML.format("524 A timeout occurred"), content_type="text/html")

    def _authenticate(self, request: web.Request) -> Key:
        header = request.headers.get("Authorization", "")
        key = self._world.keys.get(header.removeprefix(SCHEME)) if header.startswith(SCHEME) else None
        if key is None or key.revoked:
            raise unauthorized()
        if key.requests_left is not None:
            if key.requests_left <= 0:
                key.revoked = True
                raise unauthorized()
            key.requests_left -= 1
        return key

    def _check_version(self, request: web.Request) -> None:
        version = request.headers.get("Omnisend-Version", "")
        if version == PREVIEW_VERSION:
            return
        if not _is_version(version):
            raise bad_request("The header Omnisend-Version is missing or malformed.")
        if version < FIRST_VERSION or version in self._world.retired:
            raise Problem(410, "version-retired", "Gone", f"API version {version} is retired.")

    def _admit(self, request: web.Request, key: Key, now: float) -> None:
        path = request.path.removeprefix(API + "/")
        resource = "contacts/tags" if path == "contacts/tags" else path.partition("/")[0]
        wait = key.brand.limiter.admit(resource, request.method, now)
        if wait > 0:
            raise self._rate_limited(wait)

    def _rate_limited(self, wait: float) -> Problem:
        # The client waits in its own, real seconds.
        return rate_limited(max(1, math.ceil(self._world.clock.real(wait))))

    def _problem(self, problem: Problem) -> web.Response:
        assume = self._world.assume
        body = problem.body(brackets=assume.says("error-path", "brackets"))
        response = json_response(body, problem.status)
        if problem.retry_after is not None:
            if assume.says("retry-after-header", "on"):
                response.headers["Retry-After"] = str(problem.retry_after)
            if assume.says("retry-after-body", "off"):
                del body["retryAfter"]
                response.body = orjson.dumps(body)
        return response


def _is_version(text: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _broken(request: web.Request) -> web.Response:
    """Break the connection; the response is never seen."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
