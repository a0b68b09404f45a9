"""What can go wrong between us and Slack: one class for each answer that asks for something different of us.

No error carries a token, a response URL, a trigger id or what somebody typed.
"""

from storage.errors import FerryError, mark


class SlackError(FerryError):
    """The root of what talking to Slack raises. `method` and `error` are Slack's own words."""

    code = "slack"
    what = mark("Slack did not do what was asked ({method}: {error}).")
    consequence = mark("Exports are not touched by it.")
    remedy = mark("Try again; if it stays so, tell whoever looks after Segment Ferry.")

    def __init__(self, *, method: str, error: str, **facts: object) -> None:
        self.method = method
        self.error = error
        super().__init__(method=method, error=error, **facts)


class SlackAway(SlackError):
    """No usable answer: Slack or the way to it fails. What was asked may have been done."""

    code = "slack-away"
    what = mark("Slack can't be reached just now.")
    consequence = mark("Reports are kept and delivered when it is back; exports go on.")
    remedy = mark("Try again in a minute.")


class RateLimited(SlackError):
    """429: this method is blocked for `seconds`."""

    code = "slack-rate-limited"
    what = mark("Slack asks for a pause of {seconds} seconds.")
    remedy = mark("Try again after that.")

    def __init__(self, *, method: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(method=method, error="ratelimited", seconds=f"{seconds:g}")


class RecipientGone(SlackError):
    """The channel or person can't be written to, now or later, unless somebody changes something."""

    code = "slack-recipient-gone"
    what = mark("Slack won't take messages for that channel or person ({error}).")
    consequence = mark("The export itself is not touched by it; its reports were not delivered there.")
    remedy = mark("Invite the bot to the channel with /invite, or edit the export and choose another report channel.")


class MessageGone(SlackError):
    """The message can't be changed any more."""

    code = "slack-message-gone"
    what = mark("The message can't be changed any more ({error}).")


class ViewGone(SlackError):
    """The modal was closed, or it is too late to open one (a trigger lives three seconds)."""

    code = "slack-view-gone"
    what = mark("The window could not be shown: it was closed, or Slack was too slow.")
    consequence = mark("Nothing was changed.")
    remedy = mark("Open it again.")


class ViewChanged(SlackError):
    """The view was changed by something newer."""

    code = "slack-view-changed"
    what = mark("This has changed in the meantime.")
    consequence = mark("Nothing was changed.")
    remedy = mark("Open it again to see how it stands.")


class ScopeMissing(SlackError):
    code = "slack-scope-missing"
    what = mark("The Slack app lacks the permission {needed} ({method}).")
    remedy = mark("Reinstall the app with the manifest of this version.")


class TokenRefused(SlackError):
    code = "slack-token-refused"
    what = mark("Slack does not accept the {token} ({error}).")
    consequence = mark("The bot can neither hear nor answer.")
    remedy = mark("Copy the token again from the app's settings at api.slack.com/apps, and start the bot again.")

    def __init__(self, *, method: str, error: str, token: str = "bot token") -> None:  # noqa: S107  its name
        super().__init__(method=method, error=error, token=token)


class SlackRefused(SlackError):
    """Slack found a request wrong: a mistake of ours."""

    code = "slack-refused"


_RECIPIENT = {
    "channel_not_found", "not_in_channel", "is_archived", "user_not_found", "user_not_visible", "cannot_dm_bot",
    "restricted_action", "restricted_action_read_only_channel", "messages_tab_disabled", "user_disabled",
    "user_not_in_channel", "is_inactive",
}  # fmt: skip
_MESSAGE = {"message_not_found", "cant_update_message", "edit_window_closed"}
_VIEW = {"expired_trigger_id", "exchanged_trigger_id", "trigger_expired", "invalid_trigger_id", "push_limit_reached",
         "trigger_exchanged", "view_not_found"}  # fmt: skip
_TOKEN = {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type"}
_AWAY = {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"}


def error_of(method: str, error: str, *, needed: str = "") -> SlackError:
    """The typed error for one of Slack's error codes."""
    if error in _TOKEN:
        return TokenRefused(method=method, error=error)
    if error == "missing_scope":
        return ScopeMissing(method=method, error=error, needed=needed)
    if error == "hash_conflict":
        return ViewChanged(method=method, error=error)
    if error in _VIEW or (error == "not_found" and method.startswith("views.")):
        return ViewGone(method=method, error=error)
    if error in _RECIPIENT:
        return RecipientGone(method=method, error=error)
    if error in _MESSAGE:
        return MessageGone(method=method, error=error)
    return SlackAway(method=method, error=error) if error in _AWAY else SlackRefused(method=method, error=error)
