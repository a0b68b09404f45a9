"""Delivery of the outbox, and the live message: order, repeats, and what is given up.

reference: slack-platform.md §2 (rate limits), §8 (posts, edits and their errors)
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from bot.slack.errors import RateLimited, RecipientGone, SlackAway
from bot.slack.gateway import Posted
from bot.slack.live import LiveMessages
from bot.slack.mailbox import Letter, Mailbox
from bot.slack.outbox import MOST_TRIES, Delivery, Outbox
from storage.database import Database
from storage.models import OutboxMessage, OutboxState, Run, RunStatus, Stage
from tests.unit.pipeline_world import until
from tests.unit.slack_double import Clock, refused, scripted_slack

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(f"sqlite+aiosqlite:///{tmp_path / 'ferry.sqlite3'}")
    await opened.open()
    yield opened
    await opened.close()


class Post:
    """Delivers by noting it; `trouble` is raised first, one for each try."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.trouble: list[Exception] = []
        self.redirected: list[str] = []
        self.now = NOON

    async def __call__(self, message: OutboxMessage) -> Delivery:
        if self.trouble:
            raise self.trouble.pop(0)
        self.said.append((message.channel, message.key))
        return Delivery(Posted(message.channel, f"{len(self.said)}.0"))

    async def redirect(self, message: OutboxMessage, error: str) -> tuple[Letter, ...]:
        self.redirected.append(error)
        return (Letter(f"{message.key}-instead", "said", "U1", {}),)


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def outbox(database: Database, post: Post) -> Outbox:
    return Outbox(Mailbox(database), {"said": post}, post.redirect, clock=lambda: post.now)


Put = Callable[..., Any]


@pytest.fixture
def put(database: Database) -> Put:
    async def put(key: str, channel: str = "C1", event: str = "said") -> None:
        async with database.write() as session:
            session.add(OutboxMessage(team_id="T1", key=key, event=event, channel=channel, not_before=NOON))

    return put


async def _rows(database: Database) -> dict[str, OutboxMessage]:
    async with database.read() as session:
        return {row.key: row for row in (await session.exec(select(OutboxMessage))).all()}


async def test_messages_of_a_channel_are_delivered_oldest_first(outbox: Outbox, post: Post, put: Put) -> None:
    for key in ("a", "b", "c"):
        await put(key)
    await outbox.deliver_all()
    assert [key for _, key in post.said] == ["a", "b", "c"]


async def test_a_message_that_waits_holds_up_its_own_channel_only(
    outbox: Outbox, post: Post, put: Put, database: Database
) -> None:
    post.trouble = [SlackAway(method="chat.postMessage", error="status 503")]
    await put("first")
    await put("second")
    await put("elsewhere", channel="C2")
    await outbox.deliver_all()
    assert [key for _, key in post.said] == ["elsewhere"]
    post.now += timedelta(minutes=1)
    await outbox.deliver_all()
    assert [key for _, key in post.said] == ["elsewhere", "first", "second"]
    assert {row.state for row in (await _rows(database)).values()} == {OutboxState.DELIVERED}


async def test_where_a_message_went_is_kept(outbox: Outbox, put: Put, database: Database) -> None:
    await put("a")
    await outbox.deliver_all()
    row = (await _rows(database))["a"]
    assert (row.delivered_channel, row.delivered_ts) == ("C1", "1.0")


async def test_a_rate_limit_is_no_failed_try(outbox: Outbox, post: Post, put: Put, database: Database) -> None:
    post.trouble = [RateLimited(method="chat.postMessage", seconds=30)]
    await put("a")
    await outbox.deliver_all()
    row = (await _rows(database))["a"]
    assert row.attempts == 0
    assert row.not_before == NOON + timedelta(seconds=30)


async def test_pauses_grow_while_slack_is_away_and_stay_short_enough_to_notice_its_return(
    outbox: Outbox, post: Post, put: Put, database: Database
) -> None:
    await put("a")
    pauses = []
    for _ in range(10):
        post.trouble = [SlackAway(method="chat.postMessage", error="status 503")]
        await outbox.deliver_all()
        until = (await _rows(database))["a"].not_before
        pauses.append((until - post.now).total_seconds())
        post.now = until
    assert pauses == sorted(pauses)
    assert pauses[0] < 1
    assert pauses[-1] == 30


