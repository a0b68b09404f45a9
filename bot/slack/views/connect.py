"""Connecting a brand: the form, its check, the consent, and what admins do with connections afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from bot.i18n import Translator
from bot.slack.ids import Action, Field, Modal
from bot.slack.views import kit
from bot.slack.views.kit import Json, safe
from bot.slack.views.words import mention
from storage.models import Audience

NAME_LENGTH = 75
SHOWN = 25  # connections or exports listed in one modal


class Stage(StrEnum):
    """How far the form is. The key is never shown again: it stays where it was typed, on the person's screen."""

    FRESH = "fresh"
    CHECKING = "checking"
    CHECKED = "checked"  # the brand is shown; Save is next


@dataclass(frozen=True, slots=True)
class SourceChoice:
    kind: str
    label: str


@dataclass(frozen=True, slots=True)
class ConnectForm:
    """What the form shows. `request`: the id of the request that this connection answers, if any."""

    consent: str
    shown: str = ""  # version and language of the consent text
    sources: Sequence[SourceChoice] = ()
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

    def at(self, stage: Stage, **changes: object) -> "ConnectForm":
        return replace(self, stage=stage, **changes)  # type: ignore[arg-type]

    @property
    def metadata(self) -> str:
        """Stage, brand as it was shown, request, consent text as it was shown."""
        return "|".join((self.stage, self.brand_id, self.request, self.shown))


def connect_form(t: Translator, form: ConnectForm) -> Json:
    _ = t.gettext
    blocks = [
        *_problem(form, None),
        kit.field(
            _("Display name"),
            kit.text_input(form.name, placeholder=_("Acme Shop"), most=NAME_LENGTH),
            Field.NAME,
            hint=_("How people here will know this connection."),
        ),
        *_problem(form, Field.NAME),
        *audience_inputs(t, form.audience, form.people),
        *_source(t, form),
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
        kit.context(_("Profiles are read as you: you become the export user of this connection.")),
    ]
    return kit.modal(
        _("Connect Omnisend"),
        blocks,
        callback=Modal.CONNECT,
        submit=_("Save") if form.stage is Stage.CHECKED else _("Connect"),
        close=_("Cancel"),
        metadata=form.metadata,
    )


def audience_inputs(
    t: Translator, audience: Audience, people: Sequence[str], groups: Sequence[Json] = ()
) -> list[Json]:
    """Who may use a connection; the people and groups only where they matter."""
    _ = t.gettext
    options = [
        kit.option(_("Admins only"), Audience.ADMINS),
        kit.option(_("Admins, and people that I choose"), Audience.PEOPLE),
        kit.option(_("Everyone in this workspace"), Audience.EVERYONE),
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
    return blocks


def consent_inputs(t: Translator, consent: str) -> list[Json]:
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
            kit.checkboxes([kit.option(_("Show full values of samples and rejected rows in Slack"), "full")]),
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
    return [kit.field(_("Profiles from"), kit.select(options, form.sources[0].kind), Field.SOURCE_FIELD)]


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


def saved(t: Translator, name: str, brand: str, audience: str, connection_id: int) -> Json:
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
    )


def audience_words(t: Translator, audience: Audience, people: Sequence[str] = (), groups: Sequence[str] = ()) -> str:
    _ = t.gettext
    if audience is Audience.EVERYONE:
        return _("everyone")
    if audience is Audience.ADMINS:
        return _("admins only")
    named = [f"<@{user}>" for user in people] + [f"<!subteam^{group}>" for group in groups]
    return t.list([_("admins"), *named[:10]]) + (" …" if len(named) > 10 else "")


# --- requests


def request_form(t: Translator) -> Json:
    _ = t.gettext
    return kit.modal(
        _("Request a connection"),
        [
            kit.section(
                _("Only admins can connect Omnisend. Say what you need it for; they get your request at once.")
            ),
            kit.field(
                _("What for"),
                kit.text_input(placeholder=_("Send our VIP segment to the newsletter shop"), most=500, multiline=True),
                Field.REASON,
            ),
        ],
        callback=Modal.REQUEST,
        submit=_("Send request"),
        close=_("Cancel"),
    )


