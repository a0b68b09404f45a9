"""Running an export from the command line: progress while it runs, Ctrl-C, and what it came to."""

import asyncio
import re
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlmodel import select

from bot.cli.exits import Exit
from bot.cli.terminal import say
from bot.cli.words import plain
from bot.i18n import translator
from bot.pipeline.queue import requeue_interrupted
from bot.services.actor import Actor
from bot.services.context import Services
from bot.services.errors import RunOver
from bot.services.stopping import end_run
from bot.slack.views.words import stage_words
from storage.lease import is_dead
from storage.models import Export, Run, RunStatus, Trigger, id_of

LOOK_SECONDS = 0.5  # how often the progress bar looks at the run
CANCEL_SECONDS = 10.0  # for a run to end by itself after Ctrl-C, before it is broken off

COUNTS = ("profiles", "added", "changed", "removed", "unchanged", "rejected", "in_doubt", "batches", "requests")


@dataclass(frozen=True, slots=True)
class Result:
    """A run that has ended, and what it cost: this process's peak memory, and its CPU time with its children's."""

    run: Run
    seconds: float
    cpu_seconds: float
    peak_rss_mb: float

    @property
    def exit_status(self) -> int:
        match self.run.status:
            case RunStatus.DONE:
                return 0
            case RunStatus.ASKING:
                return Exit.GUARD_ASKS
            case RunStatus.CANCELLED:
                return Exit.CANCELLED
        return Exit.FAILED

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints; `findings`, `notes` and `error` only where there are any."""
        run = self.run
        extra = {
            "findings": run.findings,
            "notes": run.notes,
            "error": plain(run.error_text or ""),
            "error_code": run.error_code,
        }
        return {
            "run": run.id,
            "status": run.status,
            **{name: getattr(run, name) for name in COUNTS},
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
            "peak_rss_mb": round(self.peak_rss_mb, 1),
            "segments": [
                {key: segment[key] for key in ("name", "members", "contacts_count")} for segment in run.segments
            ],
            **{name: value for name, value in extra.items() if value},
        }


async def execute(
    services: Services, actor: Actor, export: Export, trigger: Trigger, *, accept_guard: bool, console: Console
) -> Result:
    """Start a run and execute it here; if the bot is faster, wait for it.

    Ctrl-C cancels the run and keeps what is settled; a second one breaks it off, to be gone on with by the next. A run
    that a crash interrupted is taken up instead of starting another. Raises as `Runs.start` does, and a `StorageError`
    if not even the run's end can be written down.
    """
    began = time.monotonic()
    run_id = await _left_behind(services, export, trigger, accept_guard=accept_guard)
    if run_id is None:
        started = await services.runs.start(actor, id_of(export), trigger=trigger, accept_guard=accept_guard)
        run_id = id_of(started)
    else:
        say("A run that was interrupted goes on.", console)
    ended = await _to_the_end(services, actor, run_id, console)
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(one.ru_utime + one.ru_stime for one in usage)
    return Result(ended, time.monotonic() - began, cpu, peak_rss_mb())


def peak_rss_mb() -> float:
    """The most memory that this process has had resident, in megabytes.

    On Linux `getrusage` counts in what the process that started this one held then; /proc does not.
    """
    with suppress(OSError):
        status = Path("/proc/self/status").read_text()
        if (found := re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)) is not None:
            return int(found[1]) / 1024
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


async def _left_behind(services: Services, export: Export, trigger: Trigger, *, accept_guard: bool) -> int | None:
    """The export's queued run, if the process that should execute it has died or was stopped.

    It becomes what is asked for now, where that is more than an ordinary run.
    """
    await requeue_interrupted(services.database)
    async with services.database.write() as session:
        statement = select(Run).where(
            Run.export_id == export.id, Run.status == RunStatus.QUEUED, Run.trigger != Trigger.EMPTY
        )
        run = (await session.exec(statement)).first()
        if run is None or (run.holder is not None and not is_dead(run.holder)):
            return None
        run.accept_guard = run.accept_guard or accept_guard
        run.trigger = run.trigger if trigger is Trigger.MANUAL else trigger
        run.cancel_requested_by = None  # asked of the process that is gone
        session.add(run)
        return run.id


async def _to_the_end(services: Services, actor: Actor, run_id: int, console: Console) -> Run:
    """Execute the run, or watch another process do it; the run as it ended."""
    working = asyncio.create_task(services.engine.execute(run_id), name=f"run-{run_id}")
    watching = asyncio.create_task(_watch(services, run_id, console), name="progress")
    stopping: list[asyncio.Task[None]] = []

    def stop() -> None:
        say("Cancelling: what Omnisend has taken may still settle for a few seconds.", console)
        stopping.append(asyncio.create_task(_cancel(services, actor, run_id, working), name="cancel"))

    try:
        with on_interrupt(stop):
            await asyncio.wait([working])
            if not working.cancelled():
                working.result()
            await asyncio.gather(*stopping)
            ended = await services.runs.get(run_id)
            return ended if not ended.status.active else await watching
    except asyncio.CancelledError:
        say("Broken off: the next run finds out what became of it, and goes on.", console)
        raise
    finally:
        await _end(working, watching, *stopping)


async def _cancel(services: Services, actor: Actor, run_id: int, working: asyncio.Task[Run]) -> None:
    """Ask the run to stop; break it off if it does not soon."""
    with suppress(RunOver):
        await services.runs.cancel(actor, run_id)
    _, late = await asyncio.wait([working], timeout=CANCEL_SECONDS)
    if not late:
        return
    await _end(working)
    async with services.database.write() as session:
        run = await session.get_one(Run, run_id)
        export = await session.get_one(Export, run.export_id)
        if run.status is RunStatus.QUEUED:
            end_run(session, run, export, RunStatus.CANCELLED)


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def on_interrupt(callback: Callable[[], None]) -> Iterator[None]:
    """Within the block the first Ctrl-C calls `callback`; a second one ends the program as elsewhere."""
    loop = asyncio.get_running_loop()
    usual = signal.getsignal(signal.SIGINT)

    def restore() -> None:
        if loop.remove_signal_handler(signal.SIGINT):
            signal.signal(signal.SIGINT, usual)

    def first() -> None:
        restore()
        callback()

    loop.add_signal_handler(signal.SIGINT, first)
    try:
        yield
    finally:
        restore()


async def _watch(services: Services, run_id: int, console: Console) -> Run:
    """Show the run's progress until it has ended, whichever process executes it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    t = translator()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)
        while (run := await services.runs.get(run_id)).status.active:
            progress.update(task, description=stage_words(t, run.stage), completed=run.sent, total=run.total or None)
            await asyncio.sleep(LOOK_SECONDS)
    return run
