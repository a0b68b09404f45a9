"""The difference between what is wanted and what the ledger says. Held against the design's rules for it.

The rules stand here a second time, as a few lines of Python over dicts; hypothesis looks for profiles and ledgers over
which the two do not agree.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.pipeline import staging as staging_module
from bot.pipeline.mapping import Line
from storage.ledger import UNLIKE_ANYTHING
from tests.unit.staging_world import (
    EMAIL,
    FIRST,
    KEY,
    NEWS,
    VIP,
    Contact,
    Standing,
    batch,
    compared,
    profile,
    rows_of,
    staging,
    to_send,
)

ANN, BEN, EVE = "ann@example.com", "ben@example.com", "eve@example.com"
CITY = Line("city", "City", clear=True)
PLAN = Line("custom:plan", "Plan")
LINES = (EMAIL, FIRST, CITY, PLAN)
SEGMENTS = (VIP, NEWS)
FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # each a DuckDB of its own

# --- the rules, a second time


@dataclass
class Case:
    """Everything that a difference is made from."""

    rows: list[dict[str, Any]]
    ledger: list[Standing] = field(default_factory=list)
    suppressed: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    refused: list[tuple[str, bytes]] = field(default_factory=list)
    keep: bool = False
    everything: bool = False


@dataclass
class Verdicts:
    """What is to be done, by email."""

    contacts: dict[str, tuple[str, bool, bytes]] = field(default_factory=dict)  # op, known, payload
    leavers: dict[str, str] = field(default_factory=dict)


def clean(text: str | None) -> str | None:
    if text is None:
        return None
    controls = "[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff ]+"
    spaces = "".join(chr(code) for code in range(0x3001) if unicodedata.category(chr(code)) == "Zs")
    return re.sub(controls, " ", unicodedata.normalize("NFC", text)).strip(spaces) or None


def payload_of(row: Mapping[str, Any], member_of: set[int]) -> bytes:
    """What the design calls the payload's canonical values, under the digest key."""
    parts = ["1"]
    for line in sorted(LINES[1:], key=lambda line: line.attribute):
        found = clean(row.get(line.value))
        if found is not None:
            parts.append(f"{line.attribute}\x1f{found}")
        elif line.clear:
            parts.append(line.attribute)
    parts += sorted(f"segment\x1f{SEGMENTS[position].property_name}" for position in member_of)
    return KEY.of("\x1e".join(parts).encode())


def removal_payload() -> bytes:
    return KEY.of("\x1f".join(["1", "removed", *sorted(s.property_name for s in SEGMENTS)]).encode())


def judge(case: Case) -> Verdicts:
    """The design's rules over dicts."""
    ledger = {standing.email: standing for standing in case.ledger}
    refused = set(case.refused)
    profiles: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(case.rows, key=lambda row: str(row["CustomerId"])):
        email = (clean(row["Email"]) or "").lower()
        if email.endswith("@example.com"):
            profiles.setdefault(email, []).append(row)
    verdicts = Verdicts()
    for email, rows in profiles.items():
        if email in case.suppressed:
            continue
        payload = payload_of(rows[0], {position for row in rows for position in row["segments"]})
        there = ledger.get(email)
        known = there is not None and (there.known or there.state in ("confirmed", "in_doubt"))
        if email in case.held:
            op = "held"
        elif (email, payload) in refused:
            op = "refused"
        elif there is None:
            op = "added"
        elif there.state == "confirmed" and there.payload == payload and not case.everything:
            op = "unchanged"
        elif not there.known and (there.state != "confirmed" or there.payload == UNLIKE_ANYTHING):
            op = "added"
        else:
            op = "changed"
        verdicts.contacts[email] = (op, known, payload)
    for email in ledger.keys() - verdicts.contacts.keys():
        if email in case.held:
            op = "held"
        elif case.keep and email not in case.suppressed:
            op = "kept"
        elif (email, removal_payload()) in refused:
            op = "refused"
        else:
            op = "removed"
        verdicts.leavers[email] = op
    return verdicts


# --- any profiles, any ledger

PEOPLE = [f"p{number}@example.com" for number in range(10)]
TEXTS = st.none() | st.text(st.sampled_from("aB é\u0301客\x00\x1e\x1f\t\u200e\u3000\"\\'<&{}👩\u2028"), max_size=6)


