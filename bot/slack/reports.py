"""What channels and people hear of runs, by themselves: the live message, the report, questions, failures, requests."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog

from bot.i18n import Translator, translator
from bot.services.actor import Actor
from bot.services.context import Services
from bot.services.errors import ServiceError
from bot.services.requests import ConnectionRequest
from bot.services.runs import QUESTION_HOURS
from bot.slack.directory import Directory
from bot.slack.errors import MessageGone, RecipientGone, SlackError
from bot.slack.gateway import Gateway, Posted
from bot.slack.live import LiveMessages
from bot.slack.mailbox import Letter, Mailbox
from bot.slack.outbox import Deliver, Delivery
from bot.slack.views import kit, report, requests, runs, sign_in, tidings
from bot.slack.views.kit import Json
from bot.slack.views.words import befalls_many
from storage.errors import FerryError
from storage.models import OutboxMessage, Run, RunStatus

_IN_THE_CHANNEL_ONLY = ("run.started", "run.details", "run.counted")

log = structlog.get_logger(__name__)


class Reports:
    """Renders each event of the outbox for its place. `deliverers` is what the outbox needs."""

    def __init__(
        self, services: Services, gateway: Gateway, directory: Directory, mailbox: Mailbox, live: LiveMessages
    ) -> None:
        self._services = services
        self._gateway = gateway
        self._directory = directory
        self._mailbox = mailbox
        self._live = live

    @property
    def deliverers(self) -> dict[str, Deliver]:
        return {
            "run.started": self._started,
            "run.finished": self._finished,
            "run.details": self._details,
            "run.counted": self._counted,
            "run.asking": self._asking,
            "run.rejects": self._rejects,
            "run.failed": self._failed,
            "run.recovered": self._recovered,
            "schedule.skipped": self._tell(tidings.skipped),
            "schedule.missed": self._tell(tidings.missed),
            "sign_in.due": self._tell(sign_in.due_message),
            "sign_in.ended": self._tell(sign_in.over_message),
            "export.detached": self._tell(tidings.detached),
            "connection.requested": self._requested,
            "connection.request_approved": self._tell(tidings.approved),
            "connection.request_declined": self._tell(tidings.declined),
        }

    # --- runs

    async def _started(self, message: OutboxMessage) -> Delivery:
        run = await self._run(message)
        if run is None:
            return Delivery()
        posted = await self._gateway.post(message.channel, runs.live(await self._texts(message), run))
        await self._mailbox.keep_live_message(_id(run), posted)
        return Delivery(posted)

    async def _finished(self, message: OutboxMessage) -> Delivery:
        """A new message, since edits notify nobody; the live one loses its buttons."""
        run = await self._run(message)
        if run is None:
            return Delivery()
        t = await self._texts(message)
        await self._close_question(message, run, t)
        await self._live.settle(run)
        view = report.finished(t, run, next_due=await self._next_due(message.team_id, run))
        posted = await self._gateway.post(message.channel, await self._redirected(message, view))
        follow = []
        if report.details(t, run):
            facts = {"run_id": run.id, "thread_ts": posted.ts}
            follow.append(Letter(f"run-{run.id}-details-{message.channel}", "run.details", message.channel, facts))
        return Delivery(posted, tuple(follow))

    async def _details(self, message: OutboxMessage) -> Delivery:
        run = await self._run(message)
        details = report.details(await self._texts(message), run) if run else None
        if details is None:
            return Delivery()
        return Delivery(await self._gateway.post(message.channel, details, thread_ts=message.facts.get("thread_ts")))

    async def _counted(self, message: OutboxMessage) -> Delivery:
        """Omnisend's own count has followed, or stays apart: the report says so where it stands."""
        run = await self._run(message)
        if run is None:
            return Delivery()
        for copy, posted in await self._mailbox.posted(message.team_id, f"run-{run.id}-finished-"):
            view = await self._redirected(copy, report.finished(await self._texts(copy), run))
            try:
                await self._gateway.edit(posted, view, urgent=False)
            except (MessageGone, RecipientGone) as error:  # deleted, or too old to be edited here
                log.info("a report could not be brought up to date", run=run.id, error=error.error)
        return Delivery()

    async def _asking(self, message: OutboxMessage) -> Delivery:
        run = await self._run(message)
        if run is None or run.status is not RunStatus.ASKING:  # answered, or expired, before Slack could have it
            return Delivery()
        await self._live.settle(run)
        owner = await self._mailbox.owner_of(run.export_id)
        until = run.ended_at + timedelta(hours=QUESTION_HOURS) if run.ended_at else None
        view = runs.asking(await self._texts(message), run, owner=owner if _is_person(owner) else "", until=until)
        return Delivery(await self._gateway.post(message.channel, await self._redirected(message, view)))

    async def _close_question(self, message: OutboxMessage, run: Run, t: Translator) -> None:
        """A question that expired, was overtaken or whose run was cancelled loses its buttons."""
        said = {
            RunStatus.SKIPPED: t.gettext("The run was skipped."),
            RunStatus.CANCELLED: t.gettext("The run was cancelled."),
        }
        if run.findings and run.status in said:
            for _, posted in await self._mailbox.posted(message.team_id, f"run-{run.id}-asking-"):
                await self.condense_question(run, posted, said[run.status])

    async def condense_question(self, run: Run, posted: Posted, text: str) -> None:
        try:
            await self._gateway.edit(posted, runs.answered(translator(), run, text))
        except SlackError as error:
            log.info("a question could not be condensed", run=run.id, error=error.error)

    async def _rejects(self, message: OutboxMessage) -> Delivery:
        """The list of rejected rows, in private, to whoever may see it."""
        run = await self._run(message)
        if run is None:
            return Delivery()
        try:
            return Delivery(await self.send_rejects(message.team_id, message.channel, run))
        except ServiceError as error:  # removed meanwhile, no longer allowed, or replaced by a newer run's list
            log.info("no list of rejects", run=run.id, code=error.code)
            return Delivery()

    async def send_rejects(self, team_id: str, user_id: str, run: Run) -> Posted:
        """Raises what `Runs.rejects_csv` does."""
        actor = await self._directory.actor(team_id, user_id, fresh=True)
        content = await self._services.runs.rejects_csv(actor, _id(run))
        full = run.export_id is not None and await self._services.runs.may_show_full_values(actor, run.export_id)
        texts = translator(actor.locale)
        return await self._gateway.send_file(
            user_id,
            name=f"rejected-{run.id}.csv",
            content=content,
            title=texts.gettext("Rejected rows of {name}").format(name=run.export_name),
            comment=report.rejects_comment(texts, run, full=full),
        )

    async def _failed(self, message: OutboxMessage) -> Delivery:
        """One message for each change of state: the same failure again is only reported in the channel.

        A trouble that befalls every export (a key, an outage) is one message, with the other exports in its thread.
        """
        run = await self._run(message)
        before = await self._mailbox.run_before(run) if run else None
        if run is None or (before and before.status.failed and before.error_code == run.error_code):
            return Delivery()
        next_due = await self._next_due(message.team_id, run)
        view = report.failed(await self._texts(message), run, next_due=next_due)
        if befalls_many(run.error_code or "") and (first := await self._mailbox.same_trouble(message, run)):
            return Delivery(await self._gateway.post(first.channel, view, thread_ts=first.ts))
        return Delivery(await self._gateway.post(message.channel, view))

    async def _recovered(self, message: OutboxMessage) -> Delivery:
        run = await self._run(message)
        if run is None:
            return Delivery()
        return Delivery(await self._gateway.post(message.channel, tidings.recovered(await self._texts(message), run)))

    async def _next_due(self, team_id: str, run: Run) -> datetime | None:
        if run.export_id is None or run.status is RunStatus.DONE:
            return None
        try:
            return (await self._services.exports.get(Actor.command_line(team_id), run.export_id)).next_due
        except FerryError:
            return None

    # --- the rest

    def _tell(self, view: Callable[[Translator, dict[str, Any]], Json]) -> Deliver:
        async def deliver(message: OutboxMessage) -> Delivery:
            content = view(await self._texts(message), message.facts)
            return Delivery(await self._gateway.post(message.channel, await self._redirected(message, content)))

        return deliver

    async def _requested(self, message: OutboxMessage) -> Delivery:
        facts = message.facts
        view = requests.request_message(await self._texts(message), facts["by"], facts["note"], facts["request_id"])
        return Delivery(await self._gateway.post(message.channel, view))

    async def condense_request(self, team_id: str, request: ConnectionRequest) -> None:
        """Every admin has a copy of a request: show the answer in each, in place of the buttons."""
        for copy, posted in await self._mailbox.posted(team_id, f"connection.requested-request-{request.id}-"):
            texts = await self._texts(copy)
            answer = requests.answer_words(texts, request.verdict, request.answered_by, request.reason)
            try:
                await self._gateway.edit(posted, requests.request_answered(texts, request.by, answer))
            except SlackError as error:  # a copy that keeps its buttons does no harm: they say that it has changed
                log.info("a request could not be condensed", request=request.id, error=error.error)

    async def redirect(self, message: OutboxMessage, error: str) -> tuple[Letter, ...]:
        """What a channel no longer takes goes to the export's owner, with a word about the channel.

        Where the owner is nobody in Slack (the command line, somebody who has left) it goes to the admins.
        """
        if message.event in _IN_THE_CHANNEL_ONLY:
            return ()
        run = await self._run(message)
        owner = await self._mailbox.owner_of(run.export_id if run else message.facts.get("export_id"))
        instead_of = message.facts.get("instead_of")
        if _is_person(message.channel) and (instead_of is None or message.channel != owner):
            return ()
        people = [owner] if _is_person(owner) else []
        if not people or people == [message.channel]:
            people = await self._services.people.admins(message.team_id)
        facts = {**message.facts, "instead_of": instead_of or message.channel}
        facts.setdefault("refused", error)
        return tuple(
            Letter(f"{message.key}-to-{person}", message.event, person, facts)
            for person in people
            if person != message.channel
        )

    async def _redirected(self, message: OutboxMessage, view: Json) -> Json:
        """A word about the channel that did not take it, for whoever gets the message in its place."""
        channel = message.facts.get("instead_of")
        if not channel:
            return view
        said = tidings.instead_of(await self._texts(message), channel, str(message.facts.get("refused", "")))
        return {**view, "blocks": kit.fitted([kit.context(said), *view["blocks"]], kit.MESSAGE_BLOCKS)}

    async def _run(self, message: OutboxMessage) -> Run | None:
        run_id = message.facts.get("run_id")
        return await self._mailbox.run(run_id) if isinstance(run_id, int) else None

    async def _texts(self, message: OutboxMessage) -> Translator:
        """A person's own language, as last known; a channel's is English."""
        if not _is_person(message.channel):
            return translator()
        return translator((await self._services.people.actor(message.team_id, message.channel)).locale)


def _is_person(place: str) -> bool:
    return place.startswith(("U", "W"))


def _id(run: Run) -> int:
    assert run.id is not None
    return run.id
