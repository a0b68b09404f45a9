"""An engine with a database of its own and a source in memory, beside an Omnisend emulator: what tests of runs share.

What Omnisend must hold is worked out here from the source's dicts by a few lines of Python, never by the pipeline.
"""

import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.duck import SpillFolders
from bot.omnisend.contacts import segment_property
from bot.pipeline.engine import Engine
from bot.pipeline.queue import enqueue
from bot.pipeline.sources import Sources
from bot.settings import Rate, Settings
from storage.database import Database
from storage.models import (
    Batch,
    Book,
    Connection,
    Consent,
    Export,
    ExportSegment,
    FieldMapping,
    Installation,
    Leavers,
    LedgerEntry,
    MappingKind,
    OutboxMessage,
    Rejection,
    Run,
    SegmentState,
    Trigger,
)
from storage.secrets import Keys, Vault, open_keys
from tests.memory_source import MemorySource
from tests.system.omnisend_emulator_client import Omnisend, omnisend_process

TEAM = "T0TEST"
OWNER = "U0OWNER"
CHANNEL = "C0REPORTS"
SECRET_KEY = Fernet.generate_key().decode()
SCALE = 200  # virtual seconds of the emulator in a real one: a batch of 2 s takes 10 ms
MAPPING = {"email": "Email", "firstName": "First", "country": "Land", "custom:Points": "Points"}
COUNTRIES = {"Deutschland": "DE", "France": "FR", "España": "ES", "中国": "CN"}

PATIENT: Mapping[str, Any] = {
    "omnisend_rate": Rate(0, 0.1),  # no limit; the back-off shrinks with the window
    "sweep_seconds": (0.02, 0.1),
    "lookup_grace": 0.2,
    "settle_patience": 60,  # what settles does so in a moment; what never settles is given less by the test
    "canary_patience": 60,
    "drain_patience": 60,
    "outage_patience": 60,
}
HASTY: Mapping[str, Any] = {"settle_patience": 0.3, "canary_patience": 0.3, "drain_patience": 0.3}
"""For tests in which something never settles: nobody waits for it."""


async def agreed(session: AsyncSession, connection: Connection) -> None:
    """Consent holds; what the engine does without is tried in `test_consent_is_asked_again.py`."""


@asynccontextmanager
async def fast_emulator(*arguments: str) -> AsyncIterator[Omnisend]:
    """An emulator without limits whose time runs fast. One process a test module; `reset` it for each test."""
    async with omnisend_process("--rate-limit", "0", "--time-scale", str(SCALE), *arguments) as omnisend:
        yield omnisend


def person(number: int, **changes: Any) -> dict[str, Any]:
    """A clean profile."""
    return {
        "Email": f"person{number}@example.com",
        "First": f"Zoë {number}",
        "Land": list(COUNTRIES)[number % len(COUNTRIES)],
        "Points": number,
        **changes,
    }


def crowd(count: int, start: int = 0) -> dict[str, dict[str, Any]]:
    """`count` clean profiles by customer id."""
    return {f"c{number:06}": person(number) for number in range(start, start + count)}


