"""Socket Mode: tickets, connections, envelopes and their acknowledgements (Slack docs, Using Socket Mode)."""

import asyncio
import itertools
import random
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from aiohttp import WSCloseCode, WSMsgType, web

from bot.sandbox.slack.clock import Clock
from bot.sandbox.slack.errors import Json
from bot.sandbox.slack.journal import Journal

ACK_SECONDS = 3.0
MOST_CONNECTIONS = 10
CONNECTION_SECONDS = 3600  # what hello announces
DEBUG_CONNECTION_SECONDS = 360  # with debug_reconnects=true
WARNING_SECONDS = 10.0  # between a disconnect message and the end of the connection

EnvelopeKind = Literal["slash_commands", "interactive", "events_api"]
DisconnectReason = Literal["warning", "refresh_requested", "link_disabled", "too_many_websockets"]


@dataclass(frozen=True, slots=True)
class Ack:
    """The app's answer to an envelope; `payload` is None when it said nothing but yes."""

    payload: Json | None


@dataclass(frozen=True, slots=True)
class NoAck:
    """No acknowledgement came: `dispatch_failed` (nobody connected) or `operation_timeout`."""

    error: Literal["dispatch_failed", "operation_timeout"]


@dataclass(slots=True)
class Delivery:
    """One envelope as it was sent, for the control API. `seconds`: until the acknowledgement or the failure."""

    seq: int
    kind: EnvelopeKind
    connection: int | None
    outcome: str = "pending"
    payload_type: str = ""
    retry_attempt: int = 0
    seconds: float = 0.0


@dataclass(slots=True, eq=False)
class Connection:
    """One WebSocket of the app."""

    number: int
    socket: web.WebSocketResponse
    request: web.Request
    waiting: dict[str, asyncio.Future[Json | None]] = field(default_factory=dict)

    def abort(self) -> None:
        """Cut the wire without a word."""
        if self.request.transport is not None:
            self.request.transport.abort()


