"""A run's row while it works: kept current, and not forgotten when the database is away for a moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.pipeline import recording
from bot.pipeline.recording import Recorder
from storage.database import Database
from storage.errors import DiskFull
from storage.models import Export, OutboxMessage, Person, Run, RunStatus, Stage
from tests.unit.pipeline_world import Pipeline, pipeline, until


@pytest.fixture
async def p(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pipeline]:
    monkeypatch.setattr(recording, "PULSE_SECONDS", 0.001)
    async with pipeline(tmp_path) as made:
        yield made


class Flaky:
    """A database whose first writes fail."""

    def __init__(self, database: Database, *errors: Exception) -> None:
        self._database = database
        self.errors = list(errors)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        if self.errors:
            raise self.errors.pop(0)
        async with self._database.write() as session:
            yield session


async def test_progress_goes_on_after_the_database_was_away(p: Pipeline) -> None:
    away = [OperationalError("UPDATE", {}, Exception("database is locked")), DiskFull(detail="full", folder=Path())]
    recorder = Recorder(Flaky(p.database, *away), p.run_id)  # type: ignore[arg-type]
    cancelled = asyncio.Event()
    async with p.database.write() as session:
        (await session.get_one(Run, p.run_id)).cancel_requested_by = "U0ADA"

    pulse = asyncio.create_task(recorder.pulse(lambda: {"stage": Stage.SENDING, "sent": 7}, cancelled.set))
    await until(lambda: cancelled.is_set() or pulse.done())
    pulse.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pulse

    async with p.database.read() as session:
        run = await session.get_one(Run, p.run_id)
    assert (run.stage, run.sent) == (Stage.SENDING, 7)


async def test_what_could_not_be_written_comes_with_the_next_write(p: Pipeline) -> None:
    recorder = Recorder(Flaky(p.database, DiskFull(detail="full", folder=Path())), p.run_id)  # type: ignore[arg-type]
    recorder.set(added=3)
    with pytest.raises(DiskFull):
        await recorder.write()
    recorder.set(changed=4)
    run = await recorder.write()
    assert (run.added, run.changed) == (3, 4)


# --- who hears of the end


async def _ended(p: Pipeline, status: RunStatus, *, owner: str = "cli", started_by: str = "cli") -> set[str]:
    """End one more run of the export, which has no channel: who hears of it, and what."""
    async with p.database.write() as session:
        export = await session.get_one(Export, p.book.export_id)
        export.owner = owner
        if await session.get(Person, (export.team_id, "U0ADA")) is None:
            session.add(Person(team_id=export.team_id, user_id="U0ADA", is_admin=True))
        run = Run(team_id=export.team_id, export_id=export.id, export_name=export.name, started_by=started_by)
        session.add(run)
        await session.flush()
        session.add(export)
    assert run.id is not None
    await Recorder(p.database, run.id).finished(export, status, rejects=True)
    async with p.database.read() as session:
        told = (await session.exec(select(OutboxMessage))).all()
    return {f"{message.channel} {message.event}" for message in told if message.facts["run_id"] == run.id}


async def test_admins_hear_of_failure_and_recovery_of_what_the_command_line_owns(p: Pipeline) -> None:
    assert await _ended(p, RunStatus.FAILED) >= {"U0ADA run.failed"}
    assert await _ended(p, RunStatus.FAILED) >= {"U0ADA run.failed"}  # delivered only if it is another failure
    assert await _ended(p, RunStatus.CANCELLED) == set()
    assert await _ended(p, RunStatus.DONE) == {"U0ADA run.recovered"}
    assert await _ended(p, RunStatus.DONE) == set()


async def test_rejects_go_to_who_started_the_run_else_to_the_owner(p: Pipeline) -> None:
    assert "U0BOB run.rejects" in await _ended(p, RunStatus.DONE, owner="U0ANN", started_by="U0BOB")
    for nobody in ("", "cli"):
        assert "U0ANN run.rejects" in await _ended(p, RunStatus.DONE, owner="U0ANN", started_by=nobody)
