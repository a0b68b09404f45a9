"""The sources that are configured, and the one that a connection reads from.

A folder of tables is one source for all. Customer Insights is read in the name of a connection's export user, so that
each connection has a source of its own, opened when it is first wanted and for as long as the export user stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.pipeline.errors import SourceUnknown, SourceUnset
from bot.pipeline.insights import Insights, Reader
from bot.sources.base import Source
from bot.sources.entra.errors import NotSignedIn
from storage.database import Database
from storage.models import Connection, ExportUser, id_of, now


@dataclass(frozen=True, slots=True)
class Offer:
    """A source that a connection may be made for. `label` is how people call it."""

    kind: str
    label: str
    needs_export_user: bool = False
    app_identity: bool = False  # an admin may choose the app as export user


class Sources:
    """One for a process. `shared`: sources for all connections by kind; `insights`: the one that is read in a name."""

    def __init__(
        self, shared: Mapping[str, Source], insights: Insights | None = None, database: Database | None = None
    ) -> None:
        self._shared = dict(shared)
        self.insights = insights
        self._database = database
        self._readers: dict[int, Reader] = {}  # by export user, whose rows are never re-used
        self._retired: list[Reader] = []  # a run may still be reading

    @property
    def offers(self) -> Sequence[Offer]:
        """What is configured, in the order in which it is offered."""
        found = [Offer(kind, source.label) for kind, source in self._shared.items()]
        if self.insights is not None:
            offer = Offer(
                self.insights.kind, self.insights.label, needs_export_user=True, app_identity=self.insights.has_app
            )
            found.append(offer)
        return found

    async def of(self, connection: Connection) -> Source:
        """The source that a connection reads from.

        Raises `SourceUnset` or `SourceUnknown` for one that is not configured here, `NotSignedIn` without an export
        user, `EnvironmentChanged` for an export user of another environment.
        """
        if connection.source in self._shared:
            return self._shared[connection.source]
        return (await self.reader(connection)).source

    async def reader(self, connection: Connection) -> Reader:
        """The source of a connection that is read in a name, with that identity. Raises as `of` does."""
        insights = self.insights
        if insights is None or self._database is None or connection.source != insights.kind:
            raise SourceUnknown(source=connection.source) if self.offers else SourceUnset()
        async with self._database.read() as session:
            await insights.refreshes.reload(session)
            user = await export_user_of(session, connection)
        if user is None:
            await self.forget(id_of(connection))
            raise NotSignedIn
        reader = self._readers.get(id_of(user))
        if reader is None:
            await self.forget(id_of(connection))
            reader = self._readers[id_of(user)] = insights.open(user)
        return reader

    async def refreshing_until(self, connection: Connection) -> datetime | None:
        """When the refresh ends that is known to be changing this connection's source now; None if none is known."""
        if self.insights is None or self._database is None or connection.source != self.insights.kind:
            return None
        async with self._database.read() as session:
            await self.insights.refreshes.reload(session)
        return self.insights.refreshing_until()

    async def signed_out(self, connection_id: int | None) -> None:
        """A run has found that the export user can't read any more: its connection shows it."""
        if self._database is None:
            return
        async with self._database.write() as session:
            statement = select(ExportUser).where(ExportUser.connection_id == connection_id)
            for user in (await session.exec(statement)).all():
                user.ended_at = user.ended_at or now()
                session.add(user)

    async def forget(self, connection_id: int) -> None:
        """The export user of a connection has gone or been replaced: drop the token that is held in memory."""
        for user_id, reader in list(self._readers.items()):
            if reader.connection_id == connection_id:
                reader.forget()
                self._retired.append(self._readers.pop(user_id))

    async def close(self) -> None:
        for reader in [*self._readers.values(), *self._retired]:
            await reader.close()
        for source in self._shared.values():
            await source.close()


async def export_user_of(session: AsyncSession, connection: Connection) -> ExportUser | None:
    return (await session.exec(select(ExportUser).where(ExportUser.connection_id == connection.id))).first()
