"""The schedule: the wall-clock trigger's proof, ticks that happen once, what was missed, and the guard's questions.

Reference: toolbox.md §7 (APScheduler and the clocks: its proof is repeated here), customer-insights.md §4 (refresh).
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.pipeline.schedule import Scheduler, WallClock, expire_questions, next_due, tick
from bot.services import consent as consents
from bot.services.schedules import ScheduleDraft
from storage.database import Database
from storage.errors import FerryError
from storage.models import AuditEntry, Connection, Export, Run, RunStatus, Schedule, Trigger, When
from tests.unit.services_world import ADMIN, ANN, TEAM, ServicesWorld, draft, id_of, services_world

HALF_HOURS = [time(hour, minute) for hour in range(24) for minute in (0, 30)]
ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Asia/Hong_Kong",  # no change of clocks
    "Asia/Kathmandu",  # +05:45
    "Australia/Lord_Howe",  # changes by half an hour
    "Africa/Cairo",  # skips midnight
    "America/Havana",  # skips midnight, and repeats 00:30
    "America/Santiago",  # the southern summer
]
BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 5, 4, 5, 0, tzinfo=UTC)  # a Monday, 07:00 in Berlin


def fires(trigger: WallClock, first: datetime, last: datetime) -> Iterator[datetime]:
    """Every time at which the trigger fires, asked as APScheduler asks."""
    due = trigger.get_next_fire_time(None, first)
    while due is not None and due < last:
        yield due
        due = trigger.get_next_fire_time(due, due)


# --- the trigger


@pytest.mark.parametrize("zone", [ZoneInfo(name) for name in ZONES], ids=ZONES)
def test_each_time_of_day_comes_exactly_once_on_every_day_of_a_year(zone: ZoneInfo) -> None:
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]
    first, last = (datetime.combine(day, time(0), zone).astimezone(UTC) for day in (days[0], date(2027, 1, 1)))
    for at in HALF_HOURS:
        due = list(fires(WallClock([at], zone), first, last))
        assert [moment.astimezone(zone).date() for moment in due] == days, at
        late = {moment.astimezone(zone).replace(tzinfo=None) - datetime.combine(day, at)
                for day, moment in zip(days, due, strict=True)}  # fmt: skip
        assert late <= {timedelta(0), timedelta(minutes=30), timedelta(hours=1)}, at


@pytest.mark.parametrize(
    ("at", "day", "due"),
    [
        ("02:30", date(2026, 3, 28), "2026-03-28T01:30+00:00"),
        ("02:30", date(2026, 3, 29), "2026-03-29T01:30+00:00"),  # 03:30 summer time: 02:30 does not exist
        ("02:30", date(2026, 3, 30), "2026-03-30T00:30+00:00"),
        ("02:30", date(2026, 10, 24), "2026-10-24T00:30+00:00"),
        ("02:30", date(2026, 10, 25), "2026-10-25T00:30+00:00"),  # the first 02:30 of two
        ("02:30", date(2026, 10, 26), "2026-10-26T01:30+00:00"),
        ("00:00", date(2026, 3, 30), "2026-03-29T22:00+00:00"),  # the day after the clocks changed
        ("00:00", date(2026, 10, 26), "2026-10-25T23:00+00:00"),
        ("00:30", date(2026, 3, 30), "2026-03-29T22:30+00:00"),
    ],
)
def test_clock_changes_in_berlin_neither_lose_nor_double_a_run(at: str, day: date, due: str) -> None:
    trigger = WallClock([time.fromisoformat(at)], BERLIN)
    midnight = datetime.combine(day, time(0), BERLIN).astimezone(UTC)
    assert list(fires(trigger, midnight - timedelta(hours=1), midnight + timedelta(hours=20))) == [
        datetime.fromisoformat(due)
    ]


def test_a_weekly_time_at_midnight_is_not_lost_after_the_clocks_change() -> None:
    mondays = WallClock([time(0)], BERLIN, [0])
    due = fires(mondays, datetime(2026, 10, 19, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC))
    assert [moment.astimezone(BERLIN).date().isoformat() for moment in due] == ["2026-10-26", "2026-11-02"]


def test_two_times_that_become_one_when_the_clocks_change_fire_once() -> None:
    trigger = WallClock([time(2, 30), time(3, 30)], BERLIN)
    day = datetime(2026, 3, 29, tzinfo=UTC)
    assert len(list(fires(trigger, day, day + timedelta(hours=20)))) == 1


def test_without_times_or_days_nothing_ever_fires() -> None:
    assert WallClock([], BERLIN).get_next_fire_time(None, START) is None
    assert WallClock([time(6)], BERLIN, []).get_next_fire_time(None, START) is None


@settings(max_examples=200, deadline=None)
@given(
    times=st.lists(st.times().map(lambda at: at.replace(second=0, microsecond=0)), min_size=1, max_size=4),
    zone=st.sampled_from(ZONES),
    weekdays=st.sets(st.integers(0, 6), min_size=1),
    start=st.integers(0, 15 * 365 * 24 * 60).map(lambda n: START + timedelta(minutes=n)),
)
def test_every_due_time_is_later_than_the_one_before_and_on_a_chosen_day(
    times: list[time], zone: str, weekdays: set[int], start: datetime
) -> None:
    trigger = WallClock(times, ZoneInfo(zone), weekdays)
    before = start
    for _ in range(10):
        due = trigger.get_next_fire_time(before, before)
        assert due is not None
        assert due > before
        assert due - before <= timedelta(days=8)
        assert due.astimezone(ZoneInfo(zone)).weekday() in weekdays
        before = due


# --- the scheduler


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ServicesWorld]:
    async with services_world(tmp_path) as world:
        yield world


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


async def scheduled(world: ServicesWorld, times: tuple[str, ...] = ("08:00",), **changes: object) -> Export:
    """An export with times of its own in Berlin; it is 07:00 there."""
    connection = await world.shared()
    schedule = ScheduleDraft(times, zone="Europe/Berlin")
    settings: dict[str, object] = {"when": When.OWN, "schedule": schedule, "channel": "C0MARKETING"}
    return await world.export(connection, ANN, **settings | changes)


@asynccontextmanager
async def scheduler_of(world: ServicesWorld) -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(world.database, obstacle=world.obstacle, nudge=world.nudge)
    await scheduler.start()
    try:
        await settle(scheduler)
        yield scheduler
    finally:
        await scheduler.stop()


async def settle(scheduler: Scheduler) -> None:
    """Let APScheduler look at the clock, and wait for what it starts."""
    scheduler._scheduler._process_jobs()
    while pending := set(scheduler._scheduler._executors["default"]._pending_futures):
        await asyncio.wait(pending)
        await asyncio.sleep(0)


async def test_a_tick_inserts_the_run_with_its_due_time_and_nudges_the_dispatcher(
    world: ServicesWorld, clock: time_machine.Traveller
) -> None:
    export = await scheduled(world)
    async with scheduler_of(world) as scheduler:
        assert await world.rows(Run) == []
        clock.shift(timedelta(hours=1))
        await settle(scheduler)
        (run,) = await world.rows(Run)
        assert (run.export_id, run.trigger, run.started_by) == (export.id, Trigger.OWN, "")
        assert run.due_at == START + timedelta(hours=1)
        assert world.nudges == 1
        assert ("schedule", "run.started", f"run/{run.id}") in await world.audited()
        (schedule,) = await world.rows(Schedule)
        assert schedule.next_due == START + timedelta(hours=25)


async def test_the_schedule_goes_on_day_after_day(world: ServicesWorld, clock: time_machine.Traveller) -> None:
    await scheduled(world)
    async with scheduler_of(world) as scheduler:
        clock.shift(timedelta(hours=1))
        for _ in range(3):
            await settle(scheduler)
            (run,) = await world.runs.active(ADMIN)
            await world.set_run(run, RunStatus.DONE)
            clock.shift(timedelta(days=1))
    assert [run.due_at for run in await world.rows(Run)] == [START + timedelta(days=n, hours=1) for n in range(3)]


async def test_a_new_schedule_counts_as_soon_as_it_is_reloaded(
    world: ServicesWorld, clock: time_machine.Traveller
) -> None:
    async with scheduler_of(world) as scheduler:
        await scheduled(world)
        await scheduler.reload()
        clock.shift(timedelta(hours=1))
        await settle(scheduler)
        assert len(await world.rows(Run)) == 1


async def test_a_removed_schedule_starts_nothing_even_before_it_is_reloaded(
    world: ServicesWorld, clock: time_machine.Traveller
) -> None:
    export = await scheduled(world)
    async with scheduler_of(world) as scheduler:
        await world.exports.remove(ANN, id_of(export))
        clock.shift(timedelta(hours=1))
        await settle(scheduler)
        await scheduler.reload()
        assert await world.rows(Run) == []
        assert [job.id for job in scheduler._scheduler.get_jobs() if job.id.startswith("schedule/")] == []


async def test_a_schedule_that_changed_counts_with_its_new_time(
    world: ServicesWorld, clock: time_machine.Traveller
) -> None:
    export = await scheduled(world)
    async with scheduler_of(world) as scheduler:
        later = ScheduleDraft(("09:00",), zone="Europe/Berlin")
        connection = await world.row(Connection, export.connection_id)
        await world.exports.save(ANN, draft(connection, when=When.OWN, schedule=later), id_of(export))
        await scheduler.reload()
        clock.shift(timedelta(hours=1))
        await settle(scheduler)
        assert await world.rows(Run) == []
        clock.shift(timedelta(hours=1))
        await settle(scheduler)
        assert [run.due_at for run in await world.rows(Run)] == [START + timedelta(hours=2)]


async def test_reading_the_schedules_again_leaves_the_unchanged_ones_alone(
    world: ServicesWorld, clock: time_machine.Traveller
) -> None:
    await scheduled(world)
    async with scheduler_of(world) as scheduler:
        before = scheduler._scheduler.get_job("schedule/1")
        await scheduler.reload()
        assert scheduler._scheduler.get_job("schedule/1") is before


async def test_a_schedule_that_another_process_set_is_found_within_a_minute(
    world: ServicesWorld, clock: time_machine.Traveller
) -> None:
    async with scheduler_of(world) as scheduler:
        await scheduled(world)
        clock.shift(timedelta(minutes=1))
        await settle(scheduler)
        clock.shift(timedelta(minutes=59))
        await settle(scheduler)
        assert len(await world.rows(Run)) == 1


# --- two processes, crashes


async def test_two_processes_make_one_run_of_a_tick(world: ServicesWorld, clock: time_machine.Traveller) -> None:
    await scheduled(world)
    second = Database(world.database.url)
    await second.open()
    try:
        other = ServicesWorld(second, world.keys)
        async with scheduler_of(world) as one, scheduler_of(other) as two:
            clock.shift(timedelta(hours=1))
            await asyncio.gather(settle(one), settle(two))
        assert len(await world.rows(Run)) == 1
        assert world.nudges + other.nudges == 1
        assert await world.heard("schedule.skipped") == []
    finally:
        await second.close()


async def test_a_tick_that_fails_changes_nothing_and_is_made_up_for_within_a_minute(
    world: ServicesWorld, clock: time_machine.Traveller
) -> None:
    await scheduled(world)
    trouble = True

    async def obstacle(session: AsyncSession, export: Export) -> FerryError | None:
        if trouble:
            raise RuntimeError("the disk hiccups")
        return await world.obstacle(session, export)

    scheduler = Scheduler(world.database, obstacle=obstacle, nudge=world.nudge)
    await scheduler.start()
    try:
        clock.shift(timedelta(hours=1))
        await settle(scheduler)
        assert await world.rows(Run) == []
        assert (await world.rows(Schedule))[0].next_due == START + timedelta(hours=1)
        trouble = False
        clock.shift(timedelta(minutes=1))
        await settle(scheduler)
        assert len(await world.rows(Run)) == 1
    finally:
        await scheduler.stop()


async def test_stopping_waits_for_a_tick_that_is_under_way(world: ServicesWorld, clock: time_machine.Traveller) -> None:
    await scheduled(world)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def obstacle(session: AsyncSession, export: Export) -> FerryError | None:
        reached.set()
        await go_on.wait()
        return None

    scheduler = Scheduler(world.database, obstacle=obstacle, nudge=world.nudge)
    await scheduler.start()
    clock.shift(timedelta(hours=1))
    scheduler._scheduler._process_jobs()
    await reached.wait()
    stopping = asyncio.create_task(scheduler.stop())
    await asyncio.sleep(0)
    go_on.set()
    await stopping
    assert len(await world.rows(Run)) == 1


# --- missed


@pytest.mark.parametrize("late", [timedelta(0), timedelta(minutes=30), timedelta(hours=1)])
async def test_what_was_missed_by_an_hour_at_most_runs_once_on_return(
    world: ServicesWorld, clock: time_machine.Traveller, late: timedelta
) -> None:
    await scheduled(world)
    clock.shift(timedelta(hours=1) + late)
    async with scheduler_of(world):
        (run,) = await world.rows(Run)
        assert run.due_at == START + timedelta(hours=1)
        assert await world.heard("schedule.missed") == []


async def test_what_was_missed_by_more_is_told_and_not_run(world: ServicesWorld, clock: time_machine.Traveller) -> None:
    export = await scheduled(world)
    clock.shift(timedelta(hours=2, seconds=1))
    async with scheduler_of(world):
        assert await world.rows(Run) == []
        (message,) = await world.heard("schedule.missed")
        assert message.channel == "C0MARKETING"
        assert message.facts == {
            "export_ids": [export.id],
            "exports": ["VIP to shop"],
            "due": (START + timedelta(hours=1)).isoformat(),
            "late_seconds": 3_601,
            "missed": 1,
            "next_due": (START + timedelta(hours=25)).isoformat(),
        }


async def test_several_missed_times_make_one_run_if_the_last_is_not_too_late(
    world: ServicesWorld, clock: time_machine.Traveller
) -> None:
    await scheduled(world, ("08:00", "12:00"))
    clock.shift(timedelta(days=2, hours=5, minutes=10))
    async with scheduler_of(world):
        (run,) = await world.rows(Run)
        assert run.due_at == START + timedelta(days=2, hours=5)


async def test_several_missed_times_that_are_all_too_late_make_one_message(
    world: ServicesWorld, clock: time_machine.Traveller
) -> None:
    await scheduled(world)
    clock.shift(timedelta(days=3, hours=5))
    async with scheduler_of(world):
        (message,) = await world.heard("schedule.missed")
        assert message.facts["missed"] == 4


async def test_nobody_is_told_of_a_missed_run_that_would_not_have_been(
    world: ServicesWorld, clock: time_machine.Traveller
) -> None:
    export = await scheduled(world)
    await world.exports.pause(ANN, id_of(export))
    clock.shift(timedelta(hours=5))
    async with scheduler_of(world):
        assert await world.heard("schedule.missed") == []
        assert (await world.rows(Schedule))[0].next_due == START + timedelta(hours=25)


# --- what stands in the way


async def test_a_run_that_is_still_going_on_is_told_as_a_skipped_tick_and_not_as_an_error(
    world: ServicesWorld, clock: time_machine.Traveller
) -> None:
    export = await scheduled(world)
    await world.runs.start(ANN, id_of(export))
    clock.shift(timedelta(hours=1))
    async with scheduler_of(world):
        assert len(await world.rows(Run)) == 1
        (message,) = await world.heard("schedule.skipped")
        assert (message.channel, message.facts["export_id"]) == ("C0MARKETING", export.id)
        assert (message.facts["code"], message.facts["due"]) == (
            "already-running",
            (START + timedelta(hours=1)).isoformat(),
        )
        assert (await world.rows(Schedule))[0].next_due == START + timedelta(hours=25)


async def test_a_consent_that_no_longer_holds_is_told_once_to_the_owner_and_to_those_who_can_renew_it(
    world: ServicesWorld, clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.people.set_admins(ADMIN, [ADMIN.user_id])
    await scheduled(world, channel="")
    monkeypatch.setattr(consents, "CONSENT_VERSION", "2031-01.1")
    for wait in (timedelta(hours=1), timedelta(days=1), timedelta(days=1)):
        clock.shift(wait)
        async with scheduler_of(world):
            assert await world.rows(Run) == []
    told = await world.heard("schedule.skipped")
    assert {(one.channel, one.facts["code"]) for one in told} == {
        (ANN.user_id, "consent-outdated"),
        (ADMIN.user_id, "consent-outdated"),
    }
    assert len(told) == 2
    assert "agree" in told[0].facts["text"]
    skipped = [entry for entry in await world.rows(AuditEntry) if entry.action == "schedule.skipped"]
    assert len(skipped) == 3


async def test_what_stands_in_the_way_again_after_a_run_is_told_again(
    world: ServicesWorld, clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scheduled(world, channel="")
    with monkeypatch.context() as newer:
        newer.setattr(consents, "CONSENT_VERSION", "2031-01.1")
        clock.shift(timedelta(hours=1))
        async with scheduler_of(world):
            assert await world.rows(Run) == []
    clock.shift(timedelta(days=1))
    async with scheduler_of(world):
        (run,) = await world.rows(Run)
    async with world.database.write() as session:
        run.status = RunStatus.DONE
        session.add(run)
    monkeypatch.setattr(consents, "CONSENT_VERSION", "2032-01.1")
    clock.shift(timedelta(days=1))
    async with scheduler_of(world):
        assert len([one for one in await world.heard("schedule.skipped") if one.channel == ANN.user_id]) == 2


@pytest.mark.parametrize("state", ["paused", "detached", "withdrawn"])
async def test_what_people_switched_off_is_skipped_in_silence(
    world: ServicesWorld, clock: time_machine.Traveller, state: str
) -> None:
    export = await scheduled(world)
    assert export.connection_id is not None
    match state:
        case "paused":
            await world.exports.pause(ANN, id_of(export))
        case "detached":
            await world.exports.detach(ANN, id_of(export))
        case "withdrawn":
            await world.connections.withdraw(ADMIN, export.connection_id)
    clock.shift(timedelta(hours=1))
    async with scheduler_of(world):
        assert await world.rows(Run) == []
        assert await world.heard("schedule.skipped") == []


async def test_a_scheduled_run_closes_the_question_of_an_older_one(
    world: ServicesWorld, clock: time_machine.Traveller
) -> None:
    export = await scheduled(world)
    older = await world.asking(await world.runs.start(ANN, id_of(export)))
    clock.shift(timedelta(hours=1))
    async with scheduler_of(world):
        assert (await world.row(Run, older.id)).status is RunStatus.SKIPPED
        assert [run.status for run in await world.rows(Run)] == [RunStatus.SKIPPED, RunStatus.QUEUED]


# --- the workspace's refresh


async def test_the_refresh_starts_every_export_that_runs_with_it_and_no_other(
    world: ServicesWorld, clock: time_machine.Traveller
) -> None:
    connection = await world.shared()
    for name, when in (("VIP", When.REFRESH), ("New", When.REFRESH), ("Lost", When.MANUAL)):
        await world.export(connection, ANN, name=name, segments=(name,), when=when)
    paused = await world.export(connection, ANN, name="Paused", segments=("客戶細分",), when=When.REFRESH)
    await world.exports.pause(ANN, id_of(paused))
    await world.schedules.set_refresh(ADMIN, ["08:00"], [0], "Europe/Berlin")
    clock.shift(timedelta(hours=1))
    async with scheduler_of(world):
        runs = await world.rows(Run)
    assert [(run.export_name, run.trigger) for run in runs] == [("VIP", Trigger.REFRESH), ("New", Trigger.REFRESH)]
    assert {run.due_at for run in runs} == {START + timedelta(hours=1)}


async def test_one_export_that_can_not_start_does_not_hold_up_the_others(
    world: ServicesWorld, clock: time_machine.Traveller
) -> None:
    connection = await world.shared()
    busy = await world.export(connection, ANN, name="Busy", segments=("VIP",), when=When.REFRESH)
    await world.export(connection, ANN, name="Free", segments=("New",), when=When.REFRESH)
    under_way = await world.runs.start(ANN, id_of(busy))
    await world.schedules.set_refresh(ADMIN, ["08:00"], range(7), "Europe/Berlin")
    clock.shift(timedelta(hours=1))
    async with scheduler_of(world):
        assert [run.export_name for run in await world.rows(Run)] == ["Busy", "Free"]
        assert [message.facts["export"] for message in await world.heard("schedule.skipped")] == ["Busy"]
        assert (await world.row(Run, under_way.id)).status is RunStatus.QUEUED


async def test_a_refresh_that_is_off_starts_nothing(world: ServicesWorld, clock: time_machine.Traveller) -> None:
    await world.export(await world.shared(), ANN, when=When.REFRESH)
    await world.schedules.set_refresh(ADMIN, ["08:00"], range(7), "Europe/Berlin", active=False)
    clock.shift(timedelta(hours=1))
    async with scheduler_of(world):
        assert await world.rows(Run) == []


async def test_a_missed_refresh_is_told_once_in_each_channel_that_waits_for_it(
    world: ServicesWorld, clock: time_machine.Traveller
) -> None:
    connection = await world.shared()
    for name, channel in (("VIP", "C1"), ("New", "C1"), ("Lost", "")):
        await world.export(connection, ANN, name=name, segments=(name,), when=When.REFRESH, channel=channel)
    await world.schedules.set_refresh(ADMIN, ["08:00"], range(7), "Europe/Berlin")
    clock.shift(timedelta(hours=3))
    async with scheduler_of(world):
        told = {message.channel: message.facts["exports"] for message in await world.heard("schedule.missed")}
    assert told == {"C1": ["VIP", "New"], ANN.user_id: ["Lost"]}


async def test_the_refresh_of_one_workspace_starts_nothing_in_another(
    world: ServicesWorld, clock: time_machine.Traveller
) -> None:
    await world.export(await world.shared(), ANN, when=When.REFRESH)
    async with world.database.write() as session:
        schedule = Schedule(team_id="T0ELSE", times=["08:00"], zone="Europe/Berlin")
        schedule.next_due = next_due(schedule, START)
        session.add(schedule)
    clock.shift(timedelta(hours=1))
    async with scheduler_of(world):
        assert await world.rows(Run) == []


@pytest.mark.parametrize(
    ("day", "at", "due"),
    [
        (date(2026, 3, 29), "02:30", "2026-03-29T01:30+00:00"),
        (date(2026, 10, 25), "02:30", "2026-10-25T00:30+00:00"),
        (date(2026, 3, 30), "00:00", "2026-03-29T22:00+00:00"),
        (date(2026, 10, 26), "00:00", "2026-10-25T23:00+00:00"),
    ],
)
async def test_a_scheduled_export_runs_once_around_a_change_of_clocks(
    world: ServicesWorld, day: date, at: str, due: str
) -> None:
    eve = datetime.combine(day, time(0), BERLIN).astimezone(UTC) - timedelta(minutes=30)
    with time_machine.travel(eve, tick=False) as clock:
        await scheduled(world, (at,))
        async with scheduler_of(world) as scheduler:
            for _ in range(12):
                clock.shift(timedelta(minutes=30))
                await settle(scheduler)
        assert [run.due_at for run in await world.rows(Run)] == [datetime.fromisoformat(due)]


# --- ticks by themselves


async def test_a_tick_that_came_too_early_or_for_nothing_does_nothing(
    world: ServicesWorld, clock: time_machine.Traveller
) -> None:
    await scheduled(world)
    (schedule,) = await world.rows(Schedule)
    assert schedule.id is not None
    async with world.database.write() as session:
        assert await tick(session, schedule.id, world.obstacle, START) == []
        assert await tick(session, 4_711, world.obstacle, START) == []
    assert (await world.rows(Schedule))[0].next_due == schedule.next_due


async def test_a_second_tick_for_the_same_due_time_finds_nothing_left(
    world: ServicesWorld, clock: time_machine.Traveller
) -> None:
    await scheduled(world)
    (schedule,) = await world.rows(Schedule)
    assert schedule.id is not None
    later = START + timedelta(hours=1)
    for expected in (1, 0):
        async with world.database.write() as session:
            assert len(await tick(session, schedule.id, world.obstacle, later)) == expected


# --- the guard's questions


async def test_a_question_that_nobody_answers_expires_with_a_note_after_a_day(
    world: ServicesWorld, clock: time_machine.Traveller
) -> None:
    export = await scheduled(world, when=When.MANUAL)
    run = await world.asking(await world.runs.start(ANN, id_of(export)))
    async with scheduler_of(world) as scheduler:
        clock.shift(timedelta(hours=24))
        await settle(scheduler)
        assert (await world.row(Run, run.id)).status is RunStatus.ASKING
        clock.shift(timedelta(minutes=2))
        await settle(scheduler)
    ended = await world.row(Run, run.id)
    assert (ended.status, ended.notes) == (RunStatus.SKIPPED, [{"kind": "question_expired", "hours": 24}])
    assert [message.channel for message in await world.heard("run.finished")] == ["C0MARKETING"]
    assert ("schedule", "guard.expired", f"run/{run.id}") in await world.audited()


async def test_the_question_of_a_removed_export_expires_in_silence(
    world: ServicesWorld, clock: time_machine.Traveller
) -> None:
    async with world.database.write() as session:
        session.add(Run(team_id=TEAM, export_name="Gone", status=RunStatus.ASKING, ended_at=START))
    async with world.database.write() as session:
        (run,) = await expire_questions(session, START + timedelta(days=2))
    assert run.status is RunStatus.SKIPPED
    assert await world.heard("run.finished") == []
