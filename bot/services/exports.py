"""Exports: setting up, changing, pausing, ending them. Saving never runs anything."""

import difflib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.access import Action
from bot.pipeline.mapping import Plan, check, suggest
from bot.services import audit
from bot.services.actor import Actor
from bot.services.consent import full_values_allowed
from bot.services.errors import (
    ChangedMeanwhile,
    ConnectionMissing,
    ExportBusy,
    ExportNameTaken,
    ExportUnknown,
    SegmentNotOffered,
)
from bot.services.export_draft import ExportDraft, in_order
from bot.services.fitting import misfit, refuse_misfit
from bot.services.lookup import connection_for, connection_of, export_for, may
from bot.services.masking import mask_value
from bot.services.names import LONGEST, check_name, fold
from bot.services.overview import ExportView, views
from bot.services.ownership import own_segments, owned_elsewhere, segments_of, selected_names
from bot.services.ports import Reads
from bot.services.remarks import Remark, mapped_differently, subscription
from bot.services.schedules import put_schedule, refresh_of
from bot.services.segment_history import unchanged_since
from bot.services.stopping import active_run, stop_runs
from bot.services.telling import tell_detached
from bot.sources.base import Field, Segment
from bot.sources.nearest import nearest
from storage.database import Database
from storage.models import (
    Batch,
    Book,
    Connection,
    ConnectionState,
    Export,
    FieldMapping,
    MappingKind,
    RefreshHook,
    When,
    now,
)

__all__ = ["ExportDraft", "Exports", "SourceChoices"]

SUGGESTIONS = 3  # names offered for one that does not exist


@dataclass(frozen=True, slots=True)
class SourceChoices:
    """What a connection's source offers. `suggestions`: attribute → field name, for the standard attributes."""

    fields: list[Field]
    segments: list[Segment]
    suggestions: dict[str, str]


