"""Exports as people see them in lists: with their connection, last run, next run, and what one may do with them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlmodel import SQLModel, col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.access import Action, allowed
from bot.pipeline.errors import RunError
from bot.pipeline.mapping import Line
from bot.services.actor import Actor
from bot.services.readiness import obstacle
from storage.models import (
    Connection,
    ConnectionGrant,
    Consent,
    Export,
    ExportSegment,
    FieldMapping,
    Run,
    Schedule,
    SegmentState,
    When,
)

Row = TypeVar("Row", bound=SQLModel)
HIDDEN = ("limits", "notify")  # columns of an export that are settings: not for viewers


@dataclass(frozen=True, slots=True)
class ExportView:
    """An export and what belongs to it.

    `connection_name` is empty for a detached export. `schedule` is its own recurrence or, for one that runs with each
    refresh, the workspace's. `obstacle` is what keeps it from running now. For those who may not see settings, `lines`
    is empty, as are the export's limits and the people it notifies.
    """

    export: Export
    connection_name: str
    segments: tuple[ExportSegment, ...]
    lines: tuple[Line, ...]
    schedule: Schedule | None
    last_run: Run | None
    next_due: datetime | None
    obstacle: RunError | None
    may_run: bool
    may_edit: bool

    @property
    def selected(self) -> list[str]:
        return [segment.name for segment in self.segments if segment.state is SegmentState.SELECTED]


async def views(session: AsyncSession, actor: Actor, exports: Sequence[Export]) -> list[ExportView]:
    """The views of some exports of the actor's workspace, in a fixed number of queries."""
    surroundings = await _Surroundings.load(session, actor, exports)
    return [surroundings.view(actor, export) for export in exports]


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """Everything around some exports, by the id that leads to it."""

    connections: Mapping[int, Connection]
    grants: Mapping[int, Sequence[ConnectionGrant]]
    consents: Mapping[int, Sequence[Consent]]
    segments: Mapping[int, Sequence[ExportSegment]]
    lines: Mapping[int, Sequence[FieldMapping]]
    schedules: Mapping[int | None, Schedule]
    last_runs: Mapping[int, Run]

    @classmethod
    async def load(cls, session: AsyncSession, actor: Actor, exports: Sequence[Export]) -> "_Surroundings":
        team = actor.team_id
        ids = [export.id for export in exports]
        newest = select(func.max(col(Run.id))).where(col(Run.export_id).in_(ids)).group_by(col(Run.export_id))
        runs = (await session.exec(select(Run).where(col(Run.id).in_(newest)))).all()
        connections = (await session.exec(select(Connection).where(Connection.team_id == team))).all()
        grants = (await session.exec(select(ConnectionGrant).where(ConnectionGrant.team_id == team))).all()
        consents = select(Consent).where(Consent.team_id == team, col(Consent.withdrawn_at).is_(None))
        segments = select(ExportSegment).where(col(ExportSegment.export_id).in_(ids)).order_by(col(ExportSegment.id))
        lines = select(FieldMapping).where(col(FieldMapping.export_id).in_(ids)).order_by(col(FieldMapping.position))
        schedules = (await session.exec(select(Schedule).where(Schedule.team_id == team))).all()
        return cls(
            connections={each.id: each for each in connections if each.id is not None},
            grants=_grouped(grants, "connection_id"),
            consents=_grouped((await session.exec(consents.order_by(col(Consent.id)))).all(), "connection_id"),
            segments=_grouped((await session.exec(segments)).all(), "export_id"),
            lines=_grouped((await session.exec(lines)).all(), "export_id"),
            schedules={each.export_id: each for each in schedules},
            last_runs={run.export_id: run for run in runs if run.export_id is not None},
        )

    def view(self, actor: Actor, export: Export) -> ExportView:
        assert export.id is not None
        connection = self.connections.get(export.connection_id or 0)
        grants = self.grants.get(export.connection_id or 0, ())

        def may(action: Action) -> bool:
            return allowed(actor, action, connection, grants, owner=export.owner)

        segments = tuple(self.segments.get(export.id, ()))
        consents = self.consents.get(export.connection_id or 0, ())
        chosen = sum(segment.state is SegmentState.SELECTED for segment in segments)
        hindrance = obstacle(export, connection, consents[-1] if consents else None, chosen)
        schedule = self._schedule(export)
        open_book = may(Action.SEE_EXPORT_SETTINGS)
        return ExportView(
            export=export if open_book else _without_settings(export),
            connection_name=connection.name if connection else "",
            segments=segments,
            lines=tuple(line_of(row) for row in self.lines.get(export.id, ())) if open_book else (),
            schedule=schedule,
            last_run=self.last_runs.get(export.id),
            next_due=schedule.next_due if schedule and hindrance is None else None,
            obstacle=hindrance,
            may_run=may(Action.RUN_EXPORT),
            may_edit=may(Action.EDIT_EXPORT),
        )

    def _schedule(self, export: Export) -> Schedule | None:
        match export.when:
            case When.OWN:
                return self.schedules.get(export.id)
            case When.REFRESH:
                return self.schedules.get(None)
            case When.MANUAL:
                return None


def line_of(row: FieldMapping) -> Line:
    return Line(row.attribute, row.value, row.kind, row.clear)


def _without_settings(export: Export) -> Export:
    return Export(**export.model_dump(exclude=set(HIDDEN)))


def _grouped(rows: Iterable[Row], column: str) -> dict[int, list[Row]]:
    groups: dict[int, list[Row]] = {}
    for row in rows:
        groups.setdefault(getattr(row, column), []).append(row)
    return groups
