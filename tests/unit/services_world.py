"""The services over a real database, with a small engine in place of the one that talks to Omnisend.

Two workspaces, so that each test can try what a stranger's id does. Keys of the engine say what Omnisend would.
"""

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from cryptography.fernet import Fernet
from sqlmodel import SQLModel, select

from bot.omnisend.errors import KeyRefused, ScopeMissing, Unavailable
from bot.omnisend.models import Brand
from bot.pipeline.mapping import Line
from bot.pipeline.preview import Preview
from bot.pipeline.queue import claim_run
from bot.pipeline.sources import Sources
from bot.pipeline.staging import Comparison
from bot.services.actor import Actor
from bot.services.connections import ConnectionDraft, Connections, consent_text
from bot.services.export_users import ExportUsers
from bot.services.exports import ExportDraft, Exports
from bot.services.hooks import Hooks
from bot.services.people import People
from bot.services.readiness import find_obstacle
from bot.services.requests import Requests
from bot.services.runs import Runs
from bot.services.schedules import Schedules
from bot.sources.base import Source
from storage import ledger
from storage.database import Database
from storage.models import (
    Audience,
    AuditEntry,
    BatchKind,
    Book,
    Connection,
    Export,
    OutboxMessage,
    Run,
    RunStatus,
    now,
)
from storage.secrets import Keys, open_keys
from tests.memory_source import MemorySource

TEAM, OTHER_TEAM = "T0HOME", "T0ELSE"
ADMIN = Actor(TEAM, "U0ADMIN", is_admin=True)
ANN = Actor(TEAM, "U0ANN", groups=frozenset({"S0SALES"}))
BOB = Actor(TEAM, "U0BOB")
STRANGER = Actor(OTHER_TEAM, "U0STRANGER", is_admin=True)

SHOP_KEY = "shop-0123456789abcdef"
SHOP_KEY_TOO = "shop-too-0123456789abcd"
STORE_KEY = "store-0123456789abcdef"
BLIND_KEY = "blind-0123456789abcdef"
NO_WRITE_KEY = "nowrite-0123456789abcdef"
UNREACHABLE_KEY = "away-0123456789abcdef"
SHOP, STORE = (
    Brand("brand-shop", "Shop", "https://shop.example"),
    Brand("brand-store", "Store", "https://store.example"),
)

LINES = (Line("email", "Email"), Line("firstName", "FirstName"))
CONNECTION = ConnectionDraft(name="Shop", api_key=SHOP_KEY, agreed=True, text_shown=consent_text())
SEGMENTS = ("VIP", "New", "Lost", "客戶細分")

Row = TypeVar("Row", bound=SQLModel)


class SmallEngine:
    """Knows whose key a key is, one source, and a preview without changes."""

    def __init__(self) -> None:
        self.source_of_tables = MemorySource(
            profiles_by_id={"c1": {"Email": "ann.lee@example.com", "FirstName": "Ann", "Town": "Bern", "Points": 3}},
            members={name: {"c1"} for name in SEGMENTS},
            types={"Points": "integer"},
        )
        self.sources = Sources({"tables": self.source_of_tables})
        self.checked: list[str] = []

    async def source_of(self, connection: Connection) -> Source:
        return await self.sources.of(connection)

    async def check_key(self, key: str) -> Brand:
        self.checked.append(key)
        known = {SHOP_KEY: SHOP, SHOP_KEY_TOO: SHOP, STORE_KEY: STORE}
        if key in known:
            return known[key]
        if key.startswith("blind"):
            return Brand(id=None)
        if key == NO_WRITE_KEY:
            raise ScopeMissing(scope="contacts.write", status=403, detail="Missing contacts.write scope.")
        if key == UNREACHABLE_KEY:
            raise Unavailable(call="GET /brands/current", tries=4, outcome="503")
        raise KeyRefused(status=401)

    async def preview(self, export_id: int) -> Preview:
        return Preview(Comparison(added=1), {"VIP": 1}, 0, [], [], [], 7, 1.05, [])

    async def adopt(self, export_id: int) -> int:
        return 40


