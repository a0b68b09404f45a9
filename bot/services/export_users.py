"""Export users: in whose name a connection reads profiles, where its source wants to know.

A person signs in with a code on a page of Microsoft's, or an admin chooses the app registration of the settings.
Signing in and saving are two steps: what came of a sign-in is kept, sealed, for a day, for whoever began it, and is put
into a connection once it is seen to work. Until then the former export user stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.access import Action, require
from bot.pipeline.insights import Insights, open_tokens, seal_tokens
from bot.pipeline.sources import Sources, export_user_of
from bot.services import audit
from bot.services.actor import Actor
from bot.services.errors import (
    AppIdentityMissing,
    ConsentWithdrawn,
    ExportUserMissing,
    ExportUserUnfit,
    ExportUserUnwanted,
    SignInOver,
    SourceNotOffered,
)
from bot.services.lookup import connection_for
from bot.sources.base import SourceError
from bot.sources.entra import DeviceSignIn, SignInState, UserIdentity, sign_in_status
from bot.sources.entra.errors import SignInError
from storage.database import Database, unbroken
from storage.errors import FerryError, SecretUnreadable
from storage.models import Connection, ConnectionState, ExportUser, ReaderKind, id_of, now
from storage.secrets import Keys

__all__ = ["ExportUserView", "ExportUsers", "Outcome", "SignIn", "SignInState"]

KEPT = timedelta(days=1)  # for which a finished sign-in waits to be saved

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ExportUserView:
    """An export user as admins may see it. `account`: the name it signs in with; empty for the app.

    `good_until` is None where no end is known; `ended`: it was found to read no longer.
    """

    id: int
    kind: ReaderKind
    account: str
    added_by: str
    added_at: datetime
    good_until: datetime | None = None
    ended: bool = False


@dataclass(slots=True)
class SignIn:
    """A sign-in under way. `connection_id`: whose export user it is to replace; None for a connection to come."""

    actor: Actor
    connection_id: int | None
    user_id: int
    device: DeviceSignIn
    identity: UserIdentity

    @property
    def code(self) -> str:
        return self.device.code

    @property
    def link(self) -> str:
        return self.device.link

    @property
    def expires_at(self) -> datetime:
        return self.device.expires_at


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a sign-in. Signed in with a `problem`: the account can't read, and has changed nothing yet."""

    state: SignInState
    user_id: int
    connection_id: int | None = None
    account: str = ""
    problem: FerryError | None = None

    @property
    def done(self) -> bool:
        return self.state is SignInState.SIGNED_IN and self.problem is None


