"""The refresh's webhook: its token, what a call starts and what it does not, who is let in, and what is logged.

Reference: customer-insights.md §4 (a Power Automate trigger fires when a scheduled refresh has completed).
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlmodel import SQLModel
from structlog.testing import capture_logs

from bot import hooks as server_module
from bot.access import AdminsOnly
from bot.hooks import MOST_CLIENTS, Gate
from bot.pipeline.errors import AlreadyRunning
from bot.services.hooks import REPEAT, HookExists, HookMissing, Hooks, HookUnknown
from bot.settings import Rate
from storage.database import Database
from storage.models import (
    AuditEntry,
    Connection,
    ConnectionState,
    Export,
    RefreshHook,
    Run,
    RunStatus,
    Stage,
    Trigger,
    When,
)
from tests.unit.services_world import (
    ADMIN,
    ANN,
    OTHER_TEAM,
    STRANGER,
    TEAM,
    ServicesWorld,
    id_of,
    services_world,
)

START = datetime(2026, 5, 4, 4, 40, tzinfo=UTC)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ServicesWorld]:
    async with services_world(tmp_path) as world:
        yield world


@pytest.fixture
def hooks(world: ServicesWorld) -> Hooks:
    return Hooks(world.database, nudge=world.nudge)


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


async def attached(world: ServicesWorld, connection: Connection, name: str, segment: str, **changes: object) -> Export:
    """An export that runs with each refresh."""
    settings: dict[str, object] = {"name": name, "segments": (segment,), "when": When.REFRESH, "channel": "C0MARKETING"}
    return await world.export(connection, ADMIN, **settings | changes)


# --- the token


async def test_a_token_is_long_and_stored_as_its_digest_only(world: ServicesWorld, hooks: Hooks) -> None:
    made = await hooks.issue(ADMIN)
    (stored,) = await world.rows(RefreshHook)
    assert len(made.token) >= 43
    assert stored.digest == hashlib.sha256(made.token.encode()).digest()
    assert made.token.encode() not in await everything_stored(world)
    assert made.token not in repr(made)
    assert made.path == f"/hooks/refresh/{made.token}"


async def everything_stored(world: ServicesWorld) -> bytes:
    """The database's files as they are on disk."""
    assert world.database.folder is not None
    return b"".join(path.read_bytes() for path in world.database.folder.glob("ferry.sqlite3*"))


async def test_a_webhook_says_who_made_it_and_when_it_last_heard_of_a_refresh(
    hooks: Hooks, clock: time_machine.Traveller
) -> None:
    assert await hooks.find(ADMIN) is None
    made = await hooks.issue(ADMIN)
    clock.shift(timedelta(hours=2))
    await hooks.receive(made.token)
    state = await hooks.find(ADMIN)
    assert state is not None
    assert (state.created_by, state.created_at) == (ADMIN.user_id, START)
    assert state.refreshed_at == START + timedelta(hours=2)


async def test_a_second_token_is_refused_until_somebody_asks_to_replace_the_first(hooks: Hooks) -> None:
    made = await hooks.issue(ADMIN)
    with pytest.raises(HookExists, match="new one in its place"):
        await hooks.issue(ADMIN)
    await hooks.receive(made.token)


async def test_after_a_rotation_the_new_token_counts_and_the_old_one_does_not(
    hooks: Hooks, clock: time_machine.Traveller
) -> None:
    old = await hooks.issue(ADMIN)
    await hooks.receive(old.token)
    clock.shift(timedelta(hours=1))
    new = await hooks.rotate(ADMIN)
    with pytest.raises(HookUnknown):
        await hooks.receive(old.token)
    state = await hooks.find(ADMIN)
    assert state is not None
    assert (state.created_at, state.refreshed_at) == (START + timedelta(hours=1), START)
    await hooks.receive(new.token)


async def test_a_revoked_token_is_refused(world: ServicesWorld, hooks: Hooks) -> None:
    made = await hooks.issue(ADMIN)
    await hooks.revoke(ADMIN)
    with pytest.raises(HookUnknown):
        await hooks.receive(made.token)
    assert await world.rows(RefreshHook) == []


