"""Staging against a model of a few lines of Python, over random profiles and ledgers.

Reference: the design's rules of the ledger and its table of cases.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.pipeline import staging as staging_module
from bot.pipeline.staging import Comparison
from tests.unit.staging_cases import KEY, LOST, NEW, VIP, Entry, gone, outgoing, person, staged

SEGMENTS = (VIP, NEW, LOST)
NAMES = ("ann", "ben", "dörte", "客戶")
STATES = ("confirmed", "claimed", "submitted", "in_doubt", "confirmed")  # most are confirmed
BAD = {None: "missing_email", " ": "missing_email", "nonsense": "invalid_email", "x" * 65 + "@a.de": "email_too_long"}


def address(name: str) -> str:
    return f"{name}@example.com"


@dataclass(frozen=True)
class Row:
    """A profile: who it is of (or a bad email), how the email is written, and what it says."""

    name: str | None
    written: str | None
    first: str | None
    segments: tuple[int, ...]


@dataclass(frozen=True)
class Case:
    rows: list[Row]  # customer ids are given by `order`
    order: list[int]
    ledger: dict[str, tuple[str, str, bool]]  # name → which payload, state of its batch, known
    held: set[str]
    suppressed: set[str]
    refused: dict[str, str]  # name → which payload
    keep_leavers: bool
    everything: bool
    slice_rows: int


names = st.sampled_from(NAMES)
segments = st.sets(st.integers(0, 2), min_size=1).map(lambda found: tuple(sorted(found)))
firsts = st.sampled_from([None, "", "Ann", "Ben"])
good_rows = st.builds(
    lambda name, how, first, found: Row(name, how.format(address(name)), first, found),
    names,
    st.sampled_from(["{}", " {} ", "\ufeff{}\n"]),
    firsts,
    segments,
) | st.builds(lambda name, found: Row(name, address(name).upper(), "Upper", found), names, segments)
bad_rows = st.builds(Row, st.none(), st.sampled_from(list(BAD)), firsts, segments)
payloads = st.sampled_from(["same", "other", "removal"])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rows = draw(st.lists(good_rows | good_rows | bad_rows, max_size=12))
    return Case(
        rows=rows,
        order=draw(st.permutations(range(len(rows)))),
        ledger=draw(st.dictionaries(names, st.tuples(payloads, st.sampled_from(STATES), st.booleans()))),
        held=draw(st.sets(names, max_size=1)),
        suppressed=draw(st.sets(names, max_size=1)),
        refused=draw(st.dictionaries(names, payloads, max_size=2)),
        keep_leavers=draw(st.booleans()),
        everything=draw(st.booleans()),
        slice_rows=draw(st.sampled_from([4, 1_000])),
    )


class Model:
    """What staging must make of a case, worked out contact by contact."""

    def __init__(self, case: Case, removal: bytes) -> None:
        self.case = case
        self.removal = removal
        self.first: dict[str, str | None] = {}
        self.segments: dict[str, set[int]] = {}
        good = [(case.order[n], row) for n, row in enumerate(case.rows) if row.name is not None]
        for _, row in sorted(good, key=lambda item: item[0]):
            assert row.name is not None
            self.first.setdefault(row.name, row.first or None)
            self.segments.setdefault(row.name, set()).update(row.segments)
        self.duplicates = len(good) - len(self.first)
        self.rejected = Counter(BAD[row.written] for row in case.rows if row.name is None)
        if suppressed := sum(row.name in case.suppressed for row in case.rows):
            self.rejected["suppressed"] = suppressed
        self.wanted = set(self.first) - case.suppressed

    def payload(self, name: str) -> bytes:
        """The canonical form: its version, the attributes, the true segments."""
        parts = ["1"]
        if first := self.first.get(name):
            parts.append(f"firstName\x1f{first}")
        true = sorted(SEGMENTS[bit].property_name for bit in self.segments.get(name, ()))
        return KEY.of("\x1e".join([*parts, *(f"segment\x1f{name}" for name in true)]).encode())

    def meant(self, which: str, name: str) -> bytes:
        return {"same": self.payload(name), "other": b"other", "removal": self.removal}[which]

    def op(self, name: str) -> str | None:
        """What is to be done about a name; None if it is neither wanted nor ours."""
        case = self.case
        refused = case.refused.get(name)
        if name in self.wanted:
            if name in case.held:
                return "held"
            if refused == "same":
                return "refused"
            if name not in case.ledger:
                return "added"
            which, state, known = case.ledger[name]
            if state != "confirmed":
                return "changed" if known else "added"
            return "changed" if which != "same" or case.everything else "unchanged"
        if name not in case.ledger:
            return None
        if name in case.held:
            return "held"
        if case.keep_leavers and name not in case.suppressed:
            return "kept"
        return "refused" if refused == "removal" else "removed"

    def known(self, name: str) -> bool:
        _, state, known = self.case.ledger.get(name, ("", "", False))
        return known or state in ("confirmed", "in_doubt")

    def comparison(self) -> Comparison:
        ops: Any = Counter(op for name in NAMES if (op := self.op(name)))
        return Comparison(
            profiles=len(self.case.rows),
            wanted=len(self.wanted),
            **ops,
            rejected=dict(self.rejected),
            duplicates=self.duplicates,
            ledger=len(self.case.ledger),
            members={
                segment.name: sum(bit in self.segments[name] for name in self.wanted)
                for bit, segment in enumerate(SEGMENTS)
            },
        )

    def sent(self) -> list[tuple[Any, ...]]:
        """Digest, payload, op, known, first name and segments of each upsert, in order."""
        ops = {name: op for name in NAMES if (op := self.op(name)) in ("added", "changed")}
        return sorted(
            (
                KEY.of_email(address(name)),
                self.payload(name),
                op,
                self.known(name),
                self.first[name],
                {segment.property_name: bit in self.segments[name] for bit, segment in enumerate(SEGMENTS)},
            )
            for name, op in ops.items()
        )

    def outdated(self) -> list[bytes]:
        """Refusals that this difference no longer skips for."""
        return digests(name for name in self.case.refused if self.op(name) not in ("held", "refused", "kept"))


def digests(found: Any) -> list[bytes]:
    return sorted(KEY.of_email(address(name)) for name in found)


def removal_payload() -> bytes:
    with staged(segments=SEGMENTS) as staging:
        return staging.removal_payload


REMOVAL = removal_payload()


def arranged(case: Case) -> Sequence[dict[str, Any]]:
    return [
        person(f"c{number:02}", row.written, row.segments, First=row.first)
        for number, row in zip(case.order, case.rows, strict=True)
    ]


@settings(max_examples=25, deadline=None)
@given(cases())
def test_staging_does_what_a_model_of_it_does(case: Case) -> None:
    model = Model(case, REMOVAL)
    ledger: list[Entry] = [
        (address(name), model.meant(which, name), state, known) for name, (which, state, known) in case.ledger.items()
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staging_module, "SLICE_ROWS", case.slice_rows)
        with staged(*arranged(case), segments=SEGMENTS, ledger=ledger, keep_leavers=case.keep_leavers) as staging:
            staging.add_held(digests(case.held))
            staging.add_suppressed(digests(case.suppressed))
            staging.add_refused(
                [(KEY.of_email(address(name)), model.meant(which, name)) for name, which in case.refused.items()]
            )
            assert staging.compare(everything=case.everything) == model.comparison()
            sent = [
                (row.digest, row.payload, row.op, row.known, row.body.get("firstName"), row.body["customProperties"])
                for row in outgoing(staging)
            ]
            assert sent == model.sent()
            assert gone(staging) == digests(name for name in NAMES if model.op(name) == "removed")
            assert sorted(staging.outdated_refusals()) == model.outdated()
