"""The schedule: what happens because time has passed.

Due times are kept in the database. A tick does everything in one transaction: it inserts the runs, each keyed by export
and due time, and moves the schedule on, so that two processes make one run of a tick and a crash loses none. What was
due while nobody was there is made up for within the hour; after that people are told instead.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.pipeline.errors import AlreadyRunning, NoConnection, NoKey, NoSegments
from bot.pipeline.queue import enqueue
from bot.pipeline.recording import NOBODY, admins, announce
from storage.database import Database
from storage.errors import FerryError
from storage.models import (
    AuditEntry,
    Export,
    OutboxMessage,
    Run,
    RunStatus,
    Schedule,
    Trigger,
    When,
    now,
)

GRACE = timedelta(hours=1)  # a run that is later than this is not made up for
LOOK_SECONDS = 10  # how often the database is read again: another process may have changed a schedule
QUESTION_HOURS = 24  # how long the guard's question waits for an answer
DAYS_AHEAD = 16  # two weeks and a day on either side: any weekday comes up
JOBS = "schedule/"  # begins the ids of the jobs that stand for schedules

Obstacle = Callable[[AsyncSession, Export], Awaitable[FerryError | None]]
"""What keeps an export from running now, if anything."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class WallClock(BaseTrigger):  # type: ignore[misc]  # APScheduler is not typed
    """Fires at each local time of day on the chosen weekdays (Monday is 0): once, whatever the clocks do.

    A time that the clocks skip comes right after the gap; of a repeated hour the first pass counts. APScheduler's own
    `CronTrigger` loses and doubles runs when clocks change.
    """

    times: Sequence[time]
    zone: ZoneInfo
    weekdays: Collection[int] = range(7)

    @classmethod
    def of(cls, schedule: Schedule) -> "WallClock":
        times = tuple(time.fromisoformat(text) for text in schedule.times)
        return cls(times, ZoneInfo(schedule.zone), frozenset(schedule.weekdays))

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        """APScheduler's question; in UTC, since arithmetic on local times loses its way in the repeated hour."""
        after = (previous or now).astimezone(UTC)
        first = after.astimezone(self.zone).date() - timedelta(days=1)
        for day in (first + timedelta(days=n) for n in range(DAYS_AHEAD)):
            if day.weekday() in self.weekdays:
                for due in sorted(datetime.combine(day, at, self.zone).astimezone(UTC) for at in self.times):
                    if due > after or (previous is None and due == after):
                        return due
        return None


def next_due(schedule: Schedule, after: datetime) -> datetime | None:
    """The first due time later than `after`; None for a schedule that is off."""
    return WallClock.of(schedule).get_next_fire_time(after, after) if schedule.active else None


class Scheduler:
    """Starts runs when they are due. One job for each schedule; the runs themselves are the dispatcher's work."""

    def __init__(self, database: Database, *, obstacle: Obstacle, nudge: Callable[[], None]) -> None:
        """`nudge` tells the dispatcher that there are new runs."""
        self._database = database
        self._obstacle = obstacle
        self._nudge = nudge
        # Whether a late tick still counts is decided by the tick, from the database: APScheduler never drops one.
        defaults = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        self._scheduler = AsyncIOScheduler(timezone=UTC, job_defaults=defaults)
        self._under_way: dict[int | None, asyncio.Task[Any]] = {}  # ticks by schedule; None: the look

    async def start(self) -> None:
        self._scheduler.add_job(self._look, "interval", seconds=LOOK_SECONDS, id="look")
        await self.reload()
        self._scheduler.start()

    async def stop(self) -> None:
        """Start nothing more, and wait for what is under way: APScheduler would cancel it."""
        if self._scheduler.running:
            self._scheduler.pause()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)
            self._scheduler.shutdown(wait=False)
            await asyncio.sleep(0)  # it ends with the loop's next turn

    async def reload(self) -> None:
        """Read the schedules again. One whose due time has passed, because its tick failed, ticks once more."""
        async with self._database.read() as session:
            schedules = (await session.exec(select(Schedule).where(col(Schedule.next_due).is_not(None)))).all()
        jobs = {job.id: job for job in self._scheduler.get_jobs() if job.id.startswith(JOBS)}
        wanted = {f"{JOBS}{schedule.id}": schedule for schedule in schedules}
        for job_id in jobs.keys() - wanted.keys():
            jobs[job_id].remove()
        for job_id, schedule in wanted.items():
            trigger, job = WallClock.of(schedule), jobs.get(job_id)
            as_it_was = job is not None and (job.trigger, job.next_run_time) == (trigger, schedule.next_due)
            if not as_it_was and schedule.id not in self._under_way:
                self._scheduler.add_job(
                    self._tick,
                    trigger,
                    args=[schedule.id],
                    id=job_id,
                    next_run_time=schedule.next_due,
                    replace_existing=True,
                )

    async def _tick(self, schedule_id: int) -> None:
        with self._tracked(schedule_id):
            async with self._database.write() as session:
                started = await tick(session, schedule_id, self._obstacle, now())
        if started:
            self._nudge()

    async def _look(self) -> None:
        with self._tracked(None):
            await self.reload()
            async with self._database.read() as session:
                overdue = await _overdue(session, now())
            if overdue:
                async with self._database.write() as session:
                    await expire_questions(session, now())

    @contextmanager
    def _tracked(self, schedule_id: int | None) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None
        self._under_way[schedule_id] = task
        try:
            yield
        finally:
            del self._under_way[schedule_id]


