"""Requests for a connection: a person asks, an admin approves or declines, the person hears it.

The request and its answer are entries of the audit record: nothing else has to be kept of them.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.access import Action, require
from bot.pipeline import recording
from bot.services import audit
from bot.services.actor import Actor
from bot.services.errors import ConsentWithdrawn, RequestAnswered, RequestUnknown
from bot.services.lookup import connection_for
from bot.services.sharing import share_with
from bot.services.telling import tell
from storage.database import Database
from storage.models import AuditEntry, ConnectionState

LONGEST_NOTE = 500  # characters

REQUESTED, APPROVED, DECLINED = "connection.requested", "connection.request_approved", "connection.request_declined"


@dataclass(frozen=True, slots=True)
class ConnectionRequest:
    """`by` asked for a connection; `note` says what for. `verdict`: empty while nobody has answered."""

    id: int
    by: str
    note: str
    at: datetime
    verdict: str = ""
    answered_by: str = ""
    reason: str = ""

    @property
    def open(self) -> bool:
        return not self.verdict


class Requests:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def request(self, actor: Actor, note: str = "") -> ConnectionRequest:
        """Ask the admins for a connection. Asking again while a request is open gives that one."""
        require(actor, Action.REQUEST_CONNECTION)
        async with self._database.write() as session:
            for pending in await _requests(session, actor.team_id):
                if pending.open and pending.by == actor.user_id:
                    return pending
            entry = audit.record(session, actor, REQUESTED, "", note=note.strip()[:LONGEST_NOTE])
            await session.flush()
            entry.subject = f"request/{entry.id}"
            admins = await recording.admins(session, actor.team_id)
            tell(
                session,
                actor.team_id,
                "connection.requested",
                f"request-{entry.id}",
                admins,
                request_id=entry.id,
                by=actor.user_id,
                note=entry.facts["note"],
            )
            return _read(entry, None)

    async def get(self, actor: Actor, request_id: int) -> ConnectionRequest:
        """One request, for admins. Raises `RequestUnknown`."""
        require(actor, Action.ANSWER_REQUEST)
        async with self._database.read() as session:
            return await _find(session, actor, request_id)

    async def pending(self, actor: Actor) -> list[ConnectionRequest]:
        """The requests that nobody has answered yet, oldest first."""
        require(actor, Action.ANSWER_REQUEST)
        async with self._database.read() as session:
            return [each for each in await _requests(session, actor.team_id) if each.open]

    async def approve(self, actor: Actor, request_id: int, connection_id: int) -> ConnectionRequest:
        """Share a connection with the person who asked, and tell them.

        Raises `RequestAnswered`, or `ConsentWithdrawn` for a connection that has ended.
        """
        require(actor, Action.ANSWER_REQUEST)
        async with self._database.write() as session:
            asked = await _open_request(session, actor, request_id)
            connection = await connection_for(session, actor, connection_id, Action.SHARE_CONNECTION)
            if connection.state is ConnectionState.WITHDRAWN:
                raise ConsentWithdrawn(connection=connection.name)
            await share_with(session, connection, asked.by)
            facts = {"connection_id": connection_id, "connection": connection.name}
            return _answer(session, actor, asked, APPROVED, facts)

    async def decline(self, actor: Actor, request_id: int, reason: str = "") -> ConnectionRequest:
        """Say no, with a reason, and tell the person. Raises `RequestAnswered`."""
        require(actor, Action.ANSWER_REQUEST)
        async with self._database.write() as session:
            asked = await _open_request(session, actor, request_id)
            return _answer(session, actor, asked, DECLINED, {"reason": reason.strip()[:LONGEST_NOTE]})


def _answer(
    session: AsyncSession, actor: Actor, asked: ConnectionRequest, verdict: str, facts: dict[str, object]
) -> ConnectionRequest:
    answer = audit.record(session, actor, verdict, f"request/{asked.id}", **facts)
    about = f"request-{asked.id}"
    tell(session, actor.team_id, verdict, about, [asked.by], request_id=asked.id, by=actor.user_id, **facts)
    return ConnectionRequest(asked.id, asked.by, asked.note, asked.at, *_verdict(answer))


async def _open_request(session: AsyncSession, actor: Actor, request_id: int) -> ConnectionRequest:
    asked = await _find(session, actor, request_id)
    if not asked.open:
        raise RequestAnswered(verdict=asked.verdict, by=asked.answered_by)
    return asked


async def _find(session: AsyncSession, actor: Actor, request_id: int) -> ConnectionRequest:
    for asked in await _requests(session, actor.team_id):
        if asked.id == request_id:
            return asked
    raise RequestUnknown


async def _requests(session: AsyncSession, team_id: str) -> list[ConnectionRequest]:
    statement = (
        select(AuditEntry)
        .where(AuditEntry.team_id == team_id, col(AuditEntry.action).in_((REQUESTED, APPROVED, DECLINED)))
        .order_by(col(AuditEntry.id))
    )
    entries = (await session.exec(statement)).all()
    answers = {entry.subject: entry for entry in entries if entry.action != REQUESTED}
    return [_read(entry, answers.get(entry.subject)) for entry in entries if entry.action == REQUESTED]


def _read(entry: AuditEntry, answer: AuditEntry | None) -> ConnectionRequest:
    assert entry.id is not None
    asked = ConnectionRequest(entry.id, entry.actor, entry.facts.get("note", ""), entry.at)
    return asked if answer is None else ConnectionRequest(asked.id, asked.by, asked.note, asked.at, *_verdict(answer))


def _verdict(answer: AuditEntry) -> tuple[str, str, str]:
    return answer.action.rpartition("_")[2], answer.actor, answer.facts.get("reason", "")
