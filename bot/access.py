"""Who may do what: one table. The services ask it each time something is carried out.

A role is held towards one connection: somebody may be a contributor on one and a viewer on the next. Whoever may not
even see a connection's name is a viewer there, or a guest, who sees no export either.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from bot.services.actor import Actor
from bot.services.errors import ServiceError
from storage.errors import mark
from storage.models import Audience, Connection, ConnectionGrant, GrantKind


class Role(StrEnum):
    ADMIN = "admin"
    CONTRIBUTOR = "contributor"  # the connection is shared with them
    VIEWER = "viewer"
    GUEST = "guest"  # of this workspace or of another one, and not named: sees no export


class Action(StrEnum):
    SEE_CONNECTION = "see_connection"  # that it exists, by name and type
    SEE_CONNECTION_SETTINGS = "see_connection_settings"
    ADD_CONNECTION = "add_connection"
    EDIT_CONNECTION = "edit_connection"
    SHARE_CONNECTION = "share_connection"
    REPLACE_KEY = "replace_key"
    SET_EXPORT_USER = "set_export_user"  # also of a connection to come
    GIVE_CONSENT = "give_consent"
    WITHDRAW_CONSENT = "withdraw_consent"
    REMOVE_CONNECTION = "remove_connection"
    REQUEST_CONNECTION = "request_connection"
    ANSWER_REQUEST = "answer_request"
    USE_CONNECTION = "use_connection"  # choose it for an export, and see what its source offers

    SEE_EXPORT = "see_export"
    SEE_EXPORT_SETTINGS = "see_export_settings"
    EDIT_EXPORT = "edit_export"  # also duplicate, pause, resume and detach
    REMOVE_EXPORT = "remove_export"

    SEE_RUNS = "see_runs"
    SEE_REJECTS = "see_rejects"
    PREVIEW_EXPORT = "preview_export"
    RUN_EXPORT = "run_export"
    RETRY_REJECTED = "retry_rejected"
    RESYNC_EXPORT = "resync_export"
    EMPTY_SEGMENTS = "empty_segments"
    CANCEL_RUN = "cancel_run"
    ANSWER_GUARD = "answer_guard"
    ADOPT_LEDGER = "adopt_ledger"  # rebuild it from Omnisend's segments, as an answer to the guard

    SEE_REFRESH = "see_refresh"
    SET_REFRESH = "set_refresh"
    SET_ADMINS = "set_admins"


_ADMINS = frozenset({Role.ADMIN})
_SHARED = frozenset({Role.ADMIN, Role.CONTRIBUTOR})
_MEMBERS = frozenset({Role.ADMIN, Role.CONTRIBUTOR, Role.VIEWER})
_ALL = frozenset(Role)

POLICY: Mapping[Action, frozenset[Role]] = {
    Action.SEE_CONNECTION: _SHARED,
    Action.SEE_CONNECTION_SETTINGS: _ADMINS,
    Action.ADD_CONNECTION: _ADMINS,
    Action.EDIT_CONNECTION: _ADMINS,
    Action.SHARE_CONNECTION: _ADMINS,
    Action.REPLACE_KEY: _ADMINS,
    Action.SET_EXPORT_USER: _ADMINS,
    Action.GIVE_CONSENT: _ADMINS,
    Action.WITHDRAW_CONSENT: _ADMINS,
    Action.REMOVE_CONNECTION: _ADMINS,
    Action.REQUEST_CONNECTION: _ALL,
    Action.ANSWER_REQUEST: _ADMINS,
    Action.USE_CONNECTION: _SHARED,
    Action.SEE_EXPORT: _MEMBERS,
    Action.SEE_EXPORT_SETTINGS: _SHARED,
    Action.EDIT_EXPORT: _SHARED,
    Action.REMOVE_EXPORT: _SHARED,
    Action.SEE_RUNS: _MEMBERS,
    Action.SEE_REJECTS: _SHARED,
    Action.PREVIEW_EXPORT: _SHARED,
    Action.RUN_EXPORT: _SHARED,
    Action.RETRY_REJECTED: _SHARED,
    Action.RESYNC_EXPORT: _SHARED,
    Action.EMPTY_SEGMENTS: _SHARED,
    Action.CANCEL_RUN: _SHARED,
    Action.ANSWER_GUARD: _SHARED,
    Action.ADOPT_LEDGER: _SHARED,
    Action.SEE_REFRESH: _ALL,
    Action.SET_REFRESH: _ADMINS,
    Action.SET_ADMINS: _ADMINS,
}


class Denied(ServiceError):
    """The actor may not do it. `action` says what."""

    code = "denied"
    what = mark("Only admins and people that the connection is shared with may do this.")
    remedy = mark("Ask an admin to share the connection with you (`/ferry connect` sends the request).")

    def __init__(self, action: Action) -> None:
        self.action = action
        super().__init__(action=action.value)


class AdminsOnly(Denied):
    code = "admins-only"
    what = mark("Only admins may do this.")
    remedy = mark("Ask an admin of this workspace.")


def role_of(
    actor: Actor,
    connection: Connection | None = None,
    grants: Iterable[ConnectionGrant] = (),
    *,
    owner: str | None = None,
) -> Role:
    """The actor's role towards a connection, given the grants of it.

    `owner`: of the export that the connection would belong to. An export without a connection (detached) is its
    owner's, since there is nothing left that could be shared. The owner of an export on a connection that is no longer
    shared with them has no right to it.
    """
    if connection is not None and connection.team_id != actor.team_id:
        return Role.VIEWER
    if actor.is_admin:
        return Role.ADMIN
    shared = _is_shared(actor, connection, grants) if connection is not None else owner == actor.user_id
    if shared:
        return Role.CONTRIBUTOR
    return Role.GUEST if actor.is_guest else Role.VIEWER


def allowed(
    actor: Actor,
    action: Action,
    connection: Connection | None = None,
    grants: Iterable[ConnectionGrant] = (),
    *,
    owner: str | None = None,
) -> bool:
    return role_of(actor, connection, grants, owner=owner) in POLICY[action]


def require(
    actor: Actor,
    action: Action,
    connection: Connection | None = None,
    grants: Iterable[ConnectionGrant] = (),
    *,
    owner: str | None = None,
) -> None:
    """Raises `Denied` (or `AdminsOnly`) unless the actor may do it."""
    if not allowed(actor, action, connection, grants, owner=owner):
        raise AdminsOnly(action) if POLICY[action] == _ADMINS else Denied(action)


def _is_shared(actor: Actor, connection: Connection, grants: Iterable[ConnectionGrant]) -> bool:
    match connection.audience:
        case Audience.EVERYONE:
            return not actor.is_guest or _is_named(actor, connection, grants)
        case Audience.PEOPLE:
            return _is_named(actor, connection, grants)
        case Audience.ADMINS:
            return False


def _is_named(actor: Actor, connection: Connection, grants: Iterable[ConnectionGrant]) -> bool:
    return any(_names(grant, actor) for grant in grants if grant.connection_id == connection.id)


def _names(grant: ConnectionGrant, actor: Actor) -> bool:
    if grant.kind is GrantKind.PERSON:
        return grant.subject == actor.user_id
    return grant.subject in actor.groups
