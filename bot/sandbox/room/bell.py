"""Tell whoever listens that something has changed."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Bell:
    """Rung at each change. A listener that is busy hears many rings as one."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Event] = set()

    def ring(self) -> None:
        for listener in self._listeners:
            listener.set()

    @contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """An event that each ring sets; whoever has looked clears it."""
        heard = asyncio.Event()
        self._listeners.add(heard)
        try:
            yield heard
        finally:
            self._listeners.discard(heard)
