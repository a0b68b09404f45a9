"""What selects and pickers offer, and whether a choice is one of it."""

from typing import Any

from bot.sandbox.slack import interactions
from bot.sandbox.slack.blockkit import validate_options
from bot.sandbox.slack.desktop.screen import Found, Screen
from bot.sandbox.slack.elements import Placed
from bot.sandbox.slack.errors import Json, Refused
from bot.sandbox.slack.forms import holds_several, parse_moment
from bot.sandbox.slack.methods.chat import message_json
from bot.sandbox.slack.socket_mode import NoAck
from bot.sandbox.slack.views import View
from bot.sandbox.slack.workspace import Message

DEFAULT_QUERY_LENGTH = 3  # of external selects
NO_OPTIONS = "Could not load options."


class Choices:
    """Turns what a person says they choose into what the element then holds."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._emulator = screen.emulator

    async def made(self, found: Found, value: Any, query: str | None) -> Any:
        """The value of the element after the choice. Refuses what the element does not offer."""
        placed = found.placed
        several = holds_several(placed.kind)
        wanted = value if isinstance(value, list) else [] if value is None else [value]
        if several:
            most = placed.element.get("max_selected_items")
            if most and len(wanted) > most:
                raise Refused("too_many", f"“{placed.label}” takes at most {most} choices, not {len(wanted)}.")
            return [await self._one(found, one, query) for one in wanted]
        if len(wanted) > 1:
            raise Refused("bad_value", f"“{placed.label}” takes one choice.", status=422)
        return await self._one(found, wanted[0], query) if wanted else None

    async def _one(self, found: Found, value: Any, query: str | None) -> Any:
        placed = found.placed
        match placed.kind.removeprefix("multi_"):
            case "users_select":
                return self._person(placed, str(value))
            case "conversations_select" | "channels_select":
                return self._channel(placed, str(value))
            case "datepicker" | "timepicker" | "datetimepicker":
                return parse_moment(placed, value)
            case "external_select":
                options = await self.asked(found, str(value) if query is None else query)
            case _:
                options = placed.options()
        for option in options:
            if value in (option["text"]["text"], option.get("value")):
                return option
        offered = ", ".join(f"“{option['text']['text']}”" for option in options) or "nothing"
        raise Refused("no_such_option", f"“{placed.label}” has no option {value!r}; it offers {offered}.")

    def _person(self, placed: Placed, key: str) -> str:
        person = self._emulator.workspace.find_person(key)
        if person is None or person.deleted:
            raise Refused("no_such_option", f"“{placed.label}” offers no person {key!r}.")
        return person.id

    def _channel(self, placed: Placed, key: str) -> str:
        channel = self._emulator.workspace.find_channel(key)
        kinds = placed.element.get("filter", {}).get("include")
        if "channels" in placed.kind:
            kinds = ["public"]
        offered = (
            channel is not None
            and not channel.archived
            and (channel.kind == "public" or self._screen.person.id in channel.members)
            and (kinds is None or channel.kind in kinds)
        )
        if channel is None or not offered:
            raise Refused("no_such_option", f"“{placed.label}” offers no conversation {key!r}.")
        return channel.id

    async def asked(self, found: Found, query: str) -> list[Json]:
        """The options that the app offers for a query (`block_suggestion`), those of groups opened."""
        emulator, placed = self._emulator, found.placed
        shortest = placed.element.get("min_query_length", DEFAULT_QUERY_LENGTH)
        if len(query) < shortest:
            message = f"“{placed.label}” asks for at least {shortest} characters before it offers options."
            raise Refused("query_too_short", message)
        where = self._where(found.place)
        payload = interactions.block_suggestion(emulator.workspace, self._screen.person, placed, query, where)
        answer = await emulator.sockets.deliver("interactive", payload)
        if isinstance(answer, NoAck):
            emulator.note(self._screen.person.id, answer.error, NO_OPTIONS)
            raise Refused("no_options", f"{NO_OPTIONS} The app did not respond.", cause=answer.error)
        problems = validate_options(answer.payload)
        if answer.payload is None or problems:
            emulator.note(self._screen.person.id, "invalid_options", NO_OPTIONS)
            raise Refused("no_options", f"{NO_OPTIONS} The app's answer is not valid: {problems[0]}.")
        groups = answer.payload.get("option_groups", [])
        return [*answer.payload.get("options", []), *(option for group in groups for option in group["options"])]

    def _where(self, place: View | Message) -> Json:
        """The part of the question that says where the select stands."""
        emulator = self._emulator
        if isinstance(place, View):
            return {"container": {"type": "view", "view_id": place.id}, "view": emulator.views.payload(place)}
        channel = emulator.workspace.channels[place.channel]
        return {
            "container": {"type": "message", "message_ts": place.ts, "channel_id": channel.id},
            "channel": {"id": channel.id, "name": interactions.channel_name(channel)},
            "message": message_json(emulator, place),
        }
