"""Whether a refresh of Customer Insights is known to run: by the workspace's times, a margin, and reports of its end.

Reference: customer-insights.md §4 (daily or weekly, up to four times, a time zone; readers wait until it has finished).
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.pipeline.refresh_window import KnownRefreshes, RefreshTimes
from bot.pipeline.schedule import WallClock
from storage.models import RefreshHook, Schedule
from tests.unit.services_world import OTHER_TEAM, TEAM, ServicesWorld, services_world

BERLIN = "Europe/Berlin"
DAYS = list(range(7))


def at(text: str, zone: str = BERLIN) -> datetime:
    """A local time such as `2026-05-04 06:00` in UTC; of a repeated hour the first pass."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def refreshes(
    *times: str,
    weekdays: list[int] = DAYS,
    zone: str = BERLIN,
    margin: float = 120,
    ended: datetime | None = None,
) -> RefreshTimes:
    schedule = Schedule(team_id=TEAM, times=list(times), weekdays=weekdays, zone=zone)
    found = RefreshTimes.of(schedule, margin, ended)
    assert found is not None
    return found


# --- by the clock


@pytest.mark.parametrize(
    ("moment", "end"),
    [
        ("2026-05-04 05:59:59", None),
        ("2026-05-04 06:00", "2026-05-04 08:00"),
        ("2026-05-04 07:59:59", "2026-05-04 08:00"),
        ("2026-05-04 08:00", None),
        ("2026-05-04 18:30", "2026-05-04 20:30"),
        ("2026-05-05 06:30", "2026-05-05 08:00"),
    ],
)
def test_a_refresh_runs_from_its_time_until_the_margin_is_over(moment: str, end: str | None) -> None:
    assert refreshes("06:00", "18:30").running_at(at(moment)) == (at(end) if end else None)


def test_a_refresh_late_in_the_evening_runs_on_past_midnight() -> None:
    mondays = refreshes("23:00", weekdays=[0])
    assert mondays.running_at(at("2026-05-05 00:30")) == at("2026-05-05 01:00")
    assert mondays.running_at(at("2026-05-04 00:30")) is None
    assert mondays.running_at(at("2026-05-05 23:30")) is None


def test_of_refreshes_that_overlap_the_last_one_says_when_it_is_over() -> None:
    assert refreshes("02:00", "03:00").running_at(at("2026-05-04 03:30")) == at("2026-05-04 05:00")


def test_a_margin_longer_than_a_day_reaches_back_to_every_refresh_that_may_still_run() -> None:
    weekly = refreshes("06:00", weekdays=[0], margin=3 * 24 * 60)
    assert weekly.running_at(at("2026-05-07 05:59")) == at("2026-05-07 06:00")
    assert weekly.running_at(at("2026-05-07 06:00")) is None


def test_without_a_margin_no_refresh_is_known_to_run() -> None:
    instant = refreshes("06:00", margin=0)
    assert instant.running_at(at("2026-05-04 06:00")) is None
    assert instant.refreshing(at("2026-05-04 05:00"), at("2026-05-04 07:00")) is None


def test_a_schedule_that_is_off_says_nothing_of_refreshes() -> None:
    schedule = Schedule(team_id=TEAM, times=["06:00"], zone=BERLIN, active=False)
    assert RefreshTimes.of(schedule, 120) is None


# --- when clocks change


@pytest.mark.parametrize(
    ("moment", "end"),
    [
        # 29 March 2026: from 02:00 to 03:00 in Berlin. A refresh at 01:30 ends two hours later, at 04:30 by the clock.
        ("2026-03-29T00:29:59+00:00", None),
        ("2026-03-29T00:30:00+00:00", "2026-03-29T02:30:00+00:00"),
        ("2026-03-29T02:29:59+00:00", "2026-03-29T02:30:00+00:00"),
        ("2026-03-29T02:30:00+00:00", None),
        # 25 October 2026: from 03:00 back to 02:00. 01:30 is summer time, and two hours later it is 02:30 once more.
        ("2026-10-24T23:30:00+00:00", "2026-10-25T01:30:00+00:00"),
        ("2026-10-25T01:29:59+00:00", "2026-10-25T01:30:00+00:00"),
        ("2026-10-25T01:30:00+00:00", None),
    ],
)
def test_the_margin_is_real_time_on_days_when_clocks_change(moment: str, end: str | None) -> None:
    found = refreshes("01:30").running_at(datetime.fromisoformat(moment))
    assert found == (datetime.fromisoformat(end) if end else None)


def test_a_time_that_the_clocks_skip_comes_right_after_the_gap() -> None:
    skipped = refreshes("02:30", margin=30)
    assert skipped.running_at(datetime(2026, 3, 29, 1, 0, tzinfo=UTC)) is None  # 03:00 summer time
    assert skipped.running_at(datetime(2026, 3, 29, 1, 30, tzinfo=UTC)) is not None  # 03:30


def test_of_a_repeated_hour_only_the_first_pass_begins_a_refresh() -> None:
    repeated = refreshes("02:30", margin=30)
    assert repeated.running_at(datetime(2026, 10, 25, 0, 45, tzinfo=UTC)) == datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
    assert repeated.running_at(datetime(2026, 10, 25, 1, 45, tzinfo=UTC)) is None


