"""The flows around connections: connecting with consent, sharing, replacing the key, withdrawing, removing."""

import contextlib
from dataclasses import replace
from datetime import datetime

from bot.access import Action as Right
from bot.access import allowed
from bot.i18n import Translator, translator
from bot.services.actor import Actor
from bot.services.connections import (
    BRAND_UNREADABLE,
    CONSENT_VERSION,
    ConnectionDetails,
    ConnectionDraft,
    consent_text,
)
from bot.services.errors import (
    ChangedMeanwhile,
    ConnectionInUse,
    ExportUserMissing,
    FieldError,
    RequestAnswered,
    RequestUnknown,
)
from bot.slack.consent import text_as_shown
from bot.slack.desk import Desk
from bot.slack.ids import Action, Field, Modal
from bot.slack.router import Router
from bot.slack.views import common, connections, kit, requests, sign_in
from bot.slack.views import connect as views
from bot.slack.views.connect import ConnectForm, SourceChoice, Stage
from bot.slack.views.connections import ConnectionRow, InUse
from bot.slack.views.kit import Json
from bot.slack.views.sign_in import APP
from bot.slack.views.words import explained
from bot.slack.visit import OutOfDate, Reply, Visit, read_id
from storage.errors import FerryError
from storage.models import Audience, Connection, ConnectionState

FIELDS = {
    "name": Field.NAME,
    "people": Field.AUDIENCE,
    "api_key": Field.KEY,
    "agreed": Field.AGREE,
    "source": Field.SOURCE,
    "export_user": Field.READER,
}
"""Where an error of a draft's field stands in the form."""


