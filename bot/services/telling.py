"""What people must hear of a change that somebody else made: put into the outbox with the change itself."""

from collections.abc import Iterable
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.pipeline.recording import NOBODY, run_before
from bot.services.actor import Actor
from storage.models import Connection, Export, OutboxMessage, now

__all__ = ["run_before", "tell", "tell_detached"]


def tell(session: AsyncSession, team_id: str, event: str, about: str, places: Iterable[str], **facts: Any) -> None:
    """One message to each channel or person. `about` makes it one of a kind, such as `export-3`; facts are JSON."""
    for place in dict.fromkeys(places):
        if place not in NOBODY:
            key = f"{event}-{about}-{place}"
            session.add(OutboxMessage(team_id=team_id, key=key, event=event, channel=place, facts=facts))


def tell_detached(
    session: AsyncSession, actor: Actor, export: Export, connection: Connection, *, withdrawn: bool
) -> None:
    """Whoever waits for the next run must hear that there will be none: the channel, else the owner.

    `withdrawn`: the consent was, and the export lost its connection with it; otherwise somebody took it off.
    """
    tell(
        session,
        export.team_id,
        "export.detached",
        f"export-{export.id}-{now():%Y%m%dT%H%M%S.%f}",
        [export.channel or export.owner],
        export_id=export.id,
        export=export.name,
        connection=connection.name,
        by=actor.user_id,
        withdrawn=withdrawn,
    )
