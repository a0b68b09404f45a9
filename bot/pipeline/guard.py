"""The guard: before anything is sent, does this difference look like what people want? If not, it asks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.pipeline.staging import Comparison

DEFAULT_LIMITS: Mapping[str, float] = {
    "fall": 0.5,  # largest fall in members of a segment since its last run, as a share
    "removals": 0.5,  # most removals, as a share of the contacts exported before
    "rejects": 0.2,  # most profiles unfit to be sent, as a share of all
    "new_contacts": 1_000_000,  # most new contacts in one run: they may cost money at Omnisend
}
FEW = 20  # contacts: below this, shares say nothing and are not judged
WORSE = 1.1  # times as many contacts as were accepted: as far as an answer holds when the run looks again
LEDGER_SHARE = 0.5  # a ledger with less than this share of Omnisend's own count was lost or restored


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a person has to accept first. `kind` and `facts` are worded by the face."""

    kind: str
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def extent(self) -> int:
        """How many contacts it is about, where it counts some."""
        match self.kind:
            case "fall":
                return int(self.facts["before"] - self.facts["members"])
            case "removals":
                return int(self.facts["removed"])
            case "rejects":
                return int(self.facts["rejected"])
            case "new_contacts":
                return int(self.facts["added"])
        return 0

    def covers(self, other: "Finding") -> bool:
        """Whether whoever has accepted this has accepted the other too: the same thing, and not much more of it."""
        same = all(self.facts.get(name) == other.facts.get(name) for name in ("segment", "field", "after"))
        return self.kind == other.kind and same and other.extent <= max(self.extent + FEW, WORSE * self.extent)

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, **self.facts}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Finding":
        return cls(data["kind"], {key: value for key, value in data.items() if key != "kind"})


@dataclass(frozen=True, slots=True)
class SegmentHistory:
    """A segment now and before. `at_omnisend`: contacts in its Omnisend segment, where that is known."""

    name: str
    members: int
    members_before: int | None
    at_omnisend: int | None = None


def examine(
    comparison: Comparison,
    segments: Sequence[SegmentHistory],
    changed_fields: Mapping[str, tuple[str, str]],
    limits: Mapping[str, float],
) -> list[Finding]:
    """What a person should look at before this is sent; empty if nothing.

    `changed_fields`: mapped fields whose type is not what it was, with the type before and now. `limits`: the export's
    own limits; `DEFAULT_LIMITS` holds for those it does not set.
    """
    limits = {**DEFAULT_LIMITS, **limits}
    findings = [finding for segment in segments if (finding := _members(segment, limits["fall"])) is not None]
    at_omnisend = max((segment.at_omnisend or 0 for segment in segments), default=0)
    if at_omnisend >= FEW and comparison.ledger < LEDGER_SHARE * at_omnisend:
        findings.append(Finding("ledger_behind", {"ledger": comparison.ledger, "at_omnisend": at_omnisend}))
    rejected = sum(comparison.rejected.values())
    if rejected > max(FEW, limits["rejects"] * comparison.profiles):
        findings.append(Finding("rejects", {"rejected": rejected, "profiles": comparison.profiles}))
    if comparison.removed > max(FEW, limits["removals"] * comparison.ledger):
        findings.append(Finding("removals", {"removed": comparison.removed, "exported": comparison.ledger}))
    if comparison.added > limits["new_contacts"]:
        findings.append(Finding("new_contacts", {"added": comparison.added, "most": int(limits["new_contacts"])}))
    for name, (before, after) in changed_fields.items():
        findings.append(Finding("field_changed", {"field": name, "before": before, "after": after}))
    return findings


def _members(segment: SegmentHistory, most_fall: float) -> Finding | None:
    before = segment.members_before
    if segment.members == 0 and before != 0:
        return Finding("empty", {"segment": segment.name, "before": before})
    if before is not None and before >= FEW and segment.members < (1 - most_fall) * before:
        return Finding("fall", {"segment": segment.name, "before": before, "members": segment.members})
    return None
