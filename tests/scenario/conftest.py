"""A workspace for scenarios: Slack and Omnisend as emulator processes, the bot in this one, people who act.

The emulators live as long as the session and are reset for each test; the bot, its data folder and its source are new.
"""

import asyncio
import csv
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from bot.app import App, running
from bot.sandbox.slack.client import Modal, Person, SlackWorld
from bot.services.actor import Actor
from bot.services.connections import ConnectionDraft, consent_text
from bot.services.exports import ExportDraft
from bot.services.overview import line_of
from bot.services.people import PersonProfile
from bot.services.schedules import ScheduleDraft
from bot.settings import Rate, Settings
from bot.slack.pacing import Pace
from storage.database import Database
from storage.models import Audience, FieldMapping, OutboxMessage, OutboxState, Run, RunStatus, When
from tests.processes import emulator

Json = dict[str, Any]
MANIFEST = Path(__file__).parents[2] / "manifest.yml"
PEOPLE = 12  # profiles in the source, all with a good email, all in VIP


@pytest.fixture(scope="session")
async def slack_process() -> AsyncIterator[Json]:
    # Limits have tests of their own; a scenario must not wait for them.
    async with emulator("bot.sandbox.slack", "--rate-limits", "off", "--manifest", str(MANIFEST)) as told:
        yield told


@pytest.fixture(scope="session")
async def omnisend_process() -> AsyncIterator[Json]:
    async with emulator("bot.sandbox.omnisend", "--rate-limit", "0", "--time-scale", "1000") as told:
        yield told


class Source:
    """A folder of tables that a test writes: profiles, and segments as lists of ids."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "segments").mkdir(parents=True)
        self.profiles: dict[str, Json] = {}

    def fill(self, count: int = PEOPLE) -> None:
        """People p1…pN, everyone in the segment VIP."""
        for number in range(1, count + 1):
            self.profiles[f"p{number}"] = {
                "EMail": f"person{number}@example.com",
                "FirstName": f"Ann{number}",
                "LastName": "Lee",
                "City": "Berlin",
                "Tier": "gold",
            }
        self.segment("VIP", self.profiles)
        self.write()

    def segment(self, name: str, ids: Iterable[str]) -> None:
        lines = ["CustomerId", *ids]
        (self.folder / "segments" / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def write(self) -> None:
        columns = list(dict.fromkeys(name for row in self.profiles.values() for name in row))
        with (self.folder / "profiles.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["CustomerId", *columns])
            writer.writeheader()
            writer.writerows({"CustomerId": number, **row} for number, row in self.profiles.items())


@dataclass(slots=True)
class Omnisend:
    """The emulated Omnisend, seen from its controls."""

    told: Json
    http: httpx.AsyncClient

    @property
    def key(self) -> str:
        return str(self.told["key"])

    async def control(self, path: str, body: Json | None = None) -> Any:
        url = f"{self.told['control']}/{path}"
        answer = await (self.http.get(url) if body is None else self.http.post(url, json=body))
        answer.raise_for_status()
        return answer.json()

    async def contacts(self) -> list[Json]:
        return list((await self.control("contacts?format=json"))["contacts"])

    async def batches_posted(self) -> int:
        listed = (await self.control("requests"))["requests"]
        return sum(one["method"] == "POST" and one["path"].endswith("/batches") for one in listed)


@dataclass(slots=True)
class Ferry:
    """The bot at work, with the people of its workspace."""

    app: App
    settings: Settings
    slack: SlackWorld
    omnisend: Omnisend
    source: Source

    @property
    def ada(self) -> Person:
        """An owner of the workspace: an admin."""
        return self.slack.person("ada")

    @property
    def carl(self) -> Person:
        """A contributor, once something is shared with him."""
        return self.slack.person("carl")

    @property
    def vera(self) -> Person:
        return self.slack.person("vera")

    async def connect(self, audience: Audience = Audience.EVERYONE) -> None:
        """A connection of the emulated brand, as if Ada had made it in Slack."""
        draft = ConnectionDraft(
            "Acme Shop", self.omnisend.key, audience, agreed=True, text_shown=consent_text(), language="en-US"
        )
        await self.app.services.connections.connect(await self.actor("ada"), draft)

    async def set_up(
        self,
        person: str = "carl",
        name: str = "Newsletter",
        *,
        segments: Iterable[str] = ("VIP",),
        when: When = When.MANUAL,
        schedule: ScheduleDraft | None = None,
    ) -> None:
        """An export that reports to #marketing, as if that person had made it in Slack."""
        services, actor = self.app.services, await self.actor(person)
        (connection,) = await services.connections.visible(actor)
        email = FieldMapping(team_id="", export_id=0, position=0, attribute="email", value="EMail")
        draft = ExportDraft(
            name,
            connection.id or 0,
            tuple(segments),
            (line_of(email),),
            when=when,
            channel=await self.slack.channel_id("marketing"),
            schedule=schedule,
        )
        await services.exports.save(actor, draft)

    async def actor(self, person: str) -> Actor:
        """Somebody of the workspace as the services know them."""
        people = (await self.slack.state())["people"]
        found = next(one for one in people if one["name"] == person)
        admin = bool(found["is_admin"] or found["is_owner"])
        profile = PersonProfile(person, found["locale"], found["tz"], admin)
        return await self.app.services.people.actor(self.settings.team_id, found["id"], profile)

    async def app_outbox_empty(self) -> None:
        """Wait until Slack has everything that was to be said."""
        await self._none(select(OutboxMessage.id).where(OutboxMessage.state == OutboxState.WAITING))

    async def run_ended(self) -> None:
        """Wait until no run is under way; Slack need not know of it."""
        active = col(Run.status).in_((RunStatus.QUEUED, RunStatus.RUNNING))
        await self._none(select(Run.id).where(active))

    async def _none(self, statement: Any) -> None:
        async with asyncio.timeout(10):
            while True:
                async with self.app.database.read() as session:
                    if (await session.exec(statement)).first() is None:
                        return
                await asyncio.sleep(0.05)


