"""Short messages about what happened by itself or was done by somebody else."""

from datetime import datetime
from typing import Any

from bot.i18n import Translator
from bot.slack.ids import Action
from bot.slack.views import kit
from bot.slack.views.kit import Json, safe
from bot.slack.views.words import mention, mentioning, moment
from storage.models import Run

Facts = dict[str, Any]


def skipped(t: Translator, facts: Facts) -> Json:
    """A scheduled run did not start: something stood in its way."""
    _ = t.gettext
    said = _("*{name}* did not run at {time} as scheduled. {why}").format(
        name=safe(facts["export"]), time=_when(t, facts["due"]), why=mentioning(safe(facts["text"]), facts.get("by"))
    )
    buttons = [kit.button(_("Show exports"), Action.EXPORTS)]
    if facts.get("code") == "consent-outdated" and facts.get("connection_id"):
        buttons.insert(0, kit.button(_("Read and agree"), Action.AGREE_AGAIN, facts["connection_id"], style="primary"))
    return _message(said, *buttons)


def missed(t: Translator, facts: Facts) -> Json:
    """The bot was down when something was due, and for too long to make up for it."""
    _ = t.gettext
    names = t.list([f"*{safe(name)}*" for name in facts["exports"][:10]])
    said = _(
        "The bot was down at {time}, when {names} should have run; that is too long ago to make up for it."
    ).format(time=_when(t, facts["due"]), names=names)
    if facts.get("next_due"):
        said += " " + _("Next: {time}.").format(time=_when(t, facts["next_due"]))
    ids = facts.get("export_ids") or []
    buttons = [kit.button(_("Run now"), Action.RUN, ids[0], style="primary")] if len(ids) == 1 else []
    return _message(said, *buttons, kit.button(_("Show exports"), Action.EXPORTS))


def detached(t: Translator, facts: Facts) -> Json:
    """The export's connection ended with its consent, or somebody took it off the export."""
    _ = t.gettext
    if facts.get("withdrawn", True):
        text = _(
            "*{name}* has no connection any more: {person} withdrew the consent for *{connection}*. It does not run "
            "until another connection is chosen; its settings are kept."
        )
    else:
        text = _(
            "*{name}* has no connection any more: {person} detached it from *{connection}*. It does not run until a "
            "connection is chosen again; its settings are kept."
        )
    said = text.format(name=safe(facts["export"]), person=mention(facts["by"]), connection=safe(facts["connection"]))
    return _message(said, kit.button(_("Edit export"), Action.EDIT_EXPORT, facts["export_id"]))


def approved(t: Translator, facts: Facts) -> Json:
    _ = t.gettext
    said = _("{person} has shared the connection *{connection}* with you: you can set up an export now.").format(
        person=mention(facts["by"]), connection=safe(facts["connection"])
    )
    return _message(said, kit.button(_("Set up an export"), Action.EXPORT, facts["connection_id"], style="primary"))


def declined(t: Translator, facts: Facts) -> Json:
    _ = t.gettext
    said = _("{person} has declined your request for a connection.").format(person=mention(facts["by"]))
    if facts.get("reason"):
        said += "\n> " + safe(facts["reason"]).replace("\n", "\n> ")
    return _message(said)


def recovered(t: Translator, run: Run) -> Json:
    said = t.gettext("*{name}* works again: its last run ended well :white_check_mark:")
    return _message(said.format(name=safe(run.export_name)))


def instead_of(t: Translator, channel: str, error: str) -> str:
    """Before a message that its channel did not take."""
    return t.gettext(
        "This belonged into <#{channel}>, which Slack does not let me write to ({error}). Invite me there with "
        "`/invite`, or edit the export and choose another channel."
    ).format(channel=channel, error=safe(error))


def _message(text: str, *buttons: Json) -> Json:
    return kit.message(text, [kit.section(text), *([kit.actions(*buttons)] if buttons else [])])


def _when(t: Translator, iso: str) -> str:
    return moment(t, datetime.fromisoformat(iso), "UTC")