@st.composite
def profiles(draw: st.DrawFn) -> list[dict[str, Any]]:
    written = st.sampled_from([*PEOPLE, *(f" {person.upper()}\t" for person in PEOPLE), None, "", "none", "\x1e@\x1f"])
    rows = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "Email": written,
                    "segments": st.sets(st.integers(0, 1), min_size=1).map(sorted),
                    "First": TEXTS,
                    "City": TEXTS,
                    "Plan": TEXTS,
                }
            ),
            max_size=16,
        )
    )
    ids = draw(st.permutations([f"c{number}" for number in range(len(rows))]))
    return [{"CustomerId": customer, **row} for customer, row in zip(ids, rows, strict=True)]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    case = Case(draw(profiles()), keep=draw(st.booleans()), everything=draw(st.booleans()))
    wanted = {email: payload for email, (_, _, payload) in judge(case).contacts.items()}
    payloads = st.sampled_from(["wanted", "removal", "like nothing", "other"])

    def some_payload(email: str) -> bytes:
        chosen = {"wanted": wanted.get(email, b"w"), "removal": removal_payload(), "like nothing": UNLIKE_ANYTHING}
        return chosen.get(draw(payloads), b"other")

    for email in draw(st.lists(st.sampled_from(PEOPLE), unique=True)):
        state = draw(st.sampled_from(["confirmed", "confirmed", "in_doubt", "claimed", "submitted"]))
        case.ledger.append(Standing(email, some_payload(email), state, draw(st.booleans())))
        if state in ("claimed", "submitted"):
            case.held.add(email)
    case.held |= draw(st.sets(st.sampled_from(PEOPLE), max_size=1))  # by another export of the brand
    case.suppressed = draw(st.sets(st.sampled_from(PEOPLE), max_size=2))
    case.refused = [(email, some_payload(email)) for email in draw(st.sets(st.sampled_from(PEOPLE), max_size=3))]
    return case


@FEW
@given(case=cases(), slices=st.sampled_from([7, 100_000]))
def test_what_is_to_be_done_is_what_the_rules_say(case: Case, slices: int) -> None:
    expected = judge(case)
    with (
        pytest.MonkeyPatch.context() as patch,
        staging(case.rows, LINES, SEGMENTS, ledger=case.ledger, keep_leavers=case.keep) as made,
    ):
        patch.setattr(staging_module, "SLICE_ROWS", slices)
        made.add_held([KEY.of_email(email) for email in case.held])
        made.add_suppressed([KEY.of_email(email) for email in case.suppressed])
        made.add_refused([(KEY.of_email(email), payload) for email, payload in case.refused])
        comparison = made.compare(everything=case.everything)
        sent = to_send(made)
        removed = [row["digest"] for row in rows_of(made.removals())]

    contacts = {contact.email: (contact.op, contact.known, contact.payload) for contact in sent}
    assert contacts == {
        email: verdict for email, verdict in expected.contacts.items() if verdict[0] in ("added", "changed")
    }
    leavers = {email for email, op in expected.leavers.items() if op == "removed"}
    assert removed == sorted(KEY.of_email(email) for email in leavers)
    assert [KEY.of_email(contact.email) for contact in sent] == sorted(map(KEY.of_email, contacts))
    ops = [op for op, _, _ in expected.contacts.values()] + list(expected.leavers.values())
    counts = {name: getattr(comparison, name) for name in ("added", "changed", "unchanged", "removed", "kept", "held")}
    assert counts == {name: ops.count(name) for name in counts}
    assert comparison.refused == ops.count("refused")
    assert (comparison.wanted, comparison.ledger) == (len(expected.contacts), len(case.ledger))


@FEW
@given(rows=profiles())
def test_what_was_sent_and_confirmed_is_unchanged_the_next_time_in_whatever_order_it_comes(
    rows: list[dict[str, Any]],
) -> None:
    with staging(rows, LINES, SEGMENTS) as first:
        first.compare()
        sent = to_send(first)
    ledger = [Standing(contact.email, contact.payload, "confirmed", known=False) for contact in sent]
    with staging(rows[::-1], (EMAIL, *LINES[:0:-1]), SEGMENTS, ledger=ledger) as second:
        comparison, ops = compared(second)
    assert (comparison.unchanged, ops, comparison.removed) == (len(sent), {}, 0)


@FEW
@given(rows=profiles())
def test_a_body_carries_exactly_the_values_that_its_digest_is_made_of(rows: list[dict[str, Any]]) -> None:
    with staging(rows, LINES, SEGMENTS) as made:
        made.compare()
        for contact in to_send(made):
            assert canonical(contact) == contact.payload


def canonical(contact: Contact) -> bytes:
    """The payload digest again, from what stands in the JSON."""
    body = contact.body
    values = {"firstName": body.get("firstName"), "city": body.get("city"), **body["customProperties"]}
    row = {"First": values["firstName"], "City": values["city"], "Plan": values.get("plan")}
    assert all(row[name] is None or row[name] == clean(row[name]) for name in ("First", "Plan"))
    assert row["City"] is not None
    return payload_of(row, {n for n, segment in enumerate(SEGMENTS) if values[segment.property_name]})


# --- the rules one by one, for people who read


