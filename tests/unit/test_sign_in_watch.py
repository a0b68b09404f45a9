"""Sign-ins go stale: people are warned before, told after, once each (issue 4, Sign-in).

Reference: customer-insights.md §12.1; Entra keeps an unused refresh token for 90 days.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.pipeline.insights import StoredTokens
from bot.services.sign_in_watch import SignInWatch
from storage.models import AuditEntry, Connection, ExportUser, Person, id_of, now
from tests.unit.insights_world import SmallInsights, tokens_of
from tests.unit.services_world import ADMIN, CONNECTION, TEAM, ServicesWorld, services_world
from tests.unit.test_services_export_users import signed_in, use

TODAY = now()


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ServicesWorld]:
    monkeypatch.setattr("bot.sources.entra.device.LEAST_INTERVAL", 0)
    async with services_world(tmp_path) as opened:
        use(opened, SmallInsights(opened.database, opened.keys.vault))
        async with opened.database.write() as session:
            session.add(Person(team_id=TEAM, user_id="U0OTHERADMIN", is_admin=True))
        yield opened


@pytest.fixture
async def connection(world: ServicesWorld) -> Connection:
    await signed_in(world)
    return await world.connections.connect(ADMIN, replace(CONNECTION, source="dataverse"))


async def renewed(world: ServicesWorld, at: datetime) -> None:
    """The stored sign-in was renewed at this time, and not since."""
    (user,) = await world.rows(ExportUser)
    await StoredTokens(world.database, world.keys.vault, id_of(user)).save(tokens_of(renewed=at))


async def look(world: ServicesWorld, at: datetime) -> None:
    await SignInWatch(world.database, world.engine.sources, clock=lambda: at).look()


@pytest.mark.usefixtures("connection")
class TestWatch:
    async def test_a_sign_in_in_use_is_no_news(self, world: ServicesWorld) -> None:
        await look(world, TODAY)
        assert not await world.heard("sign_in.due")

    async def test_two_weeks_before_its_end_export_user_and_admins_are_warned_once(self, world: ServicesWorld) -> None:
        await renewed(world, TODAY - timedelta(days=77))
        await look(world, TODAY)
        await look(world, TODAY + timedelta(days=1))
        warned = await world.heard("sign_in.due")
        assert {message.channel for message in warned} == {ADMIN.user_id, "U0OTHERADMIN"}
        assert len(warned) == 2
        assert warned[0].facts["connection"] == "Shop"
        assert datetime.fromisoformat(warned[0].facts["until"]).date() == (TODAY + timedelta(days=13)).date()

    async def test_after_a_renewal_the_next_warning_comes_anew(self, world: ServicesWorld) -> None:
        await renewed(world, TODAY - timedelta(days=77))
        await look(world, TODAY)
        await renewed(world, TODAY)
        await look(world, TODAY)
        assert len(await world.heard("sign_in.due")) == 2
        await look(world, TODAY + timedelta(days=80))
        assert len(await world.heard("sign_in.due")) == 4

    async def test_its_end_is_told_once_and_shows_at_the_connection(
        self, world: ServicesWorld, connection: Connection
    ) -> None:
        await renewed(world, TODAY - timedelta(days=91))
        await look(world, TODAY)
        await look(world, TODAY)
        assert len(await world.heard("sign_in.ended")) == 2
        view = await world.export_users.of(connection)
        assert view is not None
        assert view.ended
        assert ("watch", "sign_in.ended", f"connection/{connection.id}") in await world.audited()

    async def test_one_that_nobody_saved_is_erased(self, world: ServicesWorld) -> None:
        world.engine.sources.insights.answers = [{"access_token": "t", "expires_in": 1}]  # type: ignore[union-attr]
        await signed_in(world)
        await look(world, TODAY + timedelta(days=2))
        assert [user.connection_id is None for user in await world.rows(ExportUser)] == [False]

    async def test_nothing_of_the_tokens_is_told_or_recorded(self, world: ServicesWorld) -> None:
        await renewed(world, TODAY - timedelta(days=77))
        await look(world, TODAY)
        told = [str(message.facts) for message in await world.heard("sign_in.due")]
        recorded = [str(entry.facts) for entry in await world.rows(AuditEntry)]
        assert not any("sesame" in text for text in told + recorded)
