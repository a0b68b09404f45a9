"""What Slack hands out to be used soon: trigger ids and response URLs."""

import random
from dataclasses import dataclass

from bot.sandbox.slack.clock import Clock
from bot.sandbox.slack.errors import SlackError

RESPONSE_URL_POSTS = 5
RESPONSE_URL_SECONDS = 30 * 60


@dataclass(slots=True)
class Trigger:
    """The right to open a modal for a person, once and soon. `view_id`: the view whose use gave it."""

    person: str
    channel: str | None
    view_id: str | None
    issued: float
    used: bool = False


class Triggers:
    """Trigger ids, good for one exchange within `seconds` (Slack docs, Interactivity: 3 seconds, single use)."""

    def __init__(self, clock: Clock, source: random.Random, seconds: float) -> None:
        self._clock = clock
        self._random = source
        self._seconds = seconds
        self._issued: dict[str, Trigger] = {}

    def issue(self, person: str, channel: str | None = None, view_id: str | None = None) -> str:
        number = self._random.randrange(10**12)
        trigger_id = f"{number}.{self._random.randrange(10**12)}.{self._random.getrandbits(128):032x}"
        self._issued[trigger_id] = Trigger(person, channel, view_id, self._clock.patience())
        return trigger_id

    def exchange(self, trigger_id: str) -> Trigger:
        """Use a trigger up. Raises `SlackError` with Slack's code for one that can't be used."""
        trigger = self.peek(trigger_id)
        trigger.used = True
        return trigger

    def peek(self, trigger_id: str) -> Trigger:
        """What a trigger stands for, without using it up; raises as `exchange` does."""
        trigger = self._issued.get(trigger_id)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.used:
            raise SlackError("exchanged_trigger_id")
        if self._clock.patience() - trigger.issued > self._seconds:
            raise SlackError("expired_trigger_id")
        return trigger


@dataclass(slots=True)
class ResponseUrl:
    """The right to answer where a person acted. `message_ts` is the message they acted on, if any."""

    person: str
    channel: str
    message_ts: str | None
    issued: float
    posts: int = 0


class ResponseUrls:
    """Response URLs: 5 posts within 30 minutes (Slack docs, Handling user interaction)."""

    def __init__(self, clock: Clock, source: random.Random) -> None:
        self._clock = clock
        self._random = source
        self._issued: dict[str, ResponseUrl] = {}

    def issue(self, person: str, channel: str, message_ts: str | None = None) -> str:
        """The last part of a new URL's path."""
        key = f"{self._random.getrandbits(96):024x}"
        self._issued[key] = ResponseUrl(person, channel, message_ts, self._clock.now())
        return key

    def use(self, key: str) -> ResponseUrl:
        """Count one post. Raises `SlackError` when it is not a URL of ours, too old or used up."""
        url = self._issued.get(key)
        if url is None:
            raise SlackError("invalid_url")
        if self._clock.now() - url.issued > RESPONSE_URL_SECONDS:
            raise SlackError("expired_url")
        if url.posts >= RESPONSE_URL_POSTS:
            raise SlackError("used_url")
        url.posts += 1
        return url
