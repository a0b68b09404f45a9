"""Signing in to read, and who reads for a connection (issue 4, Sign-in).

Reference: customer-insights.md §1 (Add yourself as export user, then Save), §2 (Export user).
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.access import AdminsOnly
from bot.pipeline.insights import StoredTokens
from bot.pipeline.mapping import Line
from bot.pipeline.sources import Sources
from bot.services.errors import (
    AppIdentityMissing,
    ConsentWithdrawn,
    ExportUnfit,
    ExportUserMissing,
    ExportUserUnfit,
    SignInOver,
)
from bot.services.export_users import ExportUsers, Outcome, erase_forgotten
from bot.sources.dataverse.faults import RoleMissing
from bot.sources.entra import SignInState
from bot.sources.entra.errors import ConsentMissing, PublicFlowOff
from storage.models import AuditEntry, Connection, Export, ExportSegment, ExportUser, ReaderKind, id_of, now
from tests.unit.insights_world import ACCOUNT, DECLINED, PENDING, SIGNED_IN, SmallInsights, tokens_of
from tests.unit.services_world import ADMIN, ANN, CONNECTION, SHOP_KEY, ServicesWorld, draft, services_world

DRAFT = replace(CONNECTION, source="dataverse")
OTHER_ADMIN = replace(ADMIN, user_id="U0OTHER")
ROLE_MISSING = RoleMissing(call="profiles", privilege="prvReadmsdynci_customerprofile")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ServicesWorld]:
    async with services_world(tmp_path) as opened:
        yield opened


@pytest.fixture(autouse=True)
def insights(world: ServicesWorld) -> SmallInsights:
    made = SmallInsights(world.database, world.keys.vault, entra_app_secret="secret")
    use(world, made)
    return made


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.sources.entra.device.LEAST_INTERVAL", 0)


def use(world: ServicesWorld, insights: SmallInsights) -> None:
    """Put a source into the world that is read in a name."""
    use_sources(world, Sources({}, insights, world.database))


def use_sources(world: ServicesWorld, sources: Sources) -> None:
    world.engine.sources = sources
    world.export_users = ExportUsers(world.database, world.keys, sources)
    world.connections._export_users = world.export_users


async def signed_in(world: ServicesWorld, connection_id: int | None = None) -> Outcome:
    sign_in = await world.export_users.begin(ADMIN, connection_id)
    outcome = await world.export_users.wait(sign_in)
    if outcome.state is not SignInState.SIGNED_IN:
        return outcome
    return await world.export_users.complete(ADMIN, outcome.user_id, connection_id)


async def connected(world: ServicesWorld, **changes: Any) -> Connection:
    await signed_in(world)
    return await world.connections.connect(ADMIN, replace(DRAFT, **changes))


class TestSigningIn:
    async def test_a_code_and_a_link_are_there_to_be_shown(self, world: ServicesWorld) -> None:
        sign_in = await world.export_users.begin(ADMIN)
        assert (sign_in.code, sign_in.link) == ("ABC123", "https://microsoft.example/device")
        assert sign_in.expires_at > now()

    async def test_who_has_signed_in_waits_to_be_saved(self, world: ServicesWorld, insights: SmallInsights) -> None:
        insights.answers = [PENDING, PENDING, SIGNED_IN]
        outcome = await signed_in(world)
        assert outcome.done
        assert outcome.account == ACCOUNT
        waiting = await world.export_users.waiting(ADMIN)
        assert waiting is not None
        assert (waiting.account, waiting.added_by) == (ACCOUNT, ADMIN.user_id)
        assert waiting.good_until is not None

    async def test_it_waits_for_nobody_else(self, world: ServicesWorld) -> None:
        await signed_in(world)
        assert await world.export_users.waiting(OTHER_ADMIN) is None

    async def test_a_code_that_was_declined_leaves_nothing(self, world: ServicesWorld, insights: SmallInsights) -> None:
        insights.answers = [DECLINED]
        assert (await signed_in(world)).state is SignInState.DECLINED
        assert await world.rows(ExportUser) == []

    async def test_what_can_not_work_is_a_problem_with_an_answer(
        self, world: ServicesWorld, insights: SmallInsights
    ) -> None:
        insights.answers = [{"error": "invalid_grant", "error_codes": [65001]}]
        outcome = await signed_in(world)
        assert outcome.state is SignInState.FAILED
        assert isinstance(outcome.problem, ConsentMissing)
        assert await world.rows(ExportUser) == []

    async def test_where_entra_gives_no_code_nothing_is_left(
        self, world: ServicesWorld, insights: SmallInsights
    ) -> None:
        insights.refuses = PublicFlowOff(client_id="people", reason="AADSTS7000218")
        with pytest.raises(PublicFlowOff):
            await world.export_users.begin(ADMIN)
        assert await world.rows(ExportUser) == []

    async def test_a_new_code_ends_the_wait_for_the_old_one(
        self, world: ServicesWorld, insights: SmallInsights
    ) -> None:
        insights.answers = []
        old = await world.export_users.begin(ADMIN)
        waiting = asyncio.create_task(world.export_users.wait(old))
        await world.export_users.begin(ADMIN)
        insights.answers += [PENDING]
        assert (await waiting).state is SignInState.CANCELLED

    async def test_a_wait_that_is_broken_off_leaves_nothing(
        self, world: ServicesWorld, insights: SmallInsights
    ) -> None:
        insights.answers = []
        waiting = asyncio.create_task(world.export_users.wait(await world.export_users.begin(ADMIN)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert await world.rows(ExportUser) == []

    async def test_only_admins_sign_in(self, world: ServicesWorld) -> None:
        with pytest.raises(AdminsOnly):
            await world.export_users.begin(ANN)

    async def test_a_sign_in_that_nobody_saved_is_erased_after_a_day(self, world: ServicesWorld) -> None:
        await signed_in(world)
        async with world.database.write() as session:
            assert await erase_forgotten(session, now()) == []
        async with world.database.write() as session:
            assert len(await erase_forgotten(session, now() + timedelta(days=1))) == 1
        assert await world.export_users.waiting(ADMIN) is None


class TestANewConnection:
    async def test_it_is_not_saved_before_somebody_has_signed_in(self, world: ServicesWorld) -> None:
        with pytest.raises(ExportUserMissing) as raised:
            await world.connections.connect(ADMIN, DRAFT)
        assert raised.value.field == "export_user"
        assert await world.rows(Connection) == []

    async def test_it_remembers_its_source_and_its_export_user(self, world: ServicesWorld) -> None:
        connection = await connected(world)
        details = await world.connections.details(ADMIN, id_of(connection))
        assert details.source == "Customer Insights (contoso.crm4.dynamics.com)"
        assert details.export_user is not None
        assert (details.export_user.kind, details.export_user.account) == (ReaderKind.PERSON, ACCOUNT)
        assert details.connection.export_user == ADMIN.user_id

    async def test_the_tokens_are_bound_to_the_connection(self, world: ServicesWorld) -> None:
        await connected(world)
        (user,) = await world.rows(ExportUser)
        tokens = await StoredTokens(world.database, world.keys.vault, id_of(user)).load()
        assert tokens is not None
        assert "sesame-open" in tokens
        assert "sesame-open" not in str(user.tokens)
        assert ACCOUNT not in str(user.model_dump())

    async def test_a_sign_in_serves_one_connection(self, world: ServicesWorld) -> None:
        await connected(world)
        with pytest.raises(ExportUserMissing):
            await world.connections.connect(ADMIN, replace(DRAFT, name="Another"))

    async def test_an_account_that_can_not_read_saves_nothing_and_says_who_can_mend_it(
        self, world: ServicesWorld, insights: SmallInsights
    ) -> None:
        insights.problem = ROLE_MISSING
        outcome = await signed_in(world)
        assert outcome.problem is ROLE_MISSING
        with pytest.raises(ExportUserUnfit, match="An admin of Customer Insights can make it a Viewer"):
            await world.connections.connect(ADMIN, DRAFT)
        assert await world.rows(Connection) == []
        insights.problem = None
        assert (await world.connections.connect(ADMIN, DRAFT)).id is not None

    async def test_the_app_may_read_instead_if_it_can_prove_itself(self, world: ServicesWorld) -> None:
        connection = await world.connections.connect(ADMIN, replace(DRAFT, app_identity=True))
        details = await world.connections.details(ADMIN, id_of(connection))
        assert details.export_user is not None
        assert (details.export_user.kind, details.export_user.account) == (ReaderKind.APP, "")

    async def test_an_app_without_secret_or_certificate_is_refused(self, world: ServicesWorld) -> None:
        use(world, SmallInsights(world.database, world.keys.vault))
        with pytest.raises(AppIdentityMissing):
            await world.connections.connect(ADMIN, replace(DRAFT, app_identity=True))

    async def test_who_it_is_stands_in_the_record_without_a_name_or_a_token(self, world: ServicesWorld) -> None:
        await connected(world)
        entries = [entry for entry in await world.rows(AuditEntry) if entry.action == "connection.export_user_set"]
        assert [entry.facts for entry in entries] == [{"name": "Shop", "kind": "person", "object_id": "object-id"}]


class TestReplacing:
    async def test_another_person_takes_the_place_of_the_first_whose_tokens_are_erased(
        self, world: ServicesWorld, insights: SmallInsights
    ) -> None:
        connection = await connected(world)
        (before,) = await world.rows(ExportUser)
        insights.account, insights.answers = "ben.export@contoso.example", [SIGNED_IN]
        assert (await signed_in(world, id_of(connection))).done
        (after,) = await world.rows(ExportUser)
        assert after.id != before.id
        view = await world.export_users.of(connection)
        assert view is not None
        assert view.account == "ben.export@contoso.example"

    async def test_one_who_can_not_read_does_not(self, world: ServicesWorld, insights: SmallInsights) -> None:
        connection = await connected(world)
        insights.account, insights.answers, insights.problem = "ben@contoso.example", [SIGNED_IN], ROLE_MISSING
        outcome = await signed_in(world, id_of(connection))
        assert outcome.problem is ROLE_MISSING
        view = await world.export_users.of(connection)
        assert view is not None
        assert view.account == ACCOUNT
        insights.problem = None
        assert (await world.export_users.complete(ADMIN, outcome.user_id, id_of(connection))).done

    async def test_somebody_elses_sign_in_can_not_be_taken(self, world: ServicesWorld) -> None:
        connection = await connected(world)
        sign_in = await world.export_users.begin(ADMIN, id_of(connection))
        sign_in.device.cancel()
        async with world.database.write() as session:
            stored = await session.get_one(ExportUser, sign_in.user_id)
            stored.tokens = world.keys.vault.seal(tokens_of(), row="wherever")
            session.add(stored)
        with pytest.raises(SignInOver):
            await world.export_users.complete(OTHER_ADMIN, sign_in.user_id, id_of(connection))

    async def test_a_right_is_looked_at_again_when_the_sign_in_is_used(
        self, world: ServicesWorld, insights: SmallInsights
    ) -> None:
        connection = await connected(world)
        insights.answers = [SIGNED_IN]
        outcome = await signed_in(world)
        with pytest.raises(AdminsOnly):
            await world.export_users.complete(replace(ADMIN, is_admin=False), outcome.user_id, id_of(connection))

    async def test_the_app_can_take_the_place_of_a_person(self, world: ServicesWorld) -> None:
        connection = await connected(world)
        await world.export_users.use_app(ADMIN, id_of(connection))
        (user,) = await world.rows(ExportUser)
        assert (user.kind, user.tokens) == (ReaderKind.APP, None)


class TestEnding:
    async def test_withdrawing_consent_erases_the_tokens(self, world: ServicesWorld) -> None:
        connection = await connected(world)
        await world.connections.withdraw(ADMIN, id_of(connection))
        assert await world.rows(ExportUser) == []
        with pytest.raises(ConsentWithdrawn):
            await world.export_users.begin(ADMIN, id_of(connection))

    async def test_removing_the_connection_erases_the_tokens(self, world: ServicesWorld) -> None:
        connection = await connected(world)
        await world.connections.remove(ADMIN, id_of(connection))
        assert await world.rows(ExportUser) == []

    async def test_replacing_the_key_of_the_brand_leaves_the_export_user(self, world: ServicesWorld) -> None:
        connection = await connected(world)
        await world.connections.replace_key(ADMIN, id_of(connection), SHOP_KEY)
        assert await world.export_users.of(connection) is not None


class TestMovingAnExport:
    """An export that is moved to a connection with another source has to fit there."""

    async def test_what_does_not_fit_is_named_all_at_once_and_nothing_changes(
        self, world: ServicesWorld, insights: SmallInsights
    ) -> None:
        use_sources(world, Sources({"tables": world.engine.source_of_tables}, insights, world.database))
        export = await world.export(await world.connection())
        elsewhere = await connected(world, name="Insights")
        with pytest.raises(ExportUnfit, match=r"Email \(Email\), FirstName \(First name\), \*New\*") as raised:
            await world.exports.save(ADMIN, draft(elsewhere, segments=("VIP", "New")), export.id)
        assert raised.value.field == "connection_id"
        assert (await world.row(Export, export.id)).connection_id == export.connection_id

    async def test_with_fields_and_segments_of_the_other_source_it_moves(
        self, world: ServicesWorld, insights: SmallInsights
    ) -> None:
        use_sources(world, Sources({"tables": world.engine.source_of_tables}, insights, world.database))
        export = await world.export(await world.connection())
        elsewhere = await connected(world, name="Insights")
        fitting = draft(elsewhere, lines=(Line("email", "msdynci_email"),), segments=("VIP",))
        moved = await world.exports.save(ADMIN, fitting, export.id)
        assert moved.connection_id == elsewhere.id
        assert {row.source for row in await world.rows(ExportSegment)} == {"dataverse"}
