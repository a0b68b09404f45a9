"""Connecting a brand: the form, its check, and the consent."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from bot.i18n import Translator
from bot.slack.ids import Action, Field, Modal
from bot.slack.views import kit
from bot.slack.views.kit import Json, safe
from bot.slack.views.sign_in import Reader, reader_inputs
from bot.slack.views.words import mention
from storage.models import Audience

NAME_LENGTH = 75


class Stage(StrEnum):
    """How far the form is. The key is never shown again: it stays where it was typed, on the person's screen."""

    FRESH = "fresh"
    CHECKING = "checking"
    CHECKED = "checked"  # the brand is shown; Save is next


@dataclass(frozen=True, slots=True)
class SourceChoice:
    kind: str
    label: str
    needs_export_user: bool = False
    app_offered: bool = False


@dataclass(frozen=True, slots=True)
class ConnectForm:
    """What the form shows. `request`: what it answers, if anything: the request's id and who asked."""

    consent: str
    shown: str = ""  # version and language of the consent text
    sources: Sequence[SourceChoice] = ()
    source: str = ""  # kind of the chosen one; empty: the first
    app: bool = False  # the app reads, where the source wants to know
    account: str = ""  # who has signed in to read
    stage: Stage = Stage.FRESH
    name: str = ""
    audience: Audience = Audience.ADMINS
    people: Sequence[str] = ()
    brand_id: str = ""
    brand: str = ""
    remark: str = ""  # what follows from this key
    problem: str = ""
    problem_at: Field | None = None
    request: str = ""
    channel: str = ""  # where the person was when it began; an export set up next reports there

    def at(self, stage: Stage, **changes: object) -> "ConnectForm":
        return replace(self, stage=stage, **changes)  # type: ignore[arg-type]

    @property
    def chosen(self) -> SourceChoice | None:
        return next((one for one in self.sources if one.kind == self.source), next(iter(self.sources), None))

    @property
    def reader(self) -> Reader | None:
        """Who is to read; None for a source that does not want to know."""
        if self.chosen is None or not self.chosen.needs_export_user:
            return None
        return Reader(self.chosen.app_offered, self.app and self.chosen.app_offered, self.account)

    @property
    def request_id(self) -> int:
        """0 without a request."""
        number = self.request.partition(":")[0]
        return int(number) if number.isdigit() else 0

    @property
    def metadata(self) -> str:
        """Stage, id of the brand, request, channel, consent text as it was shown, account, brand as it was shown."""
        told = (self.stage, self.brand_id, self.request, self.channel, self.shown, self.account)
        return "|".join((*told, kit.cut(self.brand, 200)))


def connect_form(t: Translator, form: ConnectForm) -> Json:
    _ = t.gettext
    blocks = [
        *_problem(form, None),
        *_requester(t, form),
        kit.field(
            _("Display name"),
            kit.text_input(form.name, placeholder=_("Acme Shop"), most=NAME_LENGTH),
            Field.NAME,
            hint=_("How people here will know this connection."),
        ),
        *_problem(form, Field.NAME),
        *audience_inputs(t, form.audience, form.people),
        *_source(t, form),
        *(reader_inputs(t, form.reader) if form.reader else ()),
        *_problem(form, Field.READER),
        kit.field(
            _("Omnisend API key"),
            kit.text_input(placeholder=_("In Omnisend: Store settings → API → API keys"), most=500),
            Field.KEY,
            hint=_(
                "It must be allowed to read and write contacts and to read brands; to make segments by itself, also to "
                "read and write segments. It is stored encrypted and never shown again."
            ),
        ),
        *_key_state(t, form),
        kit.divider(),
        *consent_inputs(t, form.consent),
        *_problem(form, Field.AGREE),
        *([] if form.reader else [kit.context(_("You become the export user of this connection."))]),
    ]
    return kit.modal(
        _("Connect Omnisend"),
        blocks,
        callback=Modal.CONNECT,
        submit=_("Save") if form.stage is Stage.CHECKED else _("Connect"),
        close=_("Cancel"),
        metadata=form.metadata,
    )


def _requester(t: Translator, form: ConnectForm) -> list[Json]:
    """For whom this is, where somebody has asked for it."""
    requester = form.request.partition(":")[2]
    if not requester:
        return []
    said = t.gettext("{person} asked for this. Saving shares the connection with them and tells them.")
    return [kit.context(said.format(person=mention(requester)))]


