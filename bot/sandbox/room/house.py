"""Everything that runs in a sandbox: both stand-ins, the bot, the source, and the state that is kept between starts."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from bot.sandbox.profiles import make_folder
from bot.sandbox.room import state
from bot.sandbox.room.bell import Bell
from bot.sandbox.room.bot_process import BotProcess
from bot.sandbox.room.errors import ProcessEnded
from bot.sandbox.room.insights import insights
from bot.sandbox.room.source import ShownSource
from bot.sandbox.room.source_data import SourceData
from bot.sandbox.room.standin import standin
from bot.sandbox.room.trouble import Troubles
from bot.sandbox.workspace import DidNotStart, bot_settings

PROJECT = Path(__file__).parents[3]
MANIFESTS = (PROJECT / "manifest.yml", PROJECT / "bot" / "manifest.yml")  # of the project, of the installed package
RATE_LIMIT = 400  # requests a minute (Omnisend docs, Rate limits)
CONNECT_SECONDS = 30.0  # for the bot to be there; a Slack that is away keeps it from it


@dataclass(frozen=True, slots=True)
class Plan:
    """How a sandbox is to be: `state` is its folder, `source` a folder of tables or None for made-up profiles.

    `dataverse`: the source is a stand-in of a Dataverse environment with Customer Insights instead.
    """

    state: Path
    source: Path | None = None
    profiles: int = 20_000
    time_scale: float = 6.0
    """An Omnisend minute lasts 60 / `time_scale` seconds: short enough to wait for, long enough to watch."""
    batch_delay: float = 20.0
    """Seconds of Omnisend's time that it takes over a batch."""
    settings: dict[str, str] = field(default_factory=dict)
    """Further settings of the bot."""
    dataverse: bool = False


@dataclass(frozen=True, slots=True)
class House:
    """What is running. `slack` and `omnisend` are what the stand-ins announced; `notes` are for the terminal."""

    plan: Plan
    slack: dict[str, Any]
    omnisend: dict[str, Any]
    bot: BotProcess
    source: ShownSource
    troubles: Troubles
    http: aiohttp.ClientSession
    bell: Bell
    notes: tuple[str, ...] = ()

    @property
    def slack_control(self) -> str:
        return f"{self.slack['url']}/_control"

    @property
    def omnisend_control(self) -> str:
        return str(self.omnisend["control"])

    def state(self) -> dict[str, Any]:
        """How the house stands, for the page; what the source holds takes longer to say."""
        return {
            "bot": {"state": self.bot.state, "starts": self.bot.starts, "log": self.bot.last_words()},
            "switches": self.troubles.listing(),
            "omnisend": {"key": self.omnisend["key"], "limit": RATE_LIMIT, "time_scale": self.plan.time_scale},
        }


@asynccontextmanager
async def opened(plan: Plan) -> AsyncIterator[House]:
    """Start everything, and stop it at the end. Raises a `SandboxError` or a `SourceError`."""
    bell = Bell()
    async with AsyncExitStack() as stack:
        kept = plan.state / "kept"
        try:
            source, source_settings, source_notes = await _chosen_source(stack, plan)
            slack = await stack.enter_async_context(standin("slack", kept / "slack.json", *_manifest()))
            omnisend = await stack.enter_async_context(standin("omnisend", kept / "omnisend.json", *_pace(plan)))
        except DidNotStart as error:
            raise ProcessEnded(detail=error) from None
        # On loopback only: what the machine's proxy settings say does not matter here.
        http = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        settings = _settings(plan, slack, omnisend) | source_settings
        control = f"{slack['url']}/_control"
        connected = partial(_connected, http, control)
        bot = await stack.enter_async_context(BotProcess(settings, plan.state / "bot.log", bell, connected))
        troubles = Troubles(http, control, omnisend["control"], omnisend["key"], bell)
        await bot.start()
        if bot.state == "ended":
            raise ProcessEnded(detail=f"the bot ended, and its log ends with:\n{bot.last_words()}\n")
        notes = (*source_notes, *_lost(slack, omnisend))
        yield House(plan, slack, omnisend, bot, source, troubles, http, bell, notes)


