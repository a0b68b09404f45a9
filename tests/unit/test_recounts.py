"""Omnisend's own counts, asked for again after a run: when, how often, and what becomes of the answer.

reference: omnisend-api.md §6.1 (counts follow by minutes; a difference is a finding to show, not an error to fail on)
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from sqlmodel import select

from bot.omnisend.client import OmnisendClient
from bot.omnisend.errors import NotFound, Unavailable
from bot.pipeline.counts import Recounts
from storage.database import Database
from storage.models import Connection, Export, ExportSegment, OutboxMessage, Run, RunStatus, id_of

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AFTER = (30.0, 300.0, 3_600.0)


class Counting:
    """An Omnisend that only counts: the contacts of each segment id. A number below zero stands for trouble."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {"s-vip": 7}
        self.asked: list[str] = []

    @asynccontextmanager
    async def client_for(self, connection: Connection) -> AsyncIterator[OmnisendClient]:
        yield cast(OmnisendClient, self)

    async def segment_count(self, segment_id: str) -> int:
        self.asked.append(segment_id)
        if segment_id not in self.counts:
            raise NotFound(call="GET", status=404)
        if self.counts[segment_id] < 0:
            raise Unavailable(call="GET", tries=4, outcome="503")
        return self.counts[segment_id]


class World:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.omnisend = Counting()
        self.at = NOON
        self.recounts = self.another()

    def another(self) -> Recounts:
        """As after a restart."""
        return Recounts(self.database, self.omnisend.client_for, after=AFTER, clock=lambda: self.at)

    async def look(self, seconds: float) -> None:
        """Look so long after the run's end."""
        self.at = NOON + timedelta(seconds=seconds)
        await self.recounts.look()

    async def add(self, *rows: Any) -> None:
        async with self.database.write() as session:
            session.add_all(rows)

    async def run(self, run_id: int = 1) -> Run:
        async with self.database.read() as session:
            return await session.get_one(Run, run_id)

    async def segment(self) -> dict[str, Any]:
        return (await self.run()).segments[0]

    async def letters(self) -> list[OutboxMessage]:
        async with self.database.read() as session:
            return list((await session.exec(select(OutboxMessage))).all())


def a_run(**values: Any) -> Run:
    segment = {"name": "VIP", "members": 10, "contacts": 10, "contacts_count": None, "omnisend_name": "VIP"}
    facts = {"export_id": 1, "status": RunStatus.DONE, "ended_at": NOON, "segments": [segment], **values}
    return Run(team_id="T1", **facts)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'ferry.sqlite3'}")
    await database.open()
    made = World(database)
    await made.add(Connection(team_id="T1", name="Shop", brand_id="b", api_key="sealed"))
    await made.add(Export(team_id="T1", name="Spring", owner="U1", connection_id=1, channel="C1"))
    await made.add(
        ExportSegment(
            team_id="T1", export_id=1, brand_id="b", source="tables", name="VIP", property_name="p", omnisend_id="s-vip"
        )
    )
    yield made
    await database.close()


async def test_a_count_that_is_behind_is_asked_for_again_and_the_report_brought_up_to_date(world: World) -> None:
    await world.add(a_run())
    await world.look(29)
    assert world.omnisend.asked == []
    await world.look(30)
    assert (await world.segment())["contacts_count"] == 7
    (letter,) = await world.letters()
    assert (letter.event, letter.channel, letter.facts) == ("run.counted", "C1", {"run_id": 1})


async def test_it_is_asked_at_each_of_the_times_and_then_no_more(world: World) -> None:
    await world.add(a_run())
    for seconds in (30, 60, 299, 300, 301, 3_599, 3_600, 3_700, 10_000):
        await world.look(seconds)
    assert len(world.omnisend.asked) == len(AFTER)
    assert (await world.segment())["final"] is True


async def test_once_the_counts_are_equal_nobody_asks_any_more(world: World) -> None:
    await world.add(a_run())
    world.omnisend.counts["s-vip"] = 10
    await world.look(30)
    await world.look(300)
    assert len(world.omnisend.asked) == 1
    assert "final" not in await world.segment()


async def test_a_run_whose_counts_were_equal_at_its_end_is_left_alone(world: World) -> None:
    segment = {"name": "VIP", "members": 10, "contacts": 10, "contacts_count": 10}
    await world.add(a_run(segments=[segment]))
    await world.look(30)
    assert world.omnisend.asked == []


async def test_an_unchanged_count_says_nothing_until_the_last_time(world: World) -> None:
    await world.add(a_run())
    for seconds in (30, 300, 3_600):
        await world.look(seconds)
    assert [letter.key for letter in await world.letters()] == ["run-1-counted-1", "run-1-counted-3"]


async def test_a_restart_goes_on_where_it_was_and_asks_once_for_what_it_missed(world: World) -> None:
    await world.add(a_run())
    await world.look(30)
    world.recounts = world.another()
    await world.look(299)
    assert len(world.omnisend.asked) == 1
    await world.look(4_000)
    assert len(world.omnisend.asked) == 2
    assert (await world.segment())["final"] is True


async def test_an_omnisend_that_can_not_answer_counts_as_asked(world: World) -> None:
    await world.add(a_run())
    world.omnisend.counts["s-vip"] = -1
    await world.look(30)
    assert (await world.segment())["contacts_count"] is None
    assert await world.letters() == []
    world.omnisend.counts["s-vip"] = 10
    await world.look(300)
    assert (await world.segment())["contacts_count"] == 10


async def test_only_the_last_run_of_an_export_is_asked_about(world: World) -> None:
    await world.add(a_run())
    await world.add(a_run(ended_at=NOON + timedelta(seconds=20)))
    await world.look(60)
    assert "asked" not in await world.segment()
    assert (await world.run(2)).segments[0]["contacts_count"] == 7


@pytest.mark.parametrize("status", [status for status in RunStatus if status is not RunStatus.DONE])
async def test_only_runs_that_ended_well_are_asked_about(world: World, status: RunStatus) -> None:
    await world.add(a_run(status=status))
    await world.look(30)
    assert world.omnisend.asked == []


async def test_after_the_consent_was_withdrawn_nobody_asks(world: World) -> None:
    await world.add(a_run())
    async with world.database.write() as session:
        connection = await session.get_one(Connection, 1)
        connection.api_key = None
        session.add(connection)
    await world.look(30)
    assert world.omnisend.asked == []


async def test_a_key_that_may_not_read_segments_is_not_tried_again(world: World) -> None:
    await world.add(a_run(notes=[{"kind": "segments_scope", "scope": "segments.read"}]))
    await world.look(30)
    assert world.omnisend.asked == []


async def test_two_processes_that_ask_at_once_tell_once(world: World) -> None:
    await world.add(a_run())
    run = await world.run()
    world.at = NOON + timedelta(seconds=30)
    async with world.database.read() as session:
        export = await session.get_one(Export, 1)
    for process in (world.recounts, world.another()):
        await process._note(id_of(run), export, {"VIP": 7})
    assert len(await world.letters()) == 1


async def test_an_owner_hears_where_there_is_no_channel_and_the_command_line_never(world: World) -> None:
    async with world.database.write() as session:
        export = await session.get_one(Export, 1)
        export.channel, export.owner = "", "cli"
        session.add(export)
    await world.add(a_run())
    await world.look(30)
    assert await world.letters() == []
    assert (await world.segment())["contacts_count"] == 7
