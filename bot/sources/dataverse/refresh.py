"""When Customer Insights refreshes: its tables change then in no particular order, and are not to be read.

Nobody can ask Customer Insights whether it is refreshing. So whoever knows says it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bot.sources.dataverse.faults import RefreshBegan, RefreshRunning


class RefreshClock(Protocol):
    """Knows of refreshes: by the times set for a workspace, by a flow that calls when a refresh has ended, or both."""

    def refreshing(self, since: datetime, until: datetime) -> datetime | None:
        """When the last refresh ends that runs at any time from `since` to `until`; None if none is known to."""
        ...


class NoRefreshes:
    """Nothing is known of refreshes."""

    def refreshing(self, since: datetime, until: datetime) -> datetime | None:
        return None


@dataclass(frozen=True, slots=True)
class Refreshes:
    """The refreshes of one environment (`source`, as errors name it), looked up before and during each reading."""

    clock: RefreshClock
    now: Callable[[], datetime]
    source: str

    def check(self) -> datetime:
        """The time, at which no refresh is known to run. Raises `RefreshRunning`."""
        now = self.now()
        if until := self.clock.refreshing(now, now):
            raise RefreshRunning(until=_shown(until), source=self.source)
        return now

    def check_since(self, since: datetime) -> None:
        """Raise `RefreshBegan` if a refresh is known to have run since then."""
        if until := self.clock.refreshing(since, self.now()):
            raise RefreshBegan(until=_shown(until), source=self.source)


def _shown(moment: datetime) -> str:
    return f"{moment:%H:%M}"
