"""Work that goes on after an acknowledgement: kept, named, and awaited at the end."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Tasks:
    """A set of tasks. Bolt itself keeps no reference to a listener's task and waits for none."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def finish(self, seconds: float) -> None:
        """Let what is under way end; after `seconds` end it."""
        if not self._tasks:
            return
        _, left = await asyncio.wait(set(self._tasks), timeout=seconds)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
