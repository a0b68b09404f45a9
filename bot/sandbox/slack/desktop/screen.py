"""What one person sees, and how the things in it are found by name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bot.sandbox.slack.elements import STATELESS, Placed, placed_elements
from bot.sandbox.slack.emulator import Emulator
from bot.sandbox.slack.errors import Json, Refused
from bot.sandbox.slack.forms import Form
from bot.sandbox.slack.views import View
from bot.sandbox.slack.workspace import Channel, Message, Person

LISTED = 5  # places whose elements a refusal lists


@dataclass(frozen=True, slots=True)
class Target:
    """Which element is meant: by label, text, placeholder, action_id or block_id, and where it is sought.

    `surface` is `modal`, `home` or a channel. Without it: the open modal if there is one (it lies over everything);
    else the newest message that has the element, or Home before the messages if the person looked there last.
    """

    element: str
    block_id: str = ""
    surface: str = ""
    ts: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """An element on the screen, and the view or message that it stands in."""

    placed: Placed
    place: View | Message


class Screen:
    """What one person sees of the workspace."""

    def __init__(self, emulator: Emulator, person: Person) -> None:
        self.emulator = emulator
        self.person = person

    def channel(self, key: str) -> Channel:
        """A channel that the person can read, by id or name; `dm` or the app's name: the direct message with it."""
        ws = self.emulator.workspace
        if key in ("dm", f"@{ws.bot.name}", ws.bot.id):
            return ws.direct_channel(ws.bot.id, self.person.id)
        channel = ws.find_channel(key)
        if channel is None:
            raise Refused("no_such_channel", f"There is no channel {key!r}.", status=404)
        if channel.kind != "public" and self.person.id not in channel.members:
            raise Refused("not_in_channel", f"{self.person.name} is not in #{channel.name}.")
        return channel

    def top_modal(self) -> View:
        """The modal that can be used; those below it can't."""
        stack = self.emulator.views.stack(self.person.id)
        if not stack:
            raise Refused("no_modal", f"{self.person.name} has no modal open.")
        return stack[-1]

    def form(self, place: View | Message) -> Form:
        """What stands in the inputs of a view or message."""
        return place.form if isinstance(place, View) else self.emulator.message_form(self.person.id, place)

    def find(self, target: Target, suits: Callable[[Placed], bool]) -> Found:
        """The element that is meant, among those that suit. Refuses what is not there, or not the only one."""
        for place in self.places(target):
            matches = [placed for placed in self.visible(place) if suits(placed) and _matches(placed, target)]
            by_id = [placed for placed in matches if placed.action_id == target.element]
            if len(by_id or matches) > 1:
                message = f"“{target.element}” is there {len(matches)} times; give the block_id too."
                raise Refused("ambiguous", message)
            if matches:
                return Found((by_id or matches)[0], place)
        raise self.not_there(target)

    def find_clickable(self, target: Target) -> tuple[Found, Json | None]:
        """A button; or, where there is none of the name, an entry of an overflow menu with its option."""
        try:
            return self.find(target, lambda placed: placed.kind in STATELESS - {"overflow"}), None
        except Refused as refusal:
            entry = self._menu_entry(target) if refusal.reason == "not_on_screen" else None
            if entry is None:
                raise
            return entry

    def _menu_entry(self, target: Target) -> tuple[Found, Json] | None:
        for place in self.places(target):
            for placed in self.visible(place):
                for option in placed.options() if placed.kind == "overflow" else ():
                    if option["text"]["text"] == target.element and target.block_id in ("", placed.block_id):
                        return Found(placed, place), option
        return None

    def places(self, target: Target) -> Iterator[View | Message]:
        """The views and messages where the target may stand, the likeliest first."""
        emulator, person = self.emulator, self.person
        if target.surface == "modal" or (not target.surface and emulator.views.stack(person.id)):
            yield self.top_modal()
            return
        home = emulator.views.homes.get(person.id)
        if target.surface == "home" and home is None:
            raise Refused("no_home", f"{person.name} sees no Home: the app has published none.")
        homes = [home] if home is not None and target.surface in ("", "home") else []
        messages = [] if target.surface == "home" else self._messages(target)
        at_home = person.id in emulator.at_home
        yield from homes if at_home else messages
        yield from messages if at_home else homes

    def _messages(self, target: Target) -> list[Message]:
        """The messages that the person sees where the target says, newest first."""
        ws = self.emulator.workspace
        if target.surface:
            channels = [self.channel(target.surface)]
        else:
            channels = [one for one in ws.channels.values() if self.person.id in one.members]
        seen = [message for channel in channels for message in ws.seen_by(self.person.id, channel.id)]
        named = [message for message in seen if target.ts in ("", message.ts)]
        return sorted(named, key=lambda message: float(message.ts), reverse=True)

    def visible(self, place: View | Message) -> list[Placed]:
        """The elements of a view or message that this person is shown."""
        blocks = place.blocks if isinstance(place, View) else place.all_blocks
        return [placed for placed in placed_elements(blocks) if self._is_shown(placed)]

    def _is_shown(self, placed: Placed) -> bool:
        allowed = placed.element.get("visible_to_user_ids")
        return allowed is None or self.person.id in allowed

    def not_there(self, target: Target) -> Refused:
        """The refusal for something that is not on the screen; it lists what is."""
        places = list(self.places(target))
        there = [
            f"“{placed.label}” ({placed.kind} {placed.action_id})"
            for place in places[:LISTED]
            for placed in self.visible(place)
        ]
        in_modal = bool(places) and isinstance(places[0], View) and places[0].kind == "modal"
        where = "the open modal" if in_modal else target.surface or "the screen"
        message = f"“{target.element}” is not on {where} for {self.person.name}. "
        message += f"There is: {'; '.join(there) or 'nothing to use'}."
        return Refused("not_on_screen", message, elements=there)


def _matches(placed: Placed, target: Target) -> bool:
    if target.block_id and placed.block_id != target.block_id:
        return False
    return not target.element or target.element in placed.names()