async def test_what_is_not_there_can_be_neither_replaced_nor_revoked(hooks: Hooks) -> None:
    with pytest.raises(HookMissing):
        await hooks.rotate(ADMIN)
    with pytest.raises(HookMissing):
        await hooks.revoke(ADMIN)


async def test_only_admins_see_or_change_the_webhook_and_only_their_own(hooks: Hooks) -> None:
    made = await hooks.issue(ADMIN)
    for forbidden in (hooks.issue(ANN), hooks.rotate(ANN), hooks.revoke(ANN), hooks.find(ANN)):
        with pytest.raises(AdminsOnly):
            await forbidden
    assert await hooks.find(STRANGER) is None
    with pytest.raises(HookMissing):
        await hooks.revoke(STRANGER)
    await hooks.receive(made.token)


@pytest.mark.parametrize("token", ["", "x", "é" * 43, "\udcff", "a" * 8_000])
async def test_whatever_is_no_token_is_unknown(world: ServicesWorld, hooks: Hooks, token: str) -> None:
    await hooks.issue(ADMIN)
    with pytest.raises(HookUnknown):
        await hooks.receive(token)
    assert world.nudges == 0


async def test_a_part_of_a_token_or_its_digest_opens_nothing(world: ServicesWorld, hooks: Hooks) -> None:
    made = await hooks.issue(ADMIN)
    (stored,) = await world.rows(RefreshHook)
    for wrong in (made.token[:-1], made.token + "A", made.token.swapcase(), stored.digest.hex()):
        with pytest.raises(HookUnknown):
            await hooks.receive(wrong)


# --- what a call starts


async def test_a_call_starts_the_exports_attached_to_the_refresh_and_no_others(
    world: ServicesWorld, hooks: Hooks, clock: time_machine.Traveller
) -> None:
    connection = await world.shared()
    with_refresh = await attached(world, connection, "VIP", "VIP")
    await attached(world, connection, "By hand", "New", when=When.MANUAL)
    paused = await attached(world, connection, "Paused", "Lost")
    await world.exports.pause(ADMIN, id_of(paused))
    detached = await attached(world, connection, "Detached", "客戶細分")
    await world.exports.detach(ADMIN, id_of(detached))
    made = await hooks.issue(ADMIN)
    runs = await hooks.receive(made.token)
    (run,) = await world.rows(Run)
    assert [each.id for each in runs] == [run.id]
    assert (run.export_id, run.trigger, run.started_by, run.due_at) == (with_refresh.id, Trigger.REFRESH, "", START)
    assert (run.status, world.nudges) == (RunStatus.QUEUED, 1)
    assert await world.heard("schedule.skipped") == []


async def test_a_call_starts_nothing_of_another_workspace(world: ServicesWorld, hooks: Hooks) -> None:
    await attached(world, await world.shared(), "VIP", "VIP")
    theirs = await hooks.issue(STRANGER)
    assert await hooks.receive(theirs.token) == []
    assert await world.rows(Run) == []
    assert [entry.team_id for entry in await world.rows(AuditEntry) if entry.action == "refresh.reported"] == [
        OTHER_TEAM
    ]


@pytest.mark.parametrize("later", [timedelta(0), timedelta(seconds=5), REPEAT - timedelta(seconds=1)])
async def test_a_repeated_call_starts_nothing_twice(
    world: ServicesWorld, hooks: Hooks, clock: time_machine.Traveller, later: timedelta
) -> None:
    await attached(world, await world.shared(), "VIP", "VIP")
    made = await hooks.issue(ADMIN)
    (run,) = await hooks.receive(made.token)
    await world.set_run(run, RunStatus.DONE)
    clock.shift(later)
    assert await hooks.receive(made.token) == []
    assert len(await world.rows(Run)) == 1
    assert [action for _, action, _ in await world.audited()].count("refresh.reported") == 1


async def test_calls_at_the_same_moment_start_one_run(world: ServicesWorld, hooks: Hooks) -> None:
    await attached(world, await world.shared(), "VIP", "VIP")
    made = await hooks.issue(ADMIN)
    second = Database(world.database.url)
    await second.open()
    try:
        processes = (hooks, Hooks(second, nudge=world.nudge))
        answers = await asyncio.gather(*(each.receive(made.token) for each in processes * 3))
    finally:
        await second.close()
    assert sorted(map(len, answers)) == [0, 0, 0, 0, 0, 1]
    assert (len(await world.rows(Run)), world.nudges) == (1, 1)


