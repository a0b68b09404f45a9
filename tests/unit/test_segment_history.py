"""Since when a segment has had as many members as now: told from past runs alone. Reference: customer-insights.md §15
(warn when a segment did not change for long)."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.access import Denied
from storage.models import Connection, Export, Run, RunStatus, Trigger, now
from tests.unit.services_world import ADMIN, ANN, BOB, TEAM, ServicesWorld, id_of, services_world

TODAY = now()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ServicesWorld]:
    async with services_world(tmp_path) as world:
        yield world


async def ran(
    world: ServicesWorld,
    export: Export,
    *seen: tuple[int, int],
    status: RunStatus = RunStatus.DONE,
    trigger: Trigger = Trigger.MANUAL,
) -> None:
    """Past runs, oldest first: how many days ago, and the members of VIP."""
    async with world.database.write() as session:
        for days, members in seen:
            session.add(
                Run(
                    team_id=TEAM,
                    export_id=export.id,
                    status=status,
                    trigger=trigger,
                    ended_at=TODAY - timedelta(days=days),
                    segments=[{"name": "VIP", "members": members}],
                )
            )


async def since(world: ServicesWorld, connection: Connection, members: int) -> dict[str, datetime]:
    return await world.exports.unchanged_since(ANN, id_of(connection), {"VIP": members, "New": 7})


async def test_it_is_the_first_run_of_the_row_with_this_very_number(world: ServicesWorld) -> None:
    connection = await world.shared()
    await ran(world, await world.export(connection), (90, 11), (60, 12), (40, 12), (2, 12))
    assert await since(world, connection, 12) == {"VIP": TODAY - timedelta(days=60)}


@pytest.mark.parametrize(
    ("seen", "members"),
    [
        (((29, 12), (2, 12)), 12),  # not for long
        (((60, 12), (2, 13)), 12),  # changed, and is back by chance
        (((60, 12), (2, 12)), 13),  # has just changed
        ((), 12),  # never read
    ],
)
async def test_otherwise_nothing_is_said(world: ServicesWorld, seen: tuple[tuple[int, int], ...], members: int) -> None:
    connection = await world.shared()
    await ran(world, await world.export(connection), *seen)
    assert await since(world, connection, members) == {}


async def test_runs_that_did_not_read_it_to_the_end_say_nothing(world: ServicesWorld) -> None:
    connection = await world.shared()
    export = await world.export(connection)
    await ran(world, export, (60, 12), status=RunStatus.FAILED)
    assert await since(world, connection, 12) == {}
    await ran(world, export, (50, 12))
    await ran(world, export, (10, 0), trigger=Trigger.EMPTY)
    assert await since(world, connection, 12) == {"VIP": TODAY - timedelta(days=50)}


async def test_runs_over_another_source_say_nothing_of_its_segment_of_that_name(world: ServicesWorld) -> None:
    connection = await world.shared()
    export = await world.export(connection)
    await ran(world, export, (60, 12))
    async with world.database.write() as session:
        stored = await session.get_one(Connection, connection.id)
        stored.source = "elsewhere"
        session.add(stored)
    other = await world.shared(name="Other")
    assert await since(world, other, 12) == {}


async def test_it_is_for_those_who_may_use_the_connection(world: ServicesWorld) -> None:
    connection = await world.shared()
    with pytest.raises(Denied):
        await world.exports.unchanged_since(BOB, id_of(connection), {"VIP": 12})
    assert await world.exports.unchanged_since(ADMIN, id_of(connection), {"VIP": 12}) == {}
