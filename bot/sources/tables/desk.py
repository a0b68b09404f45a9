"""DuckDB in a thread of its own, so that the event loop goes on meanwhile."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from bot.duck import DuckDBConnection, connect

P = ParamSpec("P")
T = TypeVar("T")


class Left(Exception):
    """The desk was left before the work began: nobody waits for it."""


class Desk:
    """A DuckDB connection and the one thread that uses it. Leaving interrupts what runs and frees everything."""

    def __init__(self, memory_mb: int) -> None:
        self._memory_mb = memory_mb
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tables")
        self._connection: DuckDBConnection | None = None
        self._leaving = threading.Event()
        self._kept = ExitStack()

    async def do(self, work: Callable[Concatenate[DuckDBConnection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `work` with the connection, in the thread, after what was asked for before."""
        call = partial(self._do, work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def keep(self, close: Callable[[], None]) -> None:
        """Have something closed on leaving, before the connection and in the thread that uses it."""
        self._kept.callback(close)

    def _do(self, work: Callable[Concatenate[DuckDBConnection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._connection is None:
            self._connection = connect(memory_mb=self._memory_mb, spill=None)
            self._kept.callback(self._connection.close)
        if self._leaving.is_set():
            raise Left
        return work(self._connection, *args, **kwargs)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        if self._connection is not None:
            self._connection.interrupt()
        closing = self._thread.submit(self._kept.close)
        self._thread.shutdown(wait=False)
        await asyncio.shield(asyncio.wrap_future(closing))
