"""The control API: act as a person, read what they see, change the workspace, cause trouble.

JSON over HTTP under `/_control`; every answer has the `version` of the workspace. A GET (but of a file) takes
`?after=VERSION&timeout=SECONDS`: the answer then waits for a change after that version. What a person could not do is
answered with 409 (404 and 422 for requests that make no sense) and `{"error": reason, "message": for people}`.

Seeing, as a person (by handle, name or id):

    GET   people/P/view                  modals (the visible one last), home, notices of the client
    GET   people/P/channels/C/messages   oldest first, with ephemerals, threads, files; C may be `dm`
    GET   people/P/notifications         of each message and edit: notified or not, and how
    GET   people/P/files/F               the bytes of a file in a message

Acting; an element is named by `element` (label, text, placeholder, action_id) and, where needed, `block_id`, `in`
(`modal`, `home`, a channel) and `ts`. The answer says what came of it (`Outcome`) and the version `before`:

    POST  people/P/command               text, channel
    POST  people/P/say                   text, channel, thread_ts
    POST  people/P/click                 element…, confirm
    POST  people/P/choose                element…, value, query (of an external select), confirm
    POST  people/P/type                  element…, text, enter
    POST  people/P/enter                 element…, value: types or chooses, true and false tick and untick
    POST  people/P/suggest               element…, query: what an external select offers
    POST  people/P/submit, close (all), open_home (tab)

The workspace and the app:

    GET   state                          team, app, people, channels, groups
    POST  people, channels, groups       add; PATCH people/P, channels/C: change
    POST  clock                          advance_seconds
    POST  reset                          begin the day anew
    PATCH app                            scopes, rate_limits, home_enabled, revoked
    GET   calls                          the app's Web API calls; ?method=, ?since=
    GET   connections                    sockets, deliveries with what came of them, oddities
    POST  disconnect                     reason, or abort
    POST  deliver                        event: any event
    POST  faults (`faults.Fault`); GET faults; DELETE faults, faults?id=
    WS    events                         every change, as it happens; ?after=VERSION
"""

from typing import Any

from aiohttp import web

from bot.sandbox.slack.control import app_side, people, world
from bot.sandbox.slack.errors import Refused
from bot.sandbox.slack.serving import CONTROL as PREFIX
from bot.sandbox.slack.serving import json_response


def routes() -> list[web.RouteDef]:
    """The addresses of the control API."""
    person = f"{PREFIX}/people/{{person}}"
    return [
        web.get(f"{PREFIX}/state", world.state),
        web.post(f"{PREFIX}/reset", world.reset),
        web.post(f"{PREFIX}/clock", world.clock),
        web.patch(f"{PREFIX}/app", world.change_app),
        web.get(f"{PREFIX}/calls", app_side.calls),
        web.get(f"{PREFIX}/faults", app_side.faults),
        web.post(f"{PREFIX}/faults", app_side.add_fault),
        web.delete(f"{PREFIX}/faults", app_side.lift_faults),
        web.get(f"{PREFIX}/connections", app_side.connections),
        web.post(f"{PREFIX}/disconnect", app_side.disconnect),
        web.post(f"{PREFIX}/deliver", app_side.deliver_event),
        web.get(f"{PREFIX}/events", app_side.follow),
        web.post(f"{PREFIX}/people", world.add_person),
        web.patch(person, world.change_person),
        web.post(f"{PREFIX}/channels", world.add_channel),
        web.patch(f"{PREFIX}/channels/{{channel}}", world.change_channel),
        web.post(f"{PREFIX}/groups", world.add_group),
        web.get(f"{person}/view", people.read_view),
        web.get(f"{person}/channels/{{channel}}/messages", people.read_messages),
        web.get(f"{person}/notifications", people.read_notifications),
        web.get(f"{person}/notices", people.read_notices),
        web.get(f"{person}/files/{{file}}", people.read_file),
        *(web.post(f"{person}/{name}", people.acting(act)) for name, act in people.ACTS.items()),
    ]


@web.middleware
async def answer_refusals(request: web.Request, handler: Any) -> web.StreamResponse:
    """Turn what could not be done into an answer that says why."""
    try:
        answer: web.StreamResponse = await handler(request)
    except Refused as refusal:
        body = {"error": refusal.reason, "message": str(refusal), **refusal.detail}
        return json_response(body, status=refusal.status)
    return answer
