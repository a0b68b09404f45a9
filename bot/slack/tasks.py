"""Work that goes on after an acknowledgement: kept, named, and awaited at the end."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class Tasks:
    """A set of tasks. Bolt itself keeps no reference to a listener's task and waits for none."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        """Begin it, unless the bot is stopping: then nobody would wait for it, and what it works on is closed."""
        if self._closed:
            work.close()
            log.info("not begun: the bot is stopping", task=name)
            return
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self, seconds: float) -> None:
        """Let what is under way end, with what it begins meanwhile; after `seconds` go on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._tasks:
                    await asyncio.wait(set(self._tasks))

    async def close(self) -> None:
        """End what is left. From now on nothing begins."""
        self._closed = True
        left = set(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
