"""Runs: starting, stopping, answering, looking at them. The dispatcher executes what is queued here."""

from collections.abc import Callable, Sequence

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.access import Action
from bot.i18n import translator
from bot.pipeline.errors import AlreadyRunning, NoConnection, RunError
from bot.pipeline.preview import Preview
from bot.pipeline.queue import enqueue
from bot.pipeline.schedule import QUESTION_HOURS, supersede_questions
from bot.services import audit
from bot.services.actor import Actor
from bot.services.consent import full_values_allowed
from bot.services.errors import NothingToAdopt, Paused, QuestionClosed, RejectsReplaced, RunOver, RunUnknown
from bot.services.lookup import connection_of, export_for, may, run_for
from bot.services.ports import Looks
from bot.services.readiness import find_obstacle
from bot.services.rejects import has_rejects, rejects_csv
from bot.services.stopping import UNFINISHED, end_run, stop_run
from storage.database import Database
from storage.models import Export, Run, RunStatus, Schedule, Trigger, When, now
from storage.secrets import Keys

__all__ = ["QUESTION_HOURS", "Runs"]


class Runs:
    def __init__(self, database: Database, keys: Keys, engine: Looks, *, nudge: Callable[[], None]) -> None:
        """`nudge` tells the dispatcher that the queue has changed."""
        self._database = database
        self._keys = keys
        self._engine = engine
        self._nudge = nudge

    # --- starting

    async def start(
        self, actor: Actor, export_id: int, *, trigger: Trigger = Trigger.MANUAL, accept_guard: bool = False
    ) -> Run:
        """Queue a run of an export. `accept_guard`: whatever the guard would ask is accepted beforehand.

        Raises `AlreadyRunning` (who started it, and when), `NoConnection`, `ConsentWithdrawn`, `ConsentOutdated`,
        `NoSegments`, `Paused`, `ExportGone` or `Denied`, each with what to do about it.
        """
        async with self._database.write() as session:
            export = await export_for(session, actor, export_id, _RIGHTS.get(trigger, Action.RUN_EXPORT))
            if (hindrance := await _hindrance(session, export, trigger)) is not None:
                raise hindrance
            run = await _enqueue(session, actor, export, trigger, accept_guard=accept_guard)
            if trigger is Trigger.EMPTY and not export.paused:
                export.paused, export.updated_at = True, now()
                session.add(export)
                audit.record(session, actor, "export.paused", f"export/{export_id}", name=export.name)
        self._nudge()
        return run

    async def run_all(self, actor: Actor) -> list[Run]:
        """Start every export with an active schedule that the actor may run and that can run now.

        A refresh out of turn: the runs carry the refresh's trigger and the name of who asked for it.
        """
        started = []
        async with self._database.write() as session:
            for export in await _scheduled(session, actor.team_id):
                if await may(session, actor, Action.RUN_EXPORT, export) and not await find_obstacle(session, export):
                    try:
                        started.append(await _enqueue(session, actor, export, Trigger.REFRESH))
                    except AlreadyRunning:
                        continue
        self._nudge()
        return started

    async def retry_rejected(self, actor: Actor, run_id: int) -> Run:
        """Run the export again, this time with the rows that Omnisend refused. Raises as `start` does."""
        return await self.start(actor, await self._export_of(actor, run_id), trigger=Trigger.RETRY)

    async def resync(self, actor: Actor, export_id: int) -> Run:
        """Send everything again, whatever the ledger says. Raises as `start` does."""
        return await self.start(actor, export_id, trigger=Trigger.RESYNC)

    async def empty(self, actor: Actor, export_id: int) -> Run:
        """Take everybody out of the export's segments, as before its removal; also of a paused one.

        It is paused with it: a schedule would fill them again before somebody removes it.
        """
        return await self.start(actor, export_id, trigger=Trigger.EMPTY)

    async def preview(self, actor: Actor, export_id: int) -> Preview:
        """What a run would do now; nothing is sent. Raises a `FerryError`. The samples are unmasked."""
        async with self._database.read() as session:
            export = await export_for(session, actor, export_id, Action.PREVIEW_EXPORT)
            if export.connection_id is None:
                raise NoConnection(export=export.name)
        return await self._engine.preview(export_id)

    async def may_show_full_values(self, actor: Actor, export_id: int) -> bool:
        """Whether samples of this export may be shown unmasked: only if its consent says so."""
        async with self._database.read() as session:
            export = await export_for(session, actor, export_id, Action.PREVIEW_EXPORT)
            return await full_values_allowed(session, await connection_of(session, export))

    # --- while it runs, and when it asks

    async def cancel(self, actor: Actor, run_id: int) -> Run:
        """Stop a run within seconds; what was settled is kept. A second time does nothing. Raises `RunOver`."""
        async with self._database.write() as session:
            run, export = await run_for(session, actor, run_id, Action.CANCEL_RUN)
            if run.status not in UNFINISHED:
                raise RunOver(export=export.name, status=run.status.value)
            if run.cancel_requested_by is None:
                stop_run(session, actor, run, export)
                audit.record(session, actor, "run.cancelled", _subject(run), export=export.name)
        self._nudge()
        return run

    async def answer(self, actor: Actor, run_id: int, send: bool) -> Run:
        """Answer the guard's question: the same run goes on, or is skipped.

        Raises `QuestionClosed` if it was answered, has expired or was overtaken by a newer run; else as `start` does.
        """
        async with self._database.write() as session:
            run, export = await run_for(session, actor, run_id, Action.ANSWER_GUARD)
            if run.status is not RunStatus.ASKING:
                raise QuestionClosed(export=export.name, status=run.status.value)
            if send:
                await _requeue(session, run, export, accept_guard=True)
            else:
                end_run(session, run, export, RunStatus.SKIPPED)
            action = "guard.accepted" if send else "guard.skipped"
            kinds = [finding["kind"] for finding in run.findings]
            audit.record(session, actor, action, _subject(run), export=export.name, findings=kinds)
        self._nudge()
        return run

    async def adopt(self, actor: Actor, run_id: int) -> Run:
        """Answer the guard's question about a lost ledger: the same run rebuilds it, and looks again before it sends.

        Raises `NothingToAdopt` if the question is about something else; else as `answer` does.
        """
        async with self._database.write() as session:
            run, export = await run_for(session, actor, run_id, Action.ADOPT_LEDGER)
            if run.status is not RunStatus.ASKING:
                raise QuestionClosed(export=export.name, status=run.status.value)
            if not any(finding["kind"] == "ledger_behind" for finding in run.findings):
                raise NothingToAdopt(export=export.name)
            run.trigger, run.started_by = Trigger.ADOPT, actor.user_id
            await _requeue(session, run, export, accept_guard=False)
            audit.record(session, actor, "guard.adopted", _subject(run), export=export.name)
        self._nudge()
        return run

    async def rebuild_ledger(self, actor: Actor, export_id: int) -> int:
        """Take over whoever is in the export's segments at Omnisend, at once; the number of contacts. Sends nothing.

        Raises `ExportGone`, `Denied`, `NoConnection`, or whatever keeps the engine from it.
        """
        async with self._database.read() as session:
            export = await export_for(session, actor, export_id, Action.ADOPT_LEDGER)
            if export.connection_id is None:
                raise NoConnection(export=export.name)
        adopted = await self._engine.adopt(export_id)
        async with self._database.write() as session:
            facts = {"name": export.name, "contacts": adopted}
            audit.record(session, actor, "export.ledger_rebuilt", f"export/{export_id}", **facts)
        return adopted

    # --- looking

    async def get(self, run_id: int) -> Run:
        """A run as it stands. Raises `RunUnknown`."""
        async with self._database.read() as session:
            run = await session.get(Run, run_id)
        if run is None:
            raise RunUnknown
        return run

    async def history(self, actor: Actor, export_id: int, limit: int = 20) -> list[Run]:
        """The last runs of an export, newest first."""
        async with self._database.read() as session:
            export = await export_for(session, actor, export_id, Action.SEE_RUNS)
            statement = select(Run).where(Run.export_id == export.id).order_by(col(Run.id).desc()).limit(limit)
            return list((await session.exec(statement)).all())

    async def active(self, actor: Actor) -> list[Run]:
        """The workspace's runs that are queued or under way, oldest first."""
        return await self._with_status(actor, RunStatus.QUEUED, RunStatus.RUNNING)

    async def asking(self, actor: Actor) -> list[Run]:
        """The workspace's runs that wait for an answer, oldest first."""
        return await self._with_status(actor, RunStatus.ASKING)

    async def rejects_csv(self, actor: Actor, run_id: int) -> bytes:
        """The rejected rows: customer id, email (masked unless the consent says otherwise), reason in words.

        Raises `RejectsReplaced` for a run whose list has made room for a newer run's.
        """
        async with self._database.read() as session:
            run, export = await run_for(session, actor, run_id, Action.SEE_REJECTS)
            connection = await connection_of(session, export)
            brand_id = connection.brand_id if connection else None
            if run.rejected and not await has_rejects(session, run, brand_id):
                raise RejectsReplaced(export=export.name)
            full = await full_values_allowed(session, connection)
            words = translator(actor.locale).gettext
            return await rejects_csv(session, run, brand_id, self._keys.email, full=full, translate=words)

    async def _export_of(self, actor: Actor, run_id: int) -> int:
        async with self._database.read() as session:
            _, export = await run_for(session, actor, run_id, Action.SEE_RUNS)
        assert export.id is not None
        return export.id

    async def _with_status(self, actor: Actor, *statuses: RunStatus) -> list[Run]:
        async with self._database.read() as session:
            statement = select(Run).where(Run.team_id == actor.team_id, col(Run.status).in_(statuses))
            runs = (await session.exec(statement.order_by(col(Run.id)))).all()
            return [run for run in runs if not actor.is_guest or await _may_see(session, actor, run)]


