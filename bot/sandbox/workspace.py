"""Start the local stand-ins and the bot as processes of their own, as a user would, and stop them again."""

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

import orjson

START_SECONDS = 30.0  # for a process to say that it is there
STOP_SECONDS = 10.0  # for a process to end by itself


class DidNotStart(Exception):
    """A process ended, or said nothing, instead of starting."""


@asynccontextmanager
async def emulator(name: str, *arguments: str, apart: bool = False) -> AsyncIterator[dict[str, Any]]:
    """Run `ferry emulate NAME ARGUMENTS`; what its first line of output says (address, keys).

    `apart`: Ctrl-C in the terminal is not for it.
    """
    process = await _start("emulate", name, *arguments, stdout=PIPE, apart=apart)
    try:
        yield await _announcement(process, name)
    finally:
        await _stop(process)


@asynccontextmanager
async def bot(settings: Mapping[str, str], log: IO[bytes]) -> AsyncIterator[Process]:
    """Run `ferry serve` with these settings; what it logs goes into a file.

    It ends with the program that started it, also if that is killed. Ctrl-C in the terminal is not for it.
    """
    process = await _start(
        "serve", "--until-input-ends", stdout=DEVNULL, stderr=log, environment=environment(settings), apart=True
    )
    try:
        yield process
    finally:
        await _stop(process)


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with other settings: none of the user's own may reach a stand-in."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("FERRY_", "SLACK_"))}
    return own | dict(settings)


def free_port() -> int:
    """A port on loopback that nobody uses now, for a server whose address has to be known before it starts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def bot_settings(data: Path, slack: Mapping[str, Any], omnisend: Mapping[str, Any]) -> dict[str, str]:
    """The settings of a bot that talks to these stand-ins; its source is still to be named."""
    return {
        "FERRY_DATA_DIR": str(data),
        "FERRY_SLACK_URL": slack["api_url"],
        "FERRY_SLACK_BOT_TOKEN": slack["bot_token"],
        "FERRY_SLACK_APP_TOKEN": slack["app_token"],
        "FERRY_OMNISEND_URL": omnisend["url"],
    }


async def _start(
    *arguments: str,
    stdout: int,
    stderr: IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    apart: bool = False,
) -> Process:
    """`apart`: in a session of its own, which no signal of the terminal reaches."""
    command = (sys.executable, "-m", "bot.cli", *arguments)
    return await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=stdout, stderr=stderr, env=environment, start_new_session=apart
    )


async def _announcement(process: Process, name: str) -> dict[str, Any]:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
    except TimeoutError:
        line = b""
    if not line:
        raise DidNotStart(f"the {name} emulator did not start")
    said: dict[str, Any] = orjson.loads(line)
    return said


async def _stop(process: Process) -> None:
    """Emulators end with their standard input, the bot when it is told to; whoever does not is killed."""
    if process.stdin is not None:
        process.stdin.close()
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
