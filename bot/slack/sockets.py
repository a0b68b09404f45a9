"""Socket Mode: the connections over which Slack tells us what people do."""

import asyncio
from typing import Protocol

import structlog
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.errors import SlackAway, TokenRefused
from bot.slack.gateway import typed_call
from bot.slack.router import ACKNOWLEDGED

CONNECTIONS = 2  # while one is being renewed the other hears: the client closes before it opens
PING_SECONDS = 3.0  # four unanswered pings make a connection a broken one
APP_TOKEN = "app-level token (xapp-…)"  # noqa: S105  what people call it
LONGEST_PAUSE = 60.0  # seconds between two looks at a Slack that is away when we start

log = structlog.get_logger(__name__)


class Waits(Protocol):
    async def __call__(self, seconds: float, /) -> None: ...


async def check_tokens(client: AsyncWebClient, app_token: str) -> str:
    """Ask Slack whether both tokens are good; the id of the workspace.

    Bolt itself never says: it retries a wrong token for ever. Raises `TokenRefused` or `SlackAway`.
    """
    answer = await typed_call("auth.test", client.auth_test)
    try:
        await typed_call("apps.connections.open", lambda: client.apps_connections_open(app_token=app_token))
    except TokenRefused as error:
        raise TokenRefused(method=error.method, error=error.error, token=APP_TOKEN) from None
    return str(answer["team_id"])


async def await_slack(client: AsyncWebClient, app_token: str, pause: Waits = asyncio.sleep) -> str:
    """`check_tokens`, repeated for as long as Slack is away."""
    seconds = 1.0
    while True:
        try:
            return await check_tokens(client, app_token)
        except SlackAway as error:
            log.warning("Slack can't be reached; trying again", method=error.method, error=error.error, seconds=seconds)
            await pause(seconds)
            seconds = min(LONGEST_PAUSE, seconds * 2)


class _Connection(AsyncSocketModeHandler):
    """Tells the listener of an envelope when its acknowledgement has left."""

    async def handle(self, client: SocketModeClient, req: SocketModeRequest) -> None:  # type: ignore[override]
        sent = asyncio.Event()
        ACKNOWLEDGED.set(sent)
        try:
            await super().handle(client, req)
        finally:
            sent.set()


class Sockets:
    """Several connections of one app. Each payload goes to one of them."""

    def __init__(self, bolt: AsyncApp, app_token: str, count: int = CONNECTIONS) -> None:
        self._handlers = [_Connection(bolt, app_token, ping_interval=PING_SECONDS) for _ in range(count)]

    async def connect(self) -> None:
        for handler in self._handlers:
            await handler.connect_async()  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Hear nothing more. Listeners that are under way are the router's tasks."""
        for handler in self._handlers:
            await handler.close_async()  # type: ignore[no-untyped-call]