@dataclass
class ServicesWorld:
    database: Database
    keys: Keys
    engine: SmallEngine = field(default_factory=SmallEngine)
    nudges: int = 0
    reloads: int = 0

    def __post_init__(self) -> None:
        self.people = People(self.database)
        self.export_users = ExportUsers(self.database, self.keys, self.engine.sources)
        self.connections = Connections(self.database, self.keys, self.engine, self.export_users, nudge=self.nudge)
        self.requests = Requests(self.database)
        self.exports = Exports(self.database, self.engine, reload=self.reload)
        self.runs = Runs(self.database, self.keys, self.engine, nudge=self.nudge)
        self.schedules = Schedules(self.database, reload=self.reload)
        self.hooks = Hooks(self.database, nudge=lambda: None)
        self.obstacle = find_obstacle

    def nudge(self) -> None:
        self.nudges += 1

    async def reload(self) -> None:
        self.reloads += 1

    # --- things to begin with

    async def connection(self, **changes: Any) -> Connection:
        return await self.connections.connect(ADMIN, replace(CONNECTION, **changes))

    async def shared(self, **changes: Any) -> Connection:
        """A connection that Ann may use and Bob may not."""
        return await self.connection(**{"audience": Audience.PEOPLE, "people": (ANN.user_id,)} | changes)

    async def export(self, connection: Connection, actor: Actor = ADMIN, **changes: Any) -> Export:
        return await self.exports.save(actor, draft(connection, **changes))

    async def sent(
        self, export: Export, brand_id: str = "brand-shop", emails: Sequence[str] = ("a@b.example",)
    ) -> Book:
        """As if a run had sent these contacts to a brand."""
        async with self.database.write() as session:
            book = await ledger.open_book(session, export.team_id, id_of(export), brand_id)
            assert book.id is not None
            run = Run(team_id=export.team_id, export_id=export.id, export_name=export.name, status=RunStatus.DONE)
            session.add(run)
            await session.flush()
            digests = sorted((self.keys.digest.of_email(email), email) for email in emails)
            entries = [
                ledger.Entry(digest, b"payload", self.keys.email.seal(email, book.id, digest), True)
                for digest, email in digests
            ]
            await ledger.claim(session, book, id_of(run), [ledger.Claim(BatchKind.UPSERT, entries)])
        return book

    async def set_run(self, run: Run, status: RunStatus, **columns: Any) -> Run:
        """Put a run where the engine would have brought it."""
        async with self.database.write() as session:
            stored = await session.get_one(Run, run.id)
            stored.status = status
            for name, value in columns.items():
                setattr(stored, name, value)
            session.add(stored)
            return stored

    async def running(self, run: Run) -> Run:
        claimed = await claim_run(self.database, id_of(run), "another process")
        assert claimed is not None
        return claimed

    async def asking(self, run: Run, finding: dict[str, Any] | None = None, *, since: datetime | None = None) -> Run:
        finding = finding or {"kind": "fall", "segment": "VIP", "before": 41_200, "members": 312}
        return await self.set_run(run, RunStatus.ASKING, findings=[finding], ended_at=since or now())

    # --- what came of it

    async def rows(self, model: type[Row]) -> list[Row]:
        async with self.database.read() as session:
            return list((await session.exec(select(model))).all())

    async def row(self, model: type[Row], key: object) -> Row:
        async with self.database.read() as session:
            return await session.get_one(model, key)

    async def audited(self) -> list[tuple[str, str, str]]:
        """Actor, action and subject of every entry."""
        return [(entry.actor, entry.action, entry.subject) for entry in await self.rows(AuditEntry)]

    async def heard(self, event: str) -> list[OutboxMessage]:
        return [message for message in await self.rows(OutboxMessage) if message.event == event]


def draft(connection: Connection, **changes: Any) -> ExportDraft:
    return replace(ExportDraft("VIP to shop", id_of(connection), ("VIP",), LINES), **changes)


def id_of(row: Connection | Export | Run) -> int:
    assert row.id is not None
    return row.id


@asynccontextmanager
async def services_world(folder: Path) -> AsyncIterator[ServicesWorld]:
    """The services over a database of their own in a folder."""
    path = folder / "ferry.sqlite3"
    path.write_bytes(await _new_installation())
    database = Database(f"sqlite+aiosqlite:///{path}")
    try:
        yield ServicesWorld(database, await open_keys(database, [_secret_key()], folder))
    finally:
        await database.close()


_made: dict[str, bytes] = {}


async def _new_installation() -> bytes:
    """A database with its schema and keys, as the first start leaves it: made once, copied for each test."""
    if "new" not in _made:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "new.sqlite3"
            database = Database(f"sqlite+aiosqlite:///{path}")
            await database.open()
            await open_keys(database, [_secret_key()], Path(folder))
            await database.close()
            _made["new"] = path.read_bytes()
    return _made["new"]


@lru_cache
def _secret_key() -> str:
    return Fernet.generate_key().decode()
