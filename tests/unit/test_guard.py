"""The guard: what makes a run ask before it sends. Held against the design's words on the guard."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.pipeline.guard import DEFAULT_LIMITS, FEW, Finding, SegmentHistory, examine
from bot.pipeline.staging import Comparison


def findings(
    *segments: SegmentHistory,
    changed: Mapping[str, tuple[str, str]] | None = None,
    limits: Mapping[str, float] | None = None,
    **counts: Any,
) -> list[dict[str, Any]]:
    found: Sequence[Finding] = examine(Comparison(**counts), segments, changed or {}, limits or {})
    return [finding.as_dict() for finding in found]


def members(now: int, before: int | None) -> SegmentHistory:
    return SegmentHistory("VIP", now, before)


# --- members


def test_an_ordinary_difference_is_not_asked_about() -> None:
    assert findings(members(990, 1000), profiles=990, wanted=980, removed=10, ledger=990, rejected={"x": 10}) == []


@pytest.mark.parametrize("before", [None, 1, 5_000])
def test_a_segment_that_is_empty_now_is_asked_about(before: int | None) -> None:
    assert findings(members(0, before)) == [{"kind": "empty", "segment": "VIP", "before": before}]


def test_a_segment_that_was_empty_before_is_accepted() -> None:
    assert findings(members(0, 0)) == []


def test_a_fall_by_more_than_half_is_asked_about() -> None:
    assert findings(members(499, 1000)) == [{"kind": "fall", "segment": "VIP", "before": 1000, "members": 499}]
    assert findings(members(500, 1000)) == []


def test_a_fall_among_few_says_nothing() -> None:
    assert findings(members(1, FEW - 1)) == []
    assert findings(members(1, FEW)) != []


def test_a_first_run_of_few_members_is_accepted() -> None:
    assert findings(members(1, None)) == []


def test_each_segment_is_judged_by_itself() -> None:
    found = findings(members(900, 1000), SegmentHistory("News", 0, 10), SegmentHistory("Gold", 10, 100))
    assert [(finding["kind"], finding["segment"]) for finding in found] == [("empty", "News"), ("fall", "Gold")]


# --- ledger


@pytest.mark.parametrize(
    ("ledger", "at_omnisend", "asked"),
    [(0, FEW, True), (0, FEW - 1, False), (499, 1000, True), (500, 1000, False), (1000, 1000, False), (0, 0, False)],
)
def test_a_ledger_much_smaller_than_omnisends_segment_is_asked_about(
    ledger: int, at_omnisend: int, asked: bool
) -> None:
    found = findings(SegmentHistory("VIP", 1000, None, at_omnisend), ledger=ledger)
    assert found == ([{"kind": "ledger_behind", "ledger": ledger, "at_omnisend": at_omnisend}] if asked else [])


def test_what_omnisend_did_not_count_is_not_compared() -> None:
    assert findings(SegmentHistory("VIP", 1000, None, None), ledger=0) == []


def test_the_largest_segment_at_omnisend_counts() -> None:
    histories = [SegmentHistory("VIP", 30, None, 30), SegmentHistory("News", 900, None, 900)]
    assert findings(*histories, ledger=30) == [{"kind": "ledger_behind", "ledger": 30, "at_omnisend": 900}]


# --- rejects, removals, joiners, fields


@pytest.mark.parametrize(
    ("rejected", "profiles", "asked"), [(201, 1000, True), (200, 1000, False), (FEW, FEW, False), (FEW + 1, 60, True)]
)
def test_too_large_a_share_of_unfit_profiles_is_asked_about(rejected: int, profiles: int, asked: bool) -> None:
    found = findings(rejected={"missing_email": rejected - 1, "invalid_email": 1}, profiles=profiles)
    assert found == ([{"kind": "rejects", "rejected": rejected, "profiles": profiles}] if asked else [])


@pytest.mark.parametrize(("removed", "ledger", "asked"), [(501, 1000, True), (500, 1000, False), (FEW, FEW, False)])
def test_too_many_removals_are_asked_about(removed: int, ledger: int, asked: bool) -> None:
    found = findings(removed=removed, ledger=ledger)
    assert found == ([{"kind": "removals", "removed": removed, "exported": ledger}] if asked else [])


def test_more_new_contacts_than_the_limit_are_asked_about() -> None:
    assert findings(added=1_000_000) == []
    assert findings(added=11, limits={"new_contacts": 10}) == [{"kind": "new_contacts", "added": 11, "most": 10}]


def test_a_field_of_another_type_is_asked_about() -> None:
    found = findings(changed={"Points": ("number", "text")})
    assert found == [{"kind": "field_changed", "field": "Points", "before": "number", "after": "text"}]


# --- limits of the export


def test_an_exports_own_limit_holds_and_the_others_stay() -> None:
    limits = {"fall": 0.9}
    assert findings(members(101, 1000), removed=900, ledger=1000, limits=limits) == [
        {"kind": "removals", "removed": 900, "exported": 1000}
    ]


@given(removed=st.integers(0, 10**7), now=st.integers(0, 10**6), before=st.none() | st.integers(0, 10**6))
def test_a_finding_survives_being_stored(removed: int, now: int, before: int | None) -> None:
    found = examine(Comparison(removed=removed), [SegmentHistory("VIP", now, before, now)], {"A": ("x", "y")}, {})
    assert [Finding.from_dict(finding.as_dict()) for finding in found] == found


@given(st.sampled_from(sorted(DEFAULT_LIMITS)), st.integers(0, 1000), st.integers(1, 1000))
def test_a_larger_limit_never_asks_more(name: str, now: int, before: int) -> None:
    counts: dict[str, Any] = {"removed": max(0, before - now), "ledger": before, "profiles": before, "added": now}
    counts["rejected"] = {"x": now}
    strict, lenient = (findings(members(now, before), limits={name: limit}, **counts) for limit in (0.1, 0.9))
    assert {finding["kind"] for finding in lenient} <= {finding["kind"] for finding in strict}


# --- what an answer covers


@pytest.mark.parametrize(
    ("asked", "now", "covered"),
    [
        (Finding("removals", {"removed": 1_000, "exported": 1_500}), {"removed": 1_100, "exported": 1_500}, True),
        (Finding("removals", {"removed": 1_000, "exported": 1_500}), {"removed": 1_101, "exported": 1_500}, False),
        (Finding("removals", {"removed": 30, "exported": 40}), {"removed": 30 + FEW, "exported": 60}, True),
        (Finding("rejects", {"rejected": 300, "profiles": 1_000}), {"rejected": 900, "profiles": 1_000}, False),
        (Finding("new_contacts", {"added": 500, "most": 100}), {"added": 90, "most": 100}, True),
        (
            Finding("fall", {"segment": "VIP", "before": 4_000, "members": 1_900}),
            {"segment": "VIP", "before": 4_000, "members": 12},
            False,
        ),
        (
            Finding("fall", {"segment": "VIP", "before": 4_000, "members": 1_900}),
            {"segment": "New", "before": 4_000, "members": 1_900},
            False,
        ),
        (
            Finding("field_changed", {"field": "Points", "before": "integer", "after": "text"}),
            {"field": "Points", "before": "integer", "after": "date"},
            False,
        ),
        (Finding("ledger_behind", {"ledger": 0, "at_omnisend": 90}), {"ledger": 0, "at_omnisend": 95}, True),
    ],
)
def test_an_answer_covers_the_same_thing_unless_it_has_grown(
    asked: Finding, now: dict[str, Any], covered: bool
) -> None:
    assert asked.covers(Finding(asked.kind, now)) is covered


def test_an_answer_about_a_fall_does_not_cover_an_empty_segment() -> None:
    fall = Finding("fall", {"segment": "VIP", "before": 4_000, "members": 312})
    assert not fall.covers(Finding("empty", {"segment": "VIP", "before": 4_000}))
