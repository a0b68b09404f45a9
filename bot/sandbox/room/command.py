"""The command `ferry sandbox`."""

import asyncio
import contextlib
import signal
import sys
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer
from aiohttp import web

from bot.sandbox.process import LOOPBACK
from bot.sandbox.room.guard import token_in
from bot.sandbox.room.house import House, Plan, cleared, opened
from bot.sandbox.room.server import application
from bot.sandbox.workspace import DidNotStart

PORT = 8642  # where it is free, so that the address stays the same from start to start


def sandbox(
    source: Annotated[
        Path | None, typer.Option(help="Folder of tables; without it made-up profiles.", exists=True, file_okay=False)
    ] = None,
    port: Annotated[int | None, typer.Option(help=f"Port on loopback; {PORT} or else any free one.", min=0)] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address, open nothing.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what an earlier sandbox kept.")] = False,
    state: Annotated[Path, typer.Option(help="Folder in which it keeps its state.")] = Path("data/sandbox"),
    profiles: Annotated[int, typer.Option(help="How many profiles are made up at the first start.", min=1)] = 20_000,
) -> None:
    """Try everything in a browser: stand-ins of Slack and Omnisend, and the bot. No account is needed."""
    if fresh:
        cleared(state)
    plan = Plan(state.absolute(), source.absolute() if source else None, profiles)
    try:
        asyncio.run(_run(plan, port, open_browser=not no_browser))
    except DidNotStart as error:
        sys.stderr.write(f"The sandbox did not start: {error}.\n")
        raise typer.Exit(1) from None


async def _run(plan: Plan, port: int | None, *, open_browser: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    sys.stdout.write("Starting the stand-ins and the bot …\n")
    sys.stdout.flush()
    async with opened(plan) as house, served(house, port) as address:
        sys.stdout.write(
            f"The sandbox is at {address}\nIt is no real Slack. Ctrl-C stops it; state is kept in {plan.state}.\n"
        )
        sys.stdout.flush()
        if open_browser:
            await asyncio.to_thread(webbrowser.open, address)
        await stop.wait()
        sys.stdout.write("Stopping …\n")
        sys.stdout.flush()


@asynccontextmanager
async def served(house: House, port: int | None = 0) -> AsyncIterator[str]:
    """Serve the page on loopback; its address, with the token. `port` None: the usual one, or else any free one."""
    token = await asyncio.to_thread(token_in, house.plan.state)
    runner = web.AppRunner(application(house, token), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await _listen(runner, port)
        bound = runner.addresses[0][1]
        yield f"http://{LOOPBACK}:{bound}/{token}/"
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, port: int | None) -> None:
    if port is None:
        with contextlib.suppress(OSError):
            await web.TCPSite(runner, LOOPBACK, PORT).start()
            return
    await web.TCPSite(runner, LOOPBACK, port or 0).start()