class ExportUsers:
    def __init__(self, database: Database, keys: Keys, sources: Sources) -> None:
        self._database = database
        self._vault = keys.vault
        self._sources = sources
        self._under_way: dict[tuple[str, str, int | None], SignIn] = {}

    # --- signing in

    async def begin(self, actor: Actor, connection_id: int | None = None) -> SignIn:
        """Ask for a code to show; whoever shows it calls `wait`. An earlier one of the same person is given up.

        Raises `Denied`, `ExportUserUnwanted`, `SourceNotOffered` or a `SignInError`.
        """
        async with self._database.write() as session:
            await self._target(session, actor, connection_id)
            insights = self._insights()
            user = ExportUser(team_id=actor.team_id, environment=insights.environment, added_by=actor.user_id)
            session.add(user)
        identity = insights.person(user)
        try:
            device = await identity.begin_sign_in()
        except BaseException:
            await self._erase(id_of(user))
            raise
        sign_in = SignIn(actor, connection_id, id_of(user), device, identity)
        key = (actor.team_id, actor.user_id, connection_id)
        if (earlier := self._under_way.get(key)) is not None:
            earlier.device.cancel()
        self._under_way[key] = sign_in
        return sign_in

    async def wait(self, sign_in: SignIn) -> Outcome:
        """Wait for what the person does. Whoever has signed in is kept; `complete` comes next.

        A sign-in that can't work is an outcome with a problem, not raised.
        """
        key = (sign_in.actor.team_id, sign_in.actor.user_id, sign_in.connection_id)
        state, problem = SignInState.CANCELLED, None
        try:
            state = await sign_in.device.wait()
        except SignInError as error:
            state, problem = SignInState.FAILED, error
        finally:
            await sign_in.identity.close()
            if self._under_way.get(key) is sign_in:
                del self._under_way[key]
            if state is not SignInState.SIGNED_IN:
                await unbroken(self._erase(sign_in.user_id))
        return Outcome(state, sign_in.user_id, sign_in.connection_id, problem=problem)

    async def complete(self, actor: Actor, user_id: int, connection_id: int | None) -> Outcome:
        """See whether somebody who has signed in can read, and save it where there is a connection.

        Raises `SignInOver` for a sign-in that is no longer kept, or is somebody else's, `Denied`, `ConnectionUnknown`.
        """
        async with self._database.read() as session:
            connection = await self._target(session, actor, connection_id)
            user = await session.get(ExportUser, user_id)
        if user is None or user.tokens is None or user.connection_id is not None or not _is_own(user, actor):
            raise SignInOver
        problem: FerryError | None = None
        try:
            await self._check(user)
        except SourceError as error:
            log.info("an export user can't read", code=error.code)
            problem = error
        else:
            if connection is not None:
                await self._replace(actor, id_of(connection), user_id)
        return Outcome(SignInState.SIGNED_IN, user_id, connection_id, self._account(user), problem)

    async def use_app(self, actor: Actor, connection_id: int) -> Outcome:
        """Let the app of the settings be the export user. Raises `AppIdentityMissing`, `ExportUserUnfit`, `Denied`."""
        async with self._database.read() as session:
            await self._target(session, actor, connection_id)
        app = self._app(actor)
        await self._check(app)
        async with self._database.write() as session:
            connection = await self._target(session, actor, connection_id)
            assert connection is not None
            session.add(app)
            await session.flush()
            await self.put(session, actor, connection, app)
        await self._sources.forget(connection_id)
        return Outcome(SignInState.SIGNED_IN, id_of(app), connection_id)

    # --- for a connection to come

    async def waiting(self, actor: Actor) -> ExportUserView | None:
        """The sign-in that the actor has finished and not saved yet, the newest."""
        if self._sources.insights is None:
            return None
        async with self._database.read() as session:
            user = await self._waiting(session, actor)
        return await self.view(user) if user is not None else None

    async def ready(self, actor: Actor, *, app: bool = False) -> ExportUser:
        """Who will read for a connection that is about to be saved, seen to work just now.

        Raises `ExportUserMissing`, `ExportUserUnfit` or `AppIdentityMissing`, all of the field `export_user`.
        """
        if app:
            user: ExportUser | None = self._app(actor)
        else:
            async with self._database.read() as session:
                user = await self._waiting(session, actor)
        if user is None:
            raise ExportUserMissing
        try:
            await self._check(user)
        except SourceError as error:
            raise ExportUserUnfit(error) from error
        return user

    async def put(self, session: AsyncSession, actor: Actor, connection: Connection, user: ExportUser) -> None:
        """Make somebody the export user of a connection, in the caller's transaction; the former one is erased.

        Raises `SignInOver` if the sign-in went somewhere else meanwhile.
        """
        stored = await session.get(ExportUser, user.id) if user.id is not None else user
        if stored is None or stored.connection_id is not None:
            raise SignInOver
        await erase_export_user(session, connection)
        tokens = open_tokens(self._vault, stored)
        stored.connection_id = connection.id
        session.add(stored)
        await session.flush()
        if tokens is not None:
            seal_tokens(self._vault, stored, tokens)
        connection.export_user, connection.updated_at = actor.user_id, now()
        session.add(connection)
        facts = {"name": connection.name, "kind": stored.kind.value}
        if tokens is not None and (account := sign_in_status(tokens).account):
            facts["object_id"] = account.object_id
        audit.record(session, actor, "connection.export_user_set", f"connection/{connection.id}", **facts)

    # --- seeing

    async def of(self, connection: Connection) -> ExportUserView | None:
        """The export user of a connection, for somebody who may see its settings."""
        async with self._database.read() as session:
            user = await export_user_of(session, connection)
        return await self.view(user) if user is not None else None

    async def view(self, user: ExportUser) -> ExportUserView:
        good_until = None
        if (insights := self._sources.insights) is not None:
            try:
                status = await insights.status(user)
            except FerryError as error:  # a certificate that can't be read shows as one without an end
                log.warning("an export user's state is not known", user=user.id, code=error.code)
            else:
                good_until = status.needs_sign_in_by if status else None
        return ExportUserView(
            id_of(user),
            user.kind,
            self._account(user),
            user.added_by,
            user.added_at,
            good_until,
            ended=user.ended_at is not None,
        )

    # --- inside

    def _insights(self) -> Insights:
        if self._sources.insights is None:
            raise SourceNotOffered(source=Insights.kind)
        return self._sources.insights

    def _app(self, actor: Actor) -> ExportUser:
        insights = self._insights()
        if not insights.has_app:
            raise AppIdentityMissing
        return ExportUser(
            team_id=actor.team_id, kind=ReaderKind.APP, environment=insights.environment, added_by=actor.user_id
        )

    async def _target(self, session: AsyncSession, actor: Actor, connection_id: int | None) -> Connection | None:
        """The connection whose export user is to be set, if the actor may do that."""
        if connection_id is None:
            require(actor, Action.SET_EXPORT_USER)
            return None
        connection = await connection_for(session, actor, connection_id, Action.SET_EXPORT_USER)
        if connection.state is not ConnectionState.ACTIVE:
            raise ConsentWithdrawn(connection=connection.name)
        if connection.source != Insights.kind:
            raise ExportUserUnwanted(connection=connection.name)
        return connection

    async def _check(self, user: ExportUser) -> None:
        """Who am I, and a row of each table. Raises a `SourceError`."""
        reader = self._insights().open(user)
        try:
            await reader.source.check()
        finally:
            await reader.close()

    async def _replace(self, actor: Actor, connection_id: int, user_id: int) -> None:
        async with self._database.write() as session:
            connection = await self._target(session, actor, connection_id)
            assert connection is not None
            await self.put(session, actor, connection, await session.get_one(ExportUser, user_id))
        await self._sources.forget(connection_id)

    async def _waiting(self, session: AsyncSession, actor: Actor) -> ExportUser | None:
        statement = select(ExportUser).where(
            ExportUser.team_id == actor.team_id,
            ExportUser.added_by == actor.user_id,
            ExportUser.environment == self._insights().environment,
            col(ExportUser.connection_id).is_(None),
            col(ExportUser.tokens).is_not(None),
            ExportUser.added_at > now() - KEPT,
        )
        return (await session.exec(statement.order_by(col(ExportUser.id).desc()))).first()

    def _account(self, user: ExportUser) -> str:
        try:
            tokens = open_tokens(self._vault, user)
        except SecretUnreadable:
            return ""
        account = sign_in_status(tokens).account if tokens else None
        return account.name if account else ""

    async def _erase(self, user_id: int) -> None:
        async with self._database.write() as session:
            user = await session.get(ExportUser, user_id)
            if user is not None and user.connection_id is None:
                await session.delete(user)


async def erase_export_user(session: AsyncSession, connection: Connection) -> None:
    """Its tokens go with it. Those in memory go with the next use of the connection (see `Sources.forget`)."""
    if (former := await export_user_of(session, connection)) is not None:
        await session.delete(former)
        await session.flush()


async def erase_forgotten(session: AsyncSession, at: datetime) -> Sequence[ExportUser]:
    """Sign-ins that nobody has saved in time; those that were erased."""
    statement = select(ExportUser).where(col(ExportUser.connection_id).is_(None), ExportUser.added_at <= at - KEPT)
    forgotten = (await session.exec(statement)).all()
    for user in forgotten:
        await session.delete(user)
    return forgotten


def _is_own(user: ExportUser, actor: Actor) -> bool:
    return (user.team_id, user.added_by) == (actor.team_id, actor.user_id)
