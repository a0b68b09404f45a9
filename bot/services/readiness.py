"""Whether an export can run now: asked before people start it, and by the schedule at each tick."""

from sqlmodel import func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.pipeline.errors import NoConnection, NoSegments, RunError
from bot.services.consent import covers, standing_consent
from bot.services.errors import ConsentOutdated, ConsentWithdrawn, Paused
from bot.services.lookup import connection_of
from storage.models import Connection, ConnectionState, Consent, Export, ExportSegment, SegmentState


def obstacle(
    export: Export, connection: Connection | None, consent: Consent | None, selected_segments: int
) -> RunError | None:
    """What keeps an export from running, the gravest first; None if nothing does.

    `consent`: the standing one of the connection.
    """
    if connection is None:
        return NoConnection(export=export.name)
    if connection.state is ConnectionState.WITHDRAWN or connection.api_key is None or consent is None:
        return ConsentWithdrawn(connection=connection.name)
    if not covers(consent, connection):
        return ConsentOutdated(connection=connection.name)
    if not selected_segments:
        return NoSegments(export=export.name)
    return Paused(export=export.name) if export.paused else None


async def find_obstacle(session: AsyncSession, export: Export) -> RunError | None:
    """`obstacle`, for an export as it stands in the database."""
    connection = await connection_of(session, export)
    consent = await standing_consent(session, export.connection_id) if connection else None
    selected = (
        select(func.count())
        .select_from(ExportSegment)
        .where(ExportSegment.export_id == export.id, ExportSegment.state == SegmentState.SELECTED)
    )
    return obstacle(export, connection, consent, (await session.exec(selected)).one())


async def consent_obstacle(session: AsyncSession, connection: Connection) -> RunError | None:
    """What is wrong with a connection's consent: none, withdrawn, or given for another text or brand."""
    consent = await standing_consent(session, connection.id)
    if consent is None:
        return ConsentWithdrawn(connection=connection.name)
    return None if covers(consent, connection) else ConsentOutdated(connection=connection.name)
