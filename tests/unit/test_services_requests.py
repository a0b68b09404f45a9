"""Requests for a connection, and people with their rights.

Reference: customer-insights.md §2 (a contributor asks an admin) and §6 (roles; a group may hold a role).
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.access import Denied
from bot.services.errors import AdminsEmpty, ConsentWithdrawn, RequestAnswered
from bot.services.people import PersonProfile
from storage.models import Audience, AuditEntry, Person, Workspace
from tests.unit.services_world import ADMIN, ANN, BOB, OTHER_TEAM, TEAM, ServicesWorld, id_of, services_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ServicesWorld]:
    async with services_world(tmp_path) as world:
        for user_id, is_admin in ((ADMIN.user_id, True), ("U0ADMIN2", True), (ANN.user_id, False)):
            await world.people.actor(TEAM, user_id, PersonProfile(user_id, is_admin=is_admin))
        yield world


# --- requests


async def test_every_admin_hears_of_a_request(world: ServicesWorld) -> None:
    asked = await world.requests.request(BOB, " For the spring sale. ")
    heard = await world.heard("connection.requested")
    assert sorted(message.channel for message in heard) == ["U0ADMIN", "U0ADMIN2"]
    assert heard[0].facts == {"request_id": asked.id, "by": BOB.user_id, "note": "For the spring sale."}


async def test_asking_twice_makes_one_request(world: ServicesWorld) -> None:
    first, second = await world.requests.request(BOB, "please"), await world.requests.request(BOB, "please!")
    assert first == second
    assert len(await world.heard("connection.requested")) == 2
    assert await world.requests.pending(ADMIN) == [first]


async def test_approval_shares_the_connection_and_tells_who_asked(world: ServicesWorld) -> None:
    connection = await world.connection()
    asked = await world.requests.request(BOB)
    answered = await world.requests.approve(ADMIN, asked.id, id_of(connection))
    assert (answered.verdict, answered.answered_by, answered.open) == ("approved", ADMIN.user_id, False)
    assert [each.id for each in await world.connections.visible(BOB)] == [connection.id]
    (message,) = await world.heard("connection.request_approved")
    assert (message.channel, message.facts["connection"]) == (BOB.user_id, "Shop")


async def test_approval_takes_nothing_from_those_it_was_shared_with_before(world: ServicesWorld) -> None:
    for number, audience in enumerate((Audience.PEOPLE, Audience.EVERYONE)):
        people = (ANN.user_id,) if audience is Audience.PEOPLE else ()
        connection = await world.connection(name=f"Shop {number}", audience=audience, people=people)
        asked = await world.requests.request(BOB)
        await world.requests.approve(ADMIN, asked.id, id_of(connection))
        for actor in (ANN, BOB):
            assert (await world.connections.get(actor, id_of(connection))).name == f"Shop {number}"


async def test_an_approved_guest_may_use_what_everyone_may_use(world: ServicesWorld) -> None:
    guest = replace(BOB, is_guest=True)
    connection = await world.connection(audience=Audience.EVERYONE)
    assert await world.connections.visible(guest) == []
    asked = await world.requests.request(guest)
    await world.requests.approve(ADMIN, asked.id, id_of(connection))
    for actor in (guest, ANN):
        assert [each.id for each in await world.connections.visible(actor)] == [connection.id]


async def test_whoever_is_no_admin_any_more_hears_of_no_request(world: ServicesWorld) -> None:
    for user_id in ("U0FORMER", ADMIN.user_id):
        await world.people.actor(TEAM, user_id, PersonProfile(user_id, is_admin=True))
    found = {ADMIN.user_id: PersonProfile("Admin", is_admin=True), "U0NEW": PersonProfile("New", is_admin=True)}
    await world.people.meet_admins(TEAM, found)
    await world.requests.request(BOB)
    assert {message.channel for message in await world.heard("connection.requested")} == {ADMIN.user_id, "U0NEW"}


async def test_a_decline_gives_its_reason_to_who_asked(world: ServicesWorld) -> None:
    asked = await world.requests.request(BOB)
    await world.requests.decline(ADMIN, asked.id, "Ask legal first.")
    (message,) = await world.heard("connection.request_declined")
    assert (message.channel, message.facts["reason"]) == (BOB.user_id, "Ask legal first.")
    assert (await world.requests.get(ADMIN, asked.id)).reason == "Ask legal first."


async def test_the_second_answer_is_refused_and_names_who_gave_the_first(world: ServicesWorld) -> None:
    asked = await world.requests.request(BOB)
    await world.requests.decline(ADMIN, asked.id)
    with pytest.raises(RequestAnswered, match="declined by U0ADMIN"):
        await world.requests.approve(ADMIN, asked.id, id_of(await world.connection()))
    assert await world.requests.pending(ADMIN) == []


async def test_somebody_who_was_declined_may_ask_again(world: ServicesWorld) -> None:
    first = await world.requests.request(BOB)
    await world.requests.decline(ADMIN, first.id)
    assert (await world.requests.request(BOB)).id != first.id


async def test_a_request_can_not_be_approved_with_a_connection_that_has_ended(world: ServicesWorld) -> None:
    connection = await world.connection()
    await world.connections.withdraw(ADMIN, id_of(connection))
    asked = await world.requests.request(BOB)
    with pytest.raises(ConsentWithdrawn):
        await world.requests.approve(ADMIN, asked.id, id_of(connection))
    assert await world.requests.pending(ADMIN) == [asked]


# --- people


async def test_slacks_own_admins_are_admins_until_others_are_named(world: ServicesWorld) -> None:
    admin, ann = await world.people.actor(TEAM, ADMIN.user_id), await world.people.actor(TEAM, ANN.user_id)
    assert (admin.is_admin, ann.is_admin) == (True, False)
    await world.people.set_admins(admin, [ANN.user_id, ANN.user_id])
    admin, ann = await world.people.actor(TEAM, ADMIN.user_id), await world.people.actor(TEAM, ANN.user_id)
    assert (admin.is_admin, ann.is_admin) == (False, True)
    assert await world.people.admins(TEAM) == await world.people.named_admins(TEAM) == [ANN.user_id]
    await world.people.set_admins(ann, None)
    assert (await world.people.actor(TEAM, ADMIN.user_id)).is_admin
    assert await world.people.admins(TEAM) == ["U0ADMIN", "U0ADMIN2"]


async def test_naming_admins_of_one_workspace_changes_nothing_in_another(world: ServicesWorld) -> None:
    await world.people.set_admins(ADMIN, [ANN.user_id])
    assert not (await world.people.actor(OTHER_TEAM, ANN.user_id)).is_admin


async def test_there_is_always_an_admin(world: ServicesWorld) -> None:
    with pytest.raises(AdminsEmpty) as raised:
        await world.people.set_admins(ADMIN, [])
    assert raised.value.field == "admins"


async def test_only_admins_name_admins(world: ServicesWorld) -> None:
    with pytest.raises(Denied):
        await world.people.set_admins(ANN, [ANN.user_id])
    assert [workspace.admins for workspace in await world.rows(Workspace)] == [None]


async def test_naming_admins_stands_in_the_record(world: ServicesWorld) -> None:
    await world.people.set_admins(ADMIN, [ANN.user_id])
    (entry,) = await world.rows(AuditEntry)
    assert (entry.actor, entry.action, entry.facts) == (ADMIN.user_id, "workspace.admins_set", {"admins": ["U0ANN"]})


async def test_what_slack_says_of_a_person_is_remembered_and_corrected(world: ServicesWorld) -> None:
    told = PersonProfile("Bob", "de-DE", "Europe/Berlin", is_admin=True, groups=frozenset({"S1"}))
    actor = await world.people.actor(TEAM, BOB.user_id, told)
    assert (actor.is_admin, actor.locale, actor.zone) == (True, "de-DE", "Europe/Berlin")
    assert actor.groups == {"S1"}
    await world.people.actor(TEAM, BOB.user_id, PersonProfile("Bob", "de-DE", "Europe/Berlin", is_admin=False))
    assert not (await world.people.actor(TEAM, BOB.user_id)).is_admin


async def test_a_person_who_is_told_again_as_before_is_not_written_again(world: ServicesWorld) -> None:
    before = await world.row(Person, (TEAM, ANN.user_id))
    await world.people.actor(TEAM, ANN.user_id, PersonProfile(ANN.user_id))
    assert (await world.row(Person, (TEAM, ANN.user_id))).seen_at == before.seen_at


async def test_somebody_of_whom_nothing_is_known_has_no_rights_and_english(world: ServicesWorld) -> None:
    actor = await world.people.actor(TEAM, "U0NOBODY")
    assert (actor.is_admin, actor.groups, actor.locale, actor.zone) == (False, frozenset(), "en-US", "UTC")


async def test_a_time_zone_that_does_not_exist_becomes_utc(world: ServicesWorld) -> None:
    assert (await world.people.actor(TEAM, "U0ODD", PersonProfile("Odd", zone="Mars/Olympus"))).zone == "UTC"
