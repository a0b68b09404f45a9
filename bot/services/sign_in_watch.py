"""Looks after sign-ins: warns before one goes stale, says when it has, and erases those that nobody saved.

Entra forgets a refresh token that was not used for 90 days, and says so nowhere; a certificate has its end written in
it (Microsoft identity platform docs, "Refresh tokens").
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog
from sqlmodel import select

from bot.pipeline.recording import admins
from bot.pipeline.sources import Sources
from bot.services import audit
from bot.services.actor import Actor
from bot.services.export_users import erase_forgotten
from bot.services.telling import tell
from bot.sources.entra import SignInStatus
from bot.tasks import end
from storage.database import Database
from storage.errors import FerryError
from storage.models import Connection, ConnectionState, ExportUser, ReaderKind, now

LOOK_SECONDS = 3_600.0
WATCH = "watch"  # stands for this in the audit

log = structlog.get_logger(__name__)


class SignInWatch:
    def __init__(
        self,
        database: Database,
        sources: Sources,
        *,
        nudge: Callable[[], None] = lambda: None,
        clock: Callable[[], datetime] = now,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`nudge` tells the outbox that there is something to deliver."""
        self._database = database
        self._sources = sources
        self._nudge = nudge
        self._clock = clock
        self._pause = pause
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="sign-in watch")

    async def stop(self) -> None:
        if self._task is not None:
            await end(self._task)

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("could not look after sign-ins")
            await self._pause(LOOK_SECONDS)

    async def look(self) -> None:
        """Look at every export user once, and tell the export user and the admins what they must hear, once."""
        at = self._clock()
        async with self._database.write() as session:
            forgotten = await erase_forgotten(session, at)
        if forgotten:
            log.info("sign-ins that nobody saved were erased", count=len(forgotten))
        async with self._database.read() as session:
            statement = select(ExportUser, Connection).where(
                ExportUser.connection_id == Connection.id, Connection.state == ConnectionState.ACTIVE
            )
            found = (await session.exec(statement)).all()
        for user, connection in found:
            await self._look_at(user, connection, at)

    async def _look_at(self, user: ExportUser, connection: Connection, at: datetime) -> None:
        insights = self._sources.insights
        if insights is None or user.environment != insights.environment:
            return
        try:
            status = await insights.status(user)
        except FerryError as error:
            log.warning("a sign-in can't be looked at", connection=connection.id, code=error.code)
            return
        if status is None or status.needs_sign_in_by is None:
            return
        if at >= status.needs_sign_in_by and user.kind is ReaderKind.PERSON:
            if user.ended_at is None:
                await self._tell(user, connection, "sign_in.ended", status, at)
        elif status.is_due(at) and user.warned_at is None:
            await self._tell(user, connection, "sign_in.due", status, at)

    async def _tell(
        self, user: ExportUser, connection: Connection, event: str, status: SignInStatus, at: datetime
    ) -> None:
        assert status.needs_sign_in_by is not None
        until = status.needs_sign_in_by.isoformat()
        async with self._database.write() as session:
            stored = await session.get(ExportUser, user.id)
            if stored is None:  # replaced meanwhile
                return
            if event == "sign_in.ended":
                stored.ended_at = at
            else:
                stored.warned_at = at
            session.add(stored)
            facts = {
                "connection_id": connection.id,
                "connection": connection.name,
                "kind": user.kind.value,
                "until": until,
            }
            people = [user.added_by, *await admins(session, connection.team_id)]
            tell(session, connection.team_id, event, f"export-user-{user.id}-{until}", people, **facts)
            audit.record(session, Actor(connection.team_id, WATCH), event, f"connection/{connection.id}", **facts)
        log.info("told of a sign-in", event_name=event, connection=connection.id)
        self._nudge()
