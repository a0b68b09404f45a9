"""`ferry doctor`: what is configured, what can be reached, what is missing."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx
from rich.console import Console
from slack_sdk.web.async_client import AsyncWebClient
from sqlmodel import func, select

from bot.app import build
from bot.cli.doctor_insights import examine_insights
from bot.cli.exits import Exit
from bot.cli.terminal import say
from bot.cli.words import counted, explained, on_offer
from bot.settings import Settings
from bot.slack.errors import SlackAway
from bot.slack.sockets import check_tokens
from bot.sources.tables import TablesSource
from storage.errors import FerryError
from storage.models import Connection, Export

REACH_SECONDS = 10.0  # for each thing asked
SCARCE = 500_000_000  # bytes: a large export spills more than this


@dataclass(frozen=True, slots=True)
class Answer:
    fine: bool | None  # None: not configured, which may be meant
    text: str


async def examine(settings: Settings, console: Console) -> int:
    """Ask everything in turn; the exit status is 1 if something that is configured does not work."""
    checks: list[tuple[str, Callable[[Settings], Awaitable[Answer]]]] = [
        ("Storage", _storage),
        *([("Source", _source)] if settings.tables_folder or not settings.environment else []),
        *([("Customer Insights", _insights)] if settings.environment else []),
        ("Omnisend", _omnisend),
        ("Slack", _slack),
    ]
    broken = False
    for name, check in checks:
        try:
            answer = await check(settings)
        except FerryError as error:
            answer = Answer(False, explained(error))
        broken = broken or answer.fine is False
        sign, style = {True: ("ok", "green"), False: ("broken", "red"), None: ("not set", "yellow")}[answer.fine]
        console.print(f"[{style}]{sign:>8}[/]  [bold]{name}[/]  ", end="")
        say(answer.text, console)
    return Exit.FAILED if broken else 0


async def _storage(settings: Settings) -> Answer:
    """Looks without leaving anything behind: a data folder is made by the first command that needs one."""
    if not settings.database_url and not settings.data_dir.exists():
        return Answer(None, f"nothing is stored yet; the folder {settings.data_dir} is made with the first connection")
    async with build(settings) as app, app.database.read() as session:
        connections = (await session.exec(select(func.count()).select_from(Connection))).one()
        exports = (await session.exec(select(func.count()).select_from(Export))).one()
    keys = "FERRY_SECRET_KEYS" if settings.secret_keys else "a key file in the data folder (back it up)"
    counts = f"{counted(connections, 'connection')}, {counted(exports, 'export')}"
    kept = f"{settings.data_dir}: {counts}; secrets are sealed with {keys}"
    free = shutil.disk_usage(settings.data_dir).free
    if free < SCARCE:
        return Answer(False, f"{kept}. Only {free // 1_000_000:,} MB are free there: a run may fail for want of room.")
    return Answer(True, kept)


async def _source(settings: Settings) -> Answer:
    if not settings.source:
        return Answer(None, "set FERRY_SOURCE to a folder with profiles and segments, or to a Dataverse environment")
    if settings.tables_folder is None:
        return Answer(None, "set FERRY_SOURCE to a folder with profiles and segments")
    source = TablesSource(settings.tables_folder)
    try:
        await source.check()
        fields, segments = await source.fields(), await source.segments()
    finally:
        await source.close()
    return Answer(True, f"{source.kind} in {source.label}: {on_offer(fields, segments)}")


async def _insights(settings: Settings) -> Answer:
    """What is wrong comes first, with who can mend it."""
    found = await examine_insights(settings)
    wrong = [finding.text for finding in found if not finding.fine]
    return Answer(not wrong, "; ".join(wrong or [finding.text for finding in found]))


async def _omnisend(settings: Settings) -> Answer:
    """Without a key, Omnisend's own refusal shows that it is there (Omnisend docs, Authentication)."""
    try:
        async with httpx.AsyncClient(timeout=REACH_SECONDS) as client:
            response = await client.get(
                f"{settings.omnisend_url}/brands/current", headers={"Omnisend-Version": "2026-03-15"}
            )
    except httpx.HTTPError as error:
        return Answer(
            False,
            f"{settings.omnisend_url} can't be reached ({type(error).__name__}). Exports can't run. Check the network, "
            "any proxy on the way, and FERRY_OMNISEND_URL if it is set.",
        )
    if response.status_code != httpx.codes.UNAUTHORIZED:
        return Answer(
            False,
            f"{settings.omnisend_url} answers with status {response.status_code}, as Omnisend would not. Check "
            "FERRY_OMNISEND_URL and any proxy on the way.",
        )
    rate = settings.omnisend_rate
    allowed = f"{rate.requests} requests in {rate.seconds:g} s" if rate.requests else "any number of requests"
    return Answer(True, f"{settings.omnisend_url} answers; it allows a brand {allowed}, as far as the settings say")


async def _slack(settings: Settings) -> Answer:
    bot, app = settings.slack_bot_token.get_secret_value(), settings.slack_app_token.get_secret_value()
    if not bot or not app:
        wanted = {"FERRY_SLACK_BOT_TOKEN (xoxb-…)": bot, "FERRY_SLACK_APP_TOKEN (xapp-…)": app}
        missing = " and ".join(name for name, token in wanted.items() if not token)
        return Answer(None, f"set {missing}; the README says where to find them")
    client = AsyncWebClient(token=bot, base_url=settings.slack_url, timeout=int(REACH_SECONDS))
    try:
        async with asyncio.timeout(2 * REACH_SECONDS):
            team = await check_tokens(client, app)
    except (SlackAway, TimeoutError):
        return Answer(
            False, f"{settings.slack_url} can't be reached. Reports are kept until it can. Check the network."
        )
    return Answer(True, f"both tokens are good, for the workspace {team}")
