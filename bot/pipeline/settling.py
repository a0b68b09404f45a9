"""Settling: finding out what became of each batch.

One sweep over Omnisend's batch list tells of 250 batches a request; items are fetched only of batches with errors. The
same sweep finds batches whose answer was lost: a batch of the right size that nobody here knows, whose echoed items are
ours. Used by a run for its own batches, and before it for those that an earlier run or a crash left open (the drain).
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import structlog

from bot.omnisend.client import OmnisendClient
from bot.omnisend.errors import STOPS_RUN, KeyRefused, NotFound, OmnisendError, ScopeMissing
from bot.omnisend.models import BatchInfo, BatchItems, ItemFailure
from bot.pipeline.errors import OmnisendAway
from bot.settings import Settings
from storage import ledger
from storage.database import Database
from storage.models import Batch, BatchKind, BatchState, RejectedBy, Rejection, id_of
from storage.secrets import DigestKey

FLUSH_AT = 50  # accepted batches written down together
ABSENT_SWEEPS = 2  # full sweeps without a batch after which it is asked for by its id
STOP_SECONDS = 2.0  # for a sweep under way to end by itself
CLOCK_SKEW = timedelta(hours=1)  # how far Omnisend's clock may be from ours
GROWTH = 1.5  # of the pause between sweeps while nothing settles
SPACING = 0.2  # of the shortest pause: kept between two sweeps even when somebody waits

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class OpenBatch:
    """A batch that Omnisend may be working on.

    `payloads`: the digest of what each contact was sent. `new`: the contacts that Omnisend has not had before.
    """

    row: Batch
    payloads: dict[bytes, bytes]
    new: frozenset[bytes] = frozenset()
    takes_room: bool = False  # counts towards the most batches that may be under way
    absent: int = 0  # full sweeps in a row that did not list it

    @property
    def id(self) -> int:
        return id_of(self.row)


class StillUnknown(Exception):
    """Nobody can wait any longer to learn what became of a batch: it stays open for a later run."""


@dataclass(slots=True)
class Lost:
    """A batch whose answer was lost. `verdict`: Omnisend's id for it, or None if it surely never arrived."""

    batch: OpenBatch
    deadline: float  # on the settler's clock: what has not turned up by then will not
    verdict: asyncio.Future[str | None]


