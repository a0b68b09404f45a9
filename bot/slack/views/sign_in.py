"""Adding an export user: in whose name profiles are read, the code to sign in with, and what came of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.i18n import Translator
from bot.slack.ids import Action, Field, Modal
from bot.slack.views import common, kit
from bot.slack.views.kit import Json, safe
from bot.slack.views.words import mention

PERSON, APP = "person", "app"  # values of the choice who reads
SIGNED_OUT = {"sign-in-again", "sign-in-more-proof", "sign-in-nobody", "environment-changed"}
"""Codes of errors that end once somebody signs in."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who is to read for a connection, as its form shows it. `account`: who has signed in so far; empty for nobody."""

    app_offered: bool = False
    app: bool = False
    account: str = ""


def reader_inputs(t: Translator, reader: Reader) -> list[Json]:
    """The part of the connection's form about its export user."""
    _ = t.gettext
    blocks = [
        kit.section(
            _(
                "*Export user*\nProfiles and segments are read in the name of an account that may see Customer "
                "Insights. Your password stays with Microsoft; what lets us read is stored encrypted."
            )
        )
    ]
    if reader.app_offered:
        options = [
            kit.option(_("Me: I sign in with Microsoft"), PERSON),
            kit.option(_("The app of this installation, in its own name"), APP),
        ]
        choice = kit.radio(options, APP if reader.app else PERSON)
        blocks.append(kit.field(_("Who reads"), choice, Field.READER, dispatch=True))
    if reader.app:
        return blocks
    if reader.account:
        said = _(":white_check_mark: Signed in as *{account}*.").format(account=safe(reader.account))
        again = kit.button(_("Sign in as somebody else"), Action.ADD_EXPORT_USER)
        return [*blocks, kit.section(said, again, block="export-user")]
    add = kit.button(_("Add yourself as export user"), Action.ADD_EXPORT_USER, style="primary")
    return [*blocks, kit.actions(add, block="export-user")]


def code_view(t: Translator, code: str, link: str, expires_at: datetime, zone: str) -> Json:
    """Where to sign in and with which code. It changes by itself."""
    _ = t.gettext
    steps = _(
        "1. Open <{link}> in your browser.\n2. Enter the code *`{code}`*.\n3. Sign in with the account that may see "
        "Customer Insights, and allow it to be used here."
    )
    return kit.modal(
        _("Add export user"),
        [
            kit.section(steps.format(link=link, code=safe(code))),
            kit.context(
                _(
                    ":hourglass_flowing_sand: Waiting for you to sign in, until {time}. This window changes by itself; "
                    "you may close it meanwhile and will hear in a message."
                ).format(time=t.time(expires_at, zone))
            ),
        ],
        callback=Modal.NOTICE,
        close=_("Close"),
    )


def checking_view(t: Translator) -> Json:
    _ = t.gettext
    said = _(":hourglass_flowing_sand: You are signed in. Looking whether you can read profiles and segments…")
    return kit.modal(_("Add export user"), [kit.section(said)], callback=Modal.NOTICE, close=_("Close"))


def ended_view(t: Translator, text: str, *, again: str) -> Json:
    """It came to nothing: what happened, and a new code. `again`: the value of the button."""
    _ = t.gettext
    button = kit.button(_("Get a new code"), Action.ADD_EXPORT_USER, again, style="primary")
    return kit.modal(
        _("Add export user"),
        [kit.alert(text, "warning"), kit.actions(button)],
        callback=Modal.NOTICE,
        close=_("Close"),
    )


def unfit_view(t: Translator, account: str, problem: str, *, check: str, again: str) -> Json:
    """Signed in, but not able to read: who can mend it, and two ways on."""
    _ = t.gettext
    signed_in = _("You are signed in as *{account}*, who can't read yet.").format(account=safe(account))
    return kit.modal(
        _("Add export user"),
        [
            kit.section(signed_in),
            kit.alert(problem),
            kit.actions(
                kit.button(_("Check again"), Action.CHECK_EXPORT_USER, check, style="primary"),
                kit.button(_("Sign in as somebody else"), Action.ADD_EXPORT_USER, again),
            ),
        ],
        callback=Modal.NOTICE,
        close=_("Close"),
    )