async def _may_see(session: AsyncSession, actor: Actor, run: Run) -> bool:
    export = await session.get(Export, run.export_id) if run.export_id is not None else None
    return export is not None and await may(session, actor, Action.SEE_RUNS, export)


_RIGHTS = {
    Trigger.RETRY: Action.RETRY_REJECTED,
    Trigger.RESYNC: Action.RESYNC_EXPORT,
    Trigger.EMPTY: Action.EMPTY_SEGMENTS,
}


async def _hindrance(session: AsyncSession, export: Export, trigger: Trigger) -> RunError | None:
    hindrance = await find_obstacle(session, export)
    return None if trigger is Trigger.EMPTY and isinstance(hindrance, Paused) else hindrance


async def _enqueue(
    session: AsyncSession, actor: Actor, export: Export, trigger: Trigger, *, accept_guard: bool = False
) -> Run:
    run = await enqueue(session, export, trigger, actor.user_id, accept_guard=accept_guard)
    await supersede_questions(session, export, now())
    facts = {"export": export.name, "trigger": trigger.value, "accept_guard": accept_guard}
    audit.record(session, actor, "run.started", _subject(run), **facts)
    return run


async def _requeue(session: AsyncSession, run: Run, export: Export, *, accept_guard: bool) -> None:
    """Queue a run again after its question was answered. Consent and connection may have gone meanwhile."""
    if (hindrance := await find_obstacle(session, export)) is not None:
        raise hindrance
    run.accept_guard, run.ended_at, run.started_at = accept_guard, None, None
    try:
        async with session.begin_nested():
            run.status = RunStatus.QUEUED
            session.add(run)
    except IntegrityError:
        raise QuestionClosed(export=export.name, status="overtaken by a newer run") from None


async def _scheduled(session: AsyncSession, team_id: str) -> Sequence[Export]:
    """The exports that a schedule starts: with each refresh, or by an active recurrence of their own."""
    statement = (
        select(Export)
        .outerjoin(Schedule, col(Schedule.export_id) == col(Export.id))
        .where(Export.team_id == team_id, or_(Export.when == When.REFRESH, col(Schedule.active).is_(True)))
        .order_by(col(Export.id))
    )
    return (await session.exec(statement)).all()


def _subject(run: Run) -> str:
    return f"run/{run.id}"
