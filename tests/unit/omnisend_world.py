"""A client of Omnisend under test, and answers as the API gives them. Reference: omnisend-api.md §2 to §8.

The answers come from a respx router behind `httpx.MockTransport`. Time is injected: a pause moves a clock on at once.
"""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import httpx
import respx

from bot.omnisend.client import OmnisendClient
from bot.omnisend.limiter import Limiter
from bot.omnisend.models import BatchInfo
from bot.settings import Rate

URL = "https://omnisend.test/api"
KEY = "5f92cbf10cf217478ba93561-verysecretkey"
BODY = b'{"method":"POST","endpoint":"contacts","items":[{"firstName":"Secretia"}]}'
EMAIL = "ann.lee@example.com"
BATCH = "5f92cbf10cf217478ba93561"
TRACE = "urn:omnisend:request:00000000-0000-0000-0000-000000000001"

Action = Callable[[OmnisendClient], Awaitable[Any]]


class Clock:
    """A clock that a pause moves on at once; keeps the pauses."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


class World:
    """A client under test, the router that plays Omnisend, and the clock of both client and limiter."""

    def __init__(self, rate: Rate | None = None, **options: Any) -> None:
        self.clock = Clock()
        self.router = respx.Router(base_url=URL, assert_all_called=False)
        self.limiter = Limiter(rate or Rate(400, 60), clock=self.clock, pause=self.clock.pause)
        self.client = OmnisendClient(
            KEY,
            base_url=URL,
            limiter=self.limiter,
            transport=httpx.MockTransport(self.router.async_handler),
            pause=self.clock.pause,
            random=Random(1),
            **options,
        )

    def answer(self, *outcomes: httpx.Response | Exception) -> None:
        """Give these outcomes, one after the other and the last one for ever, to whatever is asked."""
        remaining = list(outcomes)

        def play(request: httpx.Request) -> httpx.Response:
            outcome = remaining.pop(0) if len(remaining) > 1 else remaining[0]
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        self.router.route().mock(side_effect=play)

    @property
    def sent(self) -> list[httpx.Request]:
        return [call.request for call in self.router.calls]


def problem(status: int, kind: str = "x", **more: Any) -> httpx.Response:
    body = {"type": f"https://problems.omnisend.com/{kind}", "title": kind, "status": status, **more}
    return httpx.Response(status, json=body)


def html(status: int) -> httpx.Response:
    return httpx.Response(status, html="<html><head><title>A timeout\noccurred</title></head><body>…</body></html>")


async def post_batch(client: OmnisendClient) -> str:
    return await client.create_batch(BODY)


async def get_batch(client: OmnisendClient) -> BatchInfo:
    return await client.batch(BATCH)


async def patch(client: OmnisendClient) -> bool:
    return await client.patch_contact(EMAIL, b"{}")


TAKEN = httpx.Response(201, json={"batchID": BATCH, "totalCount": 1})
FOUND = httpx.Response(200, json={"batchID": BATCH, "status": "finished"})
LIVE_BATCH = {
    "batchID": BATCH,
    "method": "POST",
    "endpoint": "contacts",
    "eventID": "",
    "origin": "api",
    "status": "inProgress",
    "createdAt": "2026-11-01T10:00:00Z",
    "startedAt": "2026-11-01T10:00:04Z",
    "endedAt": "",
    "totalCount": 100,
    "finishedCount": 40,
    "errorsCount": 1,
}
