"""What past runs know of segments: since when one has had the very number of members that it has now."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from storage.models import Connection, Export, Run, RunStatus, Trigger

LONG = timedelta(days=30)  # with the same number of members: worth a word
RUNS = 500  # that are looked through, newest first


async def unchanged_since(
    session: AsyncSession, connection: Connection, members: Mapping[str, int], at: datetime
) -> dict[str, datetime]:
    """Those of the segments (name → members now) whose number has been the same in every run for long, and since when.

    Only what runs have seen is known: of a segment that none has read there is nothing to say, and the same number
    need not be the same people.
    """
    since: dict[str, datetime] = {}
    open_ones = dict(members)
    for ended_at, counts in await _runs(session, connection):
        for name in [name for name in open_ones if name in counts]:
            if counts[name] == open_ones[name]:
                since[name] = ended_at
            else:
                del open_ones[name]
        if not open_ones:
            break
    return {name: moment for name, moment in since.items() if at - moment >= LONG}


async def _runs(session: AsyncSession, connection: Connection) -> list[tuple[datetime, dict[str, int]]]:
    """End and members by segment of the finished runs over the same kind of source, newest first."""
    statement = (
        select(Run.ended_at, Run.segments)
        .join(Export, col(Export.id) == col(Run.export_id))
        .join(Connection, col(Connection.id) == col(Export.connection_id))
        .where(
            Run.team_id == connection.team_id,
            Connection.source == connection.source,
            Run.status == RunStatus.DONE,
            Run.trigger != Trigger.EMPTY,
            col(Run.ended_at).is_not(None),
        )
        .order_by(col(Run.id).desc())
        .limit(RUNS)
    )
    return [
        (ended_at, {segment["name"]: segment["members"] for segment in segments})
        for ended_at, segments in (await session.exec(statement)).all()
        if ended_at is not None
    ]
