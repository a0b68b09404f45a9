"""The queue of runs: one run an export, one run a tick, and nothing lost when a process ends.

Reference: the design's promise that a crash costs nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from bot.pipeline import queue
from bot.pipeline.errors import AlreadyRunning
from bot.pipeline.queue import SILENCE, Dispatcher, claim_run, enqueue, requeue_interrupted
from storage.database import Database
from storage.lease import this_process
from storage.models import Export, Run, RunStatus, Trigger, now

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DEAD = this_process().rpartition(":")[0] + ":0"  # this process's id, but of a process that began at another time
ELSEWHERE = "another-machine:1:1"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'ferry.sqlite3'}")
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def export(database: Database) -> Export:
    return await add_export(database, "Spring")


async def add_export(database: Database, name: str) -> Export:
    async with database.write() as session:
        export = Export(team_id="T0TEST", name=name, owner="U0ANN")
        session.add(export)
    return export


async def queued(database: Database, export: Export, **options: Any) -> int:
    async with database.write() as session:
        run = await enqueue(session, export, Trigger.MANUAL, options.pop("by", "U0ANN"), **options)
    assert run.id is not None
    return run.id


async def set_run(database: Database, run_id: int, **columns: Any) -> None:
    async with database.write() as session:
        run = await session.get_one(Run, run_id)
        for name, value in columns.items():
            setattr(run, name, value)
        session.add(run)


async def statuses(database: Database) -> dict[int | None, RunStatus]:
    async with database.read() as session:
        return {run.id: run.status for run in (await session.exec(select(Run))).all()}


# --- inserting


async def test_a_run_is_queued_with_who_asked_for_it(database: Database, export: Export) -> None:
    run_id = await queued(database, export, accept_guard=True)
    async with database.read() as session:
        run = await session.get_one(Run, run_id)
    assert (run.export_id, run.export_name, run.team_id) == (export.id, "Spring", "T0TEST")
    assert (run.status, run.trigger, run.started_by, run.accept_guard) == (
        RunStatus.QUEUED,
        Trigger.MANUAL,
        "U0ANN",
        True,
    )


@pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.RUNNING])
async def test_a_second_run_is_refused_and_names_who_started_the_first_and_when(
    database: Database, export: Export, status: RunStatus
) -> None:
    first = await queued(database, export)
    await set_run(database, first, status=status, started_at=NOON)
    with pytest.raises(AlreadyRunning, match=r"\*Spring\* is running already \(started 12:00 UTC by U0ANN\)"):
        await queued(database, export, by="U0BOB")
    assert list(await statuses(database)) == [first]


async def test_a_run_of_the_schedule_is_named_so(database: Database, export: Export) -> None:
    await queued(database, export, by="", due_at=NOON)
    with pytest.raises(AlreadyRunning, match="by the schedule"):
        await queued(database, export)


async def test_a_refusal_leaves_the_rest_of_the_transaction_as_it_was(database: Database, export: Export) -> None:
    await queued(database, export)
    async with database.write() as session:
        session.add(Export(team_id="T0TEST", name="Autumn", owner="U0ANN"))
        with pytest.raises(AlreadyRunning):
            await enqueue(session, export, Trigger.MANUAL, "U0BOB")
    async with database.read() as session:
        names = (await session.exec(select(Export.name))).all()
    assert sorted(names) == ["Autumn", "Spring"]


@pytest.mark.parametrize("status", [RunStatus.DONE, RunStatus.FAILED, RunStatus.CANCELLED])
async def test_after_a_run_has_ended_another_may_start(database: Database, export: Export, status: RunStatus) -> None:
    first = await queued(database, export)
    await set_run(database, first, status=status)
    assert await queued(database, export) != first


async def test_one_tick_of_the_schedule_makes_one_run_even_after_it_ended(database: Database, export: Export) -> None:
    first = await queued(database, export, by="", due_at=NOON)
    await set_run(database, first, status=RunStatus.DONE, started_at=NOON + timedelta(minutes=1))
    with pytest.raises(AlreadyRunning, match="started 12:01 UTC by the schedule"):
        await queued(database, export, by="", due_at=NOON)
    await queued(database, export, by="", due_at=NOON + timedelta(hours=1))


async def test_exports_do_not_wait_for_each_other(database: Database, export: Export) -> None:
    other = await add_export(database, "Autumn")
    await queued(database, export, due_at=NOON)
    await queued(database, other, due_at=NOON)
    assert list((await statuses(database)).values()) == [RunStatus.QUEUED] * 2


# --- claiming


async def test_a_run_is_claimed_once(database: Database, export: Export) -> None:
    run_id = await queued(database, export)
    claimed = await claim_run(database, run_id, "one")
    assert claimed is not None
    assert (claimed.status, claimed.holder, claimed.attempts) == (RunStatus.RUNNING, "one", 1)
    assert await claim_run(database, run_id, "two") is None
    assert await claim_run(database, 999, "two") is None


async def test_a_resumed_run_keeps_its_start_and_counts_its_attempts(database: Database, export: Export) -> None:
    run_id = await queued(database, export)
    first = await claim_run(database, run_id, DEAD)
    assert await requeue_interrupted(database) == [run_id]
    second = await claim_run(database, run_id, "two")
    assert first is not None
    assert second is not None
    assert (second.attempts, second.started_at) == (2, first.started_at)


# --- what was left under way


@pytest.mark.parametrize(
    ("holder", "silent_for", "left"),
    [
        (DEAD, timedelta(0), True),
        (None, timedelta(0), True),
        (ELSEWHERE, timedelta(0), False),
        (ELSEWHERE, SILENCE / 2, False),
        (ELSEWHERE, SILENCE * 2, True),
        (this_process(), SILENCE * 2, False),
    ],
    ids=["dead", "nobody", "elsewhere", "elsewhere-quiet", "elsewhere-silent", "this-process"],
)
async def test_a_run_is_queued_again_if_its_process_is_dead_or_silent(
    database: Database, export: Export, holder: str | None, silent_for: timedelta, left: bool
) -> None:
    run_id = await queued(database, export)
    await set_run(database, run_id, status=RunStatus.RUNNING, holder=holder, beat_at=now() - silent_for)
    assert await requeue_interrupted(database) == ([run_id] if left else [])
    expected = RunStatus.QUEUED if left else RunStatus.RUNNING
    assert await statuses(database) == {run_id: expected}


async def test_of_its_own_runs_a_process_queues_those_again_that_it_does_not_execute(
    database: Database, export: Export
) -> None:
    run_id = await queued(database, export)
    await claim_run(database, run_id, this_process())
    assert await requeue_interrupted(database, own=[run_id]) == []
    assert await requeue_interrupted(database, own=[]) == [run_id]


async def test_what_has_ended_is_not_queued_again(database: Database, export: Export) -> None:
    run_id = await queued(database, export)
    await set_run(database, run_id, status=RunStatus.DONE, holder=DEAD)
    assert await requeue_interrupted(database) == []


# --- the dispatcher


class SmallEngine:
    """Executes a run by marking it done. `begun` and `ended` tell the test; `gate` shut: a run goes on for ever."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.begun: asyncio.Queue[int] = asyncio.Queue()
        self.ended: asyncio.Queue[int] = asyncio.Queue()
        self.gate = asyncio.Event()
        self.gate.set()
        self.failing: set[int] = set()
        self.cancelled: list[int] = []

    async def execute(self, run_id: int) -> Run:
        self.begun.put_nowait(run_id)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(run_id)
            raise
        run = await claim_run(self._database, run_id, this_process())
        assert run is not None
        failing = run_id in self.failing
        await set_run(self._database, run_id, status=RunStatus.FAILED if failing else RunStatus.DONE)
        self.ended.put_nowait(run_id)
        if failing:
            raise RuntimeError("not foreseen")
        return run


