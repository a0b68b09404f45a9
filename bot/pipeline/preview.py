"""A preview: the difference, and then stop."""

from dataclasses import dataclass
from math import ceil
from typing import Any

from bot.omnisend.contacts import MAX_BATCH_ITEMS
from bot.pipeline.batcher import PATCH_REMOVALS
from bot.pipeline.guard import Finding
from bot.pipeline.staging import Comparison, Sample
from bot.settings import Settings

OTHER_REQUESTS = 6  # sweeps and questions around the batches of a small run
BATCHES_A_SWEEP = 250


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would do now. The samples are personal data: mask them before they are shown."""

    comparison: Comparison
    members: dict[str, int]  # of each segment, as the source counts them
    without_profile: int
    samples: list[Sample]
    findings: list[Finding]
    left_behind: list[str]  # attributes sent once and no longer mapped: they stay at Omnisend as they are
    requests: int
    seconds: float  # at the brand's limit, Omnisend's own work not counted
    notes: list[dict[str, Any]]


def estimate_requests(comparison: Comparison) -> int:
    """How many requests a run of this difference takes, roughly."""
    upserts = ceil((comparison.added + comparison.changed) / MAX_BATCH_ITEMS)
    single = comparison.removed <= PATCH_REMOVALS
    removals = comparison.removed if single else ceil(comparison.removed / MAX_BATCH_ITEMS)
    return upserts + removals + ceil(upserts / BATCHES_A_SWEEP) + OTHER_REQUESTS


def estimate_seconds(requests: int, settings: Settings, share: float | None) -> float:
    """How long so many requests take at what the brand allows; 0 where there is no limit."""
    rate = settings.omnisend_rate
    return requests * rate.seconds / (rate.requests * (share or settings.omnisend_share)) if rate.requests else 0.0
