"""The composition root: settings in, running bot out. Nothing else builds objects."""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.duck import SpillFolders
from bot.hooks import HookServer
from bot.pipeline.counts import Recounts
from bot.pipeline.engine import Engine
from bot.pipeline.insights import Insights
from bot.pipeline.queue import Dispatcher
from bot.pipeline.schedule import Scheduler
from bot.pipeline.sources import Sources
from bot.services.context import Services
from bot.services.readiness import consent_obstacle, find_obstacle
from bot.services.sign_in_watch import SignInWatch
from bot.settings import Settings
from bot.slack.errors import SlackAway
from bot.slack.face import Face, slack_client
from bot.slack.pacing import Pace
from bot.slack.sockets import Sockets, await_slack, check_tokens
from bot.sources.base import Source
from bot.sources.tables import TablesSource
from bot.tasks import end
from storage.database import Database
from storage.errors import FerryError, mark
from storage.secrets import Keys, open_keys

log = structlog.get_logger(__name__)

SWITCH_SECONDS = 0.001  # Python's own default is five times that
SPILL = "spill"  # folder in the data folder that staging may spill into


@dataclass(frozen=True, slots=True)
class App:
    """Everything of a process, put together. `dispatcher` and `scheduler` are not started: `serve` does that."""

    settings: Settings
    database: Database
    engine: Engine
    dispatcher: Dispatcher
    scheduler: Scheduler
    services: Services


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """Open what is stored and put the parts together; close everything at the end.

    Raises a `StorageError` if the database or the keys can't be used.
    """
    async with AsyncExitStack() as stack:
        database = Database(settings.resolved_database_url)
        stack.push_async_callback(database.close)
        await database.open()
        keys = await open_keys(database, [key.get_secret_value() for key in settings.secret_keys], settings.data_dir)
        spill = SpillFolders(settings.data_dir / SPILL)
        spill.sweep()
        sources = open_sources(settings, database, keys)
        stack.push_async_callback(sources.close)
        engine = Engine(database, keys, settings, sources, spill, consent_obstacle=consent_obstacle)
        dispatcher = Dispatcher(database, engine, resting=engine.resting)
        scheduler = Scheduler(database, obstacle=find_obstacle, nudge=dispatcher.nudge)
        services = Services.compose(database, keys, settings, engine, nudge=dispatcher.nudge, reload=scheduler.reload)
        yield App(settings, database, engine, dispatcher, scheduler, services)


def open_sources(settings: Settings, database: Database, keys: Keys) -> Sources:
    """The sources that the settings name."""
    shared: dict[str, Source] = {}
    if settings.tables_folder is not None:
        tables = TablesSource(settings.tables_folder)
        shared[tables.kind] = tables
    insights = Insights(database, keys.vault, settings) if settings.environment else None
    return Sources(shared, insights, database)


# --- the bot in Slack


class TokensMissing(FerryError):
    code = "slack-tokens-missing"
    what = mark("There is no {missing}, so the bot can't talk to Slack.")
    consequence = mark("Nothing was started.")
    remedy = mark(
        "Set FERRY_SLACK_BOT_TOKEN (xoxb-…) and FERRY_SLACK_APP_TOKEN (xapp-…), or try everything without a Slack "
        "account: make sandbox."
    )


@asynccontextmanager
async def running(settings: Settings, pace: Pace | None = None) -> AsyncIterator[App]:
    """The whole bot at work: Slack over Socket Mode, schedules, and the exports themselves.

    Raises `TokensMissing` or `TokenRefused`; waits for a Slack that is away, while schedules and exports go on.
    """
    bot_token, app_token = _tokens(settings)
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(build(settings))
        client, http = await stack.enter_async_context(slack_client(bot_token, settings.slack_url))
        with contextlib.suppress(SlackAway):
            await check_tokens(client, app_token)

        await app.dispatcher.start()
        stack.push_async_callback(app.dispatcher.stop)
        await app.scheduler.start()
        stack.push_async_callback(app.scheduler.stop)
        if settings.hook_port is not None:
            server = HookServer(app.services.hooks, port=settings.hook_port, host=settings.hook_host)
            await server.start()
            stack.push_async_callback(server.stop)
        recounts = Recounts(app.database, app.engine.client_for, after=settings.recount_seconds)
        await recounts.start()
        stack.push_async_callback(recounts.stop)
        face = Face(app.services, client, http, pace)
        face.start()
        stack.push_async_callback(face.stop)
        watch = SignInWatch(app.database, app.engine.sources, nudge=face.outbox.nudge)
        await watch.start()
        stack.push_async_callback(watch.stop)
        sockets = Sockets(face.bolt, app_token)
        stack.push_async_callback(sockets.close)
        listening = asyncio.create_task(_listen(sockets, client, app_token), name="listening")
        stack.push_async_callback(end, listening)
        yield app


async def serve(settings: Settings) -> None:
    """Run the bot until SIGINT or SIGTERM, then stop it cleanly."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    async with running(settings):
        _put_people_first()
        log.info("the bot is running")
        await stop.wait()
        log.info("the bot is stopping")


def _put_people_first() -> None:
    """Keep the loop free for whoever types a command while exports run (measured: tests/bench/ack_speed.py).

    A full round of the garbage collector over all that was loaded at the start takes a third of a second, and a run
    makes several: leave that out of its rounds. And let worker threads hand over the interpreter sooner.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_SECONDS)


async def _listen(sockets: Sockets, client: AsyncWebClient, app_token: str) -> None:
    """Connect as soon as Slack is there. Tokens refused only then are an error in the log: exports go on."""
    try:
        await await_slack(client, app_token)
        await sockets.connect()
    except FerryError as error:
        log.error("not connected to Slack", code=error.code, error=str(error))
    else:
        log.info("connected to Slack")


def _tokens(settings: Settings) -> tuple[str, str]:
    tokens = {"bot token": settings.slack_bot_token, "app-level token": settings.slack_app_token}
    missing = [name for name, token in tokens.items() if not token.get_secret_value()]
    if missing:
        raise TokensMissing(missing=" and no ".join(missing))
    return settings.slack_bot_token.get_secret_value(), settings.slack_app_token.get_secret_value()
