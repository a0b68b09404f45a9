"""Connections: adding, sharing, mending and ending them.

Two connections of one brand are allowed: a ledger belongs to an export and a brand, segments are owned per brand and
requests are limited per brand, whatever connection they go through. So a brand may be shared with two circles of people
under two names without their exports getting in each other's way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.access import Action, allowed, require
from bot.omnisend.models import Brand
from bot.services import audit
from bot.services.actor import Actor
from bot.services.api_keys import BRAND_UNREADABLE, ApiKeys, brand_is_readable
from bot.services.consent import (
    CONSENT_VERSION,
    check_agreement,
    consent_text,
    covers,
    record_consent,
    standing_consent,
    withdraw_consents,
)
from bot.services.errors import (
    ChangedMeanwhile,
    ConnectionBusy,
    ConnectionInUse,
    ConnectionNameTaken,
    ConsentWithdrawn,
    SourceNotOffered,
)
from bot.services.export_users import ExportUsers, ExportUserView, erase_export_user
from bot.services.lookup import connection_for, grants_of
from bot.services.names import check_name, fold
from bot.services.ownership import own_segments, selected_names
from bot.services.ports import Omnisend
from bot.services.sharing import check_audience, grant, share
from bot.services.stopping import active_run, stop_runs
from bot.services.telling import tell_detached
from storage.database import Database
from storage.models import (
    Audience,
    Connection,
    ConnectionState,
    Consent,
    Export,
    GrantKind,
    now,
)
from storage.secrets import Keys

__all__ = ["BRAND_UNREADABLE", "CONSENT_VERSION", "ConnectionDraft", "Connections", "consent_text"]


@dataclass(frozen=True, slots=True)
class ConnectionDraft:
    """What an admin fills in. `text_shown` is the consent text exactly as it stood in the form, in `language`."""

    name: str
    api_key: str
    audience: Audience = Audience.ADMINS
    people: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    agreed: bool = False
    full_values_in_slack: bool = False
    source: str = "tables"
    app_identity: bool = False  # the app reads, instead of whoever signed in
    language: str = "en-US"
    text_shown: str = ""


@dataclass(frozen=True, slots=True)
class KeyReplaced:
    """`consent_needed`: the brand is another one, so that somebody has to agree again before the next run."""

    same_brand: bool
    brand: Brand
    consent_needed: bool = False


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Names of the exports whose runs were stopped, and of those that have no connection now."""

    stopped_runs: list[str]
    detached: list[str]


@dataclass(frozen=True, slots=True)
class ConnectionDetails:
    """All that an admin may see of a connection. `consent_holds`: it covers the present text and brand.

    `source`: where it reads, as people call it; empty for one that is no longer configured.
    """

    connection: Connection
    people: tuple[str, ...]
    groups: tuple[str, ...]
    consent: Consent | None
    consent_holds: bool
    exports: tuple[tuple[int, str], ...]
    source: str = ""
    needs_export_user: bool = False
    export_user: ExportUserView | None = None

    @property
    def brand_readable(self) -> bool:
        """If not, `BRAND_UNREADABLE` says what follows."""
        return brand_is_readable(self.connection)


