"""What a person sees, and acting as a person."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from bot.sandbox.slack.control.requests import answer, body_of, emulator_of, needed, person_of, wait
from bot.sandbox.slack.desktop import Desktop, Outcome, Target
from bot.sandbox.slack.emulator import Emulator
from bot.sandbox.slack.errors import Json, Refused
from bot.sandbox.slack.methods.chat import message_json
from bot.sandbox.slack.workspace import File, Message, Person

# -- seeing -----------------------------------------------------------------------------------------------------


async def read_view(request: web.Request) -> web.Response:
    """The open modals (the visible one last), the Home, and what the client said by itself."""
    await wait(request)
    emulator = emulator_of(request)
    person = person_of(emulator, request.match_info["person"])
    views = emulator.views
    home = views.homes.get(person.id)
    return answer(
        emulator,
        modals=[
            {**views.payload(view), "errors": view.errors, "trouble": view.trouble} for view in views.stack(person.id)
        ],
        home=views.payload(home) if home else None,
        notices=[asdict(one) for one in emulator.notices if one.person == person.id],
    )


async def read_messages(request: web.Request) -> web.Response:
    """The messages of a channel as the person sees them, oldest first; threads by `thread_ts`."""
    await wait(request)
    emulator = emulator_of(request)
    person = person_of(emulator, request.match_info["person"])
    channel = Desktop(emulator, person).screen.channel(request.match_info["channel"])
    seen = emulator.workspace.seen_by(person.id, channel.id)
    return answer(emulator, channel=channel.id, messages=[_shown(emulator, person, one) for one in seen])


def _shown(emulator: Emulator, person: Person, message: Message) -> Json:
    author = emulator.workspace.people[message.author]
    return {
        **message_json(emulator, message),
        "channel": message.channel,
        "author": author.name,
        "ephemeral": message.ephemeral_to is not None,
        "state": {"values": emulator.message_form(person.id, message).values},
    }


async def read_notifications(request: web.Request) -> web.Response:
    """Each message and edit for this person: notified or not, and how."""
    await wait(request)
    emulator = emulator_of(request)
    person = person_of(emulator, request.match_info["person"])
    listed = [asdict(one) for one in emulator.workspace.notifications if one.person == person.id]
    return answer(emulator, notifications=listed)


async def read_notices(request: web.Request) -> web.Response:
    await wait(request)
    emulator = emulator_of(request)
    person = person_of(emulator, request.match_info["person"])
    return answer(emulator, notices=[asdict(one) for one in emulator.notices if one.person == person.id])


async def read_file(request: web.Request) -> web.Response:
    """The bytes of a file that was shared where the person can see it."""
    emulator = emulator_of(request)
    person = person_of(emulator, request.match_info["person"])
    file = emulator.workspace.files.get(request.match_info["file"])
    if file is None or file.content is None or not _can_see(emulator, person, file):
        raise Refused("no_such_file", f"{person.name} sees no such file.", status=404)
    return web.Response(body=file.content, content_type="application/octet-stream")


def _can_see(emulator: Emulator, person: Person, file: File) -> bool:
    channels = (emulator.workspace.channels[one] for one in file.channels)
    return any(one.kind == "public" or person.id in one.members for one in channels)


# -- acting -----------------------------------------------------------------------------------------------------

Act = Callable[[Desktop, Json], Awaitable[Any]]


def _target(body: Json) -> Target:
    """`element` (its label, text, placeholder or action_id), `block_id`, `in` (modal, home, a channel), `ts`."""
    element, block_id = str(body.get("element", "")), str(body.get("block_id", ""))
    if not element and not block_id:
        raise Refused("bad_request", "“element” (or “block_id”) is missing.", status=422)
    return Target(element, block_id, str(body.get("in", "")), str(body.get("ts", "")))


async def _command(desktop: Desktop, body: Json) -> Outcome:
    return await desktop.composer.command(
        str(needed(body, "text")), desktop.screen.channel(str(needed(body, "channel")))
    )


async def _say(desktop: Desktop, body: Json) -> Json:
    channel = desktop.screen.channel(str(needed(body, "channel")))
    message = await desktop.composer.say(str(needed(body, "text")), channel, body.get("thread_ts"))
    return {"ts": message.ts, "channel": message.channel}


async def _click(desktop: Desktop, body: Json) -> Outcome:
    return await desktop.hands.click(_target(body), confirm=bool(body.get("confirm")))


async def _choose(desktop: Desktop, body: Json) -> Outcome:
    return await desktop.hands.choose(
        _target(body), needed(body, "value"), confirm=bool(body.get("confirm")), query=body.get("query")
    )


async def _type(desktop: Desktop, body: Json) -> Outcome:
    return await desktop.hands.type(_target(body), str(needed(body, "text")), enter=bool(body.get("enter")))


async def _enter(desktop: Desktop, body: Json) -> Outcome:
    return await desktop.hands.enter(
        _target(body), needed(body, "value"), confirm=bool(body.get("confirm")), query=body.get("query")
    )


async def _suggest(desktop: Desktop, body: Json) -> Json:
    return {"options": await desktop.hands.suggest(_target(body), str(body.get("query", "")))}


async def _submit(desktop: Desktop, _body: Json) -> Outcome:
    return await desktop.modals.submit()


async def _close(desktop: Desktop, body: Json) -> Outcome:
    return await desktop.modals.close(everything=bool(body.get("all")))


async def _open_home(desktop: Desktop, body: Json) -> Outcome:
    return await desktop.modals.open_home(str(body.get("tab", "home")))


ACTS: dict[str, Act] = {
    "command": _command,
    "say": _say,
    "click": _click,
    "choose": _choose,
    "type": _type,
    "enter": _enter,
    "suggest": _suggest,
    "submit": _submit,
    "close": _close,
    "open_home": _open_home,
}


def acting(act: Act) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """An address at which a person acts. `before` in the answer is the version just before the act."""

    async def handle(request: web.Request) -> web.StreamResponse:
        emulator = emulator_of(request)
        person = person_of(emulator, request.match_info["person"])
        if person.is_bot:
            raise Refused("not_a_person", f"{person.name} is the app.")
        if person.deleted:
            raise Refused("deactivated", f"{person.name} can't sign in any more.")
        before = emulator.journal.version
        result = await act(Desktop(emulator, person), await body_of(request))
        facts = result.as_json() if isinstance(result, Outcome) else result
        return answer(emulator, before=before, **facts)

    return handle
