"""A contributor asks for a connection; an admin approves or declines; the contributor hears it."""

from bot.services.actor import Actor
from bot.services.errors import RequestAnswered
from bot.services.requests import ConnectionRequest
from bot.slack.connect import Connecting
from bot.slack.desk import Desk
from bot.slack.ids import Action, Field, Modal
from bot.slack.router import Router
from bot.slack.views import common, kit
from bot.slack.views import requests as views
from bot.slack.views.words import explained, mention
from bot.slack.visit import Reply, Visit, read_id
from storage.models import ConnectionState


class Approving:
    def __init__(self, desk: Desk, router: Router, connecting: Connecting) -> None:
        self._desk = desk
        self._services = desk.services
        self._connecting = connecting
        router.click(Action.REQUEST_CONNECTION, self.ask)
        router.submit(Modal.REQUEST, self._asked)
        router.click(Action.APPROVE, self._review)
        router.submit(Modal.APPROVE, self._share)
        router.click(Action.DECLINE, self._decline)
        router.submit(Modal.DECLINE, self._declined)

    # --- the contributor

    async def ask(self, visit: Visit) -> None:
        await visit.open(visit.t.gettext("Request a connection"))
        await visit.show(views.request_form(visit.t))

    def _asked(self, visit: Visit) -> Reply:
        if not visit.form.text(Field.REASON):
            return Reply.refuse({visit.form.block(Field.REASON): visit.t.gettext("Say what you need it for.")})
        return Reply.show(common.loading(visit.t, visit.t.gettext("Request a connection")), self._send_request)

    async def _send_request(self, visit: Visit) -> None:
        await self._desk.directory.meet_admins(visit.team_id)
        actor = await visit.actor(fresh=True)
        await self._services.requests.request(actor, visit.form.text(Field.REASON))
        admins = [mention(admin) for admin in await self._services.people.admins(visit.team_id)]
        said = visit.t.gettext("Your request went to {admins}. You hear here as soon as somebody has answered.").format(
            admins=visit.t.list(admins[:10]) if admins else visit.t.gettext("the admins")
        )
        await visit.show(common.notice(visit.t, visit.t.gettext("Request sent"), said))
        self._desk.changed(visit.team_id)

    # --- the admin

    async def _review(self, visit: Visit) -> None:
        """Share a connection that is there, or connect one (with the consent) for this request."""
        await visit.open(visit.t.gettext("Connection request"))
        actor = await visit.actor(fresh=True)
        request = await self._services.requests.get(actor, read_id(visit.value))
        if not request.open:
            await self._show_answered(visit, request)
            return
        usable = [
            (each.id or 0, each.name)
            for each in await self._services.connections.visible(actor)
            if each.state is ConnectionState.ACTIVE
        ]
        if usable:
            await visit.show(views.approve_form(visit.t, request.id, request.by, request.note, usable))
        else:
            await self._connecting.show_form(visit, request=f"{request.id}:{request.by}")

    def _share(self, visit: Visit) -> Reply:
        if not visit.form.choice(Field.CONNECTION):
            return Reply.refuse({visit.form.block(Field.CONNECTION): visit.t.gettext("Choose a connection.")})
        return Reply.show(common.loading(visit.t, visit.t.gettext("Connection request")), self._approve)

    async def _approve(self, visit: Visit) -> None:
        actor = await visit.actor(fresh=True)
        connection_id = read_id(visit.form.choice(Field.CONNECTION))
        try:
            request = await self._services.requests.approve(actor, read_id(visit.metadata), connection_id)
        except RequestAnswered as error:
            await visit.show(common.changed_view(visit.t, explained(visit.t, error)))
            return
        connection = await self._services.connections.get(actor, connection_id)
        said = visit.t.gettext("*{name}* is shared with {person}, who hears it at once.").format(
            name=kit.safe(connection.name), person=mention(request.by)
        )
        await visit.show(common.notice(visit.t, visit.t.gettext("Approved"), said))
        await self._settle(visit, actor, request.id)

    async def _settle(self, visit: Visit, actor: Actor, request_id: int) -> None:
        """After an answer: take the buttons off every admin's copy."""
        request = await self._services.requests.get(actor, request_id)
        await self._desk.reports.condense_request(visit.team_id, request)
        self._desk.changed(visit.team_id)

    async def _show_answered(self, visit: Visit, request: ConnectionRequest) -> None:
        text = views.answer_words(visit.t, request.verdict, request.answered_by, request.reason)
        await visit.show(common.changed_view(visit.t, text))
        await self._desk.reports.condense_request(visit.team_id, request)

    async def _decline(self, visit: Visit) -> None:
        await visit.open(visit.t.gettext("Decline request"))
        request = await self._services.requests.get(await visit.actor(fresh=True), read_id(visit.value))
        if request.open:
            await visit.show(views.decline_form(visit.t, request.id, request.by))
        else:
            await self._show_answered(visit, request)

    def _declined(self, visit: Visit) -> Reply:
        if not visit.form.text(Field.REASON):
            return Reply.refuse({visit.form.block(Field.REASON): visit.t.gettext("Give a reason: it is passed on.")})
        return Reply.show(common.loading(visit.t, visit.t.gettext("Decline request")), self._pass_on)

    async def _pass_on(self, visit: Visit) -> None:
        actor = await visit.actor(fresh=True)
        try:
            request = await self._services.requests.decline(
                actor, read_id(visit.metadata), visit.form.text(Field.REASON)
            )
        except RequestAnswered as error:
            await visit.show(common.changed_view(visit.t, explained(visit.t, error)))
            return
        said = visit.t.gettext("{person} hears your reason.").format(person=mention(request.by))
        await visit.show(common.notice(visit.t, visit.t.gettext("Declined"), said))
        await self._settle(visit, actor, request.id)
