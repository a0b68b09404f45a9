"""What is still to happen, in the order of virtual time.

Nothing runs in the background: before each request the agenda is worked off up to the present, so a reader sees
exactly what would have been done by then, and the same requests always give the same answers.
"""

import heapq
import itertools
import math
from collections.abc import Callable

Turn = Callable[[float, float], float | None]
"""Called as `turn(due, horizon)`: does its work of time `due`, may do more of it up to and including `horizon` where
that is later (nothing else happens until then), and returns when its next turn is due, or None."""


class Agenda:
    """A queue of turns by due time; those of one moment run in the order in which they were added."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Turn]] = []
        self._order = itertools.count()

    def at(self, due: float, turn: Turn) -> None:
        """Have `turn` called at virtual time `due`."""
        heapq.heappush(self._heap, (due, next(self._order), turn))

    def run_until(self, now: float) -> None:
        """Work off all that is due."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            due, order, turn = heapq.heappop(heap)
            horizon = min(now, math.nextafter(heap[0][0], -math.inf)) if heap else now
            again = turn(due, horizon)
            if again is not None:
                heapq.heappush(heap, (max(again, due), order, turn))
