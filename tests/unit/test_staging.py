"""Staging: from profiles to changes.

Reference: omnisend-api.md §3.2, §3.3 and §3.5; the design's table of cases.
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.pipeline import staging as staging_module
from bot.pipeline.mapping import Line, check
from bot.pipeline.staging import Comparison, Sample, Selected
from storage.models import MappingKind
from tests.unit.staging_cases import (
    KEY,
    LOST,
    NEW,
    PLAN,
    VIP,
    Entry,
    Outgoing,
    contact,
    gone,
    outgoing,
    person,
    profiles,
    staged,
)

ANN, BEN, CLEO = "ann@example.com", "ben@example.com", "cleo@example.com"
EMAIL = Line("email", "Email")
FIRST = Line("firstName", "First")


def compared(*rows: dict[str, Any], everything: bool = False, **options: Any) -> Comparison:
    with staged(*rows, **options) as staging:
        return staging.compare(everything=everything)


def payload(*rows: dict[str, Any], **options: Any) -> bytes:
    return contact(*rows, **options).payload


# --- the email


@pytest.mark.parametrize(
    ("written", "email"),
    [
        ("Ann.Lee@Example.COM", "ann.lee@example.com"),
        ("  ann@example.com\t\n", ANN),
        ("\ufeff\u00a0ann@example.com\u3000", ANN),
        ("\u200eann@example.com\u202c", ANN),
        ("stanisław.wójcik@wp.pl", "stanisław.wójcik@wp.pl"),
        ("zoe\u0308@example.com", "zoë@example.com"),
        ("客戶@例子.中国", "客戶@例子.中国"),
        ("o'brien+news@sub.example.co.uk", "o'brien+news@sub.example.co.uk"),
        ("a@xn--e1afmkfd.xn--p1ai", "a@xn--e1afmkfd.xn--p1ai"),
        ("x" * 64 + "@example.com", "x" * 64 + "@example.com"),
    ],
)
def test_an_email_is_normalised_and_keeps_its_accents(written: str, email: str) -> None:
    sent = contact(person("c1", written))
    assert sent.email == email
    assert sent.body["identifiers"][0]["id"] == email
    assert sent.digest == KEY.of_email(email)


@pytest.mark.parametrize("written", [None, "", "  ", "\t\u200e\n"])
def test_a_profile_without_an_email_is_rejected(written: str | None) -> None:
    assert compared(person("c1", written)) == Comparison(
        profiles=1, rejected={"missing_email": 1}, members={"VIP": 0, "New": 0}
    )


@pytest.mark.parametrize(
    "written",
    ["ann", "ann@", "@example.com", "ann@example", "ann@@example.com", "ann lee@example.com", "an\u200en@example.com",
     "ann.@example.com", ".ann@example.com", "ann@example..com", "ann@-a.com", "ann@a-.com", "ann@example.1",
     "Ann <ann@example.com>", "ann@example.com;ben@example.com", "ann@" + "x" * 64 + ".com"],
)  # fmt: skip
def test_what_is_no_email_is_rejected(written: str) -> None:
    assert compared(person("c1", written)).rejected == {"invalid_email": 1}


@pytest.mark.parametrize("written", ["x" * 65 + "@example.com", "ann@" + "example." * 32 + "com"])
def test_an_email_that_is_too_long_is_rejected(written: str) -> None:
    assert compared(person("c1", written)).rejected == {"email_too_long": 1}


def test_a_suppressed_email_is_rejected_however_it_is_written() -> None:
    with staged(person("c1", " ANN@example.com"), person("c2", ANN), person("c3", BEN)) as staging:
        staging.add_suppressed([KEY.of_email(ANN)])
        comparison = staging.compare()
        assert (comparison.rejected, comparison.wanted) == ({"suppressed": 2}, 1)
        assert [sent.email for sent in outgoing(staging)] == [BEN]


def test_rejected_profiles_are_listed_with_their_reasons() -> None:
    rows = [person("c4", None), person("c3", "Nonsense"), person("c2", BEN), person("c1", "x" * 65 + "@a.de")]
    with staged(*rows, person("c0", ANN)) as staging:
        staging.add_suppressed([KEY.of_email(BEN)])
        staging.compare()
        listed = [tuple(row.values()) for batch in staging.rejects() for row in batch.to_pylist()]
    assert listed == [
        ("c1", "x" * 65 + "@a.de", "email_too_long"),
        ("c2", BEN, "suppressed"),
        ("c3", "nonsense", "invalid_email"),
        ("c4", "", "missing_email"),
    ]


# --- values


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("  Zoë  ", "Zoë"),
        ("Zoe\u0308", "Zoë"),
        ("Ann\u0007\u202e\r\nLee", "Ann Lee"),
        ('"Ann" \\ {x}', '"Ann" \\ {x}'),
        ("O'Brien", "O'Brien"),
        ("客戶 👩‍💻", "客戶 👩‍💻"),
    ],
)
def test_a_text_is_cleaned_and_otherwise_kept(written: str, value: str) -> None:
    assert contact(person("c1", ANN, First=written)).body["firstName"] == value


@pytest.mark.parametrize("written", [None, "", " \t", "\u200f"])
def test_an_empty_value_is_left_out(written: str | None) -> None:
    assert "firstName" not in contact(person("c1", ANN, First=written)).body


@pytest.mark.parametrize(("attribute", "most"), [("firstName", 255), ("address", 1_000), ("custom:notes", 2_048)])
def test_a_value_longer_than_omnisend_takes_is_cut_and_counted(attribute: str, most: int) -> None:
    plan = check([EMAIL, Line(attribute, "Text")])
    rows = [person("c1", ANN, Text="é" * most), person("c2", BEN, Text="é" * (most + 1))]
    with staged(*rows, plan=plan) as staging:
        assert staging.compare().cut == 1
        for sent in outgoing(staging):
            values = sent.body | sent.body["customProperties"]
            assert values[attribute.removeprefix("custom:")] == "é" * most


@pytest.mark.parametrize(
    ("written", "name", "code"),
    [("Deutschland", "Germany", "DE"), (" de ", "Germany", "DE"), ("中国", "China", "CN"), ("ESPAÑA", "Spain", "ES")],
)
def test_a_country_goes_as_its_english_name_and_its_code(written: str, name: str, code: str) -> None:
    body = contact(person("c1", ANN, Land=written), plan=check([EMAIL, Line("country", "Land")])).body
    assert (body["country"], body["countryCode"]) == (name, code)


def test_an_unknown_country_is_left_out_and_counted() -> None:
    plan = check([EMAIL, Line("country", "Land")])
    with staged(person("c1", ANN, Land="Atlantis"), person("c2", BEN), plan=plan) as staging:
        assert staging.compare().unresolved_countries == 1
        for sent in outgoing(staging):
            assert not {"country", "countryCode"} & set(sent.body)


@pytest.mark.parametrize(
    ("kind", "value", "as_json"),
    [
        (pa.string(), "007", "007"),
        (pa.int64(), -7, -7),
        (pa.int32(), 0, 0),
        (pa.float64(), 0.1, 0.1),
        (pa.float64(), 1e22, 1e22),
        (pa.decimal128(10, 2), Decimal("12.50"), 12.5),
        (pa.bool_(), True, True),
        (pa.bool_(), False, False),
        (pa.date32(), date(2024, 2, 29), "2024-02-29"),
        (pa.timestamp("us"), datetime(2024, 2, 29, 23, 59, 58, 123, UTC), "2024-02-29 23:59:58"),
        (pa.timestamp("us", "Europe/Berlin"), datetime(2024, 7, 1, 12, tzinfo=UTC), "2024-07-01 12:00:00"),
    ],
)
def test_a_custom_property_keeps_its_fields_type(kind: pa.DataType, value: object, as_json: object) -> None:
    plan = check([EMAIL, Line("custom:it", "It")])
    sent = contact(person("c1", ANN, It=value), plan=plan, types={"It": kind}).body["customProperties"]["it"]
    assert sent == as_json
    assert type(sent) is type(as_json)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), None])
def test_a_number_that_json_can_not_hold_is_left_out(value: float | None) -> None:
    plan = check([EMAIL, Line("custom:it", "It")])
    sent = contact(person("c1", ANN, It=value), plan=plan, types={"It": pa.float64()})
    assert "it" not in sent.body["customProperties"]


def test_a_standard_attribute_is_text_whatever_its_fields_type() -> None:
    plan = check([EMAIL, Line("postalCode", "Zip")])
    assert contact(person("c1", ANN, Zip=1234), plan=plan, types={"Zip": pa.int64()}).body["postalCode"] == "1234"


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{First} {Last}", "Ann Lee"),
        ("{First} {None} {Last}", "Ann Lee"),
        ("{First}'s {Points}", "Ann's 7"),
        ("Dynamics", "Dynamics"),
        ("{None}, dear", None),
        (" ", None),
    ],
)
def test_a_template_is_filled_unless_all_its_fields_are_empty(template: str, value: str | None) -> None:
    plan = check([EMAIL, Line("address", template, MappingKind.TEMPLATE)])
    row = person("c1", ANN, First="Ann", Last="Lee", Points=7)
    assert contact(row, plan=plan, types={"Points": pa.int64()}).body.get("address") == value


def test_a_blank_is_sent_only_where_clearing_was_chosen() -> None:
    lines = [EMAIL]
    for clear in (True, False):
        suffix = "" if clear else "2"
        lines.append(Line(f"custom:points{suffix}", "Points", clear=clear))
    lines += [Line("city", "Town", clear=True), Line("state", "Town"), Line("country", "Land", clear=True)]
    body = contact(person("c1", ANN), plan=check(lines), types={"Points": pa.int64()}).body
    properties = body.pop("customProperties")
    del body["identifiers"]
    assert body == {"city": "", "country": "", "countryCode": ""}
    assert {name: value for name, value in properties.items() if "segment" not in name} == {"points": ""}


def test_a_country_that_is_not_known_blanks_nothing_even_where_clearing_was_chosen() -> None:
    plan = check([EMAIL, Line("country", "Land", clear=True)])
    assert set(contact(person("c1", ANN, Land="Atlantis"), plan=plan).body) == {"identifiers", "customProperties"}


# --- the body


def test_a_body_holds_what_was_mapped_and_nothing_else() -> None:
    lines = [EMAIL, FIRST, Line("country", "Land"), Line("custom:points", "Points"), Line("custom:tags", "Tags")]
    row = person("c1", ANN, (1,), First="Ann", Land="France", Points=7, Tags="a,b", Unmapped="x")
    sent = contact(row, plan=check(lines), types={"Points": pa.int64()}, dropping=["segment_lost_0a"])
    assert sent.body == {
        "identifiers": [
            {
                "type": "email",
                "id": ANN,
                "channels": {"email": {"status": "nonSubscribed", "statusChangedAt": "1970-01-01T00:00:00.000Z"}},
                "sendWelcomeMessage": False,
            }
        ],
        "firstName": "Ann",
        "country": "France",
        "countryCode": "FR",
        "customProperties": {
            "points": 7,
            "tags": "a,b",
            "segment_vip_0a": False,
            "segment_new_0a": True,
            "segment_lost_0a": False,
        },
    }


def test_a_hundred_segments_each_keep_their_own_flag() -> None:
    segments = [Selected(f"s{n}", f"segment_{n}") for n in range(100)]
    with staged(person("c1", ANN, (0, 63, 64, 99)), segments=segments) as staging:
        members = staging.compare().members
        [sent] = outgoing(staging)
    flags = sent.body["customProperties"]
    assert [name for name, flag in flags.items() if flag] == ["segment_0", "segment_63", "segment_64", "segment_99"]
    assert len(flags) == 100
    assert {name for name, count in members.items() if count} == {"s0", "s63", "s64", "s99"}


def test_field_names_and_values_with_quotes_stay_data() -> None:
    plan = check([EMAIL, Line("city", "To\"wn'; DROP TABLE staged; --")])
    row = person("c1", ANN) | {"To\"wn'; DROP TABLE staged; --": "'); DROP TABLE staged; --"}
    assert contact(row, plan=plan).body["city"] == "'); DROP TABLE staged; --"


# --- duplicates


def test_profiles_with_one_email_become_one_contact_of_the_smallest_customer_id() -> None:
    rows = [
        person("c2", "ann@example.com", (0,), First="Two"),
        person("c1", "ANN@example.com ", (1,), First="One"),
        person("c3", "Ann@Example.com", (2,), First="Three"),
        person("c4", BEN, (0,), First="Ben"),
    ]
    with staged(*rows, segments=(VIP, NEW, LOST)) as staging:
        comparison = staging.compare()
        sent = {row.email: row for row in outgoing(staging)}
        assert staging.customers([KEY.of_email(ANN), KEY.of_email(BEN)]) == {
            KEY.of_email(ANN): "c1",
            KEY.of_email(BEN): "c4",
        }
    assert (comparison.profiles, comparison.wanted, comparison.added, comparison.duplicates) == (4, 2, 2, 2)
    assert comparison.members == {"VIP": 2, "New": 1, "Lost": 1}
    assert sent[ANN].body["firstName"] == "One"
    assert all(sent[ANN].body["customProperties"].values())


def test_duplicates_fold_alike_in_whatever_order_and_batches_they_come() -> None:
    rows = [person(f"c{n}", ANN, (n % 2,), First=f"n{n}") for n in range(4)]
    assert payload(*rows) == payload(*reversed(rows))


def test_a_rejected_profile_is_no_duplicate() -> None:
    assert compared(person("c1", None), person("c2", None), person("c3", "x"), person("c4", "x")).duplicates == 0


# --- the payload digest


def test_a_payload_digest_does_not_depend_on_the_order_of_mapping_columns_and_segments() -> None:
    lines = [FIRST, Line("custom:points", "Points"), Line("city", "Town")]
    row = person("c1", ANN, (0, 1), First="Ann", Points="7", Town="Bern")
    there = payload(row, plan=check([EMAIL, *lines]), segments=(VIP, NEW))
    assert payload(row, plan=check([*reversed(lines), EMAIL]), segments=(NEW, VIP)) == there


def test_a_payload_digest_does_not_depend_on_segments_that_the_contact_is_not_in() -> None:
    row = person("c1", ANN, (0,), First="Ann")
    assert payload(row, segments=(VIP,)) == payload(row, segments=(VIP, NEW, LOST), dropping=["segment_old"])


def test_a_payload_digest_does_not_depend_on_an_attribute_without_a_value() -> None:
    row = person("c1", ANN, First="Ann")
    assert payload(row, plan=check([EMAIL, FIRST])) == payload(row, plan=check([EMAIL, FIRST, Line("city", "Town")]))


def test_a_payload_digest_changes_with_every_value_attribute_membership_and_clearing() -> None:
    town = Line("city", "Town")
    plan = check([EMAIL, FIRST, town])
    base = person("c1", ANN, (0,), First="Ann", Town="Bern")
    digests = [
        payload(base, plan=plan),
        payload(base | {"First": "Anna"}, plan=plan),
        payload(base | {"Town": "Basel"}, plan=plan),
        payload(base | {"Town": None}, plan=plan),
        payload(base | {"Town": None}, plan=check([EMAIL, FIRST, Line("city", "Town", clear=True)])),
        payload(base | {"First": "Bern", "Town": "Ann"}, plan=plan),
        payload(base | {"segments": [1]}, plan=plan),
        payload(base | {"segments": [0, 1]}, plan=plan),
        payload(base, plan=check([EMAIL, FIRST, Line("state", "Town")])),
        payload(base, plan=check([EMAIL, FIRST, Line("custom:city", "Town")])),
    ]
    assert len(set(digests)) == len(digests)


def test_a_payload_digest_can_not_be_forged_by_separators_in_a_value() -> None:
    forged = payload(person("c1", ANN, First="Ann\x1elastName\x1fLee"))
    assert forged != payload(person("c1", ANN, First="Ann", Last="Lee"))
    flag = payload(person("c1", ANN, (0,), First="Ann\x1esegment\x1fsegment_new_0a"))
    assert flag != payload(person("c1", ANN, (0, 1), First="Ann"))


texts = st.text(st.sampled_from("ab \x1e\x1f\t\x00\u200e"), max_size=4)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(texts, texts, st.sampled_from([(0,), (1,), (0, 1)])), min_size=2, max_size=25))
def test_two_payload_digests_are_equal_exactly_if_the_bodies_are(
    values: list[tuple[str, str, tuple[int, ...]]],
) -> None:
    rows = [person(f"c{n}", f"p{n}@a.de", who[2], First=who[0], Last=who[1]) for n, who in enumerate(values)]
    with staged(*rows) as staging:
        staging.compare()
        sent = outgoing(staging)
    bodies = {str({**row.body, "identifiers": None}): row.payload for row in sent}
    assert len(sent) == len(rows)
    assert len(set(bodies.values())) == len(bodies)
    assert all(bodies[str({**row.body, "identifiers": None})] == row.payload for row in sent)


# --- the difference

ROW = person("c1", ANN, First="Ann")
A, B = payload(ROW), payload(ROW | {"First": "Anna"})


def verdict(*ledger: Entry, row: dict[str, Any] = ROW, everything: bool = False) -> tuple[str, bool] | None:
    """Op and `known` of Ann, or None if she is not sent."""
    with staged(row, ledger=ledger) as staging:
        comparison = staging.compare(everything=everything)
        sent = outgoing(staging)
        assert comparison.to_send == len(sent)
        return (sent[0].op, sent[0].known) if sent else None


def test_a_contact_that_the_ledger_does_not_have_is_added() -> None:
    assert verdict() == ("added", False)


def test_a_contact_confirmed_with_the_same_payload_is_unchanged() -> None:
    assert verdict((ANN, A, "confirmed", True)) is None
    assert compared(ROW, ledger=[(ANN, A, "confirmed", True)]).unchanged == 1


def test_a_contact_confirmed_with_another_payload_is_changed() -> None:
    assert verdict((ANN, B, "confirmed", True)) == ("changed", True)


@pytest.mark.parametrize("state", ["claimed", "submitted", "in_doubt"])
@pytest.mark.parametrize("before", [A, B])
def test_whatever_is_not_confirmed_is_sent_again(state: str, before: bytes) -> None:
    assert verdict((ANN, before, state, True)) == ("changed", True)


def test_a_change_back_to_what_was_there_before_an_unsettled_batch_is_sent() -> None:
    """A → B (in doubt) → A: the ledger holds B, and nobody knows which of the two Omnisend has."""
    assert verdict((ANN, B, "in_doubt", True)) == ("changed", True)


@pytest.mark.parametrize(("state", "known"), [("claimed", False), ("submitted", False), ("in_doubt", True)])
def test_a_contact_that_omnisend_perhaps_never_took_is_still_an_added_one(state: str, known: bool) -> None:
    assert verdict((ANN, A, state, False)) == ("added", known)


def test_a_leaver_who_returns_is_sent_whatever_became_of_the_removal() -> None:
    with staged(ROW) as staging:
        removal = staging.removal_payload
    for state in ("claimed", "submitted", "in_doubt", "confirmed"):
        assert verdict((ANN, removal, state, True)) == ("changed", True)
    assert verdict() == ("added", False)


def test_a_resync_sends_the_unchanged_ones_too() -> None:
    assert verdict((ANN, A, "confirmed", True), everything=True) == ("changed", True)
    assert verdict(everything=True) == ("added", False)


@pytest.mark.parametrize("state", ["claimed", "submitted", "in_doubt", "confirmed"])
def test_a_contact_of_the_ledger_that_nobody_wants_is_removed(state: str) -> None:
    with staged(ROW, ledger=[(ANN, A, "confirmed", True), (BEN, A, state, False)]) as staging:
        comparison = staging.compare()
        assert (comparison.removed, comparison.unchanged, comparison.ledger) == (1, 1, 2)
        assert gone(staging) == [KEY.of_email(BEN)]


def test_a_leaver_is_kept_where_that_was_chosen() -> None:
    with staged(ROW, ledger=[(BEN, A, "confirmed", True)], keep_leavers=True) as staging:
        comparison = staging.compare()
        assert (comparison.kept, comparison.removed) == (1, 0)
        assert gone(staging) == []


@pytest.mark.parametrize("keep_leavers", [True, False])
def test_a_suppressed_contact_of_the_ledger_is_removed_even_if_wanted_or_to_be_kept(keep_leavers: bool) -> None:
    with staged(ROW, ledger=[(ANN, A, "confirmed", True)], keep_leavers=keep_leavers) as staging:
        staging.add_suppressed([KEY.of_email(ANN)])
        comparison = staging.compare(everything=True)
        assert (comparison.wanted, comparison.removed, comparison.kept) == (0, 1, 0)
        assert outgoing(staging) == []
        assert gone(staging) == [KEY.of_email(ANN)]


def test_a_profile_whose_email_changed_is_removed_under_the_old_and_added_under_the_new() -> None:
    with staged(ROW | {"Email": BEN}, ledger=[(ANN, A, "confirmed", True)]) as staging:
        comparison = staging.compare()
        assert (comparison.added, comparison.removed) == (1, 1)
        assert [row.email for row in outgoing(staging)] == [BEN]
        assert gone(staging) == [KEY.of_email(ANN)]


def test_nothing_newer_is_sent_for_a_held_contact() -> None:
    with staged(ROW, ledger=[(ANN, B, "submitted", True), (BEN, A, "submitted", True)]) as staging:
        staging.add_held([KEY.of_email(ANN), KEY.of_email(BEN)])
        comparison = staging.compare(everything=True)
        assert (comparison.held, comparison.wanted, comparison.to_send) == (2, 1, 0)
        assert (outgoing(staging), gone(staging)) == ([], [])


def test_what_omnisend_refused_is_skipped_until_it_changes() -> None:
    for refused, op in ((A, None), (B, "added")):
        with staged(ROW) as staging:
            staging.add_refused([(KEY.of_email(ANN), refused)])
            comparison = staging.compare()
            assert comparison.refused == (op is None)
            assert [row.op for row in outgoing(staging)] == ([op] if op else [])
            assert staging.outdated_refusals() == ([KEY.of_email(ANN)] if op else [])


def test_a_removal_that_omnisend_refused_is_not_tried_again() -> None:
    with staged(ROW, ledger=[(BEN, A, "confirmed", True), (CLEO, A, "confirmed", True)]) as staging:
        staging.add_refused([(KEY.of_email(BEN), staging.removal_payload), (KEY.of_email(CLEO), A)])
        comparison = staging.compare()
        assert (comparison.refused, comparison.removed) == (1, 1)
        assert gone(staging) == [KEY.of_email(CLEO)]
        assert staging.outdated_refusals() == [KEY.of_email(CLEO)]


def test_the_payload_of_a_removal_depends_on_the_properties_and_not_on_their_order() -> None:
    with (
        staged(segments=(VIP, NEW)) as two,
        staged(segments=(NEW, VIP)) as reversed_two,
        staged(segments=(NEW,), dropping=[VIP.property_name]) as dropping,
        staged(segments=(VIP, NEW, LOST)) as three,
    ):
        assert two.removal_payload == reversed_two.removal_payload == dropping.removal_payload
        assert two.removal_payload != three.removal_payload
        assert dropping.properties == [NEW.property_name, VIP.property_name]


def test_no_profiles_at_all_remove_everybody() -> None:
    with staged(ledger=[(ANN, A, "confirmed", True)]) as staging:
        assert staging.compare() == Comparison(removed=1, ledger=1, members={"VIP": 0, "New": 0})


# --- out

CROWD = [person(f"c{n:02}", f"person{n}@example.com", (n % 2,), First=f"n{n}") for n in range(40)]
CROWD += [person(f"d{n:02}", f"PERSON{n}@example.com", (1 - n % 2,), First="other") for n in range(0, 40, 8)]
STALE: list[Entry] = [(f"person{n}@example.com", b"?", "confirmed", True) for n in range(20, 60)]


def everything_out(slice_rows: int, monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:
    with monkeypatch.context() as patch:
        patch.setattr(staging_module, "SLICE_ROWS", slice_rows)
        with staged(*CROWD, ledger=STALE) as staging:
            staging.add_refused([(KEY.of_email("person3@example.com"), b"old")])
            comparison = staging.compare()
            refusals = staging.outdated_refusals()
            return comparison, outgoing(staging), gone(staging), staging.samples(7), refusals


def test_contacts_go_out_in_the_order_of_their_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    comparison, sent, removed, samples, _ = everything_out(9, monkeypatch)
    assert isinstance(comparison, Comparison)
    assert isinstance(sent, list)
    assert isinstance(removed, list)
    assert isinstance(samples, list)
    assert (comparison.added, comparison.changed, comparison.removed, comparison.duplicates) == (20, 20, 20, 5)
    digests = [row.digest for row in sent]
    assert len(digests) == 40
    assert digests == sorted(digests)
    assert removed == sorted(removed)
    assert [sample.email for sample in samples] == [row.email for row in sent[:7]]


@pytest.mark.parametrize("slice_rows", [9, 25])
def test_the_difference_does_not_depend_on_the_size_of_a_slice(
    slice_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert everything_out(slice_rows, monkeypatch) == everything_out(1_000_000, monkeypatch)


def test_single_contacts_can_be_had_again_whatever_they_were() -> None:
    ledger: list[Entry] = [(ANN, A, "confirmed", True), (CLEO, A, "confirmed", True)]
    with staged(ROW, person("c2", BEN), ledger=ledger) as staging:
        staging.compare()
        again: list[Outgoing] = outgoing(staging, [KEY.of_email(ANN), KEY.of_email(CLEO)])
        assert [(row.email, row.payload, row.known) for row in again] == [(ANN, A, True)]
        assert gone(staging, [KEY.of_email(CLEO), KEY.of_email(ANN)]) == [KEY.of_email(CLEO)]
        assert outgoing(staging, []) == []
        assert gone(staging, []) == []
        assert [row.email for row in outgoing(staging)] == [BEN]


def test_samples_show_values_by_label_and_the_segments_by_name() -> None:
    lines = [EMAIL, FIRST, Line("city", "Town"), Line("custom:points", "Points")]
    row = person("c1", ANN, (1,), First="Ann", Points=7)
    with staged(row, plan=check(lines), types={"Points": pa.int64()}) as staging:
        staging.compare()
        assert staging.samples() == [
            Sample("c1", "added", ANN, values={"First name": "Ann", "points": "7"}, segments=["New"])
        ]
        assert staging.samples(0) == []


def test_profiles_may_come_in_several_batches() -> None:
    with staged(*CROWD[:10]) as staging, staged(*CROWD[:20]) as whole:
        assert staging.add(profiles(CROWD[10:20], {}, PLAN.fields)) == 20
        assert staging.compare() == whole.compare()
        assert outgoing(staging) == outgoing(whole)
