"""Whether Customer Insights is known to be refreshing: its tables change then in no particular order.

Readers should wait until a refresh has finished (Customer Insights docs, View tables), but nobody can ask whether it
has. So what is known comes from two sides: the workspace's refresh times, after each of which a refresh is taken to run
for a margin, and a webhook that says when it has ended.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.pipeline.schedule import WallClock
from storage.models import RefreshHook, Schedule


@dataclass(frozen=True, slots=True)
class RefreshTimes:
    """The refreshes of a workspace. Pure: all times are aware and come in from outside.

    A refresh begins at each time of `starts` and is taken to run for `margin`, unless it was reported as ended before:
    `ended` is the moment of the last such report, and ends every refresh that had begun by then. How long a refresh
    outlasts its margin nobody can know, so the margin has to be generous. Without one no refresh is known to run.
    """

    starts: WallClock
    margin: timedelta
    ended: datetime | None = None

    @classmethod
    def of(cls, schedule: Schedule, margin_minutes: float, ended: datetime | None = None) -> Self | None:
        """The refreshes by a workspace's schedule; None if it is switched off."""
        return cls(WallClock.of(schedule), timedelta(minutes=margin_minutes), ended) if schedule.active else None

    def running_at(self, moment: datetime) -> datetime | None:
        """When the refresh that runs at this moment ends, as far as is known then; None if none is known to run."""
        return self.refreshing(moment, moment)

    def refreshing(self, since: datetime, until: datetime) -> datetime | None:
        """When the last refresh ends that runs at any time from `since` to `until`; None if none is known to.

        A refresh runs from its start, included, to its end, excluded.
        """
        return max((end for end in self._ends(since, until) if end > since), default=None)

    def _ends(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """The ends of the refreshes that may run in this time."""
        start = self._next(since - self.margin) if self.margin else None
        while start is not None and start <= until:
            end = start + self.margin
            yield min(end, self.ended) if self.ended is not None and self.ended > start else end
            start = self._next(start)

    def _next(self, after: datetime) -> datetime | None:
        return self.starts.get_next_fire_time(after, after)


class KnownRefreshes:
    """What all workspaces know of refreshes: they share the source, so each of them counts.

    Keeps to what `reload` read last. The clock of a source (its `RefreshClock`), which can't wait for a database.
    """

    def __init__(self, margin_minutes: float) -> None:
        self._margin_minutes = margin_minutes
        self._workspaces: tuple[RefreshTimes, ...] = ()

    async def reload(self, session: AsyncSession) -> None:
        """Read schedules and reports again: when one of them has changed, and before a source is read."""
        hooks = {hook.team_id: hook.refreshed_at for hook in (await session.exec(select(RefreshHook))).all()}
        schedules = (await session.exec(select(Schedule).where(col(Schedule.export_id).is_(None)))).all()
        found = (RefreshTimes.of(each, self._margin_minutes, hooks.get(each.team_id)) for each in schedules)
        self._workspaces = tuple(times for times in found if times is not None)

    def refreshing(self, since: datetime, until: datetime) -> datetime | None:
        """When the last refresh ends that runs at any time from `since` to `until`; None if none is known to."""
        ends = (times.refreshing(since, until) for times in self._workspaces)
        return max((end for end in ends if end is not None), default=None)