def done_view(t: Translator, account: str, connection: str) -> Json:
    """`connection`: its name; empty while it is not saved yet."""
    return common.notice(t, t.gettext("Export user added"), done_words(t, account, connection))


def done_words(t: Translator, account: str, connection: str) -> str:
    _ = t.gettext
    facts = {"account": safe(account) or _("the app of this installation"), "connection": safe(connection)}
    if connection:
        return _("*{connection}* reads profiles as *{account}* now.").format(**facts)
    return _("Signed in as *{account}*, who can read profiles and segments. Go on in the form and save it.").format(
        **facts
    )


def done_message(t: Translator, account: str, connection: str) -> Json:
    """For somebody who has closed the window meanwhile."""
    _ = t.gettext
    if connection:
        return common.note(done_words(t, account, connection))
    said = _(
        "You are signed in as *{account}*, who can read profiles and segments. It is kept for a day: go on connecting, "
        "and it is there."
    ).format(account=safe(account))
    return common.note(said, [kit.button(_("Connect Omnisend"), Action.CONNECT, style="primary")])


def unfit_message(t: Translator, account: str, problem: str, *, check: str) -> Json:
    _ = t.gettext
    said = _("You are signed in as *{account}*, who can't read yet. {problem}").format(
        account=safe(account), problem=problem
    )
    return common.note(said, [kit.button(_("Check again"), Action.CHECK_EXPORT_USER, check, style="primary")])


def replace_view(t: Translator, connection_id: int, name: str, reads_as: str, *, app_offered: bool) -> Json:
    """Changing the export user of a connection: what it is now, and the ways to another."""
    _ = t.gettext
    now = (
        _("*{name}* reads profiles as *{account}*.").format(name=safe(name), account=safe(reads_as))
        if reads_as
        else _("*{name}* has no export user, so it can't read profiles.").format(name=safe(name))
    )
    app = kit.button(_("Let the app read"), Action.USE_APP, connection_id) if app_offered else None
    return kit.modal(
        _("Export user"),
        [
            kit.section(now),
            kit.section(
                _("Until another one has signed in and was seen to work, nothing changes; exports go on as they are.")
            ),
            kit.actions(
                kit.button(
                    _("Sign in with Microsoft"), Action.ADD_EXPORT_USER, f"again-{connection_id}", style="primary"
                ),
                app,
            ),
        ],
        callback=Modal.NOTICE,
        close=_("Close"),
    )


def reads_as(t: Translator, account: str, added_by: str, added_at: datetime, good_until: datetime | None) -> str:
    """In whose name a connection reads, as a line for admins."""
    _ = t.gettext
    name = safe(account) or _("the app of this installation")
    said = _("Reads as *{account}*, added by {person}, {date}").format(
        account=name, person=mention(added_by), date=t.date(added_at)
    )
    return said + (" · " + _("good until {date}").format(date=t.date(good_until)) if good_until else "")


# --- what is told


def due_message(t: Translator, facts: dict[str, Any]) -> Json:
    """A sign-in goes stale soon."""
    _ = t.gettext
    said = _(
        "The sign-in with which *{connection}* reads profiles ends on {date}: it is not used often enough to be "
        "renewed. Sign in again before that, so that exports go on."
    )
    if facts.get("kind") == APP:
        said = _(
            "The certificate with which *{connection}* reads profiles ends on {date}. Whoever runs Segment Ferry has "
            "to put a new one in its place before that."
        )
    text = said.format(connection=safe(facts["connection"]), date=t.date(datetime.fromisoformat(str(facts["until"]))))
    return common.note(text, [] if facts.get("kind") == APP else [sign_in_again(t, str(facts["connection_id"]))])


def over_message(t: Translator, facts: dict[str, Any]) -> Json:
    """A sign-in has ended."""
    _ = t.gettext
    said = _(
        "The sign-in with which *{connection}* reads profiles has ended, so its exports can't run. Sign in again, or "
        "let another admin do it in your place."
    ).format(connection=safe(facts["connection"]))
    return common.note(said, [sign_in_again(t, str(facts["connection_id"]))])


def sign_in_again(t: Translator, value: str) -> Json:
    """`value`: the connection's id, or `export-N` for that of an export."""
    return kit.button(t.gettext("Sign in again"), Action.SIGN_IN_AGAIN, value, style="primary")