class Connections:
    def __init__(
        self,
        database: Database,
        keys: Keys,
        engine: Omnisend,
        export_users: ExportUsers,
        *,
        nudge: Callable[[], None],
    ) -> None:
        """`nudge` tells the dispatcher that the queue has changed."""
        self._database = database
        self._export_users = export_users
        self._engine = engine
        self._api_keys = ApiKeys(engine, keys)
        self._nudge = nudge

    # --- seeing

    async def visible(self, actor: Actor) -> list[Connection]:
        """The connections that the actor may use, by name; for admins also those whose consent was withdrawn.

        Contributors get name and type only: every other column is empty.
        """
        async with self._database.read() as session:
            statement = select(Connection).where(Connection.team_id == actor.team_id)
            found = [
                connection
                for connection in (await session.exec(statement)).all()
                if allowed(actor, Action.USE_CONNECTION, connection, await grants_of(session, connection))
            ]
        if not actor.is_admin:
            found = [_by_name_only(each) for each in found if each.state is ConnectionState.ACTIVE]
        return sorted(found, key=lambda connection: fold(connection.name))

    async def get(self, actor: Actor, connection_id: int) -> Connection:
        """One connection; for contributors by name and type only. Raises `ConnectionUnknown`, `Denied`."""
        async with self._database.read() as session:
            connection = await connection_for(session, actor, connection_id, Action.SEE_CONNECTION)
            grants = await grants_of(session, connection)
        full = allowed(actor, Action.SEE_CONNECTION_SETTINGS, connection, grants)
        return connection if full else _by_name_only(connection)

    async def details(self, actor: Actor, connection_id: int) -> ConnectionDetails:
        """Settings, grants, consent and users of a connection, for admins."""
        async with self._database.read() as session:
            connection = await connection_for(session, actor, connection_id, Action.SEE_CONNECTION_SETTINGS)
            grants = await grants_of(session, connection)
            consent = await standing_consent(session, connection_id)
            exports = await _exports_of(session, connection)
        offer = next((each for each in self._engine.sources.offers if each.kind == connection.source), None)
        return ConnectionDetails(
            connection=connection,
            people=tuple(grant.subject for grant in grants if grant.kind is GrantKind.PERSON),
            groups=tuple(grant.subject for grant in grants if grant.kind is GrantKind.GROUP),
            consent=consent,
            consent_holds=covers(consent, connection),
            exports=tuple((export.id or 0, export.name) for export in exports),
            source=offer.label if offer else "",
            needs_export_user=offer is not None and offer.needs_export_user,
            export_user=await self._export_users.of(connection),
        )

    # --- adding

    async def check_key(self, actor: Actor, key: str) -> Brand:
        """Ask Omnisend whose key this is; nothing is stored.

        Raises `KeyMissing`, `KeyNotAccepted`, `KeyLacksScope` or `KeyNotChecked`, all of the field `api_key`.
        """
        require(actor, Action.ADD_CONNECTION)
        return await self._api_keys.check(key)

    async def connect(self, actor: Actor, draft: ConnectionDraft) -> Connection:
        """Add a connection, with the consent to it. Everything is checked here, the key live.

        Raises a `FieldError` that names the field, or `Denied`.
        """
        require(actor, Action.ADD_CONNECTION)
        draft = replace(draft, name=check_name(draft.name), api_key=draft.api_key.strip())
        check_audience(draft.audience, draft.people, draft.groups)
        offer = next((each for each in self._engine.sources.offers if each.kind == draft.source), None)
        if offer is None:
            raise SourceNotOffered(source=draft.source)
        check_agreement(agreed=draft.agreed, text_shown=draft.text_shown)
        async with self._database.read() as session:
            await _refuse_taken(session, actor.team_id, draft.name)
        brand = await self._api_keys.check(draft.api_key)
        reader = await self._export_users.ready(actor, app=draft.app_identity) if offer.needs_export_user else None
        async with self._database.write() as session:
            await _refuse_taken(session, actor.team_id, draft.name)
            connection = await self._store(session, actor, draft, brand)
            if reader is not None:
                await self._export_users.put(session, actor, connection, reader)
            return connection

    async def _store(self, session: AsyncSession, actor: Actor, draft: ConnectionDraft, brand: Brand) -> Connection:
        connection = Connection(
            team_id=actor.team_id,
            name=draft.name,
            source=draft.source,
            brand_id="",
            audience=draft.audience,
            export_user=actor.user_id,
            created_by=actor.user_id,
        )
        session.add(connection)
        await session.flush()
        self._api_keys.put(connection, draft.api_key, brand)
        grant(session, connection, draft.people, draft.groups)
        consent = record_consent(
            session,
            actor,
            connection,
            language=draft.language,
            text_shown=draft.text_shown,
            full_values_in_slack=draft.full_values_in_slack,
        )
        audit.record(
            session,
            actor,
            "connection.added",
            _subject(connection),
            name=connection.name,
            brand=connection.brand_id,
            audience=connection.audience.value,
            consent=consent.text_version,
        )
        return connection

    # --- changing

    async def edit(
        self,
        actor: Actor,
        connection_id: int,
        *,
        name: str,
        audience: Audience,
        people: Sequence[str] = (),
        groups: Sequence[str] = (),
        seen: datetime | None = None,
    ) -> Connection:
        """Rename it and say who may use it. Existing exports stay, also those of people who lose it.

        `seen`: the `updated_at` of the connection as its editor saw it. Raises `ChangedMeanwhile` if it is another.
        """
        name = check_name(name)
        async with self._database.write() as session:
            connection = await connection_for(session, actor, connection_id, Action.EDIT_CONNECTION)
            if seen not in (None, connection.updated_at):
                raise ChangedMeanwhile(name=connection.name)
            await _refuse_taken(session, actor.team_id, name, but=connection_id)
            connection.name = name
            await share(session, connection, audience, people, groups)
            facts = {"name": name, "audience": audience.value, "people": list(people), "groups": list(groups)}
            audit.record(session, actor, "connection.edited", _subject(connection), **facts)
        return connection

    async def share(
        self,
        actor: Actor,
        connection_id: int,
        *,
        audience: Audience,
        people: Sequence[str] = (),
        groups: Sequence[str] = (),
    ) -> Connection:
        """Say who may use it, beside the admins."""
        async with self._database.write() as session:
            connection = await connection_for(session, actor, connection_id, Action.SHARE_CONNECTION)
            await share(session, connection, audience, people, groups)
            facts = {"audience": audience.value, "people": list(people), "groups": list(groups)}
            audit.record(session, actor, "connection.shared", _subject(connection), **facts)
        return connection

    async def replace_key(self, actor: Actor, connection_id: int, key: str) -> KeyReplaced:
        """Put a new key in place of the old one.

        Of the same brand: nothing else changes. Of another brand: the exports begin a ledger there, what was sent to
        the old brand stays there untouched, and an admin has to agree again. Raises `ConnectionBusy` in that case while
        an export is running, `SegmentOwned` if another export of the new brand has one of the segments,
        `ConsentWithdrawn` for a connection that has ended, and what `check_key` raises.
        """
        async with self._database.read() as session:
            await self._replaceable(session, actor, connection_id)
        key = key.strip()
        brand = await self._api_keys.check(key)
        async with self._database.write() as session:
            connection = await self._replaceable(session, actor, connection_id)
            same_brand = self._api_keys.brand_id(brand, key) == connection.brand_id
            exports = [] if same_brand else await _exports_of(session, connection)
            await _refuse_busy(session, exports)
            self._api_keys.put(connection, key, brand)
            session.add(connection)
            for export in exports:
                if names := await selected_names(session, export):
                    await own_segments(session, export, connection, names)
            facts = {"same_brand": same_brand, "brand": connection.brand_id}
            audit.record(session, actor, "connection.key_replaced", _subject(connection), **facts)
            holds = covers(await standing_consent(session, connection_id), connection)
        return KeyReplaced(same_brand, brand, consent_needed=not holds)

    async def agree_again(
        self, actor: Actor, connection_id: int, *, language: str, text_shown: str, full_values_in_slack: bool
    ) -> Consent:
        """Agree to the present text for what the connection does now. Raises `ConsentTextChanged`."""
        check_agreement(agreed=True, text_shown=text_shown)
        async with self._database.write() as session:
            connection = await connection_for(session, actor, connection_id, Action.GIVE_CONSENT)
            _refuse_withdrawn(connection)
            consent = record_consent(
                session,
                actor,
                connection,
                language=language,
                text_shown=text_shown,
                full_values_in_slack=full_values_in_slack,
            )
            facts = {"version": consent.text_version, "brand": consent.brand_id, "full_values": full_values_in_slack}
            audit.record(session, actor, "consent.given", _subject(connection), **facts)
        return consent

    # --- ending

    async def withdraw(self, actor: Actor, connection_id: int) -> Withdrawn:
        """Withdraw consent: runs stop, the key is erased, the exports are detached. A second time does nothing.

        The connection can't be revived; a new one to the same brand finds the ledgers of its exports again.
        """
        async with self._database.write() as session:
            connection = await connection_for(session, actor, connection_id, Action.WITHDRAW_CONSENT)
            exports = await _exports_of(session, connection)
            stopped = [export.name for export in exports if await stop_runs(session, actor, export)]
            for export in exports:
                export.connection_id, export.updated_at = None, now()
                session.add(export)
                tell_detached(session, actor, export, connection, withdrawn=True)
            if connection.state is ConnectionState.ACTIVE:
                connection.state, connection.api_key, connection.key_hint = ConnectionState.WITHDRAWN, None, ""
                connection.updated_at = now()
                session.add(connection)
                await withdraw_consents(session, actor, connection)
                await erase_export_user(session, connection)
                names = [export.name for export in exports]
                facts = {"name": connection.name, "stopped": stopped, "detached": names}
                audit.record(session, actor, "consent.withdrawn", _subject(connection), **facts)
        await self._engine.sources.forget(connection_id)
        self._nudge()
        return Withdrawn(stopped, [export.name for export in exports])

    async def remove(self, actor: Actor, connection_id: int) -> None:
        """Remove a connection that no export uses; its consent ends with it, the records stay.

        Raises `ConnectionInUse`, which names the exports.
        """
        async with self._database.write() as session:
            connection = await connection_for(session, actor, connection_id, Action.REMOVE_CONNECTION)
            exports = await _exports_of(session, connection)
            if exports:
                raise ConnectionInUse(connection.name, [(export.id or 0, export.name) for export in exports])
            await withdraw_consents(session, actor, connection)
            await session.flush()
            await session.delete(connection)
            audit.record(session, actor, "connection.removed", _subject(connection), name=connection.name)
        await self._engine.sources.forget(connection_id)

    async def _replaceable(self, session: AsyncSession, actor: Actor, connection_id: int) -> Connection:
        connection = await connection_for(session, actor, connection_id, Action.REPLACE_KEY)
        _refuse_withdrawn(connection)
        return connection


