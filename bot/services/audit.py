"""The record of who did what. Written in the transaction of the change itself, so that neither stands alone."""

from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.services.actor import Actor
from storage.models import AuditEntry


def record(session: AsyncSession, actor: Actor, action: str, subject: str, **facts: Any) -> AuditEntry:
    """Add an entry. `action` such as `connection.added`, `subject` such as `connection/3`.

    `facts` is plain JSON; never personal data of profiles, never secrets.
    """
    entry = AuditEntry(team_id=actor.team_id, actor=actor.user_id, action=action, subject=subject, facts=facts)
    session.add(entry)
    return entry
