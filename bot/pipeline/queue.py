"""The queue of runs: inserting one, and executing what is there."""

import asyncio
import contextlib
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.pipeline.errors import AlreadyRunning
from storage.database import Database
from storage.lease import is_dead, this_process
from storage.models import Export, Run, RunStatus, Trigger, now

SILENCE = timedelta(minutes=2)  # a run's process writes every second; after so long without, it is gone
LOOK_SECONDS = 5.0  # how often the dispatcher looks for runs that nobody nudged it about

log = structlog.get_logger(__name__)


async def enqueue(
    session: AsyncSession,
    export: Export,
    trigger: Trigger,
    started_by: str,
    *,
    due_at: datetime | None = None,
    accept_guard: bool = False,
) -> Run:
    """Insert a run into the caller's transaction. Raises `AlreadyRunning` if one is queued or under way.

    A second insert with the same export and due time is refused likewise: two processes make one run of a tick.
    """
    run = Run(
        team_id=export.team_id,
        export_id=export.id,
        export_name=export.name,
        trigger=trigger,
        started_by=started_by,
        due_at=due_at,
        accept_guard=accept_guard,
        holder=this_process(),  # until one executes it: whether somebody still will can be told
    )
    try:
        async with session.begin_nested():
            session.add(run)
    except IntegrityError:
        raise AlreadyRunning(export=export.name, **await _who(session, export, due_at)) from None
    return run


async def _who(session: AsyncSession, export: Export, due_at: datetime | None) -> dict[str, str]:
    same_time = (col(Run.due_at) == due_at) if due_at else col(Run.id).is_(None)
    active = col(Run.status).in_([RunStatus.QUEUED, RunStatus.RUNNING])
    statement = select(Run).where(Run.export_id == export.id, active | same_time).order_by(col(Run.id).desc())
    run = (await session.exec(statement)).first()
    if run is None:
        return {"since": "just now", "by": "somebody else"}
    by = {"": "the schedule", "cli": "the command line"}.get(run.started_by, run.started_by)
    return {"since": f"{run.started_at or run.created_at:%H:%M}", "by": by}


async def requeue_interrupted(database: Database, *, own: Collection[int] | None = None) -> list[int]:
    """Queue again what was left under way: it goes on where it stopped. The ids of those runs.

    Left under way by a process that has ended, or (`own` given: the runs that this process executes) by this one when
    even the end of a run could not be written down, since the disk was full.
    """
    this = this_process()
    async with database.read() as reading:
        running = (await reading.exec(select(Run).where(Run.status == RunStatus.RUNNING))).all()
    left = {run.id for run in running if _is_left(run, this, own)}
    if not left:
        return []
    async with database.write() as session:
        found = (await session.exec(select(Run).where(Run.status == RunStatus.RUNNING))).all()
        left_runs = [run for run in found if run.id in left and _is_left(run, this, own)]
        for run in left_runs:
            run.status, run.holder = RunStatus.QUEUED, None
            session.add(run)
            log.warning("a run was interrupted and is queued again", run=run.id, export=run.export_id)
        return [run.id for run in left_runs if run.id is not None]


def _is_left(run: Run, this: str, own: Collection[int] | None) -> bool:
    if run.holder == this:
        return own is not None and run.id not in own
    return run.holder is None or is_dead(run.holder) or _is_silent(run)


def _is_silent(run: Run) -> bool:
    """Of a process on another machine (or in a container that is gone) only its silence tells that it has ended."""
    return run.beat_at is not None and now() - run.beat_at > SILENCE


class Executes(Protocol):
    async def execute(self, run_id: int) -> Run: ...


class Dispatcher:
    """Executes queued runs as tasks of its own. Runs of one brand wait for each other inside the engine."""

    def __init__(
        self, database: Database, engine: Executes, *, most: int = 4, resting: Collection[int] = frozenset()
    ) -> None:
        """`most`: runs executed at once, beside those that only wait (`resting`: the ids of these)."""
        self._resting = resting
        self._database = database
        self._engine = engine
        self._most = most
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._nudged = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Execute whatever is queued, what a crash interrupted included, until `stop`."""
        self._loop = asyncio.create_task(self._dispatch(), name="dispatcher")

    def nudge(self) -> None:
        """There may be something new in the queue."""
        self._nudged.set()

    async def stop(self) -> None:
        """End the runs under way (they stay queued and go on after the next start) and wait for their tasks."""
        tasks = [*self._tasks.values(), *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _dispatch(self) -> None:
        while True:
            self._nudged.clear()
            try:
                await self._start_queued()
            except Exception:
                log.exception("could not look for queued runs")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._nudged.wait()

    async def _start_queued(self) -> None:
        await requeue_interrupted(self._database, own=self._tasks)
        async with self._database.read() as session:
            statement = select(Run.id).where(Run.status == RunStatus.QUEUED).order_by(col(Run.id))
            queued = [run_id for run_id in (await session.exec(statement)).all() if run_id is not None]
        for run_id in queued:
            if run_id not in self._tasks and len(self._tasks) - len(self._resting) < self._most:
                self._tasks[run_id] = asyncio.create_task(self._execute(run_id), name=f"run-{run_id}")

    async def _execute(self, run_id: int) -> None:
        try:
            await self._engine.execute(run_id)
        except Exception:
            log.exception("a run ended unexpectedly", run=run_id)
        finally:
            self._tasks.pop(run_id, None)
            self._nudged.set()


async def claim_run(database: Database, run_id: int, holder: str) -> Run | None:
    """Make a queued run this process's own; None if it is no longer queued (another process was faster)."""
    async with database.write() as session:
        run = await session.get(Run, run_id)
        if run is None or run.status is not RunStatus.QUEUED:
            return None
        run.status, run.holder, run.beat_at = RunStatus.RUNNING, holder, now()
        run.attempts += 1
        run.started_at = run.started_at or now()
        session.add(run)
        return run


async def put_back(database: Database, run_id: int, holder: str) -> None:
    """Queue a run again which this process was executing; one that has ended meanwhile stays as it is."""
    async with database.write() as session:
        run = await session.get(Run, run_id)
        if run is not None and run.status is RunStatus.RUNNING and run.holder == holder:
            run.status, run.holder = RunStatus.QUEUED, None
            session.add(run)
