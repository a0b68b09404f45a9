"""The feed of changes: what happened, numbered, so that whoever looks on can wait for the next thing."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from bot.sandbox.slack.errors import Json

KEPT = 10_000  # changes that stay readable after they happened


class Journal:
    """Every change has a version number; the numbers never go back, not even when the workspace is reset."""

    def __init__(self) -> None:
        self.version = 0
        self._changes: deque[Json] = deque(maxlen=KEPT)
        self._next: asyncio.Future[None] | None = None

    def record(self, change: str, /, **facts: Any) -> None:
        """Note a change and wake all who wait."""
        self.version += 1
        self._changes.append({"version": self.version, "type": change, **facts})
        if self._next is not None and not self._next.done():
            self._next.set_result(None)

    def since(self, version: int) -> list[Json]:
        """The changes after `version`, as far as they are still kept."""
        return [change for change in self._changes if change["version"] > version]

    async def wait_past(self, version: int, seconds: float) -> bool:
        """Wait until there is a change after `version`, at most `seconds`; whether there is."""
        if self.version <= version:
            await asyncio.wait({self._upcoming()}, timeout=seconds)
        return self.version > version

    async def follow(self, version: int) -> AsyncIterator[list[Json]]:
        """All changes after `version`, in groups, for ever."""
        while True:
            changes = self.since(version)
            if changes:
                version = changes[-1]["version"]
                yield changes
            else:
                await asyncio.wait({self._upcoming()})

    def _upcoming(self) -> asyncio.Future[None]:
        if self._next is None or self._next.done():
            self._next = asyncio.get_running_loop().create_future()
        return self._next