async def form(person: Person, title: str) -> Modal:
    """The modal of that title, once it has inputs: not the one that only says that something is coming."""

    def ready(screen: Any) -> bool:
        modal = screen.modal
        return modal is not None and modal["title"]["text"] == title and bool(modal["submit"])

    screen = await person.wait_for(ready)
    return Modal(person, screen.modal or {})


async def submit(modal: Modal) -> Any:
    """Submit, and see that nothing is wrong with the entries."""
    result = await modal.submit()
    assert result.acknowledged, result
    assert not result.errors, result.errors
    return result


@pytest.fixture
async def omnisend(omnisend_process: Json) -> AsyncIterator[Omnisend]:
    async with httpx.AsyncClient(trust_env=False) as http:
        world = Omnisend(omnisend_process, http)
        await world.control("reset", {})
        yield world


@pytest.fixture
async def slack(slack_process: Json) -> AsyncIterator[SlackWorld]:
    async with SlackWorld(slack_process["url"]) as world:
        await world.connected(0)
        await world.reset()
        yield world


@pytest.fixture
def source(tmp_path: Path) -> Source:
    made = Source(tmp_path / "source")
    made.fill()
    return made


@pytest.fixture(scope="session")
async def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with today's schema: to copy one is quicker than to migrate each."""
    path = tmp_path_factory.mktemp("database") / "ferry.sqlite3"
    database = Database(f"sqlite+aiosqlite:///{path}")
    await database.open()
    await database.close()
    return path


@pytest.fixture
def settings(new_database: Path, tmp_path: Path, slack_process: Json, omnisend: Omnisend, source: Source) -> Settings:
    (tmp_path / "data").mkdir(mode=0o700)
    shutil.copy(new_database, tmp_path / "data")
    return Settings(
        _env_file=None,
        data_dir=tmp_path / "data",
        source=str(source.folder),
        omnisend_url=omnisend.told["url"],
        omnisend_rate=Rate(0, 60),
        sweep_seconds=(0.05, 0.2),
        drain_patience=0.5,
        lookup_grace=0.5,
        slack_url=slack_process["api_url"],
        slack_bot_token=slack_process["bot_token"],
        slack_app_token=slack_process["app_token"],
        team_id=slack_process["team_id"],
    )


Start = Callable[[], Any]


@pytest.fixture
def start(settings: Settings, slack: SlackWorld, omnisend: Omnisend, source: Source) -> Start:
    """Start the bot; a test that stops it and starts it again uses this, the others use `ferry`."""

    @asynccontextmanager
    async def started() -> AsyncIterator[Ferry]:
        async with running(settings, Pace(post_seconds=0)) as app:
            await slack.connected(2)
            yield Ferry(app, settings, slack, omnisend, source)

    return started


@pytest.fixture
async def ferry(start: Start) -> AsyncIterator[Ferry]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(start())