async def test_what_slack_will_never_take_is_dropped_with_the_reason_and_told_elsewhere(
    outbox: Outbox, post: Post, put: Put, database: Database
) -> None:
    post.trouble = [RecipientGone(method="chat.postMessage", error="is_archived")]
    await put("a")
    await outbox.deliver_all()
    rows = await _rows(database)
    assert (rows["a"].state, rows["a"].last_error) == (OutboxState.DROPPED, "is_archived")
    assert post.redirected == ["is_archived"]
    post.now = rows["a-instead"].not_before
    await outbox.deliver_all()
    assert post.said == [("U1", "a-instead")]


async def test_a_mistake_of_ours_is_given_up_after_some_tries(
    outbox: Outbox, post: Post, put: Put, database: Database
) -> None:
    await put("a")
    await put("b")
    for _ in range(MOST_TRIES):
        post.trouble = [ValueError("a mistake")]
        await outbox.deliver_all()
        post.now += timedelta(minutes=1)
    await outbox.deliver_all()
    rows = await _rows(database)
    assert rows["a"].state is OutboxState.DROPPED
    assert (rows["a"].last_error or "").startswith("F-")
    assert rows["b"].state is OutboxState.DELIVERED


async def test_an_event_of_a_newer_version_is_no_stumbling_block(
    outbox: Outbox, post: Post, put: Put, database: Database
) -> None:
    await put("a", event="said in another way")
    await put("b")
    await outbox.deliver_all()
    assert [key for _, key in post.said] == ["b"]
    assert (await _rows(database))["a"].state is OutboxState.DROPPED


async def test_what_follows_from_a_delivery_is_put_into_the_outbox_once(database: Database, put: Put) -> None:
    mailbox = Mailbox(database)
    await put("a")
    (message,) = await mailbox.due(NOON)
    follow = (Letter("b", "said", "C1", {"run_id": 1}),)
    await mailbox.delivered(message, Posted("C1", "1.0"), follow)
    await mailbox.delivered(message, Posted("C1", "1.0"), follow)
    assert set(await _rows(database)) == {"a", "b"}