class Exports:
    def __init__(self, database: Database, engine: Reads, *, reload: Callable[[], Awaitable[None]]) -> None:
        """`reload` tells the scheduler that schedules have changed."""
        self._database = database
        self._engine = engine
        self._reload = reload

    # --- seeing

    async def visible(self, actor: Actor) -> list[ExportView]:
        """The exports of the workspace, by name: all but guests may see them, settings only where they may."""
        async with self._database.read() as session:
            found = await _seen_by(session, actor)
            return await views(session, actor, sorted(found, key=lambda export: fold(export.name)))

    async def get(self, actor: Actor, export_id: int) -> ExportView:
        """One export. Raises `ExportGone`."""
        async with self._database.read() as session:
            export = await export_for(session, actor, export_id, Action.SEE_EXPORT)
            return (await views(session, actor, [export]))[0]

    async def changeable(self, actor: Actor, export_id: int) -> ExportView:
        """One export, for whoever may change it. Raises `ExportGone`, `Denied`."""
        async with self._database.read() as session:
            export = await export_for(session, actor, export_id, Action.EDIT_EXPORT)
            return (await views(session, actor, [export]))[0]

    async def find(self, actor: Actor, name: str) -> Export:
        """The export of that name, whatever its case, blanks and quotes.

        Raises `ExportUnknown` with the names that were perhaps meant.
        """
        async with self._database.read() as session:
            exports = {fold(export.name): export for export in await _seen_by(session, actor)}
        if (found := exports.get(fold(name))) is not None:
            return found
        begun = [key for key in exports if fold(name) and key.startswith(fold(name))]
        alike = difflib.get_close_matches(fold(name), exports, SUGGESTIONS)
        near = list(dict.fromkeys([*begun, *alike]))[:SUGGESTIONS]
        raise ExportUnknown(name.strip(), [exports[key].name for key in near])

    async def choices(self, actor: Actor, connection_id: int) -> SourceChoices:
        """The fields and segments that an export over this connection can use. Raises a `SourceError`."""
        connection = await self._usable(actor, connection_id)
        source = await self._engine.source_of(connection)
        fields = list(await source.fields())
        return SourceChoices(fields, list(await source.segments()), suggest(fields))

    async def count(self, actor: Actor, connection_id: int, segment: str) -> int:
        """How many members a segment has now."""
        connection = await self._usable(actor, connection_id)
        return await (await self._engine.source_of(connection)).count(segment)

    async def owned_elsewhere(
        self, actor: Actor, connection_id: int, names: Sequence[str], export_id: int | None = None
    ) -> dict[str, str]:
        """Which of these segments the export can't have, since another has them at this brand: name → that export."""
        connection = await self._usable(actor, connection_id)
        async with self._database.read() as session:
            return await owned_elsewhere(session, connection, names, export_id)

    async def unchanged_since(
        self, actor: Actor, connection_id: int, members: Mapping[str, int]
    ) -> dict[str, datetime]:
        """Which of these segments (name → members now) have had just as many for long, and since when; see there."""
        connection = await self._usable(actor, connection_id)
        async with self._database.read() as session:
            return await unchanged_since(session, connection, members, now())

    async def samples(self, actor: Actor, connection_id: int, fields: Sequence[str]) -> dict[str, str]:
        """An example value of each field, masked unless the consent allows full values; empty where there is none."""
        connection = await self._usable(actor, connection_id)
        values = await (await self._engine.source_of(connection)).sample(fields)
        async with self._database.read() as session:
            full = await full_values_allowed(session, connection)
        return {name: (value or "") if full else mask_value(value or "") for name, value in values.items()}

    async def remarks(self, actor: Actor, export_id: int) -> list[Remark]:
        """What somebody should know who has just saved this export. Nothing of it is an error."""
        async with self._database.read() as session:
            export = await export_for(session, actor, export_id, Action.SEE_EXPORT_SETTINGS)
            connection = await connection_of(session, export)
            remarks = await mapped_differently(session, export, connection) if connection else []
            refresh = await refresh_of(session, export.team_id)
            has_hook = await session.get(RefreshHook, export.team_id) is not None
            arrival = await subscription(session, export)
        if export.when is When.REFRESH and (refresh is None or not refresh.active):
            remarks.append(Remark("webhook-only" if has_hook else "no-schedule"))
        return [arrival, Remark("automations"), *remarks]

    # --- saving

    async def save(self, actor: Actor, draft: ExportDraft, export_id: int | None = None) -> Export:
        """Add an export, or change one. See `remarks` for what its editor should know.

        Raises a `FieldError` or `MappingError` that says where, `SegmentOwned` naming the first export, `ExportBusy`
        for a move to another brand in the middle of a run, `ChangedMeanwhile`, `ExportGone`, `Denied`, or a
        `SourceError`.
        """
        draft = in_order(draft)
        plan, types = await self._check_against_source(actor, draft, export_id)
        async with self._database.write() as session:
            connection = await _usable(session, actor, draft.connection_id)
            export = await _target(session, actor, draft, export_id)
            await _refuse_move(session, export, connection)
            await own_segments(session, export, connection, draft.segments)
            await _put_mapping(session, export, plan, types)
            await put_schedule(session, export, draft.schedule)
            action = "export.added" if export_id is None else "export.edited"
            audit.record(session, actor, action, _subject(export), **_facts(draft, plan))
        await self._reload()
        return export

    async def _check_against_source(
        self, actor: Actor, draft: ExportDraft, export_id: int | None
    ) -> tuple[Plan, dict[str, str]]:
        """The plan of a mapping whose fields exist, and the type of each field.

        Segments that were chosen before may be gone from the source: whoever edits something else is not held up. An
        export that is moved to another source has to fit there (`ExportUnfit` names what does not).
        """
        async with self._database.read() as session:
            connection = await _usable(session, actor, draft.connection_id)
            kept: list[str] = []
            moved = False
            if export_id is not None:
                export = await export_for(session, actor, export_id, Action.EDIT_EXPORT)
                kept = await selected_names(session, export)
                moved = any(row.source != connection.source for row in await segments_of(session, export))
            await _refuse_taken(session, actor.team_id, draft.name, but=export_id)
        source = await self._engine.source_of(connection)
        fields = await source.fields()
        offered = {segment.name for segment in await source.segments()}
        if moved:
            names = [column.name for column in fields]
            refuse_misfit(misfit(draft.lines, draft.segments, fields=names, offered=offered), source.label)
        plan = check(draft.lines, fields, segments=len(draft.segments))
        for name in draft.segments:
            if name not in offered and name not in kept:
                near = nearest(name, offered)
                meant = f" Did you mean *{near}*?" if near else ""
                raise SegmentNotOffered(segment=name, source=source.label, near=meant)
        return plan, {column.name: column.type for column in fields}

    async def duplicate(self, actor: Actor, export_id: int, name: str = "") -> Export:
        """Copy the settings under a new name. The copy runs by hand only and has no segments yet.

        A segment goes to a brand through one export only, so that they can't be copied: choose some before it can run.
        """
        wanted = check_name(name) if name.strip() else ""
        async with self._database.write() as session:
            original = await export_for(session, actor, export_id, Action.EDIT_EXPORT)
            if wanted:
                await _refuse_taken(session, actor.team_id, wanted)
            settings = original.model_dump(exclude={"id", "created_at", "updated_at"})
            free = wanted or await _free_name(session, original)
            copy = Export(**settings | {"name": free, "owner": actor.user_id, "when": When.MANUAL, "paused": False})
            session.add(copy)
            await session.flush()
            assert copy.id is not None
            lines = select(FieldMapping).where(FieldMapping.export_id == original.id)
            for line in (await session.exec(lines)).all():
                session.add(FieldMapping(**line.model_dump(exclude={"id", "export_id"}), export_id=copy.id))
            audit.record(session, actor, "export.duplicated", _subject(copy), name=copy.name, of=original.name)
        return copy

    # --- pausing, detaching, removing

    async def pause(self, actor: Actor, export_id: int) -> Export:
        """Nothing starts it until it is resumed. A run under way goes on."""
        return await self._set_paused(actor, export_id, paused=True)

    async def resume(self, actor: Actor, export_id: int) -> Export:
        return await self._set_paused(actor, export_id, paused=False)

    async def _set_paused(self, actor: Actor, export_id: int, *, paused: bool) -> Export:
        async with self._database.write() as session:
            export = await export_for(session, actor, export_id, Action.EDIT_EXPORT)
            if export.paused != paused:
                export.paused, export.updated_at = paused, now()
                session.add(export)
                action = "export.paused" if paused else "export.resumed"
                audit.record(session, actor, action, _subject(export), name=export.name)
        return export

    async def detach(self, actor: Actor, export_id: int) -> Export:
        """Take its connection away: it keeps its settings and does not run until it has another. Its runs stop."""
        async with self._database.write() as session:
            export = await export_for(session, actor, export_id, Action.EDIT_EXPORT)
            if export.connection_id is not None:
                await stop_runs(session, actor, export)
                connection = await connection_of(session, export)
                if connection is not None and actor.user_id != export.owner:
                    tell_detached(session, actor, export, connection, withdrawn=False)
                facts = {"name": export.name, "connection_id": export.connection_id}
                export.connection_id, export.updated_at = None, now()
                session.add(export)
                audit.record(session, actor, "export.detached", _subject(export), **facts)
        return export

    async def remove(self, actor: Actor, export_id: int) -> None:
        """Remove an export with its ledger; what was sent stays at Omnisend as it is (see `Runs.empty`).

        Raises `ExportBusy` while it runs. Its runs stay on record.
        """
        async with self._database.write() as session:
            export = await export_for(session, actor, export_id, Action.REMOVE_EXPORT)
            if await active_run(session, export_id):
                raise ExportBusy(export=export.name)
            await stop_runs(session, actor, export)
            books = (await session.exec(select(Book.id).where(Book.export_id == export_id))).all()
            facts = {"name": export.name, "segments": await selected_names(session, export), "ledgers": len(books)}
            await session.flush()
            await session.exec(delete(Batch).where(col(Batch.book_id).in_(books)))
            await session.exec(delete(Book).where(col(Book.id).in_(books)))
            await session.exec(delete(Export).where(col(Export.id) == export_id))
            audit.record(session, actor, "export.removed", _subject(export), **facts)
        await self._reload()

    async def _usable(self, actor: Actor, connection_id: int) -> Connection:
        async with self._database.read() as session:
            return await _usable(session, actor, connection_id)