def _subject(connection: Connection) -> str:
    return f"connection/{connection.id}"


def _by_name_only(connection: Connection) -> Connection:
    """A connection as contributors may see it."""
    return Connection(
        id=connection.id,
        team_id=connection.team_id,
        name=connection.name,
        state=connection.state,
        source=connection.source,
        brand_id="",
    )


async def _exports_of(session: AsyncSession, connection: Connection) -> Sequence[Export]:
    statement = select(Export).where(Export.connection_id == connection.id).order_by(col(Export.id))
    return (await session.exec(statement)).all()


async def _refuse_taken(session: AsyncSession, team_id: str, name: str, *, but: int | None = None) -> None:
    statement = select(Connection).where(Connection.team_id == team_id, Connection.id != but)
    for connection in (await session.exec(statement)).all():
        if fold(connection.name) == fold(name):
            raise ConnectionNameTaken(name=connection.name)


async def _refuse_busy(session: AsyncSession, exports: Sequence[Export]) -> None:
    busy = [export.name for export in exports if await active_run(session, export.id)]
    if busy:
        raise ConnectionBusy(names=", ".join(f"*{name}*" for name in busy))


def _refuse_withdrawn(connection: Connection) -> None:
    if connection.state is ConnectionState.WITHDRAWN:
        raise ConsentWithdrawn(connection=connection.name)
