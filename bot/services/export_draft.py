"""What somebody fills in for an export, and the checks that need nothing but the draft itself."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from bot.pipeline.guard import DEFAULT_LIMITS
from bot.pipeline.mapping import Line
from bot.services.errors import LimitBad, LimitUnknown, ScheduleMissing
from bot.services.names import check_name
from bot.services.ownership import check_segments
from bot.services.schedules import ScheduleDraft, check_schedule
from storage.models import Leavers, When

__all__ = ["DEFAULT_LIMITS", "ExportDraft", "in_order"]

MOST: Mapping[str, float] = {"new_contacts": 1_000_000_000}  # of a guard limit; the others are shares, 1 at most


@dataclass(frozen=True, slots=True)
class ExportDraft:
    """`limits`: guard limits that differ from the defaults; `notify`: user ids; `schedule`: for an own recurrence.

    `seen`: the `updated_at` of the export as its editor saw it; None: whatever it is.
    """

    name: str
    connection_id: int
    segments: tuple[str, ...]
    lines: tuple[Line, ...]
    when: When = When.MANUAL
    channel: str = ""
    leavers: Leavers = Leavers.FLAG_FALSE
    limits: Mapping[str, float] = field(default_factory=dict)
    notify: tuple[str, ...] = ()
    schedule: ScheduleDraft | None = None
    seen: datetime | None = None


def in_order(draft: ExportDraft) -> ExportDraft:
    """The draft, cleaned. Raises a `FieldError` for its name, segments, limits or schedule."""
    check_segments(draft.segments)
    if draft.when is When.OWN and draft.schedule is None:
        raise ScheduleMissing
    own = draft.schedule if draft.when is When.OWN else None
    return replace(
        draft,
        name=check_name(draft.name),
        segments=tuple(dict.fromkeys(draft.segments)),
        limits=_check_limits(draft.limits),
        notify=tuple(dict.fromkeys(draft.notify)),
        schedule=check_schedule(own) if own else None,
    )


def _check_limits(limits: Mapping[str, float]) -> dict[str, float]:
    """Only those that differ from the defaults, so that better defaults reach everybody else."""
    for name, value in limits.items():
        if name not in DEFAULT_LIMITS:
            raise LimitUnknown(limit=name, known=", ".join(DEFAULT_LIMITS))
        most = MOST.get(name, 1)
        if not (math.isfinite(value) and 0 <= value <= most):
            raise LimitBad(limit=name, most=f"{most:g}")
    return {name: value for name, value in limits.items() if value != DEFAULT_LIMITS[name]}