@dataclass(frozen=True)
class Wanted:
    """A contact as the source says it must be: the segments it is in, and the attributes that have a value."""

    segments: frozenset[str]
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class World:
    """One installation: database, keys, source and engine. `export` is the newest export made."""

    folder: Path
    omnisend: Omnisend
    source: MemorySource
    settings: Settings
    database: Database
    keys: Keys
    engine: Engine
    export: Export = field(init=False)

    # --- the installation

    def configure(self, **values: Any) -> None:
        """Go on with other settings, as after a restart."""
        self.settings = self.settings.model_copy(update=values)
        self.engine = self.another_engine()

    def another_engine(self) -> Engine:
        """A second engine over the same database, as another process would have."""
        spill = SpillFolders(self.folder / "spill")
        return Engine(
            self.database, self.keys, self.settings, Sources({"tables": self.source}), spill, consent_obstacle=agreed
        )

    async def make_connection(self, key: str | None = None) -> Connection:
        """A connection with consent, its key checked live."""
        key = key or self.omnisend.key
        brand = await self.engine.check_key(key)
        assert brand.id is not None
        async with self.database.write() as session:
            connection = Connection(team_id=TEAM, name=f"shop {brand.id}", brand_id=brand.id, brand_name=brand.name)
            session.add(connection)
            await session.flush()
            connection.api_key = self.keys.vault.seal(key, row=f"connection/{connection.id}/api_key")
            consent = Consent(
                team_id=TEAM,
                connection_id=connection.id,
                connection_name=connection.name,
                brand_id=connection.brand_id,
                person=OWNER,
                text_version="1",
                language="en",
                text_digest="0" * 64,
            )
            session.add_all([connection, consent])
        return connection

    async def make_export(
        self,
        *segments: str,
        name: str = "the export",
        mapping: Mapping[str, str] = MAPPING,
        clear: Iterable[str] = (),
        connection: Connection | None = None,
        leavers: Leavers = Leavers.FLAG_FALSE,
    ) -> Export:
        """An export of these segments (of all the source has, if none is named). A mapping with `{` is a template."""
        connection = connection or await self.make_connection()
        async with self.database.write() as session:
            export = Export(
                team_id=TEAM,
                name=name,
                connection_id=connection.id,
                owner=OWNER,
                channel=CHANNEL,
                leavers=leavers,
            )
            session.add(export)
            await session.flush()
            assert export.id is not None
            for segment in segments or sorted(self.source.members):
                session.add(_owned(export.id, connection.brand_id, segment))
        self.export = export
        await self.remap(mapping, clear=clear)
        return export

    async def remap(self, mapping: Mapping[str, str], *, clear: Iterable[str] = ()) -> None:
        """Replace the export's mapping."""
        export_id = self.export.id
        assert export_id is not None
        async with self.database.write() as session:
            for old in (await session.exec(select(FieldMapping).where(FieldMapping.export_id == export_id))).all():
                await session.delete(old)
            await session.flush()
            for position, (attribute, value) in enumerate(mapping.items()):
                session.add(
                    FieldMapping(
                        team_id=TEAM,
                        export_id=export_id,
                        position=position,
                        attribute=attribute,
                        kind=MappingKind.TEMPLATE if "{" in value else MappingKind.FIELD,
                        value=value,
                        clear=attribute in clear,
                    )
                )

    async def deselect(self, segment: str) -> None:
        """As editing the export does: the segment is dropped once nobody has it any more."""
        async with self.database.write() as session:
            row = (await session.exec(select(ExportSegment).where(ExportSegment.name == segment))).one()
            row.state = SegmentState.DROPPING
            session.add(row)

    async def change(self, row: Connection | Export | Run, **values: Any) -> None:
        """Edit a stored row."""
        async with self.database.write() as session:
            stored = await session.get_one(type(row), row.id)
            for name, value in values.items():
                setattr(stored, name, value)
            session.add(stored)

    # --- runs

    async def queue(self, trigger: Trigger = Trigger.MANUAL, *, accept: bool = False) -> int:
        """Put a run of the export into the queue; its id."""
        async with self.database.write() as session:
            run = await enqueue(session, self.export, trigger, OWNER, accept_guard=accept)
            assert run.id is not None
            return run.id

    async def run(self, trigger: Trigger = Trigger.MANUAL, *, accept: bool = False) -> Run:
        """Run the export to the run's end, whatever end that is."""
        return await self.engine.execute(await self.queue(trigger, accept=accept))

    async def rows(self, model: type[Any], **values: Any) -> list[Any]:
        """Stored rows of one kind with these values."""
        async with self.database.read() as session:
            statement = select(model)
            for name, value in values.items():
                statement = statement.where(col(getattr(model, name)) == value)
            return list((await session.exec(statement)).all())

    async def ledger(self) -> list[LedgerEntry]:
        return await self.rows(LedgerEntry)

    async def batches(self) -> list[Batch]:
        return await self.rows(Batch)

    async def rejections(self) -> list[Rejection]:
        return await self.rows(Rejection)

    async def books(self) -> list[Book]:
        return await self.rows(Book)

    async def told(self) -> list[tuple[str, str]]:
        """Event and place of everything in the outbox."""
        return [(message.event, message.channel) for message in await self.rows(OutboxMessage)]

    # --- what is wanted, and what is there

    def wanted(self, *segments: str, mapping: Mapping[str, str] = MAPPING) -> dict[str, Wanted]:
        """By email: what Omnisend must hold after a run, worked out from the source alone."""
        found: dict[str, Wanted] = {}
        for customer_id, profile in sorted(self.source.profiles_by_id.items()):
            email = str(profile.get("Email") or "").strip().lower()
            names = {
                name for name in segments or self.source.members if customer_id in self.source.members.get(name, ())
            }
            if not names or "@" not in email or " " in email:
                continue
            if email in found:
                first = found[email]
                found[email] = Wanted(first.segments | names, first.values)
            else:
                found[email] = Wanted(frozenset(names), _values(profile, mapping))
        return found

    async def stored(self) -> dict[str, dict[str, Any]]:
        """All contacts at Omnisend by email, as the emulator stores them."""
        return await self.omnisend.stored()

    async def members(self, segment: str) -> set[str]:
        """Emails of the contacts that have the segment's property true."""
        name = segment_property(segment)
        return {email for email, contact in (await self.stored()).items() if contact["customProperties"].get(name)}

    async def assert_reconciled(self, *segments: str, mapping: Mapping[str, str] = MAPPING) -> None:
        """Omnisend has exactly the wanted members with the wanted values."""
        names = segments or tuple(self.source.members)
        properties = {segment_property(name): name for name in names}
        stored = await self.stored()
        flagged = {email: set(filter(contact["customProperties"].get, properties)) for email, contact in stored.items()}
        there = {email: {properties[flag] for flag in flags} for email, flags in flagged.items() if flags}
        wanted = self.wanted(*names, mapping=mapping)
        assert there == {email: contact.segments for email, contact in wanted.items()}
        for email, contact in wanted.items():
            assert {name: _shown(stored[email], name) for name in contact.values} == dict(contact.values)

    async def posted(self, since: int = 0) -> int:
        """How many batches Omnisend took, from the request of this number on."""
        return sum(
            (entry["method"], entry["path"], entry["status"]) == ("POST", "/api/batches", 201)
            for entry in await self.asked(since)
        )

    async def asked(self, since: int = 0) -> list[dict[str, Any]]:
        """The requests that Omnisend was sent."""
        answer = await self.omnisend.control.get("/requests", params={"since": since})
        found: list[dict[str, Any]] = answer.json()["requests"]
        return found

    async def asked_so_far(self) -> int:
        answer = await self.omnisend.control.get("/requests")
        return int(answer.json()["total"])


