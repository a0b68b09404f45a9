"""Connections: set-up with consent, keys, sharing, withdrawal, removal.

Reference: customer-insights.md §1 and §2 (what a connection needs, who sees what, consent, removal while in use),
omnisend-api.md §2.3 (checking a key; a key that can't read its brand).
"""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.services.api_keys import brand_is_readable
from bot.services.connections import CONSENT_VERSION, consent_text
from bot.services.errors import (
    AudienceEmpty,
    ConnectionBusy,
    ConnectionInUse,
    ConnectionNameTaken,
    ConnectionUnknown,
    ConsentTextChanged,
    ConsentWithdrawn,
    FieldError,
    KeyLacksScope,
    KeyMissing,
    KeyNotAccepted,
    KeyNotChecked,
    NameMissing,
    NameTooLong,
    NotAgreed,
    SegmentOwned,
    SourceNotOffered,
)
from storage.errors import SecretUnreadable
from storage.models import (
    Audience,
    AuditEntry,
    Connection,
    ConnectionGrant,
    ConnectionState,
    Consent,
    Export,
    ExportSegment,
    Run,
    RunStatus,
    SegmentState,
)
from tests.unit.services_world import (
    ADMIN,
    ANN,
    BLIND_KEY,
    BOB,
    CONNECTION,
    NO_WRITE_KEY,
    SHOP,
    SHOP_KEY,
    SHOP_KEY_TOO,
    STORE,
    STORE_KEY,
    UNREACHABLE_KEY,
    ServicesWorld,
    draft,
    id_of,
    services_world,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ServicesWorld]:
    async with services_world(tmp_path) as world:
        yield world


# --- connect


async def test_a_connection_keeps_its_brand_and_of_its_key_only_four_letters_in_clear(world: ServicesWorld) -> None:
    connection = await world.connection()
    stored = await world.row(Connection, connection.id)
    assert (stored.brand_id, stored.brand_name, stored.brand_website) == (SHOP.id, SHOP.name, SHOP.website)
    assert (stored.key_hint, stored.export_user, stored.created_by) == ("cdef", ADMIN.user_id, ADMIN.user_id)
    assert stored.api_key is not None
    assert SHOP_KEY not in stored.api_key
    assert world.keys.vault.open(stored.api_key, row=f"connection/{connection.id}/api_key") == SHOP_KEY


async def test_a_key_does_not_open_in_the_row_of_another_connection(world: ServicesWorld) -> None:
    connection = await world.connection()
    assert connection.api_key is not None
    with pytest.raises(SecretUnreadable):
        world.keys.vault.open(connection.api_key, row="connection/99/api_key")


async def test_a_short_key_shows_nothing_of_itself(world: ServicesWorld) -> None:
    assert (await world.connection(api_key="blind-1")).key_hint == ""


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"name": "  "}, NameMissing, "name"),
        ({"name": '" "'}, NameMissing, "name"),
        ({"name": "x" * 76}, NameTooLong, "name"),
        ({"api_key": " "}, KeyMissing, "api_key"),
        ({"api_key": "nonsense"}, KeyNotAccepted, "api_key"),
        ({"api_key": NO_WRITE_KEY}, KeyLacksScope, "api_key"),
        ({"api_key": UNREACHABLE_KEY}, KeyNotChecked, "api_key"),
        ({"agreed": False}, NotAgreed, "agreed"),
        ({"text_shown": "An older text."}, ConsentTextChanged, "agreed"),
        ({"audience": Audience.PEOPLE}, AudienceEmpty, "people"),
        ({"source": "dataverse"}, SourceNotOffered, "source"),
    ],
)
async def test_what_is_wrong_with_a_draft_is_said_at_its_field_and_nothing_is_stored(
    world: ServicesWorld, changes: dict[str, Any], error: type[FieldError], field: str
) -> None:
    with pytest.raises(error) as raised:
        await world.connection(**changes)
    assert raised.value.field == field
    assert raised.value.remedy
    assert await world.rows(Connection) == []
    assert await world.rows(Consent) == []
    assert await world.rows(AuditEntry) == []


async def test_a_missing_permission_is_named(world: ServicesWorld) -> None:
    with pytest.raises(KeyLacksScope, match=r"contacts\.write"):
        await world.connection(api_key=NO_WRITE_KEY)