async def _chosen_source(stack: AsyncExitStack, plan: Plan) -> tuple[ShownSource, dict[str, str], list[str]]:
    """The source, the settings that name it to the bot, and what is to be said about it."""
    if not plan.dataverse:
        tables, notes = await opened_source(plan)
        return tables, {"FERRY_SOURCE": str(tables.folder)}, notes
    before, notes = await _another_source(plan, "dataverse")
    data = await stack.enter_async_context(insights(plan.state / "kept" / "dataverse.json", plan.profiles))
    await asyncio.to_thread(state.write_about, plan.state, "dataverse")
    if before == "dataverse":
        notes.append("The stand-in of Entra forgets who signed in when it ends: export users have to sign in again.")
    return data, data.settings, notes


async def opened_source(plan: Plan) -> tuple[SourceData, list[str]]:
    """The tables' copy, made anew where it was made from other ones; what is to be said about that."""
    name = str(plan.source) if plan.source is not None else f"{plan.profiles} made-up profiles"
    before, notes = await _another_source(plan, name)
    original = await asyncio.to_thread(_original, plan, anew=before != name)
    copies = plan.state / "source"
    if before != name:
        await asyncio.to_thread(shutil.rmtree, copies, ignore_errors=True)
    # The copy has the folder's name, by which the bot calls it.
    source = SourceData(original, copies / (plan.source.name if plan.source else "sandbox"))
    await source.open()
    await asyncio.to_thread(state.write_about, plan.state, name)
    return source, notes


async def _another_source(plan: Plan, name: str) -> tuple[str | None, list[str]]:
    """The name of the last source, and what is to be said if this is another one."""
    await asyncio.to_thread(plan.state.mkdir, mode=0o700, parents=True, exist_ok=True)
    before = state.about(plan.state).get("source")
    if before in (None, name):
        return before, []
    return before, [f"The source was {before} and is {name} now. Nothing else was forgotten; --fresh starts over."]


def _lost(*announced: dict[str, Any]) -> list[str]:
    """What to say if a stand-in could not write down what it held when it ended last."""
    if not any(one["unsaved"] for one in announced):
        return []
    return [
        "The last sandbox was ended by force: Slack and Omnisend are as they were when it started, and the bot "
        "remembers more. --fresh starts over."
    ]


async def _connected(http: aiohttp.ClientSession, control: str) -> None:
    """Wait until the bot hears what people do."""
    with contextlib.suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(CONNECT_SECONDS):
            query: dict[str, str] = {}
            while True:
                async with http.get(f"{control}/connections", params=query) as answer:
                    said = await answer.json()
                if said["connections"]:
                    return
                query = {"after": str(said["version"]), "timeout": "30"}


def _original(plan: Plan, *, anew: bool) -> Path:
    if plan.source is not None:
        return plan.source
    made = plan.state / "made"
    return made if not anew and (made / "profiles.parquet").exists() else make_folder(made, count=plan.profiles)


def _manifest() -> tuple[str, ...]:
    path = next((path for path in MANIFESTS if path.exists()), None)
    return ("--manifest", str(path)) if path else ()


def _pace(plan: Plan) -> tuple[str, ...]:
    return ("--time-scale", f"{plan.time_scale:g}", "--batch-delay", f"{plan.batch_delay:g}")


def _settings(plan: Plan, slack: dict[str, Any], omnisend: dict[str, Any]) -> dict[str, str]:
    """The bot's settings: those of any bot here, and a pace that fits an Omnisend whose clock runs fast."""
    return {
        **bot_settings(plan.state / "data", slack, omnisend),
        "FERRY_OMNISEND_RATE": omnisend["rate"],
        "FERRY_SWEEP_SECONDS": "[0.5, 3]",
        "FERRY_LOOKUP_GRACE": "10",
        **plan.settings,
    }