@asynccontextmanager
async def world(folder: Path, omnisend: Omnisend, **settings: Any) -> AsyncIterator[World]:
    """A new installation in a folder."""
    chosen = Settings(data_dir=folder, omnisend_url=omnisend.started["url"], memory_mb=128)
    chosen = chosen.model_copy(update={**PATIENT, **settings})
    (folder / "ferry.sqlite3").write_bytes(await migrated_database())
    database = Database(chosen.resolved_database_url)
    try:
        keys = await open_keys(database, [SECRET_KEY], folder)
        source = MemorySource()
        engine = Engine(
            database, keys, chosen, Sources({"tables": source}), SpillFolders(folder / "spill"), consent_obstacle=agreed
        )
        yield World(folder, omnisend, source, chosen, database, keys, engine)
    finally:
        await database.close()


_migrated: list[bytes] = []


async def _make_known_keys(database: Database) -> None:
    """The same keys each time: the ledger's order, and so what goes first, is the same in every run of a test."""
    seal = Vault([SECRET_KEY]).seal
    async with database.write() as session:
        session.add(
            Installation(
                digest_key=seal("d1" * 32, row="installation/digest_key"),
                email_key=seal("e1" * 32, row="installation/email_key"),
            )
        )


async def migrated_database() -> bytes:
    """A fresh database with its keys, made once a process: migrating takes longer than most tests."""
    if not _migrated:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ferry.sqlite3"
            database = Database(f"sqlite+aiosqlite:///{path}")
            await database.open()
            await _make_known_keys(database)
            await database.close()
            _migrated.append(path.read_bytes())
    return _migrated[0]


def kinds(notes: Iterable[Mapping[str, Any]]) -> set[str]:
    """The kinds of a run's notes or findings."""
    return {note["kind"] for note in notes}


def outcome(run: Run) -> dict[str, int]:
    """The counts of a run that are not zero."""
    names = ("added", "changed", "removed", "unchanged", "kept", "rejected", "in_doubt")
    return {name: count for name in names if (count := getattr(run, name))}


def _owned(export_id: int, brand_id: str, segment: str) -> ExportSegment:
    return ExportSegment(
        team_id=TEAM,
        export_id=export_id,
        brand_id=brand_id,
        source="tables",
        name=segment,
        property_name=segment_property(segment),
    )


def _values(profile: Mapping[str, Any], mapping: Mapping[str, str]) -> dict[str, Any]:
    """The attributes of one profile that have a value."""
    values: dict[str, Any] = {}
    for attribute, source in mapping.items():
        value = profile.get(source)
        if attribute == "email" or value is None or value == "":
            continue
        values[attribute] = COUNTRIES[value] if attribute == "country" else value
    return values


def _shown(contact: Mapping[str, Any], attribute: str) -> Any:
    if attribute.startswith("custom:"):
        return contact["customProperties"].get(attribute.removeprefix("custom:"))
    return contact.get("countryCode" if attribute == "country" else attribute)