@pytest.fixture
def engine(database: Database) -> SmallEngine:
    return SmallEngine(database)


@pytest.fixture
def only_when_nudged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "LOOK_SECONDS", 3_600.0)


async def arrival(of: asyncio.Queue[int]) -> int:
    async with asyncio.timeout(30):
        return await of.get()


@pytest.mark.usefixtures("only_when_nudged")
async def test_the_dispatcher_executes_what_is_queued_and_what_it_is_nudged_about(
    database: Database, export: Export, engine: SmallEngine
) -> None:
    first = await queued(database, export)
    dispatcher = Dispatcher(database, engine)
    await dispatcher.start()
    assert await arrival(engine.ended) == first
    second = await queued(database, export)
    dispatcher.nudge()
    assert await arrival(engine.ended) == second
    await dispatcher.stop()
    assert set((await statuses(database)).values()) == {RunStatus.DONE}


@pytest.mark.usefixtures("only_when_nudged")
async def test_the_dispatcher_goes_on_with_what_a_crash_interrupted(
    database: Database, export: Export, engine: SmallEngine
) -> None:
    run_id = await queued(database, export)
    await claim_run(database, run_id, DEAD)
    dispatcher = Dispatcher(database, engine)
    await dispatcher.start()
    assert await arrival(engine.ended) == run_id
    await dispatcher.stop()


