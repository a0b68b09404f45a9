"""The app's side, seen and troubled: its calls, its sockets, its rights; faults; and the feed of all changes."""

import asyncio
from dataclasses import asdict
from typing import get_args

import orjson
from aiohttp import WSMsgType, web

from bot.sandbox.slack.control.requests import answer, body_of, emulator_of, needed, number, wait
from bot.sandbox.slack.emulator import Emulator
from bot.sandbox.slack.errors import Refused
from bot.sandbox.slack.socket_mode import DisconnectReason, NoAck


async def calls(request: web.Request) -> web.Response:
    """Web API calls, oldest first: `method` filters, `since` leaves out those up to that number."""
    await wait(request)
    emulator = emulator_of(request)
    method, since = request.query.get("method"), number(request, "since", 0)
    listed = [asdict(one) for one in emulator.calls if one.seq > since and method in (None, one.method)]
    return answer(emulator, calls=listed)


async def faults(request: web.Request) -> web.Response:
    emulator = emulator_of(request)
    return answer(emulator, faults=emulator.faults.listing())


async def add_fault(request: web.Request) -> web.Response:
    emulator = emulator_of(request)
    fault = emulator.faults.add(await body_of(request))
    if fault.kind == "away":
        await emulator.sockets.disconnect("link_disabled", abort=True)
    emulator.journal.record("fault", kind=fault.kind)
    return answer(emulator, fault=asdict(fault))


async def lift_faults(request: web.Request) -> web.Response:
    """Lift the fault `?id=`, or all."""
    emulator = emulator_of(request)
    emulator.faults.lift(int(number(request, "id", 0)) if "id" in request.query else None)
    emulator.journal.record("fault", kind="")
    return answer(emulator, faults=emulator.faults.listing())


async def connections(request: web.Request) -> web.Response:
    """Open sockets, what was delivered over them, and what the app sent that Slack would ignore."""
    await wait(request)
    emulator = emulator_of(request)
    sockets = emulator.sockets
    return answer(
        emulator,
        connections=[one.number for one in sockets.connections],
        deliveries=[asdict(one) for one in sockets.deliveries],
        oddities=sockets.oddities,
    )


async def disconnect(request: web.Request) -> web.Response:
    """Tell all sockets to go (`reason`), or cut them without a word (`abort`)."""
    emulator = emulator_of(request)
    body = await body_of(request)
    reason = body.get("reason", "refresh_requested")
    if reason not in get_args(DisconnectReason):
        raise Refused("bad_request", f"reason is one of {', '.join(get_args(DisconnectReason))}", status=422)
    told = await emulator.sockets.disconnect(reason, abort=bool(body.get("abort")))
    return answer(emulator, told=told)


async def deliver_event(request: web.Request) -> web.Response:
    """Send any event to the app, subscribed or not: `event`."""
    emulator = emulator_of(request)
    event = needed(await body_of(request), "event")
    result = await emulator.events.send(event, None)
    return answer(emulator, outcome=result.error if isinstance(result, NoAck) else "acknowledged")


async def follow(request: web.Request) -> web.StreamResponse:
    """Push every change after `?after=VERSION` (default: from now on), one JSON object a frame."""
    emulator = emulator_of(request)
    socket = web.WebSocketResponse(heartbeat=30)
    await socket.prepare(request)
    after = int(number(request, "after", emulator.journal.version))
    pushing = asyncio.get_running_loop().create_task(_push(emulator, socket, after))
    try:
        async for frame in socket:
            if frame.type is WSMsgType.ERROR:
                break
    finally:
        pushing.cancel()
        await asyncio.gather(pushing, return_exceptions=True)
    return socket


async def _push(emulator: Emulator, socket: web.WebSocketResponse, after: int) -> None:
    async for changes in emulator.journal.follow(after):
        for change in changes:
            await socket.send_str(orjson.dumps(change).decode())
