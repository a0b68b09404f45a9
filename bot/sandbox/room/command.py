"""What `ferry sandbox` does: a page on loopback, and behind it everything that it shows, until Ctrl-C."""

import asyncio
import itertools
import os
import signal
import socket
import sys
import webbrowser
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psutil
from aiohttp import web

from bot.sandbox.process import LOOPBACK
from bot.sandbox.room import state
from bot.sandbox.room.errors import PortTaken, SourceNotThere
from bot.sandbox.room.guard import token_in
from bot.sandbox.room.house import House, Plan, opened
from bot.sandbox.room.server import application

PORT = 8642  # where it is free, so that the address stays the same from start to start
STOPS = (signal.SIGINT, signal.SIGTERM)


async def play(plan: Plan, *, port: int | None = None, fresh: bool = False, open_browser: bool = True) -> int:
    """Run a sandbox until SIGINT or SIGTERM; the exit status. A second signal ends its processes at once.

    The first line of output is the address. It can be opened from then on: the page waits until all is there.
    Raises a `SandboxError`, or a `SourceError` for tables that can't be read.
    """
    if plan.source is not None and not await asyncio.to_thread(plan.source.is_dir):
        raise SourceNotThere(folder=plan.source)
    with state.held(plan.state) as folder:
        if fresh:
            folder.clear()
        folder.check()
        listener = _listening(port)
        with listener:
            address = _address(listener, token_in(plan.state))
            folder.tell(address)
            _say(address)
            playing = asyncio.create_task(_play(plan, listener, address, open_browser=open_browser))
            with _stopped_by_signals(playing):
                await asyncio.wait({playing})
    if not playing.cancelled():
        playing.result()  # raises what kept it from starting
    return 0


async def _play(plan: Plan, listener: socket.socket, address: str, *, open_browser: bool) -> None:
    _say("It is no real Slack and no real Omnisend: both are stand-ins on this machine. Starting them and the bot …")
    async with opened(plan) as house, served(house, listener):
        for note in house.notes:
            _say(note)
        opens = open_browser and await asyncio.to_thread(_open_browser, address)
        todo = "It opens in your browser" if opens else "Open the address above in a browser"
        _say(f"Ready. {todo}. Ctrl-C stops everything; its state is kept in {plan.state}.")
        await asyncio.Event().wait()


@asynccontextmanager
async def served(house: House, listener: socket.socket | None = None) -> AsyncIterator[str]:
    """Serve the page on a socket that listens on loopback, or on any free port; the page's address."""
    token = await asyncio.to_thread(token_in, house.plan.state)
    runner = web.AppRunner(application(house, token), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    listener = listener or _listening(0)
    try:
        await web.SockSite(runner, listener).start()
        yield _address(listener, token)
    finally:
        await runner.cleanup()
        listener.close()


def _listening(port: int | None) -> socket.socket:
    """A socket that listens on loopback. None: on the usual port or else any free one. Raises `PortTaken`."""
    if port is None:
        try:
            return socket.create_server((LOOPBACK, PORT))
        except OSError:
            return socket.create_server((LOOPBACK, 0))
    try:
        return socket.create_server((LOOPBACK, port))
    except OSError as error:
        raise PortTaken(port=port, detail=os.strerror(error.errno or 0)) from None


def _address(listener: socket.socket, token: str) -> str:
    return f"http://{LOOPBACK}:{listener.getsockname()[1]}/{token}/"


@contextmanager
def _stopped_by_signals(task: asyncio.Task[None]) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM cancel the task, and each further one kill all processes of the sandbox."""
    loop, before = asyncio.get_running_loop(), itertools.count()

    def signalled() -> None:
        if next(before):
            for child in psutil.Process().children(recursive=True):
                child.kill()
            return
        _say("Stopping, and writing down how things stand … (Ctrl-C again ends it at once, and loses that)")
        task.cancel()

    for signum in STOPS:
        loop.add_signal_handler(signum, signalled)
    try:
        yield
    finally:
        for signum in STOPS:
            loop.remove_signal_handler(signum)


def _open_browser(address: str) -> bool:
    """Open the page where there is a screen: a browser for terminals would take this one."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    return webbrowser.open(address)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
