"""With whom a connection is shared, beside the admins."""

from collections.abc import Sequence

from sqlmodel import col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.access import Action, allowed
from bot.services.actor import Actor
from bot.services.errors import AudienceEmpty
from bot.services.lookup import grants_of
from storage.models import Audience, Connection, ConnectionGrant, GrantKind, now


def check_audience(audience: Audience, people: Sequence[str], groups: Sequence[str]) -> None:
    """Raises `AudienceEmpty` for a connection that is to be shared with people, but with nobody."""
    if audience is Audience.PEOPLE and not (people or groups):
        raise AudienceEmpty


async def share(
    session: AsyncSession, connection: Connection, audience: Audience, people: Sequence[str], groups: Sequence[str]
) -> None:
    """Share it with these instead of those before."""
    check_audience(audience, people, groups)
    connection.audience, connection.updated_at = audience, now()
    session.add(connection)
    await session.exec(delete(ConnectionGrant).where(col(ConnectionGrant.connection_id) == connection.id))
    grant(session, connection, people, groups)


async def share_with(session: AsyncSession, connection: Connection, user_id: str) -> bool:
    """Share it with one more person; False for one who may use it already.

    A guest is not among everyone: whoever asks is named beside, so that it holds for them too.
    """
    grants = await grants_of(session, connection)
    if allowed(Actor(connection.team_id, user_id, is_guest=True), Action.USE_CONNECTION, connection, grants):
        return False
    if connection.audience is Audience.ADMINS:
        connection.audience = Audience.PEOPLE
    connection.updated_at = now()
    session.add(connection)
    grant(session, connection, [user_id], [])
    return True


def grant(session: AsyncSession, connection: Connection, people: Sequence[str], groups: Sequence[str]) -> None:
    """Name those whom it is shared with; with admins only, names mean nothing and are not kept."""
    if connection.audience is Audience.ADMINS:
        return
    assert connection.id is not None
    for kind, subjects in ((GrantKind.PERSON, people), (GrantKind.GROUP, groups)):
        for subject in dict.fromkeys(subjects):
            session.add(
                ConnectionGrant(connection_id=connection.id, kind=kind, subject=subject, team_id=connection.team_id)
            )
