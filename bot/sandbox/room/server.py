"""The page's server: the page itself, and one origin behind which the stand-ins' controls lie."""

from functools import partial
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from bot.sandbox.room import guard, live
from bot.sandbox.room.house import House
from bot.sandbox.room.source import ChangeFailed, NoSuchChange
from bot.sandbox.room.trouble import NoSuchSwitch

WEB = Path(__file__).parents[1] / "web"
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
PICTURES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}
SLACK_PATHS = ("state", "people/", "channels")  # what the page may reach of Slack's controls
OMNISEND_PATHS = ("contacts", "segments", "batches", "stats")
LARGEST_BODY = 1_000_000  # bytes


def application(house: House, token: str) -> web.Application:
    """Everything under `/TOKEN/`; nothing anywhere else."""
    app = web.Application(middlewares=[guard.only_this_browser], client_max_size=LARGEST_BODY)
    room = Room(house)
    base = f"/{token}"
    app.add_routes(
        [
            web.get(base, _to_the_page),
            web.get(f"{base}/", room.page),
            web.get(f"{base}/web/{{path:.+}}", room.file),
            web.get(f"{base}/live", partial(live.follow, house=house)),
            web.get(f"{base}/house", room.state),
            web.post(f"{base}/house/source/{{name}}", room.change_source),
            web.post(f"{base}/house/sign-in", room.sign_in),
            web.post(f"{base}/house/switches/{{name}}", room.turn),
            web.post(f"{base}/house/bot/{{act}}", room.bot),
            web.get(f"{base}/files/{{person}}/{{file}}/{{name}}", room.slack_file),
            web.route("*", f"{base}/slack/{{path:.+}}", room.slack),
            web.get(f"{base}/omnisend/{{path:.+}}", room.omnisend),
        ]
    )
    app.on_response_prepare.append(guard.add_headers)
    return app


async def _to_the_page(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound(f"{request.path}/")


class Room:
    """The handlers, a method a route."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def page(self, _request: web.Request) -> web.Response:
        return web.Response(body=(WEB / "index.html").read_bytes(), content_type="text/html", charset="utf-8")

    async def file(self, request: web.Request) -> web.Response:
        """A file of the page; none outside its folder."""
        path = (WEB / request.match_info["path"]).resolve()
        if not path.is_relative_to(WEB) or path.suffix not in TYPES or not path.is_file():
            raise web.HTTPNotFound
        kind = TYPES[path.suffix]
        charset = None if kind.startswith("font/") else "utf-8"
        return web.Response(body=path.read_bytes(), content_type=kind, charset=charset)

    # -- the house

    async def state(self, _request: web.Request) -> web.Response:
        return _json(self._house.state())

    async def change_source(self, request: web.Request) -> web.Response:
        try:
            return _json({"words": await self._house.source.change(request.match_info["name"])})
        except NoSuchChange as error:
            return _json({"message": str(error)}, status=404)
        except ChangeFailed as error:
            return _json({"message": str(error)}, status=409)

    async def sign_in(self, request: web.Request) -> web.Response:
        told = orjson.loads(await request.read())
        try:
            await self._house.source.sign_in(str(told["code"]), str(told["person"]), str(told["action"]))
        except ChangeFailed as error:
            return _json({"message": str(error)}, status=409)
        return _json({})

    async def turn(self, request: web.Request) -> web.Response:
        on = bool(orjson.loads(await request.read()).get("on"))
        try:
            await self._house.troubles.turn(request.match_info["name"], on=on)
        except NoSuchSwitch as error:
            return _json({"message": str(error)}, status=404)
        return _json({"switches": self._house.troubles.listing()})

    async def bot(self, request: web.Request) -> web.Response:
        bot = self._house.bot
        match request.match_info["act"]:
            case "start":
                await bot.start()
            case "stop":
                await bot.stop()
            case "kill":
                await bot.kill()
            case "restart":
                await bot.kill()
                await bot.start()
            case _:
                raise web.HTTPNotFound
        return _json({"state": bot.state})

    # -- the stand-ins

    async def slack(self, request: web.Request) -> web.StreamResponse:
        """A request to Slack's controls: seeing and acting as a person, and changing people."""
        path = request.match_info["path"]
        if not path.startswith(SLACK_PATHS) or ".." in path:
            raise web.HTTPNotFound
        return await self._forward(request, f"{self._house.slack_control}/{path}")

    async def omnisend(self, request: web.Request) -> web.StreamResponse:
        """A look at what Omnisend holds."""
        path = request.match_info["path"]
        if path not in OMNISEND_PATHS:
            raise web.HTTPNotFound
        return await self._forward(request, f"{self._house.omnisend_control}/{path}")

    async def slack_file(self, request: web.Request) -> web.Response:
        """A file that somebody sees in Slack: a picture to look at, anything else to keep."""
        person, file, name = (request.match_info[key] for key in ("person", "file", "name"))
        async with self._house.http.get(f"{self._house.slack_control}/people/{person}/files/{file}") as answer:
            content = await answer.read()
            if answer.status != 200:
                raise web.HTTPNotFound
        kind = PICTURES.get(name.rsplit(".", 1)[-1].lower())
        response = web.Response(body=content, content_type=kind or "application/octet-stream")
        if kind is None:
            response.headers["Content-Disposition"] = "attachment"
        return response

    async def _forward(self, request: web.Request, url: str) -> web.Response:
        body = await request.read()
        async with self._house.http.request(request.method, url, params=request.query, data=body or None) as answer:
            return web.Response(
                body=await answer.read(), status=answer.status, content_type=answer.content_type, charset="utf-8"
            )


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