class Connecting:
    def __init__(self, desk: Desk, router: Router) -> None:
        self._desk = desk
        self._services = desk.services
        router.click(Action.CONNECT, self.open)
        router.click(Action.CONNECTIONS, self.show_all)
        router.choice(Field.AUDIENCE, self._audience_chosen)
        router.choice(Field.SOURCE, self._source_chosen)
        router.choice(Field.READER, self._source_chosen)
        router.offer(Field.GROUPS, self._offer_groups)
        router.submit(Modal.CONNECT, self._submitted)
        router.click(Action.EDIT_CONNECTION, self._edit)
        router.submit(Modal.CONNECTION, self._edited)
        router.click(Action.REPLACE_KEY, self._replace)
        router.submit(Modal.KEY, self._replaced)
        router.click(Action.REMOVE_CONNECTION, self._remove)
        router.click(Action.REMOVE_ANYWAY, self._removed)
        router.click(Action.DETACH_IN_USE, self._detach_in_use)

    # --- connecting

    async def open(self, visit: Visit) -> None:
        """The form for an admin; for everyone else the request. A value `request-N:USER` answers that request."""
        await visit.open(visit.t.gettext("Connect Omnisend"))
        actor = await visit.actor()
        if allowed(actor, Right.ADD_CONNECTION):
            await self.show_form(visit, request=visit.value.removeprefix("request-"))
        else:
            await visit.show(requests.request_form(visit.t))

    async def show_form(self, visit: Visit, *, request: str = "") -> None:
        form = self._fresh_form(visit, request)
        waiting = await self._services.export_users.waiting(await visit.actor())
        await visit.show(views.connect_form(visit.t, replace(form, account=waiting.account if waiting else "")))

    async def form_after_sign_in(self, visit: Visit) -> Json:
        """The form as it was when somebody left it to sign in, with the account."""
        form = self._form(visit)
        waiting = await self._services.export_users.waiting(await visit.actor())
        account = waiting.account if waiting else ""
        return views.connect_form(visit.t, replace(form, account=account, app=False))

    def _fresh_form(self, visit: Visit, request: str) -> ConnectForm:
        sources = [
            SourceChoice(offer.kind, offer.label, offer.needs_export_user, offer.app_identity)
            for offer in self._services.engine.sources.offers
        ]
        return ConnectForm(
            consent=consent_text(visit.t.gettext),
            shown=f"{CONSENT_VERSION}/{visit.t.language}",
            sources=sources,
            request=request,
            channel=visit.channel_id,
        )

    def _submitted(self, visit: Visit) -> Reply:
        """Check at once what can be checked at once; then ask Omnisend."""
        form, _ = visit.form, visit.t.gettext
        errors = {}
        if not form.text(Field.NAME):
            errors[form.block(Field.NAME)] = _("Give it a name.")
        if not form.text(Field.KEY):
            errors[form.block(Field.KEY)] = _("Paste the API key of your Omnisend brand.")
        if not form.ticked(Field.AGREE):
            errors[form.block(Field.AGREE)] = _("Without your agreement no data may leave. Read the text and tick it.")
        if errors:
            return Reply.refuse(errors)
        # The inputs stay on the screen with what is in them, so that the key never has to come back from us.
        return Reply.show(views.connect_form(visit.t, self._form(visit).at(Stage.CHECKING)), self._check_or_save)

    async def _check_or_save(self, visit: Visit) -> None:
        form = self._form(visit)
        try:
            actor = await visit.actor(fresh=True)
            brand = await self._services.connections.check_key(actor, visit.form.text(Field.KEY))
            if form.stage is not Stage.CHECKED or (brand.id or "") != form.brand_id:
                remark = "" if brand.id else visit.t.gettext(BRAND_UNREADABLE)
                shown = _name(brand.name, brand.website)
                named = form.at(Stage.CHECKED, brand_id=brand.id or "", brand=shown, remark=remark)
                if form.reader:
                    named = await self._with_reader(visit, actor, named)
                await visit.show(views.connect_form(visit.t, named))
                return
            connection = await self._services.connections.connect(actor, _draft(visit, form))
        except FieldError as error:
            await self._show_problem(visit, form, explained(visit.t, error), FIELDS.get(error.field))
        except FerryError as error:
            await self._show_problem(visit, form, explained(visit.t, error), None)
        else:
            await self._connected(visit, actor, form, connection)

    async def _with_reader(self, visit: Visit, actor: Actor, form: ConnectForm) -> ConnectForm:
        """Whether somebody can read already. If nobody has signed in yet, that comes next."""
        try:
            await self._services.export_users.ready(actor, app=form.app)
        except ExportUserMissing:
            text = visit.t.gettext("Next: add yourself as export user. Then save.")
            return replace(form, account="", problem=text, problem_at=Field.READER)
        waiting = await self._services.export_users.waiting(actor)
        return replace(form, account=waiting.account if waiting else "")

    async def _show_problem(self, visit: Visit, form: ConnectForm, problem: str, at: Field | None) -> None:
        await visit.show(views.connect_form(visit.t, form.at(Stage.FRESH, problem=problem, problem_at=at)))

    async def _connected(self, visit: Visit, actor: Actor, form: ConnectForm, connection: Connection) -> None:
        assert connection.id is not None
        if form.request_id:
            await self._approve(visit, actor, form.request_id, connection.id)
        now = await self._services.connections.details(actor, connection.id)  # who asked for it may be named by now
        audience = views.audience_words(visit.t, now.connection.audience, now.people, now.groups)
        brand = connection.brand_name or connection.brand_website or connection.name
        await visit.show(views.saved(visit.t, connection.name, brand, audience, connection.id, form.channel))
        self._desk.changed(visit.team_id)

    async def _approve(self, visit: Visit, actor: Actor, request_id: int, connection_id: int) -> None:
        """Share the new connection with whoever asked for it; somebody may have answered meanwhile."""
        with contextlib.suppress(RequestAnswered, RequestUnknown):
            await self._services.requests.approve(actor, request_id, connection_id)
            request = await self._services.requests.get(actor, request_id)
            await self._desk.reports.condense_request(visit.team_id, request)

    def _form(self, visit: Visit) -> ConnectForm:
        """The form as it stands on the screen; what was typed need not be in it (see `_submitted`)."""
        told = visit.metadata.split("|", 6)
        if len(told) != 7:
            raise OutOfDate
        stage, brand_id, request, channel, shown, account, brand = told
        language = shown.partition("/")[2]
        return ConnectForm(
            consent=consent_text(translator(language).gettext),
            shown=shown,
            sources=self._fresh_form(visit, "").sources,
            stage=Stage(stage) if stage in set(Stage) else Stage.FRESH,
            audience=_audience(visit),
            people=visit.form.people(Field.PEOPLE),
            source=visit.form.choice(Field.SOURCE),
            app=visit.form.choice(Field.READER) == APP,
            account=account,
            brand_id=brand_id,
            brand=brand,
            request=request,
            channel=channel,
        )

    async def _source_chosen(self, visit: Visit) -> None:
        """Another source, or somebody else who reads: what was checked of the key stands."""
        form = self._form(visit)
        stage = Stage.FRESH if form.stage is Stage.CHECKING else form.stage
        await visit.show(views.connect_form(visit.t, form.at(stage)))

    async def _audience_chosen(self, visit: Visit) -> None:
        """Show the people and groups where they matter."""
        if (visit.view or {}).get("callback_id") == Modal.CONNECTION:
            connection_id, _ = _edited_connection(visit)
            details = await self._services.connections.details(await visit.actor(), connection_id)
            await visit.show(await self._edit_form(visit, details, _audience(visit), visit.metadata))
        else:
            form = self._form(visit)
            stage = Stage.FRESH if form.stage is Stage.CHECKING else form.stage
            await visit.show(views.connect_form(visit.t, form.at(stage)))

    async def _offer_groups(self, visit: Visit) -> list[Json]:
        groups = await self._desk.directory.groups()
        typed = visit.text.casefold().removeprefix("@")
        return [kit.option(f"@{group.handle}", group.id) for group in groups if typed in group.handle.casefold()]

    # --- looking and changing

    async def show_all(self, visit: Visit) -> None:
        await visit.open(visit.t.gettext("Connections"))
        actor = await visit.actor()
        await visit.show(
            connections.connections_view(visit.t, await self.rows(visit.t, actor), is_admin=actor.is_admin)
        )

    async def rows(self, t: Translator, actor: Actor) -> list[ConnectionRow]:
        """The connections that somebody may see, as rows of a list."""
        found = await self._services.connections.visible(actor)
        if not actor.is_admin:
            return [ConnectionRow(each.id or 0, each.name, "") for each in found]
        return [
            _row(t, await self._services.connections.details(actor, each.id)) for each in found if each.id is not None
        ]

    async def _edit(self, visit: Visit) -> None:
        await visit.open(visit.t.gettext("Edit connection"))
        details = await self._services.connections.details(await visit.actor(), read_id(visit.value))
        await visit.show(await self._edit_form(visit, details, details.connection.audience))

    async def _edit_form(
        self, visit: Visit, details: ConnectionDetails, audience: Audience, metadata: str = ""
    ) -> Json:
        groups = {group.id: group.handle for group in await self._desk.directory.groups()}
        chosen = [kit.option(f"@{groups.get(one, one)}", one) for one in details.groups]
        connection = details.connection
        seen = metadata or f"{connection.id}|{connection.updated_at.isoformat()}"
        return connections.edit_form(visit.t, seen, connection.name, audience, details.people, chosen)

    def _edited(self, visit: Visit) -> Reply:
        if not visit.form.text(Field.NAME):
            return Reply.refuse({visit.form.block(Field.NAME): visit.t.gettext("Give it a name.")})
        return Reply.show(common.loading(visit.t, visit.t.gettext("Edit connection")), self._save_edit)

    async def _save_edit(self, visit: Visit) -> None:
        form = visit.form
        actor = await visit.actor(fresh=True)
        audience, name = _audience(visit), form.text(Field.NAME)
        people, groups = _named(visit, audience)
        connection_id, seen = _edited_connection(visit)
        try:
            connection = await self._services.connections.edit(
                actor, connection_id, name=name, audience=audience, people=people, groups=groups, seen=seen
            )
        except ChangedMeanwhile as error:
            button = kit.button(visit.t.gettext("Open it again"), Action.EDIT_CONNECTION, connection_id)
            await visit.show(common.changed_view(visit.t, explained(visit.t, error), [button]))
            return
        except FieldError as error:
            problem = explained(visit.t, error)
            chosen = form.chosen(Field.GROUPS)
            view = connections.edit_form(visit.t, visit.metadata, name, audience, people, chosen, problem=problem)
            await visit.show(view)
            return
        said = visit.t.gettext("*{name}* is saved. It can be used by {audience}.").format(
            name=kit.safe(connection.name), audience=views.audience_words(visit.t, audience, people, groups)
        )
        await visit.show(common.notice(visit.t, visit.t.gettext("Saved"), said))
        self._desk.changed(visit.team_id)

    # --- the key

    async def _replace(self, visit: Visit) -> None:
        await visit.open(visit.t.gettext("Replace the API key"))
        details = await self._services.connections.details(await visit.actor(), read_id(visit.value))
        connection = details.connection
        await visit.show(connections.key_form(visit.t, connection.id or 0, connection.name, connection.key_hint))

    def _replaced(self, visit: Visit) -> Reply:
        if not visit.form.text(Field.KEY):
            error = visit.t.gettext("Paste the API key of your Omnisend brand.")
            return Reply.refuse({visit.form.block(Field.KEY): error})
        return Reply.show(
            connections.key_form(visit.t, read_id(visit.metadata), "…", "", checking=True), self._save_key
        )

    async def _save_key(self, visit: Visit) -> None:
        t, connection_id = visit.t, read_id(visit.metadata)
        actor = await visit.actor(fresh=True)
        connection = (await self._services.connections.details(actor, connection_id)).connection
        try:
            done = await self._services.connections.replace_key(actor, connection_id, visit.form.text(Field.KEY))
        except FerryError as error:
            problem = explained(t, error)
            view = connections.key_form(t, connection_id, connection.name, connection.key_hint, problem=problem)
            await visit.show(view)
            return
        name, brand = kit.safe(connection.name), kit.safe(_name(done.brand.name, done.brand.website))
        said = t.gettext("The key of *{name}* was replaced. It is the same brand, so nothing else changes.")
        if not done.same_brand:
            said = t.gettext(
                "The key of *{name}* was replaced, and it belongs to another brand: *{brand}*. Exports start there "
                "from nothing; what the former brand has received stays there."
            )
        text = said.format(name=name, brand=brand)
        buttons = [kit.button(t.gettext("Read and agree"), Action.AGREE_AGAIN, connection_id, style="primary")]
        await visit.show(
            common.notice(t, t.gettext("Key replaced"), text, buttons=buttons if done.consent_needed else [])
        )
        self._desk.changed(visit.team_id)

    # --- removing

    async def _remove(self, visit: Visit) -> None:
        """What stands in the way, or the last question. A value `again-N` asks once more in the same window."""
        if not visit.value.startswith("again-"):
            await visit.open(visit.t.gettext("Remove connection"))
        await self._show_removal(visit, read_id(visit.value.removeprefix("again-")))

    async def _show_removal(self, visit: Visit, connection_id: int) -> None:
        details = await self._services.connections.details(await visit.actor(), connection_id)
        exports = [InUse(number, name) for number, name in details.exports]
        await visit.show(connections.remove_form(visit.t, connection_id, details.connection.name, exports))

    async def _detach_in_use(self, visit: Visit) -> None:
        """Detach one of the exports that stand in the way (value `EXPORT-CONNECTION`); the others stay listed."""
        export_id, _, connection_id = visit.value.partition("-")
        await self._services.exports.detach(await visit.actor(fresh=True), read_id(export_id))
        await self._show_removal(visit, read_id(connection_id))
        self._desk.changed(visit.team_id)

    async def _removed(self, visit: Visit) -> None:
        actor = await visit.actor(fresh=True)
        connection = (await self._services.connections.details(actor, read_id(visit.value))).connection
        try:
            await self._services.connections.remove(actor, read_id(visit.value))
        except ConnectionInUse:  # an export was put on it since the window was opened
            await self._show_removal(visit, read_id(visit.value))
            return
        said = visit.t.gettext("*{name}* was removed and its key erased.").format(name=kit.safe(connection.name))
        await visit.show(common.notice(visit.t, visit.t.gettext("Removed"), said))
        self._desk.changed(visit.team_id)


