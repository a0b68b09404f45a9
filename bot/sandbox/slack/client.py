"""A typed client of the control API: drive the emulated Slack as people do.

    async with SlackWorld(url) as slack:
        ada = slack.person("ada")
        await ada.command("/ferry connect", channel="marketing")
        modal = await ada.modal()
        await modal.fill({"Display name": "Shop", "I agree": True})
        result = await modal.submit()

Elements are named as a person would name them (label, button text, placeholder, option) or by action_id or block_id.
Nothing sleeps: whatever waits does so at the emulator, until something changes.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from bot.sandbox.slack.elements import placed_elements
from bot.sandbox.slack.errors import Json
from bot.sandbox.slack.readings import File, Message, Result, Screen, parse_messages, title_of
from bot.sandbox.slack.words import visible_text

__all__ = ["File", "Message", "Modal", "NotSeen", "Person", "Result", "Screen", "SlackWorld", "SlackWorldError"]

PATIENCE = 10.0  # seconds that a wait lasts at most, unless it says otherwise
LONGEST_ANSWER = 90.0  # seconds; the emulator holds an answer for up to 60

T = TypeVar("T")


class SlackWorldError(Exception):
    """The emulator would not do it: `reason` is its word for why, the text says so to people."""

    def __init__(self, reason: str, message: str, detail: Json) -> None:
        super().__init__(message)
        self.reason = reason
        self.detail = detail


class NotSeen(AssertionError):
    """What was waited for did not come; the text says what was there instead."""


class SlackWorld:
    """The emulated workspace. Use as an async context manager, with the `url` of the emulator's first line."""

    def __init__(self, url: str) -> None:
        self.url = url
        # Plain http on loopback: certificates, which take long to load, are never needed.
        no_certificates = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._http = httpx.AsyncClient(
            base_url=f"{url}/_control/", timeout=LONGEST_ANSWER, trust_env=False, verify=no_certificates
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    def person(self, name: str) -> "Person":
        """Someone of the workspace, by handle, real name or id."""
        return Person(self, name)

    async def request(self, verb: str, path: str, body: Json | None = None, **query: Any) -> Json:
        """One request to the control API. Raises `SlackWorldError` with the emulator's own words."""
        response = await self._http.request(verb, path, json=body, params=query)
        answer: Json = response.json() if "json" in response.headers.get("content-type", "") else {}
        if response.is_error:
            message = answer.get("message", f"{verb} {path}: HTTP {response.status_code} {response.text[:200]}")
            raise SlackWorldError(answer.get("error", "http"), message, answer)
        return answer

    async def read_bytes(self, path: str) -> bytes:
        response = await self._http.get(path)
        if response.is_error:
            answer = response.json()
            raise SlackWorldError(answer["error"], answer["message"], answer)
        return response.content

    async def watch(
        self, path: str, parse: Callable[[Json], T], wanted: Callable[[T], Any], seconds: float
    ) -> tuple[bool, T]:
        """Read `path` until what it says is `wanted`, or `seconds` have passed: whether it is, and the last reading."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        query: dict[str, Any] = {}
        while True:
            answer = await self.request("GET", path, **query)
            reading = parse(answer)
            if wanted(reading):
                return True, reading
            left = deadline - loop.time()
            if left <= 0:
                return False, reading
            query = {"after": answer["version"], "timeout": left}

    # -- the workspace ---------------------------------------------------------------------------------------

    async def state(self) -> Json:
        return await self.request("GET", "state")

    async def reset(self) -> None:
        """A new day: all people, channels and messages as at the start; tokens and sockets stay."""
        await self.request("POST", "reset")

    async def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        await self.request("POST", "clock", {"advance_seconds": seconds})

    async def connected(self, count: int = 1, seconds: float = PATIENCE) -> None:
        """Wait until the app has so many sockets open (0: none)."""
        good, numbers = await self.watch(
            "connections",
            lambda answer: list(answer["connections"]),
            lambda numbers: len(numbers) == 0 if count == 0 else len(numbers) >= count,
            seconds,
        )
        if not good:
            raise NotSeen(f"waited for {count} connections of the app; there are {len(numbers)}")

    async def disconnect(self, reason: str = "refresh_requested", *, abort: bool = False) -> None:
        """Ask the app to reconnect, or cut its sockets."""
        await self.request("POST", "disconnect", {"reason": reason, "abort": abort})

    async def deliveries(self) -> list[Json]:
        """What went over the sockets, with what came of it."""
        return list((await self.request("GET", "connections"))["deliveries"])

    async def calls(self, method: str | None = None) -> list[Json]:
        """The app's Web API calls, oldest first."""
        query: dict[str, Any] = {"method": method} if method else {}
        return list((await self.request("GET", "calls", **query))["calls"])

    async def add_fault(self, kind: str, method: str = "*", **details: Any) -> int:
        """Cause trouble (see `faults.Fault`); the number by which it can be lifted."""
        answer = await self.request("POST", "faults", {"kind": kind, "method": method, **details})
        return int(answer["fault"]["id"])

    async def lift_faults(self, number: int | None = None) -> None:
        query: dict[str, Any] = {} if number is None else {"id": number}
        await self.request("DELETE", "faults", **query)

    @asynccontextmanager
    async def fault(self, kind: str, method: str = "*", **details: Any) -> AsyncIterator[None]:
        """Trouble for as long as the block lasts."""
        number = await self.add_fault(kind, method, **details)
        try:
            yield
        finally:
            await self.lift_faults(number)

    async def change_app(self, **facts: Any) -> None:
        """Set `scopes`, `rate_limits`, `home_enabled` or `revoked`."""
        await self.request("PATCH", "app", facts)

    async def add_person(self, name: str, **facts: Any) -> "Person":
        await self.request("POST", "people", {"name": name, **facts})
        return self.person(name)

    async def add_channel(self, name: str, *, members: list[str], kind: str = "public") -> str:
        """Make a channel and give its id."""
        answer = await self.request("POST", "channels", {"name": name, "members": members, "kind": kind})
        return str(answer["channel"]["id"])

    async def change_channel(self, channel: str, **facts: Any) -> None:
        """`add` and `remove` members (the bot too, by its name), `archived`, `name`."""
        await self.request("PATCH", f"channels/{channel.removeprefix('#')}", facts)

    async def add_group(self, handle: str, *, members: list[str]) -> str:
        answer = await self.request("POST", "groups", {"handle": handle, "members": members})
        return str(answer["group"]["id"])

    async def person_id(self, name: str) -> str:
        """The id of someone by their handle."""
        people = (await self.state())["people"]
        return str(next(one["id"] for one in people if one["name"] == name))

    async def channel_id(self, name: str) -> str:
        """The id of a channel by its name."""
        channels = (await self.state())["channels"]
        return str(next(one["id"] for one in channels if one["name"] == name.removeprefix("#")))


class Person:
    """Someone at their screen."""

    def __init__(self, world: SlackWorld, name: str) -> None:
        self.world = world
        self.name = name

    def __repr__(self) -> str:
        return f"Person({self.name})"

    async def _act(self, act: str, **body: Any) -> Json:
        told = {key: value for key, value in body.items() if value is not None}
        return await self.world.request("POST", f"people/{self.name}/{act}", told)

    # -- doing -----------------------------------------------------------------------------------------------

    async def command(self, text: str, *, channel: str = "general") -> Result:
        """Type a slash command into a channel (`dm`: the direct message with the app)."""
        return Result.parse(await self._act("command", text=text, channel=channel))

    async def say(self, text: str, *, channel: str = "general", thread_ts: str | None = None) -> str:
        """Write a message; its `ts`."""
        return str((await self._act("say", text=text, channel=channel, thread_ts=thread_ts))["ts"])

    async def click(
        self,
        element: str,
        *,
        where: str | None = None,
        ts: str | None = None,
        block_id: str | None = None,
        confirm: bool = False,
    ) -> Result:
        """Click a button or an entry of an overflow menu.

        `where` is `modal`, `home` or a channel. Without it: the open modal if there is one, else the newest message
        that has it (or Home first, if that was looked at last).
        """
        answer = await self._act("click", **{"in": where}, element=element, ts=ts, block_id=block_id, confirm=confirm)
        return Result.parse(answer)

    async def choose(
        self,
        element: str,
        value: Any,
        *,
        where: str | None = None,
        ts: str | None = None,
        block_id: str | None = None,
        confirm: bool = False,
        query: str | None = None,
    ) -> Result:
        """Choose in a select, radio or checkbox group, picker or overflow menu: option texts, names, a date, a list.

        An external select is asked with `query`, or else with the option's own text. `[]` chooses nothing.
        """
        body = {"in": where, "element": element, "value": value, "ts": ts, "block_id": block_id, "query": query}
        return Result.parse(await self._act("choose", **body, confirm=confirm))

    async def enter(self, element: str, value: Any, *, where: str | None = None, block_id: str | None = None) -> Result:
        """Type or choose, whichever the element takes; True and False tick and untick a checkbox."""
        return Result.parse(await self._act("enter", **{"in": where}, element=element, value=value, block_id=block_id))

    async def type(
        self, element: str, text: str, *, where: str | None = None, block_id: str | None = None, enter: bool = False
    ) -> Result:
        """Type into a text input, replacing what is there."""
        body = {"in": where, "element": element, "text": text, "block_id": block_id, "enter": enter}
        return Result.parse(await self._act("type", **body))

    async def suggestions(self, element: str, query: str, *, where: str | None = None) -> list[str]:
        """The texts of the options that an external select offers for a query."""
        answer = await self._act("suggest", **{"in": where}, element=element, query=query)
        return [option["text"]["text"] for option in answer["options"]]

    async def submit(self) -> Result:
        """Press the submit button of the open modal."""
        return Result.parse(await self._act("submit"))

    async def close(self, *, everything: bool = False) -> Result:
        """Press Cancel in the open modal, or the X that closes all."""
        return Result.parse(await self._act("close", all=everything))

    async def open_home(self) -> Result:
        """Look at the app's Home tab."""
        return Result.parse(await self._act("open_home"))

    # -- seeing ----------------------------------------------------------------------------------------------

    async def screen(self) -> Screen:
        return Screen.parse(await self.world.request("GET", f"people/{self.name}/view"))

    async def wait_for(self, wanted: Callable[[Screen], Any], seconds: float = PATIENCE) -> Screen:
        """Wait until modals, Home or notices are as wanted."""
        good, screen = await self.world.watch(f"people/{self.name}/view", Screen.parse, wanted, seconds)
        if not good:
            raise NotSeen(f"{self.name} waited {seconds:g} s in vain. {screen.describe()}")
        return screen

    async def modal(self, title: str | None = None, seconds: float = PATIENCE) -> "Modal":
        """The visible modal, once there is one (with this title)."""

        def there(screen: Screen) -> bool:
            return screen.modal is not None and title in (None, title_of(screen.modal))

        return Modal(self, (await self.wait_for(there, seconds)).modal or {})

    async def no_modal(self, seconds: float = PATIENCE) -> None:
        """Wait until no modal is open."""
        await self.wait_for(lambda screen: screen.modal is None, seconds)

    async def home(self, containing: str = "", seconds: float = PATIENCE) -> str:
        """The text of the app's Home, once it contains this."""
        screen = await self.wait_for(lambda one: one.home is not None and containing in one.home_text, seconds)
        return screen.home_text

    async def messages(self, channel: str = "general") -> list[Message]:
        """What stands in a channel (`dm`: the direct message with the app), oldest first."""
        answer = await self.world.request("GET", self._messages_path(channel))
        return parse_messages(answer)

    async def wait_for_messages(
        self, channel: str, wanted: Callable[[list[Message]], Any], seconds: float = PATIENCE
    ) -> list[Message]:
        """Wait until the messages of a channel are as wanted."""
        good, messages = await self.world.watch(self._messages_path(channel), parse_messages, wanted, seconds)
        if not good:
            seen = "\n---\n".join(one.shown for one in messages[-10:]) or "nothing"
            raise NotSeen(f"{self.name} waited {seconds:g} s in vain in {channel}. There is:\n{seen}")
        return messages

    async def message(self, containing: str, *, channel: str = "general", seconds: float = PATIENCE) -> Message:
        """The newest message of a channel that contains this text, once there is one."""

        def having(messages: list[Message]) -> list[Message]:
            return [one for one in messages if containing in one.shown or containing in one.text]

        return having(await self.wait_for_messages(channel, having, seconds))[-1]

    async def notifications(self) -> list[Json]:
        """Each message and edit for this person: `notified` or not, and `how`."""
        return list((await self.world.request("GET", f"people/{self.name}/notifications"))["notifications"])

    async def read_file(self, file: File) -> bytes:
        """The content of a file that this person can see."""
        return await self.world.read_bytes(f"people/{self.name}/files/{file.id}")

    async def change(self, **facts: Any) -> None:
        """Change what Slack knows of them: `locale`, `tz`, `is_admin`, `is_owner`, `is_restricted`, `deleted`…"""
        await self.world.request("PATCH", f"people/{self.name}", facts)

    def _messages_path(self, channel: str) -> str:
        return f"people/{self.name}/channels/{channel.removeprefix('#')}/messages"


class Modal:
    """A modal as it was when it was read; its acts go to the modal that is visible then."""

    def __init__(self, person: Person, view: Json) -> None:
        self.person = person
        self.view = view

    @property
    def id(self) -> str:
        return str(self.view["id"])

    @property
    def title(self) -> str:
        return title_of(self.view)

    @property
    def text(self) -> str:
        """All text in it."""
        return visible_text(self.view["blocks"])

    @property
    def errors(self) -> dict[str, str]:
        """What stands under inputs, by block_id."""
        return dict(self.view["errors"])

    @property
    def values(self) -> dict[str, dict[str, Json]]:
        """`state.values`: by block_id and action_id."""
        return dict(self.view["state"]["values"])

    @property
    def labels(self) -> list[str]:
        """What the elements in it are called."""
        return [placed.label for placed in placed_elements(self.view["blocks"])]

    async def fill(self, entries: Mapping[str, Any]) -> None:
        """Type and choose, field by field."""
        for element, value in entries.items():
            await self.person.enter(element, value, where="modal")

    async def submit(self) -> Result:
        return await self.person.submit()

    async def updated(self, seconds: float = PATIENCE) -> "Modal":
        """This modal again, once the app has changed it."""

        def changed(screen: Screen) -> bool:
            modal = next((one for one in screen.modals if one["id"] == self.id), None)
            return modal is not None and modal["hash"] != self.view["hash"]

        screen = await self.person.wait_for(changed, seconds)
        return Modal(self.person, next(one for one in screen.modals if one["id"] == self.id))