def request_message(t: Translator, requester: str, reason: str, request_id: int) -> Json:
    """To each admin."""
    _ = t.gettext
    said = _("{person} asks for a connection to Omnisend.").format(person=mention(requester))
    return kit.message(
        said,
        [
            kit.section(said),
            kit.section(f"> {safe(reason)}".replace("\n", "\n> ")),
            kit.actions(
                kit.button(_("Review and connect"), Action.APPROVE, request_id, style="primary"),
                kit.button(_("Decline"), Action.DECLINE, request_id),
            ),
        ],
    )


def request_answered(t: Translator, requester: str, text: str) -> Json:
    """What remains of the admin's message once somebody has decided."""
    said = t.gettext("{person} asked for a connection to Omnisend.").format(person=mention(requester))
    return kit.message(f"{said} {text}", [kit.section(said), kit.context(text)])


def answer_words(t: Translator, verdict: str, by: str, reason: str) -> str:
    """How a request was answered: `verdict` is approved or declined."""
    _ = t.gettext
    texts = {"approved": _("Approved by {person}."), "declined": _("Declined by {person}: {reason}")}
    return texts.get(verdict, _("Answered by {person}.")).format(person=mention(by), reason=safe(reason))


def approve_form(
    t: Translator, request_id: int, requester: str, reason: str, connections: Sequence[tuple[int, str]]
) -> Json:
    """Share one of the connections that are there, or connect another brand."""
    _ = t.gettext
    options = [kit.option(name, number) for number, name in connections]
    another = kit.button(_("Connect another brand"), Action.CONNECT, f"request-{request_id}")
    return kit.modal(
        _("Connection request"),
        [
            kit.section(_("{person} asks for a connection to Omnisend:").format(person=mention(requester))),
            kit.section(kit.cut(f"> {safe(reason)}".replace("\n", "\n> "), 2_900)),
            kit.field(
                _("Share this connection"),
                kit.select(options, connections[0][0], placeholder=_("Choose a connection")),
                f"{Field.CONNECTION}:approve",
            ),
            kit.section(_("Or connect another Omnisend brand for it."), another, block="another-brand"),
        ],
        callback=Modal.APPROVE,
        submit=_("Approve"),
        close=_("Cancel"),
        metadata=str(request_id),
    )


def decline_form(t: Translator, request_id: int, requester: str) -> Json:
    _ = t.gettext
    return kit.modal(
        _("Decline request"),
        [
            kit.section(_("{person} hears your reason.").format(person=mention(requester))),
            kit.field(_("Reason"), kit.text_input(most=500, multiline=True), Field.REASON),
        ],
        callback=Modal.DECLINE,
        submit=_("Decline"),
        close=_("Cancel"),
        metadata=str(request_id),
    )


# --- connections afterwards


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """A connection in a list. The facts after `brand` are for admins only."""

    id: int
    name: str
    brand: str
    withdrawn: bool = False
    consent_outdated: bool = False
    audience: str = ""
    key_hint: str = ""
    exports: int = 0
    agreed_by: str = ""
    agreed_at: datetime | None = None


def connections_view(t: Translator, rows: Sequence[ConnectionRow], *, is_admin: bool) -> Json:
    _ = t.gettext
    blocks: list[Json] = []
    for row in rows[:SHOWN]:
        blocks += connection_blocks(t, row, is_admin=is_admin)
    if not rows:
        text = _("No Omnisend brand is connected yet.") if is_admin else _("No connection is shared with you yet.")
        blocks.append(kit.section(text))
    if len(rows) > SHOWN:
        blocks.append(kit.context(_("… and {count} more.").format(count=t.number(len(rows) - SHOWN))))
    add = (
        kit.button(_("Connect Omnisend"), Action.CONNECT, style="primary")
        if is_admin
        else kit.button(_("Request a connection"), Action.REQUEST_CONNECTION)
    )
    return kit.modal(_("Connections"), [*blocks, kit.actions(add)], callback=Modal.NOTICE, close=_("Close"))


