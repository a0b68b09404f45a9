"""Live messages: how far each run is, edited into its message while it runs."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from bot.i18n import translator
from bot.slack.boundary import report
from bot.slack.errors import MessageGone, RecipientGone, SlackError
from bot.slack.gateway import Gateway, Posted
from bot.slack.mailbox import Mailbox
from bot.slack.views import runs
from bot.slack.views.kit import Json
from storage.models import Run

EDIT_SECONDS = 2.0  # between two edits of one message
LOOK_SECONDS = 0.5  # how often running runs are looked at
RATE_SECONDS = 120.0  # over which the sending rate is measured: Omnisend finishes batches in bursts
SPARE_EDITS = 10  # calls a minute that are left for edits which people wait for

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Shown:
    """What is known of one live message."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    content: Json | None = None
    edited_at: float = float("-inf")
    sent: deque[tuple[float, int]] = field(default_factory=deque)
    gone: bool = False


class LiveMessages:
    """Keeps the live message of each running run current. The last edit, without buttons, comes with the report."""

    def __init__(
        self,
        mailbox: Mailbox,
        gateway: Gateway,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._mailbox = mailbox
        self._gateway = gateway
        self._clock = clock
        self._sleep = sleep
        self._shown: dict[int, _Shown] = {}
        self._texts = translator()

    async def run(self) -> None:
        """Look at the running runs until cancelled."""
        while True:
            try:
                await self.look()
            except Exception as error:
                report(error)
            await self._sleep(LOOK_SECONDS)

    async def look(self) -> None:
        for run in await self._mailbox.running():
            await self._refresh(run)

    async def _refresh(self, run: Run) -> None:
        assert run.id is not None
        shown = self._shown.setdefault(run.id, _Shown())
        pace = self._pace(run, shown)
        if shown.gone or shown.lock.locked() or self._clock() - shown.edited_at < EDIT_SECONDS:
            return
        if self._gateway.pace.room("chat.update") <= SPARE_EDITS:
            return
        async with shown.lock:
            current = await self._mailbox.run(run.id)  # it may have ended while we waited
            if current is not None and current.status.active:
                await self._edit(current, shown, runs.live(self._texts, current, pace))

    async def settle(self, run: Run) -> None:
        """The last edit of a run that is over or waits for an answer; nothing comes after it."""
        assert run.id is not None
        shown = self._shown.setdefault(run.id, _Shown())
        async with shown.lock:
            if run.report_ts and not shown.gone:
                await self._edit(run, shown, runs.live(self._texts, run))
        if not run.status.active:
            self._shown.pop(run.id, None)

    async def _edit(self, run: Run, shown: _Shown, content: Json) -> None:
        if content == shown.content:
            return
        shown.edited_at = self._clock()
        try:
            await self._gateway.edit(Posted(run.report_channel or "", run.report_ts or ""), content, urgent=True)
            shown.content = content
        except (MessageGone, RecipientGone):  # deleted, or too old to be edited here: the report comes all the same
            shown.gone = True
        except SlackError as error:
            log.info("a live message could not be edited", run=run.id, error=error.error)

    def _pace(self, run: Run, shown: _Shown) -> runs.Pace:
        """The rate over the last minutes, and the time left at that rate.

        It is measured from the first contacts that Omnisend has finished: reading and the canary, which goes alone,
        say nothing of the pace at which the rest goes.
        """
        now, points = self._clock(), shown.sent
        if run.sent == 0:
            points.clear()
            return runs.Pace()
        points.append((now, run.sent))
        while points[0][0] < now - RATE_SECONDS:
            points.popleft()
        (first, before), (last, after) = points[0], points[-1]
        if last - first < EDIT_SECONDS or after <= before:
            return runs.Pace()
        rate = (after - before) / (last - first)
        return runs.Pace(rate, (run.total - run.sent) / rate if run.total else None)
