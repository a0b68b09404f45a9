"""Waiting for something that a person may call off meanwhile."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from bot.pipeline.errors import RunCancelled

T = TypeVar("T")


async def unless(called_off: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """The work's result. Raises `RunCancelled` once `called_off` is set: the work is broken off, and has ended then."""
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(called_off.wait())
    try:
        await asyncio.wait([working, watching], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise RunCancelled
        return working.result()
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)
