"""How a method is declared, and how it reads its arguments."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from bot.sandbox.slack.emulator import Emulator
from bot.sandbox.slack.errors import Json, SlackError, invalid_arguments
from bot.sandbox.slack.workspace import Channel, Message, Person

# Values of these arguments are JSON, also inside a query or form (Slack docs, Web API: nested values).
JSON_ARGUMENTS = frozenset({"blocks", "view", "attachments", "metadata", "files"})


class Arguments:
    """The arguments of one call, wherever they stood: query, form and JSON body merged."""

    def __init__(self, values: Json) -> None:
        self.values = values

    def text(self, name: str, default: str = "") -> str:
        value = self.values.get(name)
        return default if value is None else str(value)

    def required(self, name: str, error: str = "") -> str:
        """A text that must be there; `error` is Slack's own code for its absence where it has one."""
        value = self.text(name)
        if not value:
            raise SlackError(error) if error else invalid_arguments(f"missing required field: {name}")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.values.get(name)
        return default if value is None else str(value).lower() in ("1", "true")

    def number(self, name: str, default: int) -> int:
        try:
            return int(self.values.get(name) or default)
        except (TypeError, ValueError):
            raise invalid_arguments(f"must be a number [json-pointer:/{name}]") from None

    def json(self, name: str) -> Any:
        """A nested value; None when absent. Raises `SlackError` for text that is not JSON."""
        value = self.values.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            code = "invalid_blocks_format" if name == "blocks" else "invalid_arguments"
            raise invalid_arguments(f"must be JSON [json-pointer:/{name}]", code=code) from None


Handler = Callable[[Emulator, Arguments], Json]


@dataclass(frozen=True, slots=True)
class Method:
    """One method: what it does, the scope it needs, and with which kind of token it is called."""

    name: str
    run: Handler
    scope: str | None
    token: Literal["bot", "app"]


METHODS: dict[str, Method] = {}


def method(
    name: str,
    *,
    scope: str | None = None,
    token: Literal["bot", "app"] = "bot",  # noqa: S107
) -> Callable[[Handler], Handler]:
    """Declare a function as the work of a method."""

    def declare(run: Handler) -> Handler:
        METHODS[name] = Method(name, run, scope, token)
        return run

    return declare


def need_scope(emulator: Emulator, *alternatives: str) -> None:
    """Refuse unless the token has one of these scopes."""
    if not emulator.scopes.intersection(alternatives):
        raise SlackError("missing_scope", needed=",".join(alternatives), provided=",".join(sorted(emulator.scopes)))


READ_SCOPES = {"public": "channels:read", "private": "groups:read", "im": "im:read", "mpim": "mpim:read"}


def channel_of(emulator: Emulator, arguments: Arguments, name: str = "channel") -> Channel:
    """The channel that a call names, as the bot may know it: a private one without the bot does not exist for it."""
    channel = emulator.workspace.find_channel(arguments.required(name, "channel_not_found"))
    if channel is None or (channel.kind != "public" and emulator.workspace.bot.id not in channel.members):
        raise SlackError("channel_not_found")
    return channel


def person_of(emulator: Emulator, user_id: str) -> Person:
    """Someone by id. Raises `SlackError` for an id that is no one's."""
    person = emulator.workspace.people.get(user_id)
    if person is None:
        raise SlackError("user_not_found")
    return person


def message_of(emulator: Emulator, channel: Channel, ts: str) -> Message:
    """A message that the API can reach: ephemeral ones it can't."""
    message = emulator.workspace.find_message(channel.id, ts)
    if message is None or message.ephemeral_to is not None:
        raise SlackError("message_not_found")
    return message


def page(items: list[Any], arguments: Arguments, default_limit: int = 100) -> tuple[list[Any], str]:
    """One page of a list and the cursor of the next (empty at the end)."""
    cursor = arguments.text("cursor")
    try:
        start = int(cursor.removeprefix("next:")) if cursor else 0
    except ValueError:
        raise SlackError("invalid_cursor") from None
    limit = arguments.number("limit", default_limit)
    if not 1 <= limit <= 1000:
        raise SlackError("invalid_limit")
    end = start + limit
    return items[start:end], f"next:{end}" if end < len(items) else ""