def _edited_connection(visit: Visit) -> tuple[int, datetime]:
    """Which connection a form edits, and of when it is."""
    connection_id, _, seen = visit.metadata.partition("|")
    try:
        return read_id(connection_id), datetime.fromisoformat(seen)
    except ValueError:
        raise OutOfDate from None


def _audience(visit: Visit) -> Audience:
    chosen = visit.form.choice(Field.AUDIENCE)
    return Audience(chosen) if chosen in set(Audience) else Audience.ADMINS


def _named(visit: Visit, audience: Audience) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The people and groups that are named beside an audience, where that means something."""
    people = () if audience is Audience.ADMINS else visit.form.people(Field.PEOPLE)
    return people, tuple(visit.form.choices(Field.GROUPS)) if audience is Audience.PEOPLE else ()


def _draft(visit: Visit, form: ConnectForm) -> ConnectionDraft:
    typed = visit.form
    people, groups = _named(visit, form.audience)
    return ConnectionDraft(
        name=typed.text(Field.NAME),
        api_key=typed.text(Field.KEY),
        audience=form.audience,
        people=people,
        groups=groups,
        agreed=typed.ticked(Field.AGREE),
        full_values_in_slack=typed.ticked(Field.FULL_VALUES),
        source=form.chosen.kind if form.chosen else "tables",
        app_identity=form.reader is not None and form.reader.app,
        language=form.shown.partition("/")[2],
        text_shown=text_as_shown(form.shown),
    )


def _name(name: str, website: str) -> str:
    return f"{name} ({website})" if name and website else name or website


def _row(t: Translator, details: ConnectionDetails) -> ConnectionRow:
    connection, consent, user = details.connection, details.consent, details.export_user
    return ConnectionRow(
        id=connection.id or 0,
        name=connection.name,
        brand=connection.brand_name or connection.brand_website,
        withdrawn=connection.state is ConnectionState.WITHDRAWN,
        consent_outdated=not details.consent_holds,
        audience=views.audience_words(t, connection.audience, details.people, details.groups),
        key_hint=connection.key_hint,
        exports=len(details.exports),
        source=details.source,
        reads_as=sign_in.reads_as(t, user.account, user.added_by, user.added_at, user.good_until) if user else "",
        signed_out=details.needs_export_user and (user is None or user.ended),
        has_export_user=details.needs_export_user,
        agreed_by=consent.person if consent else "",
        agreed_at=consent.agreed_at if consent else None,
    )