async def test_an_omnisend_that_can_not_be_reached_says_so_and_not_that_the_key_is_wrong(world: ServicesWorld) -> None:
    with pytest.raises(KeyNotChecked, match=r"Omnisend can't be used just now.*Try again"):
        await world.connection(api_key=UNREACHABLE_KEY)


async def test_without_agreement_the_key_is_not_even_tried(world: ServicesWorld) -> None:
    with pytest.raises(NotAgreed):
        await world.connection(agreed=False)
    assert world.engine.checked == []


async def test_no_error_carries_the_key(world: ServicesWorld) -> None:
    for key in ("nonsense-secret-key", NO_WRITE_KEY, UNREACHABLE_KEY):
        with pytest.raises(FieldError) as raised:
            await world.connection(api_key=key)
        assert key not in f"{raised.value} {raised.value.facts}"


@pytest.mark.parametrize("name", ["Shop", "shop", " SHOP ", "S hop", "“Shop”"])
async def test_a_name_is_taken_whatever_its_case_and_blanks(world: ServicesWorld, name: str) -> None:
    await world.connection()
    with pytest.raises(ConnectionNameTaken, match=r"\*Shop\*") as raised:
        await world.connection(name=name)
    assert raised.value.field == "name"


async def test_a_form_that_is_submitted_twice_makes_one_connection(world: ServicesWorld) -> None:
    await world.connection()
    with pytest.raises(ConnectionNameTaken):
        await world.connection()
    assert len(await world.rows(Connection)) == 1


async def test_two_connections_may_lead_to_one_brand(world: ServicesWorld) -> None:
    first, second = await world.connection(), await world.connection(name="Shop for sales", api_key=SHOP_KEY_TOO)
    assert first.brand_id == second.brand_id


async def test_a_key_that_can_not_read_its_brand_gets_a_brand_of_its_own(world: ServicesWorld) -> None:
    connection = await world.connection(api_key=BLIND_KEY)
    other = await world.connection(name="Other", api_key=BLIND_KEY + "2")
    again = await world.connection(name="Again", api_key=BLIND_KEY)
    assert connection.brand_id.startswith("key-")
    assert BLIND_KEY not in connection.brand_id
    assert connection.brand_id == again.brand_id != other.brand_id
    assert not brand_is_readable(connection)
    assert not (await world.connections.details(ADMIN, id_of(connection))).brand_readable


async def test_a_connection_is_shared_with_the_people_and_groups_that_are_named(world: ServicesWorld) -> None:
    connection = await world.connection(audience=Audience.PEOPLE, people=("U1", "U2", "U1"), groups=("S1",))
    details = await world.connections.details(ADMIN, id_of(connection))
    assert (details.people, details.groups) == (("U1", "U2"), ("S1",))


async def test_names_mean_nothing_where_a_connection_is_for_admins_or_for_everyone(world: ServicesWorld) -> None:
    await world.connection(people=("U1",))
    assert await world.rows(ConnectionGrant) == []


async def test_a_new_connection_stands_in_the_record_without_its_key(world: ServicesWorld) -> None:
    await world.connection()
    (entry,) = await world.rows(AuditEntry)
    assert (entry.actor, entry.action, entry.subject) == (ADMIN.user_id, "connection.added", "connection/1")
    assert SHOP_KEY[-4:] not in str(entry.facts)


async def test_a_key_can_be_tried_without_being_stored(world: ServicesWorld) -> None:
    assert await world.connections.check_key(ADMIN, f" {STORE_KEY}\n") == STORE
    assert await world.rows(Connection) == []


# --- consent


async def test_consent_is_a_record_of_who_agreed_to_what_and_when(world: ServicesWorld) -> None:
    shown = consent_text(lambda text: f"„{text}“")
    connection = await world.connection(text_shown=shown, language="de-DE", full_values_in_slack=True)
    (consent,) = await world.rows(Consent)
    assert (consent.connection_id, consent.connection_name, consent.brand_id) == (connection.id, "Shop", SHOP.id)
    assert (consent.person, consent.text_version, consent.language) == (ADMIN.user_id, CONSENT_VERSION, "de-DE")
    assert consent.text_digest == hashlib.sha256(shown.encode()).hexdigest()
    assert (consent.full_values_in_slack, consent.withdrawn_at) == (True, None)


