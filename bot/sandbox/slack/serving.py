"""What all addresses of the emulator share: who is served, how trouble is met, how answers are written."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from bot.sandbox.slack.calls import Call
from bot.sandbox.slack.emulator import Emulator
from bot.sandbox.slack.errors import Json
from bot.sandbox.slack.faults import Fault

EMULATOR = web.AppKey("emulator", Emulator)
LARGEST_BODY = 64 * 1024 * 1024  # bytes: an uploaded file arrives in one piece
CONTROL = "/_control"


def json_response(body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=orjson.dumps(body), status=status, headers=headers, content_type="application/json", charset="utf-8"
    )


def cut(request: web.Request) -> web.Response:
    """End the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


@web.middleware
async def refuse_other_sites(request: web.Request, handler: Any) -> web.StreamResponse:
    """Serve this machine only: no page of another site, no name that was made to lead here."""
    name = request.host.rsplit(":", 1)[0]
    origin = request.headers.get("Origin")
    if name not in ("127.0.0.1", "localhost") or origin not in (None, f"http://{request.host}"):
        raise web.HTTPForbidden(text="this address serves its own machine only")
    answer: web.StreamResponse = await handler(request)
    return answer


@web.middleware
async def refuse_while_away(request: web.Request, handler: Any) -> web.StreamResponse:
    """Cut every connection of the app while Slack is to be away; the control API goes on."""
    if request.app[EMULATOR].faults.away and not request.path.startswith(CONTROL):
        return cut(request)
    answer: web.StreamResponse = await handler(request)
    return answer


async def recorded(
    request: web.Request, name: str, arguments: Json, work: Callable[[Call], Awaitable[web.Response]]
) -> web.StreamResponse:
    """Record a call, then let it meet its trouble or do its work; a lost answer comes after the work."""
    emulator = request.app[EMULATOR]
    call = emulator.log_call(name, arguments)
    fault = emulator.faults.take(name)
    if fault is not None and fault.kind == "slow":
        await emulator.clock.sleep(fault.seconds)
    elif fault is not None and fault.kind != "lost-answer":
        return await _suffer(request, fault, call)
    answer = await work(call)
    if fault is not None and fault.kind == "lost-answer":
        call.error = "answer lost"
        return cut(request)
    return answer


async def _suffer(request: web.Request, fault: Fault, call: Call) -> web.StreamResponse:
    """Do what the fault says instead of the work."""
    match fault.kind:
        case "ratelimited":
            return rate_limited(call, fault.retry_after)
        case "500":
            call.status, call.error = 500, "server error"
            return web.Response(status=500, text="<html><body>Server Error</body></html>", content_type="text/html")
        case "error":
            call.error = fault.error
            return json_response({"ok": False, "error": fault.error})
        case "timeout":
            call.status, call.error = 0, "no answer"
            await request.app[EMULATOR].clock.sleep(fault.seconds)
        case _:
            call.status, call.error = 0, "dropped"
    return cut(request)


def rate_limited(call: Call, seconds: int) -> web.Response:
    call.status, call.error, call.retry_after = 429, "ratelimited", seconds
    return json_response({"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": str(seconds)})
