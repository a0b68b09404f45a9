"""The consent to a connection: what is on record of it, agreeing anew, withdrawing."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.i18n import Translator
from bot.slack.ids import Action, Modal
from bot.slack.views import kit
from bot.slack.views.connect import consent_inputs
from bot.slack.views.kit import Json, safe
from bot.slack.views.words import mention


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """An agreement as it was recorded. `holds`: for the present text and brand. `digest`: of the text as shown.

    `at` is worded, in UTC.
    """

    person: str
    at: str
    version: str
    language: str
    digest: str
    full_values: bool
    holds: bool


def consent_view(
    t: Translator, connection_id: int, name: str, record: ConsentRecord | None, exports: Sequence[str]
) -> Json:
    """What is on record, with the ways to change it: agree anew, or withdraw (with what that means)."""
    _ = t.gettext
    ask = kit.confirm(
        _("Withdraw consent?"),
        _("The key is erased. To send again, somebody has to connect again."),
        _("Withdraw"),
        _("Keep it"),
    )
    withdraw = kit.button(_("Withdraw consent"), Action.WITHDRAW, f"sure-{connection_id}", style="danger", confirm=ask)
    meaning = [
        _("running exports stop, and nothing further is sent"),
        _("the API key and the export user's sign-in are erased here"),
        _("its exports are detached; their settings and what they remember (encrypted) are kept until you remove them"),
        _("what Omnisend has received stays there; delete it in Omnisend if it must go"),
    ]
    return kit.modal(
        _("Consent"),
        [
            *_record(t, connection_id, name, record),
            kit.divider(),
            kit.section(_("If you withdraw the consent for *{name}*:").format(name=safe(name))),
            kit.section(kit.bullets(meaning)),
            *([kit.section(_("Exports on it: {names}.").format(names=names(t, exports)))] if exports else []),
            kit.actions(withdraw),
        ],
        callback=Modal.NOTICE,
        close=_("Close"),
    )


def _record(t: Translator, connection_id: int, name: str, record: ConsentRecord | None) -> list[Json]:
    _ = t.gettext
    again = kit.button(_("Read it, or change it"), Action.AGREE_AGAIN, connection_id)
    if record is None:
        return [kit.section(_("Nobody has agreed for *{name}*.").format(name=safe(name)), again, block="record")]
    said = _("{person} agreed for *{name}* on {date}.").format(
        person=mention(record.person), name=safe(name), date=f"{record.at} UTC"
    )
    if not record.holds:
        said += " " + _("The text or the brand has changed since: exports wait until an admin agrees again.")
    shown = shown_in_slack(t, full_values=record.full_values)
    facts = _("Text version {version}, language {language}, fingerprint {digest}").format(
        version=safe(record.version), language=safe(record.language), digest=safe(record.digest[:12])
    )
    return [kit.section(f"{said}\n{shown}", again, block="record"), kit.context(facts)]


def shown_in_slack(t: Translator, *, full_values: bool) -> str:
    _ = t.gettext
    if full_values:
        return _("Samples and rejected rows are shown with *full values* in Slack.")
    return _("Samples and rejected rows are shown masked in Slack.")


def agree_form(t: Translator, metadata: str, name: str, consent: str, *, full_values: bool = False) -> Json:
    """The consent anew: its text or brand has changed, or Slack is to show more or less."""
    _ = t.gettext
    return kit.modal(
        _("Data privacy"),
        [
            kit.section(
                _("Exports over *{name}* run only while an admin agrees to this text.").format(name=safe(name))
            ),
            *consent_inputs(t, consent, full_values=full_values),
        ],
        callback=Modal.AGREE,
        submit=_("Agree"),
        close=_("Cancel"),
        metadata=metadata,
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


def names(t: Translator, words: Sequence[str]) -> str:
    shown = [f"*{safe(word)}*" for word in words[:10]]
    return t.list(shown if len(words) <= 10 else [*shown, "…"])
