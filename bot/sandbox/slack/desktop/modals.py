"""Submitting and closing modals, and looking at the app's Home."""

from typing import Any

from bot.sandbox.slack import interactions
from bot.sandbox.slack.desktop.outcome import Outcome
from bot.sandbox.slack.desktop.screen import Screen
from bot.sandbox.slack.elements import placed_elements
from bot.sandbox.slack.errors import Json, Refused, SlackError
from bot.sandbox.slack.methods.views import checked_view
from bot.sandbox.slack.socket_mode import NoAck
from bot.sandbox.slack.views import TROUBLE, View


class Modals:
    """What a person does with whole views."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._emulator = screen.emulator
        self._person = screen.person

    async def submit(self) -> Outcome:
        """Press the submit button of the open modal. Inputs are checked first; nothing is sent if one is wrong."""
        emulator = self._emulator
        view = self._screen.top_modal()
        if not view.definition.get("submit"):
            raise Refused("no_submit", f"The modal “{view.title}” has no submit button.")
        problems = view.form.problems(view.blocks)
        if problems:
            emulator.views.annotate(view, errors=problems)
            return Outcome(errors=problems)
        payload = interactions.view_submission(
            emulator.workspace,
            self._person,
            emulator.views.payload(view),
            emulator.triggers.issue(self._person.id, view.channel, view.id),
            self._response_urls(view),
        )
        answer = await emulator.sockets.deliver("interactive", payload)
        if isinstance(answer, NoAck):
            return self._trouble(view, answer.error, acknowledged=False)
        return self._answered(view, answer.payload)

    def _response_urls(self, view: View) -> list[Json]:
        """A response URL for each chosen conversation whose select asks for one."""
        urls = []
        for placed in placed_elements(view.blocks):
            channel = view.form.get(placed) if placed.element.get("response_url_enabled") else None
            if channel:
                url = self._emulator.action_response_url(self._person.id, channel)
                ids = {"block_id": placed.block_id, "action_id": placed.action_id}
                urls.append({**ids, "channel_id": channel, "response_url": url})
        return urls

    def _answered(self, view: View, payload: Json | None) -> Outcome:
        """Apply the `response_action` of the acknowledgement; without one only this view closes."""
        views = self._emulator.views
        if not payload:
            views.close(view)
            return Outcome(sent=True, acknowledged=True, closed=True)
        try:
            match payload.get("response_action"):
                case "errors":
                    errors = _named_errors(view, payload.get("errors"))
                    views.annotate(view, errors=errors)
                    return Outcome(sent=True, acknowledged=True, errors=errors)
                case "update":
                    views.update(view, checked_view(payload.get("view"), "modal"))
                case "push":
                    views.push(self._person.id, checked_view(payload.get("view"), "modal"), view.channel)
                case "clear":
                    views.clear(self._person.id)
                    return Outcome(sent=True, acknowledged=True, closed=True)
                case _:
                    raise SlackError("invalid_response_action")
        except SlackError as error:
            return self._trouble(view, error.code, acknowledged=True)
        return Outcome(sent=True, acknowledged=True)

    def _trouble(self, view: View, error: str, *, acknowledged: bool) -> Outcome:
        self._emulator.note(self._person.id, error, TROUBLE)
        self._emulator.views.annotate(view, trouble=TROUBLE)
        return Outcome(sent=True, acknowledged=acknowledged, error=error, notice=TROUBLE)

    async def close(self, *, everything: bool = False) -> Outcome:
        """Press Cancel, or with `everything` the X, which closes the whole stack."""
        emulator = self._emulator
        view = self._screen.top_modal()
        everything = everything or bool(view.definition.get("clear_on_close"))
        told = emulator.views.stack(self._person.id)[0] if everything else view
        shown = emulator.views.payload(told)
        if everything:
            emulator.views.clear(self._person.id)
        else:
            emulator.views.close(view)
        if not told.definition.get("notify_on_close"):
            return Outcome(closed=True)
        payload = interactions.view_closed(emulator.workspace, self._person, shown, is_cleared=everything)
        answer = await emulator.sockets.deliver("interactive", payload)
        error = answer.error if isinstance(answer, NoAck) else None
        return Outcome(sent=True, acknowledged=error is None, error=error, closed=True)

    async def open_home(self, tab: str = "home") -> Outcome:
        """Look at the app's Home or Messages tab; whatever the app says, the tab shows what was published last."""
        emulator = self._emulator
        if tab == "home":
            if not emulator.home_enabled:
                raise Refused("home_disabled", "This app has no Home tab.")
            emulator.at_home.add(self._person.id)
        home = emulator.views.homes.get(self._person.id)
        shown = emulator.views.payload(home) if home and tab == "home" else None
        answer = await emulator.events.home_opened(self._person, tab, shown)
        if answer is None:
            return Outcome()
        error = answer.error if isinstance(answer, NoAck) else None
        return Outcome(sent=True, acknowledged=error is None, error=error)


def _named_errors(view: View, errors: Any) -> dict[str, str]:
    """The errors of an answer, which must name input blocks of the view and say something about each."""
    inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
    if not isinstance(errors, dict) or not errors or not errors.keys() <= inputs:
        raise SlackError("invalid_errors")
    if not all(isinstance(text, str) and text for text in errors.values()):
        raise SlackError("invalid_errors")
    return errors
