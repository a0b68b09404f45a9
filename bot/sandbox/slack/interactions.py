"""The payloads that Slack sends to an app (Slack docs, Interaction payloads, Slash commands, Events API)."""

from bot.sandbox.slack.elements import Placed
from bot.sandbox.slack.errors import Json
from bot.sandbox.slack.forms import VALUE_KEYS
from bot.sandbox.slack.views import View
from bot.sandbox.slack.workspace import Channel, Message, Person, Workspace

VERIFICATION_TOKEN = "deprecated-verification-token"  # noqa: S105  sent by Slack, of no use to anyone


def slash_command(
    ws: Workspace, person: Person, channel: Channel, command: str, text: str, response_url: str, trigger_id: str
) -> Json:
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": ws.team_id,
        "team_domain": ws.domain,
        "channel_id": channel.id,
        "channel_name": channel_name(channel),
        "user_id": person.id,
        "user_name": person.name,
        "command": command,
        "text": text,
        "api_app_id": ws.app_id,
        "is_enterprise_install": "false",
        "response_url": response_url,
        "trigger_id": trigger_id,
    }


def channel_name(channel: Channel) -> str:
    """How payloads name a channel: those that are not public by their kind only."""
    return {"public": channel.name, "private": "privategroup", "im": "directmessage", "mpim": "mpdm"}[channel.kind]


def _common(ws: Workspace, person: Person) -> Json:
    return {
        "user": {"id": person.id, "username": person.name, "name": person.name, "team_id": ws.team_id},
        "team": {"id": ws.team_id, "domain": ws.domain},
        "api_app_id": ws.app_id,
        "token": VERIFICATION_TOKEN,
        "enterprise": None,
        "is_enterprise_install": False,
    }


def view_actions(ws: Workspace, person: Person, view: View, payload: Json, action: Json, trigger_id: str) -> Json:
    """`block_actions` from a modal or Home; `payload` is the view as `Views.payload` gives it."""
    return {
        "type": "block_actions",
        **_common(ws, person),
        "container": {"type": "view", "view_id": view.id},
        "trigger_id": trigger_id,
        "view": payload,
        "actions": [action],
    }


def message_actions(
    ws: Workspace,
    person: Person,
    channel: Channel,
    message: Message,
    shown: Json,
    state: Json,
    action: Json,
    response_url: str,
    trigger_id: str,
) -> Json:
    """`block_actions` from a message; `shown` is the message as the Web API gives it, unless it is ephemeral."""
    ephemeral = message.ephemeral_to is not None
    container = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": ephemeral,
    }
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    payload = {
        "type": "block_actions",
        **_common(ws, person),
        "container": container,
        "trigger_id": trigger_id,
        "channel": {"id": channel.id, "name": channel_name(channel)},
        "state": {"values": state},
        "response_url": response_url,
        "actions": [action],
    }
    # The payload of a click on an ephemeral message doesn't contain the message.
    return payload if ephemeral else {**payload, "message": shown}


def action(placed: Placed, value: object, action_ts: str) -> Json:
    """The entry of `actions` for using an element. `value` is what was chosen or typed, if it holds a value."""
    entry: Json = {"type": placed.kind, "action_id": placed.action_id, "block_id": placed.block_id}
    if placed.kind == "overflow":
        entry["selected_option"] = value
    elif placed.kind in VALUE_KEYS:
        entry[VALUE_KEYS[placed.kind][0]] = value
    carried = {"text", "value", "style", "url", "placeholder", "confirm", *(key for _, key in VALUE_KEYS.values())}
    entry |= {key: fact for key, fact in placed.element.items() if key in carried and key not in entry}
    return {**entry, "action_ts": action_ts}


def view_submission(ws: Workspace, person: Person, payload: Json, trigger_id: str, response_urls: list[Json]) -> Json:
    return {
        "type": "view_submission",
        **_common(ws, person),
        "trigger_id": trigger_id,
        "view": payload,
        "response_urls": response_urls,
    }


def view_closed(ws: Workspace, person: Person, payload: Json, *, is_cleared: bool) -> Json:
    return {"type": "view_closed", **_common(ws, person), "view": payload, "is_cleared": is_cleared}


def block_suggestion(ws: Workspace, person: Person, placed: Placed, typed: str, where: Json) -> Json:
    """The question of an external select; `where` holds `container` with `view`, or with `channel` and `message`."""
    return {
        "type": "block_suggestion",
        **_common(ws, person),
        "action_id": placed.action_id,
        "block_id": placed.block_id,
        "value": typed,
        **where,
    }


def event_callback(ws: Workspace, event: Json, event_id: str, event_time: int) -> Json:
    """The wrapper of the Events API."""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": ws.team_id,
        "api_app_id": ws.app_id,
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": event_time,
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": ws.team_id,
                "user_id": ws.bot.id,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
    }
