"""No run reads while a refresh of the source is known to run: it waits, says so, and can be cancelled meanwhile.

reference: customer-insights.md §4 (copies are updated in unpredictable order), §12.9 steps 1 and 8.
"""

import tempfile
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.duck import SpillFolders
from bot.pipeline.engine import REFRESHES, Engine
from bot.pipeline.sources import Sources
from bot.sources.dataverse.faults import RefreshBegan
from storage.models import Connection, Run, RunStatus, Stage, now
from tests.engine_world import World, agreed, crowd, fast_emulator, world
from tests.memory_source import MemorySource, MemoryStream


class RefreshedSources(Sources):
    """A source that is being refreshed for so many looks."""

    def __init__(self, source: MemorySource, looks: int) -> None:
        super().__init__({"tables": source})
        self.looks = looks

    async def refreshing_until(self, connection: Connection) -> datetime | None:
        self.looks -= 1
        return now() + timedelta(minutes=30) if self.looks >= 0 else None


class Interrupted(MemorySource):
    """A source that a refresh befalls in mid-read, so many times."""

    times = 0

    def profiles(self, segments: Sequence[str], fields: Sequence[str]) -> MemoryStream:
        self.times -= 1
        if self.times >= 0:
            raise RefreshBegan(until="08:00", source=self.label)
        return super().profiles(segments, fields)


@pytest.fixture
async def shop() -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        async with fast_emulator() as omnisend, world(Path(folder), omnisend) as installation:
            installation.source.profiles_by_id = crowd(10)
            installation.source.members = {"VIP": set(installation.source.profiles_by_id)}
            await installation.make_export("VIP")
            yield installation


def engine(shop: World, sources: Sources, seen: list[Run] | None = None) -> Engine:
    """An engine whose pauses end at once, and show the run as people would see it meanwhile."""

    async def pause(seconds: float) -> None:
        if seen is not None:
            seen.extend(await shop.rows(Run))

    return Engine(
        shop.database,
        shop.keys,
        shop.settings,
        sources,
        SpillFolders(shop.folder / "spill"),
        consent_obstacle=agreed,
        pause=pause,
    )


async def test_a_run_waits_for_the_end_of_a_refresh_and_says_until_when(shop: World) -> None:
    seen: list[Run] = []
    waiting = engine(shop, RefreshedSources(shop.source, looks=2), seen)
    run = await waiting.execute(await shop.queue())
    assert (run.status, run.added) == (RunStatus.DONE, 10)
    assert [(each.status, each.stage) for each in seen] == [(RunStatus.RUNNING, Stage.REFRESHING)] * 2
    (note,) = seen[0].notes
    assert note["kind"] == "refresh"
    assert datetime.fromisoformat(note["until"]) > now()
    assert not waiting.resting


async def test_a_run_that_waits_can_be_cancelled(shop: World) -> None:
    sources = RefreshedSources(shop.source, looks=1_000)
    run_id = await shop.queue()

    async def pause(seconds: float) -> None:
        await shop.change((await shop.rows(Run))[0], cancel_requested_by="U0ANN")

    waiting = engine(shop, sources)
    waiting._pause = pause
    run = await waiting.execute(run_id)
    assert run.status is RunStatus.CANCELLED
    assert await shop.posted() == 0


async def test_a_refresh_that_begins_in_mid_read_makes_the_run_begin_again(shop: World) -> None:
    source = Interrupted(shop.source.profiles_by_id, shop.source.members)
    source.times = 1
    run = await engine(shop, Sources({"tables": source})).execute(await shop.queue())
    assert (run.status, run.added) == (RunStatus.DONE, 10)


async def test_refreshes_without_end_end_the_run_and_nothing_is_sent(shop: World) -> None:
    source = Interrupted(shop.source.profiles_by_id, shop.source.members)
    source.times = REFRESHES + 1
    run = await engine(shop, Sources({"tables": source})).execute(await shop.queue())
    assert (run.status, run.error_code) == (RunStatus.FAILED, RefreshBegan.code)
    assert await shop.posted() == 0
