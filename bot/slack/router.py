"""From Bolt's listeners to flows: acknowledge first, then work; do a double click once."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Hashable
from contextvars import ContextVar

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.slack.boundary import guarded, report
from bot.slack.directory import Directory
from bot.slack.gateway import Gateway
from bot.slack.ids import SLASH_COMMAND, Action, Field, Modal
from bot.slack.tasks import Tasks
from bot.slack.views import common
from bot.slack.views.kit import Json
from bot.slack.views.words import explained
from bot.slack.visit import Flow, Reply, Visit
from storage.errors import FerryError

ACKNOWLEDGED: ContextVar[asyncio.Event | None] = ContextVar("acknowledged", default=None)
"""Set by the connection once the acknowledgement of the envelope at hand has left."""

ACK_SECONDS = 3.0  # after which Slack waits no longer
SETTLE_SECONDS = 0.1  # for Slack to show the view of an acknowledgement: a later update must not come before it
DOUBLE_CLICK = 1.0  # seconds after its end in which the same click again counts as the same

Check = Callable[[Visit], Reply]
"""Looks at a submitted modal at once: no waiting, since Slack gives three seconds."""
Offer = Callable[[Visit], Awaitable[list[Json]]]


class Once:
    """Lets the same act through once: not again while it is under way, nor just after."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: dict[Hashable, float] = {}

    def admits(self, key: Hashable) -> bool:
        now = self._clock()
        self._ends = {one: end for one, end in self._ends.items() if end > now}
        return key not in self._ends

    def begin(self, key: Hashable) -> None:
        self._ends[key] = float("inf")

    def end(self, key: Hashable, rest: float) -> None:
        """`rest`: seconds for which the same act still counts as this one."""
        self._ends[key] = self._clock() + rest


class Router:
    """Where the flows register what they answer."""

    def __init__(self, bolt: AsyncApp, gateway: Gateway, directory: Directory, tasks: Tasks) -> None:
        self._bolt = bolt
        self._gateway = gateway
        self._directory = directory
        self._tasks = tasks
        self._once = Once()
        self._clicks: dict[str, Flow] = {}
        self.answered = {str(Action.MORE)}
        """The ids of everything that has a listener."""
        bolt.action(Action.MORE)(self._clicked_in_menu)

    def command(self, flow: Flow) -> None:
        async def typed(ack: AsyncAck, body: Json) -> None:
            await ack()
            visit = Visit.of_command(self._gateway, self._directory, body)
            self._tasks.spawn(guarded(visit, flow), "command")

        self._bolt.command(SLASH_COMMAND)(typed)

    def click(self, action: Action, flow: Flow) -> None:
        """A button, or an entry of an overflow menu whose value is `action:id`."""
        self._clicks[action] = flow
        self.answered.add(action)

        async def clicked(ack: AsyncAck, body: Json) -> None:
            await ack()
            self._do(str(action), self._visit(body), flow)

        self._bolt.action(action)(clicked)

    def choice(self, field: Field | Action, flow: Flow) -> None:
        """A select or menu that tells at once what was chosen."""
        self.answered.add(field)

        async def chose(ack: AsyncAck, body: Json) -> None:
            await ack()
            self._tasks.spawn(guarded(self._visit(body), flow), f"choice {field}")

        self._bolt.action(field)(chose)

    def submit(self, modal: Modal, check: Check) -> None:
        self.answered.add(modal)

        async def submitted(ack: AsyncAck, body: Json) -> None:
            visit = self._visit(body)
            key = (visit.user_id, body["view"]["id"], str(modal))
            if not self._once.admits(key):
                await _answer(ack, _still_busy(visit))
                return
            reply = self._checked(visit, check)
            if reply.then is None:
                await _answer(ack, reply)
                return
            self._once.begin(key)  # before the acknowledgement, so that a second submit finds it
            await _answer(ack, reply)
            self._tasks.spawn(self._after_answer(visit, reply.then, key), f"submit {modal}")

        self._bolt.view(modal)(submitted)

    def offer(self, field: Field, offer: Offer) -> None:
        """The options of a select that asks for them."""
        self.answered.add(field)

        async def asked(ack: AsyncAck, body: Json) -> None:
            try:
                options = await offer(self._visit(body))
            except FerryError:  # the modal says what is wrong; there is nothing to choose from
                options = []
            except Exception as error:
                report(error)
                options = []
            await ack(options=options[:100])

        self._bolt.options(field)(asked)

    def event(self, name: str, flow: Callable[[Json, Json], Awaitable[None]]) -> None:
        async def happened(event: Json, body: Json) -> None:
            self._tasks.spawn(_reported(flow(event, body)), f"event {name}")

        self._bolt.event(name)(happened)

    # --- inside

    def _visit(self, body: Json) -> Visit:
        return Visit.of_interaction(self._gateway, self._directory, body)

    async def _clicked_in_menu(self, ack: AsyncAck, body: Json) -> None:
        await ack()
        visit = self._visit(body)
        action, _, visit.value = str(visit.selected or "").partition(":")
        if flow := self._clicks.get(action):
            self._do(action, visit, flow)

    def _do(self, action: str, visit: Visit, flow: Flow) -> None:
        view, message = visit.view or {}, visit.message or {}  # a view that has changed since makes it another click
        key = (visit.user_id, action, visit.value, view.get("id"), view.get("hash"), message.get("ts"))
        if self._once.admits(key):
            self._once.begin(key)
            self._tasks.spawn(self._then(visit, flow, key, rest=DOUBLE_CLICK), f"click {action}")

    async def _after_answer(self, visit: Visit, flow: Flow, key: Hashable) -> None:
        """Bolt sends an acknowledgement some time after `ack()`: what follows from it has to wait for that."""
        sent = ACKNOWLEDGED.get()
        if sent is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(sent.wait(), ACK_SECONDS)
            await asyncio.sleep(SETTLE_SECONDS)
        await self._then(visit, flow, key, rest=0)

    async def _then(self, visit: Visit, flow: Flow, key: Hashable, *, rest: float) -> None:
        try:
            await guarded(visit, flow)
        finally:
            self._once.end(key, rest)

    def _checked(self, visit: Visit, check: Check) -> Reply:
        try:
            return check(visit)
        except FerryError as error:
            return Reply.show(common.changed_view(visit.t, explained(visit.t, error)))
        except Exception as error:
            reference = report(error)
            return Reply.show(common.error_view(visit.t, common.unexpected(visit.t, reference)))


async def _answer(ack: AsyncAck, reply: Reply) -> None:
    if reply.action is None:
        await ack()
    else:
        await ack(**reply.action)


def _still_busy(visit: Visit) -> Reply:
    """The same modal submitted again while its first submission is being worked on."""
    inputs = [block["block_id"] for block in (visit.view or {}).get("blocks", ()) if block["type"] == "input"]
    if not inputs:
        return Reply.close()
    return Reply.refuse({inputs[-1]: visit.t.gettext("One moment: your entries are being checked.")})


async def _reported(work: Awaitable[None]) -> None:
    try:
        await work
    except Exception as error:
        report(error)
