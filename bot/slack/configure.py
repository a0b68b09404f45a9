"""The flow of setting up an export: form, options, saving. Saving never runs anything."""

import re
from collections.abc import Sequence
from functools import cache
from zoneinfo import available_timezones

from bot.services.actor import Actor
from bot.services.errors import ChangedMeanwhile, ExportGone, FieldError
from bot.services.export_draft import DEFAULT_LIMITS
from bot.services.exports import ExportDraft
from bot.services.fitting import misfit
from bot.services.overview import ExportView, line_of
from bot.services.schedules import ScheduleDraft
from bot.slack.desk import Desk
from bot.slack.drafts import Draft, Drafts
from bot.slack.ids import Action, Field, Modal
from bot.slack.mapping import Mapping
from bot.slack.router import Router
from bot.slack.segments import look_at_segments
from bot.slack.views import common, kit
from bot.slack.views import configure as views
from bot.slack.views.configure import OptionsForm
from bot.slack.views.kit import Json
from bot.slack.views.mapping import OPT_IN_DATE, OPT_IN_STATUS, OptIn, Row
from bot.slack.views.schedule import Recurrence
from bot.slack.views.words import explained
from bot.slack.visit import Reply, Visit, read_id
from storage.errors import FerryError
from storage.models import ConnectionState, FieldMapping, Leavers, When

FIELDS = {
    "name": Field.NAME,
    "connection_id": Field.CONNECTION,
    "segments": Field.SEGMENTS,
    "schedule": Field.TIMES,
    "times": Field.TIMES,
    "weekdays": Field.TIMES,
    "zone": Field.TIMES,
}
"""Where an error of a draft's field stands in the form."""

_SHARES = ("fall", "removals", "rejects")  # limits that people give as percent


_CHANNEL = re.compile(r"[CG][A-Z0-9]+")


