"""Omnisend's own counts, asked for again after a run: its segments follow the contacts by minutes.

A run reports what Omnisend counts when it ends. Where that is not yet what was sent, it is asked again a few times, at
growing intervals, and the report is brought up to date. Which runs wait for that follows from their rows alone (when
they ended, how often was asked), so that a restart forgets nothing.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlmodel import col, func, select

from bot.omnisend.client import OmnisendClient
from bot.pipeline.omnisend_segments import OmnisendSegments
from bot.pipeline.recording import NOBODY
from bot.tasks import end
from storage.database import Database, unbroken
from storage.errors import FerryError
from storage.models import (
    Connection,
    Export,
    ExportSegment,
    OutboxMessage,
    Run,
    RunStatus,
    SegmentState,
    id_of,
    now,
)

LOOK_SECONDS = 5.0  # how often the rows are looked at
LATEST = timedelta(hours=1)  # a run whose last question is older than this is not asked about any more

ClientFor = Callable[[Connection], AbstractAsyncContextManager[OmnisendClient]]
"""A client for a connection that has a key."""

log = structlog.get_logger(__name__)


class Recounts:
    """Asks again for the counts of runs that ended well. `start` and `stop` like the dispatcher."""

    def __init__(
        self,
        database: Database,
        client_for: ClientFor,
        *,
        after: Sequence[float],
        clock: Callable[[], datetime] = now,
    ) -> None:
        """`after`: seconds after a run's end at which it is asked again, ascending; after the last one no more."""
        self._database = database
        self._client_for = client_for
        self._after = [timedelta(seconds=seconds) for seconds in after]
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="recounts")

    async def stop(self) -> None:
        if self._task is not None:
            await end(self._task)

    async def _run(self) -> None:
        pause = min([LOOK_SECONDS, *(after.total_seconds() for after in self._after)])
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("could not ask again for Omnisend's counts")
            await asyncio.sleep(max(pause, 0.1))

    async def look(self) -> None:
        """Ask about every run for which it is time."""
        for run in await unbroken(self._waiting()):
            await self._ask(run)

    async def _waiting(self) -> list[Run]:
        """The last run of each export, if Omnisend's counts still differ from what it sent and it is time to ask."""
        if not self._after:
            return []
        at = self._clock()
        newest = select(func.max(col(Run.id))).where(Run.status == RunStatus.DONE).group_by(col(Run.export_id))
        statement = select(Run).where(
            col(Run.id).in_(newest), col(Run.export_id).is_not(None), col(Run.ended_at) > at - self._after[-1] - LATEST
        )
        async with self._database.read() as session:
            runs = (await session.exec(statement.order_by(col(Run.id)))).all()
        return [run for run in runs if _is_behind(run) and self._due_asks(run, at) > _asked(run)]

    def _due_asks(self, run: Run, at: datetime) -> int:
        """How often a run should have been asked about by now. Several that were missed make one."""
        assert run.ended_at is not None
        return sum(run.ended_at + after <= at for after in self._after)

    async def _ask(self, run: Run) -> None:
        async with self._database.read() as session:
            export = await session.get(Export, run.export_id)
            connection = (
                await session.get(Connection, export.connection_id) if export and export.connection_id else None
            )
            statement = select(ExportSegment).where(
                ExportSegment.export_id == run.export_id, ExportSegment.state == SegmentState.SELECTED
            )
            segments = (await session.exec(statement)).all()
        if export is None or connection is None or connection.api_key is None:
            return  # detached or withdrawn meanwhile: nobody may ask any more
        try:
            async with self._client_for(connection) as client:
                counts = (await OmnisendSegments(client, self._database, segments).count()).counts
        except FerryError as error:
            log.info("Omnisend's counts could not be asked for again", run=run.id, code=error.code)
            counts = {}
        await unbroken(self._note(id_of(run), export, counts))

    async def _note(self, run_id: int, export: Export, counts: Mapping[str, int]) -> None:
        """Write the counts into the run, and have its report brought up to date if that shows anything new."""
        async with self._database.write() as session:
            run = await session.get_one(Run, run_id)
            asked = self._due_asks(run, self._clock())
            if asked <= _asked(run):
                return  # another process was faster
            final = asked >= len(self._after)
            before = run.segments
            run.segments = [
                {**segment, "contacts_count": counts.get(segment["name"], segment["contacts_count"]), "asked": asked}
                | ({"final": True} if final else {})
                for segment in before
            ]
            session.add(run)
            if final or _counted(before) != _counted(run.segments):
                place = export.channel or export.owner
                if place not in NOBODY:
                    session.add(_letter(run, asked, place))


def _letter(run: Run, asked: int, place: str) -> OutboxMessage:
    return OutboxMessage(
        team_id=run.team_id,
        key=f"run-{run.id}-counted-{asked}",
        event="run.counted",
        channel=place,
        facts={"run_id": run.id},
    )


def _is_behind(run: Run) -> bool:
    """Whether there is something to wait for: not where the key may not read segments at all."""
    if any(note.get("kind") == "segments_scope" for note in run.notes):
        return False
    return any(segment.get("contacts_count") != segment.get("contacts") for segment in run.segments)


def _asked(run: Run) -> int:
    return max((int(segment.get("asked", 0)) for segment in run.segments), default=0)


def _counted(segments: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [segment.get("contacts_count") for segment in segments]
