"""Who may do what, as a table written by hand from the design's rules, and held against policy and services.

Reference: customer-insights.md §2 (connections: admins only; contributors see name and type of those shared with them,
and manage every export on these) and §6 (roles).
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bot.access import POLICY, Action, AdminsOnly, Denied, Role, allowed, require, role_of
from bot.services.actor import Actor
from bot.services.connections import consent_text
from bot.services.errors import ConnectionUnknown, ExportGone, ExportUserUnwanted, RequestUnknown, RunUnknown
from storage.errors import FerryError
from storage.models import Audience, Connection, ConnectionGrant, Export, GrantKind, Run, When
from tests.unit.services_world import (
    ADMIN,
    ANN,
    BOB,
    CONNECTION,
    SHOP_KEY_TOO,
    STRANGER,
    TEAM,
    ServicesWorld,
    draft,
    id_of,
    services_world,
)

# Columns: an admin; somebody the connection is shared with; somebody else in the workspace (for whom it is foreign);
# an admin of another workspace; a guest who is not named. Written by hand: never derive it from the policy.
MATRIX = {
    #                                  admin  shared  foreign  stranger  guest
    Action.SEE_CONNECTION:            (True,  True,   False,   False,   False),
    Action.SEE_CONNECTION_SETTINGS:   (True,  False,  False,   False,   False),
    Action.ADD_CONNECTION:            (True,  False,  False,   False,   False),
    Action.EDIT_CONNECTION:           (True,  False,  False,   False,   False),
    Action.SHARE_CONNECTION:          (True,  False,  False,   False,   False),
    Action.REPLACE_KEY:               (True,  False,  False,   False,   False),
    Action.SET_EXPORT_USER:           (True,  False,  False,   False,   False),
    Action.GIVE_CONSENT:              (True,  False,  False,   False,   False),
    Action.WITHDRAW_CONSENT:          (True,  False,  False,   False,   False),
    Action.REMOVE_CONNECTION:         (True,  False,  False,   False,   False),
    Action.REQUEST_CONNECTION:        (True,  True,   True,    True,    True),
    Action.ANSWER_REQUEST:            (True,  False,  False,   False,   False),
    Action.USE_CONNECTION:            (True,  True,   False,   False,   False),
    Action.SEE_EXPORT:                (True,  True,   True,    True,    False),
    Action.SEE_EXPORT_SETTINGS:       (True,  True,   False,   False,   False),
    Action.EDIT_EXPORT:               (True,  True,   False,   False,   False),
    Action.REMOVE_EXPORT:             (True,  True,   False,   False,   False),
    Action.SEE_RUNS:                  (True,  True,   True,    True,    False),
    Action.SEE_REJECTS:               (True,  True,   False,   False,   False),
    Action.PREVIEW_EXPORT:            (True,  True,   False,   False,   False),
    Action.RUN_EXPORT:                (True,  True,   False,   False,   False),
    Action.RETRY_REJECTED:            (True,  True,   False,   False,   False),
    Action.RESYNC_EXPORT:             (True,  True,   False,   False,   False),
    Action.EMPTY_SEGMENTS:            (True,  True,   False,   False,   False),
    Action.CANCEL_RUN:                (True,  True,   False,   False,   False),
    Action.ANSWER_GUARD:              (True,  True,   False,   False,   False),
    Action.ADOPT_LEDGER:              (True,  True,   False,   False,   False),
    Action.SEE_REFRESH:               (True,  True,   True,    True,    True),
    Action.SET_REFRESH:               (True,  False,  False,   False,   False),
    Action.SET_ADMINS:                (True,  False,  False,   False,   False),
}  # fmt: skip
GUEST = Actor(TEAM, "U0GUEST", is_guest=True)
ACTORS = (ADMIN, ANN, BOB, STRANGER, GUEST)
SHARED = Connection(id=1, team_id=TEAM, name="Shop", brand_id="b", audience=Audience.PEOPLE)
GRANTS = [ConnectionGrant(connection_id=1, kind=GrantKind.PERSON, subject=ANN.user_id, team_id=TEAM)]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ServicesWorld]:
    async with services_world(tmp_path) as world:
        yield world


# --- the policy


def test_every_action_stands_in_the_matrix_and_in_the_policy() -> None:
    assert set(MATRIX) == set(Action) == set(POLICY)


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("column", range(len(ACTORS)), ids=["admin", "shared", "foreign", "stranger", "guest"])
def test_the_policy_answers_as_the_matrix_says(action: Action, column: int) -> None:
    assert allowed(ACTORS[column], action, SHARED, GRANTS) is MATRIX[action][column]


@pytest.mark.parametrize("action", list(Action))
def test_what_is_not_allowed_raises_and_what_is_does_not(action: Action) -> None:
    if MATRIX[action][2]:
        require(BOB, action, SHARED, GRANTS)
    else:
        with pytest.raises(Denied) as denied:
            require(BOB, action, SHARED, GRANTS)
        assert denied.value.action is action


def test_a_refusal_says_whether_sharing_would_help() -> None:
    with pytest.raises(AdminsOnly, match="Only admins"):
        require(BOB, Action.REPLACE_KEY, SHARED, GRANTS)
    with pytest.raises(Denied, match="share the connection with you"):
        require(BOB, Action.RUN_EXPORT, SHARED, GRANTS)


# --- roles


@pytest.mark.parametrize(
    ("audience", "grants", "actor", "role"),
    [
        (Audience.ADMINS, [], ADMIN, Role.ADMIN),
        (Audience.ADMINS, [], ANN, Role.VIEWER),
        (Audience.ADMINS, [("person", "U0ANN")], ANN, Role.VIEWER),
        (Audience.EVERYONE, [], BOB, Role.CONTRIBUTOR),
        (Audience.EVERYONE, [], ADMIN, Role.ADMIN),
        (Audience.EVERYONE, [], GUEST, Role.GUEST),
        (Audience.PEOPLE, [("person", "U0GUEST")], GUEST, Role.CONTRIBUTOR),
        (Audience.PEOPLE, [("person", "U0ANN")], ANN, Role.CONTRIBUTOR),
        (Audience.PEOPLE, [("person", "U0ANN")], BOB, Role.VIEWER),
        (Audience.PEOPLE, [("group", "S0SALES")], ANN, Role.CONTRIBUTOR),
        (Audience.PEOPLE, [("group", "S0SALES")], BOB, Role.VIEWER),
        (Audience.PEOPLE, [("group", "U0BOB")], BOB, Role.VIEWER),
        (Audience.PEOPLE, [("person", "S0SALES")], ANN, Role.VIEWER),
        (Audience.PEOPLE, [], ADMIN, Role.ADMIN),
    ],
)
def test_a_role_follows_from_with_whom_the_connection_is_shared(
    audience: Audience, grants: list[tuple[str, str]], actor: Actor, role: Role
) -> None:
    connection = Connection(id=1, team_id=TEAM, name="Shop", brand_id="b", audience=audience)
    named = [
        ConnectionGrant(connection_id=1, kind=GrantKind(kind), subject=subject, team_id=TEAM)
        for kind, subject in grants
    ]
    assert role_of(actor, connection, named) is role


def test_a_grant_of_another_connection_gives_nothing() -> None:
    other = Connection(id=2, team_id=TEAM, name="Store", brand_id="b2", audience=Audience.PEOPLE)
    assert role_of(ANN, other, GRANTS) is Role.VIEWER


def test_an_admin_of_another_workspace_has_no_rights_here() -> None:
    everyone = Connection(id=1, team_id=TEAM, name="Shop", brand_id="b", audience=Audience.EVERYONE)
    assert role_of(STRANGER, everyone) is Role.VIEWER


def test_a_detached_export_is_its_owners() -> None:
    assert role_of(ANN, None, owner=ANN.user_id) is Role.CONTRIBUTOR
    assert role_of(BOB, None, owner=ANN.user_id) is Role.VIEWER
    assert role_of(ADMIN, None, owner=ANN.user_id) is Role.ADMIN


def test_an_owner_loses_an_export_whose_connection_is_no_longer_shared_with_them() -> None:
    assert role_of(BOB, SHARED, GRANTS, owner=BOB.user_id) is Role.VIEWER


# --- the services ask the policy when something is carried out

Use = Callable[[ServicesWorld, Actor, Connection, Export, Run], Awaitable[object]]


async def _of_tables(use: Awaitable[object]) -> None:
    """A folder of tables wants nobody to sign in; that is found out after the right was looked at."""
    with contextlib.suppress(ExportUserUnwanted):
        await use


def _agree(world: ServicesWorld, actor: Actor, connection: Connection, export: Export, run: Run) -> Awaitable[object]:
    return world.connections.agree_again(
        actor, id_of(connection), language="en", text_shown=consent_text(), full_values_in_slack=False
    )


async def _approve(world: ServicesWorld, actor: Actor, connection: Connection, export: Export, run: Run) -> object:
    asked = await world.requests.request(BOB)
    return await world.requests.approve(actor, asked.id, id_of(connection))


async def _decline(world: ServicesWorld, actor: Actor, connection: Connection, export: Export, run: Run) -> object:
    asked = await world.requests.request(BOB)
    return await world.requests.decline(actor, asked.id, "no")


async def _answer(world: ServicesWorld, actor: Actor, connection: Connection, export: Export, run: Run) -> object:
    await world.asking(run)
    return await world.runs.answer(actor, id_of(run), True)


async def _adopt(world: ServicesWorld, actor: Actor, connection: Connection, export: Export, run: Run) -> object:
    await world.asking(run, {"kind": "ledger_behind", "ledger": 0, "at_omnisend": 40})
    return await world.runs.adopt(actor, id_of(run))


async def _after(world: ServicesWorld, run: Run, act: Awaitable[object]) -> object:
    """Once the run is over: what can't be done while it goes on."""
    await world.runs.cancel(ADMIN, id_of(run))
    return await act