class SlowlyRead(Mailbox):
    """Of what it reads while something is being delivered, it tells only once that has arrived."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.delivering = asyncio.Event()
        self.go_on = asyncio.Event()
        self.arrived = asyncio.Event()

    async def due(self, at: datetime) -> list[OutboxMessage]:
        found = await super().due(at)
        if self.delivering.is_set() and not self.go_on.is_set():
            self.go_on.set()
            await self.arrived.wait()
            await asyncio.sleep(0.02)  # the end of the delivery is noticed
        return found

    async def delivered(self, message: OutboxMessage, *told: Any) -> None:
        await super().delivered(message, *told)
        self.arrived.set()


async def test_what_arrives_while_the_outbox_is_being_read_is_not_said_again(
    database: Database, post: Post, put: Put
) -> None:
    mailbox = SlowlyRead(database)

    async def deliver(message: OutboxMessage) -> Delivery:
        mailbox.delivering.set()
        await mailbox.go_on.wait()
        return await post(message)

    outbox = Outbox(mailbox, {"said": deliver}, post.redirect, clock=lambda: post.now)
    await put("a")
    running = asyncio.create_task(outbox.run())
    await mailbox.arrived.wait()
    await put("b")
    await until(lambda: "b" in [key for _, key in post.said])
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [key for _, key in post.said] == ["a", "b"]


# --- the live message


async def _running(database: Database) -> Run:
    run = Run(
        team_id="T1",
        export_name="VIP",
        status=RunStatus.RUNNING,
        stage=Stage.SENDING,
        sent=10,
        total=100,
        report_channel="C1",
        report_ts="1.0",
    )
    async with database.write() as session:
        session.add(run)
    return run


async def _set(database: Database, run: Run, **values: Any) -> Run:
    async with database.write() as session:
        stored = await session.get_one(Run, run.id)
        for name, value in values.items():
            setattr(stored, name, value)
        session.add(stored)
        return stored


async def test_a_live_message_is_edited_at_most_every_two_seconds(database: Database) -> None:
    clock = Clock()
    run = await _running(database)
    async with scripted_slack(clock) as (double, gateway):
        live = LiveMessages(Mailbox(database), gateway, clock=clock, sleep=clock.sleep)
        for second in range(10):
            clock.now = float(second)
            await _set(database, run, sent=10 + second)
            await live.look()
        assert len(double.called("chat.update")) == 5


async def test_an_unchanged_run_is_not_edited_again(database: Database) -> None:
    clock = Clock()
    await _running(database)
    async with scripted_slack(clock) as (double, gateway):
        live = LiveMessages(Mailbox(database), gateway, clock=clock, sleep=clock.sleep)
        for second in range(0, 60, 3):
            clock.now = float(second)
            await live.look()
        assert len(double.called("chat.update")) == 1


async def test_rate_and_time_left_come_from_the_last_seconds(database: Database) -> None:
    clock = Clock()
    run = await _running(database)
    async with scripted_slack(clock) as (double, gateway):
        live = LiveMessages(Mailbox(database), gateway, clock=clock, sleep=clock.sleep)
        await live.look()
        clock.now = 5.0
        await _set(database, run, sent=20)
        await live.look()
        shown = str(double.called("chat.update")[-1]["blocks"])
        assert "2 a second" in shown
        assert "about 40 sec left" in shown


async def test_no_rate_is_shown_before_more_than_the_canary_was_sent(database: Database) -> None:
    clock = Clock()
    run = await _running(database)
    async with scripted_slack(clock) as (double, gateway):
        live = LiveMessages(Mailbox(database), gateway, clock=clock, sleep=clock.sleep)

        async def shown(second: float, sent: int) -> str:
            clock.now = second
            await _set(database, run, sent=sent)
            await live.look()
            return str(double.called("chat.update")[-1]["blocks"])

        for second, sent in ((0.0, 0), (10.0, 1), (15.0, 1)):
            told = await shown(second, sent)
            assert "a second" not in told
            assert "left" not in told
        told = await shown(20.0, 51)
        assert "5 a second" in told
        assert "about 9 sec left" in told


async def test_the_last_edit_has_no_buttons_and_nothing_comes_after_it(database: Database) -> None:
    clock = Clock()
    run = await _running(database)
    async with scripted_slack(clock) as (double, gateway):
        live = LiveMessages(Mailbox(database), gateway, clock=clock, sleep=clock.sleep)
        await live.look()
        ended = await _set(database, run, status=RunStatus.DONE, ended_at=NOON)
        await live.settle(ended)
        clock.now = 10.0
        await live.look()
        edits = double.called("chat.update")
        assert len(edits) == 2
        assert "button" not in str(edits[-1]["blocks"])


async def test_a_live_message_that_was_deleted_is_left_alone(database: Database) -> None:
    clock = Clock()
    run = await _running(database)
    async with scripted_slack(clock) as (double, gateway):
        double.will_answer("chat.update", refused("message_not_found"))
        live = LiveMessages(Mailbox(database), gateway, clock=clock, sleep=clock.sleep)
        for second in (0.0, 5.0, 10.0):
            clock.now = second
            await _set(database, run, sent=int(second))
            await live.look()
        assert len(double.called("chat.update")) == 1


async def test_live_messages_leave_room_for_edits_that_people_wait_for(database: Database) -> None:
    clock = Clock()
    run = await _running(database)
    async with scripted_slack(clock) as (double, gateway):
        live = LiveMessages(Mailbox(database), gateway, clock=clock, sleep=clock.sleep)
        for _ in range(40):
            await gateway.pace.turn("chat.update")
        await _set(database, run, sent=50)
        await live.look()
        assert double.called("chat.update") == []
