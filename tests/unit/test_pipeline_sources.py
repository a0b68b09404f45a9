"""Which source a connection reads from, and how its export user's tokens are kept (issue 4, Sign-in)."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.pipeline.errors import EnvironmentChanged, SourceUnknown, SourceUnset
from bot.pipeline.insights import Insights, StoredTokens
from bot.pipeline.sources import Sources
from bot.settings import Settings
from bot.sources.dataverse import DataverseSource
from bot.sources.dataverse.faults import AddressRefused
from bot.sources.entra import AppIdentity, UserIdentity
from bot.sources.entra.errors import NotSignedIn
from storage.errors import SecretUnreadable
from storage.lease import take
from storage.models import Connection, ExportUser, ReaderKind, Schedule, id_of, now
from tests.memory_source import MemorySource
from tests.unit.services_world import ADMIN, TEAM, ServicesWorld, services_world

ENVIRONMENT = "https://contoso.crm4.dynamics.com"
TOKENS = '{"RefreshToken": "sesame"}'


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ServicesWorld]:
    async with services_world(tmp_path) as opened:
        yield opened


def settings(**other: Any) -> Settings:
    given = {"dataverse_url": ENVIRONMENT, "entra_tenant": "contoso.example", "entra_client_id": "people"}
    return Settings(_env_file=None, **given | other)


def insights(world: ServicesWorld, **other: Any) -> Insights:
    return Insights(world.database, world.keys.vault, settings(**other))


async def connection(world: ServicesWorld, source: str = "dataverse") -> Connection:
    made = await world.connection()
    async with world.database.write() as session:
        stored = await session.get_one(Connection, made.id)
        stored.source = source
        session.add(stored)
        return stored


async def export_user(world: ServicesWorld, to: Connection | None, **columns: Any) -> ExportUser:
    async with world.database.write() as session:
        given = {"team_id": TEAM, "environment": ENVIRONMENT, "added_by": ADMIN.user_id}
        user = ExportUser(**given | columns, connection_id=to.id if to else None)
        session.add(user)
        return user


class TestWhichSource:
    async def test_a_folder_is_one_source_for_all_connections(self, world: ServicesWorld) -> None:
        tables = MemorySource()
        assert await Sources({"tables": tables}).of(await connection(world, "tables")) is tables

    async def test_what_is_configured_is_offered_the_folder_first(self, world: ServicesWorld) -> None:
        offers = Sources({"tables": MemorySource()}, insights(world, entra_app_secret="x"), world.database).offers
        assert [(offer.kind, offer.needs_export_user, offer.app_identity) for offer in offers] == [
            ("tables", False, False),
            ("dataverse", True, True),
        ]

    async def test_one_that_is_not_configured_is_said(self, world: ServicesWorld) -> None:
        with pytest.raises(SourceUnset):
            await Sources({}).of(await connection(world))

    async def test_one_that_is_no_longer_configured_is_named(self, world: ServicesWorld) -> None:
        with pytest.raises(SourceUnknown, match="dataverse"):
            await Sources({"tables": MemorySource()}).of(await connection(world))

    async def test_nobody_reads_customer_insights_without_an_export_user(self, world: ServicesWorld) -> None:
        with pytest.raises(NotSignedIn):
            await Sources({}, insights(world), world.database).of(await connection(world))

    async def test_a_connection_keeps_its_source_while_its_export_user_stays(self, world: ServicesWorld) -> None:
        sources, made = Sources({}, insights(world), world.database), await connection(world)
        await export_user(world, made)
        first = await sources.of(made)
        assert isinstance(first, DataverseSource)
        assert await sources.of(made) is first
        assert isinstance((await sources.reader(made)).identity, UserIdentity)
        await sources.close()

    async def test_another_export_user_is_another_source_even_if_another_process_put_it_there(
        self, world: ServicesWorld
    ) -> None:
        sources, made = Sources({}, insights(world, entra_app_secret="x"), world.database), await connection(world)
        before = await export_user(world, made)
        first = await sources.of(made)
        async with world.database.write() as session:
            await session.delete(await session.get_one(ExportUser, before.id))
        await export_user(world, made, kind=ReaderKind.APP)
        assert await sources.of(made) is not first
        assert isinstance((await sources.reader(made)).identity, AppIdentity)
        await sources.close()

    async def test_an_export_user_of_another_environment_does_not_read_this_one(self, world: ServicesWorld) -> None:
        sources, made = Sources({}, insights(world), world.database), await connection(world)
        await export_user(world, made, environment="https://fabrikam.crm.dynamics.com")
        with pytest.raises(EnvironmentChanged, match=r"fabrikam\.crm\.dynamics\.com"):
            await sources.of(made)

    @pytest.mark.parametrize("url", ["https://dynamics.example", "https://contoso.crm4.dynamics.com.evil.example"])
    async def test_a_host_that_is_not_microsofts_is_refused_unless_a_setting_allows_it(
        self, world: ServicesWorld, url: str
    ) -> None:
        with pytest.raises(AddressRefused):
            insights(world, dataverse_url=url)
        allowed = insights(world, dataverse_url=url, dataverse_hosts=url.removeprefix("https://"))
        assert allowed.environment == url

    async def test_an_address_of_a_page_is_taken_for_its_environment(self, world: ServicesWorld) -> None:
        assert insights(world, dataverse_url=f"{ENVIRONMENT}/main.aspx?appid=1").environment == ENVIRONMENT


class TestTokens:
    async def test_they_are_sealed_and_come_back(self, world: ServicesWorld) -> None:
        user = await export_user(world, await connection(world))
        store = StoredTokens(world.database, world.keys.vault, id_of(user))
        await store.save(TOKENS)
        assert await store.load() == TOKENS
        stored = await world.row(ExportUser, user.id)
        assert stored.tokens is not None
        assert "sesame" not in stored.tokens

    async def test_in_the_row_of_another_connection_they_stay_shut(self, world: ServicesWorld) -> None:
        user = await export_user(world, await connection(world))
        await StoredTokens(world.database, world.keys.vault, id_of(user)).save(TOKENS)
        other = await world.connection(name="Other")
        async with world.database.write() as session:
            stored = await session.get_one(ExportUser, user.id)
            stored.connection_id = other.id
            session.add(stored)
        with pytest.raises(SecretUnreadable):
            await StoredTokens(world.database, world.keys.vault, id_of(user)).load()

    async def test_what_comes_after_the_row_has_gone_is_not_kept(self, world: ServicesWorld) -> None:
        user = await export_user(world, None)
        async with world.database.write() as session:
            await session.delete(await session.get_one(ExportUser, user.id))
        store = StoredTokens(world.database, world.keys.vault, id_of(user))
        await store.save(TOKENS)
        assert await store.load() is None
        assert await world.rows(ExportUser) == []

    async def test_they_go_with_their_connection(self, world: ServicesWorld) -> None:
        made = await connection(world)
        await export_user(world, made)
        await world.connections.remove(ADMIN, id_of(made))
        assert await world.rows(ExportUser) == []

    async def test_no_other_process_renews_them_meanwhile(self, world: ServicesWorld) -> None:
        user = await export_user(world, None)
        name = f"export-user/{user.id}"
        async with StoredTokens(world.database, world.keys.vault, id_of(user)).exclusive():
            assert await take(world.database, name, "elsewhere:1:1") is None
        assert await take(world.database, name, "elsewhere:1:1") is not None


class TestRefreshes:
    async def test_a_refresh_of_the_workspace_is_known_for_its_margin(self, world: ServicesWorld) -> None:
        sources, made = Sources({}, insights(world), world.database), await connection(world)
        start = now() - timedelta(minutes=10)
        async with world.database.write() as session:
            session.add(Schedule(team_id=TEAM, times=[f"{start:%H:%M}"], zone="UTC"))
        until = await sources.refreshing_until(made)
        assert until is not None
        assert until == start.replace(second=0, microsecond=0) + timedelta(minutes=90)
        assert await sources.refreshing_until(made.model_copy(update={"source": "tables"})) is None
