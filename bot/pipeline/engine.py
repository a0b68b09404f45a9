"""The engine: executes runs and previews. Knows no Slack; what people must hear goes into the outbox."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import structlog
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot import duck
from bot.omnisend.client import OmnisendClient
from bot.omnisend.errors import OmnisendError
from bot.omnisend.models import Brand
from bot.pipeline.adopting import adopt
from bot.pipeline.brand import Access, Brands
from bot.pipeline.errors import GuardStopped as StoppedByGuard
from bot.pipeline.errors import (
    NoConnection,
    NoKey,
    NoSegments,
    RunCancelled,
    RunTooLong,
    Unexpected,
)
from bot.pipeline.guard import Finding
from bot.pipeline.mapping import Line, check
from bot.pipeline.omnisend_segments import OmnisendSegments, SegmentReport
from bot.pipeline.preview import Preview, estimate_requests, estimate_seconds
from bot.pipeline.queue import claim_run, put_back
from bot.pipeline.reconcile import Difference, Job, Outcome, Reconciliation, keeps_leavers, selected
from bot.pipeline.recording import Recorder
from bot.pipeline.settling import Tally
from bot.pipeline.sources import Sources
from bot.pipeline.staging import Staging
from bot.settings import Settings
from bot.sources.base import Source, SourceBusy
from bot.sources.entra.errors import SignInAgain
from bot.tasks import end
from storage import ledger
from storage.database import Database, unbroken
from storage.errors import FerryError
from storage.lease import this_process
from storage.models import (
    Book,
    Connection,
    ConnectionState,
    Export,
    ExportSegment,
    FieldMapping,
    Run,
    RunStatus,
    SegmentState,
    Stage,
    Trigger,
    id_of,
    now,
)
from storage.secrets import Keys

REFRESHES = 3  # how often a run begins again because its source was refreshed while it read
REFRESH_LOOK_SECONDS = 5.0  # how often it is looked whether a refresh has ended, or nobody wants the run any more

ConsentObstacle = Callable[[AsyncSession, Connection], Awaitable[FerryError | None]]
"""What is wrong with a connection's consent, if anything."""

log = structlog.get_logger(__name__)


