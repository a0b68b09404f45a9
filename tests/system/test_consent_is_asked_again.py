"""A run asks for consent when it really begins, not only when it is queued (DESIGN.md, rules of the product)."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.duck import SpillFolders
from bot.pipeline.engine import Engine
from bot.pipeline.sources import Sources
from bot.services.consent import CONSENT_VERSION
from bot.services.readiness import consent_obstacle
from storage.models import Consent, RunStatus, now
from tests.engine_world import World, crowd, fast_emulator, world


@pytest.fixture
async def strict() -> AsyncIterator[World]:
    """An installation whose engine asks the real services about consent, with an export of ten people."""
    with tempfile.TemporaryDirectory() as folder:
        async with fast_emulator() as omnisend, world(Path(folder), omnisend) as installation:
            spill = SpillFolders(installation.folder / "spill")
            sources = Sources({"tables": installation.source})
            installation.engine = Engine(
                installation.database,
                installation.keys,
                installation.settings,
                sources,
                spill,
                consent_obstacle=consent_obstacle,
            )
            installation.source.profiles_by_id = crowd(10)
            installation.source.members = {"VIP": set(installation.source.profiles_by_id)}
            await installation.make_export("VIP")
            yield installation


async def _consent(session: AsyncSession) -> Consent:
    return (await session.exec(select(Consent))).one()


async def _set(world: World, **facts: object) -> None:
    async with world.database.write() as session:
        consent = await _consent(session)
        for name, value in facts.items():
            setattr(consent, name, value)
        session.add(consent)


async def test_a_run_begins_under_a_consent_to_the_present_text(strict: World) -> None:
    await _set(strict, text_version=CONSENT_VERSION)
    run = await strict.run()
    assert (run.status, run.added) == (RunStatus.DONE, 10)


async def test_a_run_queued_before_the_text_changed_sends_nothing(strict: World) -> None:
    await _set(strict, text_version="an older one")
    run = await strict.run()
    assert run.status is RunStatus.FAILED
    assert run.error_code == "consent-outdated"
    assert run.batches == 0
    assert not [asked for asked in await strict.asked() if asked["path"].endswith("/batches")]


async def test_a_run_queued_before_consent_was_withdrawn_sends_nothing(strict: World) -> None:
    await _set(strict, text_version=CONSENT_VERSION, withdrawn_at=now())
    run = await strict.run()
    assert run.status is RunStatus.FAILED
    assert run.error_code == "consent-withdrawn"
    assert run.batches == 0
    assert not [asked for asked in await strict.asked() if asked["path"].endswith("/batches")]