USES: dict[str, tuple[Action, Use]] = {
    "get a connection": (Action.SEE_CONNECTION, lambda w, a, c, e, r: w.connections.get(a, id_of(c))),
    "see its settings": (Action.SEE_CONNECTION_SETTINGS, lambda w, a, c, e, r: w.connections.details(a, id_of(c))),
    "check a key": (Action.ADD_CONNECTION, lambda w, a, c, e, r: w.connections.check_key(a, SHOP_KEY_TOO)),
    "edit": (
        Action.EDIT_CONNECTION,
        lambda w, a, c, e, r: w.connections.edit(a, id_of(c), name="X", audience=Audience.ADMINS, people=(), groups=()),
    ),
    "share": (
        Action.SHARE_CONNECTION,
        lambda w, a, c, e, r: w.connections.share(a, id_of(c), audience=Audience.EVERYONE),
    ),
    "replace the key": (Action.REPLACE_KEY, lambda w, a, c, e, r: w.connections.replace_key(a, id_of(c), SHOP_KEY_TOO)),
    "sign in to read": (Action.SET_EXPORT_USER, lambda w, a, c, e, r: _of_tables(w.export_users.begin(a, id_of(c)))),
    "finish a sign-in": (
        Action.SET_EXPORT_USER,
        lambda w, a, c, e, r: _of_tables(w.export_users.complete(a, 1, id_of(c))),
    ),
    "let the app read": (Action.SET_EXPORT_USER, lambda w, a, c, e, r: _of_tables(w.export_users.use_app(a, id_of(c)))),
    "agree again": (Action.GIVE_CONSENT, _agree),
    "withdraw": (Action.WITHDRAW_CONSENT, lambda w, a, c, e, r: w.connections.withdraw(a, id_of(c))),
    "approve a request": (Action.ANSWER_REQUEST, _approve),
    "decline a request": (Action.ANSWER_REQUEST, _decline),
    "see what the source offers": (Action.USE_CONNECTION, lambda w, a, c, e, r: w.exports.choices(a, id_of(c))),
    "see examples": (Action.USE_CONNECTION, lambda w, a, c, e, r: w.exports.samples(a, id_of(c), ["Email"])),
    "count a segment": (Action.USE_CONNECTION, lambda w, a, c, e, r: w.exports.count(a, id_of(c), "VIP")),
    "add an export": (
        Action.USE_CONNECTION,
        lambda w, a, c, e, r: w.exports.save(a, draft(c, name="Another", segments=("Lost",))),
    ),
    "get an export": (Action.SEE_EXPORT, lambda w, a, c, e, r: w.exports.get(a, id_of(e))),
    "read its remarks": (Action.SEE_EXPORT_SETTINGS, lambda w, a, c, e, r: w.exports.remarks(a, id_of(e))),
    "edit an export": (Action.EDIT_EXPORT, lambda w, a, c, e, r: w.exports.save(a, draft(c), id_of(e))),
    "duplicate": (Action.EDIT_EXPORT, lambda w, a, c, e, r: w.exports.duplicate(a, id_of(e))),
    "pause": (Action.EDIT_EXPORT, lambda w, a, c, e, r: w.exports.pause(a, id_of(e))),
    "resume": (Action.EDIT_EXPORT, lambda w, a, c, e, r: w.exports.resume(a, id_of(e))),
    "detach": (Action.EDIT_EXPORT, lambda w, a, c, e, r: w.exports.detach(a, id_of(e))),
    "remove an export": (Action.REMOVE_EXPORT, lambda w, a, c, e, r: _after(w, r, w.exports.remove(a, id_of(e)))),
    "history": (Action.SEE_RUNS, lambda w, a, c, e, r: w.runs.history(a, id_of(e))),
    "rejects": (Action.SEE_REJECTS, lambda w, a, c, e, r: w.runs.rejects_csv(a, id_of(r))),
    "preview": (Action.PREVIEW_EXPORT, lambda w, a, c, e, r: w.runs.preview(a, id_of(e))),
    "run": (Action.RUN_EXPORT, lambda w, a, c, e, r: _after(w, r, w.runs.start(a, id_of(e)))),
    "retry": (Action.RETRY_REJECTED, lambda w, a, c, e, r: _after(w, r, w.runs.retry_rejected(a, id_of(r)))),
    "resync": (Action.RESYNC_EXPORT, lambda w, a, c, e, r: _after(w, r, w.runs.resync(a, id_of(e)))),
    "empty": (Action.EMPTY_SEGMENTS, lambda w, a, c, e, r: _after(w, r, w.runs.empty(a, id_of(e)))),
    "cancel": (Action.CANCEL_RUN, lambda w, a, c, e, r: w.runs.cancel(a, id_of(r))),
    "answer the guard": (Action.ANSWER_GUARD, _answer),
    "adopt": (Action.ADOPT_LEDGER, _adopt),
    "rebuild the ledger": (Action.ADOPT_LEDGER, lambda w, a, c, e, r: w.runs.rebuild_ledger(a, id_of(e))),
    "set the refresh": (Action.SET_REFRESH, lambda w, a, c, e, r: w.schedules.set_refresh(a, ["06:00"], [0], "UTC")),
    "name admins": (Action.SET_ADMINS, lambda w, a, c, e, r: w.people.set_admins(a, ["U0ANN"])),
}


