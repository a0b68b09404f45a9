"""The webhook of a workspace: what is known of it, and a new token, shown once."""

from dataclasses import dataclass
from datetime import datetime

from bot.i18n import Translator
from bot.slack.ids import Action, Modal
from bot.slack.views import kit
from bot.slack.views.kit import Json
from bot.slack.views.words import mention


@dataclass(frozen=True, slots=True)
class Webhook:
    """`listening`: whether this installation takes calls at all. Without `created_at` there is none yet."""

    listening: bool
    created_by: str = ""
    created_at: datetime | None = None
    refreshed_at: datetime | None = None


def webhook_view(t: Translator, webhook: Webhook) -> Json:
    _ = t.gettext
    blocks = [
        kit.section(
            _(
                "When Customer Insights has refreshed its data, a flow in Power Automate can tell Segment Ferry by "
                "this webhook. The exports that run with each refresh start then; those that wait for its end go on."
            )
        )
    ]
    if not webhook.listening:
        blocks.append(
            kit.alert(_("It is switched off here. Whoever runs Segment Ferry can set FERRY_HOOK_PORT."), "warning")
        )
    if webhook.created_at is None:
        button = kit.button(_("Make a token"), Action.WEBHOOK_TOKEN, "new", style="primary")
        return _modal(t, [*blocks, kit.section(_("There is no token yet.")), kit.actions(button)])
    made = _("Token made by {person}, {time}.").format(
        person=mention(webhook.created_by), time=t.moment(webhook.created_at)
    )
    heard = (
        _("Last told of a refresh: {time} (UTC).").format(time=t.moment(webhook.refreshed_at))
        if webhook.refreshed_at
        else _("It has not been called yet.")
    )
    ask = kit.confirm(
        _("Replace the token?"), _("The address in the flow stops working at once."), _("Replace"), _("Keep it")
    )
    end = kit.confirm(_("Remove the webhook?"), _("Calls are refused from then on."), _("Remove"), _("Keep it"))
    return _modal(
        t,
        [
            *blocks,
            kit.section(f"{made}\n{heard}"),
            kit.actions(
                kit.button(_("Replace the token"), Action.WEBHOOK_TOKEN, "again", confirm=ask),
                kit.button(_("Remove"), Action.WEBHOOK_REMOVE, style="danger", confirm=end),
            ),
        ],
    )


def token_view(t: Translator, address: str, *, complete: bool) -> Json:
    """The address with the new token. `complete`: it is the one that others reach, as the settings say."""
    _ = t.gettext
    said = _("This is the address for the flow. *It is shown only now*: copy it before you close this window.")
    blocks = [
        kit.section(said),
        kit.section(f"```{address}```"),
        kit.section(
            _(
                "In the flow, an *HTTP* action sends POST to it, without a body. Whoever has it can start exports, "
                "and nothing else."
            )
        ),
    ]
    if not complete:
        blocks.append(
            kit.context(
                _(
                    "Put the public address of your proxy before the path. Whoever runs Segment Ferry can set "
                    "FERRY_HOOK_URL, and it stands here in full."
                )
            )
        )
    return _modal(t, blocks)


def _modal(t: Translator, blocks: list[Json]) -> Json:
    return kit.modal(t.gettext("Refresh webhook"), blocks, callback=Modal.NOTICE, close=t.gettext("Close"))