def one(ledger: Sequence[Standing] = (), **options: Any) -> dict[str, str]:
    """What is to be done for Ann, who is wanted with the name A."""
    with staging([profile(ANN, First="A")], (EMAIL, FIRST), ledger=ledger) as made:
        return compared(made, **options)[1]


def payload(first: str, lines: Sequence[Line] = (EMAIL, FIRST), segments: Any = (VIP,), **options: Any) -> bytes:
    with staging([profile(ANN, First=first, City=None)], lines, segments, **options) as made:
        made.compare()
        return to_send(made)[0].payload


def test_who_is_not_in_the_ledger_is_added() -> None:
    assert one() == {ANN: "added"}


def test_who_stands_there_confirmed_with_the_same_payload_is_unchanged() -> None:
    assert one([Standing(ANN, payload("A"))]) == {}


def test_who_stands_there_with_another_payload_is_changed() -> None:
    assert one([Standing(ANN, payload("B"))]) == {ANN: "changed"}


@pytest.mark.parametrize("name", ["A", "B"])
def test_who_is_in_doubt_is_always_sent_whatever_was_sent_last(name: str) -> None:
    assert one([Standing(ANN, payload(name), "in_doubt")]) == {ANN: "changed"}


def test_a_joiner_in_doubt_is_still_a_joiner() -> None:
    assert one([Standing(ANN, payload("A"), "in_doubt", known=False)]) == {ANN: "added"}


def test_a_joiner_whom_a_stopped_batch_did_not_try_is_still_a_joiner() -> None:
    assert one([Standing(ANN, UNLIKE_ANYTHING, known=False)]) == {ANN: "added"}


def test_who_was_known_before_a_stopped_batch_did_not_try_them_is_changed() -> None:
    assert one([Standing(ANN, UNLIKE_ANYTHING)]) == {ANN: "changed"}


def test_everything_sends_the_unchanged_ones_too() -> None:
    assert one([Standing(ANN, payload("A"))], everything=True) == {ANN: "changed"}


@pytest.mark.parametrize("state", ["confirmed", "in_doubt"])
def test_a_leaver_is_removed_whether_confirmed_or_in_doubt(state: str) -> None:
    with staging([], ledger=[Standing(ANN, b"x", state)]) as made:
        assert made.compare().removed == 1
        assert [row["digest"] for row in rows_of(made.removals())] == [KEY.of_email(ANN)]


def test_a_profile_whose_email_became_unfit_is_a_leaver_under_its_old_one() -> None:
    with staging([profile("ann at example")], ledger=[Standing(ANN)]) as made:
        comparison = made.compare()
    assert (comparison.removed, comparison.rejected) == (1, {"invalid_email": 1})


def test_a_refused_payload_is_skipped_until_it_changes() -> None:
    with staging([profile(ANN, First="A"), profile(BEN, First="A")], (EMAIL, FIRST)) as made:
        made.add_refused([(KEY.of_email(ANN), payload("A")), (KEY.of_email(BEN), payload("B"))])
        comparison, ops = compared(made)
        assert (comparison.refused, ops) == (1, {BEN: "added"})
        assert made.outdated_refusals() == [KEY.of_email(BEN)]


def test_a_refusal_of_somebody_who_is_gone_is_outdated() -> None:
    with staging([profile(ANN)]) as made:
        made.add_refused([(KEY.of_email(BEN), b"x")])
        made.compare()
        assert made.outdated_refusals() == [KEY.of_email(BEN)]


def test_a_refused_removal_stands_until_somebody_asks() -> None:
    with staging([], ledger=[Standing(ANN, UNLIKE_ANYTHING)]) as made:
        made.add_refused([(KEY.of_email(ANN), made.removal_payload)])
        comparison = made.compare()
        assert (comparison.refused, comparison.removed) == (1, 0)
        assert made.outdated_refusals() == []


def test_contacts_held_by_an_older_batch_are_neither_sent_nor_removed() -> None:
    with staging([profile(ANN)], ledger=[Standing(ANN), Standing(BEN)]) as made:
        made.add_held([KEY.of_email(ANN), KEY.of_email(BEN)])
        comparison, ops = compared(made)
        assert (comparison.held, comparison.removed, ops) == (2, 0, {})


def test_a_suppressed_person_is_rejected_and_not_sent() -> None:
    with staging([profile(ANN), profile(BEN)]) as made:
        made.add_suppressed([KEY.of_email(ANN)])
        comparison, ops = compared(made)
        assert (comparison.rejected, ops) == ({"suppressed": 1}, {BEN: "added"})
        assert [row["reason"] for row in rows_of(made.rejects())] == ["suppressed"]


def test_a_suppressed_person_leaves_also_where_leavers_are_kept() -> None:
    with staging([profile(ANN)], ledger=[Standing(ANN), Standing(BEN)], keep_leavers=True) as made:
        made.add_suppressed([KEY.of_email(ANN)])
        comparison = made.compare()
    assert (comparison.removed, comparison.kept) == (1, 1)


