"""The mapping of an export, row by row: attributes with a masked example of each, and the opt-in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.i18n import Translator
from bot.slack.ids import Action, Field, Modal
from bot.slack.views import kit
from bot.slack.views.kit import Json, safe
from bot.slack.views.words import CUSTOM, attribute_label
from storage.models import MappingKind

PROPERTY_LENGTH = 128  # Omnisend docs, Contacts: name of a custom property
TEMPLATE_LENGTH = 500
SHOWN_ROWS = 70  # a modal holds 100 blocks

STANDARD = ("firstName", "lastName", "address", "country", "state", "city", "postalCode")
OPT_IN_STATUS, OPT_IN_DATE = "optInStatus", "optInDate"  # attributes of a mapping that are no rows
OPT_IN = "optIn"  # stands for both of them in a row's menu


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the mapping: an Omnisend attribute, made from a field or a template."""

    attribute: str
    value: str
    kind: MappingKind = MappingKind.FIELD
    clear: bool = False


@dataclass(frozen=True, slots=True)
class OptIn:
    """The fields that say whether a person is subscribed, and since when."""

    status: str
    date: str


def option_value(name: str) -> str:
    """Names travel as they are; the rare one that Slack would refuse is cut, and found again by its beginning."""
    return name[:150]


def field_option(name: str, samples: Mapping[str, str], t: Translator) -> Json:
    """A profile field with a masked example of what is in it."""
    sample = samples.get(name, "")
    return kit.option(name, option_value(name), t.gettext("such as {sample}").format(sample=sample) if sample else "")


def mapping_blocks(
    t: Translator, rows: Sequence[Row], samples: Mapping[str, str], suggestions: Mapping[str, str]
) -> list[Json]:
    """What else a contact gets: a row an attribute, and what is suggested (attribute → field, not mapped yet)."""
    _ = t.gettext
    blocks = [kit.section(_("*Attributes*\nWhat else Omnisend gets of each contact. Only what stands here is sent."))]
    blocks += [_row(t, row, samples) for row in rows[:SHOWN_ROWS]]
    if len(rows) > SHOWN_ROWS:
        more = _("… and {count} more, which are kept as they are.")
        blocks.append(kit.context(more.format(count=t.number(len(rows) - SHOWN_ROWS))))
    if suggestions:
        pairs = [f"{attribute_label(t, attribute)} ← {safe(name)}" for attribute, name in suggestions.items()]
        blocks.append(kit.context(kit.cut(_("Suggested: {pairs}").format(pairs=", ".join(pairs)), 2_900)))
    buttons = [kit.button(_("Add attribute"), Action.ADD_ATTRIBUTE)]
    if suggestions:
        count = len(suggestions)
        text = t.ngettext("Add the suggested one", "Add the {n} suggested", count).format(n=t.number(count))
        buttons.append(kit.button(text, Action.ADD_SUGGESTED))
    return [*blocks, kit.actions(*buttons, block="mapping-buttons")]


def _row(t: Translator, row: Row, samples: Mapping[str, str]) -> Json:
    _ = t.gettext
    text = f"*{safe(attribute_label(t, row.attribute))}* ← {_made_from(t, row, samples)}"
    if row.clear:
        text += " · " + _("blanked at Omnisend when empty")
    entries = [
        kit.option(_("Change…"), f"change:{row.attribute}"),
        kit.option(_("Keep at Omnisend when empty") if row.clear else _("Blank when empty"), f"clear:{row.attribute}"),
        kit.option(_("Remove"), f"remove:{row.attribute}"),
    ]
    return kit.section(text, kit.overflow(Action.ROW, entries), block=f"row-{row.attribute}")


def _made_from(t: Translator, row: Row, samples: Mapping[str, str]) -> str:
    _ = t.gettext
    if row.kind is MappingKind.TEMPLATE:
        return _("text `{template}`").format(template=safe(kit.cut(row.value, 200)).replace("`", "'"))
    sample = samples.get(row.value)
    example = " · " + _("such as {sample}").format(sample=safe(sample)) if sample else ""
    return f"`{_code(row.value)}`{example}"


@dataclass(frozen=True, slots=True)
class AttributeForm:
    """One row being added (`attribute` empty) or changed."""

    draft: str
    free: Sequence[str]  # standard attributes not mapped yet
    attribute: str = ""
    editing: bool = False
    row: Row | None = None
    samples: Mapping[str, str] = field(default_factory=dict)
    suggested: str = ""
    problem: str = ""


