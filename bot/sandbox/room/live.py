"""The page's one WebSocket: what happens in Slack, how Omnisend stands, and what changed in the house."""

import asyncio
import contextlib
import logging
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from bot.sandbox.room.house import House

_log = logging.getLogger(__name__)

GATHER_SECONDS = 0.05  # changes that come together are told together: a busy run makes hundreds
TICK_SECONDS = 1.0  # between two looks at Omnisend
UNSHOWN = frozenset({"call", "delivery", "connection", "clock", "ack"})
"""Changes in Slack that no one sees on a screen."""


async def follow(request: web.Request, house: House) -> web.WebSocketResponse:
    """Serve one page until it goes, or can't be told any more of something: it then says so, and tries again."""
    socket = web.WebSocketResponse(heartbeat=20)
    await socket.prepare(request)
    tasks = [
        asyncio.create_task(_until_it_goes(socket), name="live: page"),
        asyncio.create_task(_tell_slack(socket, house), name="live: slack"),
        asyncio.create_task(_tell_omnisend(socket, house), name="live: omnisend"),
        asyncio.create_task(_tell_house(socket, house), name="live: house"),
        asyncio.create_task(_tell_source(socket, house), name="live: source"),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for task, ended in zip(tasks, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
            if isinstance(ended, Exception) and not isinstance(ended, OSError | aiohttp.ClientError):
                _log.error("%s ended", task.get_name(), exc_info=ended)
    await socket.close()
    return socket


async def _until_it_goes(socket: web.WebSocketResponse) -> None:
    async for _ in socket:  # the page says nothing
        pass


async def _tell_slack(socket: web.WebSocketResponse, house: House) -> None:
    async with house.http.ws_connect(f"{house.slack_control}/events") as events:
        await _send(socket, {"from": "slack", "changes": [{"type": "connected"}]})
        while (first := await events.receive()).type is aiohttp.WSMsgType.TEXT:
            changes = [orjson.loads(first.data), *await _gathered(events)]
            shown = [change for change in changes if change["type"] not in UNSHOWN]
            if shown:
                await _send(socket, {"from": "slack", "changes": shown})


async def _gathered(events: aiohttp.ClientWebSocketResponse) -> list[Any]:
    """What else happens within a moment."""
    changes = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GATHER_SECONDS):
            while (message := await events.receive()).type is aiohttp.WSMsgType.TEXT:
                changes.append(orjson.loads(message.data))
    return changes


async def _tell_omnisend(socket: web.WebSocketResponse, house: House) -> None:
    while True:
        said = {name: await _read(house, name) for name in ("stats", "segments")}
        await _send(socket, {"from": "omnisend", **said["stats"], "segments": said["segments"]["segments"]})
        await asyncio.sleep(TICK_SECONDS)


async def _read(house: House, name: str) -> dict[str, Any]:
    async with house.http.get(f"{house.omnisend_control}/{name}") as answer:
        said: dict[str, Any] = await answer.json()
    return said


async def _tell_house(socket: web.WebSocketResponse, house: House) -> None:
    with house.bell.listening() as heard:
        while True:
            heard.clear()
            await _send(socket, {"from": "house", **house.state()})
            await heard.wait()


async def _tell_source(socket: web.WebSocketResponse, house: House) -> None:
    with house.source.bell.listening() as heard:
        while True:
            heard.clear()
            await _send(socket, {"from": "source", **await house.source.describe()})
            await heard.wait()


async def _send(socket: web.WebSocketResponse, told: dict[str, Any]) -> None:
    await socket.send_str(orjson.dumps(told).decode())
