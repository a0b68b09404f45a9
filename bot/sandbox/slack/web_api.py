"""The Web API over HTTP: arguments, tokens, scopes, limits.

Slack docs, Web API: arguments may stand in the query, a form or a JSON body, for GET and POST alike; errors of a call
are HTTP 200 with `ok: false`.
"""

import orjson
from aiohttp import web

from bot.sandbox.slack.calls import Call
from bot.sandbox.slack.emulator import Emulator
from bot.sandbox.slack.errors import Json, SlackError
from bot.sandbox.slack.methods import METHODS, Method
from bot.sandbox.slack.methods.registry import JSON_ARGUMENTS, Arguments, need_scope
from bot.sandbox.slack.serving import EMULATOR, json_response, rate_limited, recorded


def routes() -> list[web.RouteDef]:
    """The addresses served here."""
    return [web.get("/api/{method}", call), web.post("/api/{method}", call)]


async def call(request: web.Request) -> web.StreamResponse:
    """Answer one call of a method."""
    name = request.match_info["method"]
    values, unreadable = await _arguments(request)

    async def work(call: Call) -> web.Response:
        return _answer(request, name, Arguments(values), unreadable, call)

    return await recorded(request, name, _opened(values), work)


async def _arguments(request: web.Request) -> tuple[Json, str | None]:
    """Query, form and JSON body, merged; and the error of a body that can't be read."""
    values: Json = dict(request.query)
    if request.method != "POST":
        return values, None
    if request.content_type != "application/json":
        form = await request.post()
        return values | {key: value for key, value in form.items() if isinstance(value, str)}, None
    text = await request.read()
    if not text.strip():
        return values, None
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        return values, "invalid_json"
    if not isinstance(body, dict):
        return values, "json_not_object"
    return values | body, None


def _opened(values: Json) -> Json:
    """Arguments with their nested JSON opened where that is possible, for the record."""
    opened = dict(values)
    for name in JSON_ARGUMENTS & opened.keys():
        if isinstance(opened[name], str):
            try:
                opened[name] = orjson.loads(opened[name])
            except orjson.JSONDecodeError:
                continue
    return opened


def _answer(request: web.Request, name: str, arguments: Arguments, unreadable: str | None, call: Call) -> web.Response:
    emulator = request.app[EMULATOR]
    headers = {"x-oauth-scopes": ",".join(sorted(emulator.scopes))}
    try:
        if unreadable:
            raise SlackError(unreadable)
        method = _method(name)
        _authenticate(emulator, request, method, arguments)
        wait = emulator.limits.admit(name, _limited_channel(emulator, arguments))
        if wait:
            return rate_limited(call, wait)
        if method.scope:
            need_scope(emulator, method.scope)
        answer = method.run(emulator, arguments)
    except SlackError as error:
        call.error = error.code
        return json_response({"ok": False, "error": error.code, **error.extra}, headers=headers)
    call.ok = True
    return json_response({"ok": True, **answer}, headers=headers)


def _method(name: str) -> Method:
    if name not in METHODS:
        raise SlackError("unknown_method", req_method=name)
    return METHODS[name]


def _authenticate(emulator: Emulator, request: web.Request, method: Method, arguments: Arguments) -> None:
    """The bearer token, or for bot tokens the argument `token`; an app token never comes as an argument."""
    header = request.headers.get("Authorization", "")
    token = header.removeprefix("Bearer ").strip() if header.startswith("Bearer ") else ""
    if not token and method.token == "bot":  # noqa: S105  a kind of token
        token = arguments.text("token")
    if not token:
        raise SlackError("not_authed")
    known = {emulator.bot_token: "bot", emulator.app_token: "app"}
    if token not in known:
        raise SlackError("invalid_auth")
    if token in emulator.revoked:
        raise SlackError("token_revoked")
    if known[token] != method.token:
        raise SlackError("not_allowed_token_type")


def _limited_channel(emulator: Emulator, arguments: Arguments) -> str:
    """The channel whose messages are counted: the same one, whether it is named by id, name or person."""
    key, ws = arguments.text("channel"), emulator.workspace
    channel = ws.find_direct_channel(ws.bot.id, key) if key in ws.people else ws.find_channel(key)
    return channel.id if channel else key