class Configuring:
    def __init__(self, desk: Desk, router: Router) -> None:
        self._desk = desk
        self._services = desk.services
        self._drafts = Drafts()
        Mapping(router, self._drafts)
        router.click(Action.EXPORT, self.new)
        router.click(Action.EDIT_EXPORT, self.edit)
        router.click(Action.DUPLICATE_EXPORT, self.duplicate)
        router.submit(Modal.DUPLICATE, self._duplicated)
        router.choice(Field.CONNECTION, self._connection_chosen)
        router.choice(Field.SEGMENTS, self._segments_chosen)
        router.choice(Field.WHEN, self._when_chosen)
        router.click(Action.OPTIONS, self._open_options)
        router.submit(Modal.OPTIONS, self._options_submitted)
        router.offer(Field.SEGMENTS, self._offer_segments)
        router.offer(Field.ZONE, self._offer_zones)
        router.submit(Modal.EXPORT, self._submitted)

    # --- opening

    async def new(self, visit: Visit, name: str = "") -> None:
        """A new export; the button may carry the connection, a command the name."""
        await visit.open(visit.t.gettext("New export"))
        actor = await visit.actor()
        wanted = int(visit.value) if visit.value.isdigit() else None
        draft = await self._begin(visit, actor, name=name, channel=_channel_here(visit))
        if draft is not None:
            known = [number for number, _ in draft.connections]
            draft.connection_id = wanted if wanted in known else (known[0] if len(known) == 1 else None)
            await self._load_source(visit, actor, draft)
            await visit.show(views.export_form(visit.t, draft.form()))

    async def edit(self, visit: Visit) -> None:
        await visit.open(visit.t.gettext("Edit export"))
        actor = await visit.actor()
        view = await self._services.exports.get(actor, read_id(visit.value))
        if not view.may_edit:
            text = visit.t.gettext(
                "You can see *{name}* and its runs, but not change it: its connection is not shared with you."
            )
            said = text.format(name=kit.safe(view.export.name))
            await visit.show(common.notice(visit.t, visit.t.gettext("Edit export"), said))
            return
        draft = await self._begin(visit, actor, export_id=view.export.id)
        if draft is not None:
            _take_over(draft, view)
            await self._load_source(visit, actor, draft)
            await visit.show(views.export_form(visit.t, draft.form()))

    async def _begin(self, visit: Visit, actor: Actor, **values: object) -> Draft | None:
        """A draft; none (and a word about whom to ask) without a connection that may be used."""
        usable = [
            (each.id or 0, each.name)
            for each in await self._services.connections.visible(actor)
            if each.state is ConnectionState.ACTIVE
        ]
        if not usable:
            admins = await self._services.people.admins(visit.team_id)
            await visit.show(views.no_connection(visit.t, is_admin=actor.is_admin, admins=admins))
            return None
        refresh = await self._services.schedules.refresh(visit.team_id)
        return self._drafts.begin(
            visit.user_id,
            connections=usable,
            recurrence=Recurrence(zone=actor.zone),
            refresh_active=refresh is not None and refresh.active,
            **values,
        )

    async def _load_source(self, visit: Visit, actor: Actor, draft: Draft) -> None:
        """What the chosen connection's source offers; a source that fails says so in the form."""
        if draft.connection_id is None:
            return
        exports = self._services.exports
        draft.warnings = []
        try:
            draft.offered = await exports.choices(actor, draft.connection_id)
            draft.samples = await exports.samples(actor, draft.connection_id, draft.field_names)
        except FerryError as error:
            draft.offered = None
            draft.warnings = [error.explain(visit.t.gettext)]
            return
        if not draft.email:
            draft.email = draft.offered.suggestions.get("email", "")
        await self._look(visit, actor, draft)

    async def _look(self, visit: Visit, actor: Actor, draft: Draft) -> None:
        """Look at the chosen segments. Counting takes a moment, so what a later look has found is not undone."""
        draft.looks += 1
        look = draft.looks
        warnings = await look_at_segments(self._services, visit.t, actor, draft)
        if look == draft.looks:
            draft.warnings = warnings

    # --- choices within the form

    async def _show(self, visit: Visit, draft: Draft) -> None:
        """Show the form as it is now; what comes late must not cover what says that it was saved."""
        if not draft.saving:
            await visit.show(views.export_form(visit.t, draft.form()))

    async def _connection_chosen(self, visit: Visit) -> None:
        draft = self._draft(visit)
        before = draft.connection_id
        draft.remember(visit.form)
        if draft.connection_id != before:
            draft.email = ""
        chosen = list(draft.segments)
        await self._load_source(visit, await visit.actor(), draft)
        if draft.offered is not None:
            _warn_of_misfit(visit, draft, chosen)
            draft.segments = [name for name in chosen if name in draft.segment_names]
        draft.generation += 1  # so that new suggestions show
        await self._show(visit, draft)

    async def _segments_chosen(self, visit: Visit) -> None:
        draft = self._draft(visit)
        draft.remember(visit.form)
        before = draft.warnings
        await self._look(visit, await visit.actor(), draft)
        if draft.warnings != before:
            await self._show(visit, draft)

    async def _when_chosen(self, visit: Visit) -> None:
        draft = self._draft(visit)
        draft.remember(visit.form)
        await self._show(visit, draft)

    # --- what the searching selects offer

    async def _offer_segments(self, visit: Visit) -> list[Json]:
        draft = self._draft(visit)
        names = draft.segments_with(visit.text)
        return [views.segment_option(visit.t, draft.segment_choice(name)) for name in names[:100]]

    async def _offer_zones(self, visit: Visit) -> list[Json]:
        typed = visit.text.casefold().replace(" ", "_")
        return [kit.option(zone, zone) for zone in _zones() if typed in zone.casefold()][:100]

    async def _show_below(self, visit: Visit) -> None:
        await visit.update_below(views.export_form(visit.t, self._draft(visit).form()))

    # --- options

    async def _open_options(self, visit: Visit) -> None:
        draft = self._draft(visit)
        draft.remember(visit.form)
        await visit.open(visit.t.gettext("More options"))
        limits = {name: _shown_limit(name, value) for name, value in draft.limits.items()}
        usual = {name: _shown_limit(name, value) for name, value in DEFAULT_LIMITS.items()}
        form = OptionsForm(draft.id, draft.leavers, draft.notify, limits, usual)
        await visit.show(views.options_form(visit.t, form))

    def _options_submitted(self, visit: Visit) -> Reply:
        draft, form = self._draft(visit), visit.form
        limits: dict[str, float] = {}
        for name, at in views.LIMIT_FIELDS.items():
            if text := form.text(at):
                try:
                    limits[name] = float(text) / (100 if name in _SHARES else 1)
                except ValueError:
                    return Reply.refuse({form.block(at): visit.t.gettext("Give a number.")})
        draft.leavers, draft.notify, draft.limits = (
            Leavers(form.choice(Field.LEAVERS)),
            form.people(Field.NOTIFY),
            limits,
        )
        return Reply.close(self._show_below)

    # --- saving

    def _submitted(self, visit: Visit) -> Reply:
        draft, form, _ = self._draft(visit), visit.form, visit.t.gettext
        draft.remember(form)
        errors = {}
        if not draft.name:
            errors[form.block(Field.NAME)] = _("Give it a name.")
        if draft.connection_id is None:
            errors[form.block(Field.CONNECTION)] = _("Choose a connection.")
        if not draft.segments:
            errors[form.block(Field.SEGMENTS)] = _("Choose at least one segment.")
        if not draft.email:
            errors[form.block(Field.EMAIL)] = _("Choose the field that holds the email address.")
        if errors:
            return Reply.refuse(errors)
        draft.saving = True
        return Reply.show(views.saving(visit.t, draft.form()), self._save)

    async def _save(self, visit: Visit) -> None:
        draft = self._draft(visit)
        try:
            actor = await visit.actor(fresh=True)
            export = await self._services.exports.save(actor, _export_draft(draft), draft.export_id)
        except (ChangedMeanwhile, ExportGone) as error:
            self._drafts.end(draft)
            button = kit.button(visit.t.gettext("Open it again"), Action.EDIT_EXPORT, draft.export_id or "")
            buttons = [button] if isinstance(error, ChangedMeanwhile) else []
            await visit.show(common.changed_view(visit.t, explained(visit.t, error), buttons))
            return
        except FerryError as error:
            draft.saving = False
            draft.generation += 1
            form = draft.form(problem=explained(visit.t, error), problem_at=_place(error))
            await visit.show(views.export_form(visit.t, form))
            return
        self._drafts.end(draft)
        remarks = await self._services.exports.remarks(actor, export.id or 0)
        texts = [kit.safe(remark.explain(visit.t.gettext)) for remark in remarks]
        await visit.show(views.saved(visit.t, export.name, export.id or 0, texts, export.channel))
        self._desk.changed(visit.team_id)

    # --- duplicating

    async def duplicate(self, visit: Visit) -> None:
        await visit.open(visit.t.gettext("Duplicate export"))
        view = await self._services.exports.changeable(await visit.actor(), read_id(visit.value))
        await visit.show(views.duplicate_form(visit.t, read_id(visit.value), view.export.name))

    def _duplicated(self, visit: Visit) -> Reply:
        if not visit.form.text(Field.NAME):
            return Reply.refuse({visit.form.block(Field.NAME): visit.t.gettext("Give it a name.")})
        return Reply.show(common.loading(visit.t, visit.t.gettext("Duplicate export")), self._copy)

    async def _copy(self, visit: Visit) -> None:
        actor, name = await visit.actor(fresh=True), visit.form.text(Field.NAME)
        try:
            copy = await self._services.exports.duplicate(actor, read_id(visit.metadata), name)
        except FieldError as error:
            problem = explained(visit.t, error)
            await visit.show(views.duplicate_form(visit.t, read_id(visit.metadata), name, problem=problem, copy=name))
            return
        said = visit.t.gettext(
            "*{name}* is there. Choose its segments next; it runs by hand only until you change that."
        )
        button = kit.button(visit.t.gettext("Edit"), Action.EDIT_EXPORT, copy.id or "", style="primary")
        text = said.format(name=kit.safe(copy.name))
        await visit.show(common.notice(visit.t, visit.t.gettext("Duplicated"), text, buttons=[button]))
        self._desk.changed(visit.team_id)

    def _draft(self, visit: Visit) -> Draft:
        return self._drafts.get(visit.metadata.partition("|")[0], visit.user_id)