@pytest.mark.parametrize(
    "words",
    [
        "personal data",
        "Customer Insights",
        "Omnisend",
        "instruction of your organisation",
        "consent of the people concerned",
        "duties",
        "withdraw this agreement at any time",
        "The encrypted addresses stay here until the export that they belong to is removed",
        "the sign-in of the export user",
        "Slack",
        "What is stored here",
        CONSENT_VERSION,
    ],
)
def test_the_text_says_what_an_admin_must_know(words: str) -> None:
    assert words in consent_text()


def test_another_text_has_another_version() -> None:
    """Whoever changes the text gives it a version of its own, so that every admin is asked again, and pins both."""
    pinned = ("2026-11.3", "7cf44d962dbb125a19007de3a4aa9d8c6e3f0927240b6dd572a2c2050494e284")
    assert (CONSENT_VERSION, hashlib.sha256(consent_text().encode()).hexdigest()) == pinned


def test_the_text_fits_into_one_block_of_a_modal() -> None:
    assert len(consent_text()) < 3_000


def test_each_paragraph_of_the_text_can_be_translated() -> None:
    assert len(consent_text(lambda text: "x").split("\n\n")) == 6


async def test_consent_that_was_given_again_counts_and_the_old_record_stays(world: ServicesWorld) -> None:
    connection = await world.connection()
    await world.connections.agree_again(
        ADMIN, id_of(connection), language="en-US", text_shown=consent_text(), full_values_in_slack=True
    )
    assert len(await world.rows(Consent)) == 2
    details = await world.connections.details(ADMIN, id_of(connection))
    assert details.consent is not None
    assert details.consent.full_values_in_slack
    assert details.consent_holds


async def test_a_text_of_an_older_version_can_not_be_agreed_to_again(world: ServicesWorld) -> None:
    connection = await world.connection()
    with pytest.raises(ConsentTextChanged):
        await world.connections.agree_again(
            ADMIN, id_of(connection), language="en", text_shown="Text version 2020-01.1.", full_values_in_slack=False
        )


# --- edit, share


async def test_editing_changes_the_name_and_who_may_use_it(world: ServicesWorld) -> None:
    connection = await world.shared()
    await world.connections.edit(
        ADMIN, id_of(connection), name=" Store ", audience=Audience.PEOPLE, people=(BOB.user_id,), groups=()
    )
    details = await world.connections.details(ADMIN, id_of(connection))
    assert (details.connection.name, details.people) == ("Store", (BOB.user_id,))
    assert await world.connections.visible(ANN) == []


async def test_an_edit_may_name_the_same_people_again(world: ServicesWorld) -> None:
    connection = await world.shared()
    for _ in range(2):
        await world.connections.share(
            ADMIN, id_of(connection), audience=Audience.PEOPLE, people=(ANN.user_id,), groups=("S1",)
        )
    assert len(await world.rows(ConnectionGrant)) == 2


async def test_a_connection_can_keep_its_own_name_but_not_take_anothers(world: ServicesWorld) -> None:
    connection = await world.connection()
    await world.connection(name="Store", api_key=STORE_KEY)
    await world.connections.edit(ADMIN, id_of(connection), name="SHOP", audience=Audience.EVERYONE)
    with pytest.raises(ConnectionNameTaken):
        await world.connections.edit(ADMIN, id_of(connection), name="store", audience=Audience.EVERYONE)


async def test_exports_stay_when_a_connection_is_no_longer_shared(world: ServicesWorld) -> None:
    connection = await world.shared()
    export = await world.export(connection, ANN)
    await world.connections.share(ADMIN, id_of(connection), audience=Audience.ADMINS)
    assert (await world.row(Export, export.id)).connection_id == connection.id


async def test_a_group_gives_access_to_its_members(world: ServicesWorld) -> None:
    connection = await world.connection(audience=Audience.PEOPLE, groups=("S0SALES",))
    assert [each.id for each in await world.connections.visible(ANN)] == [connection.id]
    assert await world.connections.visible(BOB) == []


# --- another key


async def test_a_new_key_of_the_same_brand_changes_nothing_else(world: ServicesWorld) -> None:
    connection = await world.connection()
    await world.export(connection)
    replaced = await world.connections.replace_key(ADMIN, id_of(connection), SHOP_KEY_TOO)
    assert (replaced.same_brand, replaced.brand, replaced.consent_needed) == (True, SHOP, False)
    stored = await world.row(Connection, connection.id)
    assert stored.api_key is not None
    assert world.keys.vault.open(stored.api_key, row=f"connection/{connection.id}/api_key") == SHOP_KEY_TOO
    (segment,) = await world.rows(ExportSegment)
    assert segment.brand_id == SHOP.id