@dataclass(slots=True)
class Tally:
    """What came of the batches so far, in contacts."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    rejected: int = 0
    again: list[bytes] = field(default_factory=list)  # not tried by Omnisend: to be sent once more

    @property
    def tried(self) -> int:
        return self.added + self.changed + self.removed + self.rejected

    def confirm(self, batch: OpenBatch, done: Collection[bytes]) -> None:
        if batch.row.kind is BatchKind.UPSERT:
            new = len(batch.new.intersection(done))
            self.added += new
            self.changed += len(done) - new
        else:
            self.removed += len(done)


class Settler:
    """Watches open batches until Omnisend is done with them. Run `run()` as a task; it ends only by cancellation."""

    def __init__(
        self,
        client: OmnisendClient,
        database: Database,
        key: DigestKey,
        settings: Settings,
        *,
        run_id: int | None = None,
        on_settled: Callable[[Tally], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._database = database
        self._key = key
        self._run_id = run_id
        self._on_settled = on_settled
        self._clock = clock
        self._pause = pause
        self._shortest, self._longest = settings.sweep_seconds
        self._outage = settings.outage_patience
        self._patience = settings.settle_patience
        self._room = settings.open_batches  # how many more may be under way
        self._crowded = 0  # senders that wait for room
        self._open: dict[str, OpenBatch] = {}  # by Omnisend's id
        self._lost: list[Lost] = []
        self._undecided: list[OpenBatch] = []  # lost, and nobody waits for them any more
        self._deadline: float | None = None  # by which everybody has to stop waiting
        self._strangers: set[str] = set()  # batches of others, or of ours that are settled
        self._unwritten: list[tuple[int, str]] = []
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()
        self._last_success = clock()
        self._hurry = False
        self._stopped = False
        self.tally = Tally()

    # --- what the senders tell

    async def make_room(self, batch: OpenBatch) -> None:
        """Wait until another batch may be under way, or until nobody waits any more (`hasten`)."""
        self._crowded += 1
        try:
            while self._room <= 0 and self._deadline is None:
                self._wake.set()
                self._moved.clear()
                await self._moved.wait()
        finally:
            self._crowded -= 1
        self._room -= 1
        batch.takes_room = True

    async def watch(self, batch: OpenBatch, omnisend_id: str) -> None:
        """Omnisend has taken a batch: settle it when it is done."""
        self._last_success = self._clock()
        idle = not self._open
        batch.row.omnisend_id = omnisend_id
        self._open[omnisend_id] = batch
        if batch.row.state is BatchState.CLAIMED:
            self._unwritten.append((batch.id, omnisend_id))
        if idle:
            self._wake.set()
        if len(self._unwritten) >= FLUSH_AT:
            await self._write_submitted()

    async def discard(self, batch: OpenBatch) -> None:
        """A claimed batch that was never posted, or went out as others: nothing will be heard of it."""
        async with self._database.write() as session:
            await ledger.withdraw(session, batch.row)
        self._close(batch)

    async def give_up(self, batch: OpenBatch) -> None:
        """A batch that was posted and did not turn up: its contacts are in doubt."""
        async with self._database.write() as session:
            await ledger.give_up(session, batch.row)
        self._close(batch)

    async def settle_patched(self, batch: OpenBatch, refused: Sequence[Rejection], undone: Sequence[bytes]) -> None:
        """Removals by single calls are done as soon as they are answered."""
        async with self._database.write() as session:
            await ledger.confirm(session, batch.row, refused, undone)
        self.tally.again += undone
        not_done = {rejection.digest for rejection in refused}.union(undone)
        done = [digest for digest in batch.payloads if digest not in not_done]
        self._close(batch, done=done, rejected=len(refused))
        self._on_settled(self.tally)

    async def look_for(self, batch: OpenBatch, grace: float) -> str | None:
        """Find a batch whose answer was lost: Omnisend's id for it, or None if it did not turn up within `grace`.

        Raises `StillUnknown` if Omnisend can't say within the settings' patience (it echoes no items of a batch that
        it has not begun), or if `hasten` ended the wait; the batch then stays open.
        """
        lost = Lost(batch, self._clock() + grace, asyncio.get_running_loop().create_future())
        self._lost.append(lost)
        self._strangers.clear()  # what was nobody's until now may be this one
        self._wake.set()
        try:
            async with asyncio.timeout(self._at_most(grace + self._patience)):
                return await lost.verdict
        except TimeoutError:
            self._undecided.append(batch)
            raise StillUnknown from None
        finally:
            self._lost.remove(lost)
            self._moved.set()

    # --- what the run asks

    @property
    def open(self) -> list[OpenBatch]:
        return [*self._open.values(), *(lost.batch for lost in self._lost), *self._undecided]

    @property
    def open_contacts(self) -> int:
        return sum(batch.row.count for batch in self.open)

    async def settle_all(self, patience: float) -> bool:
        """Wait until nothing is open, or until nothing has settled for `patience` seconds. Did all settle?"""
        self._hurry = True
        self._wake.set()
        try:
            while self._open or self._lost:
                self._moved.clear()
                async with asyncio.timeout(self._at_most(patience)):
                    await self._moved.wait()
        except TimeoutError:
            return False
        finally:
            self._hurry = False
            await self._write_submitted()
        return True

    def hasten(self, seconds: float) -> None:
        """From now on nobody waits longer than this: the run was cancelled."""
        self._deadline = self._clock() + seconds
        for lost in self._lost:
            asyncio.get_running_loop().call_later(seconds, _end_wait, lost)
        self._moved.set()
        self._wake.set()

    def _at_most(self, seconds: float) -> float:
        """So long, or as long as anybody may still wait."""
        return seconds if self._deadline is None else min(seconds, max(0.0, self._deadline - self._clock()))

    async def close(self) -> None:
        """Write down what is known. The batches still open stay so, for a later run to find out."""
        await self._write_submitted()

    # --- the sweeps

    async def run(self) -> None:
        """Sweep for ever, with growing pauses while nothing moves, sooner when somebody waits.

        Raises `OmnisendAway` after an outage longer than the settings allow, or what stops a run (`STOPS_RUN`).
        """
        pause = self._shortest
        while not self._stopped:
            if not self._open and not self._lost:
                self._wake.clear()
                self._moved.set()
                await self._wake.wait()
                self._last_success = self._clock()
            await self._rest(pause)
            if self._stopped:
                return
            self._wake.clear()
            try:
                settled = await self._sweep()
            except STOPS_RUN:
                raise
            except OmnisendError as error:
                log.warning("could not look at the batches", error=str(error))
                if self._clock() - self._last_success > self._outage:
                    raise OmnisendAway(minutes=round(self._outage / 60), detail=error.code) from error
                settled = 0
            else:
                self._last_success = self._clock()
            pause = self._shortest if settled else min(pause * GROWTH, self._longest)

    def stop(self) -> None:
        """Sweep no more. A sweep under way ends by itself: it may be writing down what it found."""
        self._stopped = True
        self._wake.set()

    async def _rest(self, seconds: float) -> None:
        """Pause before the next sweep: for long while nobody waits, hardly at all while senders wait for room."""
        spacing = self._shortest * SPACING
        await self._pause(spacing)
        if not self._crowded:
            limit = self._shortest if self._hurry or self._lost else seconds
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit - spacing):
                    await self._wake.wait()

    async def _sweep(self) -> int:
        """Look once at the list of batches; the number of batches settled."""
        await self._write_submitted()
        started = self._clock()
        waiting = dict(self._open)
        lost = list(self._lost)
        if not waiting and not lost:  # whoever waited went on meanwhile
            return 0
        candidates: list[BatchInfo] = []
        settled, whole = 0, True
        async for page in self._client.batches(self._since()):
            final = [(waiting[info.id], info) for info in page if info.final and info.id in waiting]
            for info in page:
                if (batch := waiting.pop(info.id, None)) is not None:
                    batch.absent = 0
                elif lost and info.id not in self._strangers and info.id not in self._open:
                    candidates.append(info)
            settled += await self._settle(final)
            if not waiting and not lost:
                whole = False
                break
        if whole:
            settled += await self._ask_for_absent(waiting)
        if lost:
            await self._find(lost, candidates, started)
        return settled

    def _since(self) -> date:
        """Omnisend takes a day, in a time zone that nobody has published: the day before the oldest open batch."""
        return (min(batch.row.claimed_at for batch in self.open) - timedelta(days=1)).date()

    async def _ask_for_absent(self, absent: dict[str, OpenBatch]) -> int:
        """The list may shift while it is read: only a batch missing from two in a row is asked for by its id."""
        settled = 0
        for omnisend_id, batch in absent.items():
            batch.absent += 1
            if batch.absent >= ABSENT_SWEEPS and omnisend_id in self._open:
                try:
                    info = await self._client.batch(omnisend_id)
                except NotFound:
                    await self._vanished(batch)
                    settled += 1
                else:
                    settled += await self._settle([(batch, info)] if info.final else [])
        return settled

    async def _settle(self, final: Sequence[tuple[OpenBatch, BatchInfo]]) -> int:
        """Write down the outcome of batches that are final: those without errors together, the others one by one."""
        clean = [batch for batch, info in final if _is_clean(info, batch)]
        if clean:
            async with self._database.write() as session:
                for batch in clean:
                    await ledger.confirm(session, batch.row)
            for batch in clean:
                self._close(batch, done=batch.payloads)
            self._on_settled(self.tally)  # it may stop the run: only once all of them are counted
        for batch, info in final:
            if not _is_clean(info, batch):
                try:
                    items = await self._client.batch_items(info.id)
                except NotFound:
                    await self._vanished(batch)
                else:
                    await self._settle_items(batch, items)
        return len(final)

    async def _settle_items(self, batch: OpenBatch, items: BatchItems) -> None:
        """A batch with errors or stopped early: accepted, rejected, and not tried are told apart by email."""
        done = self._digests(items.done) & batch.payloads.keys()
        failures = {self._key.of_email(failure.email): failure for failure in items.failed}
        refused = {
            digest: failure
            for digest, failure in failures.items()
            if digest in batch.payloads and not failure.retryable and not failure.stops_run
        }
        untried = [digest for digest in batch.payloads if digest not in done and digest not in refused]
        async with self._database.write() as session:
            sealed = await ledger.sealed_emails(session, batch.row.book_id, list(refused))
            rejections = [self._rejection(batch, digest, failure, sealed) for digest, failure in refused.items()]
            await ledger.confirm(session, batch.row, rejections, untried)
        self.tally.again += untried
        self._close(batch, done=done, rejected=len(refused))
        self._on_settled(self.tally)
        for failure in failures.values():
            if failure.stops_run:
                raise _stop(failure)

    def _rejection(
        self, batch: OpenBatch, digest: bytes, failure: ItemFailure, sealed: dict[bytes, bytes]
    ) -> Rejection:
        return Rejection(
            team_id=batch.row.team_id,
            book_id=batch.row.book_id,
            run_id=batch.row.run_id or self._run_id,
            by=RejectedBy.OMNISEND,
            email=sealed.get(digest, b""),
            reason="omnisend",
            detail=failure.reason,
            digest=digest,
            payload=batch.payloads[digest],
        )

    async def _vanished(self, batch: OpenBatch) -> None:
        """Omnisend does not know the batch any more: whether its contacts were done is in doubt."""
        async with self._database.write() as session:
            await ledger.give_up(session, batch.row)
        self.tally.again += batch.payloads
        self._close(batch)

    def _close(self, batch: OpenBatch, *, done: Collection[bytes] = (), rejected: int = 0) -> None:
        if batch.row.omnisend_id is not None:
            self._open.pop(batch.row.omnisend_id, None)
        if batch.takes_room:
            batch.takes_room = False
            self._room += 1
        self.tally.confirm(batch, done)
        self.tally.rejected += rejected
        self._moved.set()

    # --- batches whose answer was lost

    async def _find(self, lost: Sequence[Lost], candidates: Sequence[BatchInfo], started: float) -> None:
        """Tell each lost batch its verdict, where there is one: found, or surely not there."""
        undecided = 0
        for info in await self._unknown(candidates):
            if not any(_may_be(info, one.batch) for one in lost):
                continue
            echoed = await self._echoed_digests(info)
            owner = next((one for one in lost if echoed & one.batch.payloads.keys()), None)
            if owner is not None:
                self._decide(owner, info.id)
            elif echoed or info.final:
                if all(one in lost for one in self._lost):  # or it may be one that was lost since
                    self._strangers.add(info.id)
            else:
                undecided += 1
        if not undecided:
            for one in lost:
                if started >= one.deadline:
                    self._decide(one, None)

    def _decide(self, lost: Lost, verdict: str | None) -> None:
        if not lost.verdict.done():
            lost.verdict.set_result(verdict)
            self._moved.set()

    async def _unknown(self, candidates: Sequence[BatchInfo]) -> list[BatchInfo]:
        """Those that are not among the batches written down here, of whatever run or export."""
        for start in range(0, len(candidates), 500):
            part = [info.id for info in candidates[start : start + 500]]
            async with self._database.read() as session:
                self._strangers |= await ledger.known_omnisend_ids(session, part)
        return [info for info in candidates if info.id not in self._strangers]

    async def _echoed_digests(self, info: BatchInfo) -> set[bytes]:
        try:
            items = await self._client.batch_items(info.id)
        except NotFound:
            return set()
        return self._digests([*items.done, *(failure.email for failure in items.failed)])

    def _digests(self, emails: Iterable[str]) -> set[bytes]:
        return {self._key.of_email(email) for email in emails}

    async def _write_submitted(self) -> None:
        unwritten, self._unwritten = self._unwritten, []
        if unwritten:
            try:
                async with self._database.write() as session:
                    await ledger.mark_submitted(session, unwritten)
            except BaseException:  # also where it is broken off: the next write has them
                self._unwritten[:0] = unwritten
                raise


@contextlib.asynccontextmanager
async def settling(settler: Settler) -> AsyncIterator[Settler]:
    """Run the settler's sweeps beside a block of work. If they fail, the work is cancelled and their error raised."""
    try:
        async with asyncio.TaskGroup() as group:
            sweeps = group.create_task(settler.run(), name="settler")
            try:
                yield settler
            finally:
                settler.stop()
                await asyncio.wait([sweeps], timeout=STOP_SECONDS)
                sweeps.cancel()
    except BaseExceptionGroup as failures:
        raise first_cause(failures) from None
    finally:
        await settler.close()