class Engine:
    """Reconciles exports with Omnisend. One for a process."""

    def __init__(
        self,
        database: Database,
        keys: Keys,
        settings: Settings,
        sources: Sources,
        spill: duck.SpillFolders,
        *,
        consent_obstacle: ConsentObstacle,
        transport: Callable[[], httpx.AsyncBaseTransport] | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`consent_obstacle` is asked again when a run really begins: it may have waited for long."""
        self._database = database
        self._keys = keys
        self._settings = settings
        self._sources = sources
        self._consent_obstacle = consent_obstacle
        self._pause = pause
        self.resting: set[int] = set()
        """Ids of the runs that wait for their source: they keep nobody from running."""
        self._spill = spill
        self._brands = Brands(database, settings, transport=transport)

    @property
    def sources(self) -> Sources:
        """The configured sources."""
        return self._sources

    async def source_of(self, connection: Connection) -> Source:
        """The source that a connection reads from. Raises `SourceUnknown`, `NotSignedIn` or `EnvironmentChanged`."""
        return await self._sources.of(connection)

    async def check_key(self, key: str) -> Brand:
        """Ask Omnisend whose key this is and whether it may write contacts; changes nothing there.

        Raises `KeyRefused`, `ScopeMissing` or another `OmnisendError`.
        """
        async with self._brands.client(key) as client:
            brand = await client.brand()
            await client.check_write()
            return brand

    def client_for(self, connection: Connection) -> OmnisendClient:
        """A client for looking at a connection's brand, under the brand's limiter."""
        return self._brands.client(self._key(connection), connection.brand_id, connection.share)

    # --- runs

    async def execute(self, run_id: int) -> Run:
        """Execute a queued run to its end, whatever end that is; the run's own failures are recorded, not raised.

        Cancelling the task (a process that shuts down) leaves the run queued: it goes on where it stopped.
        """
        claiming = asyncio.ensure_future(claim_run(self._database, run_id, this_process()))
        try:
            run = await asyncio.shield(claiming)
            if run is not None:
                return await self._execute(run, Recorder(self._database, run_id))
        except asyncio.CancelledError:
            if await claiming is not None:
                await unbroken(put_back(self._database, run_id, this_process()))
            raise
        async with self._database.read() as session:
            return await session.get_one(Run, run_id)

    async def _execute(self, run: Run, recorder: Recorder) -> Run:
        """Every end of a claimed run but cancellation."""
        try:
            job = await self._job(run)
        except FerryError as error:
            return await self._failed(recorder, await self._export(run), error)
        try:
            return await self._within_hours(job, run, recorder)
        except RunCancelled as error:
            return await self._ended(recorder, job.export, RunStatus.CANCELLED, error)
        except StoppedByGuard as error:
            return await self._ended(recorder, job.export, RunStatus.STOPPED, error)
        except FerryError as error:
            return await self._failed(recorder, job.export, error)
        except Exception:
            reference = f"F-{secrets.token_hex(3).upper()}"
            log.exception("run failed unexpectedly", run=run.id, reference=reference)
            recorder.set(reference=reference)
            return await self._failed(recorder, job.export, Unexpected(reference=reference))

    async def _within_hours(self, job: Job, run: Run, recorder: Recorder) -> Run:
        if run.attempts == 1:
            await recorder.started(job.export)
        for begun_again in range(REFRESHES + 1):
            await self._await_refresh(job, run, recorder)
            try:
                async with asyncio.timeout(None) as limit:
                    return await self._reconcile(job, run, recorder, limit)
            except SourceBusy as busy:  # a refresh began before everything was read: nothing was sent yet
                if begun_again == REFRESHES:
                    raise
                log.info("a run begins again after a refresh", run=run.id, code=busy.code)
            except TimeoutError:
                if limit.expired():
                    raise RunTooLong(hours=f"{self._settings.run_hours:g}") from None
                raise
        raise AssertionError("unreachable")

    async def _await_refresh(self, job: Job, run: Run, recorder: Recorder) -> None:
        """Wait while a refresh of the source is known to run: its tables don't fit together then. The run says so.

        Raises `RunCancelled` if somebody wants it no longer.
        """
        try:
            while (until := await self._sources.refreshing_until(job.connection)) is not None:
                self.resting.add(id_of(run))
                recorder.set(stage=Stage.REFRESHING, notes=[{"kind": "refresh", "until": until.isoformat()}])
                if (await recorder.write()).cancel_requested_by:
                    raise RunCancelled
                left = (until - now()).total_seconds()
                await self._pause(min(max(left, 0), REFRESH_LOOK_SECONDS))
        finally:
            self.resting.discard(id_of(run))
            recorder.set(stage=Stage.WAITING, notes=[])

    async def _reconcile(self, job: Job, run: Run, recorder: Recorder, time_limit: asyncio.Timeout) -> Run:
        """The steps of a run, in order. Its time counts from its turn at the brand."""
        progress = _Progress()
        async with AsyncExitStack() as stack:
            pulse = asyncio.create_task(recorder.pulse(progress.as_columns, lambda: progress.cancel()))
            stack.push_async_callback(end, pulse)
            access = await stack.enter_async_context(self._in_turn(job, run, progress.called_off))
            time_limit.reschedule(asyncio.get_running_loop().time() + self._settings.run_hours * 3600)
            reconciliation = await stack.enter_async_context(self._reconciliation(job, progress))
            progress.cancel = reconciliation.cancel
            progress.count_requests = lambda: access.client.requests
            progress.stage = Stage.DRAINING
            await reconciliation.drain(access.client, access.quiet_seconds)
            if job.trigger is Trigger.ADOPT and not job.accept_guard:  # what was accepted was asked after adopting
                progress.stage = Stage.ADOPTING
                check = reconciliation.raise_if_cancelled
                job.adopted = await adopt(job, access.client, self._database, self._keys, on_page=check)
            progress.stage = Stage.READING
            progress.count_rows = lambda: reconciliation.rows
            summary = await reconciliation.read()
            progress.stage = Stage.COMPARING
            difference = await reconciliation.compare(summary, access.client)
            progress.total = difference.comparison.to_send
            await reconciliation.keep_rejects(id_of(run))
            _record_difference(recorder, job, difference)
            if job.unaccepted(difference.findings):
                recorder.set(findings=[finding.as_dict() for finding in difference.findings])
                return await recorder.finished(job.export, RunStatus.ASKING, rejects=False)

            await self._note_attributes(job)
            try:
                outcome = await reconciliation.send(access.client, difference, id_of(run), progress.enter)
            except BaseException:  # also where time is up: the report says what was sent until then
                so_far = reconciliation.outcome(difference)
                _record_outcome(recorder, job, difference, so_far, difference.at_omnisend, access.client.requests)
                raise
            report = await self._at_omnisend(job, access.client, difference)
            _record_outcome(recorder, job, difference, outcome, report, access.client.requests)
            if reconciliation.cancelled:
                raise RunCancelled
        await self._remember_segments(job, difference, outcome)
        rejects = _rejected(difference, outcome) > 0
        return await recorder.finished(job.export, RunStatus.DONE, rejects=rejects)

    @asynccontextmanager
    async def _in_turn(self, job: Job, run: Run, called_off: asyncio.Event) -> AsyncIterator[Access]:
        """The right to send to the brand. While the run waits for it, it keeps no other brand's runs from running."""
        connection = job.connection
        async with AsyncExitStack() as stack:
            self.resting.add(id_of(run))
            try:
                sending = self._brands.sending(
                    self._key(connection), connection.brand_id, connection.share, called_off=called_off
                )
                access = await stack.enter_async_context(sending)
            finally:
                self.resting.discard(id_of(run))
            yield access

    @asynccontextmanager
    async def _reconciliation(self, job: Job, progress: "_Progress") -> AsyncIterator[Reconciliation]:
        """A reconciliation with its staging area, which spills (encrypted) into a folder that goes at the end."""
        with self._spill.open() as folder:
            connection = await asyncio.to_thread(duck.connect, memory_mb=self._settings.memory_mb, spill=folder)
            staging = await asyncio.to_thread(
                Staging,
                connection,
                job.plan,
                selected(job.selected),
                self._keys.digest,
                dropping=[segment.property_name for segment in job.dropping],
                keep_leavers=keeps_leavers(job),
            )
            reconciliation = Reconciliation(
                job,
                staging,
                self._database,
                self._keys,
                self._settings,
                called_off=progress.called_off,
                on_progress=progress.settled,
            )
            try:
                yield reconciliation
            finally:
                await reconciliation.close()

    async def _at_omnisend(self, job: Job, client: Any, difference: Difference) -> SegmentReport:
        """The segments after the sending. What goes wrong here, even a key revoked just now, undoes nothing."""
        segments = OmnisendSegments(client, self._database, job.selected)
        try:
            return await (segments.ensure() if difference.comparison.wanted else segments.count())
        except OmnisendError as error:
            log.warning("could not look after Omnisend's segments", error=str(error))
            return SegmentReport(notes=[{"kind": "segments_unknown"}])

    async def _note_attributes(self, job: Job) -> None:
        """Remember which attributes this book has ever sent, before they are."""
        mapped = [line.attribute for line in job.plan.lines]
        async with self._database.write() as session:
            book = await session.get_one(Book, job.book_id)
            book.attributes = list(dict.fromkeys([*book.attributes, *mapped]))
            session.add(book)

    async def _remember_segments(self, job: Job, difference: Difference, outcome: Outcome) -> None:
        """Keep the member counts for the next guard; a deselected segment is dropped once nobody has it any more."""
        settled = not outcome.in_doubt and not _rejected_by_omnisend(difference, outcome)
        async with self._database.write() as session:
            for segment in job.segments:
                stored = await session.get(ExportSegment, segment.id)
                if stored is None:
                    continue
                # People may have chosen otherwise while it ran: only what held before and holds now is settled.
                if segment.state is stored.state is SegmentState.SELECTED:
                    stored.last_members = difference.summary.members.get(segment.name, 0)
                    session.add(stored)
                elif segment.state is stored.state is SegmentState.DROPPING and settled:
                    await session.delete(stored)

    async def _failed(self, recorder: Recorder, export: Export, error: FerryError) -> Run:
        log.warning("run failed", export=export.id, code=error.code, error=str(error))
        if isinstance(error, SignInAgain):
            await self._sources.signed_out(export.connection_id)
        return await self._ended(recorder, export, RunStatus.FAILED, error)

    async def _ended(self, recorder: Recorder, export: Export, status: RunStatus, error: FerryError) -> Run:
        recorder.set(error_code=error.code, error_text=str(error))
        return await recorder.finished(export, status, rejects=False)

    # --- preview, adopt

    async def preview(self, export_id: int) -> Preview:
        """What a run would do now. Reads the source and compares; sends nothing. Raises a `FerryError`."""
        async with self._database.read() as session:
            export = await session.get_one(Export, export_id)
        job = await self._job_of(export, Trigger.MANUAL)
        async with (
            self._reconciliation(job, _Progress()) as reconciliation,
            self.client_for(job.connection) as client,
        ):
            summary = await reconciliation.read()
            difference = await reconciliation.compare(summary, client)
            samples = await reconciliation.samples()
        requests = estimate_requests(difference.comparison)
        return Preview(
            comparison=difference.comparison,
            members=summary.members,
            without_profile=summary.without_profile,
            samples=samples,
            findings=difference.findings,
            left_behind=job.left_behind(),
            requests=requests,
            seconds=estimate_seconds(requests, self._settings, job.connection.share),
            notes=_notes(job, difference),
        )

    async def adopt(self, export_id: int) -> int:
        """Rebuild a lost ledger from the members of the Omnisend segments; the number of contacts taken over."""
        async with self._database.read() as session:
            export = await session.get_one(Export, export_id)
        job = await self._job_of(export, Trigger.MANUAL)
        async with self._brands.sending(
            self._key(job.connection), job.connection.brand_id, job.connection.share
        ) as access:
            return await adopt(job, access.client, self._database, self._keys)

    # --- loading

    async def _export(self, run: Run) -> Export:
        async with self._database.read() as session:
            export = await session.get(Export, run.export_id) if run.export_id else None
        return export or Export(team_id=run.team_id, name=run.export_name, owner=run.started_by)

    async def _job(self, run: Run) -> Job:
        job = await self._job_of(await self._export(run), run.trigger)
        job.accept_guard = run.accept_guard
        job.asked = [Finding.from_dict(finding) for finding in run.findings]
        job.resumed = run.attempts > 1 and not run.findings
        return job

    async def _job_of(self, export: Export, trigger: Trigger) -> Job:
        """Everything a reconciliation needs; raises a `FerryError` that says what is missing."""
        async with self._database.write() as session:
            connection = await session.get(Connection, export.connection_id) if export.connection_id else None
            if connection is None:
                raise NoConnection(export=export.name)
            if connection.state is not ConnectionState.ACTIVE or connection.api_key is None:
                raise NoKey(connection=connection.name)
            if (obstacle := await self._consent_obstacle(session, connection)) is not None:
                raise obstacle
            segments = select(ExportSegment).where(ExportSegment.export_id == export.id).order_by(col(ExportSegment.id))
            lines = select(FieldMapping).where(FieldMapping.export_id == export.id).order_by(col(FieldMapping.position))
            mapping = list((await session.exec(lines)).all())
            job = Job(
                export=export,
                connection=connection,
                segments=list((await session.exec(segments)).all()),
                mapping=mapping,
                plan=check([Line(row.attribute, row.value, row.kind, row.clear) for row in mapping]),
                book=await ledger.open_book(session, export.team_id, export.id or 0, connection.brand_id),
                source=await self._sources.of(connection),
                trigger=trigger,
            )
        if not job.selected and trigger is not Trigger.EMPTY:
            raise NoSegments(export=export.name)
        return job

    def _key(self, connection: Connection) -> str:
        assert connection.api_key is not None
        return self._keys.vault.open(connection.api_key, row=f"connection/{connection.id}/api_key")


@dataclass
class _Progress:
    """How far a run is, as columns of its row."""

    stage: Stage = Stage.WAITING
    total: int = 0
    tally: Tally = field(default_factory=Tally)
    count_requests: Callable[[], int] = int
    count_rows: Callable[[], int] = int
    called_off: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.cancel: Callable[[], None] = self.called_off.set

    def enter(self, stage: Stage) -> None:
        self.stage = stage

    def settled(self, tally: Tally) -> None:
        self.tally = tally

    def as_columns(self) -> dict[str, Any]:
        columns: dict[str, Any] = {"stage": self.stage, "total": self.total, "requests": self.count_requests()}
        if self.stage is Stage.READING:
            columns["profiles"] = self.count_rows()
        if self.stage in (Stage.SENDING, Stage.SETTLING):
            columns["sent"] = self.tally.tried
        return columns


def _record_difference(recorder: Recorder, job: Job, difference: Difference) -> None:
    comparison = difference.comparison
    recorder.set(
        profiles=comparison.profiles,
        unchanged=comparison.unchanged,
        kept=comparison.kept,
        rejected=sum(comparison.rejected.values()) + comparison.refused,
        in_doubt=comparison.held,
        total=comparison.to_send,
        notes=[*_notes(job, difference), *_rejects_note(difference, 0)],
        segments=_segments(job, difference, difference.at_omnisend),
    )


def _record_outcome(
    recorder: Recorder, job: Job, difference: Difference, outcome: Outcome, report: SegmentReport, requests: int
) -> None:
    tally = outcome.tally
    recorder.set(
        added=tally.added,
        changed=tally.changed,
        removed=tally.removed,
        rejected=_rejected(difference, outcome),
        in_doubt=outcome.in_doubt,
        sent=tally.tried,
        batches=outcome.batches,
        requests=requests,
        notes=[*_notes(job, difference), *_rejects_note(difference, tally.rejected), *report.notes],
        segments=_segments(job, difference, report),
    )


def _rejected_by_omnisend(difference: Difference, outcome: Outcome) -> int:
    return outcome.tally.rejected + difference.comparison.refused


def _rejected(difference: Difference, outcome: Outcome) -> int:
    return sum(difference.comparison.rejected.values()) + _rejected_by_omnisend(difference, outcome)


def _segments(job: Job, difference: Difference, report: SegmentReport) -> list[dict[str, Any]]:
    """`members` as the source counts them, `contacts` as we have them, `contacts_count` as Omnisend says."""
    return [
        {
            "name": segment.name,
            "members": difference.summary.members.get(segment.name, 0),
            "contacts": difference.comparison.members.get(segment.name, 0),
            "contacts_count": report.counts.get(segment.name),
            "omnisend_name": segment.omnisend_name or segment.name,
            "property": segment.property_name,
        }
        for segment in job.selected
    ]


def _rejects_note(difference: Difference, by_omnisend: int) -> list[dict[str, Any]]:
    """Why how many were rejected; `omnisend` are those that Omnisend refused, in this run or before."""
    reasons = dict(difference.comparison.rejected)
    if refused := by_omnisend + difference.comparison.refused:
        reasons["omnisend"] = refused
    return [{"kind": "rejected", "reasons": reasons}] if reasons else []


def _notes(job: Job, difference: Difference) -> list[dict[str, Any]]:
    """What the report mentions beside the counts, worded by the face."""
    comparison, summary = difference.comparison, difference.summary
    counted = {
        "duplicates": comparison.duplicates,
        "cut": comparison.cut,
        "unresolved_countries": comparison.unresolved_countries,
        "without_profile": summary.without_profile,
        "held": comparison.held,
        "refused": comparison.refused,
    }
    notes: list[dict[str, Any]] = [{"kind": "resumed"}] if job.resumed else []
    if job.adopted is not None:
        notes.append({"kind": "adopted", "count": job.adopted})
    notes += [{"kind": kind, "count": count} for kind, count in counted.items() if count]
    if comparison.opt_ins:
        notes.append({"kind": "opt_in", **comparison.opt_ins})
    notes += [{"kind": kind, "count": count} for kind, count in comparison.opt_ins_unreadable.items()]
    notes += [{"kind": "source", "text": note.template, "facts": note.facts} for note in summary.notes]
    if left := job.left_behind():
        notes.append({"kind": "left_behind", "attributes": left})
    return notes
