"""What the clock does: scheduled runs, those that were missed, questions that nobody answers.

reference: the issue's words on schedules and the guard; customer-insights.md §4
"""

from datetime import UTC, datetime, timedelta

import time_machine
from sqlmodel import col, select

from bot.pipeline.schedule import QUESTION_HOURS, expire_questions
from bot.services.schedules import ScheduleDraft
from storage.models import Run, Schedule, When, now
from tests.scenario.conftest import PEOPLE, Ferry, Start


async def _due(ferry: Ferry, ago: timedelta) -> None:
    """Make the schedule due some time ago."""
    async with ferry.app.database.write() as session:
        schedule = (await session.exec(select(Schedule))).one()
        schedule.next_due = now() - ago
        session.add(schedule)


async def _with_own_schedule(start: Start, missed: timedelta) -> None:
    async with start() as ferry:
        await ferry.connect()
        await ferry.set_up(when=When.OWN, schedule=ScheduleDraft(("06:00",)))
        await _due(ferry, missed)


async def test_what_was_missed_by_minutes_runs_once_on_return(start: Start) -> None:
    await _with_own_schedule(start, timedelta(minutes=30))
    async with start() as ferry:
        report = await ferry.vera.message("is up to date at Omnisend", channel="marketing")
        assert "its own schedule" in report.shown


async def test_what_was_missed_by_hours_is_told_and_can_be_run_from_there(start: Start) -> None:
    await _with_own_schedule(start, timedelta(hours=5))
    async with start() as ferry:
        missed = await ferry.vera.message("The bot was down", channel="marketing")
        assert "*Newsletter*" in missed.shown
        assert "Next:" in missed.shown
        await ferry.carl.click("Run now", where="marketing")
        await ferry.vera.message("is up to date at Omnisend", channel="marketing")


async def _runs(ferry: Ferry) -> list[datetime | None]:
    """The due times of the runs so far."""
    async with ferry.app.database.read() as session:
        return list((await session.exec(select(Run.due_at).order_by(col(Run.id)))).all())


async def _next_due(ferry: Ferry) -> datetime | None:
    async with ferry.app.database.read() as session:
        return (await session.exec(select(Schedule.next_due))).one()


async def test_nights_when_the_clocks_change_run_once_and_what_was_missed_between_is_told(start: Start) -> None:
    """02:30 in Berlin: skipped in March (03:30 then, 01:30 UTC), twice in October (the first counts, 00:30 UTC)."""
    spring, autumn = datetime(2026, 3, 29, 1, 30, tzinfo=UTC), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    hour, second = timedelta(hours=1), timedelta(seconds=1)
    with time_machine.travel(spring - hour, tick=True) as clock:
        async with start() as ferry:
            await ferry.connect()
            await ferry.set_up(when=When.OWN, schedule=ScheduleDraft(("02:30",), zone="Europe/Berlin"))
        clock.move_to(spring + second)
        async with start() as ferry:
            await ferry.vera.message("is up to date at Omnisend", channel="marketing")
            assert await _runs(ferry) == [spring]
            assert await _next_due(ferry) == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)
        clock.move_to(autumn - 5 * hour)
        async with start() as ferry:
            await ferry.vera.message("The bot was down", channel="marketing")
            assert await _runs(ferry) == [spring]
        clock.move_to(autumn + second)
        async with start() as ferry:
            await ferry.vera.message(f"*Unchanged*\n{PEOPLE}", channel="marketing")
            assert await _runs(ferry) == [spring, autumn]
            assert await _next_due(ferry) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
        clock.move_to(autumn + hour + second)  # the second 02:30 of that night
        async with start() as ferry:
            await ferry.app.scheduler.reload()
            assert await _runs(ferry) == [spring, autumn]


async def test_a_question_that_nobody_answers_expires_with_a_note(ferry: Ferry) -> None:
    ferry.source.segment("VIP", [])
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    await ferry.vera.message("please look before anything is sent", channel="marketing")
    async with ferry.app.database.write() as session:
        await expire_questions(session, now() + timedelta(hours=QUESTION_HOURS + 1))
    await ferry.vera.message("was skipped: nothing was sent", channel="marketing")
    await ferry.vera.message("Nobody answered within 24 hours", channel="marketing")
    question = await ferry.vera.message("had a question", channel="marketing")
    assert question.buttons == []