def _warn_of_misfit(visit: Visit, draft: Draft, segments: Sequence[str]) -> None:
    """Name what was chosen before and is not in the source of the connection chosen now."""
    lines = [line_of(_stored(row, position)) for position, row in enumerate(draft.rows)]
    found = misfit(lines, segments, fields=draft.field_names, offered=draft.segment_names)
    if found.fields:
        named = ", ".join(f"{name} ({label})" for name, label in found.fields)
        text = visit.t.gettext("Its profiles don't have: {fields}. Choose other fields, or remove these attributes.")
        draft.warnings.insert(0, text.format(fields=named))
    if found.segments:
        text = visit.t.gettext("It does not have these segments, so they are deselected: {segments}.")
        draft.warnings.insert(0, text.format(segments=", ".join(found.segments)))


@cache
def _zones() -> list[str]:
    """Every time zone there is; looking them up reads hundreds of files."""
    return sorted(available_timezones())


def _channel_here(visit: Visit) -> str:
    """The channel that the person is in, or was in when the window before this one opened; if it is one."""
    return next((place for place in (visit.channel_id, visit.metadata) if _CHANNEL.fullmatch(place)), "")


def _take_over(draft: Draft, view: ExportView) -> None:
    """An export's settings, as the form begins with them."""
    export, schedule = view.export, view.schedule
    draft.seen = export.updated_at
    draft.name, draft.channel, draft.when = export.name, export.channel, export.when
    draft.connection_id = export.connection_id
    draft.segments = list(view.selected)
    draft.leavers, draft.notify, draft.limits = export.leavers, tuple(export.notify), dict(export.limits)
    mapped = {line.attribute: line.value for line in view.lines}
    draft.email = mapped.get("email", "")
    if OPT_IN_STATUS in mapped:
        draft.opt_in = OptIn(mapped[OPT_IN_STATUS], mapped[OPT_IN_DATE])
    draft.rows = [
        Row(line.attribute, line.value, line.kind, line.clear)
        for line in view.lines
        if line.attribute != "email" and line.attribute not in (OPT_IN_STATUS, OPT_IN_DATE)
    ]
    if schedule is not None and schedule.export_id is not None:
        draft.recurrence = Recurrence(tuple(schedule.times), tuple(schedule.weekdays), schedule.zone)


