"""The batcher: from changes to batches at Omnisend.

Groups of batches are claimed in one transaction before any of them is posted; a few workers post them under the
brand's limiter; the settler finds out what became of each. The first batch goes alone, as a canary. A post whose
answer was lost is looked for before it is repeated.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import structlog

from bot.omnisend.client import OmnisendClient
from bot.omnisend.contacts import MAX_BATCH_ITEMS, batch_body, pack, removal_item, removal_patch
from bot.omnisend.errors import STOPS_RUN, Conflict, FateUnknown, Refused, TooLarge, Unavailable
from bot.pipeline.errors import GuardStopped, OmnisendAway
from bot.pipeline.settling import OpenBatch, Settler, StillUnknown, Tally, first_cause
from bot.settings import Settings
from storage import ledger
from storage.database import Database
from storage.ledger import Claim, Entry
from storage.models import Batch, BatchKind, BatchState, Book, RejectedBy, Rejection, id_of, now
from storage.secrets import EmailSeal

WORKERS = 8  # posts under way at once
GUARD_MINIMUM = 300  # contacts tried before their share of rejects is judged
CANARY_REJECTS = 0.5  # share of the first batch
RUNNING_REJECTS = 0.3  # share of all tried so far
PATCH_REMOVALS = 300  # up to so many leavers go by single calls, which re-create nobody
BRAKE_SECONDS = (1.0, 60.0)  # shortest and longest pause of all posts while Omnisend fails

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch before its claim. `new`: the contacts of it that are added and not changed."""

    claim: Claim
    items: Sequence[bytes]
    new: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Job:
    """A batch on its way: claimed, not yet taken by Omnisend. Kept whole until it is, to be posted again."""

    batch: OpenBatch
    prepared: Prepared

    @property
    def items(self) -> Sequence[bytes]:
        return self.prepared.items


