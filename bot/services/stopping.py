"""Stopping runs: those under way are asked to, those that wait are ended on the spot."""

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.pipeline.recording import NOBODY, announce
from bot.services.actor import Actor
from storage.models import Export, Run, RunStatus, now

UNFINISHED = (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.ASKING)


async def active_run(session: AsyncSession, export_id: int | None) -> Run | None:
    """The run of an export that is queued or under way."""
    statement = select(Run).where(Run.export_id == export_id, col(Run.status).in_(UNFINISHED[:2]))
    return (await session.exec(statement)).first()


async def stop_runs(session: AsyncSession, actor: Actor, export: Export) -> Sequence[Run]:
    """Stop whatever of an export is unfinished: queued, under way, or waiting for an answer."""
    statement = select(Run).where(Run.export_id == export.id, col(Run.status).in_(UNFINISHED))
    runs = (await session.exec(statement)).all()
    for run in runs:
        stop_run(session, actor, run, export)
    return runs


def stop_run(session: AsyncSession, actor: Actor, run: Run, export: Export) -> None:
    """A run under way is asked to stop: the engine looks every second, and keeps what is settled.

    Nobody works on the others, so that they end here; the channel hears of it from here too.
    """
    run.cancel_requested_by = run.cancel_requested_by or actor.user_id
    if run.status is not RunStatus.RUNNING:
        end_run(session, run, export, RunStatus.CANCELLED)
    session.add(run)


def end_run(session: AsyncSession, run: Run, export: Export, status: RunStatus) -> None:
    """End a run that no process is working on, and tell the channel (the owner, where there is none)."""
    run.status, run.ended_at, run.holder = status, now(), None
    session.add(run)
    places = [export.channel] if export.channel else [export.owner]
    assert run.id is not None
    announce(session, export, run.id, "finished", [place for place in places if place not in NOBODY])
