"""The webhook over HTTP: what a flow gets as answer, what a stranger gets, and what the log says about either.

Reference: customer-insights.md §4 (a Power Automate flow calls it after a scheduled refresh).
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from structlog.testing import capture_logs

from bot import hooks as server_module
from bot.hooks import LARGEST_BODY, HookServer, HookServerFailed, Receives
from bot.services.hooks import Hooks, HookUnknown
from bot.settings import Rate
from storage.errors import DiskFull
from storage.models import Run, When
from tests.unit.services_world import ADMIN, ServicesWorld, services_world

TOKEN = "not-a-real-token-but-as-long-as-one-0123456"
PATH = f"/hooks/refresh/{TOKEN}"
UNLIMITED = Rate(0, 1)


class Flow:
    """Takes the one token, and notes each call."""

    def __init__(self, then: Callable[[], Awaitable[object]] | None = None) -> None:
        self.calls = 0
        self._then = then

    async def receive(self, token: str) -> object:
        if token != TOKEN:
            raise HookUnknown
        self.calls += 1
        return await self._then() if self._then else None


@asynccontextmanager
async def served(hooks: Receives, **options: Any) -> AsyncIterator[HookServer]:
    server = HookServer(hooks, port=0, **{"rate": UNLIMITED} | options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def answer_of(
    server: HookServer, method: str = "POST", path: str = PATH, **request: Any
) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, body and headers."""
    async with ClientSession() as client, client.request(method, server.address + path, **request) as response:
        assert response.content_type == "application/json"
        return response.status, await response.json(), dict(response.headers)


async def raw_answer_of(server: HookServer, sent: bytes, *, end: bool = True) -> bytes:
    host, port = server.address.removeprefix("http://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    if end:
        writer.write_eof()
    received = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    await writer.wait_closed()
    return received


# --- the flow


async def test_a_flow_that_reports_a_refresh_starts_the_exports_once(tmp_path: Path) -> None:
    async with services_world(tmp_path) as world:
        await attached(world)
        hooks = Hooks(world.database, nudge=world.nudge)
        made = await hooks.issue(ADMIN)
        async with served(hooks) as server:
            answers = [await answer_of(server, path=made.path, json={"id": "a refresh"}) for _ in range(2)]
        assert [(status, body) for status, body, _ in answers] == [(200, {"ok": True})] * 2
        assert (len(await world.rows(Run)), world.nudges) == (1, 1)


async def test_a_replaced_token_is_answered_like_any_other_unknown_path(tmp_path: Path) -> None:
    async with services_world(tmp_path) as world:
        await attached(world)
        hooks = Hooks(world.database, nudge=world.nudge)
        old = await hooks.issue(ADMIN)
        await hooks.rotate(ADMIN)
        async with served(hooks) as server:
            answers = [await answer_of(server, path=path) for path in (old.path, "/hooks/refresh", "/", "/admin")]
        assert {(status, json.dumps(body)) for status, body, _ in answers} == {
            (404, '{"ok": false, "error": "not found"}')
        }
        assert await world.rows(Run) == []


async def attached(world: ServicesWorld) -> None:
    await world.export(await world.shared(), ADMIN, when=When.REFRESH)


# --- what is refused


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_only_a_post_reports_a_refresh(method: str) -> None:
    flow = Flow()
    async with served(flow) as server:
        status, body, headers = await answer_of(server, method)
    assert (status, body, headers["Allow"]) == (405, {"ok": False, "error": "method not allowed"}, "POST")
    assert flow.calls == 0


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large_is_refused_and_one_that_just_fits_is_ignored(chunked: bool) -> None:
    def body(size: int) -> Any:
        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, size, 4096):
                yield b"x" * min(4096, size - start)

        return pieces() if chunked else b"x" * size

    flow = Flow()
    async with served(flow) as server:
        too_large, said, _ = await answer_of(server, data=body(LARGEST_BODY + 1))
        fitting, _, _ = await answer_of(server, data=body(LARGEST_BODY))
    assert (too_large, fitting, flow.calls) == (413, 200, 1)
    assert said["ok"] is False


