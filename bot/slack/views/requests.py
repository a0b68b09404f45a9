"""A contributor asks for a connection: the request, the admin's answer, and what remains of both."""

from collections.abc import Sequence

from bot.i18n import Translator
from bot.slack.ids import Action, Field, Modal
from bot.slack.views import kit
from bot.slack.views.kit import Json, safe
from bot.slack.views.words import mention


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
    another = kit.button(_("Connect another brand"), Action.CONNECT, f"request-{request_id}:{requester}")
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
