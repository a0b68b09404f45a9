"""A scripted Slack Web API on loopback: each call gets the next answer that the test has laid ready for its method."""

from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.slack.face import slack_client
from bot.slack.gateway import Gateway
from bot.slack.pacing import Pace

Json = dict[str, Any]


@dataclass
class Clock:
    """Time that passes only while somebody sleeps."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class SlackDouble:
    """`answers[method]`: a JSON object, or (status, headers, body). Without one left, a plain yes."""

    url: str = ""
    answers: dict[str, deque[Any]] = field(default_factory=lambda: defaultdict(deque))
    calls: list[tuple[str, Json]] = field(default_factory=list)

    def will_answer(self, method: str, *answers: Any) -> None:
        self.answers[method].extend(answers)

    def called(self, method: str) -> list[Json]:
        return [arguments for name, arguments in self.calls if name == method]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        body = await request.json() if request.content_type == "application/json" else dict(await request.post())
        self.calls.append((method, {**request.query, **body}))
        answer = self.answers[method].popleft() if self.answers[method] else _yes(method)
        if answer == "cut":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(answer, tuple):
            status, headers, content = answer
            if isinstance(content, dict):
                return web.json_response(content, status=status, headers=headers)
            return web.Response(status=status, headers=headers, text=content, content_type="text/html")
        return web.json_response(answer)


def _yes(method: str) -> Json:
    return {"ok": True, "channel": "C1", "ts": f"{method}.1", "view": {"id": "V1", "hash": "h1"}, "user": {"id": "U1"}}


RATE_LIMITED = (429, {"Retry-After": "3"}, {"ok": False, "error": "ratelimited"})


def refused(error: str, **more: Any) -> Json:
    return {"ok": False, "error": error, **more}


@asynccontextmanager
async def scripted_slack(clock: Clock | None = None) -> AsyncIterator[tuple[SlackDouble, Gateway]]:
    """The double, and a gateway to it whose clock stands still between sleeps."""
    clock = clock or Clock()
    double = SlackDouble()
    app = web.Application()
    app.router.add_route("*", "/api/{method}", double.handle)
    async with TestServer(app) as server:
        double.url = str(server.make_url("/api/"))
        async with slack_client("xoxb-1-test", double.url) as (client, http):
            yield double, Gateway(client, http, Pace(clock=clock, sleep=clock.sleep))
