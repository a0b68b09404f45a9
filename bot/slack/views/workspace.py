"""Settings of the workspace: its admins."""

from collections.abc import Sequence

from bot.i18n import Translator
from bot.slack.ids import Field, Modal
from bot.slack.views import kit
from bot.slack.views.kit import Json
from bot.slack.views.words import mention


def admins_form(t: Translator, named: Sequence[str] | None, known: Sequence[str]) -> Json:
    """Who the admins are: people named here, or (nobody named) Slack's own owners and admins."""
    _ = t.gettext
    now = (
        _("Admins are Slack's own workspace owners and admins.")
        if named is None
        else _("Admins are the people named here: {people}.").format(
            people=t.list([mention(one) for one in named[:20]])
        )
    )
    return kit.modal(
        _("Admins"),
        [
            kit.section(now),
            kit.section(
                _(
                    "Admins add connections, agree to the privacy text, share, and set the refresh. Everyone a "
                    "connection is shared with manages the exports on it."
                )
            ),
            kit.field(
                _("Admins"),
                kit.people_input(named or known, placeholder=_("Choose people")),
                Field.ADMINS,
                hint=_("Leave it empty for Slack's own owners and admins."),
                optional=True,
            ),
        ],
        callback=Modal.ADMINS,
        submit=_("Save"),
        close=_("Cancel"),
    )
