"""The addresses that Slack hands out: sockets, upload URLs, response URLs, files."""

import orjson
from aiohttp import web

from bot.sandbox.slack.calls import Call
from bot.sandbox.slack.errors import SlackError
from bot.sandbox.slack.responses import post_response
from bot.sandbox.slack.serving import EMULATOR, json_response, recorded

UPLOAD = "(upload)"
RESPONSE_URL = "(response_url)"
"""How these stand in the record of calls, and can be named in faults."""

GONE = frozenset({"expired_url", "used_url", "invalid_url"})


def routes() -> list[web.RouteDef]:
    """The addresses served here."""
    return [
        web.get("/link/", link),
        web.post("/upload/v1/{key}", upload),
        web.post("/commands/{team}/{number}/{key}", response_url),
        web.post("/actions/{team}/{number}/{key}", response_url),
        web.get("/files-pri/{file}/{name}", file_content),
    ]


async def link(request: web.Request) -> web.StreamResponse:
    """The WebSocket of Socket Mode."""
    return await request.app[EMULATOR].sockets.handle(request)


async def upload(request: web.Request) -> web.StreamResponse:
    """Take the bytes of a file, raw or as the first part of a multipart form."""

    async def work(call: Call) -> web.Response:
        emulator = request.app[EMULATOR]
        file = emulator.workspace.files.get(emulator.upload_keys.get(request.match_info["key"], ""))
        if file is None or file.completed:
            call.status, call.error = 404, "unknown upload"
            return web.Response(status=404, text="unknown upload")
        content = await _first_part(request)
        if len(content) != file.length:
            call.status, call.error = 400, "wrong length"
            return web.Response(status=400, text=f"expected {file.length} bytes, got {len(content)}")
        file.content = content
        call.ok = True
        return web.Response(text=f"OK - {len(content)}")

    return await recorded(request, UPLOAD, {}, work)


async def _first_part(request: web.Request) -> bytes:
    if not request.content_type.startswith("multipart/"):
        return await request.read()
    part = await (await request.multipart()).next()
    return bytes(await part.read()) if part is not None else b""  # type: ignore[union-attr]


async def response_url(request: web.Request) -> web.StreamResponse:
    """Take a post to a response URL."""

    async def work(call: Call) -> web.Response:
        emulator = request.app[EMULATOR]
        try:
            payload = orjson.loads(await request.read())
            if not isinstance(payload, dict):
                raise SlackError("invalid_payload")
            post_response(emulator, emulator.response_urls.use(request.match_info["key"]), payload)
        except orjson.JSONDecodeError:
            call.status, call.error = 400, "invalid_payload"
            return web.Response(status=400, text="invalid_payload")
        except SlackError as error:
            call.status, call.error = (404 if error.code in GONE else 400), error.code
            return json_response({"ok": False, "error": error.code, **error.extra}, status=call.status)
        call.ok = True
        return web.Response(text="ok")

    return await recorded(request, RESPONSE_URL, {}, work)


async def file_content(request: web.Request) -> web.StreamResponse:
    """The bytes of a file, for a bearer of the bot's token with files:read."""
    emulator = request.app[EMULATOR]
    if request.headers.get("Authorization") != f"Bearer {emulator.bot_token}" or "files:read" not in emulator.scopes:
        raise web.HTTPForbidden(text="files need the bot token and files:read")
    file = emulator.workspace.files.get(request.match_info["file"].rsplit("-", 1)[-1])
    if file is None or file.content is None or not file.completed:
        raise web.HTTPNotFound
    return web.Response(body=file.content, content_type="application/octet-stream")
