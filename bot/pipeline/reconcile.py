"""One reconciliation: read, compare, ask, send, settle. `Engine` builds it and records what comes of it."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, aclosing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Concatenate, Generic, ParamSpec, TypeVar

import duckdb
import pyarrow as pa

from bot.omnisend.client import OmnisendClient
from bot.pipeline.batcher import PATCH_REMOVALS, Batcher, judge
from bot.pipeline.errors import MemoryShort, RunCancelled, SpillFull, TooManyProfiles
from bot.pipeline.guard import Finding, SegmentHistory, examine
from bot.pipeline.mapping import Plan
from bot.pipeline.omnisend_segments import OmnisendSegments, SegmentReport
from bot.pipeline.settling import Settler, Tally, drain, settling
from bot.pipeline.staging import Comparison, Sample, Selected, Staging
from bot.pipeline.waiting import unless
from bot.settings import Settings
from bot.sources.base import FieldMissing, ReadSummary, Source
from storage import ledger
from storage.database import Database
from storage.models import (
    Book,
    Connection,
    Export,
    ExportSegment,
    FieldMapping,
    Leavers,
    SegmentState,
    Stage,
    Trigger,
    id_of,
)
from storage.secrets import Keys

ROUNDS = 3  # how often contacts that Omnisend did not try are sent again within one run
CANCEL_PATIENCE = 5.0  # seconds that a cancelled run still waits for batches to settle
_NO_ROOM = ("max_temp_directory_size", "Could not write file", "No space left on device")  # in DuckDB's messages

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")


@dataclass(slots=True)
class Job:
    """What is needed to reconcile one export: its rows, read at the start."""

    export: Export
    connection: Connection
    segments: list[ExportSegment]
    mapping: list[FieldMapping]
    plan: Plan
    book: Book
    source: Source
    trigger: Trigger = Trigger.MANUAL
    accept_guard: bool = False
    asked: list[Finding] = field(default_factory=list)  # what was accepted, where somebody has answered a question
    resumed: bool = False  # goes on where a process that ended left it
    adopted: int | None = None  # contacts that this run took over from Omnisend's segments

    @property
    def selected(self) -> list[ExportSegment]:
        return [segment for segment in self.segments if segment.state is SegmentState.SELECTED]

    @property
    def dropping(self) -> list[ExportSegment]:
        return [segment for segment in self.segments if segment.state is SegmentState.DROPPING]

    @property
    def book_id(self) -> int:
        return id_of(self.book)

    def unaccepted(self, findings: Iterable[Finding]) -> list[Finding]:
        """What nobody has accepted yet: an answer holds for what was asked, all of it only where it came unasked."""
        if not self.accept_guard:
            return list(findings)
        return [one for one in findings if self.asked and not any(asked.covers(one) for asked in self.asked)]

    def left_behind(self) -> list[str]:
        """Attributes that were sent once and are no longer mapped: they stay at Omnisend as they are."""
        mapped = {line.attribute for line in self.plan.lines}
        return [attribute for attribute in self.book.attributes if attribute not in mapped]


@dataclass(slots=True)
class Difference:
    """What staging found out: the comparison, and what the guard makes of it."""

    comparison: Comparison
    summary: ReadSummary
    findings: list[Finding]
    at_omnisend: SegmentReport


@dataclass(slots=True)
class Outcome:
    """What came of sending, in contacts. `in_doubt`: nobody knows yet, or an older batch may still run."""

    tally: Tally = field(default_factory=Tally)
    in_doubt: int = 0
    unsent: int = 0
    batches: int = 0


class Worker(Generic[T]):
    """A thread of its own for something that blocks and must be used by one thread at a time."""

    def __init__(
        self,
        subject: T,
        close: Callable[[T], None],
        interrupt: Callable[[T], None],
        explaining: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`explaining`: around each step, to turn the subject's errors into words."""
        self._explaining = explaining
        self._subject = subject
        self._close = close
        self._interrupt = interrupt
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="staging")

    async def do(self, method: Callable[Concatenate[T, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        call = functools.partial(method, self._subject, *args, **kwargs)
        with self._explaining():
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def stream(
        self, method: Callable[Concatenate[T, P], Iterator[R]], *args: P.args, **kwargs: P.kwargs
    ) -> AsyncIterator[R]:
        """An iterator of the subject's, each step in the thread."""
        iterator = await self.do(method, *args, **kwargs)
        try:
            while (item := await self._next(iterator)) is not None:
                yield item
        finally:
            with suppress(RuntimeError):  # the thread has ended, and what it streamed from is closed
                self._thread.submit(iterator.close)  # type: ignore[attr-defined]

    async def _next(self, iterator: Iterator[R]) -> R | None:
        with self._explaining():
            return await asyncio.get_running_loop().run_in_executor(self._thread, next, iterator, None)

    async def close(self) -> None:
        """Stop what is running, close the subject, end the thread; also when the caller is being cancelled."""
        self._interrupt(self._subject)
        self._thread.submit(self._close, self._subject)
        await asyncio.shield(asyncio.to_thread(self._thread.shutdown))


class Reconciliation:
    """Makes Omnisend equal to the segments of one export. Each step is a method; `Engine` calls them in order."""

    def __init__(
        self,
        job: Job,
        staging: Staging,
        database: Database,
        keys: Keys,
        settings: Settings,
        *,
        called_off: asyncio.Event,
        on_progress: Callable[[Tally], None] = lambda _: None,
    ) -> None:
        """`called_off`: set once somebody wants no more of it, perhaps before it is made."""
        self._job = job
        explaining = functools.partial(room_explained, settings)
        self._staging: Worker[Staging] = Worker(staging, Staging.close, Staging.interrupt, explaining)
        self._properties = staging.properties
        self._removal_payload = staging.removal_payload
        self._database = database
        self._keys = keys
        self._settings = settings
        self._on_progress = on_progress
        self._batcher: Batcher | None = None
        self._settler: Settler | None = None
        self._called_off = called_off
        self.rows = 0  # profiles read so far

    async def close(self) -> None:
        await self._staging.close()

    def cancel(self) -> None:
        """Stop soon: nothing more is read or posted; what Omnisend has taken may still settle for a few seconds.

        Until it sends, a run is simply broken off (`RunCancelled`).
        """
        self._called_off.set()
        if self._batcher is not None:
            self._batcher.stop()
        if self._settler is not None:
            self._settler.hasten(CANCEL_PATIENCE)

    @property
    def cancelled(self) -> bool:
        return self._called_off.is_set()

    # --- drain, read

    async def drain(self, client: OmnisendClient, quiet_seconds: float) -> int:
        """Settle what earlier runs left open at this brand; the contacts that stay open."""
        self.raise_if_cancelled()
        settler = self._settler = Settler(client, self._database, self._keys.digest, self._settings)
        left = await drain(settler, self._job.connection.brand_id, self._database, self._settings, quiet_seconds)
        self.raise_if_cancelled()
        return left

    async def read(self) -> ReadSummary:
        """Stage the members' profiles. Raises `TooManyProfiles` as soon as it is sure, or a `SourceError`."""
        return await unless(self._called_off, self._read())

    async def _read(self) -> ReadSummary:
        job = self._job
        if job.trigger is Trigger.EMPTY or not job.selected:
            return ReadSummary({segment.name: 0 for segment in job.selected})
        await self._check_fields()
        stream = job.source.profiles([segment.name for segment in job.selected], job.plan.fields)
        async with stream as profiles:
            async for batch in profiles:
                self.rows = await self._staging.do(Staging.add, batch)
                if self.rows > self._settings.max_profiles:
                    raise TooManyProfiles(export=job.export.name, most=self._settings.max_profiles)
        return profiles.summary

    async def _check_fields(self) -> None:
        there = {column.name for column in await self._job.source.fields()}
        for name in self._job.plan.fields:
            if name not in there:
                raise FieldMissing.among(there, [name], self._job.plan.used_for(name))

    def raise_if_cancelled(self) -> None:
        if self.cancelled:
            raise RunCancelled

    # --- compare, ask

    async def compare(self, summary: ReadSummary, client: OmnisendClient | None) -> Difference:
        """Bring the ledger in, make the difference, and examine it. `client`: to ask Omnisend for its own counts."""
        return await unless(self._called_off, self._compare(summary, client))

    async def _compare(self, summary: ReadSummary, client: OmnisendClient | None) -> Difference:
        job = self._job
        await self._load_ledger()
        everything = job.trigger is Trigger.RESYNC
        comparison = await self._staging.do(Staging.compare, everything=everything)
        report = SegmentReport()
        if client is not None:
            report = await OmnisendSegments(client, self._database, job.selected).count()
        histories = [
            SegmentHistory(
                segment.name,
                summary.members.get(segment.name, 0),
                segment.last_members,
                report.counts.get(segment.name),
            )
            for segment in job.selected
        ]
        findings: list[Finding] = []
        if job.trigger is not Trigger.EMPTY:
            findings = examine(comparison, histories, await self._changed_fields(), job.export.limits)
        return Difference(comparison, summary, findings, report)

    async def _load_ledger(self) -> None:
        job, staging = self._job, self._staging
        if job.trigger is Trigger.RETRY:
            async with self._database.write() as session:
                await ledger.forget_rejections(session, job.book_id)
        async with aclosing(ledger.read_book(self._database, job.book_id)) as batches:
            async for batch in batches:
                await staging.do(Staging.add_ledger, batch)
        async with self._database.read() as session:
            held = await ledger.held_digests(session, job.connection.brand_id)
            refused = await ledger.standing_rejections(session, job.book_id)
            suppressed = await ledger.suppressed_digests(session, job.export.team_id)
        await staging.do(Staging.add_held, held)
        await staging.do(Staging.add_refused, refused)
        await staging.do(Staging.add_suppressed, suppressed)

    async def _changed_fields(self) -> dict[str, tuple[str, str]]:
        """Mapped fields whose type is another one than when they were mapped."""
        types = {column.name: column.type for column in await self._job.source.fields()}
        return {
            line.value: (line.field_type, types[line.value])
            for line in self._job.mapping
            if line.field_type and types.get(line.value, line.field_type) != line.field_type
        }

    async def keep_rejects(self, run_id: int) -> None:
        """Write down the profiles that staging found unfit, with sealed emails, in place of the last run's.

        Of Omnisend's refusals those stay that keep a contact from being sent.
        """
        job = self._job
        outdated = await self._staging.do(Staging.outdated_refusals)
        async with self._database.write() as session:
            await ledger.forget_source_rejections(session, job.book_id)
            await ledger.forget_rejections(session, job.book_id, outdated)
        async for batch in self._staging.stream(Staging.rejects):
            rows = await asyncio.to_thread(self._reject_rows, batch, run_id)
            async with self._database.write() as session:
                await ledger.add_source_rejections(session, job.book_id, rows)

    def _reject_rows(self, batch: pa.RecordBatch, run_id: int) -> list[tuple[str, int, str, bytes, str]]:
        team_id = self._job.export.team_id
        columns = (batch.column(name).to_pylist() for name in ("customer_id", "email", "reason"))
        return [
            (team_id, run_id, customer, self._seal(customer, email), reason)
            for customer, email, reason in zip(*columns, strict=True)
        ]

    def _seal(self, customer_id: str, email: str) -> bytes:
        return ledger.seal_rejected(self._keys.email, self._job.book_id, customer_id, email) if email else b""

    async def samples(self) -> list[Sample]:
        """The first contacts that would be sent. Personal data: mask them before they are shown."""
        return await self._staging.do(Staging.samples)

    # --- send, settle

    async def send(
        self, client: OmnisendClient, difference: Difference, run_id: int, on_stage: Callable[[Stage], None]
    ) -> Outcome:
        """Send the difference and wait for it to settle, as far as it does within the settings' patience."""
        comparison = difference.comparison
        settler = self._settler = Settler(
            client, self._database, self._keys.digest, self._settings, run_id=run_id, on_settled=self._on_settled
        )
        batcher = self._batcher = Batcher(
            client, self._database, settler, self._keys.email, self._settings, book=self._job.book, run_id=run_id
        )
        self.raise_if_cancelled()
        if comparison.to_send:
            async with settling(settler):
                on_stage(Stage.SENDING)
                await self._upsert(batcher, None, canary=comparison.added + comparison.changed > PATCH_REMOVALS)
                await self._remove(batcher, None, comparison.removed)
                on_stage(Stage.SETTLING)
                await self._settle(settler, batcher)
        await self._name_rejections()
        return self.outcome(difference)

    def outcome(self, difference: Difference) -> Outcome:
        """What came of sending so far; of use also where it failed."""
        held = difference.comparison.held
        if self._settler is None or self._batcher is None:
            return Outcome(in_doubt=held)
        tally = self._settler.tally
        in_doubt = self._settler.open_contacts + len(tally.again) + held
        return Outcome(tally, in_doubt, self._batcher.unsent, self._batcher.batches)

    def _on_settled(self, tally: Tally) -> None:
        self._on_progress(tally)
        judge(tally)

    async def _settle(self, settler: Settler, batcher: Batcher) -> None:
        """Wait for what is open; send again what Omnisend did not try, a few times."""
        for _ in range(ROUNDS):
            await settler.settle_all(self._settings.settle_patience)
            again, settler.tally.again = settler.tally.again, []
            if not again or self.cancelled:
                settler.tally.again = again
                return
            await self._upsert(batcher, again, canary=False)
            await self._remove(batcher, again, len(again))
        await settler.settle_all(self._settings.settle_patience)

    async def _upsert(self, batcher: Batcher, only: Sequence[bytes] | None, *, canary: bool) -> None:
        changes = self._staging.stream(Staging.upserts, only)
        await batcher.upsert(changes, canary=canary)

    async def _remove(self, batcher: Batcher, only: Sequence[bytes] | None, count: int) -> None:
        if count:
            leavers = self._staging.stream(Staging.removals, only)
            remove = batcher.patch_removals if count <= PATCH_REMOVALS else batcher.remove
            await remove(leavers, self._properties, self._removal_payload)

    async def _name_rejections(self) -> None:
        """Say whose rejections these are: this run's, and those that the drain found."""
        async with self._database.read() as session:
            digests = await ledger.nameless_rejections(session, self._job.book_id)
        if digests:
            customers = await self._staging.do(Staging.customers, digests)
            async with self._database.write() as session:
                await ledger.name_rejections(session, self._job.book_id, customers)


class StagingBroken(Exception):
    """DuckDB failed for a reason that nobody foresaw: a mistake of ours. Says only what kind of failure it was."""


@contextmanager
def room_explained(settings: Settings) -> Iterator[None]:
    """Turn DuckDB's complaints about memory and disk into `MemoryShort` and `SpillFull`, others into `StagingBroken`.

    A stream reports them as Arrow's errors. Their texts are not passed on: they may quote what was being read.
    """
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        if any(sign in str(error) for sign in _NO_ROOM):
            raise SpillFull(folder=settings.data_dir) from None
        if isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory" in str(error):
            raise MemoryShort(memory_mb=settings.memory_mb) from None
        broken = StagingBroken(type(error).__name__)
        raise broken.with_traceback(error.__traceback__) from None


def selected(segments: Sequence[ExportSegment]) -> list[Selected]:
    return [Selected(segment.name, segment.property_name) for segment in segments]


def keeps_leavers(job: Job) -> bool:
    return job.export.leavers is Leavers.KEEP and job.trigger is not Trigger.EMPTY