@pytest.mark.parametrize("use", list(USES))
@pytest.mark.parametrize("column", range(3), ids=["admin", "shared", "foreign"])
async def test_a_service_lets_through_whom_the_matrix_lets_through(world: ServicesWorld, use: str, column: int) -> None:
    connection = await world.shared()
    export = await world.export(connection, ADMIN)
    run = await world.runs.start(ADMIN, id_of(export))
    action, act = USES[use]
    if MATRIX[action][column]:
        await act(world, ACTORS[column], connection, export, run)
    else:
        with pytest.raises(Denied):
            await act(world, ACTORS[column], connection, export, run)


WORKSPACE_WIDE = {"check a key", "set the refresh", "name admins"}  # a stranger does these to their own workspace


@pytest.mark.parametrize("use", [use for use in USES if use not in WORKSPACE_WIDE])
async def test_another_workspaces_things_are_unknown_even_to_an_admin_who_forges_their_ids(
    world: ServicesWorld, use: str
) -> None:
    connection = await world.shared(audience=Audience.EVERYONE)
    export = await world.export(connection, ADMIN)
    run = await world.runs.start(ADMIN, id_of(export))
    with pytest.raises((ConnectionUnknown, ExportGone, RunUnknown, RequestUnknown)):
        await USES[use][1](world, STRANGER, connection, export, run)


