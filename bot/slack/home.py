"""App Home: put together for each person, and kept current while they may be looking."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from bot.i18n import Translator
from bot.services.actor import Actor
from bot.services.errors import ConsentOutdated, NoConnection, NoSegments
from bot.services.overview import ExportView
from bot.slack.boundary import report
from bot.slack.connect import Connecting
from bot.slack.desk import Desk
from bot.slack.ids import Action
from bot.slack.operate import line_of
from bot.slack.router import Router
from bot.slack.tasks import Tasks
from bot.slack.views import home as views
from bot.slack.views import kit
from bot.slack.views.home import Attention, Home
from bot.slack.views.kit import Json, safe
from bot.slack.views.report import apart, resync_button
from bot.slack.views.words import finding_words, mention, schedule_words
from bot.slack.visit import Visit, read_id
from storage.errors import FerryError
from storage.models import ConnectionState, When

OPEN_SECONDS = 12 * 3600.0  # for so long after a look a Home is kept current
SETTLE_SECONDS = 0.3  # changes that come this close together make one update


@dataclass(slots=True)
class _Open:
    """A Home that somebody has looked at."""

    seen_at: float
    page: int = 0


class Homes:
    def __init__(
        self,
        desk: Desk,
        router: Router,
        connecting: Connecting,
        tasks: Tasks,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._desk = desk
        self._services = desk.services
        self._connecting = connecting
        self._tasks = tasks
        self._clock = clock
        self._open: dict[tuple[str, str], _Open] = {}
        self._pending: set[str] = set()
        router.event("app_home_opened", self._opened)
        router.click(Action.REFRESH_HOME, self._reload)
        router.click(Action.PAGE_BACK, self._turn)
        router.click(Action.PAGE_ON, self._turn)

    async def _opened(self, event: Json, body: Json) -> None:
        if event.get("tab") == "home":
            await self._show(body["team_id"], event["user"], page=0)

    async def _reload(self, visit: Visit) -> None:
        await visit.actor(fresh=True)
        await self._show(visit.team_id, visit.user_id)

    async def _turn(self, visit: Visit) -> None:
        await self._show(visit.team_id, visit.user_id, page=read_id(visit.value))

    def changed(self, team_id: str) -> None:
        """Something changed in the workspace: bring the Homes up to date, once for what comes close together."""
        if team_id not in self._pending and any(team == team_id for team, _ in self._open):
            self._pending.add(team_id)
            self._tasks.spawn(self._update_open(team_id), "homes")

    async def _update_open(self, team_id: str) -> None:
        await asyncio.sleep(SETTLE_SECONDS)
        self._pending.discard(team_id)
        horizon = self._clock() - OPEN_SECONDS
        self._open = {key: one for key, one in self._open.items() if one.seen_at > horizon}
        for team, user in list(self._open):
            if team == team_id:
                try:
                    await self._publish(team, user, urgent=False)
                except FerryError:  # they see it when they open Home the next time
                    continue
                except Exception as error:
                    report(error)

    async def _show(self, team_id: str, user_id: str, page: int | None = None) -> None:
        """Publish for somebody who is looking now."""
        known = self._open.setdefault((team_id, user_id), _Open(self._clock()))
        known.seen_at = self._clock()
        known.page = known.page if page is None else page
        await self._publish(team_id, user_id, urgent=True)

    async def _publish(self, team_id: str, user_id: str, *, urgent: bool) -> None:
        actor = await self._desk.directory.actor(team_id, user_id)
        t = self._desk.directory.translator(team_id, user_id)
        model = await self._model(actor, self._open[team_id, user_id])
        await self._desk.gateway.publish_home(user_id, views.home(t, model), urgent=urgent)

    # --- what somebody sees

    async def _model(self, actor: Actor, seen: _Open) -> Home:
        found = await self._services.exports.visible(actor)
        active = [*await self._services.runs.asking(actor), *await self._services.runs.active(actor)]
        usable = await self._services.connections.visible(actor)
        seen.page = max(0, min(seen.page, (len(found) - 1) // views.EXPORTS_A_PAGE))
        start = seen.page * views.EXPORTS_A_PAGE
        return Home(
            is_admin=actor.is_admin,
            may_export=any(each.state is ConnectionState.ACTIVE for each in usable),
            zone=actor.zone,
            attention=await self._attention(actor, found),
            active=active,
            exports=[line_of(view) for view in found[start : start + views.EXPORTS_A_PAGE]],
            total=len(found),
            page=seen.page,
            connections=await self._connecting.rows(self._texts(actor), actor),
            refresh=await self._refresh_words(actor),
            run_all=sum(_runs_with_all(view) for view in found),
        )

    async def _attention(self, actor: Actor, found: list[ExportView]) -> list[Attention]:
        """What somebody should look at, the most urgent first; with a button only where they may use it."""
        t = self._texts(actor)
        things = []
        for run in await self._services.runs.asking(actor):
            view = next((each for each in found if each.export.id == run.export_id), None)
            text = t.gettext("*{name}* waits for an answer: {findings}").format(
                name=safe(run.export_name), findings=" ".join(finding_words(t, one) for one in run.findings)
            )
            button = kit.button(t.gettext("Answer"), Action.GUARD_SHOW, run.id, style="primary")
            things.append(Attention(kit.cut(text, 2_900), button if view and view.may_run else None))
        if actor.is_admin:
            for request in await self._services.requests.pending(actor):
                text = t.gettext("{person} asks for a connection to Omnisend.").format(person=mention(request.by))
                button = kit.button(t.gettext("Review"), Action.APPROVE, request.id, style="primary")
                things.append(Attention(text, button))
        things += [thing for view in found if (thing := self._trouble(actor, view)) is not None]
        waiting = sum(view.export.when is When.REFRESH and view.obstacle is None for view in found)
        if waiting and not await self._refresh_words(actor) and not await self._services.hooks.is_there(actor):
            text = t.ngettext(
                "{n} export waits for the workspace's refresh, which is off: it runs by hand only.",
                "{n} exports wait for the workspace's refresh, which is off: they run by hand only.",
                waiting,
            ).format(n=t.number(waiting))
            button = kit.button(t.gettext("Set refresh"), Action.REFRESH)
            things.append(Attention(text, button if actor.is_admin else None))
        return things

    def _trouble(self, actor: Actor, view: ExportView) -> Attention | None:
        """What is wrong with an export, if anything."""
        t, export = self._texts(actor), view.export
        name = safe(export.name)
        if isinstance(view.obstacle, NoConnection):
            text = t.gettext("*{name}* has no connection and does not run.").format(name=name)
            button = kit.button(t.gettext("Choose one"), Action.EDIT_EXPORT, export.id)
        elif isinstance(view.obstacle, NoSegments):
            text = t.gettext("*{name}* has no segments yet and does not run.").format(name=name)
            button = kit.button(t.gettext("Choose some"), Action.EDIT_EXPORT, export.id)
        elif isinstance(view.obstacle, ConsentOutdated):
            text = t.gettext("*{name}* waits for an admin to agree to the privacy text.").format(name=name)
            agree = kit.button(t.gettext("Read and agree"), Action.AGREE_AGAIN, export.connection_id or "")
            return Attention(text, agree if actor.is_admin else None)
        elif view.last_run is not None and view.last_run.status.failed:
            why = safe(kit.cut(view.last_run.error_text or "", 400))
            text = t.gettext("*{name}* failed. {why}").format(name=name, why=why)
            run = kit.button(t.gettext("Run again"), Action.RUN, export.id)
            return Attention(text, run if view.may_run else None)
        elif view.last_run is not None and (segments := apart(view.last_run)):
            names = t.list([f"*{safe(segment['name'])}*" for segment in segments[:5]])
            text = t.gettext("*{name}*: Omnisend's own count of {segments} stays apart from ours.").format(
                name=name, segments=names
            )
            return Attention(text, resync_button(t, export.id) if view.may_run else None)
        else:
            return None
        return Attention(text, button if view.may_edit else None)

    async def _refresh_words(self, actor: Actor) -> str:
        schedule = await self._services.schedules.refresh(actor.team_id)
        if schedule is None or not schedule.active:
            return ""
        return schedule_words(self._texts(actor), schedule.times, schedule.weekdays, schedule.zone)

    def _texts(self, actor: Actor) -> Translator:
        return self._desk.directory.translator(actor.team_id, actor.user_id)


def _runs_with_all(view: ExportView) -> bool:
    scheduled = view.export.when is When.REFRESH or (view.schedule is not None and view.schedule.active)
    return scheduled and view.may_run and view.obstacle is None
