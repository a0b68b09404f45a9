"""A small installation for tests of the command line: tables, an Omnisend, and `ferry` as people start it."""

import asyncio
import contextlib
import csv
import json
import os
import pty
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from bot import logs
from bot.cli.commands import app
from tests.ferry import Ended, Ferry

Json = dict[str, Any]
PATIENCE = 90  # seconds for anything to happen

# What `ferry export run --json` promises (the list).
JSON_KEYS = {
    "run", "status", "profiles", "added", "changed", "removed", "unchanged", "rejected", "in_doubt", "batches",
    "requests", "seconds", "cpu_seconds", "peak_rss_mb", "segments",
}  # fmt: skip


class Tables:
    """A folder of tables that a test writes: profiles, and segments as lists of ids or as SQL."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "segments").mkdir(parents=True, exist_ok=True)

    def people(self, count: int, *, first: int = 1) -> list[tuple[str, str, str]]:
        """Rows of good profiles: p1, ann1@example.com, Ann 1."""
        return [(f"p{n}", f"ann{n}@example.com", f"Ann {n}") for n in range(first, first + count)]

    def profiles(self, rows: Iterable[Sequence[str]], header: Sequence[str] = ("CustomerId", "Email", "First")) -> None:
        with (self.folder / "profiles.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])

    def members(self, segment: str, ids: Iterable[str]) -> None:
        (self.folder / "segments" / f"{segment}.csv").write_text("\n".join(["CustomerId", *ids]) + "\n")

    def sql(self, segment: str, query: str) -> None:
        (self.folder / "segments" / f"{segment}.csv").unlink(missing_ok=True)
        (self.folder / "segments" / f"{segment}.sql").write_text(query)


@dataclass
class Shop:
    """One installation with the connection *Shop* and the export *Spring* of the segment VIP: six people, never run."""

    ferry: Ferry
    tables: Tables
    omnisend: Json

    @property
    def key(self) -> str:
        return str(self.omnisend["key"])

    async def post(self, path: str, **body: Any) -> Json:
        """Turn a control of the emulator."""
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{self.omnisend['control']}/{path}", json=body)
            answer.raise_for_status()
            told: Json = answer.json()
            return told

    async def get(self, path: str) -> str:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            return (await client.get(f"{self.omnisend['control']}/{path}")).text

    async def emails(self) -> set[str]:
        """Who is at Omnisend."""
        return {json.loads(line)["email"] for line in (await self.get("contacts")).splitlines()}

    async def batches_posted(self) -> int:
        requests = json.loads(await self.get("requests"))["requests"]
        return sum(request["method"] == "POST" and request["path"].endswith("/batches") for request in requests)

    async def faults(self, *faults: Json) -> None:
        await self.post("faults", faults=list(faults))

    def with_settings(self, **settings: str) -> "Ferry":
        """The command with other settings."""
        return Ferry(self.ferry.data, self.ferry.settings | settings)


async def in_this_process(ferry: Ferry, *arguments: str) -> Ended:
    """A command without a process of its own, in a thread: for the many that only word an answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "configure", lambda _: None)  # logging is this process's own
        for name in [name for name in os.environ if name.startswith(("FERRY_", "SLACK_"))]:
            patch.delenv(name)
        told = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=ferry.environment)
    if told.exception is not None and not isinstance(told.exception, SystemExit):
        raise told.exception
    return Ended(told.exit_code, told.stdout, told.stderr)


def answer_of(ended: Ended, status: int) -> str:
    """What a command told a person, on one line; checked for its exit status and for tracebacks."""
    assert "Traceback" not in ended.stderr, ended.stderr
    assert "nanobind" not in ended.stderr, "what DuckDB's bindings say of leaks is nothing for users"
    assert ended.status == status, (ended.status, ended.stdout, ended.stderr)
    return " ".join((ended.stdout + ended.stderr).split())


class Screen(asyncio.Protocol):
    """What a terminal shows, as it comes."""

    def __init__(self) -> None:
        self._shown = bytearray()
        self._changed = asyncio.Event()
        self._off = False

    @property
    def shown(self) -> str:
        return self._shown.decode(errors="replace")

    def data_received(self, data: bytes) -> None:
        self._shown += data
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._off = True
        self._changed.set()

    async def until(self, text: str | None) -> None:
        """Wait for a text; for None, until nothing more can come."""
        async with asyncio.timeout(PATIENCE):
            while not self._off and (text is None or text not in self.shown):
                self._changed.clear()
                await self._changed.wait()
        assert text is None or text in self.shown, f"the program ended before it showed {text!r}: {self.shown}"


class Terminal:
    """A `ferry` process at a terminal: its prompts and progress are read as they come, its results at the end."""

    def __init__(self, process: Process, screen: Screen, keyboard: int) -> None:
        self._process = process
        self._screen = screen
        self._keyboard = keyboard

    async def until(self, text: str) -> None:
        """Wait for the screen to show a text."""
        await self._screen.until(text)

    def type(self, line: str) -> None:
        os.write(self._keyboard, f"{line}\n".encode())

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    async def end(self) -> Ended:
        """The end of the program; `stderr` is what the terminal showed."""
        async with asyncio.timeout(PATIENCE):
            stdout, _ = await self._process.communicate()
        await self._screen.until(None)
        return Ended(self._process.returncode or 0, stdout.decode(), self._screen.shown)


def _heed_ctrl_c() -> None:
    """Whoever starts the tests in the background (a CI's runner) may have them, and their children, ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@asynccontextmanager
async def terminal(ferry: Ferry, *arguments: str) -> AsyncIterator[Terminal]:
    """Start `ferry` with a terminal as its input and error output; results still go into a pipe."""
    ours, theirs = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot.cli", *arguments),
            stdin=theirs,
            stdout=PIPE,
            stderr=theirs,
            env=ferry.environment | {"TERM": "xterm", "COLUMNS": "120"},
            start_new_session=True,  # away from the terminal that the tests may run in
            preexec_fn=_heed_ctrl_c,
        )
    finally:
        os.close(theirs)
    screen = Screen()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: screen, os.fdopen(ours, "rb", 0))
    try:
        yield Terminal(process, screen, ours)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
        transport.close()
