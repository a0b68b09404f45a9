"""Start the project's own processes for a test, and stop them by their own id."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def emulator(*arguments: str) -> AsyncIterator[dict[str, Any]]:
    """Run `python -m ARGUMENTS` and give its first line of output, parsed; stop it at the end.

    For example `emulator("bot.sandbox.omnisend", "--port", "0")`.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, stdin=PIPE, stdout=PIPE, limit=1 << 20
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 20)
        assert line, f"{arguments} ended with {await process.wait()} before it announced itself"
        yield json.loads(line)
    finally:
        process.stdin.close()
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()
