"""The mapping within an export's form: attributes row by row, and the opt-in, each in a window above it."""

import re
from dataclasses import replace

from bot.services.fitting import check_line
from bot.slack.drafts import Draft, Drafts
from bot.slack.ids import Action, Field, Modal
from bot.slack.router import Router
from bot.slack.views import configure
from bot.slack.views import mapping as views
from bot.slack.views.kit import Json
from bot.slack.views.mapping import AttributeForm, OptIn, OptInForm, Row
from bot.slack.views.words import CUSTOM
from bot.slack.visit import Reply, Visit
from storage.errors import FerryError
from storage.models import MappingKind

_PROPERTY = re.compile(r"\w{1,128}", re.ASCII)


class Mapping:
    def __init__(self, router: Router, drafts: Drafts) -> None:
        self._drafts = drafts
        router.click(Action.ADD_ATTRIBUTE, self._add_attribute)
        router.click(Action.ADD_SUGGESTED, self._add_suggested)
        router.choice(Action.ROW, self._row_menu)
        router.choice(Field.ATTRIBUTE, self._attribute_chosen)
        router.submit(Modal.ATTRIBUTE, self._attribute_submitted)
        router.click(Action.OPT_IN, self._open_opt_in)
        router.submit(Modal.OPT_IN, self._opt_in_submitted)
        for field in (Field.EMAIL, Field.SOURCE_FIELD, Field.OPT_IN_STATUS, Field.OPT_IN_DATE):
            router.offer(field, self._offer_fields)

    async def _offer_fields(self, visit: Visit) -> list[Json]:
        draft = self._draft(visit)
        names = draft.fields_with(visit.text)
        return [views.field_option(name, draft.samples, visit.t) for name in names[:100]]

    async def _add_attribute(self, visit: Visit) -> None:
        draft = self._draft(visit)
        draft.remember(visit.form)
        await visit.open(visit.t.gettext("Add attribute"))
        form = AttributeForm(draft.id, draft.free_attributes, samples=draft.samples)
        await visit.show(views.attribute_form(visit.t, form))

    async def _add_suggested(self, visit: Visit) -> None:
        draft = self._draft(visit)
        draft.remember(visit.form)
        draft.add_suggested()
        await visit.show(configure.export_form(visit.t, draft.form()))

    async def _row_menu(self, visit: Visit) -> None:
        """An entry of a row's menu: `change:`, `clear:` or `remove:` and the attribute."""
        draft = self._draft(visit)
        draft.remember(visit.form)
        act, _, attribute = str(visit.selected).partition(":")
        if act == "change" and attribute == views.OPT_IN:
            await self._open_opt_in(visit)
            return
        row = draft.row(attribute)
        if act == "change" and row is not None:
            await visit.open(visit.t.gettext("Change attribute"))
            form = AttributeForm(draft.id, (), attribute, editing=True, row=row, samples=draft.samples)
            await visit.show(views.attribute_form(visit.t, form))
            return
        if act == "clear" and row is not None:
            draft.put(Row(row.attribute, row.value, row.kind, not row.clear))
        elif act == "remove" and attribute == views.OPT_IN:
            draft.opt_in = None
        elif act == "remove":
            draft.drop(attribute)
        await visit.show(configure.export_form(visit.t, draft.form()))

    async def _attribute_chosen(self, visit: Visit) -> None:
        """Show the field that the profile most likely has for it; for a custom property, ask its name."""
        draft = self._draft(visit)
        attribute = str(visit.selected)
        suggested = draft.suggestions.get(attribute, "")
        form = AttributeForm(draft.id, draft.free_attributes, attribute, samples=draft.samples, suggested=suggested)
        await visit.show(views.attribute_form(visit.t, form))

    def _attribute_submitted(self, visit: Visit) -> Reply:
        draft, form, _ = self._draft(visit), visit.form, visit.t.gettext
        editing = visit.metadata.partition("|")[2]
        name = draft.full_name(form.choice(Field.SOURCE_FIELD), draft.field_names)
        template = form.text(Field.TEMPLATE)
        if bool(name) == bool(template):
            error = _("Choose a field or write a text.") if not name else _("Choose a field or write a text, not both.")
            return Reply.refuse({form.block(Field.TEMPLATE if name else Field.SOURCE_FIELD): error})
        attribute = editing or form.choice(Field.ATTRIBUTE)
        if attribute == CUSTOM:
            given = form.text(Field.PROPERTY)
            property_name = given or _property_name(name)
            at = form.block(Field.PROPERTY)
            if not _PROPERTY.fullmatch(property_name):
                return Reply.refuse({at: _("Latin letters, digits and _ only, at most 128.")})
            attribute = CUSTOM + property_name
            if draft.row(attribute):
                return Reply.refuse({at: _("This custom property is mapped already.")})
            if problem := _problem(visit, draft, Row(attribute, "-", MappingKind.TEMPLATE)):
                return Reply.refuse({at: problem})
        row = Row(attribute, name or template, MappingKind.FIELD if name else MappingKind.TEMPLATE)
        if problem := _problem(visit, draft, row):
            return Reply.refuse({form.block(Field.SOURCE_FIELD if name else Field.TEMPLATE): problem})
        draft.put(replace(row, clear=form.ticked(Field.CLEAR)))
        return Reply.close(self._show_form)

    # --- the opt-in

    async def _open_opt_in(self, visit: Visit) -> None:
        draft = self._draft(visit)
        draft.remember(visit.form)
        await visit.open(visit.t.gettext("Opt-in"))
        await visit.show(views.opt_in_form(visit.t, OptInForm(draft.id, draft.opt_in, draft.samples)))

    def _opt_in_submitted(self, visit: Visit) -> Reply:
        """Both or neither: one field alone would be a status without a date, or a date of nothing."""
        draft, form, _ = self._draft(visit), visit.form, visit.t.gettext
        status, date = (
            draft.full_name(form.choice(field), draft.field_names) for field in (Field.OPT_IN_STATUS, Field.OPT_IN_DATE)
        )
        errors = {}
        if not status:
            errors[form.block(Field.OPT_IN_STATUS)] = _("Choose the field that says whether a person is subscribed.")
        if not date:
            errors[form.block(Field.OPT_IN_DATE)] = _("Choose the field that says since when.")
        elif status == date:
            errors[form.block(Field.OPT_IN_DATE)] = _("Choose another field: one can't hold both status and date.")
        if errors:
            return Reply.refuse(errors)
        draft.opt_in = OptIn(status, date)
        return Reply.close(self._show_form)

    # --- the form below

    async def _show_form(self, visit: Visit) -> None:
        await visit.update_below(configure.export_form(visit.t, self._draft(visit).form()))

    def _draft(self, visit: Visit) -> Draft:
        return self._drafts.get(visit.metadata.partition("|")[0], visit.user_id)


def _problem(visit: Visit, draft: Draft, row: Row) -> str:
    """What is wrong with a row by itself; nothing while the source can't be read: then saving tells."""
    if draft.offered is None:
        return ""
    try:
        check_line(row.attribute, row.value, row.kind, draft.offered.fields)
    except FerryError as error:
        return error.explain(visit.t.gettext)
    return ""


def _property_name(name: str) -> str:
    """A custom property named after a field: only what Omnisend takes of it."""
    return re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")[:128]
