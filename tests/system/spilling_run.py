"""A run that spills, as a program: `python -m tests.system.spilling_run FOLDER scan|kill`.

Omnisend is played by a function: at the first post of a batch, when everything has been staged, it looks through the
folder and prints what it found, or kills its own process.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx

from bot import logs
from bot.duck import SpillFolders
from bot.omnisend.contacts import segment_property
from bot.pipeline.engine import Engine
from bot.pipeline.queue import enqueue
from bot.pipeline.sources import Sources
from bot.settings import Settings
from storage.database import Database
from storage.models import Connection, Export, ExportSegment, FieldMapping, Trigger, id_of
from storage.secrets import open_keys
from tests.memory_source import MemorySource

PROFILES = 30_000
NEEDLES = (b"needle", b"haystack")  # of every email, of every name; searched whatever their case
PADDING = "x" * 900  # so that little memory is not enough


def found_in_clear(folder: Path) -> tuple[int, int, list[str]]:
    """How many files there are, how many bytes, and which of them hold a needle."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    contents = {path: path.read_bytes() for path in files}
    bad = [str(path) for path, data in contents.items() if any(needle in data.lower() for needle in NEEDLES)]
    return len(files), sum(map(len, contents.values())), bad


async def run(folder: Path, mode: str) -> None:
    settings = Settings(data_dir=folder, memory_mb=64, omnisend_url="http://omnisend.test/api")

    def omnisend(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            if mode == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            spilled = sum(path.stat().st_size for path in (folder / "spill").rglob("*") if path.is_file())
            print(spilled, *found_in_clear(folder)[2])
            return httpx.Response(401, json={"status": 401})
        key = "segments" if request.url.path.endswith("/segments") else "batches"
        return httpx.Response(200, json={key: [], "paging": {"hasMore": False, "next": None}})

    database = Database(settings.resolved_database_url)
    await database.open()
    keys = await open_keys(database, [], folder)
    profiles = {
        f"c{n:06}": {"Email": f"Needle{n}@Example.com", "First": f"Haystack {n}", "Street": f"Haystack {PADDING} {n}"}
        for n in range(PROFILES)
    }
    source = MemorySource(profiles, {"VIP": set(profiles)})
    spill = SpillFolders(folder / "spill")
    engine = Engine(
        database,
        keys,
        settings,
        Sources({"tables": source}),
        spill,
        consent_obstacle=_agreed,
        transport=lambda: httpx.MockTransport(omnisend),
    )
    run_id = await _queue_run(database, keys.vault.seal)
    await engine.execute(run_id)
    await database.close()


async def _agreed(*_: object) -> None:
    """Consent holds here."""


async def _queue_run(database: Database, seal: object) -> int:
    async with database.write() as session:
        connection = Connection(team_id="T", name="shop", brand_id="brand")
        session.add(connection)
        await session.flush()
        connection.api_key = seal("key", row=f"connection/{connection.id}/api_key")  # type: ignore[operator]
        export = Export(team_id="T", name="x", connection_id=connection.id, owner="U")
        session.add_all([connection, export])
        await session.flush()
        session.add(
            ExportSegment(
                team_id="T",
                export_id=id_of(export),
                brand_id="brand",
                source="tables",
                name="VIP",
                property_name=segment_property("VIP"),
            )
        )
        for position, (attribute, value) in enumerate(
            {"email": "Email", "firstName": "First", "address": "Street"}.items()
        ):
            session.add(
                FieldMapping(team_id="T", export_id=id_of(export), position=position, attribute=attribute, value=value)
            )
        return id_of(await enqueue(session, export, Trigger.MANUAL, "U"))


if __name__ == "__main__":
    logs.configure()
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2]))
