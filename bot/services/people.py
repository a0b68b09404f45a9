"""People: who somebody is in the workspace, and who its admins are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlmodel import col, update
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.access import Action, require
from bot.i18n import find_zone
from bot.pipeline import recording
from bot.services import audit
from bot.services.actor import Actor
from bot.services.errors import AdminsEmpty
from storage.database import Database
from storage.models import Person, Workspace, now

SEEN_AGAIN = timedelta(minutes=15)  # how often an unchanged person's `seen_at` is written anew


@dataclass(frozen=True, slots=True)
class PersonProfile:
    """What Slack says of a member of the workspace. `groups`: ids of the user groups they are in."""

    name: str = ""
    locale: str = "en-US"
    zone: str = "UTC"
    is_admin: bool = False
    groups: frozenset[str] = frozenset()
    is_guest: bool = False


class People:
    """Turns Slack's members into actors. Their rights are as old as the profile that is handed in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def actor(self, team_id: str, user_id: str, profile: PersonProfile | None = None) -> Actor:
        """The person with their rights. Without a profile: as Slack last said, and in no user group."""
        async with self._database.read() as session:
            workspace = await session.get(Workspace, team_id)
            person = await session.get(Person, (team_id, user_id))
        if profile is not None and (workspace is None or person is None or _differs(person, profile)):
            workspace, person = await self._remember(team_id, user_id, profile)
        person = person or Person(team_id=team_id, user_id=user_id)
        named = workspace.admins if workspace is not None else None
        return Actor(
            team_id,
            user_id,
            is_admin=person.is_admin if named is None else user_id in named,
            groups=profile.groups if profile else frozenset(),
            locale=person.locale,
            zone=person.zone if find_zone(person.zone) else "UTC",
            is_guest=profile is not None and profile.is_guest,
        )

    async def admins(self, team_id: str) -> list[str]:
        """Those named as admins, else those of Slack's own whom we have met."""
        async with self._database.read() as session:
            return await recording.admins(session, team_id)

    async def meet_admins(self, team_id: str, found: Mapping[str, PersonProfile]) -> None:
        """Slack's own admins, all of them: whoever is none any more hears nothing further as one."""
        for user_id, profile in found.items():
            await self.actor(team_id, user_id, profile)
        async with self._database.write() as session:
            former = (col(Person.team_id) == team_id, col(Person.is_admin).is_(True), col(Person.user_id).not_in(found))
            await session.exec(update(Person).where(*former).values(is_admin=False))

    async def named_admins(self, team_id: str) -> list[str] | None:
        """Those named by `set_admins`; None if it is left to Slack."""
        async with self._database.read() as session:
            workspace = await session.get(Workspace, team_id)
        return workspace.admins if workspace is not None else None

    async def set_admins(self, actor: Actor, user_ids: Sequence[str] | None) -> None:
        """Name the admins, or leave it to Slack again (None). Raises `AdminsEmpty`, `Denied`."""
        require(actor, Action.SET_ADMINS)
        named = None if user_ids is None else list(dict.fromkeys(user_ids))
        if named == []:
            raise AdminsEmpty
        async with self._database.write() as session:
            workspace = await _workspace(session, actor.team_id)
            workspace.admins = named
            session.add(workspace)
            audit.record(session, actor, "workspace.admins_set", f"workspace/{actor.team_id}", admins=named)

    async def _remember(self, team_id: str, user_id: str, profile: PersonProfile) -> tuple[Workspace, Person]:
        async with self._database.write() as session:
            workspace = await _workspace(session, team_id)
            person = await session.get(Person, (team_id, user_id)) or Person(team_id=team_id, user_id=user_id)
            person.name, person.locale, person.zone = profile.name, profile.locale, profile.zone
            person.is_admin, person.seen_at = profile.is_admin, now()
            session.add(person)
            return workspace, person


async def _workspace(session: AsyncSession, team_id: str) -> Workspace:
    workspace = await session.get(Workspace, team_id)
    if workspace is None:
        workspace = Workspace(team_id=team_id)
        session.add(workspace)
    return workspace


def _differs(person: Person, profile: PersonProfile) -> bool:
    stored = (person.name, person.locale, person.zone, person.is_admin)
    told = (profile.name, profile.locale, profile.zone, profile.is_admin)
    return stored != told or now() - person.seen_at > SEEN_AGAIN
