"""The control, outside of everything Microsoft has: what is true, what happens next, and how to make trouble.

`GET` under `/_emulator/`: `truth?segment=NAME` and `profiles` (NDJSON), `segments`, `requests`, `stats`, `switches`,
`device`. `POST` with a JSON object: `changes`, `clock`, `faults`, `assume`, `tokens`, `principals`, `apps`, `device`,
`reset`. What makes no sense is answered with 400 and `{"error": "why"}`.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import orjson
import psutil
from aiohttp import web

from bot.sandbox.dataverse.assumptions import SWITCHES
from bot.sandbox.dataverse.changes import ChangeRefused
from bot.sandbox.dataverse.directory import READABLE, Principal
from bot.sandbox.dataverse.emulator import Emulator
from bot.sandbox.dataverse.faults import Kind, Planned
from bot.sandbox.dataverse.keys import EMULATOR

routes = web.RouteTableDef()

TOUCHED_SHOWN = 1_000
CHUNK = 2_000  # customers written at once


# What is true


@routes.get("/_emulator/truth")
async def truth(request: web.Request) -> web.StreamResponse:
    """Each member of a segment, a line each: `{"customer_id", "profile": {column: value} or null}`."""
    emulator = request.app[EMULATOR]
    name = request.query.get("segment", "")
    try:
        bit = emulator.world.bit_of(name)
    except KeyError:
        return _json({"error": f"there is no segment {name}"}, 404)
    return await _stream_customers(request, emulator, emulator.world.members(bit))


@routes.get("/_emulator/profiles")
async def profiles(request: web.Request) -> web.StreamResponse:
    """Each customer who has a profile, as in `truth`."""
    emulator = request.app[EMULATOR]
    everybody = emulator.world.all_customers()
    chunks = (everybody[start : start + CHUNK] for start in range(0, len(everybody), CHUNK))
    with_profile = ([number for number in chunk if emulator.world.has_profile(number)] for chunk in chunks)
    return await _stream_customers(request, emulator, with_profile)


async def _stream_customers(
    request: web.Request, emulator: Emulator, chunks: Iterable[Sequence[int]]
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    for numbers in chunks:
        lines = [
            orjson.dumps({"customer_id": customer_id, "profile": profile}, option=orjson.OPT_APPEND_NEWLINE)
            for customer_id, profile in emulator.world.profiles_of(numbers)
        ]
        await response.write(b"".join(lines))
        await asyncio.sleep(0)
    return response


@routes.get("/_emulator/segments")
async def segments(request: web.Request) -> web.Response:
    world = request.app[EMULATOR].world
    counts = world.count_members()
    described = [
        {"name": s.name, "friendly_name": s.friendly_name, "members": counts[s.name], "active": s.active}
        for s in world.segments
        if not s.deleted
    ]
    return _json({"segments": described})


# What was asked


@routes.get("/_emulator/requests")
async def requests(request: web.Request) -> web.Response:
    """The latest requests, oldest first."""
    return _json({"requests": [entry.as_dict() for entry in request.app[EMULATOR].journal.entries]})


@routes.get("/_emulator/stats")
async def stats(request: web.Request) -> web.Response:
    emulator = request.app[EMULATOR]
    journal, world = emulator.journal, emulator.world
    return _json(
        {
            "profiles": world.population.profiles + world.added - len(world.without_profile),
            "statuses": journal.statuses,
            "faults": journal.faults,
            "pages": journal.pages,
            "rows": journal.rows,
            "writes_refused": journal.writes_refused,
            "throttled": emulator.protection.refused,
            "most_concurrent": emulator.protection.most_running,
            "tokens_issued": emulator.entra.issued,
            "time": emulator.clock.timestamp(),
            "rss_mb": round(psutil.Process().memory_info().rss / 1e6, 1),
        }
    )


@routes.get("/_emulator/switches")
async def switches(request: web.Request) -> web.Response:
    """Every switch with its default, its meaning and its value now."""
    now = request.app[EMULATOR].assumptions.model_dump(by_alias=True)
    return _json({name: {**described, "value": now[name]} for name, described in SWITCHES.items()})


# What happens next


@routes.post("/_emulator/changes")
async def changes(request: web.Request) -> web.Response:
    """One change or a list of them, see `changes.OPERATIONS`; `after_pages` and `table` put one off."""
    emulator, body = request.app[EMULATOR], await _body(request, dict, list)
    touched: list[str] = []
    try:
        for change in body if isinstance(body, list) else [body]:
            touched += emulator.change(change)
    except ChangeRefused as refused:
        _refuse(str(refused))
    return _json({"changed": len(touched), "customers": touched[:TOUCHED_SHOWN]})


@routes.post("/_emulator/clock")
async def clock(request: web.Request) -> web.Response:
    """`{"advance": seconds}`."""
    emulator, body = request.app[EMULATOR], await _body(request)
    seconds = body.get("advance")
    if not isinstance(seconds, int | float) or seconds < 0:
        _refuse("advance is a number of seconds")
    emulator.clock.advance(seconds)
    return _json({"time": emulator.clock.timestamp()})


@routes.post("/_emulator/faults")
async def faults(request: web.Request) -> web.Response:
    """`{"rates": {"500": 0.1}}` replaces the rates, `{"next": [{"kind", "times", "path", "skip"}]}` plans faults."""
    emulator, body = request.app[EMULATOR], await _body(request)
    try:
        if "rates" in body:
            emulator.faults.rates = {Kind(kind): float(rate) for kind, rate in body["rates"].items()}
        if "next" in body:
            emulator.faults.planned = [Planned(**{**plan, "kind": Kind(plan["kind"])}) for plan in body["next"]]
    except (TypeError, ValueError, KeyError) as wrong:
        _refuse(f"{wrong}; kinds are {', '.join(Kind)}")
    rates = {kind.value: rate for kind, rate in emulator.faults.rates.items()}
    return _json({"rates": rates, "planned": len(emulator.faults.planned)})


@routes.post("/_emulator/assume")
async def assume(request: web.Request) -> web.Response:
    """`{"page-cap": 500}`: switches, as on the command line."""
    emulator, body = request.app[EMULATOR], await _body(request)
    try:
        emulator.assume(body)
    except ValueError as wrong:
        _refuse(str(wrong))
    return _json(emulator.assumptions.model_dump(by_alias=True))


@routes.post("/_emulator/reset")
async def reset(request: web.Request) -> web.Response:
    """Everything as at the start. Tokens are gone too."""
    request.app[EMULATOR].reset()
    return _json({})


# Who may sign in


@routes.get("/_emulator/device")
async def waiting(request: web.Request) -> web.Response:
    """The sign-ins that wait for somebody to type their code."""
    emulator = request.app[EMULATOR]
    codes = [s.user_code for s in emulator.entra.device_sign_ins.values() if s.state == "pending"]
    return _json({"user_codes": codes, "people": [*emulator.directory.people]})


@routes.post("/_emulator/device")
async def device(request: web.Request) -> web.Response:
    """`{"user_code", "action": "approve" | "decline" | "expire", "user"}`: what a person does with the code."""
    emulator, body = request.app[EMULATOR], await _body(request)
    user = body.get("user") or next(iter(emulator.directory.people))
    try:
        sign_in = emulator.entra.answer_device_sign_in(str(body.get("user_code", "")), str(body.get("action")), user)
    except KeyError as missing:
        _refuse(str(missing.args[0]))
    return _json({"state": sign_in.state, "user": user})


@routes.post("/_emulator/tokens")
async def tokens(request: web.Request) -> web.Response:
    """`{"expire_access": true}`: all access tokens; `{"revoke_refresh": true | "user"}`: all, or those of a user."""
    emulator, body = request.app[EMULATOR], await _body(request)
    revoke = body.get("revoke_refresh")
    return _json(
        {
            "expired": emulator.entra.expire_access_tokens() if body.get("expire_access") else 0,
            "revoked": emulator.entra.revoke_refresh_tokens(None if revoke is True else revoke) if revoke else 0,
        }
    )


@routes.post("/_emulator/principals")
async def principals(request: web.Request) -> web.Response:
    """`{"name": user or "app", "role", "readable": [tables], "consent", "member", "needs_interaction"}`.

    `role` false takes all reading away, true gives it back.
    """
    emulator, body = request.app[EMULATOR], await _body(request)
    try:
        principal = emulator.directory.find(str(body.get("name")))
    except KeyError:
        _refuse(f"name is app or one of {', '.join(emulator.directory.people)}")
    _alter(principal, body)
    return _json({"name": principal.name, "readable": sorted(principal.readable), "member": principal.member})


def _alter(principal: Principal, body: dict[str, Any]) -> None:
    if "role" in body:
        principal.readable = set(READABLE) if body["role"] else set()
    if "readable" in body:
        principal.readable = set(body["readable"])
    principal.consented = bool(body.get("consent", principal.consented))
    principal.member = bool(body.get("member", principal.member))
    principal.needs_interaction = bool(body.get("needs_interaction", principal.needs_interaction))


@routes.post("/_emulator/apps")
async def apps(request: web.Request) -> web.Response:
    """`{"secret_expired": bool}`, `{"secret": "new"}`: what an admin does to the app's secret."""
    app, body = request.app[EMULATOR].directory.app, await _body(request)
    app.secret_expired = bool(body.get("secret_expired", app.secret_expired))
    app.secret = str(body.get("secret", app.secret))
    return _json({"client_id": app.client_id, "secret_expired": app.secret_expired})


async def _body(request: web.Request, *types: type) -> Any:
    try:
        body = orjson.loads(await request.read() or b"{}")
    except orjson.JSONDecodeError as wrong:
        _refuse(f"no JSON: {wrong}")
    if not isinstance(body, types or dict):
        _refuse("a JSON object is wanted")
    return body


def _refuse(reason: str) -> NoReturn:
    raise web.HTTPBadRequest(body=orjson.dumps({"error": reason}), content_type="application/json")


def _json(content: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json")