async def test_a_key_of_another_brand_moves_the_segments_and_asks_for_consent_again(world: ServicesWorld) -> None:
    connection = await world.connection()
    export = await world.export(connection)
    async with world.database.write() as session:
        segment = await session.get_one(ExportSegment, 1)
        segment.omnisend_id, segment.omnisend_name, segment.last_members = "s1", "VIP", 41_200
        session.add(segment)
    replaced = await world.connections.replace_key(ADMIN, id_of(connection), STORE_KEY)
    assert (replaced.same_brand, replaced.brand, replaced.consent_needed) == (False, STORE, True)
    moved = await world.row(ExportSegment, 1)
    assert (moved.brand_id, moved.omnisend_id, moved.omnisend_name, moved.last_members) == (STORE.id, None, None, None)
    assert (await world.exports.get(ADMIN, id_of(export))).obstacle is not None
    await world.connections.agree_again(
        ADMIN, id_of(connection), language="en", text_shown=consent_text(), full_values_in_slack=False
    )
    assert (await world.exports.get(ADMIN, id_of(export))).obstacle is None


async def test_a_deselected_segment_is_not_owed_to_a_brand_that_never_had_it(world: ServicesWorld) -> None:
    connection = await world.connection()
    export = await world.export(connection, segments=("VIP", "New"))
    await world.sent(export)
    await world.exports.save(ADMIN, draft(connection, segments=("VIP",)), id_of(export))
    assert {s.name: s.state for s in await world.rows(ExportSegment)}["New"] is SegmentState.DROPPING
    await world.connections.replace_key(ADMIN, id_of(connection), STORE_KEY)
    assert [segment.name for segment in await world.rows(ExportSegment)] == ["VIP"]


async def test_a_wrong_new_key_leaves_the_old_one_in_place(world: ServicesWorld) -> None:
    connection = await world.connection()
    with pytest.raises(KeyNotAccepted):
        await world.connections.replace_key(ADMIN, id_of(connection), "nonsense")
    assert (await world.row(Connection, connection.id)).key_hint == SHOP_KEY[-4:]


async def test_the_brand_does_not_change_under_a_run(world: ServicesWorld) -> None:
    connection = await world.connection()
    await world.runs.start(ADMIN, id_of(await world.export(connection)))
    with pytest.raises(ConnectionBusy, match="VIP to shop"):
        await world.connections.replace_key(ADMIN, id_of(connection), STORE_KEY)
    assert (await world.connections.replace_key(ADMIN, id_of(connection), SHOP_KEY_TOO)).same_brand


async def test_a_key_of_a_brand_that_has_the_segment_from_another_export_is_refused(world: ServicesWorld) -> None:
    await world.export(await world.connection())
    store = await world.connection(name="Store", api_key=STORE_KEY)
    await world.export(store, name="VIP to store")
    with pytest.raises(SegmentOwned, match="VIP to shop"):
        await world.connections.replace_key(ADMIN, id_of(store), SHOP_KEY_TOO)
    assert (await world.row(Connection, store.id)).brand_id == STORE.id


async def test_another_key_that_can_not_read_its_brand_counts_as_another_brand(world: ServicesWorld) -> None:
    connection = await world.connection(api_key=BLIND_KEY)
    assert (await world.connections.replace_key(ADMIN, id_of(connection), BLIND_KEY)).same_brand
    assert not (await world.connections.replace_key(ADMIN, id_of(connection), BLIND_KEY + "2")).same_brand


# --- withdraw


async def test_withdrawal_stops_runs_erases_the_key_and_detaches_the_exports(world: ServicesWorld) -> None:
    connection = await world.connection(audience=Audience.EVERYONE)
    running = await world.export(connection, name="Running", segments=("VIP",))
    waiting = await world.export(connection, name="Waiting", segments=("New",))
    await world.export(connection, name="Resting", segments=("Lost",))
    under_way = await world.running(await world.runs.start(ADMIN, id_of(running)))
    queued = await world.runs.start(ADMIN, id_of(waiting))

    withdrawn = await world.connections.withdraw(ADMIN, id_of(connection))

    assert (withdrawn.stopped_runs, withdrawn.detached) == (["Running", "Waiting"], ["Running", "Waiting", "Resting"])
    assert (await world.row(Run, under_way.id)).cancel_requested_by == ADMIN.user_id
    assert (await world.row(Run, queued.id)).status is RunStatus.CANCELLED
    assert [export.connection_id for export in await world.rows(Export)] == [None, None, None]
    stored = await world.row(Connection, connection.id)
    assert (stored.state, stored.api_key, stored.key_hint) == (ConnectionState.WITHDRAWN, None, "")
    (consent,) = await world.rows(Consent)
    assert consent.withdrawn_by == ADMIN.user_id
    assert consent.withdrawn_at is not None


