"""The webhook of a workspace: a flow in Power Automate calls it when Customer Insights has refreshed its data.

Whoever has the token can start the exports that run with each refresh, and nothing else. Power Automate's trigger
speaks of scheduled refreshes only, not of those that somebody starts by hand (Customer Insights docs, Export to Power
Automate).
"""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hmac import compare_digest

import structlog
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.access import Action, require
from bot.pipeline.errors import AlreadyRunning, NoConnection, NoKey, NoSegments
from bot.pipeline.queue import enqueue
from bot.pipeline.schedule import supersede_questions
from bot.services import audit
from bot.services.actor import Actor
from bot.services.errors import ServiceError
from bot.services.readiness import find_obstacle
from bot.services.stopping import active_run
from bot.services.telling import tell
from storage.database import Database
from storage.errors import FerryError, mark
from storage.models import Export, RefreshHook, Run, RunStatus, Stage, Trigger, When, now

HOOK_PATH = "/hooks/refresh/{token}"
TOKEN_BYTES = 32  # nobody guesses them, so that a plain digest is enough to keep them
REPEAT = timedelta(minutes=10)  # a call within this time after a report is a repetition: flows retry
WEBHOOK = "webhook"  # stands for the flow in the audit

_KNOWN_STATES = (NoConnection, NoKey, NoSegments)  # people chose these: nobody waits for such a run
_BEFORE_READING = (Stage.WAITING, Stage.REFRESHING, Stage.DRAINING)

log = structlog.get_logger(__name__)


class HookExists(ServiceError):
    code = "hook-exists"
    what = mark("The webhook has a token already, and it is shown only once.")
    remedy = mark("If it is lost, make a new one in its place: the old one ends at once.")


class HookMissing(ServiceError):
    code = "hook-missing"
    what = mark("There is no webhook in this workspace.")
    remedy = mark("Make a token for it first.")


class HookUnknown(ServiceError):
    """No webhook has this token: it is wrong, was replaced or revoked."""

    code = "hook-unknown"
    what = mark("No webhook has this token.")
    consequence = mark("Nothing was started.")
    remedy = mark("Put the present token's address into the flow, or ask an admin for a new one.")


@dataclass(frozen=True, slots=True)
class HookToken:
    """A new token. It is to be shown once, to the person who asked for it, and kept nowhere."""

    token: str = field(repr=False)

    @property
    def path(self) -> str:
        return HOOK_PATH.format(token=self.token)


@dataclass(frozen=True, slots=True)
class HookState:
    """What may be shown of a webhook. `refreshed_at`: when it was last told of a refresh."""

    created_by: str
    created_at: datetime
    refreshed_at: datetime | None


class Hooks:
    def __init__(self, database: Database, *, nudge: Callable[[], None]) -> None:
        """`nudge` tells the dispatcher that the queue has changed."""
        self._database = database
        self._nudge = nudge

    # --- the token

    async def find(self, actor: Actor) -> HookState | None:
        """The workspace's webhook; None if it has none. Raises `Denied`."""
        require(actor, Action.SET_REFRESH)
        async with self._database.read() as session:
            hook = await session.get(RefreshHook, actor.team_id)
        return None if hook is None else HookState(hook.created_by, hook.created_at, hook.refreshed_at)

    async def is_there(self, actor: Actor) -> bool:
        """Whether the workspace has one: that is no secret."""
        async with self._database.read() as session:
            return await session.get(RefreshHook, actor.team_id) is not None

    async def issue(self, actor: Actor) -> HookToken:
        """Make the workspace's webhook. Raises `HookExists`, `Denied`."""
        require(actor, Action.SET_REFRESH)
        async with self._database.write() as session:
            if await session.get(RefreshHook, actor.team_id) is not None:
                raise HookExists
            return _put_token(session, actor, RefreshHook(team_id=actor.team_id, digest=b""), "hook.issued")

    async def rotate(self, actor: Actor) -> HookToken:
        """Replace the token; the old one is refused from now on. Raises `HookMissing`, `Denied`."""
        require(actor, Action.SET_REFRESH)
        async with self._database.write() as session:
            return _put_token(session, actor, await _hook_of(session, actor), "hook.rotated")

    async def revoke(self, actor: Actor) -> None:
        """Remove the webhook. Raises `HookMissing`, `Denied`."""
        require(actor, Action.SET_REFRESH)
        async with self._database.write() as session:
            await session.delete(await _hook_of(session, actor))
            audit.record(session, actor, "hook.revoked", _subject(actor.team_id))

    # --- the call

    async def receive(self, token: str) -> list[Run]:
        """A refresh has ended: start the exports that wait for it. Raises `HookUnknown`.

        The runs are keyed by export and the time of the report. A call within `REPEAT` of it belongs to the same
        refresh, and starts nothing.
        """
        digest = _digest_of(token)
        team_id = await self._team_with(digest)
        async with self._database.write() as session:
            hook = await session.get(RefreshHook, team_id)
            if hook is None or not compare_digest(hook.digest, digest):  # replaced between the two looks
                raise HookUnknown
            at = now()
            if _is_repeated(hook, at):
                log.info("a refresh was reported again", team=team_id)
                return []
            hook.refreshed_at = at
            session.add(hook)
            runs = await _start_all(session, team_id, at)
            facts = {"runs": [run.id for run in runs]}
            audit.record(session, Actor(team_id, WEBHOOK), "refresh.reported", _subject(team_id), **facts)
        log.info("a refresh was reported", team=team_id, started=len(runs))
        if runs:
            self._nudge()
        return runs

    async def _team_with(self, digest: bytes) -> str:
        """Whose token it is. Every webhook is looked at, however early one fits: the time taken tells nothing."""
        async with self._database.read() as session:
            hooks = (await session.exec(select(RefreshHook))).all()
        fitting = [hook.team_id for hook in hooks if compare_digest(hook.digest, digest)]
        if not fitting:
            raise HookUnknown
        return fitting[0]


