"""Running an export from the command line: progress while it runs, a report or JSON at the end."""

import asyncio
import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlmodel import select

from bot.cli.exits import Exit
from bot.pipeline.preview import Preview
from bot.pipeline.queue import requeue_interrupted
from bot.services.actor import Actor
from bot.services.context import Services
from bot.services.masking import mask_email, mask_value
from storage.models import Export, Run, RunStatus, Trigger, id_of

LOOK_SECONDS = 0.5  # how often the progress bar looks at the run


@dataclass(frozen=True, slots=True)
class Result:
    """A run that has ended, and what it cost this process (children included)."""

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
        run = self.run
        counts = ("profiles", "added", "changed", "removed", "unchanged", "rejected", "in_doubt", "batches", "requests")
        extra: dict[str, Any] = {}
        if run.findings:
            extra["findings"] = run.findings
        if run.error_text:
            extra["error"] = run.error_text
        return {
            "run": run.id,
            "status": run.status,
            **{name: getattr(run, name) for name in counts},
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
            "peak_rss_mb": round(self.peak_rss_mb, 1),
            "segments": [
                {key: segment[key] for key in ("name", "members", "contacts_count")} for segment in run.segments
            ],
            **extra,
        }

    def print(self, console: Console) -> None:
        run = self.run
        console.print(f"{run.export_name}: {run.status}", style="bold", markup=False)
        if run.error_text:
            console.print(run.error_text, style="red", markup=False)
        for finding in run.findings:
            facts = ", ".join(f"{key} {value}" for key, value in finding.items() if key != "kind")
            console.print(f"  The guard asks: {finding['kind'].replace('_', ' ')} ({facts})", markup=False)
        if run.status is RunStatus.ASKING:
            console.print("Nothing was sent. If this is right, run it again with --accept-guard.")
        table = Table("Profiles", "Added", "Changed", "Removed", "Unchanged", "Rejected", "In doubt", "Time")
        counts = (run.profiles, run.added, run.changed, run.removed, run.unchanged, run.rejected, run.in_doubt)
        table.add_row(*(f"{count:,}" for count in counts), f"{self.seconds:.1f} s")
        console.print(table)
        for segment in run.segments:
            known = segment["contacts_count"]
            counted = "not yet counted" if known is None else f"{known:,} counted by Omnisend"
            console.print(
                f"  {segment['name']}: {segment['members']:,} members, {segment['contacts']:,} contacts, {counted}",
                markup=False,
            )


async def run(
    services: Services, actor: Actor, export: Export, trigger: Trigger, *, accept_guard: bool, console: Console
) -> Result:
    """Start a run and execute it here; if the bot is faster, wait for it. Ctrl-C cancels it and keeps what settled.

    A run that a crash interrupted is taken up instead of starting another. Raises as `Runs.start` does.
    """
    began = time.monotonic()
    run_id = await _interrupted(services, export, accept_guard=accept_guard)
    if run_id is None:
        started = await services.runs.start(actor, id_of(export), trigger=trigger, accept_guard=accept_guard)
        run_id = id_of(started)
    watching = asyncio.create_task(_watch(services, run_id, console))
    try:
        await services.engine.execute(run_id)
    except asyncio.CancelledError:
        with suppress(Exception):
            await asyncio.shield(services.runs.cancel(actor, run_id))
        raise
    finally:
        ended = await asyncio.shield(watching)
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(one.ru_utime + one.ru_stime for one in usage)
    return Result(ended, time.monotonic() - began, cpu, usage[0].ru_maxrss / 1024)


async def _interrupted(services: Services, export: Export, *, accept_guard: bool) -> int | None:
    """The export's queued run, if a process died over it."""
    requeued = await requeue_interrupted(services.database)
    async with services.database.write() as session:
        statement = select(Run).where(Run.export_id == export.id, Run.status == RunStatus.QUEUED, Run.attempts > 0)
        run = (await session.exec(statement)).first()
        if run is None or (run.id not in requeued and run.holder is not None):
            return None
        run.accept_guard = run.accept_guard or accept_guard
        session.add(run)
        return run.id


async def _watch(services: Services, run_id: int, console: Console) -> Run:
    """Show the run's progress until it has ended, whichever process executes it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("waiting", total=None)
        while (run := await services.runs.get(run_id)).status.active:
            progress.update(task, description=str(run.stage), completed=run.sent, total=run.total or None)
            await asyncio.sleep(LOOK_SECONDS)
    return run


def print_preview(preview: Preview, console: Console) -> None:
    comparison = preview.comparison
    table = Table("Profiles", "Added", "Changed", "Removed", "Unchanged", "Rejected")
    rejected = sum(comparison.rejected.values()) + comparison.refused
    counts = (comparison.profiles, comparison.added, comparison.changed, comparison.removed, comparison.unchanged)
    table.add_row(*(f"{count:,}" for count in (*counts, rejected)))
    console.print(table)
    for reason, count in comparison.rejected.items():
        console.print(f"  {count:,} rejected: {reason.replace('_', ' ')}")
    for name, members in preview.members.items():
        console.print(f"  {name}: {members:,} members, {comparison.members.get(name, 0):,} contacts", markup=False)
    if preview.left_behind:
        console.print(f"  No longer mapped, left at Omnisend as they are: {', '.join(preview.left_behind)}")
    for sample in preview.samples:
        values = ", ".join(f"{label} {mask_value(value)}" for label, value in sample.values.items())
        console.print(f"  {sample.op}: {sample.customer_id}, {mask_email(sample.email)}, {values}", markup=False)
    for finding in preview.findings:
        console.print(f"  The guard would ask: {finding.kind.replace('_', ' ')} {finding.facts}", markup=False)
    console.print(
        f"About {preview.requests:,} requests, {preview.seconds:,.0f} s at Omnisend's limit. Nothing was sent."
    )
