"""When Customer Insights refreshes: its tables change then in no particular order, and are not to be read.

Nobody can ask Customer Insights whether it is refreshing. So whoever knows says it.
"""

from datetime import datetime
from typing import Protocol


class RefreshClock(Protocol):
    """Knows of refreshes: by the times set for a workspace, by a flow that calls when a refresh has ended, or both."""

    def refreshing(self, since: datetime, until: datetime) -> datetime | None:
        """When the last refresh ends that runs at any time from `since` to `until`; None if none is known to."""
        ...


class NoRefreshes:
    """Nothing is known of refreshes."""

    def refreshing(self, since: datetime, until: datetime) -> datetime | None:
        return None
