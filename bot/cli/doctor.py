"""`ferry doctor`: what is configured, what can be reached, what is missing."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx
from rich.console import Console
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.app import build
from bot.cli.exits import Exit
from bot.settings import Settings
from storage.errors import FerryError

REACH_SECONDS = 10.0  # for each thing asked


@dataclass(frozen=True, slots=True)
class Answer:
    fine: bool | None  # None: not configured, which may be meant
    text: str


async def examine(settings: Settings, console: Console) -> int:
    """Ask everything in turn; the exit status is 1 if something that is configured does not work."""
    checks: list[tuple[str, Callable[[Settings], Awaitable[Answer]]]] = [
        ("Storage", _storage),
        ("Source", _source),
        ("Omnisend", _omnisend),
        ("Slack", _slack),
    ]
    broken = False
    for name, check in checks:
        try:
            answer = await check(settings)
        except FerryError as error:
            answer = Answer(False, str(error))
        broken = broken or answer.fine is False
        sign, style = {True: ("ok", "green"), False: ("broken", "red"), None: ("not set", "yellow")}[answer.fine]
        console.print(f"[{style}]{sign:>8}[/]  [bold]{name}[/]  ", end="")
        console.print(answer.text, markup=False, soft_wrap=True)
    return Exit.FAILED if broken else 0


async def _storage(settings: Settings) -> Answer:
    async with build(settings):
        keys = "FERRY_SECRET_KEYS" if settings.secret_keys else "a key file in the data folder"
        return Answer(True, f"the database in {settings.data_dir} opens; secrets are sealed with {keys}")


async def _source(settings: Settings) -> Answer:
    if not settings.source:
        return Answer(None, "set FERRY_SOURCE to a folder with profiles and segments")
    async with build(settings) as app:
        lines = []
        for source in app.engine.sources.values():
            await source.check()
            fields, segments = await source.fields(), await source.segments()
            lines.append(f"{source.kind} in {source.label}: {len(fields)} fields, {len(segments)} segments")
        return Answer(True, "; ".join(lines))


async def _omnisend(settings: Settings) -> Answer:
    """Without a key, Omnisend's own refusal shows that it is there (Omnisend docs, Authentication)."""
    try:
        async with httpx.AsyncClient(timeout=REACH_SECONDS) as client:
            response = await client.get(
                f"{settings.omnisend_url}/brands/current", headers={"Omnisend-Version": "2026-03-15"}
            )
    except httpx.HTTPError as error:
        return Answer(False, f"{settings.omnisend_url} can't be reached ({type(error).__name__})")
    fine = response.status_code == httpx.codes.UNAUTHORIZED
    said = "answers" if fine else f"answers with status {response.status_code}, which Omnisend would not"
    return Answer(fine, f"{settings.omnisend_url} {said}; {settings.omnisend_rate} requests/seconds allowed")


async def _slack(settings: Settings) -> Answer:
    bot, app = settings.slack_bot_token.get_secret_value(), settings.slack_app_token.get_secret_value()
    if not bot or not app:
        return Answer(None, "set FERRY_SLACK_BOT_TOKEN and FERRY_SLACK_APP_TOKEN (see the README)")
    client = AsyncWebClient(token=bot, base_url=settings.slack_url, timeout=int(REACH_SECONDS))
    try:
        known = await client.auth_test()
        await client.apps_connections_open(app_token=app)
    except SlackApiError as error:
        return Answer(False, f"Slack says {error.response['error']}")
    except Exception as error:
        return Answer(False, f"{settings.slack_url} can't be reached ({type(error).__name__})")
    return Answer(True, f"the bot is {known['user']} in {known['team']}")
