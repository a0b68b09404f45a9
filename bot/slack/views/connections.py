"""What admins do with connections afterwards: list, edit, another key, removal. The consent has a file of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.i18n import Translator
from bot.slack.ids import Action, Field, Modal
from bot.slack.views import kit
from bot.slack.views.connect import NAME_LENGTH, audience_inputs
from bot.slack.views.kit import Json, safe
from bot.slack.views.sign_in import sign_in_again
from bot.slack.views.words import mention
from storage.models import Audience

SHOWN = 25  # connections or exports listed in one modal


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
    source: str = ""
    reads_as: str = ""  # a line about the export user
    signed_out: bool = False  # it has none, or its sign-in has ended
    has_export_user: bool = False  # its source wants one


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
    if row.source:
        facts.append(_("profiles from {source}").format(source=safe(row.source)))
    blocks = [kit.section(f"{title}\n{' · '.join(facts)}", _connection_menu(t, row), block=f"connection-{row.id}")]
    if row.agreed_by and row.agreed_at:
        agreed = _("Consent by {person}, {date}").format(person=mention(row.agreed_by), date=t.date(row.agreed_at))
        blocks.append(kit.context(agreed, *([row.reads_as] if row.reads_as else [])))
    if row.signed_out and not row.withdrawn:
        said = _(":warning: Nobody is signed in to read profiles, so its exports can't run.")
        blocks.append(kit.section(said, sign_in_again(t, str(row.id)), block=f"signed-out-{row.id}"))
    if row.consent_outdated and not row.withdrawn:
        blocks.append(kit.actions(kit.button(_("Read and agree"), Action.AGREE_AGAIN, row.id, style="primary")))
    return blocks


def _connection_menu(t: Translator, row: ConnectionRow) -> Json | None:
    _ = t.gettext
    entries = [
        kit.option(_("Edit, share"), f"{Action.EDIT_CONNECTION}:{row.id}"),
        kit.option(_("Replace the API key"), f"{Action.REPLACE_KEY}:{row.id}"),
        *(
            [kit.option(_("Change export user"), f"{Action.EXPORT_USER}:{row.id}")]
            if row.has_export_user and not row.withdrawn
            else []
        ),
        *([] if row.withdrawn else [kit.option(_("Consent…"), f"{Action.WITHDRAW}:{row.id}")]),
        kit.option(_("Remove…"), f"{Action.REMOVE_CONNECTION}:{row.id}"),
    ]
    return kit.overflow(Action.MORE, entries)


def edit_form(
    t: Translator,
    metadata: str,
    name: str,
    audience: Audience,
    people: Sequence[str],
    groups: Sequence[Json],
    *,
    problem: str = "",
) -> Json:
    """`metadata` says which connection, and as it was when."""
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
        metadata=metadata,
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
            kit.option(_("Detach (keep its settings)"), f"{Action.DETACH_IN_USE}:{export.id}-{connection_id}"),
            kit.option(_("Remove…"), f"{Action.REMOVE_EXPORT}:{export.id}"),
        ]
        menu = kit.overflow(Action.MORE, entries)
        blocks.append(kit.section(f"*{safe(export.name)}*", menu, block=f"in-use-{export.id}"))
    again = kit.button(_("Check again"), Action.REMOVE_CONNECTION, f"again-{connection_id}")
    return kit.modal(_("Remove connection"), [*blocks, kit.actions(again)], callback=Modal.NOTICE, close=close)