def test_members_are_the_distinct_contacts_that_shall_have_the_flag() -> None:
    rows = [profile(ANN, [0]), profile(ANN, [1]), profile(BEN, [1]), profile(None, [0])]
    with staging(rows, segments=SEGMENTS) as made:
        assert made.compare().members == {"VIP": 1, "News": 2}


def test_some_contacts_can_be_sent_again_whatever_they_were() -> None:
    rows = [profile(person, First="A") for person in (ANN, BEN, EVE)]
    with staging(rows, (EMAIL, FIRST), ledger=[Standing(ANN, payload("A")), Standing("gone@example.com")]) as made:
        made.compare()
        again = [KEY.of_email(email) for email in (ANN, BEN, "gone@example.com", "never@example.com")]
        assert {contact.email: contact.known for contact in to_send(made, again)} == {ANN: True, BEN: True}
        assert [row["digest"] for row in rows_of(made.removals(again))] == [KEY.of_email("gone@example.com")]
        assert made.customers(again) == {KEY.of_email(ANN): "c0000", KEY.of_email(BEN): "c0001"}


# --- payload digests


def test_a_digest_is_that_of_python_over_canonical_values() -> None:
    assert payload("Zoë") == KEY.of("1\x1efirstName\x1fZoë\x1esegment\x1fsegment_vip".encode())


def test_a_digest_does_not_depend_on_the_order_of_mapping_segments_and_profiles() -> None:
    orders = [((EMAIL, FIRST, CITY), (VIP, NEWS)), ((CITY, FIRST, EMAIL), (VIP, NEWS))]
    payloads = {payload("A", lines, segments) for lines, segments in orders}
    with staging([profile(ANN, [1], First="A", City=None)], (EMAIL, FIRST, CITY), (NEWS, VIP)) as made:
        made.compare()
        payloads.add(to_send(made)[0].payload)
    assert len(payloads) == 1


def test_a_new_segment_changes_only_those_who_are_in_it() -> None:
    assert payload("A") == payload("A", segments=(VIP, NEWS))


def test_a_dropped_segment_changes_only_those_who_were_in_it() -> None:
    assert payload("A", dropping=["segment_news"]) == payload("A")


def test_an_attribute_that_is_empty_and_not_to_be_cleared_is_not_part_of_the_digest() -> None:
    assert payload("", (EMAIL, FIRST)) == payload("", (EMAIL,))
    assert payload("A", (EMAIL, FIRST, CITY)) != payload("A", (EMAIL, FIRST))


@pytest.mark.parametrize(
    "forged",
    [
        "A\x1ecity\x1fBerlin",
        "A\x1esegment\x1fsegment_news",
        "A\\x1ecity\\x1fBerlin",
        "A\u241ecity\u241fBerlin",
    ],
)
def test_separators_in_a_value_forge_no_other_payload(forged: str) -> None:
    honest = [profile(ANN, [0, 1], First="A", City="Berlin")]
    with staging(honest, (EMAIL, FIRST, CITY), SEGMENTS) as made:
        made.compare()
        target = to_send(made)[0].payload
    assert payload(forged, (EMAIL, FIRST), SEGMENTS) != target
    assert payload(forged) != payload("A")


def test_the_removal_digest_depends_on_the_segments_and_not_on_their_order() -> None:
    def removal(*segments: Any, **options: Any) -> bytes:
        with staging([], segments=segments, **options) as made:
            return made.removal_payload

    assert removal(VIP, NEWS) == removal(NEWS, VIP) == removal(VIP, dropping=["segment_news"])
    assert removal(VIP) != removal(VIP, NEWS)


# --- many


def test_changes_go_out_in_digest_order_in_claim_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging_module, "SLICE_ROWS", 100)
    monkeypatch.setattr(staging_module, "BATCH_ROWS", 50)
    with staging([]) as made:
        for start in range(0, 1_000, 200):
            rows = [profile(f"p{number}@example.com", CustomerId=f"c{number}") for number in range(start, start + 200)]
            made.add(batch(rows))
        comparison = made.compare()
        groups = [group.column("digest").to_pylist() for group in made.upserts()]
    digests = [digest for group in groups for digest in group]
    assert comparison.added == len(set(digests)) == 1_000
    assert digests == sorted(digests)
    assert max(map(len, groups)) <= 2_048


def test_an_export_without_profiles_or_ledger_is_no_difference() -> None:
    with staging([]) as made:
        comparison, ops = compared(made)
        assert (comparison.to_send, ops, rows_of(made.removals()), made.samples()) == (0, {}, [], [])


def test_emptying_an_export_that_has_no_segment_any_more_still_removes() -> None:
    with staging([], segments=(), ledger=[Standing(ANN)]) as made:
        assert made.compare().removed == 1
        assert to_send(made) == []