async def tick(session: AsyncSession, schedule_id: int, obstacle: Obstacle, at: datetime) -> list[Run]:
    """Carry out what a schedule has due, and move it on to its next time; the runs that were inserted.

    Nothing, if another process was faster, or the schedule was removed or switched off meanwhile. Several missed times
    make one run, if the last of them is late by `GRACE` at most.
    """
    schedule = await session.get(Schedule, schedule_id)
    if schedule is None or not schedule.active or schedule.next_due is None or schedule.next_due > at:
        return []
    due, missed = _last_due(schedule, schedule.next_due, at)
    exports = await _exports_of(session, schedule)
    schedule.next_due = next_due(schedule, at)
    session.add(schedule)
    if at - due > GRACE:
        waiting = [export for export in exports if await obstacle(session, export) is None]
        _tell_missed(session, schedule, waiting, due, missed, at)
        return []
    runs = [await _start(session, export, schedule, due, obstacle) for export in exports]
    return [run for run in runs if run is not None]


def _last_due(schedule: Schedule, first: datetime, at: datetime) -> tuple[datetime, int]:
    """The last due time that has passed, and how many have."""
    due, count = first, 1
    following = next_due(schedule, due)
    while following is not None and following <= at:
        due, count = following, count + 1
        following = next_due(schedule, due)
    return due, count


async def _exports_of(session: AsyncSession, schedule: Schedule) -> Sequence[Export]:
    """The exports that a schedule starts: its own one, or all that run with each refresh."""
    if schedule.export_id is not None:
        statement = select(Export).where(Export.id == schedule.export_id, Export.when == When.OWN)
    else:
        statement = select(Export).where(Export.team_id == schedule.team_id, Export.when == When.REFRESH)
    statement = statement.where(col(Export.paused).is_(False), col(Export.connection_id).is_not(None))
    return (await session.exec(statement.order_by(col(Export.id)))).all()


_ADMINS_MEND = ("consent-outdated",)  # codes of what only admins can mend: they hear of it too
_KNOWN_STATES = (NoConnection, NoKey, NoSegments)  # people chose these: nobody waits for such a run


async def _start(
    session: AsyncSession, export: Export, schedule: Schedule, due: datetime, obstacle: Obstacle
) -> Run | None:
    """Insert the run. What stands in its way is told, not raised: the other exports go on."""
    hindrance = await obstacle(session, export)
    if hindrance is None:
        trigger = Trigger.OWN if schedule.export_id is not None else Trigger.REFRESH
        try:
            run = await enqueue(session, export, trigger, "", due_at=due)
        except AlreadyRunning as error:
            hindrance = error
        else:
            await supersede_questions(session, export, now())
            facts = {"export": export.name, "trigger": trigger.value, "due": due.isoformat()}
            session.add(_audit(export, "run.started", f"run/{run.id}", facts))
            return run
    if not isinstance(hindrance, _KNOWN_STATES):
        await _tell_skipped(session, export, schedule, due, hindrance)
    return None


async def _tell_skipped(
    session: AsyncSession, export: Export, schedule: Schedule, due: datetime, hindrance: FerryError
) -> None:
    """Say it where the run was waited for, once for each change of state; the record has every time."""
    facts = {
        "export_id": export.id,
        "export": export.name,
        "connection_id": export.connection_id,
        "due": due.isoformat(),
        "code": hindrance.code,
        "text": str(hindrance),
        "by": hindrance.facts.get("by", ""),
    }
    if not await _told_already(session, export, hindrance):
        places = _places(export)
        if hindrance.code in _ADMINS_MEND:
            places += [admin for admin in await admins(session, export.team_id) if admin not in places]
        for place in places:
            about = f"schedule-{schedule.id}-skipped-{export.id}-{due:%Y%m%dT%H%M}"
            if place not in _places(export):  # the exports of one connection wait for one admin's one answer
                about = f"connection-{export.connection_id}-{hindrance.code}-{due:%Y%m%d}"
            await _tell_once(session, export, "schedule.skipped", f"{about}-{place}", place, facts)
    session.add(_audit(export, "schedule.skipped", f"export/{export.id}", facts))
    log.info("a scheduled run was skipped", export=export.id, code=hindrance.code)