def _put_token(session: AsyncSession, actor: Actor, hook: RefreshHook, action: str) -> HookToken:
    made = HookToken(secrets.token_urlsafe(TOKEN_BYTES))
    hook.digest, hook.created_by, hook.created_at = _digest_of(made.token), actor.user_id, now()
    session.add(hook)
    audit.record(session, actor, action, _subject(actor.team_id))
    return made


def _digest_of(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()


async def _hook_of(session: AsyncSession, actor: Actor) -> RefreshHook:
    hook = await session.get(RefreshHook, actor.team_id)
    if hook is None:
        raise HookMissing
    return hook


def _is_repeated(hook: RefreshHook, at: datetime) -> bool:
    """A report from the future, made before the clock was set back, repeats nothing."""
    return hook.refreshed_at is not None and timedelta(0) <= at - hook.refreshed_at < REPEAT


def _subject(team_id: str) -> str:
    return f"workspace/{team_id}"


# --- starting


async def _start_all(session: AsyncSession, team_id: str, at: datetime) -> list[Run]:
    runs = [await _start(session, export, at) for export in await _waiting_for_refresh(session, team_id)]
    return [run for run in runs if run is not None]


async def _waiting_for_refresh(session: AsyncSession, team_id: str) -> Sequence[Export]:
    """The exports that run with each refresh, without those paused or detached."""
    statement = select(Export).where(
        Export.team_id == team_id,
        Export.when == When.REFRESH,
        col(Export.paused).is_(False),
        col(Export.connection_id).is_not(None),
    )
    return (await session.exec(statement.order_by(col(Export.id)))).all()


async def _start(session: AsyncSession, export: Export, at: datetime) -> Run | None:
    """Insert the run. What stands in its way is told, not raised: the other exports go on."""
    hindrance: FerryError | None = await find_obstacle(session, export)
    if hindrance is None:
        try:
            run = await enqueue(session, export, Trigger.REFRESH, "", due_at=at)
        except AlreadyRunning as error:
            if await _will_read_yet(session, export):
                return None
            hindrance = error
        else:
            await supersede_questions(session, export, at)
            facts = {"export": export.name, "trigger": Trigger.REFRESH.value, "due": at.isoformat()}
            audit.record(session, Actor(export.team_id, WEBHOOK), "run.started", f"run/{run.id}", **facts)
            return run
    if not isinstance(hindrance, _KNOWN_STATES):
        _tell_skipped(session, export, at, hindrance)
    return None


async def _will_read_yet(session: AsyncSession, export: Export) -> bool:
    """Whether the run that is there already will read what the refresh has brought."""
    run = await active_run(session, export.id)
    return run is not None and (run.status is RunStatus.QUEUED or run.stage in _BEFORE_READING)


def _tell_skipped(session: AsyncSession, export: Export, at: datetime, hindrance: FerryError) -> None:
    facts = {
        "export_id": export.id,
        "export": export.name,
        "due": at.isoformat(),
        "code": hindrance.code,
        "text": str(hindrance),
    }
    about = f"hook-{export.id}-{at:%Y%m%dT%H%M%S.%f}"
    tell(session, export.team_id, "schedule.skipped", about, [export.channel or export.owner], **facts)
    audit.record(session, Actor(export.team_id, WEBHOOK), "schedule.skipped", f"export/{export.id}", **facts)
    log.info("a run with the refresh was skipped", export=export.id, code=hindrance.code)
