"""A stand-in that keeps what it holds in a file: `python -m bot.sandbox.room.standin NAME FILE …`.

The same programs as `ferry emulate`, with a memory. They read the file when they start and write it when they stop.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from bot.sandbox.omnisend.command import rate_text
from bot.sandbox.omnisend.control import CONTROL
from bot.sandbox.omnisend.gateway import API
from bot.sandbox.omnisend.server import build
from bot.sandbox.omnisend.world import Settings, World
from bot.sandbox.process import serve
from bot.sandbox.room import keeping
from bot.sandbox.slack.app_config import AppConfig
from bot.sandbox.slack.command import application
from bot.sandbox.slack.emulator import Emulator, Options
from bot.sandbox.workspace import START_SECONDS, DidNotStart

STOP_SECONDS = 20.0  # for one to write down what it holds

programs = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@programs.command()
def slack(file: Path, manifest: Annotated[Path | None, typer.Option()] = None) -> None:
    """Slack, with its rate limits."""
    config = AppConfig.from_manifest(manifest) if manifest else AppConfig()
    emulator = Emulator(Options(config=config))
    kept = keeping.Kept(file)
    unsaved = kept.load(partial(keeping.restore_slack, emulator))

    def announce(address: str) -> dict[str, Any]:
        return emulator.announce(address) | {"unsaved": unsaved}

    asyncio.run(serve(application(emulator), port=0, announce=announce))
    kept.save(keeping.slack_state(emulator))


@programs.command()
def omnisend(
    file: Path, time_scale: Annotated[float, typer.Option()] = 1.0, batch_delay: Annotated[float, typer.Option()] = 20.0
) -> None:
    """Omnisend, with its rate limit."""
    settings = Settings(time_scale=time_scale, batch_delay=batch_delay)
    world = World(settings)
    kept = keeping.Kept(file)
    unsaved = kept.load(partial(keeping.restore_omnisend, world))

    def announce(address: str) -> dict[str, Any]:
        key = world.default_key
        facts = {"key": key.secret, "brandID": key.brand.id, "rate": rate_text(settings), "unsaved": unsaved}
        return facts | {"url": address + API, "control": address + CONTROL}

    asyncio.run(serve(build(world), port=0, announce=announce))
    kept.save(keeping.omnisend_state(world))


@asynccontextmanager
async def standin(name: str, file: Path, *options: str) -> AsyncIterator[dict[str, Any]]:
    """Run one as a process; what its first line of output says. Raises `workspace.DidNotStart`."""
    # A session of its own: Ctrl-C is for the sandbox, which stops the bot before what the bot talks to.
    command = (sys.executable, "-m", __name__, name, str(file), *options)
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, start_new_session=True)
    try:
        yield await _announcement(process, name)
    finally:
        await _stopped(process)


async def _announcement(process: Process, name: str) -> dict[str, Any]:
    assert process.stdout is not None
    line = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
    if not line:
        raise DidNotStart(f"the stand-in of {name} did not start")
    said: dict[str, Any] = orjson.loads(line)
    return said


async def _stopped(process: Process) -> None:
    """It ends with its standard input, after it has written its file."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


if __name__ == "__main__":
    programs()
