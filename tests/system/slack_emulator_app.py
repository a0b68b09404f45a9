"""A bare app for the Slack emulator: plain HTTP and one WebSocket, written from Slack's docs, without Slack's SDK."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp
import httpx

Json = dict[str, Any]
PATIENCE = 10  # seconds


class BareApp:
    """Calls methods and holds sockets. `answer` decides what an envelope's payload is acknowledged with."""

    def __init__(self, told: Json) -> None:
        self.told = told
        self.answer: Callable[[Json], Json | None] = lambda payload: None
        self.silent = False
        """While set, envelopes are received and not acknowledged."""
        self.sockets: list[aiohttp.ClientWebSocketResponse] = []
        self._envelopes: asyncio.Queue[Json] = asyncio.Queue()
        self._opened: list[aiohttp.ClientWebSocketResponse] = []
        self._readers: list[asyncio.Task[None]] = []
        self._http = httpx.AsyncClient(
            trust_env=False, timeout=PATIENCE, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        )
        self._session = aiohttp.ClientSession()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        for socket in self._opened:
            await socket.close()
        await self._session.close()
        await self._http.aclose()

    # -- the Web API -----------------------------------------------------------------------------------------

    async def post(self, method: str, token: str | None = None, **arguments: Any) -> httpx.Response:
        """Call a method with a JSON body and the bot's token (or another one; "" for none)."""
        bearer = self.told["bot_token"] if token is None else token
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        return await self._http.post(self.told["api_url"] + method, json=arguments, headers=headers)

    async def call(self, method: str, token: str | None = None, **arguments: Any) -> Json:
        """The answer of a method, as JSON."""
        answer: Json = (await self.post(method, token, **arguments)).json()
        return answer

    async def request(self, verb: str, path: str, **options: Any) -> httpx.Response:
        """Any request to the emulator; `path` may be a whole URL."""
        return await self._http.request(verb, path if "://" in path else self.told["url"] + path, **options)

    # -- Socket Mode -----------------------------------------------------------------------------------------

    async def socket_url(self) -> str:
        return str((await self.call("apps.connections.open", self.told["app_token"]))["url"])

    async def open_socket(self, url: str | None = None) -> aiohttp.ClientWebSocketResponse:
        """A WebSocket that nobody reads yet."""
        socket = await self._session.ws_connect(url or await self.socket_url(), autoping=False)
        self._opened.append(socket)
        return socket

    async def connect(self) -> Json:
        """Open a socket, read it in the background, acknowledge what comes; the hello."""
        socket = await self.open_socket()
        hello: Json = await socket.receive_json()
        self.sockets.append(socket)
        self._readers.append(asyncio.create_task(self._read(socket, len(self.sockets) - 1)))
        return hello

    async def _read(self, socket: aiohttp.ClientWebSocketResponse, number: int) -> None:
        async for frame in socket:
            envelope = frame.json()
            await self._envelopes.put({**envelope, "socket": number})
            if "envelope_id" in envelope and not self.silent:
                payload = self.answer(envelope["payload"])
                ack = {"envelope_id": envelope["envelope_id"]}
                with contextlib.suppress(ConnectionError):
                    await socket.send_json(ack if payload is None else {**ack, "payload": payload})

    async def next(self) -> Json:
        """The next frame from any socket: an envelope (with the number of its `socket`) or a disconnect."""
        return await asyncio.wait_for(self._envelopes.get(), PATIENCE)

    async def next_payload(self) -> Json:
        payload: Json = (await self.next())["payload"]
        return payload

    def heard_nothing(self) -> bool:
        return self._envelopes.empty()


@asynccontextmanager
async def connected_app(told: Json) -> AsyncIterator[BareApp]:
    """A bare app with one socket open."""
    async with BareApp(told) as app:
        await app.connect()
        yield app


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def section(text: str, **more: Any) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def button(text: str, action_id: str, **more: Any) -> Json:
    return {"type": "button", "text": plain(text), "action_id": action_id, **more}


def actions(*elements: Json, block_id: str = "acts") -> Json:
    return {"type": "actions", "block_id": block_id, "elements": list(elements)}


def text_field(label: str = "Name", block_id: str = "name", action_id: str = "typed", **more: Any) -> Json:
    """An input block with a text input; `more` goes into the element."""
    return field(label, {"type": "plain_text_input", "action_id": action_id, **more}, block_id)


def field(label: str, element: Json, block_id: str, **more: Any) -> Json:
    return {"type": "input", "block_id": block_id, "label": plain(label), "element": element, **more}


def options(*texts: str) -> list[Json]:
    return [{"text": plain(text), "value": text.lower()} for text in texts]


def modal(*blocks: Json, title: str = "Modal", submit: str | None = "Save", **more: Any) -> Json:
    view = {"type": "modal", "callback_id": "cb", "title": plain(title), "blocks": list(blocks), **more}
    return view if submit is None else {**view, "submit": plain(submit)}


def home(*blocks: Json) -> Json:
    return {"type": "home", "blocks": list(blocks)}
