"""The state of the workspace: people, channels, user groups, messages, files, and who was told of what."""

import itertools
import random
import re
import string
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from bot.sandbox.slack.clock import Clock
from bot.sandbox.slack.errors import Json
from bot.sandbox.slack.journal import Journal
from bot.sandbox.slack.words import visible_text

ChannelKind = Literal["public", "private", "im", "mpim"]
Attention = Literal["direct", "mention", "channel", "thread", "ephemeral", "edit"]


@dataclass(slots=True)
class Person:
    """A member of the workspace; the app's bot user is one too."""

    id: str
    name: str
    real_name: str
    locale: str = "en-US"
    tz: str = "Europe/Berlin"
    is_admin: bool = False
    is_owner: bool = False
    is_primary_owner: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_bot: bool = False
    deleted: bool = False

    @property
    def email(self) -> str:
        return f"{self.name}@acme.example"

    @property
    def mention(self) -> str:
        return f"<@{self.id}>"


@dataclass(slots=True)
class Channel:
    """A conversation. A direct message has the kind `im` and no name."""

    id: str
    name: str
    kind: ChannelKind = "public"
    members: list[str] = field(default_factory=list)
    archived: bool = False
    creator: str = ""
    created: int = 0

    @property
    def is_direct(self) -> bool:
        return self.kind in ("im", "mpim")


@dataclass(slots=True)
class UserGroup:
    """A user group such as @marketing-leads."""

    id: str
    handle: str
    name: str
    members: list[str] = field(default_factory=list)


@dataclass(slots=True)
class File:
    """An uploaded file. It stands in `channels` only once its upload was completed."""

    id: str
    name: str
    title: str
    length: int
    alt_text: str = ""
    uploader: str = ""
    content: bytes | None = None
    completed: bool = False
    channels: list[str] = field(default_factory=list)
    created: int = 0


@dataclass(slots=True)
class Message:
    """A message in a channel. One with `ephemeral_to` is seen by that person only."""

    channel: str
    ts: str
    author: str
    text: str
    blocks: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    thread_ts: str | None = None
    broadcast: bool = False
    ephemeral_to: str | None = None
    edited_ts: str | None = None
    metadata: Json | None = None
    reactions: dict[str, list[str]] = field(default_factory=dict)

    @property
    def all_blocks(self) -> list[Json]:
        """The blocks of the message and of its attachments, in the order in which they are shown."""
        return self.blocks + [block for attachment in self.attachments for block in attachment.get("blocks", [])]


@dataclass(frozen=True, slots=True)
class Notification:
    """Whether one person was notified of one message, and why or why not (`how`)."""

    person: str
    channel: str
    ts: str
    notified: bool
    how: Attention
    text: str