# --- looking


async def _usable(session: AsyncSession, actor: Actor, connection_id: int) -> Connection:
    connection = await connection_for(session, actor, connection_id, Action.USE_CONNECTION)
    if connection.state is not ConnectionState.ACTIVE:
        raise ConnectionMissing
    return connection


async def _exports_of(session: AsyncSession, team_id: str) -> Sequence[Export]:
    return (await session.exec(select(Export).where(Export.team_id == team_id).order_by(col(Export.id)))).all()


async def _seen_by(session: AsyncSession, actor: Actor) -> Sequence[Export]:
    found = await _exports_of(session, actor.team_id)
    if not actor.is_guest:
        return found
    return [export for export in found if await may(session, actor, Action.SEE_EXPORT, export)]


async def _refuse_taken(session: AsyncSession, team_id: str, name: str, *, but: int | None = None) -> None:
    for export in await _exports_of(session, team_id):
        if export.id != but and fold(export.name) == fold(name):
            raise ExportNameTaken(name=export.name)


async def _free_name(session: AsyncSession, original: Export) -> str:
    taken = {fold(export.name) for export in await _exports_of(session, original.team_id)}
    number = 1
    while True:
        suffix = " (copy)" if number == 1 else f" (copy {number})"
        name = original.name[: LONGEST - len(suffix)].rstrip() + suffix
        if fold(name) not in taken:
            return name
        number += 1


