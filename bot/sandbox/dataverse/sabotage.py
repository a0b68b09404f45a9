"""Answers that go wrong on their way: refusals out of the blue, and bodies that are not what they promise."""

import asyncio

from aiohttp import web

from bot.sandbox.dataverse.errors import (
    EXECUTION_TIME,
    TOKEN_REFUSED,
    TOO_MANY_CONCURRENT,
    TOO_MANY_REQUESTS,
    UNEXPECTED,
    ODataError,
    bad_query,
)
from bot.sandbox.dataverse.faults import Kind
from bot.sandbox.dataverse.throttle import ServiceProtection

THROTTLE_CODES = (TOO_MANY_REQUESTS, EXECUTION_TIME, TOO_MANY_CONCURRENT)
THROTTLE_WAIT = 2.0  # virtual seconds

_GATEWAY_PAGE = """<!DOCTYPE html><html><head><title>502 - Web server received an invalid response while acting as a \
gateway or proxy server.</title></head><body><h1>Server Error</h1><h2>502 - Web server received an invalid response \
while acting as a gateway or proxy server.</h2></body></html>"""


async def before(kind: Kind | None, protection: ServiceProtection, delay: float) -> web.Response | None:
    """Befall a request before it is worked on: refuse it (`ODataError`), answer instead, hold it back, or nothing."""
    match kind:
        case Kind.THROTTLED:
            raise protection.refusal(THROTTLE_CODES[sum(protection.refused.values()) % 3], THROTTLE_WAIT)
        case Kind.FAILED:
            raise ODataError(500, UNEXPECTED, "An unexpected error occurred.")
        case Kind.BAD_GATEWAY:
            return web.Response(status=502, text=_GATEWAY_PAGE, content_type="text/html")
        case Kind.UNAVAILABLE:
            return web.Response(status=503, text="The service is unavailable.")
        case Kind.UNAUTHORIZED:
            raise ODataError(401, TOKEN_REFUSED, "The requested resource requires authentication.")
        case Kind.EXPIRED_LINK:
            raise bad_query("The skip token has expired. Start the query again.")
        case Kind.HANG:
            await asyncio.Event().wait()  # until the client has had enough and its leaving cancels us
        case Kind.DELAY:
            await asyncio.sleep(delay)
    return None


async def send_broken(request: web.Request, kind: Kind, body: bytes, headers: dict[str, str]) -> web.StreamResponse:
    """Send half of the body and break the connection, or send a body that its Content-Length does not fit."""
    length, sent = {
        Kind.CUT: (len(body), body[: len(body) // 2]),
        Kind.LYING_LENGTH: (len(body) + 1_000, body),
        Kind.CUT_JSON: (len(body) * 2 // 3, body[: len(body) * 2 // 3]),
    }[kind]
    response = web.StreamResponse(headers={**headers, "Content-Length": str(length)})
    await response.prepare(request)
    await response.write(sent)
    transport = request.transport
    if transport is not None and kind is Kind.CUT:
        transport.abort()
    elif transport is not None and kind is Kind.LYING_LENGTH:
        transport.close()
    return response


BROKEN_BODIES = {Kind.CUT, Kind.LYING_LENGTH, Kind.CUT_JSON}
