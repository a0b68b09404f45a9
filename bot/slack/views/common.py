"""Views and messages that several flows use: waiting, saying, failing, helping."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.i18n import Translator
from bot.slack.ids import Action, Modal
from bot.slack.parse import Verb
from bot.slack.views import kit
from bot.slack.views.kit import Json, safe


def loading(t: Translator, title: str) -> Json:
    return kit.modal(title, [kit.section(t.gettext("One moment…"))], callback=Modal.NOTICE, close=t.gettext("Close"))


def notice(t: Translator, title: str, *texts: str, buttons: Sequence[Json] = ()) -> Json:
    """Something to read, and perhaps a next step."""
    blocks = [kit.section(text) for text in texts if text]
    return kit.modal(
        title, [*blocks, *([kit.actions(*buttons)] if buttons else [])], callback=Modal.NOTICE, close=t.gettext("Close")
    )


def as_modal(t: Translator, title: str, message: Json) -> Json:
    """A message's blocks in a modal, for where there is no channel to answer in. Modals take no charts."""
    blocks = [block for block in message["blocks"] if block["type"] != "data_visualization"]
    return kit.modal(title, blocks, callback=Modal.NOTICE, close=t.gettext("Close"))


def note(text: str, buttons: Sequence[Json] = ()) -> Json:
    """A short message: mrkdwn, with what may be done next."""
    return kit.message(text, [kit.section(text), *([kit.actions(*buttons)] if buttons else [])])


# --- errors


def unexpected(t: Translator, reference: str) -> str:
    """For an error that nobody foresaw; `reference` stands in the log as well."""
    _ = t.gettext
    return _(
        "Something unexpected went wrong on our side. What was saved before is safe. Try again; if it comes back, "
        "give this code to whoever runs Segment Ferry: *{reference}*"
    ).format(reference=reference)


def error_view(t: Translator, text: str) -> Json:
    return kit.modal(
        t.gettext("That did not work"), [kit.alert(text, "error")], callback=Modal.NOTICE, close=t.gettext("Close")
    )


def error_message(t: Translator, text: str) -> Json:
    return kit.message(text, [kit.section(f":warning: {text}")])


def changed_view(t: Translator, text: str = "", buttons: Sequence[Json] = ()) -> Json:
    """For a modal that outlived its meaning, with a way to how things stand now."""
    said = text or t.gettext("This has changed since the window was opened. Nothing was saved; open it again.")
    return notice(t, t.gettext("This has changed"), said, buttons=buttons)


# --- help


def help_message(t: Translator, *, is_admin: bool, has_connection: bool) -> Json:
    """What the bot can do, the likely next step first."""
    _ = t.gettext
    intro = _(
        "*Segment Ferry* brings your customer segments to Omnisend and keeps them equal there: people who join a "
        "segment are added, people who leave it are taken out, changed values are updated."
    )
    return kit.message(
        _("Segment Ferry: what you can do."),
        [
            kit.section(intro),
            kit.section(_next_step(t, is_admin=is_admin, has_connection=has_connection)),
            kit.actions(*_help_buttons(t, is_admin=is_admin, has_connection=has_connection)),
            kit.divider(),
            kit.section(_commands(t)),
            kit.context(
                _("The app's Home tab shows everything at a glance: exports, last and next runs, connections.")
            ),
        ],
    )


def _next_step(t: Translator, *, is_admin: bool, has_connection: bool) -> str:
    _ = t.gettext
    if not has_connection and is_admin:
        return _("*First step:* connect your Omnisend brand with an API key. It takes a minute.")
    if not has_connection:
        return _("*First step:* ask an admin for a connection to Omnisend. You hear when it is ready.")
    return _("*Next:* set up an export, look at its preview, and run it. Saving never sends anything.")


def _help_buttons(t: Translator, *, is_admin: bool, has_connection: bool) -> list[Json]:
    _ = t.gettext
    connect = kit.button(_("Connect Omnisend"), Action.CONNECT)
    request = kit.button(_("Request a connection"), Action.REQUEST_CONNECTION)
    export = kit.button(_("New export"), Action.EXPORT)
    status = kit.button(_("Status"), Action.STATUS)
    exports = kit.button(_("All exports"), Action.EXPORTS)
    buttons = [export, exports, status] if has_connection else [connect if is_admin else request, exports, status]
    buttons[0]["style"] = "primary"
    return buttons


def _commands(t: Translator) -> str:
    _ = t.gettext
    rows = [
        ("connect", _("connect an Omnisend brand")),
        ("export", _("set up a new export")),
        ("preview NAME", _("see what a run would do; nothing is sent")),
        ("run NAME", _("run an export now; `run all` runs those with an active schedule")),
        ("status", _("what runs, and what ran last")),
        ("history NAME", _("the last runs, as a chart and a table")),
        ("edit · duplicate · pause · resume · detach · remove NAME", _("change an export")),
        ("connections · refresh · admins", _("settings of the workspace")),
    ]
    return "\n".join(f"`/ferry {words}` – {meaning}" for words, meaning in rows)


def unknown_command(t: Translator, typed: str, near: Verb | None, rest: str) -> Json:
    _ = t.gettext
    typed = safe(kit.cut(typed, 60))
    if near is None:
        text = _("I don't know “{typed}”.").format(typed=typed)
    else:
        guess = safe(kit.cut(f"/ferry {near} {rest}".strip(), 100))
        text = _("I don't know “{typed}”. Did you mean `{guess}`?").format(typed=typed, guess=guess)
    return note(text, [kit.button(_("Show what I can do"), Action.HELP)])


# --- choosing among exports


@dataclass(frozen=True, slots=True)
class Choice:
    """An export that a command without a name offers."""

    id: int
    name: str
    detail: str = ""


def choose_export(t: Translator, text: str, label: str, action: Action, choices: Sequence[Choice]) -> Json:
    """One row an export, each with the same button."""
    shown = choices[:20]
    blocks = [kit.section(text)]
    for choice in shown:
        detail = f"\n{choice.detail}" if choice.detail else ""
        button = kit.button(label, action, choice.id, label=f"{label} {choice.name}")
        blocks.append(kit.section(f"*{safe(choice.name)}*{detail}", button, block=f"choice-{choice.id}"))
    if len(choices) > len(shown):
        more = t.gettext("… and {count} more: give the name, or look in the app's Home.")
        blocks.append(kit.context(more.format(count=t.number(len(choices) - len(shown)))))
    return kit.message(text, blocks)