# --- writing it down


async def _target(session: AsyncSession, actor: Actor, draft: ExportDraft, export_id: int | None) -> Export:
    """The export's own row: the one that is edited, or a new one."""
    await _refuse_taken(session, actor.team_id, draft.name, but=export_id)
    if export_id is None:
        export = Export(team_id=actor.team_id, name=draft.name, owner=actor.user_id)
    else:
        export = await export_for(session, actor, export_id, Action.EDIT_EXPORT)
        if draft.seen not in (None, export.updated_at):
            raise ChangedMeanwhile(name=export.name)
    export.name, export.connection_id, export.channel = draft.name, draft.connection_id, draft.channel.strip()
    export.when, export.leavers = draft.when, draft.leavers
    export.limits, export.notify = dict(draft.limits), list(draft.notify)
    export.updated_at = now()
    session.add(export)
    await session.flush()
    return export


async def _refuse_move(session: AsyncSession, export: Export, connection: Connection) -> None:
    """A run writes what it learns of its brand's segments: they must not change brands under it."""
    moves = any(segment.brand_id != connection.brand_id for segment in await segments_of(session, export))
    if moves and await active_run(session, export.id):
        raise ExportBusy(export=export.name)


async def _put_mapping(session: AsyncSession, export: Export, plan: Plan, types: Mapping[str, str]) -> None:
    """Replace the lines. A line that stays as it was keeps the field's type of old, so that the guard sees a change."""
    statement = select(FieldMapping).where(FieldMapping.export_id == export.id)
    before = {(row.attribute, row.kind, row.value): row.field_type for row in (await session.exec(statement)).all()}
    await session.exec(delete(FieldMapping).where(col(FieldMapping.export_id) == export.id))
    assert export.id is not None
    for position, line in enumerate(plan.lines):
        now_of = types.get(line.value, "") if line.kind is MappingKind.FIELD else ""
        session.add(
            FieldMapping(
                team_id=export.team_id,
                export_id=export.id,
                position=position,
                attribute=line.attribute,
                kind=line.kind,
                value=line.value,
                clear=line.clear,
                field_type=before.get((line.attribute, line.kind, line.value)) or now_of,
            )
        )


def _subject(export: Export) -> str:
    return f"export/{export.id}"


def _facts(draft: ExportDraft, plan: Plan) -> dict[str, object]:
    return {
        "name": draft.name,
        "connection_id": draft.connection_id,
        "segments": list(draft.segments),
        "attributes": [line.attribute for line in plan.lines],
        "when": draft.when.value,
        "leavers": draft.leavers.value,
        "limits": dict(draft.limits),
    }