async def _told_already(session: AsyncSession, export: Export, hindrance: FerryError) -> bool:
    """Whether the last skipped tick had the same reason, and the export has not run since."""
    skips = select(AuditEntry).where(
        AuditEntry.team_id == export.team_id,
        AuditEntry.action == "schedule.skipped",
        AuditEntry.subject == f"export/{export.id}",
    )
    last = (await session.exec(skips.order_by(col(AuditEntry.id).desc()).limit(1))).first()
    if last is None or last.facts.get("code") != hindrance.code:
        return False
    runs = select(Run.id).where(Run.export_id == export.id, col(Run.created_at) > last.at)
    return (await session.exec(runs.limit(1))).first() is None


async def _tell_once(
    session: AsyncSession, export: Export, event: str, key: str, place: str, facts: dict[str, Any]
) -> None:
    known = select(OutboxMessage.id).where(OutboxMessage.team_id == export.team_id, OutboxMessage.key == key)
    if (await session.exec(known)).first() is None:
        session.add(OutboxMessage(team_id=export.team_id, key=key, event=event, channel=place, facts=facts))


def _tell_missed(
    session: AsyncSession, schedule: Schedule, exports: Sequence[Export], due: datetime, missed: int, at: datetime
) -> None:
    """One message to each channel that would have heard of a run."""
    places: dict[str, list[Export]] = {}
    for export in exports:
        for place in _places(export):
            places.setdefault(place, []).append(export)
    for place, waiting in places.items():
        facts = {
            "export_ids": [export.id for export in waiting],
            "exports": [export.name for export in waiting],
            "due": due.isoformat(),
            "late_seconds": int((at - due).total_seconds()),
            "missed": missed,
            "next_due": schedule.next_due.isoformat() if schedule.next_due else None,
        }
        key = f"schedule-{schedule.id}-missed-{due:%Y%m%dT%H%M}-{place}"
        _tell(session, waiting[0], "schedule.missed", key, facts)
        session.add(_audit(waiting[0], "schedule.missed", f"schedule/{schedule.id}", facts))
    log.warning("a scheduled time was missed", schedule=schedule.id, due=due.isoformat(), exports=len(exports))


# --- the guard's questions


async def expire_questions(session: AsyncSession, at: datetime) -> Sequence[Run]:
    """End the runs whose question nobody has answered in time; the channel is told. The runs that were ended."""
    runs = await _overdue(session, at)
    for run in runs:
        await _close_question(session, run, "expired", at, hours=QUESTION_HOURS)
    return runs


async def _overdue(session: AsyncSession, at: datetime) -> Sequence[Run]:
    asked_before = at - timedelta(hours=QUESTION_HOURS)
    statement = select(Run).where(Run.status == RunStatus.ASKING, col(Run.ended_at) < asked_before)
    return (await session.exec(statement)).all()


async def supersede_questions(session: AsyncSession, export: Export, at: datetime) -> None:
    """A new run looks at newer data: an open question about older data has lost its meaning."""
    statement = select(Run).where(Run.export_id == export.id, Run.status == RunStatus.ASKING)
    for run in (await session.exec(statement)).all():
        await _close_question(session, run, "superseded", at)


async def _close_question(session: AsyncSession, run: Run, how: str, at: datetime, **facts: Any) -> None:
    run.status, run.ended_at = RunStatus.SKIPPED, at
    run.notes = [*run.notes, {"kind": f"question_{how}", **facts}]
    session.add(run)
    export = await session.get(Export, run.export_id) if run.export_id is not None else None
    if export is not None:
        assert run.id is not None
        announce(session, export, run.id, "finished", _places(export))
        session.add(_audit(export, f"guard.{how}", f"run/{run.id}", {"export": export.name}))


# --- what people hear


def _tell(session: AsyncSession, export: Export, event: str, key: str, facts: dict[str, Any]) -> None:
    for place in _places(export):
        session.add(OutboxMessage(team_id=export.team_id, key=key, event=event, channel=place, facts=facts))


def _places(export: Export) -> list[str]:
    """Where people hear of an export: its channel, else its owner, unless that is nobody in Slack."""
    place = export.channel or export.owner
    return [] if place in NOBODY else [place]


def _audit(export: Export, action: str, subject: str, facts: dict[str, Any]) -> AuditEntry:
    return AuditEntry(team_id=export.team_id, actor="schedule", action=action, subject=subject, facts=facts)
