"""Reading and changing the workspace: people, channels, user groups, the clock."""

from dataclasses import asdict, fields
from zoneinfo import available_timezones

from aiohttp import web

from bot.sandbox.slack.control.requests import (
    answer,
    body_of,
    channel_of,
    emulator_of,
    needed,
    number_in,
    person_of,
    wait,
)
from bot.sandbox.slack.errors import Json, Refused
from bot.sandbox.slack.workspace import Person


async def state(request: web.Request) -> web.Response:
    """Everything but messages and views."""
    await wait(request)
    emulator = emulator_of(request)
    ws = emulator.workspace
    return answer(
        emulator,
        now=emulator.clock.now(),
        team={"id": ws.team_id, "name": ws.team_name, "domain": ws.domain},
        app={
            "id": ws.app_id,
            "bot_user_id": ws.bot.id,
            "bot_name": ws.bot.name,
            "scopes": sorted(emulator.scopes),
            "commands": list((emulator.config.commands or {}).values()),
            "connections": len(emulator.sockets.connections),
        },
        people=[{**asdict(one), "email": one.email} for one in ws.people.values()],
        channels=[asdict(one) for one in ws.channels.values()],
        groups=[asdict(one) for one in ws.groups.values()],
    )


async def reset(request: web.Request) -> web.Response:
    """Begin the day anew; tokens, ids and sockets stay."""
    emulator = emulator_of(request)
    emulator.reset()
    return answer(emulator)


async def clock(request: web.Request) -> web.Response:
    """Let `advance_seconds` pass at once."""
    emulator = emulator_of(request)
    emulator.clock.advance(number_in(await body_of(request), "advance_seconds"))
    emulator.journal.record("clock")
    return answer(emulator, now=emulator.clock.now())


async def change_app(request: web.Request) -> web.Response:
    """Set `scopes`, `rate_limits`, `home_enabled`; `revoked` makes the bot's token invalid or valid again."""
    emulator = emulator_of(request)
    body = await body_of(request)
    if "scopes" in body:
        emulator.scopes = set(body["scopes"])
    if "rate_limits" in body:
        emulator.limits.enabled = bool(body["rate_limits"])
        emulator.limits.forget()
    if "home_enabled" in body:
        emulator.home_enabled = bool(body["home_enabled"])
    if "revoked" in body:
        emulator.revoked = {emulator.bot_token} if body["revoked"] else set()
    emulator.journal.record("app")
    return answer(emulator)


async def add_person(request: web.Request) -> web.Response:
    """`name`, `real_name`, and what else `Person` has; they are in #general from the start."""
    emulator = emulator_of(request)
    body = await body_of(request)
    name = str(needed(body, "name"))
    if emulator.workspace.find_person(name):
        raise Refused("name_taken", f"There is a person {name!r} already.")
    facts = _person_facts(body)
    person = emulator.workspace.add_person(name, real_name=facts.pop("real_name", ""), **facts)
    general = emulator.workspace.find_channel("general")
    if general is not None and not person.is_ultra_restricted:
        general.members.append(person.id)
    return answer(emulator, person=asdict(person))


def _person_facts(body: Json) -> Json:
    known = {one.name for one in fields(Person)} - {"id", "name"}
    unknown = body.keys() - known - {"name"}
    if unknown:
        raise Refused("bad_request", f"A person has no {', '.join(sorted(unknown))}.", status=422)
    if body.get("tz", "UTC") not in available_timezones():
        raise Refused("bad_request", f"There is no time zone {body['tz']!r}.", status=422)
    return {key: value for key, value in body.items() if key in known}


async def change_person(request: web.Request) -> web.Response:
    """Change locale, time zone, admin flags and the like; the app hears `user_change`."""
    emulator = emulator_of(request)
    person = person_of(emulator, request.match_info["person"])
    for name, value in _person_facts(await body_of(request)).items():
        setattr(person, name, value)
    emulator.journal.record("person", person=person.id)
    await emulator.events.person_changed(person)
    return answer(emulator, person=asdict(person))


async def add_channel(request: web.Request) -> web.Response:
    """`name`, `kind` (public, private), `members` (people by name or id; the bot's name invites it)."""
    emulator = emulator_of(request)
    body = await body_of(request)
    name = str(needed(body, "name")).removeprefix("#")
    kind = body.get("kind", "public")
    if kind not in ("public", "private"):
        raise Refused("bad_request", "kind is public or private", status=422)
    if emulator.workspace.find_channel(name):
        raise Refused("name_taken", f"There is a channel {name!r} already.")
    members = [person_of(emulator, str(one)).id for one in body.get("members", [])]
    channel = emulator.workspace.add_channel(name, kind=kind, members=members)
    return answer(emulator, channel=asdict(channel))


async def change_channel(request: web.Request) -> web.Response:
    """`add` and `remove` members (people, or the bot by its name), `archived`, `name`."""
    emulator = emulator_of(request)
    channel = channel_of(emulator, request.match_info["channel"])
    body = await body_of(request)
    joined = [person_of(emulator, str(one)) for one in body.get("add", [])]
    left = [person_of(emulator, str(one)) for one in body.get("remove", [])]
    for person in joined:
        if person.id not in channel.members:
            channel.members.append(person.id)
    channel.members = [one for one in channel.members if one not in {person.id for person in left}]
    channel.archived = bool(body.get("archived", channel.archived))
    channel.name = str(body.get("name", channel.name))
    emulator.journal.record("channel", channel=channel.id)
    await emulator.events.membership(channel, joined, left)
    return answer(emulator, channel=asdict(channel))


async def add_group(request: web.Request) -> web.Response:
    """`handle`, `name`, `members`."""
    emulator = emulator_of(request)
    body = await body_of(request)
    members = [person_of(emulator, str(one)).id for one in body.get("members", [])]
    handle = str(needed(body, "handle")).removeprefix("@")
    group = emulator.workspace.add_group(handle, name=str(body.get("name", "")), members=members)
    return answer(emulator, group=asdict(group))
