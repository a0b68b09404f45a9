"""The bot as a process that a visitor may stop, kill and start again."""

import asyncio
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

from bot.sandbox import workspace
from bot.sandbox.room.bell import Bell

State = Literal["starting", "running", "stopped", "killed", "ended"]
"""`running`: it is connected. `stopped` and `killed` are what somebody did to it; `ended` is what it did by itself."""


class BotProcess:
    """At most one bot at a time. Use as an async context manager, which stops it at the end."""

    def __init__(
        self, settings: Mapping[str, str], log: Path, bell: Bell, connected: Callable[[], Awaitable[None]]
    ) -> None:
        """`connected` gives back control once a bot is connected to Slack, or when it is useless to wait longer."""
        self._settings = settings
        self._connected = connected
        self._log = log
        self._bell = bell
        self._stack = AsyncExitStack()
        self._busy = asyncio.Lock()
        self._process: Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self.state: State = "stopped"
        self.starts = 0

    async def __aenter__(self) -> "BotProcess":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it, unless it is there."""
        async with self._busy:
            if self.state in ("starting", "running"):
                return
            self._turned("starting")
            log = self._stack.enter_context(self._log.open("ab"))
            self._process = await self._stack.enter_async_context(workspace.bot(self._settings, log))
            self.starts += 1
            self._watch = asyncio.create_task(self._see_it_end(self._process), name="watching the bot")
            connecting = asyncio.ensure_future(self._connected())
            try:
                await asyncio.wait({connecting, self._watch}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                connecting.cancel()
            if not self._watch.done():
                self._turned("running")

    async def stop(self) -> None:
        """Let it finish and stop."""
        async with self._busy:
            await self._leave("stopped")

    async def kill(self) -> None:
        """End it at once, in the middle of whatever it does (SIGKILL)."""
        process = self._process
        if process is not None and process.returncode is None:
            process.kill()  # first of all: a start that waits for it ends with it
        async with self._busy:
            await self._leave("killed")

    async def _leave(self, state: State) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None
        self._process = None
        await self._stack.aclose()
        self._turned(state)

    async def _see_it_end(self, process: Process) -> None:
        await process.wait()
        self._turned("ended")

    def _turned(self, state: State) -> None:
        self.state = state
        self._bell.ring()

    def last_words(self, most: int = 12) -> str:
        """The end of its log, for whoever wants to know why it ended."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-most:]) if self._log.exists() else ""
