"""The Events API: what the app hears of, wrapped, and sent again when it is not acknowledged."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING

from bot.sandbox.slack import interactions
from bot.sandbox.slack.errors import Json
from bot.sandbox.slack.socket_mode import Ack, NoAck

if TYPE_CHECKING:
    from bot.sandbox.slack.emulator import Emulator
    from bot.sandbox.slack.workspace import Channel, Message, Person

RETRY_AFTER_SECONDS = (0.0, 60.0, 300.0)  # Slack docs, Events API: at once, after a minute, after five


class Events:
    """Sends the events that the app has subscribed to."""

    def __init__(self, emulator: "Emulator") -> None:
        self._emulator = emulator
        self._tasks: set[asyncio.Task[None]] = set()

    async def home_opened(self, person: "Person", tab: str, view: Json | None) -> Ack | NoAck | None:
        ws = self._emulator.workspace
        event: Json = {
            "type": "app_home_opened",
            "user": person.id,
            "channel": ws.direct_channel(ws.bot.id, person.id).id,
            "tab": tab,
            "event_ts": ws.new_ts(),
        }
        return await self.send(event if view is None else {**event, "view": view}, "app_home_opened")

    async def message(self, channel: "Channel", message: "Message") -> None:
        """A person's message, where the bot is a member; and the mention of the bot in it."""
        ws = self._emulator.workspace
        if ws.bot.id not in channel.members:
            return
        kind = {"public": "channel", "private": "group", "im": "im", "mpim": "mpim"}[channel.kind]
        said: Json = {
            "user": message.author,
            "ts": message.ts,
            "text": message.text,
            "team": ws.team_id,
            "channel": channel.id,
            "event_ts": message.ts,
        }
        if message.thread_ts:
            said["thread_ts"] = message.thread_ts
        subscription = {"channel": "message.channels", "group": "message.groups"}.get(kind, f"message.{kind}")
        await self.send({"type": "message", "channel_type": kind, **said}, subscription)
        if ws.bot.mention in message.text:
            await self.send({"type": "app_mention", **said}, "app_mention")

    async def person_changed(self, person: "Person") -> None:
        user = {"id": person.id, "name": person.name, "locale": person.locale, "tz": person.tz}
        flags = {"is_admin": person.is_admin, "is_owner": person.is_owner, "deleted": person.deleted}
        await self.send({"type": "user_change", "user": {**user, **flags}}, "user_change")

    async def membership(self, channel: "Channel", joined: list["Person"], left: list["Person"]) -> None:
        ws = self._emulator.workspace
        letter = channel.id[0]
        for kind, people in (("member_joined_channel", joined), ("member_left_channel", left)):
            for person in people:
                event: Json = {"type": kind, "user": person.id, "channel": channel.id, "channel_type": letter}
                await self.send({**event, "team": ws.team_id, "event_ts": ws.new_ts()}, kind)

    async def send(self, event: Json, subscription: str | None) -> Ack | NoAck | None:
        """Send an event if the app subscribed to it (None: in any case); None if it did not.

        Redelivery goes on in the background.
        """
        emulator = self._emulator
        if subscription is not None and subscription not in emulator.config.events:
            return None
        payload = interactions.event_callback(
            emulator.workspace, event, emulator.workspace.new_id("Ev"), int(emulator.clock.now())
        )
        answer = await emulator.sockets.deliver("events_api", payload)
        # Without any connection the event is lost; an event that a connection got is sent again.
        if isinstance(answer, NoAck) and answer.error == "operation_timeout":
            self._supervise(self._again(payload))
        return answer

    async def _again(self, payload: Json) -> None:
        for attempt, pause in enumerate(RETRY_AFTER_SECONDS, start=1):
            await self._emulator.clock.sleep(pause)
            answer = await self._emulator.sockets.deliver("events_api", payload, retry=attempt, reason="timeout")
            if isinstance(answer, Ack):
                return

    def _supervise(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Give up on all redeliveries."""
        for task in self._tasks:
            task.cancel()