class Workspace:
    """The people of a made-up company, Acme, and what they have said; ids are seeded, so they repeat."""

    def __init__(self, clock: Clock, journal: Journal, seed: int, bot_name: str = "ferry") -> None:
        self._clock = clock
        self._journal = journal
        self._random = random.Random(seed)  # noqa: S311  ids, not secrets
        self._serial = itertools.count(1)
        self.team_id = self.new_id("T")
        self.team_name = "Acme"
        self.domain = "acme"
        self.app_id = self.new_id("A")
        self.bot_id = self.new_id("B")
        self.people: dict[str, Person] = {}
        self.channels: dict[str, Channel] = {}
        self.groups: dict[str, UserGroup] = {}
        self.files: dict[str, File] = {}
        self.messages: dict[str, list[Message]] = {}
        self.notifications: list[Notification] = []
        self.bot = self.add_person(bot_name, real_name=bot_name.replace("-", " ").title(), is_bot=True)
        self._settle_in()

    def _settle_in(self) -> None:
        """Acme on an ordinary day: an owner, a contributor, another member and a guest."""
        ada = self.add_person(
            "ada", real_name="Ada Owner", is_admin=True, is_owner=True, is_primary_owner=True, tz="Europe/London"
        )
        carl = self.add_person("carl", real_name="Carl Contributor")
        vera = self.add_person("vera", real_name="Vera Viewer", locale="de-DE")
        gus = self.add_person("gus", real_name="Gus Guest", is_restricted=True, tz="America/New_York")
        members = [ada.id, carl.id, vera.id]
        self.add_channel("general", members=[*members, self.bot.id])
        self.add_channel("marketing", members=[*members, gus.id, self.bot.id])
        self.add_channel("random", members=members)
        self.add_channel("leads", kind="private", members=[ada.id, carl.id])

    # -- adding and finding ---------------------------------------------------------------------------------

    def new_id(self, prefix: str) -> str:
        """An id as Slack's look: a letter for the kind, then capitals and digits."""
        return prefix + "0" + "".join(self._random.choices(string.ascii_uppercase + string.digits, k=9))

    def add_person(self, name: str, *, real_name: str = "", **facts: Any) -> Person:
        """Let someone join; `facts` are the other fields of `Person`."""
        person = Person(self.new_id("U"), name, real_name or name.title(), **facts)
        self.people[person.id] = person
        self._journal.record("person", person=person.id)
        return person

    def add_channel(self, name: str, *, kind: ChannelKind = "public", members: list[str]) -> Channel:
        """Make a channel with these members."""
        channel_id = self.new_id("D" if kind == "im" else "C")
        channel = Channel(
            channel_id, name, kind, list(members), creator=members[0] if members else "", created=int(self._clock.now())
        )
        self.channels[channel.id] = channel
        self.messages[channel.id] = []
        self._journal.record("channel", channel=channel.id)
        return channel

    def add_group(self, handle: str, *, name: str, members: list[str]) -> UserGroup:
        """Make a user group, @handle."""
        group = UserGroup(self.new_id("S"), handle, name or handle, members)
        self.groups[group.id] = group
        self._journal.record("group", group=group.id)
        return group

    def find_person(self, key: str) -> Person | None:
        """By id, handle or real name."""
        key = key.removeprefix("@")
        if key in self.people:
            return self.people[key]
        return next(
            (one for one in self.people.values() if key.casefold() in (one.name.casefold(), one.real_name.casefold())),
            None,
        )

    def find_channel(self, key: str) -> Channel | None:
        """By id or name, with or without the #."""
        if key in self.channels:
            return self.channels[key]
        name = key.removeprefix("#")
        return next((one for one in self.channels.values() if one.name == name and not one.is_direct), None)

    def find_direct_channel(self, *people: str) -> Channel | None:
        """The direct conversation of exactly these people, if it was opened before."""
        wanted = set(people)
        return next((one for one in self.channels.values() if one.is_direct and set(one.members) == wanted), None)

    def direct_channel(self, *people: str) -> Channel:
        """The direct conversation of exactly these people, opened if there is none yet."""
        open_one = self.find_direct_channel(*people)
        if open_one is not None:
            return open_one
        kind: ChannelKind = "im" if len(set(people)) <= 2 else "mpim"
        name = "" if kind == "im" else "mpdm-" + "--".join(self.people[one].name for one in people) + "-1"
        return self.add_channel(name, kind=kind, members=list(people))

    # -- messages -------------------------------------------------------------------------------------------

    def new_ts(self) -> str:
        """A message's timestamp: seconds since the epoch, with a serial so that it is unique and rising."""
        return f"{int(self._clock.now())}.{next(self._serial):06d}"

    def post(self, message: Message) -> Message:
        """Put a message into its channel and tell those who are to be told."""
        self.messages[message.channel].append(message)
        self._journal.record(
            "message", channel=message.channel, ts=message.ts, ephemeral_to=message.ephemeral_to, author=message.author
        )
        for person in self._audience(message):
            self._notify(person, message, *self._attention(person, message))
        return message

    def edited(self, message: Message) -> None:
        """Note that a message was changed: everyone sees it, no one is notified."""
        if message.ephemeral_to is None:
            message.edited_ts = self.new_ts()
        self._journal.record(
            "message_changed", channel=message.channel, ts=message.ts, ephemeral_to=message.ephemeral_to
        )
        for person in self._audience(message):
            self._notify(person, message, False, "edit")

    def delete(self, message: Message) -> None:
        self.messages[message.channel].remove(message)
        self._journal.record("message_deleted", channel=message.channel, ts=message.ts)

    def find_message(self, channel: str, ts: str) -> Message | None:
        return next((one for one in self.messages.get(channel, ()) if one.ts == ts), None)

    def seen_by(self, person: str, channel: str) -> list[Message]:
        """What a person sees in a channel, oldest first."""
        return [one for one in self.messages[channel] if one.ephemeral_to in (None, person)]

    def _audience(self, message: Message) -> list[Person]:
        if message.ephemeral_to:
            return [self.people[message.ephemeral_to]]
        members = (self.people[one] for one in self.channels[message.channel].members)
        return [one for one in members if one.id != message.author and not one.is_bot]

    def _attention(self, person: Person, message: Message) -> tuple[bool, Attention]:
        if message.ephemeral_to:
            return False, "ephemeral"
        if self.channels[message.channel].is_direct:
            return True, "direct"
        if person.mention in message.text or re.search(r"<!(channel|here|everyone)>", message.text):
            return True, "mention"
        if message.thread_ts and not message.broadcast:
            return self._follows_thread(person, message), "thread"
        return True, "channel"

    def _follows_thread(self, person: Person, message: Message) -> bool:
        thread = [one for one in self.messages[message.channel] if message.thread_ts in (one.ts, one.thread_ts)]
        return any(one.author == person.id or person.mention in one.text for one in thread)

    def _notify(self, person: Person, message: Message, notified: bool, how: Attention) -> None:
        text = message.text or visible_text(message.all_blocks)
        notification = Notification(person.id, message.channel, message.ts, notified, how, text)
        self.notifications.append(notification)
        self._journal.record(
            "notification", person=person.id, channel=message.channel, ts=message.ts, notified=notified, how=how
        )


def tz_offset(tz: str, now: float) -> int:
    """Seconds that a time zone is ahead of UTC at this moment."""
    offset = datetime.fromtimestamp(now, ZoneInfo(tz)).utcoffset()
    return int(offset.total_seconds()) if offset else 0
