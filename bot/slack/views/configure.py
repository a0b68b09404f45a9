"""Setting up an export: segments, when it runs, where it reports; what may be done with it afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.i18n import Translator
from bot.slack.ids import Action, Field, Modal
from bot.slack.views import kit
from bot.slack.views.kit import Json, safe
from bot.slack.views.mapping import OptIn, Row, field_option, mapping_blocks, opt_in_blocks, option_value
from bot.slack.views.schedule import Recurrence, recurrence_inputs
from bot.slack.views.words import mention
from storage.models import Leavers, When

NAME_LENGTH = 75
SHOWN_REMARKS = 20  # after saving
MOST_SEGMENTS = 100


@dataclass(frozen=True, slots=True)
class SegmentChoice:
    """A segment and its members, where they are known. `counted_at`: when they were counted; None: just now."""

    name: str
    members: int | None = None
    counted_at: datetime | None = None
    title: str = ""


@dataclass(frozen=True, slots=True)
class ExportForm:
    """What the form shows. `draft`: opaque; `generation`: rises when new initial values have to show."""

    draft: str
    connections: Sequence[tuple[int, str]]
    connection_id: int | None = None
    editing: bool = False
    name: str = ""
    segments: Sequence[SegmentChoice] = ()
    warnings: Sequence[str] = ()
    email: str = ""
    rows: Sequence[Row] = ()
    samples: Mapping[str, str] = field(default_factory=dict)  # masked, by field
    suggestions: Mapping[str, str] = field(default_factory=dict)  # attribute → field, not mapped yet
    opt_in: OptIn | None = None
    when: When = When.MANUAL
    refresh_active: bool = True
    recurrence: Recurrence = field(default_factory=Recurrence)
    channel: str = ""
    leavers: Leavers = Leavers.FLAG_FALSE
    notify: Sequence[str] = ()
    generation: int = 0
    problem: str = ""
    problem_at: Field | None = None


def export_form(t: Translator, form: ExportForm) -> Json:
    _ = t.gettext
    blocks = [
        *_problem(form, None),
        kit.field(
            _("Name"),
            kit.text_input(form.name, placeholder=_("VIP newsletter"), most=NAME_LENGTH),
            _block(form, Field.NAME),
            hint=_("For people here; /ferry run NAME uses it."),
        ),
        *_problem(form, Field.NAME),
        _connection_input(t, form),
        *_problem(form, Field.CONNECTION),
        _segments_input(t, form),
        *([kit.context(*[safe(warning) for warning in form.warnings[:10]])] if form.warnings else []),
        *_problem(form, Field.SEGMENTS),
        _email_input(t, form),
        *_problem(form, Field.EMAIL),
        *mapping_blocks(t, form.rows, form.samples, form.suggestions),
        *opt_in_blocks(t, form.opt_in),
        *_problem(form, Field.OPT_IN_STATUS),
        *_when(t, form),
        kit.field(
            _("Report to channel"),
            kit.channel_input(form.channel, placeholder=_("Choose a channel")),
            _block(form, Field.CHANNEL),
            hint=_("Runs are shown there. Rejected rows never are: they go to one person in private."),
            optional=True,
        ),
        *_problem(form, Field.CHANNEL),
        *_options(t, form),
        kit.context(
            _("Saving sends nothing. Once it runs, the shop's own automations may fire for contacts that it touches.")
        ),
    ]
    return kit.modal(
        _("Edit export") if form.editing else _("New export"),
        blocks,
        callback=Modal.EXPORT,
        submit=_("Save"),
        close=_("Cancel"),
        metadata=form.draft,
    )


def _block(form: ExportForm, name: Field) -> str:
    return f"{name}:{form.generation}"


def _problem(form: ExportForm, at: Field | None) -> list[Json]:
    return [kit.alert(form.problem, "error")] if form.problem and form.problem_at == at else []


def _connection_input(t: Translator, form: ExportForm) -> Json:
    _ = t.gettext
    options = [kit.option(name, number) for number, name in form.connections]
    chosen = form.connection_id if form.connection_id is not None else None
    return kit.field(
        _("Connection"),
        kit.select(options, chosen, placeholder=_("Choose a connection")),
        _block(form, Field.CONNECTION),
        dispatch=True,
    )


def _segments_input(t: Translator, form: ExportForm) -> Json:
    _ = t.gettext
    chosen = [segment_option(t, segment) for segment in form.segments]
    return kit.field(
        _("Segments"),
        kit.multi_search(chosen, placeholder=_("Choose one or more segments"), most=MOST_SEGMENTS),
        _block(form, Field.SEGMENTS),
        hint=_("Each becomes a segment of the same name at Omnisend."),
        dispatch=True,
    )


def segment_option(t: Translator, segment: SegmentChoice) -> Json:
    """A segment with its member count, where that is known, and the title that people know it by."""
    detail = segment.title
    if segment.members is not None:
        counted = t.ngettext("{n} member", "{n} members", segment.members).format(n=t.number(segment.members))
        if segment.counted_at is not None:
            when = t.moment(segment.counted_at)
            counted = t.gettext("{members}, counted {when} UTC").format(members=counted, when=when)
        detail = f"{counted} · {segment.title}" if segment.title else counted
    return kit.option(segment.name, option_value(segment.name), detail)


def _email_input(t: Translator, form: ExportForm) -> Json:
    _ = t.gettext
    initial = field_option(form.email, form.samples, t) if form.email else None
    return kit.field(
        _("Email field"),
        kit.search(initial, placeholder=_("The profile field that holds the email address")),
        _block(form, Field.EMAIL),
        hint=_(
            "Omnisend knows contacts by their email address. Profiles without a valid one are rejected, each listed."
        ),
    )


# --- when, and the rest


def _when(t: Translator, form: ExportForm) -> list[Json]:
    _ = t.gettext
    options = [
        kit.option(_("By hand only"), When.MANUAL),
        kit.option(_("With each refresh of the workspace"), When.REFRESH),
        kit.option(_("On its own schedule"), When.OWN),
    ]
    blocks = [kit.field(_("When it runs"), kit.select(options, form.when), _block(form, Field.WHEN), dispatch=True)]
    if form.when is When.OWN:
        blocks += recurrence_inputs(t, form.recurrence)
    elif form.when is When.REFRESH and not form.refresh_active:
        blocks.append(kit.context(_("The workspace's refresh is off for now: an admin sets it with `/ferry refresh`.")))
    return blocks + _problem(form, Field.TIMES)


def _options(t: Translator, form: ExportForm) -> list[Json]:
    """Leavers, guard limits and failure notices: a line that says how they stand, and a way to change them."""
    _ = t.gettext
    leavers = (
        _("People who leave are taken out of the segment at Omnisend.")
        if form.leavers is Leavers.FLAG_FALSE
        else _("People who leave stay in the segment at Omnisend.")
    )
    told = t.list([_("owner"), _("admins"), *(mention(user) for user in form.notify[:5])])
    text = f"{leavers} " + _("Told of failures: {people}.").format(people=told)
    return [kit.section(text, kit.button(_("More options…"), Action.OPTIONS), block="options-line")]


@dataclass(frozen=True, slots=True)
class OptionsForm:
    """`limits` in the units of the form: percent, but contacts for `new_contacts`; empty where the default holds."""

    draft: str
    leavers: Leavers
    notify: Sequence[str]
    limits: Mapping[str, str]
    usual: Mapping[str, str] = field(default_factory=dict)  # the defaults, in the same units
    problem: str = ""


LIMIT_FIELDS = {
    "fall": Field.LIMIT_FALL,
    "removals": Field.LIMIT_REMOVALS,
    "rejects": Field.LIMIT_REJECTS,
    "new_contacts": Field.LIMIT_ADDED,
}


def options_form(t: Translator, form: OptionsForm) -> Json:
    _ = t.gettext
    leavers = [
        kit.option(_("Take them out of the segment at Omnisend"), Leavers.FLAG_FALSE),
        kit.option(_("Leave them in it"), Leavers.KEEP),
    ]
    return kit.modal(
        _("More options"),
        [
            *([kit.alert(form.problem)] if form.problem else []),
            kit.field(_("People who leave a segment"), kit.radio(leavers, form.leavers), Field.LEAVERS),
            kit.field(
                _("Also told of failures"),
                kit.people_input(form.notify, placeholder=_("Beside the owner and the admins")),
                Field.NOTIFY,
                optional=True,
            ),
            kit.section(_("*The guard* stops before sending and asks, if a run goes beyond one of these.")),
            *(_limit(t, form, name) for name in LIMIT_FIELDS),
        ],
        callback=Modal.OPTIONS,
        submit=_("Apply"),
        close=_("Back"),
        metadata=form.draft,
    )


def _limit(t: Translator, form: OptionsForm, name: str) -> Json:
    _ = t.gettext
    labels = {
        "fall": _("Largest fall in members of a segment (percent)"),
        "removals": _("Most removals (percent of those exported before)"),
        "rejects": _("Most rejected profiles (percent)"),
        "new_contacts": _("Most new contacts in one run: they may cost money at Omnisend"),
    }
    most = "100" if name != "new_contacts" else "100000000"
    return kit.field(
        labels[name],
        kit.number_input(form.limits.get(name, ""), decimal=name != "new_contacts", most=most),
        LIMIT_FIELDS[name],
        hint=_("Leave it empty for the usual {limit}.").format(limit=_usual(t, form, name)),
        optional=True,
    )


def _usual(t: Translator, form: OptionsForm, name: str) -> str:
    number = float(form.usual.get(name) or 0)
    return t.number(number) if name == "new_contacts" else t.percent(number / 100)


def saved(t: Translator, name: str, export_id: int, remarks: Sequence[str], channel: str = "") -> Json:
    """`channel`: where its reports go. Whether the bot may write there nobody can ask without a further permission."""
    _ = t.gettext
    if channel:
        reports = _(
            "Reports come in <#{channel}>. If that channel is private, invite me there with `/invite`: until then they "
            "go to the export's owner instead."
        ).format(channel=channel)
    else:
        reports = _("Reports go to the export's owner in a direct message: no report channel is chosen.")
    texts = [_("*{name}* is saved. Nothing was sent.").format(name=safe(name)), *remarks[:SHOWN_REMARKS]]
    buttons = [
        kit.button(_("Preview"), Action.PREVIEW, export_id, style="primary"),
        kit.button(_("Run now"), Action.RUN, export_id),
    ]
    return kit.modal(
        _("Saved"),
        [*(kit.section(kit.cut(text, 2_900)) for text in texts), kit.context(reports), kit.actions(*buttons)],
        callback=Modal.NOTICE,
        close=_("Done"),
    )


def saving(t: Translator, form: ExportForm) -> Json:
    """What stands in the place of the form while the export is being checked and written."""
    _ = t.gettext
    said = _("Checking *{name}* against the source…").format(name=safe(form.name))
    return kit.modal(_("Saving"), [kit.section(said)], callback=Modal.NOTICE, close=_("Close"))


def no_connection(t: Translator, *, is_admin: bool, admins: Sequence[str]) -> Json:
    """There is no connection that this person may use: whom to ask."""
    _ = t.gettext
    if is_admin:
        text = _("Connect an Omnisend brand first; then an export can use it.")
        button = kit.button(_("Connect Omnisend"), Action.CONNECT, style="primary")
    else:
        whom = t.list([mention(user) for user in admins[:5]]) if admins else _("an admin")
        text = _("No connection is shared with you yet. Ask {admins}, or send a request from here.").format(admins=whom)
        button = kit.button(_("Request a connection"), Action.REQUEST_CONNECTION, style="primary")
    return kit.modal(_("New export"), [kit.section(text), kit.actions(button)], callback=Modal.NOTICE, close=_("Close"))


def duplicate_form(t: Translator, export_id: int, name: str, *, copy: str = "", problem: str = "") -> Json:
    """`copy`: the name it is to have, where somebody has given one already."""
    _ = t.gettext
    copy = copy or kit.cut(_("{name} (copy)").format(name=name), NAME_LENGTH)
    return kit.modal(
        _("Duplicate export"),
        [
            kit.section(
                _("A copy of *{name}* without its segments: a segment goes to a brand through one export only.").format(
                    name=safe(name)
                )
            ),
            *([kit.alert(problem)] if problem else []),
            kit.field(_("Name of the copy"), kit.text_input(copy, most=NAME_LENGTH), Field.NAME),
        ],
        callback=Modal.DUPLICATE,
        submit=_("Duplicate"),
        close=_("Cancel"),
        metadata=str(export_id),
    )


def remove_form(t: Translator, export_id: int, name: str, *, may_empty: bool) -> Json:
    """Before an export is removed: the offer to empty its segments at Omnisend first."""
    _ = t.gettext
    buttons = []
    if may_empty:
        ask = kit.confirm(
            _("Empty, then remove?"),
            _("One last run takes everybody out of its segments at Omnisend. Contacts themselves stay."),
            _("Empty and remove"),
            _("Keep it"),
        )
        buttons.append(kit.button(_("Empty, then remove"), Action.EMPTY_AND_REMOVE, export_id, confirm=ask))
    ask = kit.confirm(_("Remove it?"), _("This can't be undone."), _("Remove"), _("Keep it"))
    buttons.append(
        kit.button(_("Remove only here"), Action.REMOVE_EXPORT, f"sure-{export_id}", style="danger", confirm=ask)
    )
    return kit.modal(
        _("Remove export"),
        [
            kit.section(
                _(
                    "Removing *{name}* never touches what Omnisend has: contacts stay, and so do their memberships, "
                    "unless you empty its segments first."
                ).format(name=safe(name))
            ),
            kit.actions(*buttons),
        ],
        callback=Modal.NOTICE,
        close=_("Keep it"),
    )
