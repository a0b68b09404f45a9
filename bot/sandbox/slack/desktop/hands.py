"""Clicking, choosing and typing on what is shown."""

from typing import Any

from bot.sandbox.slack import interactions
from bot.sandbox.slack.desktop.choices import Choices
from bot.sandbox.slack.desktop.outcome import Outcome
from bot.sandbox.slack.desktop.screen import Found, Screen, Target
from bot.sandbox.slack.elements import Placed
from bot.sandbox.slack.errors import Json, Refused
from bot.sandbox.slack.forms import TYPED, VALUE_KEYS
from bot.sandbox.slack.methods.chat import message_json
from bot.sandbox.slack.socket_mode import NoAck
from bot.sandbox.slack.views import TROUBLE, View

NO_ANSWER = "The app did not respond."


class Hands:
    """What a person does with the elements before them."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._emulator = screen.emulator
        self._person = screen.person
        self._choices = Choices(screen)

    async def click(self, target: Target, *, confirm: bool = False) -> Outcome:
        """Click a button, or an entry of an overflow menu by its text."""
        found, option = self._screen.find_clickable(target)
        _check_confirmed(found.placed, confirm)
        outcome = await self._tell(found, option)
        outcome.url = (option or found.placed.element).get("url")
        return outcome

    async def choose(self, target: Target, value: Any, *, confirm: bool = False, query: str | None = None) -> Outcome:
        """Choose in a select, radio group, checkbox group, picker or overflow menu.

        `value` is an option's text or value, a person, a channel, a date, or a list of them (then all that is to be
        chosen afterwards); None clears. An external select is asked with `query`, or else with the value.
        """
        found = self._screen.find(target, lambda placed: placed.kind not in TYPED and placed.kind != "button")
        chosen = await self._choices.made(found, value, query)
        _check_confirmed(found.placed, confirm)
        if found.placed.kind == "overflow":
            return await self._tell(found, chosen)
        return await self._put(found, chosen, dispatch=found.placed.dispatches)

    async def type(self, target: Target, text: str, *, enter: bool = False) -> Outcome:
        """Type into a text input, replacing what is there; `enter` presses Enter at the end."""
        found = self._screen.find(target, lambda placed: placed.kind in TYPED)
        config = found.placed.element.get("dispatch_action_config", {})
        triggers = config.get("trigger_actions_on") or ["on_enter_pressed"]
        triggered = "on_character_entered" in triggers or (enter and "on_enter_pressed" in triggers)
        value = _rich(text) if text and found.placed.kind == "rich_text_input" else text or None
        return await self._put(found, value, dispatch=found.placed.dispatches and triggered)

    async def enter(self, target: Target, value: Any, *, confirm: bool = False, query: str | None = None) -> Outcome:
        """Type or choose, whichever the element takes. A boolean ticks or unticks the checkbox of that name."""
        if isinstance(value, bool):
            return await self._tick(target, on=value, confirm=confirm)
        found = self._screen.find(target, lambda placed: placed.kind in VALUE_KEYS or placed.kind == "overflow")
        exact = Target(found.placed.action_id, found.placed.block_id, target.surface, target.ts)
        if found.placed.kind in TYPED:
            return await self.type(exact, "" if value is None else str(value))
        return await self.choose(exact, value, confirm=confirm, query=query)

    async def suggest(self, target: Target, query: str) -> list[Json]:
        """What an external select offers for a query: options, with those of groups opened."""
        found = self._screen.find(target, lambda placed: placed.kind in ("external_select", "multi_external_select"))
        return await self._choices.asked(found, query)

    async def _tick(self, target: Target, *, on: bool, confirm: bool) -> Outcome:
        for place in self._screen.places(target):
            for placed in self._screen.visible(place):
                if option := _checkbox(placed, target):
                    _check_confirmed(placed, confirm)
                    found = Found(placed, place)
                    ticked = {one.get("value") for one in self._screen.form(place).get(placed)}
                    ticked = ticked | {option["value"]} if on else ticked - {option["value"]}
                    chosen = [one for one in placed.options() if one["value"] in ticked]
                    return await self._put(found, chosen, dispatch=placed.dispatches)
        raise self._screen.not_there(target)

    async def _put(self, found: Found, value: Any, *, dispatch: bool) -> Outcome:
        """Put a value into an input, and tell the app if the input does so."""
        self._screen.form(found.place).put(found.placed, value)
        if isinstance(found.place, View):
            self._emulator.views.touched(found.place)
        return await self._tell(found, value) if dispatch else Outcome()

    async def _tell(self, found: Found, value: Any) -> Outcome:
        """Send `block_actions`."""
        emulator, place = self._emulator, found.place
        action = interactions.action(found.placed, value, emulator.workspace.new_ts())
        answer = await emulator.sockets.deliver("interactive", self._payload(found, action))
        if not isinstance(answer, NoAck):
            return Outcome(sent=True, acknowledged=True)
        if isinstance(place, View):
            emulator.note(self._person.id, answer.error, NO_ANSWER)
            emulator.views.annotate(place, errors=place.errors, trouble=TROUBLE)
        else:
            emulator.note(self._person.id, answer.error, NO_ANSWER, place.channel)
        return Outcome(sent=True, error=answer.error, notice=NO_ANSWER)

    def _payload(self, found: Found, action: Json) -> Json:
        emulator, person, place = self._emulator, self._person, found.place
        ws = emulator.workspace
        if isinstance(place, View):
            trigger = emulator.triggers.issue(person.id, place.channel, place.id)
            return interactions.view_actions(ws, person, place, emulator.views.payload(place), action, trigger)
        return interactions.message_actions(
            ws,
            person,
            ws.channels[place.channel],
            place,
            message_json(emulator, place),
            self._screen.form(place).values,
            action,
            emulator.action_response_url(person.id, place.channel, place.ts),
            emulator.triggers.issue(person.id, place.channel),
        )


def _check_confirmed(placed: Placed, confirm: bool) -> None:
    dialog = placed.element.get("confirm")
    if dialog and not confirm:
        message = f"“{placed.label}” asks for confirmation first; confirm it."
        raise Refused("confirm_needed", message, dialog=dialog)


def _checkbox(placed: Placed, target: Target) -> Json | None:
    """The option of a checkbox group that a person would call so: by its own text, or the only one by the label."""
    if placed.kind != "checkboxes" or target.block_id not in ("", placed.block_id):
        return None
    options = placed.options()
    for option in options:
        if target.element in (option["text"]["text"], option["value"]):
            return option
    return options[0] if len(options) == 1 and target.element in placed.names() else None


def _rich(text: str) -> Json:
    words = {"type": "text", "text": text}
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [words]}]}