def attribute_form(t: Translator, form: AttributeForm) -> Json:
    _ = t.gettext
    row = form.row
    is_field = row is None or row.kind is MappingKind.FIELD
    from_field = (row.value if row and is_field else "") or form.suggested
    initial = field_option(from_field, form.samples, t) if from_field else None
    blocks = [
        *([kit.alert(form.problem)] if form.problem else []),
        *_attribute_choice(t, form),
        kit.field(
            _("From the profile field"),
            kit.search(initial, placeholder=_("Choose a field")),
            f"{Field.SOURCE_FIELD}:{form.attribute}",
            optional=True,
        ),
        kit.field(
            _("Or from a text"),
            kit.text_input(
                row.value if row and not is_field else "",
                placeholder="{FirstName} {LastName}",
                most=TEMPLATE_LENGTH,
            ),
            Field.TEMPLATE,
            hint=_("Fields in braces are filled in; a text without any is the same for everyone."),
            optional=True,
        ),
        kit.field(
            _("If the field is empty"),
            kit.checkboxes(
                [kit.option(_("Blank the attribute at Omnisend"), "clear")], ["clear"] if row and row.clear else []
            ),
            Field.CLEAR,
            hint=_("Otherwise Omnisend keeps the value it has."),
            optional=True,
        ),
    ]
    return kit.modal(
        _("Change attribute") if form.editing else _("Add attribute"),
        blocks,
        callback=Modal.ATTRIBUTE,
        submit=_("Apply") if form.editing else _("Add"),
        close=_("Back"),
        metadata=f"{form.draft}|{form.attribute if form.editing else ''}",
    )


def _attribute_choice(t: Translator, form: AttributeForm) -> list[Json]:
    _ = t.gettext
    if form.editing:
        return [kit.section(f"*{safe(attribute_label(t, form.attribute))}*")]
    options = [kit.option(attribute_label(t, attribute), attribute) for attribute in form.free]
    options.append(kit.option(_("Custom property…"), CUSTOM))
    choice = kit.field(
        _("Omnisend attribute"),
        kit.select(options, form.attribute or None, placeholder=_("Choose an attribute")),
        Field.ATTRIBUTE,
        dispatch=True,
    )
    if form.attribute != CUSTOM:
        return [choice]
    name = kit.field(
        _("Name of the custom property"),
        kit.text_input(placeholder="Loyalty_Tier", most=PROPERTY_LENGTH),
        Field.PROPERTY,
        hint=_("Latin letters, digits and _. Leave it empty to name it after the field."),
        optional=True,
    )
    return [choice, name]


# --- the opt-in


def opt_in_blocks(t: Translator, opt_in: OptIn | None) -> list[Json]:
    """How the opt-in stands, and what follows from it."""
    _ = t.gettext
    if opt_in is None:
        text = _("*Opt-in*\nNot mapped: new contacts arrive as *non-subscribed*, and nobody's subscription is changed.")
        button = kit.button(_("Map opt-in…"), Action.OPT_IN, label=_("Map the opt-in status and its date"))
        return [kit.section(text, button, block=f"row-{OPT_IN}")]
    text = _(
        "*Opt-in* ← `{status}`, since `{date}`\nContacts arrive with the status of their profile. Omnisend keeps "
        "whichever status has the later date."
    ).format(status=_code(opt_in.status), date=_code(opt_in.date))
    entries = [kit.option(_("Change…"), f"change:{OPT_IN}"), kit.option(_("Remove"), f"remove:{OPT_IN}")]
    return [kit.section(text, kit.overflow(Action.ROW, entries), block=f"row-{OPT_IN}")]


@dataclass(frozen=True, slots=True)
class OptInForm:
    draft: str
    opt_in: OptIn | None = None
    samples: Mapping[str, str] = field(default_factory=dict)


def opt_in_form(t: Translator, form: OptInForm) -> Json:
    """Its two fields, with what they mean spelled out."""
    _ = t.gettext
    chosen = form.opt_in
    meaning = [
        _(
            "*Map this only if your source holds each person's own consent and its date.* Whoever arrives as "
            "subscribed may be mailed at once."
        ),
        _(
            "Omnisend keeps whichever status has the later date: somebody who has unsubscribed there since then stays "
            "unsubscribed. People who leave a segment keep their status."
        ),
        _(
            "A profile in which one of the two is empty or can't be read counts as without an opt-in: it arrives as "
            "non-subscribed and changes nobody. Preview and report say how many those are."
        ),
    ]
    return kit.modal(
        _("Opt-in"),
        [
            *(kit.section(text) for text in meaning),
            kit.field(
                _("Status"),
                kit.search(
                    field_option(chosen.status, form.samples, t) if chosen else None, placeholder=_("Choose a field")
                ),
                Field.OPT_IN_STATUS,
                hint=_(
                    "Read as subscribed: subscribed, opted in, yes, true, 1. As unsubscribed: unsubscribed, opted out, "
                    "no, false, 0."
                ),
            ),
            kit.field(
                _("Since when"),
                kit.search(
                    field_option(chosen.date, form.samples, t) if chosen else None, placeholder=_("Choose a field")
                ),
                Field.OPT_IN_DATE,
                hint=_(
                    "A date of the source, or ISO such as 2026-03-14 or 2026-03-14T09:30:00Z; UTC where no zone is "
                    "given. Dates to come are not taken."
                ),
            ),
        ],
        callback=Modal.OPT_IN,
        submit=_("Apply"),
        close=_("Back"),
        metadata=form.draft,
    )


def _code(name: str) -> str:
    return safe(kit.cut(name, 150)).replace("`", "'")