def connection_blocks(t: Translator, row: ConnectionRow, *, is_admin: bool) -> list[Json]:
    """One connection: name and type for everyone it is shared with, the rest for admins."""
    _ = t.gettext
    title = f"*{safe(row.name)}* · Omnisend"
    if row.withdrawn:
        title += " · " + _("consent withdrawn, nothing is sent")
    elif row.consent_outdated:
        title += " · " + _("the privacy text has changed: an admin has to agree again")
    if not is_admin:
        return [kit.section(title, block=f"connection-{row.id}")]
    brand = row.brand or _("unnamed brand")
    facts = [safe(brand), row.audience, t.ngettext("{n} export", "{n} exports", row.exports).format(n=row.exports)]
    if row.key_hint:
        facts.append(_("key ends in {hint}").format(hint=safe(row.key_hint)))
    blocks = [kit.section(f"{title}\n{' · '.join(facts)}", _connection_menu(t, row), block=f"connection-{row.id}")]
    if row.agreed_by and row.agreed_at:
        agreed = _("Consent by {person}, {date}").format(person=mention(row.agreed_by), date=t.date(row.agreed_at))
        blocks.append(kit.context(agreed))
    if row.consent_outdated and not row.withdrawn:
        blocks.append(kit.actions(kit.button(_("Read and agree"), Action.AGREE_AGAIN, row.id, style="primary")))
    return blocks


def _connection_menu(t: Translator, row: ConnectionRow) -> Json | None:
    _ = t.gettext
    entries = [
        kit.option(_("Edit, share"), f"{Action.EDIT_CONNECTION}:{row.id}"),
        kit.option(_("Replace the API key"), f"{Action.REPLACE_KEY}:{row.id}"),
        *([] if row.withdrawn else [kit.option(_("Withdraw consent…"), f"{Action.WITHDRAW}:{row.id}")]),
        kit.option(_("Remove…"), f"{Action.REMOVE_CONNECTION}:{row.id}"),
    ]
    return kit.overflow(Action.MORE, entries)


def edit_form(
    t: Translator,
    connection_id: int,
    name: str,
    audience: Audience,
    people: Sequence[str],
    groups: Sequence[Json],
    *,
    problem: str = "",
) -> Json:
    _ = t.gettext
    return kit.modal(
        _("Edit connection"),
        [
            *([kit.alert(problem)] if problem else []),
            kit.field(_("Display name"), kit.text_input(name, most=NAME_LENGTH), Field.NAME),
            *audience_inputs(t, audience, people, groups),
        ],
        callback=Modal.CONNECTION,
        submit=_("Save"),
        close=_("Cancel"),
        metadata=str(connection_id),
    )


def key_form(
    t: Translator, connection_id: int, name: str, hint: str, *, checking: bool = False, problem: str = ""
) -> Json:
    _ = t.gettext
    known = _("The key in use ends in {hint}.").format(hint=safe(hint)) if hint else _("No key is stored now.")
    state = [kit.section(_(":hourglass_flowing_sand: Checking the key with Omnisend…"))] if checking else []
    return kit.modal(
        _("Replace the API key"),
        [
            kit.section(f"*{safe(name)}*. {known}"),
            kit.field(
                _("New Omnisend API key"),
                kit.text_input(placeholder=_("In Omnisend: Store settings → API → API keys"), most=500),
                Field.KEY,
                hint=_(
                    "A key of the same brand changes nothing else. A key of another brand starts there from nothing."
                ),
            ),
            *([kit.alert(problem)] if problem else state),
        ],
        callback=Modal.KEY,
        submit=_("Replace"),
        close=_("Cancel"),
        metadata=str(connection_id),
    )


def agree_form(t: Translator, metadata: str, name: str, consent: str, *, problem: str = "") -> Json:
    """The consent anew: its text has changed, or it was withdrawn."""
    _ = t.gettext
    return kit.modal(
        _("Data privacy"),
        [
            kit.section(
                _("Exports over *{name}* run only while an admin agrees to this text.").format(name=safe(name))
            ),
            *consent_inputs(t, consent),
            *([kit.alert(problem)] if problem else []),
        ],
        callback=Modal.AGREE,
        submit=_("Agree"),
        close=_("Cancel"),
        metadata=metadata,
    )