def audience_inputs(
    t: Translator, audience: Audience, people: Sequence[str], groups: Sequence[Json] = ()
) -> list[Json]:
    """Who may use a connection; people and groups only where they matter: among everyone, guests have to be named."""
    _ = t.gettext
    options = [
        kit.option(_("Admins only"), Audience.ADMINS),
        kit.option(_("Admins, and people that I choose"), Audience.PEOPLE),
        kit.option(_("Everyone in this workspace"), Audience.EVERYONE, _("Guests only if you name them")),
    ]
    blocks = [kit.field(_("Who may use it"), kit.radio(options, audience), Field.AUDIENCE, dispatch=True)]
    if audience is Audience.PEOPLE:
        blocks += [
            kit.field(
                _("People"), kit.people_input(people, placeholder=_("Choose people")), Field.PEOPLE, optional=True
            ),
            kit.field(
                _("User groups"), kit.multi_search(groups, placeholder=_("Choose groups")), Field.GROUPS, optional=True
            ),
        ]
    if audience is Audience.EVERYONE:
        guests = kit.people_input(people, placeholder=_("Choose guests, if any"))
        blocks.append(kit.field(_("Guests who may use it too"), guests, Field.PEOPLE, optional=True))
    return blocks


def consent_inputs(t: Translator, consent: str, *, full_values: bool = False) -> list[Json]:
    """The privacy text, in pieces that Slack takes, and the two boxes under it."""
    _ = t.gettext
    return [
        kit.section(_("*Data privacy and compliance*")),
        *(kit.section(piece) for piece in pieces(consent)),
        kit.field(
            _("Your agreement"),
            kit.checkboxes([kit.option(_("I agree"), "agree")]),
            Field.AGREE,
            hint=_("Kept with your name, the time and this text. An admin can withdraw it at any time."),
            optional=True,  # whether it is ticked is checked by us, with words of our own
        ),
        kit.field(
            _("In Slack"),
            kit.checkboxes(
                [kit.option(_("Show full values of samples and rejected rows in Slack"), "full")],
                ["full"] if full_values else [],
            ),
            Field.FULL_VALUES,
            hint=_("Without it they show the customer id and a masked email address only."),
            optional=True,
        ),
    ]


def pieces(text: str, most: int = 2_900) -> list[str]:
    """A long text cut at its paragraphs."""
    parts: list[str] = []
    for paragraph in text.split("\n\n"):
        if parts and len(parts[-1]) + len(paragraph) + 2 <= most:
            parts[-1] += "\n\n" + paragraph
        else:
            parts.append(paragraph)
    return parts


def _source(t: Translator, form: ConnectForm) -> list[Json]:
    _ = t.gettext
    if len(form.sources) < 2:
        return []
    options = [kit.option(source.label, source.kind) for source in form.sources]
    chosen = form.chosen.kind if form.chosen else None
    return [kit.field(_("Profiles from"), kit.select(options, chosen), Field.SOURCE, dispatch=True)]


def _key_state(t: Translator, form: ConnectForm) -> list[Json]:
    """What is known of the key, right under its field."""
    _ = t.gettext
    if form.stage is Stage.CHECKING:
        return [kit.section(_(":hourglass_flowing_sand: Checking the key with Omnisend…"))]
    if form.stage is Stage.CHECKED:
        brand = safe(form.brand or form.brand_id or _("a brand that the key may not name"))
        connected = kit.alert(_("Connected to *{brand}*. Save to finish.").format(brand=brand), "success")
        return [connected, *([kit.context(safe(form.remark))] if form.remark else [])]
    return _problem(form, Field.KEY)


def _problem(form: ConnectForm, field: Field | None) -> list[Json]:
    return [kit.alert(form.problem, "error")] if form.problem and form.problem_at == field else []


def saved(t: Translator, name: str, brand: str, audience: str, connection_id: int, channel: str = "") -> Json:
    """What comes next. `channel`: where an export that is set up from here reports, unless another is chosen."""
    _ = t.gettext
    said = _("*{name}* is connected to *{brand}* and can be used by {audience}.").format(
        name=safe(name), brand=safe(brand), audience=audience
    )
    return kit.modal(
        _("Connected"),
        [
            kit.section(said),
            kit.section(_("Nothing is sent before somebody sets up an export and runs it.")),
            kit.actions(kit.button(_("Set up an export"), Action.EXPORT, connection_id, style="primary")),
        ],
        callback=Modal.NOTICE,
        close=_("Done"),
        metadata=channel,
    )


def audience_words(t: Translator, audience: Audience, people: Sequence[str] = (), groups: Sequence[str] = ()) -> str:
    _ = t.gettext
    if audience is Audience.ADMINS:
        return _("admins only")
    named = [f"<@{user}>" for user in people] + [f"<!subteam^{group}>" for group in groups]
    first = _("everyone") if audience is Audience.EVERYONE else _("admins")
    return t.list([first, *named[:10]]) + (" …" if len(named) > 10 else "")
