"""The Omnisend client over its real transport, against local servers that stall, cut and garble.

Reference: omnisend-api.md §8.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from bot.omnisend import errors
from bot.omnisend.client import OmnisendClient
from bot.omnisend.limiter import Limiter
from bot.settings import Rate
from tests.unit.omnisend_world import BATCH, BODY, KEY, Clock, get_batch, post_batch

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(handle: Handler) -> AsyncIterator[tuple[str, list[asyncio.StreamWriter]]]:
    """A raw TCP server: gives its address and the connections that were made; all are cut at the end."""
    connections: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await handle(reader, writer)

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", connections
    finally:
        listening.close()
        for writer in connections:
            writer.transport.abort()
        await listening.wait_closed()


def real_client(url: str, **options: Any) -> OmnisendClient:
    clock = Clock()
    limiter = Limiter(Rate(0, 60), clock=clock, pause=clock.pause)
    return OmnisendClient(KEY, base_url=url, limiter=limiter, pause=clock.pause, tries=2, **options)


def replying(*chunks: bytes, cut: bool = True) -> Handler:
    """Read the head of a request, write these bytes, and then cut the connection or keep silent."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.writelines(chunks)
        await writer.drain()
        if cut:
            writer.close()

    return handle


async def deaf(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the connection and never read from it."""
    writer.transport.pause_reading()  # type: ignore[attr-defined]


BROKEN = {
    "cut after the request was read": (replying(), {}),
    "cut in mid-answer": (replying(b"HTTP/1.1 201 Created\r\nContent-Length: 90\r\n\r\n", b'{"batchID"'), {}),
    "silent": (replying(cut=False), {"read_timeout": 0.1}),
    "silent in mid-answer": (
        replying(b"HTTP/1.1 201 Created\r\nContent-Length: 90\r\n\r\n", b"{", cut=False),
        {"read_timeout": 0.1},
    ),
    "not HTTP": (replying(b"garbage, and more of it\r\n\r\n"), {}),
    "wrongly compressed": (
        replying(b"HTTP/1.1 201 Created\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"),
        {},
    ),
    "an endless header": (replying(b"HTTP/1.1 201 Created\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"), {}),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_on_a_broken_connection_a_batch_is_in_doubt_and_a_read_is_repeated(case: str) -> None:
    handle, options = BROKEN[case]
    async with server(handle) as (url, connections), real_client(url, **options) as client:
        with pytest.raises(errors.FateUnknown):
            await post_batch(client)
        assert len(connections) == 1
        with pytest.raises(errors.Unavailable):
            await get_batch(client)
        assert client.requests == 3


async def test_a_server_that_stops_reading_does_not_hold_a_request_for_ever() -> None:
    async with server(deaf) as (url, _), real_client(url, whole_timeout=0.3) as client:
        with pytest.raises(errors.FateUnknown):
            await client.create_batch(b"x" * 1_000_000)


async def test_where_nobody_listens_a_read_ends_as_unavailable() -> None:
    async with server(replying()) as (url, _):
        pass
    async with real_client(url) as client:
        with pytest.raises(errors.Unavailable):
            await get_batch(client)
        with pytest.raises(errors.FateUnknown):
            await post_batch(client)


async def test_a_real_server_gets_what_was_sent_and_the_answer_is_unpacked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen = []

    async def handle(request: web.Request) -> web.Response:
        seen.append((request.method, request.query.get("email"), request.headers.copy(), await request.read()))
        response = web.json_response({"batchID": BATCH}, status=201)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    app = web.Application()
    app.router.add_route("*", "/api/{tail:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with real_client(f"http://{host}:{port}/api") as client:
            assert await client.create_batch(BODY) == BATCH
            assert await client.patch_contact("ann+a&b=c#d@example.com", b"{}") is True
    finally:
        await runner.cleanup()

    (method, _, headers, body), (_, email, _, _) = seen
    assert (method, body, email) == ("POST", BODY, "ann+a&b=c#d@example.com")
    assert headers.getall("Authorization") == [f"Omnisend-API-Key {KEY}"]
    assert headers.getall("Content-Type") == ["application/json"]
    assert "ann" not in caplog.text
    assert KEY not in caplog.text


async def test_a_cancelled_request_leaves_no_connection_behind() -> None:
    arrived = asyncio.Event()
    left = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        await reader.read()
        left.set()

    async with server(handle) as (url, _), real_client(url) as client:
        task = asyncio.create_task(get_batch(client))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(left.wait(), 5)


async def test_omnisend_is_asked_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.delenv("https_proxy", raising=False)
    async with server(refuse) as (proxy, _):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        async with real_client("https://api.omnisend.example") as client:
            with pytest.raises(errors.Unavailable):
                await get_batch(client)
    assert set(asked) == {b"CONNECT api.omnisend.example:443 HTTP/1.1\r\n"}