def withdraw_form(t: Translator, connection_id: int, name: str, exports: Sequence[str]) -> Json:
    """The question before consent is withdrawn."""
    _ = t.gettext
    return kit.modal(
        _("Withdraw consent"),
        [
            kit.section(_("If you withdraw the consent for *{name}*:").format(name=safe(name))),
            kit.section(
                "• "
                + "\n• ".join(
                    [
                        _("running exports stop, and nothing further is sent"),
                        _("the API key is erased here"),
                        _("its exports are detached; their settings are kept"),
                        _("what Omnisend has received stays there; delete it in Omnisend if it must go"),
                    ]
                )
            ),
            *([kit.section(_("Exports on it: {names}.").format(names=names(t, exports)))] if exports else []),
            kit.actions(
                kit.button(
                    _("Withdraw consent"),
                    Action.WITHDRAW,
                    f"sure-{connection_id}",
                    style="danger",
                    confirm=kit.confirm(
                        _("Withdraw consent?"),
                        _("The key is erased. To send again, somebody has to connect again."),
                        _("Withdraw"),
                        _("Keep it"),
                    ),
                )
            ),
        ],
        callback=Modal.NOTICE,
        close=_("Keep it"),
    )


def withdrawn(t: Translator, name: str, stopped: Sequence[str], detached: Sequence[str]) -> Json:
    _ = t.gettext
    texts = [
        _("The consent for *{name}* is withdrawn and its key erased. Nothing further is sent.").format(name=safe(name))
    ]
    if stopped:
        texts.append(_("Stopped in mid-run: {names}.").format(names=names(t, stopped)))
    if detached:
        texts.append(_("Detached: {names}. Their settings are kept.").format(names=names(t, detached)))
    return kit.modal(
        _("Consent withdrawn"), [kit.section(text) for text in texts], callback=Modal.NOTICE, close=_("Done")
    )


@dataclass(frozen=True, slots=True)
class InUse:
    """An export that stands in the way of removing its connection."""

    id: int
    name: str


def remove_form(t: Translator, connection_id: int, name: str, exports: Sequence[InUse]) -> Json:
    """Removing a connection; while exports use it, each is offered to be removed or detached."""
    _ = t.gettext
    close = _("Cancel")
    if not exports:
        ask = kit.confirm(_("Remove it?"), _("Its API key is erased. This can't be undone."), _("Remove"), _("Keep it"))
        button = kit.button(_("Remove"), Action.REMOVE_ANYWAY, connection_id, style="danger", confirm=ask)
        text = _("*{name}* is used by no export. What Omnisend has received stays there.").format(name=safe(name))
        return kit.modal(
            _("Remove connection"), [kit.section(text), kit.actions(button)], callback=Modal.NOTICE, close=close
        )
    text = t.ngettext(
        "*{name}* is used by {n} export. A connection in use can't be removed: remove or detach it first.",
        "*{name}* is used by {n} exports. A connection in use can't be removed: remove or detach them first.",
        len(exports),
    ).format(name=safe(name), n=len(exports))
    blocks = [kit.section(text)]
    for export in exports[:SHOWN]:
        entries = [
            kit.option(_("Detach (keep its settings)"), f"{Action.DETACH_EXPORT}:{export.id}"),
            kit.option(_("Remove…"), f"{Action.REMOVE_EXPORT}:{export.id}"),
        ]
        menu = kit.overflow(Action.MORE, entries)
        blocks.append(kit.section(f"*{safe(export.name)}*", menu, block=f"in-use-{export.id}"))
    again = kit.button(_("Check again"), Action.REMOVE_CONNECTION, f"again-{connection_id}")
    return kit.modal(_("Remove connection"), [*blocks, kit.actions(again)], callback=Modal.NOTICE, close=close)


def names(t: Translator, words: Sequence[str]) -> str:
    shown = [f"*{safe(word)}*" for word in words[:10]]
    return t.list(shown if len(words) <= 10 else [*shown, "…"])