# --- reports


def test_a_report_ends_the_refresh_before_its_margin_is_over() -> None:
    told = refreshes("06:00", ended=at("2026-05-04 06:40"))
    assert told.running_at(at("2026-05-04 06:39:59")) == at("2026-05-04 06:40")
    assert told.running_at(at("2026-05-04 06:40")) is None
    assert told.running_at(at("2026-05-05 06:40")) == at("2026-05-05 08:00")


def test_a_report_from_before_the_refresh_says_nothing_about_it() -> None:
    assert refreshes("06:00", ended=at("2026-05-04 05:59")).running_at(at("2026-05-04 07:00")) == at("2026-05-04 08:00")
    assert refreshes("06:00", ended=at("2026-05-04 06:00")).running_at(at("2026-05-04 07:00")) == at("2026-05-04 08:00")


def test_a_report_that_comes_after_the_margin_changes_nothing() -> None:
    late = refreshes("06:00", ended=at("2026-05-04 09:00"))
    assert late.running_at(at("2026-05-04 07:00")) == at("2026-05-04 08:00")
    assert late.running_at(at("2026-05-04 08:30")) is None


def test_a_report_ends_every_refresh_that_had_begun() -> None:
    assert refreshes("02:00", "03:00", ended=at("2026-05-04 03:20")).running_at(at("2026-05-04 03:30")) is None


# --- a stretch of time, as a reading takes it


@pytest.mark.parametrize(
    ("since", "until", "end"),
    [
        ("2026-05-04 05:00", "2026-05-04 05:59", None),
        ("2026-05-04 05:00", "2026-05-04 06:00", "2026-05-04 06:40"),  # began while it was read
        ("2026-05-04 06:39", "2026-05-04 07:00", "2026-05-04 06:40"),  # had not ended when reading began
        ("2026-05-04 06:40", "2026-05-04 12:00", None),
        ("2026-05-04 05:00", "2026-05-05 07:00", "2026-05-05 08:00"),
    ],
)
def test_a_reading_is_touched_by_every_refresh_that_ran_meanwhile(since: str, until: str, end: str | None) -> None:
    told = refreshes("06:00", ended=at("2026-05-04 06:40"))
    assert told.refreshing(at(since), at(until)) == (at(end) if end else None)


@settings(max_examples=100, deadline=None)
@given(
    times=st.lists(st.times().map(lambda each: each.replace(second=0, microsecond=0)), min_size=1, max_size=4),
    weekdays=st.sets(st.integers(0, 6), min_size=1),
    zone=st.sampled_from([BERLIN, "America/Havana", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    margin=st.integers(1, 60 * 30),
    begin=st.integers(0, 60 * 24 * 400),
    minutes=st.integers(0, 600),
    ended=st.none() | st.integers(-60 * 48, 60 * 48),
)
def test_a_stretch_of_time_is_touched_exactly_if_one_of_its_minutes_is(
    times: list[time], weekdays: set[int], zone: str, margin: int, begin: int, minutes: int, ended: int | None
) -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=begin)
    told = None if ended is None else since + timedelta(minutes=ended)
    known = RefreshTimes(WallClock(times, ZoneInfo(zone), weekdays), timedelta(minutes=margin), told)
    stretch = [since + timedelta(minutes=n) for n in range(minutes + 1)]
    ends = [end for moment in stretch if (end := known.running_at(moment))]
    assert known.refreshing(since, stretch[-1]) == max(ends, default=None)
    assert all(end > since for end in ends)


# --- what all workspaces know


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ServicesWorld]:
    async with services_world(tmp_path) as world:
        yield world


async def known(world: ServicesWorld, margin: float = 120) -> KnownRefreshes:
    found = KnownRefreshes(margin)
    async with world.database.read() as session:
        await found.reload(session)
    return found


async def test_the_clock_of_a_source_knows_the_refreshes_of_every_workspace(world: ServicesWorld) -> None:
    async with world.database.write() as session:
        session.add(Schedule(team_id=TEAM, times=["06:00"], zone=BERLIN))
        session.add(Schedule(team_id=OTHER_TEAM, times=["07:00"], zone=BERLIN))
        session.add(RefreshHook(team_id=TEAM, digest=b"", refreshed_at=at("2026-05-04 06:30")))
    clock = await known(world)
    moments = ("06:10", "06:45", "07:10", "09:00")
    assert [clock.refreshing(at(f"2026-05-04 {moment}"), at(f"2026-05-04 {moment}")) for moment in moments] == [
        at("2026-05-04 06:30"),
        None,
        at("2026-05-04 09:00"),
        None,
    ]


async def test_the_recurrence_of_an_export_is_no_refresh(world: ServicesWorld) -> None:
    connection = await world.connection()
    export = await world.export(connection)
    async with world.database.write() as session:
        session.add(Schedule(team_id=TEAM, export_id=export.id, times=["06:00"], zone=BERLIN))
    assert (await known(world)).refreshing(at("2026-05-04 06:30"), at("2026-05-04 06:30")) is None


async def test_without_schedules_nothing_is_known(world: ServicesWorld) -> None:
    assert (await known(world)).refreshing(at("2026-05-04 00:00"), at("2026-05-05 00:00")) is None
