"""What the form says of chosen segments at once. reference: customer-insights.md §15 (too large, empty, owned twice)"""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bot.i18n import translator
from bot.services.context import Services
from bot.slack.drafts import Draft
from bot.slack.segments import look_at_segments
from tests.unit.services_world import ADMIN, ServicesWorld, id_of, services_world

T = translator()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ServicesWorld]:
    async with services_world(tmp_path) as world:
        yield world


async def warnings(world: ServicesWorld, *segments: str, most: int = 1_000) -> list[str]:
    connection = await world.connection()
    services = cast(Services, SimpleNamespace(exports=world.exports, settings=SimpleNamespace(max_profiles=most)))
    draft = Draft("d", ADMIN.user_id, connection_id=id_of(connection), segments=list(segments))
    draft.offered = await world.exports.choices(ADMIN, id_of(connection))
    return await look_at_segments(services, T, ADMIN, draft)


async def test_a_segment_with_more_members_than_an_export_may_have_is_warned_of(world: ServicesWorld) -> None:
    world.engine.source_of_tables.members["VIP"] = {f"c{number}" for number in range(1_500)}
    assert await warnings(world, "VIP", "New") == ["VIP has 1,500 members; an export may have 1,000 profiles."]


async def test_a_segment_that_an_export_may_just_have_is_not_warned_of(world: ServicesWorld) -> None:
    world.engine.source_of_tables.members["VIP"] = {f"c{number}" for number in range(1_000)}
    assert await warnings(world, "VIP", "New") == []


async def test_an_empty_segment_is_warned_of(world: ServicesWorld) -> None:
    world.engine.source_of_tables.members["VIP"] = set()
    assert await warnings(world, "VIP", "New") == ["VIP has no members now."]


async def test_a_segment_that_is_gone_from_the_source_is_named(world: ServicesWorld) -> None:
    (said,) = await warnings(world, "Vanished", "New")
    assert "Vanished" in said