async def test_removing_a_connection_is_for_admins(world: ServicesWorld) -> None:
    connection = await world.shared()
    for actor, error in ((ANN, Denied), (BOB, Denied), (STRANGER, ConnectionUnknown)):
        with pytest.raises(error):
            await world.connections.remove(actor, id_of(connection))
    await world.connections.remove(ADMIN, id_of(connection))
    assert await world.rows(Connection) == []


async def test_adding_a_connection_is_for_admins(world: ServicesWorld) -> None:
    for actor in (ANN, BOB):
        with pytest.raises(AdminsOnly):
            await world.connections.connect(actor, CONNECTION)
    assert world.engine.checked == []


async def test_everybody_sees_the_exports_and_nobody_elses(world: ServicesWorld) -> None:
    await world.export(await world.shared(), ANN)
    assert [view.export.name for view in await world.exports.visible(BOB)] == ["VIP to shop"]
    assert await world.exports.visible(STRANGER) == []


# --- a right is checked when the action is carried out, not when the form was opened


async def test_a_form_that_was_open_when_the_connection_was_unshared_saves_nothing(world: ServicesWorld) -> None:
    connection = await world.shared()
    filled_in = draft(connection)
    await world.connections.share(ADMIN, id_of(connection), audience=Audience.ADMINS)
    with pytest.raises(Denied):
        await world.exports.save(ANN, filled_in)
    assert await world.rows(Export) == []


