"""What a run leaves behind: its row, kept current while it works, and what people must hear of it."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from storage.database import Database, unbroken
from storage.errors import StorageError
from storage.models import Export, OutboxMessage, Person, Run, RunStatus, Workspace, now

PULSE_SECONDS = 1.0  # how often a run's row is brought up to date
NOBODY = ("", "cli")  # owners that are no people in Slack

log = structlog.get_logger(__name__)


class Recorder:
    """Keeps one run's row current. `set` collects; `pulse` writes, and notices that somebody wants it cancelled."""

    def __init__(self, database: Database, run_id: int) -> None:
        self._database = database
        self._run_id = run_id
        self._values: dict[str, Any] = {}

    def set(self, **values: Any) -> None:
        """Columns of the run, written with the next pulse."""
        self._values |= values

    async def write(self) -> Run:
        """Write what has been set now; the run as it stands in the database."""
        values, self._values = self._values, {}
        try:
            async with self._database.write() as session:
                run = await session.get_one(Run, self._run_id)
                for name, value in values.items():
                    setattr(run, name, value)
                run.beat_at = now()
                session.add(run)
                return run
        except BaseException:  # also where a pulse is cancelled half-way: the next write has them
            self._values = values | self._values
            raise

    async def pulse(self, progress: Callable[[], dict[str, Any]], on_cancel: Callable[[], None]) -> None:
        """Write the progress for ever; call `on_cancel` once a person has asked for it.

        What can't be written is written with the next pulse: of a database that stays away the run itself will hear.
        """
        cancelled = troubled = False
        while True:
            await asyncio.sleep(PULSE_SECONDS)
            self.set(**progress())
            try:
                run = await unbroken(self.write())
            except (StorageError, SQLAlchemyError) as error:
                if not troubled:
                    log.warning("a run's progress can't be written down", run=self._run_id, error=type(error).__name__)
                troubled = True
                continue
            troubled = False
            if run.cancel_requested_by and not cancelled:
                cancelled = True
                on_cancel()

    async def started(self, export: Export) -> None:
        async with self._database.write() as session:
            if export.channel:
                announce(session, export, self._run_id, "started", [export.channel])

    async def finished(self, export: Export, status: RunStatus, *, rejects: bool) -> Run:
        """Write the end of the run and, in the same transaction, what people must hear."""
        values, self._values = self._values, {}
        async with self._database.write() as session:
            run = await session.get_one(Run, self._run_id)
            for name, value in values.items():
                setattr(run, name, value)
            run.status, run.holder = status, None
            run.ended_at = now()
            session.add(run)
            places = [export.channel] if export.channel else _people([export.owner])
            # A run whose first question was answered with Adopt may ask again.
            asking = "asking" if run.attempts <= 1 else f"asking-{run.attempts}"
            announce(session, export, self._run_id, asking if status is RunStatus.ASKING else "finished", places)
            if rejects and status is not RunStatus.ASKING:
                announce(session, export, self._run_id, "rejects", _people([run.started_by]) or _people([export.owner]))
            if status.failed:
                listeners = {export.owner, *export.notify, *await admins(session, export.team_id)}
                announce(session, export, self._run_id, "failed", _people(listeners))
            elif status is RunStatus.DONE:
                announce(session, export, self._run_id, "recovered", await _told_of_failure(session, run))
            return run


def announce(session: AsyncSession, export: Export, run_id: int, event: str, places: Iterable[str]) -> None:
    """Put a run's event into the outbox, once for each channel or person. `event-2` is the same event once more."""
    for place in places:
        session.add(
            OutboxMessage(
                team_id=export.team_id,
                key=f"run-{run_id}-{event}-{place}",
                event=f"run.{event.partition('-')[0]}",
                channel=place,
                facts={"run_id": run_id},
            )
        )


async def run_before(session: AsyncSession, run: Run) -> Run | None:
    """The last run of the same export that ended with a result, good or bad."""
    ends = (RunStatus.DONE, RunStatus.FAILED, RunStatus.STOPPED)
    statement = (
        select(Run)
        .where(Run.export_id == run.export_id, col(Run.id) < run.id, col(Run.status).in_(ends))
        .order_by(col(Run.id).desc())
        .limit(1)
    )
    return (await session.exec(statement)).first()


async def _told_of_failure(session: AsyncSession, run: Run) -> list[str]:
    """Whoever heard that the run before failed: they hear that it is over."""
    before = await run_before(session, run)
    if before is None or not before.status.failed:
        return []
    told = select(OutboxMessage.channel).where(
        OutboxMessage.team_id == run.team_id,
        col(OutboxMessage.key).startswith(f"run-{before.id}-failed-", autoescape=True),
    )
    return sorted(set((await session.exec(told)).all()))


async def admins(session: AsyncSession, team_id: str) -> list[str]:
    """The people who hear of failures: those named as admins, else Slack's own."""
    workspace = await session.get(Workspace, team_id)
    if workspace is not None and workspace.admins is not None:
        return workspace.admins
    statement = select(Person.user_id).where(Person.team_id == team_id, col(Person.is_admin).is_(True))
    return list((await session.exec(statement)).all())


def _people(ids: Iterable[str]) -> list[str]:
    return sorted({person for person in ids if person not in NOBODY})
