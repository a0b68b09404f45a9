"""Finding the thing that somebody wants to act on, and checking that they may, in one step.

Ids come from buttons and forms: they may be stale or forged. Another workspace's things are as unknown as removed ones.
"""

from collections.abc import Sequence

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.access import Action, allowed, require
from bot.services.actor import Actor
from bot.services.errors import ConnectionUnknown, ExportGone, RunUnknown
from storage.models import Connection, ConnectionGrant, Export, Run


async def connection_for(session: AsyncSession, actor: Actor, connection_id: int, action: Action) -> Connection:
    """The connection. Raises `ConnectionUnknown`, or `Denied` unless the actor may do this to it."""
    connection = await session.get(Connection, connection_id)
    if connection is None or connection.team_id != actor.team_id:
        raise ConnectionUnknown
    require(actor, action, connection, await grants_of(session, connection))
    return connection


async def export_for(session: AsyncSession, actor: Actor, export_id: int, action: Action) -> Export:
    """The export. Raises `ExportGone`, or `Denied` unless the actor may do this to it."""
    export = await session.get(Export, export_id)
    if export is None or export.team_id != actor.team_id:
        raise ExportGone
    connection = await connection_of(session, export)
    grants = await grants_of(session, connection) if connection else ()
    require(actor, action, connection, grants, owner=export.owner)
    return export


async def may(session: AsyncSession, actor: Actor, action: Action, export: Export) -> bool:
    """Whether the actor may do this to an export of their workspace."""
    connection = await connection_of(session, export)
    grants = await grants_of(session, connection) if connection else ()
    return allowed(actor, action, connection, grants, owner=export.owner)


async def run_for(session: AsyncSession, actor: Actor, run_id: int, action: Action) -> tuple[Run, Export]:
    """The run and its export. Raises `RunUnknown`, `ExportGone` (the export was removed) or `Denied`."""
    run = await session.get(Run, run_id)
    if run is None or run.team_id != actor.team_id:
        raise RunUnknown
    if run.export_id is None:
        raise ExportGone
    return run, await export_for(session, actor, run.export_id, action)


async def connection_of(session: AsyncSession, export: Export) -> Connection | None:
    return await session.get(Connection, export.connection_id) if export.connection_id is not None else None


async def grants_of(session: AsyncSession, connection: Connection) -> Sequence[ConnectionGrant]:
    statement = select(ConnectionGrant).where(ConnectionGrant.connection_id == connection.id)
    return (await session.exec(statement)).all()