def _stored(row: Row, position: int) -> FieldMapping:
    return FieldMapping(
        team_id="",
        export_id=0,
        position=position,
        attribute=row.attribute,
        kind=row.kind,
        value=row.value,
        clear=row.clear,
    )


def _export_draft(draft: Draft) -> ExportDraft:
    rows = [Row("email", draft.email), *draft.rows]
    if draft.opt_in:
        rows += [Row(OPT_IN_STATUS, draft.opt_in.status), Row(OPT_IN_DATE, draft.opt_in.date)]
    lines = [line_of(_stored(row, position)) for position, row in enumerate(rows)]
    recurrence = draft.recurrence
    own = ScheduleDraft(tuple(recurrence.times), tuple(recurrence.weekdays), recurrence.zone)
    return ExportDraft(
        name=draft.name,
        connection_id=draft.connection_id or 0,
        segments=tuple(draft.segments),
        lines=tuple(lines),
        when=draft.when,
        channel=draft.channel,
        leavers=draft.leavers,
        limits=draft.limits,
        notify=draft.notify,
        schedule=own if draft.when is When.OWN else None,
        seen=draft.seen,
    )


def _place(error: FerryError) -> Field | None:
    """Where in the form an error belongs: a field of the draft, or the mapping's email."""
    if isinstance(error, FieldError):
        return FIELDS.get(error.field)
    attribute = getattr(error, "attribute", "")
    if attribute in (OPT_IN_STATUS, OPT_IN_DATE):
        return Field.OPT_IN_STATUS
    return Field.EMAIL if attribute == "email" else None


def _shown_limit(name: str, value: float) -> str:
    return f"{value * 100:g}" if name in _SHARES else f"{value:.0f}"
