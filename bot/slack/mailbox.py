"""The outbox as the database keeps it: what waits, what became of it; and the few facts that reports need beside."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.services.telling import run_before
from bot.slack.gateway import Posted
from storage.database import Database
from storage.models import Export, OutboxMessage, OutboxState, Run, RunStatus, now

SAME_TROUBLE = timedelta(hours=1)  # failures for one reason that come within it are one trouble


@dataclass(frozen=True, slots=True)
class Letter:
    """Something more that somebody has to hear because of what was just delivered."""

    key: str
    event: str
    channel: str
    facts: dict[str, Any]


class Mailbox:
    def __init__(self, database: Database) -> None:
        self._database = database

    # --- delivering

    async def due(self, at: datetime) -> list[OutboxMessage]:
        """The oldest waiting message of each channel, if it may be tried now: those behind it wait for it."""
        oldest = (
            select(func.min(col(OutboxMessage.id)))
            .where(OutboxMessage.state == OutboxState.WAITING)
            .group_by(col(OutboxMessage.channel))
        )
        statement = select(OutboxMessage).where(col(OutboxMessage.id).in_(oldest), col(OutboxMessage.not_before) <= at)
        async with self._database.read() as session:
            return list((await session.exec(statement.order_by(col(OutboxMessage.id)))).all())

    async def delivered(self, message: OutboxMessage, posted: Posted | None, follow: Sequence[Letter] = ()) -> None:
        """Write down that Slack has it (`posted` None: there was nothing to say), with what follows from it."""
        async with self._database.write() as session:
            row = await session.get_one(OutboxMessage, message.id)
            row.state, row.last_error = OutboxState.DELIVERED, None
            if posted is not None:
                row.delivered_channel, row.delivered_ts = posted.channel, posted.ts
            session.add(row)
            await _add(session, message.team_id, follow)

    async def postponed(self, message: OutboxMessage, until: datetime, error: str, *, counts: bool) -> None:
        """Try again at `until`; `counts` as a try unless Slack only asked for a pause."""
        async with self._database.write() as session:
            row = await session.get_one(OutboxMessage, message.id)
            row.not_before, row.last_error = until, error
            row.attempts += counts
            session.add(row)

    async def dropped(self, message: OutboxMessage, error: str, follow: Sequence[Letter] = ()) -> None:
        """Slack will never take it."""
        async with self._database.write() as session:
            row = await session.get_one(OutboxMessage, message.id)
            row.state, row.last_error = OutboxState.DROPPED, error
            session.add(row)
            await _add(session, message.team_id, follow)

    async def posted(self, team_id: str, key_prefix: str) -> list[tuple[OutboxMessage, Posted]]:
        """The delivered messages whose key begins so, with where they are."""
        statement = select(OutboxMessage).where(
            OutboxMessage.team_id == team_id,
            col(OutboxMessage.key).startswith(key_prefix, autoescape=True),
            col(OutboxMessage.delivered_ts).is_not(None),
        )
        async with self._database.read() as session:
            rows = (await session.exec(statement)).all()
        return [(row, Posted(row.delivered_channel or row.channel, row.delivered_ts or "")) for row in rows]

    # --- runs

    async def running(self) -> list[Run]:
        """The runs that have a live message in Slack and are not over."""
        statement = select(Run).where(
            col(Run.status).in_((RunStatus.QUEUED, RunStatus.RUNNING)), col(Run.report_ts).is_not(None)
        )
        async with self._database.read() as session:
            return list((await session.exec(statement)).all())

    async def run(self, run_id: int) -> Run | None:
        async with self._database.read() as session:
            return await session.get(Run, run_id)

    async def keep_live_message(self, run_id: int, posted: Posted) -> None:
        async with self._database.write() as session:
            run = await session.get_one(Run, run_id)
            run.report_channel, run.report_ts = posted.channel, posted.ts
            session.add(run)

    async def run_before(self, run: Run) -> Run | None:
        """The last run of the same export that ended with a result, good or bad."""
        async with self._database.read() as session:
            return await run_before(session, run)

    async def same_trouble(self, message: OutboxMessage, run: Run) -> Posted | None:
        """Where the same person was told just now that another export failed for the same reason."""
        told = (
            select(OutboxMessage)
            .where(
                OutboxMessage.team_id == message.team_id,
                OutboxMessage.event == message.event,
                OutboxMessage.channel == message.channel,
                col(OutboxMessage.id) < message.id,
                col(OutboxMessage.delivered_ts).is_not(None),
                col(OutboxMessage.created_at) > message.created_at - SAME_TROUBLE,
            )
            .order_by(col(OutboxMessage.id))
        )
        async with self._database.read() as session:
            for row in (await session.exec(told)).all():
                other = await session.get(Run, row.facts.get("run_id"))
                if other is not None and other.error_code == run.error_code and other.export_id != run.export_id:
                    return Posted(row.delivered_channel or row.channel, row.delivered_ts or "")
        return None

    async def owner_of(self, export_id: object) -> str:
        """The owner of an export, if it is still there."""
        async with self._database.read() as session:
            export = await session.get(Export, export_id) if isinstance(export_id, int) else None
        return export.owner if export else ""


async def _add(session: AsyncSession, team_id: str, letters: Sequence[Letter]) -> None:
    """Put letters into the outbox; one that was put there before is left alone."""
    for letter in letters:
        known = select(OutboxMessage.id).where(OutboxMessage.team_id == team_id, OutboxMessage.key == letter.key)
        if (await session.exec(known)).first() is None:
            session.add(
                OutboxMessage(
                    team_id=team_id,
                    key=letter.key,
                    event=letter.event,
                    channel=letter.channel,
                    facts=letter.facts,
                    created_at=now(),
                )
            )
