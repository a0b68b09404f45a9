"""Slack's rate limits: per method in windows of a minute, and a message a second for each channel.

Slack docs, Rate limits. Slack tolerates short bursts beyond them without saying how long; here they are kept exactly.
"""

import math
from collections import defaultdict, deque

from bot.sandbox.slack.clock import Clock

WINDOW = 60.0  # seconds
TIER_CALLS = {1: 1, 2: 20, 3: 50, 4: 100}  # calls a minute
POSTS_PER_WORKSPACE = 300  # messages a minute over all channels ("several hundred")
POST_SECONDS = 1.0  # between two messages in one channel
SPECIAL = 600  # calls a minute of the methods that allow hundreds

CALLS_A_MINUTE: dict[str, int] = {
    "apps.connections.open": TIER_CALLS[3],
    "auth.test": SPECIAL,
    "chat.getPermalink": SPECIAL,
    "chat.postMessage": POSTS_PER_WORKSPACE,
    **dict.fromkeys(("users.list", "conversations.list", "usergroups.list", "usergroups.users.list"), TIER_CALLS[2]),
    **dict.fromkeys(
        (
            "chat.update", "chat.delete", "conversations.open", "conversations.info", "conversations.join",
            "team.info", "reactions.add",
        ),
        TIER_CALLS[3],
    ),
    **dict.fromkeys(
        (
            "views.open", "views.push", "views.update", "views.publish", "users.info", "chat.postEphemeral",
            "conversations.members", "files.getUploadURLExternal", "files.completeUploadExternal",
        ),
        TIER_CALLS[4],
    ),
}  # fmt: skip


class RateLimits:
    """Counts calls and says who has to wait."""

    def __init__(self, clock: Clock, *, enabled: bool) -> None:
        self.enabled = enabled
        self._clock = clock
        self._calls: dict[str, deque[float]] = defaultdict(deque)
        self._last_post: dict[str, float] = {}

    def admit(self, method: str, channel: str = "") -> int:
        """0 and the call is counted; or how many real seconds the app has to wait (the Retry-After header)."""
        if not self.enabled:
            return 0
        now = self._clock.now()
        calls = self._calls[method]
        while calls and calls[0] <= now - WINDOW:
            calls.popleft()
        wait = 0.0
        if len(calls) >= CALLS_A_MINUTE.get(method, TIER_CALLS[3]):
            wait = calls[0] + WINDOW - now
        if method == "chat.postMessage" and channel in self._last_post:
            wait = max(wait, self._last_post[channel] + POST_SECONDS - now)
        if wait > 0:
            return max(1, math.ceil(wait / self._clock.time_scale))
        calls.append(now)
        if method == "chat.postMessage":
            self._last_post[channel] = now
        return 0

    def forget(self) -> None:
        self._calls.clear()
        self._last_post.clear()
