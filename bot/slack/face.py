"""The Slack face, put together: flows around a router, the outbox and the live messages beside it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.services.context import Services
from bot.slack.approve import Approving
from bot.slack.commands import Commands
from bot.slack.configure import Configuring
from bot.slack.connect import Connecting
from bot.slack.consent import Consenting
from bot.slack.desk import Desk
from bot.slack.directory import Directory
from bot.slack.gateway import Gateway
from bot.slack.home import Homes
from bot.slack.live import LiveMessages
from bot.slack.mailbox import Mailbox
from bot.slack.operate import Operating
from bot.slack.outbox import Outbox
from bot.slack.pacing import Pace
from bot.slack.reports import Reports
from bot.slack.router import Router
from bot.slack.sign_in import SigningIn
from bot.slack.tasks import Tasks
from bot.slack.webhook import Hooking
from bot.slack.workspace import Settling
from storage.models import OutboxMessage

CALL_SECONDS = 20.0  # for one call of Slack's
FINISH_SECONDS = 10.0  # for what people have started when the bot stops


@asynccontextmanager
async def slack_client(token: str, url: str) -> AsyncIterator[tuple[AsyncWebClient, aiohttp.ClientSession]]:
    """A client that repeats nothing by itself, and the HTTP session that it shares."""
    timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        yield (
            AsyncWebClient(token=token, base_url=url, session=http, retry_handlers=[], timeout=int(CALL_SECONDS)),
            http,
        )


class Face:
    """Everything that talks with people in Slack. `bolt` hears; `start` begins to speak."""

    def __init__(
        self, services: Services, client: AsyncWebClient, http: aiohttp.ClientSession, pace: Pace | None = None
    ) -> None:
        self.tasks = Tasks()
        self.bolt = AsyncApp(client=client)
        gateway = Gateway(client, http, pace)
        directory = Directory(gateway, services.people)
        mailbox = Mailbox(services.database)
        self._live = LiveMessages(mailbox, gateway)
        reports = Reports(services, gateway, directory, mailbox, self._live)
        self.outbox = Outbox(mailbox, reports.deliverers, reports.redirect, on_delivered=self._delivered)
        self.router = Router(self.bolt, gateway, directory, self.tasks)

        desk = Desk(services, gateway, directory, mailbox, reports, self._changed)
        connecting = Connecting(desk, self.router)
        self._signing_in = SigningIn(desk, self.router, connecting.form_after_sign_in)
        Consenting(desk, self.router)
        self._homes = Homes(desk, self.router, connecting, self.tasks)
        Hooking(desk, self.router)
        Commands(
            desk,
            self.router,
            connecting=connecting,
            approving=Approving(desk, self.router, connecting),
            configuring=Configuring(desk, self.router),
            operating=Operating(desk, self.router),
            settling=Settling(desk, self.router),
        )
        self._speaking: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Deliver the outbox and keep live messages current, until `stop`."""
        self._speaking = [
            asyncio.create_task(self.outbox.run(), name="outbox"),
            asyncio.create_task(self._live.run(), name="live messages"),
        ]

    async def stop(self) -> None:
        """Let what people have started end, then fall silent. Whatever is in the outbox stays there."""
        await self._signing_in.stop()
        await self.tasks.finish(FINISH_SECONDS)
        for task in self._speaking:
            task.cancel()
        await asyncio.gather(*self._speaking, return_exceptions=True)
        await self.tasks.close()  # the last deliveries have asked for newer Homes

    def _changed(self, team_id: str) -> None:
        self._homes.changed(team_id)
        self.outbox.nudge()

    def _delivered(self, message: OutboxMessage) -> None:
        self._homes.changed(message.team_id)