async def test_repetitions_do_not_put_off_the_next_refresh(
    world: ServicesWorld, hooks: Hooks, clock: time_machine.Traveller
) -> None:
    await attached(world, await world.shared(), "VIP", "VIP")
    made = await hooks.issue(ADMIN)
    for _ in range(3):
        for run in await hooks.receive(made.token):
            await world.set_run(run, RunStatus.DONE)
        clock.shift(REPEAT * 0.6)
    due = [run.due_at for run in await world.rows(Run)]
    assert due == [START, START + REPEAT * 1.2]


async def test_a_clock_that_was_set_back_does_not_silence_the_webhook(
    world: ServicesWorld, hooks: Hooks, clock: time_machine.Traveller
) -> None:
    await attached(world, await world.shared(), "VIP", "VIP")
    made = await hooks.issue(ADMIN)
    (run,) = await hooks.receive(made.token)
    await world.set_run(run, RunStatus.DONE)
    clock.shift(-timedelta(days=1))
    assert len(await hooks.receive(made.token)) == 1


async def test_a_token_that_is_revoked_while_a_call_comes_in_starts_nothing(
    world: ServicesWorld, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    await attached(world, await world.shared(), "VIP", "VIP")
    made = await hooks.issue(ADMIN)
    look = hooks._team_with

    async def overtaken(digest: bytes) -> str:
        team_id = await look(digest)
        await hooks.rotate(ADMIN)
        return team_id

    monkeypatch.setattr(hooks, "_team_with", overtaken)
    with pytest.raises(HookUnknown):
        await hooks.receive(made.token)
    assert await world.rows(Run) == []


# --- what stands in the way


async def test_an_export_that_can_not_run_is_told_of_and_the_others_go_on(
    world: ServicesWorld, hooks: Hooks, clock: time_machine.Traveller
) -> None:
    connection = await world.shared()
    busy = await attached(world, connection, "Busy", "VIP")
    free = await attached(world, connection, "Free", "New")
    by_hand = await world.runs.start(ADMIN, id_of(busy))
    await world.set_run(await world.running(by_hand), RunStatus.RUNNING, stage=Stage.READING)
    made = await hooks.issue(ADMIN)
    assert [run.export_id for run in await hooks.receive(made.token)] == [free.id]
    (told,) = await world.heard("schedule.skipped")
    assert (told.channel, told.facts["export"], told.facts["code"]) == ("C0MARKETING", "Busy", AlreadyRunning.code)
    assert told.facts["due"] == START.isoformat()
    assert ("webhook", "schedule.skipped", f"export/{busy.id}") in await world.audited()
    await hooks.receive(made.token)
    assert len(await world.heard("schedule.skipped")) == 1


@pytest.mark.parametrize(
    ("status", "stage"),
    [
        (RunStatus.QUEUED, Stage.WAITING),
        (RunStatus.RUNNING, Stage.WAITING),
        (RunStatus.RUNNING, Stage.DRAINING),
    ],
)
async def test_a_run_that_has_not_begun_to_read_will_see_the_refresh_and_needs_no_second(
    world: ServicesWorld, hooks: Hooks, status: RunStatus, stage: Stage
) -> None:
    export = await attached(world, await world.shared(), "VIP", "VIP")
    run = await world.runs.start(ADMIN, id_of(export))
    await world.set_run(run, status, stage=stage)
    made = await hooks.issue(ADMIN)
    assert await hooks.receive(made.token) == []
    assert await world.heard("schedule.skipped") == []


async def test_nobody_is_told_of_an_export_whose_consent_was_withdrawn(world: ServicesWorld, hooks: Hooks) -> None:
    connection = await world.shared()
    await attached(world, connection, "VIP", "VIP")
    async with world.database.write() as session:
        stored = await session.get_one(Connection, connection.id)
        stored.state, stored.api_key = ConnectionState.WITHDRAWN, None
        session.add(stored)
    made = await hooks.issue(ADMIN)
    assert await hooks.receive(made.token) == []
    assert await world.heard("schedule.skipped") == []
    assert world.nudges == 0


async def test_a_consent_that_no_longer_covers_the_brand_is_told(world: ServicesWorld, hooks: Hooks) -> None:
    connection = await world.shared()
    await attached(world, connection, "VIP", "VIP")
    async with world.database.write() as session:
        stored = await session.get_one(Connection, connection.id)
        stored.brand_id = "another brand"
        session.add(stored)
    made = await hooks.issue(ADMIN)
    assert await hooks.receive(made.token) == []
    assert [message.facts["code"] for message in await world.heard("schedule.skipped")] == ["consent-outdated"]


async def test_an_open_question_about_older_data_is_closed(world: ServicesWorld, hooks: Hooks) -> None:
    export = await attached(world, await world.shared(), "VIP", "VIP")
    asking = await world.asking(await world.runs.start(ADMIN, id_of(export)))
    made = await hooks.issue(ADMIN)
    (run,) = await hooks.receive(made.token)
    assert run.id != asking.id
    assert (await world.row(Run, asking.id)).status is RunStatus.SKIPPED


# --- the record


async def test_every_step_is_audited_and_no_record_holds_the_token(world: ServicesWorld, hooks: Hooks) -> None:
    await attached(world, await world.shared(), "VIP", "VIP")
    before = len(await world.audited())
    with capture_logs() as logs:
        tokens = [(await hooks.issue(ADMIN)).token]
        (run,) = await hooks.receive(tokens[0])
        tokens.append((await hooks.rotate(ADMIN)).token)
        await hooks.receive(tokens[1])
        with pytest.raises(HookUnknown):
            await hooks.receive(tokens[0])
        await hooks.revoke(ADMIN)
    workspace = f"workspace/{TEAM}"
    assert (await world.audited())[before:] == [
        (ADMIN.user_id, "hook.issued", workspace),
        ("webhook", "run.started", f"run/{run.id}"),
        ("webhook", "refresh.reported", workspace),
        (ADMIN.user_id, "hook.rotated", workspace),
        (ADMIN.user_id, "hook.revoked", workspace),
    ]
    assert [entry["event"] for entry in logs] == ["a refresh was reported", "a refresh was reported again"]
    records = str([entry.facts for entry in await world.rows(AuditEntry)] + logs)
    assert all(token not in records for token in tokens)


async def test_the_schema_after_all_migrations_is_that_of_the_models(world: ServicesWorld) -> None:
    async with world.database._engine.connect() as connection:
        assert (
            await connection.run_sync(
                lambda sync: compare_metadata(MigrationContext.configure(sync), SQLModel.metadata)
            )
            == []
        )


# --- the gate


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_client_may_call_so_often_in_any_window_and_is_told_when_it_may_again() -> None:
    clock = Clock()
    gate = Gate(Rate(3, 60), clock)
    waits = []
    for _ in range(5):
        waits.append(gate.wait("1.2.3.4"))
        clock.now += 10
    assert waits == [0, 0, 0, 30, 20]
    clock.now = 1_060
    assert [gate.wait("1.2.3.4"), gate.wait("1.2.3.4")] == [0, 10]


def test_one_client_takes_nothing_from_another() -> None:
    gate = Gate(Rate(1, 60), Clock())
    assert gate.wait("1.2.3.4") == 0
    assert gate.wait("1.2.3.4") > 0
    assert gate.wait("5.6.7.8") == 0


def test_a_crowd_of_clients_neither_fills_the_memory_nor_gets_in() -> None:
    clock = Clock()
    gate = Gate(Rate(1, 60), clock)
    assert sum(gate.wait(f"client {n}") == 0 for n in range(5 * MOST_CLIENTS)) == MOST_CLIENTS
    assert len(gate._calls) == MOST_CLIENTS
    clock.now += 60
    assert gate.wait("one of them") == 0
    assert len(gate._calls) == 1


def test_a_rate_of_nothing_sets_no_limit() -> None:
    gate = Gate(Rate(0, 1), Clock())
    assert {gate.wait("1.2.3.4") for _ in range(1_000)} == {0}


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("", False)],  # noqa: S104
)
def test_only_addresses_of_this_machine_count_as_loopback(host: str, loopback: bool) -> None:
    assert server_module._is_loopback(host) is loopback
