"""Batcher and settler over a real ledger and an Omnisend made of dicts, with a clock of its own: what tests share.

Reference: omnisend-api.md §4.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import httpx
import orjson
import pyarrow as pa
from sqlmodel import select

from bot.omnisend.client import OmnisendClient
from bot.omnisend.limiter import Limiter
from bot.pipeline.batcher import Batcher
from bot.pipeline.settling import OpenBatch, Settler, Tally
from bot.settings import Rate, Settings
from storage import ledger
from storage.database import Database
from storage.ledger import Claim, Entry
from storage.models import Batch, BatchKind, BatchState, Book, Export, LedgerEntry, Rejection, Run, id_of
from storage.secrets import DigestKey, EmailSeal
from tests.engine_world import migrated_database

URL = "https://omnisend.test/api"
TEAM, BRAND = "T0TEST", "5f92cbf10cf217478ba93561"
KEY = DigestKey(bytes(range(32)))
SEAL = EmailSeal(bytes(range(32)))
PROPERTIES = ["segment_vip"]

Answer = Callable[["FakeBatch"], httpx.Response]


def email(number: int) -> str:
    return f"person{number:05}@example.com"


def digest(number: int) -> bytes:
    return KEY.of_email(email(number))


@dataclass
class FakeBatch:
    """A batch at the pretended Omnisend."""

    id: str
    emails: list[str]
    status: str = "pending"
    codes: dict[str, int] = field(default_factory=dict)  # of the items tried so far, by email
    hidden: bool = False  # neither listed nor known
    items_gone: bool = False  # listed, but nobody knows its items any more
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    def finish(self, status: str = "finished", *, codes: Mapping[str, int] | None = None, tried: int = 1_000) -> None:
        """End it: every item accepted but for `codes`; only the first `tried` were tried."""
        self.status = status
        self.codes = {address: (codes or {}).get(address, 201) for address in self.emails[:tried]}

    @property
    def failed(self) -> int:
        return sum(code >= 300 for code in self.codes.values())

    def as_json(self) -> dict[str, Any]:
        return {
            "batchID": self.id,
            "status": self.status,
            "createdAt": self.created.isoformat(),
            "totalCount": len(self.emails),
            "finishedCount": len(self.codes),
            "errorsCount": self.failed,
        }

    def items_as_json(self) -> dict[str, Any]:
        shown = [_item(address, code) for address, code in self.codes.items()]
        return self.as_json() | {
            "responses": [item for item in shown if item["responseCode"] < 300],
            "errors": [item for item in shown if item["responseCode"] >= 300],
        }


def _item(address: str, code: int) -> dict[str, Any]:
    request = {"identifiers": [{"type": "email", "id": address}]}
    return {"itemID": "x", "request": request, "response": {"error": "No."}, "responseCode": code}


class FakeOmnisend:
    """Batches as the reference describes them. `posts` says how the next posts go; then all go well."""

    def __init__(self) -> None:
        self.batches: dict[str, FakeBatch] = {}
        self.posts: list[str] = []  # "ok", "lost" (taken, no answer), "dropped" (not taken, no answer), or a status
        self.patches: dict[str, int] = {}  # status by email; 200 for the others
        self.on_post: Callable[[FakeBatch], Awaitable[None]] | None = None
        self.on_list: Callable[[], None] = lambda: None
        self.listing: str = "ok"  # or "down"
        self.auto_finish = True
        self.asked: list[str] = []
        self.since: list[str] = []  # the days from which the list was asked for
        self.bodies: list[dict[str, Any]] = []

    @property
    def posted(self) -> list[FakeBatch]:
        return list(self.batches.values())

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api")
        self.asked.append(f"{request.method} {path}")
        match (request.method, path.split("/")[1:]):
            case ("POST", ["batches"]):
                return await self._post(request)
            case ("GET", ["batches"]):
                self.since.append(request.url.params["dateFrom"])
                return self._list()
            case ("GET", ["batches", batch_id]):
                return self._one(batch_id, FakeBatch.as_json)
            case ("GET", ["batches", batch_id, "items"]):
                return self._one(batch_id, FakeBatch.items_as_json)
            case ("PATCH", ["contacts"]):
                return httpx.Response(self.patches.get(request.url.params["email"], 200), json={})
        raise AssertionError(f"nobody asks for {request.method} {path}")

    async def _post(self, request: httpx.Request) -> httpx.Response:
        how = self.posts.pop(0) if self.posts else "ok"
        body = orjson.loads(request.content)
        emails = [item["identifiers"][0]["id"] for item in body["items"]]
        batch = FakeBatch(f"b{len(self.batches)}", emails)
        if self.on_post is not None:
            await self.on_post(batch)
        if how == "dropped":
            raise httpx.ConnectTimeout("gone", request=request)
        if how.isdigit():
            return httpx.Response(int(how), json={})
        self.batches[batch.id] = batch
        self.bodies.append(body)
        if self.auto_finish:
            batch.finish()
        if how == "lost":
            raise httpx.ReadTimeout("gone", request=request)
        return httpx.Response(201, json={"batchID": batch.id, "totalCount": len(emails)})

    def _list(self) -> httpx.Response:
        self.on_list()
        if self.listing == "down":
            return httpx.Response(500, json={})
        shown = [batch.as_json() for batch in reversed(self.batches.values()) if not batch.hidden]
        return httpx.Response(200, json={"batches": shown, "paging": {"next": None}})

    def _one(self, batch_id: str, show: Callable[[FakeBatch], dict[str, Any]]) -> httpx.Response:
        batch = self.batches.get(batch_id)
        gone = batch is None or batch.hidden or (batch.items_gone and show is FakeBatch.items_as_json)
        if batch is None or gone:
            return httpx.Response(404, json={"status": 404, "title": "Not found"})
        return httpx.Response(200, json=show(batch))

    def times_asked(self, what: str) -> int:
        return self.asked.count(what)


class Clock:
    """Each pause moves it on, at once; `tick` more for those that are shorter."""

    def __init__(self, tick: float = 1.0) -> None:
        self.now = 0.0
        self.tick = tick

    def __call__(self) -> float:
        return self.now

    async def pause(self, seconds: float) -> None:
        self.now += max(seconds, self.tick)
        await asyncio.sleep(0)


@dataclass
class Pipeline:
    """One export's ledger, the pretended Omnisend, and what sends to it."""

    database: Database
    book: Book
    run_id: int
    omnisend: FakeOmnisend
    clock: Clock
    settings: Settings
    client: OmnisendClient

    def settler(self, **options: Any) -> Settler:
        return Settler(
            self.client, self.database, KEY, self.settings, clock=self.clock, pause=self.clock.pause, **options
        )

    def batcher(self, settler: Settler) -> Batcher:
        return Batcher(
            self.client,
            self.database,
            settler,
            SEAL,
            self.settings,
            book=self.book,
            run_id=self.run_id,
            clock=self.clock,
            pause=self.clock.pause,
        )

    def configure(self, **values: Any) -> None:
        self.settings = self.settings.model_copy(update=values)

    async def claim(
        self,
        numbers: Iterable[int],
        *,
        kind: BatchKind = BatchKind.UPSERT,
        omnisend_id: str | None = None,
        book: Book | None = None,
        known: bool = False,
    ) -> OpenBatch:
        """A batch in the ledger as an earlier run left it."""
        entries = [
            Entry(digest(n), b"payload", SEAL.seal(email(n), id_of(self.book), digest(n)), known) for n in numbers
        ]
        claim = Claim(kind, sorted(entries))
        async with self.database.write() as session:
            (batch_id,) = await ledger.claim(session, book or self.book, None, [claim])
            if omnisend_id is not None:
                await ledger.mark_submitted(session, [(batch_id, omnisend_id)])
        async with self.database.read() as session:
            row = await session.get_one(Batch, batch_id)
        return OpenBatch(row, {entry.digest: entry.payload for entry in claim.entries})

    async def states(self) -> list[BatchState]:
        async with self.database.read() as session:
            return [batch.state for batch in (await session.exec(select(Batch).order_by("id"))).all()]

    async def ledger(self) -> dict[bytes, bytes]:
        """Payload by contact."""
        async with self.database.read() as session:
            return {entry.digest: entry.payload for entry in (await session.exec(select(LedgerEntry))).all()}

    async def rejections(self) -> list[Rejection]:
        async with self.database.read() as session:
            return list((await session.exec(select(Rejection))).all())


