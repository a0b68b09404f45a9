"""Run an emulator as a process of its own.

An emulator prints one line of JSON (its address and whatever its users need), serves on loopback only, and stops
when its standard input ends or it is told to terminate. So it also ends when the process that started it is killed.
"""

import asyncio
import contextlib
import signal
import ssl
import stat
import sys
from collections.abc import Callable
from os import fstat
from typing import Any

import orjson
from aiohttp import web

LOOPBACK = "127.0.0.1"


async def serve(
    app: web.Application,
    *,
    port: int,
    announce: Callable[[str], dict[str, Any]],
    tls: ssl.SSLContext | None = None,
) -> None:
    """Serve `app` on loopback until standard input ends, SIGINT or SIGTERM.

    `port` 0 takes any free one. `announce` gets the base address (such as `http://127.0.0.1:40123`) and returns
    what the first line of standard output shall say.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)

    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, LOOPBACK, port, ssl_context=tls, backlog=1024)
        await site.start()
        host, bound_port = runner.addresses[0][:2]
        address = f"{'https' if tls else 'http'}://{host}:{bound_port}"
        sys.stdout.write(orjson.dumps(announce(address)).decode() + "\n")
        sys.stdout.flush()
        async with _stdin_closed(stop):
            await stop.wait()
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _stdin_closed(stop: asyncio.Event) -> Any:
    """Set `stop` when standard input, if it is a pipe, comes to its end."""
    try:
        is_pipe = stat.S_ISFIFO(fstat(0).st_mode) or stat.S_ISSOCK(fstat(0).st_mode)
    except OSError:
        is_pipe = False
    if not is_pipe:
        yield
        return

    class EndOfInput(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            stop.set()

    transport, _ = await asyncio.get_running_loop().connect_read_pipe(EndOfInput, sys.stdin)
    try:
        yield
    finally:
        transport.close()
