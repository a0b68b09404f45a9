"""The emulator over HTTP: who may ask Dataverse, what it costs them, and what is written down about it."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from uuid import uuid4

import orjson
from aiohttp import web

from bot.sandbox.dataverse import control, sign_in
from bot.sandbox.dataverse.directory import Principal
from bot.sandbox.dataverse.emulator import Emulator
from bot.sandbox.dataverse.errors import TOKEN_REFUSED, ODataError, not_a_member, unknown_resource, writes_forbidden
from bot.sandbox.dataverse.journal import Entry
from bot.sandbox.dataverse.keys import EMULATOR, ENTRY
from bot.sandbox.dataverse.sabotage import BROKEN_BODIES, before, send_broken
from bot.sandbox.dataverse.webapi import Answer, Ask, answer, is_page

MAX_URL = 32_768  # characters (Dataverse docs, "Compose HTTP requests and handle errors")
JSON = "application/json; odata.metadata=minimal"
CLIENT_GONE = 499  # stands in the journal for a client that did not wait for its answer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(emulator: Emulator) -> web.Application:
    """Everything the emulator serves: Web API, sign-in, and the control outside of both."""
    app = web.Application(
        middlewares=[_journal],
        # Requests for hundreds of customers are long; a client that leaves ends the work on its request.
        handler_args={"max_line_size": 4 * MAX_URL, "handler_cancellation": True},
    )
    app[EMULATOR] = emulator
    app.router.add_route("*", "/api/data/{version}/{path:.*}", _data)
    app.router.add_routes(control.routes)
    app.router.add_routes(sign_in.routes)
    return app


@web.middleware
async def _journal(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Write down each request but those of the control."""
    if request.path.startswith("/_emulator/"):
        return await handler(request)
    emulator = request.app[EMULATOR]
    entry = Entry(emulator.clock.now(), request.method, request.path_qs)
    entry.client_request_id = request.headers.get("x-ms-client-request-id")
    request[ENTRY] = entry
    try:
        response = await handler(request)
        entry.status = response.status
        return response
    except web.HTTPException as refused:
        entry.status = refused.status
        raise
    except (asyncio.CancelledError, ConnectionError):
        entry.status = CLIENT_GONE
        raise
    finally:
        entry.seconds = emulator.clock.now() - entry.at
        emulator.journal.add(entry)


async def _data(request: web.Request) -> web.StreamResponse:
    emulator = request.app[EMULATOR]
    headers = _common_headers(request)
    try:
        if request.method != "GET":
            emulator.journal.writes_refused += 1
            raise writes_forbidden(request.method)
        if not re.fullmatch(r"v9\.\d", request.match_info["version"]):
            raise unknown_resource(request.match_info["version"])
        if len(f"https://{request.host}{request.raw_path}") > MAX_URL:
            return web.Response(status=414, text="<h2>URI Too Long</h2>", content_type="text/html")
        principal = _authenticated(emulator, request)
        request[ENTRY].user = principal.name
        return await _answered(emulator, request, principal, headers)
    except ODataError as refused:
        headers |= refused.headers
        return web.Response(status=refused.status, body=orjson.dumps(refused.body), headers=headers)


async def _answered(
    emulator: Emulator, request: web.Request, principal: Principal, headers: dict[str, str]
) -> web.StreamResponse:
    path = request.match_info["path"]
    fault = emulator.faults.draw(path, is_page=is_page(path), is_link="skiptoken" in request.query_string)
    request[ENTRY].fault = fault.value if fault else None
    try:
        with emulator.protection.request(principal.id) as charge:
            instead = await before(fault, emulator.protection, emulator.assumptions.delay_seconds)
            if instead is not None:
                return instead
            if not principal.member:
                raise not_a_member()
            root = f"https://{request.host}/api/data/{request.match_info['version']}/"
            query_string = request.rel_url.raw_query_string
            prefer = request.headers.get("Prefer", "")
            result = await answer(emulator, Ask(principal, root, path, query_string, prefer, charge, fault))
            request[ENTRY].rows = result.rows
    finally:
        headers |= emulator.protection.headers(principal.id)
    headers |= result.headers
    body = _rendered(result, headers)
    if fault in BROKEN_BODIES:
        return await send_broken(request, fault, body, headers)
    return web.Response(body=body, headers=headers)


def _rendered(result: Answer, headers: dict[str, str]) -> bytes:
    if isinstance(result.content, int):  # /$count
        headers["Content-Type"] = "text/plain"
        return str(result.content).encode()
    return orjson.dumps(result.content)


def _authenticated(emulator: Emulator, request: web.Request) -> Principal:
    """Whose token the request carries. Raises `ODataError` (401) without a good one for this environment."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    principal = emulator.entra.principal_of(token.strip()) if scheme.lower() == "bearer" else None
    if principal is None:
        where = f"https://{request.host}/{emulator.directory.tenant}/oauth2/authorize"
        challenge = f"Bearer authorization_uri={where}, resource_id=https://{request.host}/"
        message = "The requested resource requires authentication."
        raise ODataError(401, TOKEN_REFUSED, message, {"WWW-Authenticate": challenge})
    return principal


def _common_headers(request: web.Request) -> dict[str, str]:
    service_id = str(uuid4())
    headers = {
        "Content-Type": JSON,
        "OData-Version": "4.0",
        "x-ms-service-request-id": service_id,
        "REQ_ID": service_id,
    }
    if client_id := request.headers.get("x-ms-client-request-id"):
        headers["x-ms-client-request-id"] = client_id
    return headers
