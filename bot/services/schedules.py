"""Schedules: the workspace's refresh, and the recurrence of an export."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.access import Action, require
from bot.i18n import find_zone
from bot.pipeline.schedule import next_due
from bot.services import audit
from bot.services.actor import Actor
from bot.services.errors import TimeBad, TimesMissing, TooManyTimes, WeekdaysBad, ZoneUnknown
from storage.database import Database
from storage.models import Export, Schedule, now

MOST_TIMES = 4  # a day (the product's limit for its refresh)

_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class ScheduleDraft:
    """Local times such as `06:30`, on weekdays (Monday is 0), in an IANA time zone."""

    times: tuple[str, ...]
    weekdays: tuple[int, ...] = tuple(range(7))
    zone: str = "UTC"
    active: bool = True


def check_schedule(draft: ScheduleDraft) -> ScheduleDraft:
    """The draft in order, each time once. Raises a `FieldError` of the fields `times`, `weekdays` or `zone`."""
    times = sorted({_time(text) for text in draft.times})
    if not times:
        raise TimesMissing(most=MOST_TIMES)
    if len(times) > MOST_TIMES:
        raise TooManyTimes(count=len(times), most=MOST_TIMES)
    weekdays = tuple(sorted(set(draft.weekdays)))
    if not weekdays or not set(weekdays) <= set(range(7)):
        raise WeekdaysBad
    if find_zone(draft.zone) is None:
        raise ZoneUnknown(zone=draft.zone)
    return ScheduleDraft(tuple(times), weekdays, draft.zone, draft.active)


def _time(text: str) -> str:
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise TimeBad(time=text)
    return f"{int(match[1]):02}:{match[2]}"


def apply(schedule: Schedule, draft: ScheduleDraft) -> None:
    """Put a checked draft into a row. The next due time stays if nothing changed: one that is due just now counts."""
    before = (schedule.times, schedule.weekdays, schedule.zone, schedule.active)
    after = (list(draft.times), list(draft.weekdays), draft.zone, draft.active)
    schedule.times, schedule.weekdays, schedule.zone, schedule.active = after
    if before != after or (schedule.active and schedule.next_due is None):
        schedule.next_due = next_due(schedule, now())


async def put_schedule(session: AsyncSession, export: Export, draft: ScheduleDraft | None) -> None:
    """Give an export a recurrence of its own, or none."""
    found = (await session.exec(select(Schedule).where(Schedule.export_id == export.id))).first()
    if draft is None:
        if found is not None:
            await session.delete(found)
        return
    schedule = found or Schedule(team_id=export.team_id, export_id=export.id)
    apply(schedule, draft)
    session.add(schedule)


async def refresh_of(session: AsyncSession, team_id: str) -> Schedule | None:
    statement = select(Schedule).where(Schedule.team_id == team_id, col(Schedule.export_id).is_(None))
    return (await session.exec(statement)).first()


class Schedules:
    def __init__(self, database: Database, *, reload: Callable[[], Awaitable[None]]) -> None:
        """`reload` tells the scheduler that schedules have changed."""
        self._database = database
        self._reload = reload

    async def refresh(self, team_id: str) -> Schedule | None:
        """The workspace's refresh; None if it was never set (it is off by default)."""
        async with self._database.read() as session:
            return await refresh_of(session, team_id)

    async def set_refresh(
        self, actor: Actor, times: Sequence[str], weekdays: Sequence[int], zone: str, active: bool = True
    ) -> Schedule:
        """Set when every export that runs with each refresh is started. Raises a `FieldError`, `Denied`."""
        require(actor, Action.SET_REFRESH)
        draft = check_schedule(ScheduleDraft(tuple(times), tuple(weekdays), zone, active))
        async with self._database.write() as session:
            schedule = await refresh_of(session, actor.team_id) or Schedule(team_id=actor.team_id)
            apply(schedule, draft)
            session.add(schedule)
            facts = {"times": schedule.times, "weekdays": schedule.weekdays, "zone": zone, "active": active}
            audit.record(session, actor, "refresh.set", f"workspace/{actor.team_id}", **facts)
        await self._reload()
        return schedule