@pytest.mark.usefixtures("only_when_nudged")
async def test_a_run_that_ends_unexpectedly_does_not_end_the_dispatcher(
    database: Database, export: Export, engine: SmallEngine
) -> None:
    first = await queued(database, export)
    second = await queued(database, await add_export(database, "Autumn"))
    engine.failing = {first}
    dispatcher = Dispatcher(database, engine, most=1)
    await dispatcher.start()
    assert [await arrival(engine.ended), await arrival(engine.ended)] == [first, second]
    await dispatcher.stop()


@pytest.mark.usefixtures("only_when_nudged")
async def test_no_more_runs_than_allowed_are_under_way_and_the_oldest_goes_first(
    database: Database, export: Export, engine: SmallEngine
) -> None:
    runs = [await queued(database, export)]
    runs += [await queued(database, await add_export(database, name)) for name in ("Autumn", "Winter")]
    engine.gate.clear()
    dispatcher = Dispatcher(database, engine, most=2)
    await dispatcher.start()
    assert [await arrival(engine.begun), await arrival(engine.begun)] == runs[:2]
    assert engine.begun.empty()
    engine.gate.set()
    assert await arrival(engine.begun) == runs[2]
    assert sorted([await arrival(engine.ended) for _ in runs]) == runs
    await dispatcher.stop()


@pytest.mark.usefixtures("only_when_nudged")
async def test_a_run_that_only_waits_for_its_source_keeps_nobody_from_running(
    database: Database, export: Export, engine: SmallEngine
) -> None:
    waits = await queued(database, export)
    other = await queued(database, await add_export(database, "Autumn"))
    engine.gate.clear()
    dispatcher = Dispatcher(database, engine, most=1, resting={waits})
    await dispatcher.start()
    assert [await arrival(engine.begun), await arrival(engine.begun)] == [waits, other]
    engine.gate.set()
    await dispatcher.stop()


@pytest.mark.usefixtures("only_when_nudged")
async def test_stopping_ends_the_runs_under_way_and_leaves_them_queued(
    database: Database, export: Export, engine: SmallEngine
) -> None:
    first = await queued(database, export)
    second = await queued(database, await add_export(database, "Autumn"))
    engine.gate.clear()
    dispatcher = Dispatcher(database, engine, most=1)
    await dispatcher.start()
    assert await arrival(engine.begun) == first
    await dispatcher.stop()
    assert engine.cancelled == [first]
    assert await statuses(database) == {first: RunStatus.QUEUED, second: RunStatus.QUEUED}

    engine.gate.set()
    after_a_restart = Dispatcher(database, engine, most=1)
    await after_a_restart.start()
    assert [await arrival(engine.ended), await arrival(engine.ended)] == [first, second]
    await after_a_restart.stop()


async def test_a_dispatcher_that_never_started_can_be_stopped(database: Database, engine: SmallEngine) -> None:
    await Dispatcher(database, engine).stop()
    assert engine.begun.empty()
