"""The flows of the workspace's own settings: its refresh schedule and its admins."""

from bot.access import Action as Right
from bot.access import require
from bot.services.errors import FieldError
from bot.slack.desk import Desk
from bot.slack.drafts import recurrence_in
from bot.slack.ids import Action, Field, Modal
from bot.slack.router import Router
from bot.slack.views import common, schedule, workspace
from bot.slack.views.schedule import Recurrence
from bot.slack.views.words import explained, mention, schedule_words
from bot.slack.visit import Reply, Visit
from storage.models import When


class Settling:
    def __init__(self, desk: Desk, router: Router) -> None:
        self._desk = desk
        self._services = desk.services
        router.click(Action.REFRESH, self.refresh)
        router.submit(Modal.REFRESH, self._refresh_submitted)
        router.click(Action.ADMINS, self.admins)
        router.submit(Modal.ADMINS, self._admins_submitted)

    # --- the refresh

    async def refresh(self, visit: Visit) -> None:
        await visit.open(visit.t.gettext("Refresh schedule"))
        actor = await visit.actor()
        found = await self._services.schedules.refresh(visit.team_id)
        exports = await self._services.exports.visible(actor)
        attached = sum(view.export.when is When.REFRESH for view in exports)
        recurrence = Recurrence(zone=actor.zone)
        if found is not None:
            recurrence = Recurrence(tuple(found.times), tuple(found.weekdays), found.zone)
        active = found is not None and found.active
        require(actor, Right.SET_REFRESH)
        await visit.show(
            schedule.refresh_form(visit.t, recurrence, active=active, attached=attached, waits=self._waits)
        )

    @property
    def _waits(self) -> float:
        """Minutes for which a refresh is taken to change a source; 0 where none is like that."""
        if any(offer.needs_export_user for offer in self._services.engine.sources.offers):
            return self._services.settings.refresh_minutes
        return 0

    def _refresh_submitted(self, visit: Visit) -> Reply:
        form, _ = visit.form, visit.t.gettext
        if not form.choices(Field.TIMES):
            return Reply.refuse({form.block(Field.TIMES): _("Choose one to four times of day.")})
        if not form.choices(Field.WEEKDAYS):
            return Reply.refuse({form.block(Field.WEEKDAYS): _("Choose at least one day.")})
        return Reply.show(common.loading(visit.t, _("Refresh schedule")), self._save_refresh)

    async def _save_refresh(self, visit: Visit) -> None:
        _ = visit.t.gettext
        wanted = recurrence_in(visit.form, Recurrence())
        active = visit.form.choice(Field.ACTIVE) == schedule.ACTIVE
        actor = await visit.actor(fresh=True)
        try:
            await self._services.schedules.set_refresh(actor, wanted.times, wanted.weekdays, wanted.zone, active)
        except FieldError as error:
            problem = explained(visit.t, error)
            form = schedule.refresh_form(visit.t, wanted, active=active, attached=0, waits=self._waits, problem=problem)
            await visit.show(form)
            return
        words = schedule_words(visit.t, list(wanted.times), list(wanted.weekdays), wanted.zone)
        said = _("The refresh runs {schedule}.").format(schedule=words) if active else _("The refresh is off.")
        await visit.show(common.notice(visit.t, _("Saved"), said))
        self._desk.changed(visit.team_id)

    # --- the admins

    async def admins(self, visit: Visit) -> None:
        await visit.open(visit.t.gettext("Admins"))
        await self._desk.directory.meet_admins(visit.team_id)
        require(await visit.actor(), Right.SET_ADMINS)
        named = await self._services.people.named_admins(visit.team_id)
        known = await self._services.people.admins(visit.team_id)
        await visit.show(workspace.admins_form(visit.t, named, known))

    def _admins_submitted(self, visit: Visit) -> Reply:
        return Reply.show(common.loading(visit.t, visit.t.gettext("Admins")), self._save_admins)

    async def _save_admins(self, visit: Visit) -> None:
        _ = visit.t.gettext
        actor, people = await visit.actor(fresh=True), visit.form.people(Field.ADMINS)
        await self._services.people.set_admins(actor, people or None)
        if people:
            said = _("Admins are now {people}.").format(people=visit.t.list([mention(one) for one in people[:20]]))
        else:
            said = _("Admins are Slack's own workspace owners and admins.")
        await visit.show(common.notice(visit.t, _("Saved"), said))
        self._desk.changed(visit.team_id)
