"""Tasks that run beside others until they are ended."""

import asyncio
import contextlib


async def end(task: asyncio.Task[None]) -> None:
    """Cancel the task and wait until it is over; what else it may have raised is raised here."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