async def test_a_body_that_never_comes_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "BODY_SECONDS", 0.01)
    monkeypatch.setattr(server_module, "LINGER_SECONDS", 0)
    flow = Flow()
    request = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhalf".encode()
    async with served(flow) as server:
        assert (await raw_answer_of(server, request, end=False)).startswith(b"HTTP/1.1 408 ")
    assert flow.calls == 0


async def test_a_client_that_calls_too_often_is_told_when_to_come_back() -> None:
    flow = Flow()
    async with served(flow, rate=Rate(2, 60), clock=lambda: 1_000.0) as server:
        answers = [await answer_of(server, path=path) for path in (PATH, "/hooks/refresh/wrong", PATH, "/")]
    assert [status for status, _, _ in answers] == [200, 404, 429, 429]
    assert answers[2][1] == {"ok": False, "error": "too many requests"}
    assert answers[2][2]["Retry-After"] == "60"
    assert flow.calls == 1


@pytest.mark.parametrize(
    ("error", "status"), [(DiskFull(detail="disk is full", folder="data"), 503), (RuntimeError(f"at {PATH}"), 500)]
)
async def test_trouble_of_ours_is_answered_without_a_word_about_it(error: Exception, status: int) -> None:
    async def fail() -> object:
        raise error

    async with served(Flow(fail)) as server:
        answered, body, _ = await answer_of(server)
    assert answered == status
    assert body in ({"ok": False, "error": "service unavailable"}, {"ok": False, "error": "internal server error"})


# --- the log


async def test_no_log_ever_holds_the_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    broken = [
        f"POST {PATH} HTTP/9.9.9\r\nHost: x\r\n\r\n".encode(),
        f"POST {PATH}\r\n\r\n".encode(),
        f"POST /hooks/refresh/{TOKEN}{'x' * 20_000} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nReferer {TOKEN}\r\n\r\n".encode(),
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{TOKEN}\r\n".encode(),
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf".encode(),
    ]
    with capture_logs() as ours:
        async with served(Flow()) as server:
            for path in (PATH, PATH + "x", PATH + "/more", f"/?token={TOKEN}"):
                await answer_of(server, path=path)
            await answer_of(server, "GET")
            for request in broken:
                await raw_answer_of(server, request)
    logged = caplog.text + str(ours)
    assert "unknown token" in logged
    assert "Error handling request" in logged  # aiohttp has spoken of the broken ones
    assert TOKEN not in logged


async def test_a_server_that_is_open_to_the_network_warns_about_it() -> None:
    with capture_logs() as logs:
        async with served(Flow()):
            pass
    assert "TLS" not in str(logs)
    with capture_logs() as logs:
        async with served(Flow(), host="0.0.0.0") as server:  # noqa: S104
            assert server.address.startswith("http://0.0.0.0:")
    assert "TLS" in str(logs)


# --- starting and stopping


async def test_it_listens_on_this_machine_only_unless_told_otherwise() -> None:
    async with served(Flow()) as server:
        assert server.address.startswith("http://127.0.0.1:")


async def test_a_port_in_use_is_named() -> None:
    async with served(Flow()) as first:
        port = int(first.address.rpartition(":")[2])
        second = HookServer(Flow(), port=port)
        with pytest.raises(HookServerFailed, match=f"port {port}.*in use.*FERRY_HOOK_PORT"):
            await second.start()
        await second.stop()


async def test_stopping_lets_a_call_under_way_end_and_frees_the_port() -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        reached.set()
        await go_on.wait()

    async with served(Flow(wait)) as server:
        port = int(server.address.rpartition(":")[2])
        call = asyncio.create_task(answer_of(server))
        await reached.wait()
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        go_on.set()
        assert (await call)[0] == 200
        await stopping
    again = HookServer(Flow(), port=port)
    await again.start()
    await again.stop()
