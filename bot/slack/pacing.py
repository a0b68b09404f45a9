"""When a call to Slack may go. Slack docs, Rate limits: by method and minute; a message a second for each channel."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable

WINDOW = 60.0  # seconds
POST_SECONDS = 1.1  # between two messages in a channel: Slack's second, and some for the way

# Calls a minute that we allow ourselves, a tenth below what Slack documents; other methods are called rarely.
CALLS_A_MINUTE = {
    "chat.postMessage": 250,
    "chat.update": 45,
    "views.publish": 90,
    "users.info": 90,
    "usergroups.list": 18,
    "conversations.open": 45,
    "files.getUploadURLExternal": 90,
    "files.completeUploadExternal": 90,
}


class Pace:
    """Spaces calls out. What a person waits for is `urgent`: it goes at once unless Slack itself said to wait."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        post_seconds: float = POST_SECONDS,
    ) -> None:
        self._clock = clock
        self.sleep = sleep
        self._post_seconds = post_seconds
        self._calls: dict[str, deque[float]] = defaultdict(deque)
        self._next_post: dict[str, float] = {}
        self._blocked: dict[str, float] = {}

    def block(self, method: str, seconds: float) -> None:
        """Slack refuses this method for so long."""
        self._blocked[method] = max(self._blocked.get(method, 0.0), self._clock() + seconds)

    def blocked(self, method: str) -> float:
        """Seconds for which Slack still refuses this method."""
        return max(0.0, self._blocked.get(method, 0.0) - self._clock())

    def room(self, method: str) -> int:
        """Calls that may still go in this window without waiting."""
        calls = self._recent(method)
        return CALLS_A_MINUTE.get(method, 1_000) - len(calls) if not self.blocked(method) else 0

    async def turn(self, method: str, channel: str = "", *, urgent: bool = False) -> None:
        """Wait until the call may go, and count it."""
        while not urgent and (wait := max(self._full_for(method), self.blocked(method))):
            await self.sleep(wait)
        if method == "chat.postMessage":
            await self._wait_for_channel(channel)
        self._calls[method].append(self._clock())

    async def _wait_for_channel(self, channel: str) -> None:
        now = self._clock()
        slot = max(now, self._next_post.get(channel, now))
        self._next_post = {one: due for one, due in self._next_post.items() if due > now}
        self._next_post[channel] = slot + self._post_seconds
        if slot > now:
            await self.sleep(slot - now)

    def _full_for(self, method: str) -> float:
        calls = self._recent(method)
        if len(calls) < CALLS_A_MINUTE.get(method, 1_000):
            return 0.0
        return calls[0] + WINDOW - self._clock()

    def _recent(self, method: str) -> deque[float]:
        calls, horizon = self._calls[method], self._clock() - WINDOW
        while calls and calls[0] <= horizon:
            calls.popleft()
        return calls