async def test_whoever_waits_for_the_next_run_hears_of_the_withdrawal(world: ServicesWorld) -> None:
    connection = await world.connection()
    await world.export(connection, name="To a channel", segments=("VIP",), channel="C0MARKETING")
    await world.export(connection, name="To its owner", segments=("New",))
    await world.connections.withdraw(ADMIN, id_of(connection))
    told = {message.channel: message.facts["export"] for message in await world.heard("export.detached")}
    assert told == {"C0MARKETING": "To a channel", ADMIN.user_id: "To its owner"}
    assert all(message.facts["withdrawn"] for message in await world.heard("export.detached"))


async def test_withdrawing_twice_does_it_once(world: ServicesWorld) -> None:
    connection = await world.connection()
    await world.export(connection)
    await world.connections.withdraw(ADMIN, id_of(connection))
    again = await world.connections.withdraw(ADMIN, id_of(connection))
    assert (again.stopped_runs, again.detached) == ([], [])
    assert [action for _, action, _ in await world.audited()].count("consent.withdrawn") == 1


async def test_a_withdrawn_connection_can_not_be_used_revived_or_seen_by_contributors(world: ServicesWorld) -> None:
    connection = await world.shared()
    await world.connections.withdraw(ADMIN, id_of(connection))
    with pytest.raises(ConsentWithdrawn):
        await world.connections.replace_key(ADMIN, id_of(connection), SHOP_KEY)
    with pytest.raises(ConsentWithdrawn):
        await world.connections.agree_again(
            ADMIN, id_of(connection), language="en", text_shown=consent_text(), full_values_in_slack=False
        )
    assert await world.connections.visible(ANN) == []
    assert [each.state for each in await world.connections.visible(ADMIN)] == [ConnectionState.WITHDRAWN]


# --- remove


async def test_a_connection_in_use_is_not_removed_and_its_exports_are_named(world: ServicesWorld) -> None:
    connection = await world.connection()
    export = await world.export(connection)
    with pytest.raises(ConnectionInUse, match=r"\*VIP to shop\*") as raised:
        await world.connections.remove(ADMIN, id_of(connection))
    assert raised.value.exports == ((export.id, "VIP to shop"),)
    await world.exports.detach(ADMIN, id_of(export))
    await world.connections.remove(ADMIN, id_of(connection))
    with pytest.raises(ConnectionUnknown):
        await world.connections.get(ADMIN, id_of(connection))


async def test_the_consent_to_a_removed_connection_stays_on_record_as_ended(world: ServicesWorld) -> None:
    connection = await world.shared()
    await world.connections.remove(ADMIN, id_of(connection))
    (consent,) = await world.rows(Consent)
    assert (consent.connection_id, consent.connection_name, consent.withdrawn_by) == (None, "Shop", ADMIN.user_id)
    assert await world.rows(ConnectionGrant) == []


async def test_a_name_is_free_again_after_removal(world: ServicesWorld) -> None:
    await world.connections.remove(ADMIN, id_of(await world.connection()))
    assert (await world.connections.connect(ADMIN, replace(CONNECTION, api_key=STORE_KEY))).name == "Shop"


async def test_every_change_stands_in_the_record(world: ServicesWorld) -> None:
    connection = await world.shared()
    key = id_of(connection)
    await world.connections.edit(ADMIN, key, name="Shop", audience=Audience.EVERYONE)
    await world.connections.share(ADMIN, key, audience=Audience.ADMINS)
    await world.connections.replace_key(ADMIN, key, SHOP_KEY_TOO)
    await world.connections.agree_again(
        ADMIN, key, language="en", text_shown=consent_text(), full_values_in_slack=False
    )
    await world.connections.withdraw(ADMIN, key)
    await world.connections.remove(ADMIN, key)
    assert [action for _, action, _ in await world.audited()] == [
        "connection.added",
        "connection.edited",
        "connection.shared",
        "connection.key_replaced",
        "consent.given",
        "consent.withdrawn",
        "connection.removed",
    ]