class Batcher:
    """Sends one run's changes. `stop()` makes `send` return soon; what Omnisend has taken is settled elsewhere."""

    def __init__(
        self,
        client: OmnisendClient,
        database: Database,
        settler: Settler,
        seal: EmailSeal,
        settings: Settings,
        *,
        book: Book,
        run_id: int,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._database = database
        self._settler = settler
        self._seal = seal
        self._settings = settings
        self._book = book
        self._book_id = id_of(book)
        self._run_id = run_id
        self._clock = clock
        self._pause = pause
        self._brake = _Brake(settings.outage_patience, clock, pause)
        self._stopping = False
        self._backlog: dict[int, Job] = {}  # by our id: claimed, and not begun to be posted
        self.batches = 0  # claimed so far
        self.unsent = 0  # contacts claimed and then not posted, since the run was stopped

    def stop(self) -> None:
        self._stopping = True

    async def upsert(self, changes: AsyncIterator[pa.RecordBatch], *, canary: bool) -> None:
        """Create or update contacts: record batches as `Staging.upserts` gives them, in digest order.

        `canary`: the first batch goes alone and is settled before the others follow. Raises `GuardStopped` if too much
        of it is rejected, and whatever stops a run.
        """
        await self._send(self._prepared_upserts(changes), canary=canary)

    async def remove(self, leavers: AsyncIterator[pa.RecordBatch], properties: Sequence[str], payload: bytes) -> None:
        """Take contacts out of the export's segments in batches (upserts: an address that is gone would come back)."""
        await self._send(self._prepared_removals(leavers, properties, payload), canary=False)

    # --- claim

    async def _send(self, groups: AsyncIterator[list[Prepared]], *, canary: bool) -> None:
        jobs: asyncio.Queue[Job | None] = asyncio.Queue(maxsize=2 * WORKERS)
        try:
            async with asyncio.TaskGroup() as tasks:
                for number in range(WORKERS):
                    tasks.create_task(self._work(jobs), name=f"post-{number}")
                async for group in groups:
                    if canary and not self._stopping:
                        await self._send_canary(group[:1])
                        group, canary = group[1:], False
                    if self._stopping:
                        break
                    claimed = await self._claim(group)
                    self._backlog |= {job.batch.id: job for job in claimed}
                    for job in claimed:
                        await jobs.put(job)
                for _ in range(WORKERS):
                    await jobs.put(None)
        except BaseException as failure:
            for job in list(self._backlog.values()):  # so that the next run need not look for them at Omnisend
                await self._withhold(job)
            if isinstance(failure, BaseExceptionGroup):
                raise first_cause(failure) from None
            raise

    async def _claim(self, group: Sequence[Prepared]) -> list[Job]:
        """Write down a group of batches and their contacts, before any of them is posted."""
        if not group:
            return []
        claims = [prepared.claim for prepared in group]
        async with self._database.write() as session:
            ids = await ledger.claim(session, self._book, self._run_id, claims)
        self.batches += len(ids)
        return [
            Job(self._open_batch(batch_id, prepared), prepared) for batch_id, prepared in zip(ids, group, strict=True)
        ]

    def _open_batch(self, batch_id: int, prepared: Prepared) -> OpenBatch:
        claim = prepared.claim
        row = Batch(
            id=batch_id,
            team_id=self._book.team_id,
            book_id=self._book_id,
            run_id=self._run_id,
            kind=claim.kind,
            state=BatchState.CLAIMED,
            count=len(claim.entries),
            first_digest=claim.entries[0].digest,
            last_digest=claim.entries[-1].digest,
            claimed_at=now(),
        )
        return OpenBatch(row, {entry.digest: entry.payload for entry in claim.entries}, prepared.new)

    # --- submit

    async def _work(self, jobs: asyncio.Queue[Job | None]) -> None:
        while (job := await jobs.get()) is not None:
            if self._stopping:
                await self._withhold(job)
            else:
                await self._submit(job)

    async def _submit(self, job: Job) -> None:
        """Post one batch until Omnisend surely has it, or has it in two halves."""
        if not job.batch.takes_room:
            await self._settler.make_room(job.batch)
        body = batch_body(job.items)
        posted = False  # perhaps
        while True:
            await self._brake.wait()
            if self._stopping:
                return await (self._settler.give_up(job.batch) if posted else self._withhold(job))
            self._backlog.pop(job.batch.id, None)
            try:
                omnisend_id = await self._client.create_batch(body)
            except FateUnknown as error:
                log.warning("the answer to a batch was lost", batch=job.batch.id, outcome=error.outcome)
                posted = True
                self._brake.failed(error)
                try:
                    found = await self._settler.look_for(job.batch, self._settings.lookup_grace)
                except StillUnknown:
                    return None
                if found is None:
                    continue  # it surely never arrived
                omnisend_id = found
            except Unavailable as error:
                self._brake.failed(error)
                continue
            except TooLarge:
                return await self._halve(job)
            except (*STOPS_RUN, Refused):
                if not posted:
                    await self._withhold(job)  # it was surely not taken
                raise
            self._brake.succeeded()
            return await self._settler.watch(job.batch, omnisend_id)

    async def _halve(self, job: Job) -> None:
        """Omnisend found the batch too large: claim and post its two halves instead."""
        if len(job.items) < 2:
            raise TooLarge(call="POST /batches")
        claim, middle = job.prepared.claim, len(job.items) // 2
        halves = [
            Prepared(Claim(claim.kind, claim.entries[part]), job.items[part], job.prepared.new)
            for part in (slice(None, middle), slice(middle, None))
        ]
        smaller = await self._claim(halves)
        await self._settler.discard(job.batch)
        for half in smaller:
            await self._submit(half)

    async def _withhold(self, job: Job) -> None:
        """The run was stopped before this batch was posted: its contacts are in the next run's difference."""
        self._backlog.pop(job.batch.id, None)
        self.unsent += len(job.items)
        await self._settler.discard(job.batch)

    async def _send_canary(self, group: Sequence[Prepared]) -> None:
        """Post the first batch alone and judge it. If Omnisend takes very long over it, the others follow unjudged."""
        for job in await self._claim(group):
            await self._submit(job)
        await self._settler.settle_all(self._settings.canary_patience)
        tally = self._settler.tally
        if tally.rejected > CANARY_REJECTS * max(1, tally.tried):
            raise GuardStopped(rejected=tally.rejected, tried=tally.tried, reason="more than half of the first batch")

    # --- what goes into a batch

    async def _prepared_upserts(self, changes: AsyncIterator[pa.RecordBatch]) -> AsyncIterator[list[Prepared]]:
        async for batch in changes:  # sealing thousands of emails would hold up everybody on the loop
            yield await asyncio.to_thread(list, self._upsert_parts(batch))

    def _upsert_parts(self, batch: pa.RecordBatch) -> Iterator[Prepared]:
        """Cut a record batch into Omnisend's batches; seal the emails of contacts that are new to the ledger."""
        digests = batch.column("digest").to_pylist()
        payloads = batch.column("payload").to_pylist()
        known = batch.column("known").to_pylist()
        emails = batch.column("email").to_pylist()
        ops = batch.column("op").to_pylist()
        new = frozenset(digest for digest, op in zip(digests, ops, strict=True) if op == "added")
        bodies = [body.encode() for body in batch.column("body").to_pylist()]
        seal, book_id = self._seal.seal, self._book_id
        entries = [
            Entry(digest, payload, b"" if old else seal(email, book_id, digest), old)
            for digest, payload, old, email in zip(digests, payloads, known, emails, strict=True)
        ]
        for part in pack([len(body) for body in bodies]):
            claim = Claim(BatchKind.UPSERT, entries[part.start : part.stop])
            yield Prepared(claim, bodies[part.start : part.stop], new)

    async def _prepared_removals(
        self, leavers: AsyncIterator[pa.RecordBatch], properties: Sequence[str], payload: bytes
    ) -> AsyncIterator[list[Prepared]]:
        async for batch in leavers:
            emails = await self._open_emails(batch.column("digest").to_pylist())
            items = [removal_item(email, properties) for email in emails.values()]
            entries = [Entry(digest, payload, b"", known=True) for digest in emails]
            yield [
                Prepared(Claim(BatchKind.REMOVAL, entries[part.start : part.stop]), items[part.start : part.stop])
                for part in pack([len(item) for item in items])
            ]

    async def _open_emails(self, digests: Sequence[bytes]) -> dict[bytes, str]:
        async with self._database.read() as session:
            sealed = await ledger.sealed_emails(session, self._book_id, digests)
        return {
            digest: self._seal.open(sealed[digest], self._book_id, digest) for digest in digests if digest in sealed
        }

    # --- removals by single calls

    async def patch_removals(
        self, leavers: AsyncIterator[pa.RecordBatch], properties: Sequence[str], payload: bytes
    ) -> None:
        """Take a few contacts out of the export's segments one by one: whoever is gone at Omnisend stays gone."""
        body = removal_patch(properties)
        async for batch in leavers:
            emails = await self._open_emails(batch.column("digest").to_pylist())
            digests = list(emails)
            for start in range(0, len(digests), MAX_BATCH_ITEMS):
                part = digests[start : start + MAX_BATCH_ITEMS]
                if self._stopping:
                    return
                entries = [Entry(digest, payload, b"", known=True) for digest in part]
                (job,) = await self._claim([Prepared(Claim(BatchKind.PATCH, entries), [])])
                await self._patch(job.batch, {digest: emails[digest] for digest in part}, body)

    async def _patch(self, batch: OpenBatch, emails: dict[bytes, str], body: bytes) -> None:
        """Patch a claimed group, a few at a time, and settle it: single calls are answered at once."""
        waiting = list(emails.items())
        refused: list[tuple[bytes, str]] = []
        undone: list[bytes] = []

        async def work() -> None:
            while waiting:
                digest, email = waiting.pop()
                try:
                    if self._stopping:
                        undone.append(digest)
                    else:
                        await self._client.patch_contact(email, body)
                except (Refused, Conflict) as error:
                    refused.append((digest, error.detail))
                except (FateUnknown, Unavailable):
                    undone.append(digest)

        try:
            async with asyncio.TaskGroup() as tasks:
                for number in range(WORKERS):
                    tasks.create_task(work(), name=f"patch-{number}")
        except BaseExceptionGroup as failures:
            raise first_cause(failures) from None
        async with self._database.read() as session:
            sealed = await ledger.sealed_emails(session, self._book_id, [digest for digest, _ in refused])
        rejections = [self._rejection(d, sealed[d], batch.payloads[d], detail) for d, detail in refused]
        await self._settler.settle_patched(batch, rejections, undone)

    def _rejection(self, digest: bytes, sealed: bytes, payload: bytes, detail: str) -> Rejection:
        return Rejection(
            team_id=self._book.team_id,
            book_id=self._book_id,
            run_id=self._run_id,
            by=RejectedBy.OMNISEND,
            email=sealed,
            reason="omnisend",
            detail=detail,
            digest=digest,
            payload=payload,
        )


def judge(tally: Tally) -> None:
    """Raise `GuardStopped` once too large a share of what was tried has been rejected."""
    if tally.tried >= GUARD_MINIMUM and tally.rejected > RUNNING_REJECTS * tally.tried:
        raise GuardStopped(
            rejected=tally.rejected, tried=tally.tried, reason=f"more than {RUNNING_REJECTS:.0%} of them"
        )


class _Brake:
    """Slows all posts down together while Omnisend fails, and gives up after an outage longer than allowed."""

    def __init__(
        self, patience: float, clock: Callable[[], float], pause: Callable[[float], Awaitable[object]]
    ) -> None:
        self._patience = patience
        self._clock = clock
        self._pause = pause
        self._failures = 0
        self._since = 0.0

    def failed(self, error: FateUnknown | Unavailable) -> None:
        if self._failures == 0:
            self._since = self._clock()
        self._failures += 1
        if self._clock() - self._since > self._patience:
            raise OmnisendAway(minutes=round(self._patience / 60), detail=error.outcome)

    def succeeded(self) -> None:
        self._failures = 0

    async def wait(self) -> None:
        if self._failures > WORKERS:
            shortest, longest = BRAKE_SECONDS
            await self._pause(min(longest, shortest * 2 ** (self._failures // WORKERS - 1)))
