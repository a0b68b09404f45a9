"""How requests to the control API are read and answered."""

from typing import Any

import orjson
from aiohttp import web

from bot.sandbox.slack.emulator import Emulator
from bot.sandbox.slack.errors import Json, Refused
from bot.sandbox.slack.serving import EMULATOR, json_response
from bot.sandbox.slack.workspace import Channel, Person

LONGEST_WAIT = 60.0  # seconds


def emulator_of(request: web.Request) -> Emulator:
    """The emulator behind the address."""
    return request.app[EMULATOR]


async def body_of(request: web.Request) -> Json:
    """The JSON object in the body; an empty body is an empty object."""
    text = await request.read()
    if not text.strip():
        return {}
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refused("bad_request", f"The body is not JSON: {error}", status=422) from None
    if not isinstance(body, dict):
        raise Refused("bad_request", "The body must be a JSON object.", status=422)
    return body


def number(request: web.Request, name: str, default: float) -> float:
    """A number in the query."""
    try:
        return float(request.query.get(name, default))
    except ValueError:
        raise Refused("bad_request", f"“{name}” must be a number.", status=422) from None


def number_in(body: Json, name: str) -> float:
    """A number in the body."""
    value = needed(body, name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused("bad_request", f"“{name}” must be a number.", status=422)
    return float(value)


def needed(body: Json, name: str) -> Any:
    """What the body must have."""
    if name not in body:
        raise Refused("bad_request", f"“{name}” is missing.", status=422)
    return body[name]


def person_of(emulator: Emulator, key: str) -> Person:
    person = emulator.workspace.find_person(key)
    if person is None:
        names = ", ".join(one.name for one in emulator.workspace.people.values() if not one.is_bot)
        raise Refused("no_such_person", f"There is no person {key!r}; there are {names}.", status=404)
    return person


def channel_of(emulator: Emulator, key: str) -> Channel:
    channel = emulator.workspace.find_channel(key)
    if channel is None:
        raise Refused("no_such_channel", f"There is no channel {key!r}.", status=404)
    return channel


def answer(emulator: Emulator, **facts: Any) -> web.Response:
    """An answer: the version of the workspace, and facts."""
    return json_response({"version": emulator.journal.version, **facts})


async def wait(request: web.Request) -> None:
    """Hold the answer until something changed after the version that the reader has, if it says one."""
    if "after" in request.query:
        seconds = min(number(request, "timeout", 10), LONGEST_WAIT)
        await emulator_of(request).journal.wait_past(int(number(request, "after", 0)), seconds)
