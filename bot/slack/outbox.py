"""Delivers the outbox: at least once, oldest first in each channel, through outages and rate limits.

Events write their messages in their own transaction. They are rendered here, when Slack can have them: a run that went
on in the meantime shows as it is, not as it was.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog

from bot.slack.boundary import report
from bot.slack.errors import RateLimited, RecipientGone, SlackAway, TokenRefused
from bot.slack.gateway import Posted
from bot.slack.mailbox import Letter, Mailbox
from storage.models import OutboxMessage, now

LOOK_SECONDS = 0.2  # how often the outbox is looked at: other processes write into it too
LONGEST_PAUSE = 30.0  # seconds between two tries while Slack is away
FINISH_SECONDS = 5.0  # for what is being delivered when the bot stops; the rest waits for the next start
MOST_TRIES = 12  # of a message that we fail to render or Slack refuses as malformed

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of a delivery: where the message is (None: there was nothing to say), and what follows from it."""

    posted: Posted | None = None
    follow: tuple[Letter, ...] = ()


Deliver = Callable[[OutboxMessage], Awaitable[Delivery]]
"""Renders and posts one message. Raises a `SlackError` if Slack does not take it."""

Redirect = Callable[[OutboxMessage, str], Awaitable[tuple[Letter, ...]]]
"""What follows when Slack will never take a message: who is told instead."""


class Outbox:
    def __init__(
        self,
        mailbox: Mailbox,
        deliverers: Mapping[str, Deliver],
        redirect: Redirect,
        *,
        clock: Callable[[], datetime] = now,
        on_delivered: Callable[[OutboxMessage], None] = lambda _: None,
    ) -> None:
        self._mailbox = mailbox
        self._deliverers = deliverers
        self._redirect = redirect
        self._clock = clock
        self._on_delivered = on_delivered
        self._nudged = asyncio.Event()
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def nudge(self) -> None:
        """There may be something new."""
        self._nudged.set()

    async def run(self) -> None:
        """Deliver until cancelled; what is being delivered then gets a few seconds to finish."""
        try:
            while True:
                self._nudged.clear()
                try:
                    await self._start_due()
                except Exception as error:
                    report(error)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._nudged.wait()
        finally:
            await self._finish()

    async def _finish(self) -> None:
        tasks = list(self._under_way.values())
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=FINISH_SECONDS)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def deliver_all(self) -> None:
        """Deliver what is due now, to the end."""
        while messages := await self._mailbox.due(self._clock()):
            await asyncio.gather(*(self._deliver(message) for message in messages))

    async def _start_due(self) -> None:
        """One message at a time for each channel; a slow channel holds up no other.

        What was under way before the outbox was read is left alone, even if it has ended since: it may still have
        been waiting when it was read, and would be said twice.
        """
        busy = set(self._under_way)
        for message in await self._mailbox.due(self._clock()):
            if message.channel not in busy:
                task = asyncio.create_task(self._deliver(message), name=f"outbox {message.event}")
                self._under_way[message.channel] = task
                task.add_done_callback(partial(self._ended, message.channel))

    def _ended(self, channel: str, _task: asyncio.Task[None]) -> None:
        self._under_way.pop(channel, None)
        self._nudged.set()

    async def _deliver(self, message: OutboxMessage) -> None:
        try:
            deliver = self._deliverers.get(message.event)
            if deliver is None:  # written by a newer version
                await self._mailbox.dropped(message, "unknown event")
                return
            delivery = await deliver(message)
        except RecipientGone as error:
            log.warning("a message can't be delivered", outbox=message.id, event_name=message.event, error=error.error)
            await self._mailbox.dropped(message, error.error, await self._redirect(message, error.error))
        except RateLimited as error:
            await self._postpone(message, error.seconds, error.error, counts=False)
        except (SlackAway, TokenRefused) as error:
            await self._postpone(message, _pause(message.attempts), error.error, counts=True)
        except Exception as error:
            await self._puzzle(message, error)
        else:
            await self._mailbox.delivered(message, delivery.posted, delivery.follow)
            self._on_delivered(message)

    async def _postpone(self, message: OutboxMessage, seconds: float, error: str, *, counts: bool) -> None:
        await self._mailbox.postponed(message, self._clock() + timedelta(seconds=seconds), error, counts=counts)

    async def _puzzle(self, message: OutboxMessage, error: Exception) -> None:
        """A mistake of ours: try a few more times, so that it holds up nothing for ever."""
        reference = report(error)
        if message.attempts + 1 >= MOST_TRIES:
            await self._mailbox.dropped(message, reference, await self._redirect(message, reference))
        else:
            await self._postpone(message, _pause(message.attempts), reference, counts=True)


def _pause(attempts: int) -> float:
    return min(LONGEST_PAUSE, 0.5 * 2.0 ** min(attempts, 10))
