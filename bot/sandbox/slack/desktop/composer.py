"""The box at the bottom of a channel: slash commands and messages."""

import re

from bot.sandbox.slack import interactions
from bot.sandbox.slack.desktop.outcome import Outcome
from bot.sandbox.slack.desktop.screen import Screen
from bot.sandbox.slack.errors import Refused, SlackError
from bot.sandbox.slack.methods.chat import message_json
from bot.sandbox.slack.responses import post_answer
from bot.sandbox.slack.socket_mode import Ack, NoAck
from bot.sandbox.slack.workspace import Channel, Message


class Composer:
    """What a person types into a channel."""

    def __init__(self, screen: Screen) -> None:
        self._emulator = screen.emulator
        self._person = screen.person

    async def command(self, text: str, channel: Channel) -> Outcome:
        """Type a slash command and press Enter. An answer in the acknowledgement appears in the channel."""
        emulator = self._emulator
        self._check_can_write(channel)
        name, _, rest = text.strip().partition(" ")
        if not name.startswith("/"):
            raise Refused("not_a_command", f"{text!r} is not a command: it does not begin with a slash.", status=422)
        known = emulator.config.commands
        if (known is not None and name not in known) or "commands" not in emulator.scopes:
            return Outcome(error="invalid_command", notice=f"{name} is not a valid command.")
        if known and known[name].get("should_escape"):
            rest = self._escaped(rest)
        payload = interactions.slash_command(
            emulator.workspace,
            self._person,
            channel,
            name,
            rest.strip(),
            emulator.command_response_url(self._person.id, channel.id),
            emulator.triggers.issue(self._person.id, channel.id),
        )
        answer = await emulator.sockets.deliver("slash_commands", payload)
        if isinstance(answer, NoAck):
            return self._failed(channel, answer.error, f"{name} failed with the error “{answer.error}”.")
        return self._answered(channel, answer)

    def _answered(self, channel: Channel, answer: Ack) -> Outcome:
        if not answer.payload:
            return Outcome(sent=True, acknowledged=True)
        try:
            message = post_answer(self._emulator, self._person.id, channel.id, answer.payload)
        except SlackError as error:
            return self._failed(channel, error.code, "The app's answer can't be shown.")
        return Outcome(sent=True, acknowledged=True, reply=message_json(self._emulator, message))

    def _failed(self, channel: Channel, error: str, text: str) -> Outcome:
        self._emulator.note(self._person.id, error, text, channel.id)
        return Outcome(sent=True, error=error, notice=text)

    async def say(self, text: str, channel: Channel, thread_ts: str | None = None) -> Message:
        """Write a message."""
        emulator = self._emulator
        ws = emulator.workspace
        self._check_can_write(channel)
        if channel.kind == "im" and ws.bot.id in channel.members and not emulator.config.messages_enabled:
            raise Refused("messages_disabled", "Sending messages to this app has been turned off.")
        message = ws.post(Message(channel.id, ws.new_ts(), self._person.id, text, thread_ts=thread_ts))
        await emulator.events.message(channel, message)
        return message

    def _escaped(self, text: str) -> str:
        """Mentions and channels as ids with names (Slack docs, Slash commands: should_escape)."""
        ws = self._emulator.workspace

        def person(match: re.Match[str]) -> str:
            found = ws.find_person(match[1])
            return f"<@{found.id}|{found.name}>" if found else match[0]

        def channel(match: re.Match[str]) -> str:
            found = ws.find_channel(match[1])
            return f"<#{found.id}|{found.name}>" if found else match[0]

        return re.sub(r"#([\w-]+)", channel, re.sub(r"@([\w.-]+)", person, text))

    def _check_can_write(self, channel: Channel) -> None:
        self._emulator.at_home.discard(self._person.id)
        if self._person.id not in channel.members:
            raise Refused("not_in_channel", f"{self._person.name} is not in #{channel.name}.")
        if channel.archived:
            raise Refused("is_archived", f"#{channel.name} is archived.")