def first_cause(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that brought the others about: a task group wraps it, however deep."""
    first = failures.exceptions[0]
    return first_cause(first) if isinstance(first, BaseExceptionGroup) else first


async def drain(settler: Settler, brand_id: str, database: Database, settings: Settings, quiet_seconds: float) -> int:
    """Settle what earlier runs left open at the brand; the number of contacts that stay open.

    `quiet_seconds`: how long ago the process was last heard of that may have posted them.
    """
    async with database.read() as session:
        rows = await ledger.open_batches(session, brand_id)
        batches = [OpenBatch(row, await ledger.batch_payloads(session, row)) for row in rows]
    if not batches:
        return 0
    grace = max(0.0, settings.lookup_grace - quiet_seconds)
    async with settling(settler), asyncio.TaskGroup() as recoveries:
        for batch in batches:
            if batch.row.omnisend_id is None:
                recoveries.create_task(_recover(settler, batch, grace))
            else:
                await settler.watch(batch, batch.row.omnisend_id)
        await asyncio.sleep(0)  # let the recoveries register
        lost = any(batch.row.omnisend_id is None for batch in batches)
        await settler.settle_all(settings.drain_patience + (grace if lost else 0))
        settler.hasten(0)  # recoveries that know by now write it down, the others end
    return settler.open_contacts


async def _recover(settler: Settler, batch: OpenBatch, grace: float) -> None:
    """Find out whether a batch that was claimed before a crash ever arrived."""
    try:
        omnisend_id = await settler.look_for(batch, grace)
    except StillUnknown:
        return
    if omnisend_id is not None:
        await settler.watch(batch, omnisend_id)
    else:
        await settler.give_up(batch)


def _end_wait(lost: Lost) -> None:
    if not lost.verdict.done():
        lost.verdict.set_exception(TimeoutError())


def _is_clean(info: BatchInfo, batch: OpenBatch) -> bool:
    return info.status == "finished" and info.errors == 0 and info.finished >= batch.row.count


def _may_be(info: BatchInfo, batch: OpenBatch) -> bool:
    if batch.row.kind is BatchKind.PATCH or info.total != batch.row.count:
        return False
    return info.created_at is None or info.created_at > batch.row.claimed_at - CLOCK_SKEW


def _stop(failure: ItemFailure) -> OmnisendError:
    if failure.code == 401:
        return KeyRefused(call="item of a batch", status=401)
    return ScopeMissing(scope="contacts.write", call="item of a batch", status=403, detail=failure.reason)
