"""Who somebody is: rights, language and time zone, asked of Slack now and then."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from bot.i18n import Translator, translator
from bot.services.actor import Actor
from bot.services.people import People, PersonProfile
from bot.slack.errors import RateLimited, SlackAway, SlackError
from bot.slack.gateway import Gateway, Group, Profile

PROFILE_SECONDS = 120.0  # how long rights may be out of date for what only shows something
GROUPS_SECONDS = 300.0
GROUPS_FRESH_SECONDS = 20.0  # for what changes something: Slack takes twenty such questions a minute
MEET_SECONDS = 5.0  # for Slack to list its admins, where some are known

_CANT_TELL = (SlackAway, RateLimited)  # what was said last holds; any other answer is a no

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Known:
    profile: Profile
    at: float


class Directory:
    """Actors for the services. What Slack said is kept for a while; if Slack is away, for as long as that lasts."""

    def __init__(self, gateway: Gateway, people: People, clock: Callable[[], float] = time.monotonic) -> None:
        self._gateway = gateway
        self._people = people
        self._clock = clock
        self._known: dict[tuple[str, str], _Known] = {}
        self._groups: list[Group] = []
        self._groups_at: float | None = None

    def translator(self, team_id: str, user_id: str) -> Translator:
        """In the person's language if it is known already; asks nobody."""
        known = self._known.get((team_id, user_id))
        return translator(known.profile.locale if known else "en-US")

    async def actor(self, team_id: str, user_id: str, *, fresh: bool = False) -> Actor:
        """The person with their rights. `fresh`: as Slack says now, unless it can't be asked."""
        profile = await self._profile(team_id, user_id, fresh=fresh)
        known = await self.groups(GROUPS_FRESH_SECONDS if fresh else GROUPS_SECONDS)
        groups = frozenset(group.id for group in known if user_id in group.members)
        told = PersonProfile(
            profile.name, profile.locale, profile.zone, profile.is_admin, groups, is_guest=profile.is_guest
        )
        return await self._people.actor(team_id, user_id, told)

    async def meet_admins(self, team_id: str) -> None:
        """Make sure that all who decide are known: Slack's own admins may never have talked to us.

        In a workspace so large that asking takes long, those known already have to do.
        """
        if await self._people.named_admins(team_id) is not None:
            return
        known = await self._people.admins(team_id)
        try:
            async with asyncio.timeout(MEET_SECONDS if known else None):
                found = await self._gateway.admins()
        except (SlackError, TimeoutError) as error:
            if not known:
                raise
            log.info("the workspace's admins could not be asked for", error=str(error))
            return
        told = {
            user_id: PersonProfile(profile.name, profile.locale, profile.zone, profile.is_admin)
            for user_id, profile in found.items()
        }
        await self._people.meet_admins(team_id, told)

    async def groups(self, seconds: float = GROUPS_SECONDS) -> list[Group]:
        """The workspace's user groups, as they were at most so long ago; none without the permission to ask."""
        if self._groups_at is None or self._clock() - self._groups_at > seconds:
            try:
                self._groups = await self._gateway.groups()
            except _CANT_TELL:
                return self._groups
            except SlackError as error:
                log.warning("the user groups can't be read", error=error.error)
                self._groups = []
            self._groups_at = self._clock()
        return self._groups

    async def _profile(self, team_id: str, user_id: str, *, fresh: bool) -> Profile:
        known = self._known.get((team_id, user_id))
        if known is not None and not fresh and self._clock() - known.at < PROFILE_SECONDS:
            return known.profile
        try:
            profile = await self._gateway.profile(user_id)
        except _CANT_TELL:
            if known is None:
                raise
            return known.profile
        self._known[team_id, user_id] = _Known(profile, self._clock())
        return profile