async def test_a_button_that_was_drawn_for_a_contributor_starts_nothing_for_somebody_else(
    world: ServicesWorld,
) -> None:
    export = await world.export(await world.shared(), ANN)
    with pytest.raises(Denied):
        await world.runs.start(BOB, id_of(export))
    assert await world.rows(Run) == []


async def test_an_export_can_not_be_moved_to_a_connection_that_is_not_shared_with_its_editor(
    world: ServicesWorld,
) -> None:
    export = await world.export(await world.shared(), ANN)
    closed = await world.connection(name="Closed", api_key=SHOP_KEY_TOO)
    with pytest.raises(Denied):
        await world.exports.save(ANN, draft(closed), id_of(export))
    assert (await world.row(Export, export.id)).connection_id == export.connection_id


async def test_an_export_can_not_be_taken_over_by_moving_it_to_ones_own_connection(world: ServicesWorld) -> None:
    export = await world.export(await world.connection(), ADMIN)
    shared = await world.shared(name="Shared", api_key=SHOP_KEY_TOO)
    with pytest.raises(Denied):
        await world.exports.save(ANN, draft(shared), id_of(export))


@pytest.mark.parametrize("forged", [0, -1, 4_711])
async def test_ids_that_never_were_are_answered_as_removed_ones(world: ServicesWorld, forged: int) -> None:
    acts: list[tuple[type[FerryError], Awaitable[object]]] = [
        (ConnectionUnknown, world.connections.withdraw(ADMIN, forged)),
        (ExportGone, world.runs.start(ADMIN, forged)),
        (RunUnknown, world.runs.cancel(ADMIN, forged)),
        (RequestUnknown, world.requests.decline(ADMIN, forged)),
    ]
    for error, act in acts:
        with pytest.raises(error):
            await act


async def test_a_viewer_gets_no_settings_with_an_export(world: ServicesWorld) -> None:
    export = await world.export(await world.shared(), ANN, when=When.REFRESH, limits={"fall": 0.1}, notify=("U0ANN",))
    seen = await world.exports.get(BOB, id_of(export))
    assert (seen.lines, seen.export.limits, seen.export.notify) == ((), {}, [])
    assert (seen.may_run, seen.may_edit) == (False, False)
    full = await world.exports.get(ANN, id_of(export))
    assert (len(full.lines), full.export.limits, full.export.notify) == (2, {"fall": 0.1}, ["U0ANN"])
    assert (full.may_run, full.may_edit) == (True, True)


async def test_a_contributor_gets_name_and_type_of_a_shared_connection_and_nothing_else(world: ServicesWorld) -> None:
    connection = await world.shared()
    for seen in (await world.connections.get(ANN, id_of(connection)), *await world.connections.visible(ANN)):
        assert (seen.name, seen.source) == ("Shop", "tables")
        assert (seen.api_key, seen.key_hint, seen.brand_id, seen.brand_name) == (None, "", "", "")
    assert await world.connections.visible(BOB) == []
    assert [each.key_hint for each in await world.connections.visible(ADMIN)] == ["cdef"]