@asynccontextmanager
async def pipeline(folder: Path, **values: Any) -> AsyncIterator[Pipeline]:
    (folder / "ferry.sqlite3").write_bytes(await migrated_database())
    database = Database(f"sqlite+aiosqlite:///{folder / 'ferry.sqlite3'}")
    async with database.write() as session:
        export = Export(team_id=TEAM, name="one", owner="U")
        run = Run(team_id=TEAM)
        session.add_all([export, run])
        await session.flush()
        book = await ledger.open_book(session, TEAM, id_of(export), BRAND)
    chosen = {"sweep_seconds": (0.001, 0.002), "lookup_grace": 30, "settle_patience": 30, "outage_patience": 900}
    settings = Settings(data_dir=folder).model_copy(update=chosen | values)
    omnisend, clock = FakeOmnisend(), Clock()
    client = OmnisendClient(
        "a key",
        base_url=URL,
        limiter=Limiter(Rate(0, 1)),
        transport=httpx.MockTransport(omnisend),
        pause=clock.pause,
        random=Random(1),
        tries=2,
    )
    try:
        yield Pipeline(database, book, id_of(run), omnisend, clock, settings, client)
    finally:
        await database.close()


async def changes(
    numbers: Sequence[int], *, op: str = "added", per_batch: int = 5_000
) -> AsyncIterator[pa.RecordBatch]:
    """Contacts as staging gives them, in digest order."""
    ordered = sorted(numbers, key=digest)
    for start in range(0, len(ordered), per_batch):
        part = ordered[start : start + per_batch]
        yield pa.record_batch(
            {
                "digest": pa.array([digest(n) for n in part], pa.binary()),
                "payload": pa.array([b"payload"] * len(part), pa.binary()),
                "op": pa.array([op] * len(part)),
                "known": pa.array([op != "added"] * len(part)),
                "email": pa.array([email(n) for n in part]),
                "body": pa.array([body(n) for n in part]),
            }
        )


async def leavers(numbers: Sequence[int]) -> AsyncIterator[pa.RecordBatch]:
    """Contacts to remove as staging gives them."""
    yield pa.record_batch({"digest": pa.array(sorted(digest(n) for n in numbers), pa.binary())})


async def until(true: Callable[[], bool]) -> None:
    """Let the others work until it is true."""
    while not true():  # noqa: ASYNC110  many things may make it true
        await asyncio.sleep(0)


def body(number: int) -> str:
    return orjson.dumps({"identifiers": [{"type": "email", "id": email(number)}]}).decode()


def counts(tally: Tally) -> tuple[int, int, int, int]:
    """Added, changed, removed, rejected."""
    return tally.added, tally.changed, tally.removed, tally.rejected