class SocketMode:
    """All connections of the app. Each payload goes to one of them, in turn; nothing is kept for later."""

    def __init__(self, clock: Clock, journal: Journal, source: random.Random, app_id: str) -> None:
        self._clock = clock
        self._journal = journal
        self._random = source
        self.app_id = app_id
        self.connections: list[Connection] = []
        self.deliveries: list[Delivery] = []
        self.oddities: list[Json] = []
        """What the app sent that Slack would ignore: unknown envelope ids, late acks, frames that are not JSON."""
        self._tickets: set[str] = set()
        self._numbers = itertools.count(1)
        self._turn = 0
        self._tasks: set[asyncio.Task[None]] = set()

    # -- the app's side -------------------------------------------------------------------------------------

    def new_ticket(self) -> str:
        """A ticket for one connection."""
        ticket = f"{self._random.getrandbits(128):032x}"
        self._tickets.add(ticket)
        return ticket

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection from hello to its end."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=404, text="unknown or used ticket")
        self._tickets.discard(ticket)
        # aiohttp answers pings by itself, with the same payload, as the clients need it.
        socket = web.WebSocketResponse(autoping=True, max_msg_size=16 * 1024 * 1024)
        await socket.prepare(request)
        connection = Connection(next(self._numbers), socket, request)
        if len(self.connections) >= MOST_CONNECTIONS:
            await self._send(connection, {"type": "disconnect", "reason": "too_many_websockets"})
            await socket.close()
            return socket
        self.connections.append(connection)
        self._journal.record("connection", connection=connection.number, connected=True)
        debug = request.query.get("debug_reconnects") == "true"
        await self._send(connection, self._hello(debug=debug))
        if debug:
            self._supervise(self._expire(connection, DEBUG_CONNECTION_SECONDS))
        try:
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    self._receive(connection, frame.data)
        finally:
            self._lost(connection)
        return socket

    def _hello(self, *, debug: bool) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self.connections),
            "connection_info": {"app_id": self.app_id},
            "debug_info": {
                "host": "applink-local",
                "started": "2026-11-01 00:00:00.000",
                "build_number": 1,
                "approximate_connection_time": DEBUG_CONNECTION_SECONDS if debug else CONNECTION_SECONDS,
            },
        }

    def _receive(self, connection: Connection, text: str) -> None:
        try:
            frame = orjson.loads(text)
            envelope_id = frame["envelope_id"]
            payload = frame.get("payload")
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            self.oddities.append({"connection": connection.number, "what": "not an acknowledgement"})
            return
        future = connection.waiting.pop(envelope_id, None)
        if future is None or future.done():
            self.oddities.append({"connection": connection.number, "what": "acknowledges no envelope it is due for"})
        else:
            future.set_result(payload)

    def _lost(self, connection: Connection) -> None:
        """An envelope can be acknowledged on its own connection only: what waits is lost."""
        if connection in self.connections:
            self.connections.remove(connection)
            self._journal.record("connection", connection=connection.number, connected=False)
        for future in connection.waiting.values():
            if not future.done():
                future.set_exception(ConnectionResetError("the connection ended before the acknowledgement"))
        connection.waiting.clear()

    # -- the workspace's side -------------------------------------------------------------------------------

    async def deliver(self, kind: EnvelopeKind, payload: Json, *, retry: int = 0, reason: str = "") -> Ack | NoAck:
        """Send a payload to one connection and wait for its acknowledgement."""
        delivery = Delivery(len(self.deliveries) + 1, kind, None, payload_type=_type_of(payload), retry_attempt=retry)
        self.deliveries.append(delivery)
        begun = time.perf_counter()
        result = await self._deliver(delivery, payload, reason)
        delivery.seconds = time.perf_counter() - begun
        delivery.outcome = "acknowledged" if isinstance(result, Ack) else result.error
        self._journal.record("delivery", kind=kind, outcome=delivery.outcome)
        return result

    async def _deliver(self, delivery: Delivery, payload: Json, reason: str) -> Ack | NoAck:
        open_ones = [one for one in self.connections if not one.socket.closed]
        if not open_ones:
            return NoAck("dispatch_failed")
        self._turn += 1
        connection = open_ones[self._turn % len(open_ones)]
        delivery.connection = connection.number
        envelope: Json = {
            "envelope_id": str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
            "type": delivery.kind,
            "payload": payload,
            "accepts_response_payload": delivery.kind != "events_api",
        }
        if delivery.retry_attempt:
            envelope |= {"retry_attempt": delivery.retry_attempt, "retry_reason": reason}
        waiting: asyncio.Future[Json | None] = asyncio.get_running_loop().create_future()
        connection.waiting[envelope["envelope_id"]] = waiting
        try:
            sent = await self._send(connection, envelope)
            if sent and await self._clock.settled(waiting, ACK_SECONDS):
                return Ack(waiting.result())
        except ConnectionResetError:
            pass  # the connection ended first
        finally:
            connection.waiting.pop(envelope["envelope_id"], None)
        return NoAck("operation_timeout")

    async def disconnect(self, reason: DisconnectReason, *, abort: bool = False) -> int:
        """Ask all connections to go (or cut them with `abort`), as Slack does; how many there were.

        After the message a connection stays for ten seconds, as the docs promise, unless the app ends it first.
        """
        told = list(self.connections)
        for connection in told:
            if abort:
                connection.abort()
                self._lost(connection)
            else:
                await self._send(connection, {"type": "disconnect", "reason": reason, "debug_info": {}})
                self._supervise(self._end(connection))
        return len(told)

    def forget(self) -> None:
        """Start a new record of deliveries; connections stay."""
        self.deliveries.clear()
        self.oddities.clear()

    async def shut_down(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self.connections):
            await connection.socket.close(code=WSCloseCode.GOING_AWAY)

    async def _expire(self, connection: Connection, seconds: float) -> None:
        await self._clock.sleep(seconds - WARNING_SECONDS)
        await self._send(connection, {"type": "disconnect", "reason": "warning", "debug_info": {}})
        await self._clock.sleep(WARNING_SECONDS)
        await self._send(connection, {"type": "disconnect", "reason": "refresh_requested", "debug_info": {}})
        await connection.socket.close()

    async def _end(self, connection: Connection) -> None:
        await self._clock.sleep(WARNING_SECONDS)
        await connection.socket.close()

    async def _send(self, connection: Connection, frame: Json) -> bool:
        """Send a frame; False if the connection is at its end."""
        try:
            await connection.socket.send_str(orjson.dumps(frame).decode())
        except ConnectionError:
            return False
        return True

    def _supervise(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _type_of(payload: Json) -> str:
    return str(payload.get("event", {}).get("type") or payload.get("type") or payload.get("command", ""))
