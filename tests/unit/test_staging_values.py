"""From a profile's fields to a contact's values. Reference: omnisend-api.md §3.2, §3.3, §3.5."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from bot.omnisend.contacts import EPOCH
from bot.pipeline.mapping import Line
from bot.pipeline.staging import Selected
from storage.models import MappingKind
from tests.unit.staging_world import (
    EMAIL,
    FIRST,
    NEWS,
    VIP,
    batch,
    profile,
    rejected,
    rows_of,
    send,
    staging,
    to_send,
    value,
)

NOON = datetime(2024, 2, 29, 12)  # noqa: DTZ001  a source's own times may have no zone


def template(attribute: str, text: str, *, clear: bool = False) -> Line:
    return Line(attribute, text, MappingKind.TEMPLATE, clear)


# --- emails


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("ann@example.com", "ann@example.com"),
        ("  Ann@Example.COM\t", "ann@example.com"),
        ("\u00a0ann@example.com\u3000", "ann@example.com"),
        ("\ufeffann@example.com", "ann@example.com"),
        ("ann+news@mail.example.co.uk", "ann+news@mail.example.co.uk"),
        ("o'neil_{x}@example.com", "o'neil_{x}@example.com"),
        ("jörg@müller.de", "jörg@müller.de"),
        ("jo\u0308rg@example.de", "jörg@example.de"),
        ("王@例え.テスト", "王@例え.テスト"),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
        ("a@" + "b" * 63 + ".com", "a@" + "b" * 63 + ".com"),
        ("a@" + ".".join(["b" * 60] * 4) + ".example", "a@" + ".".join(["b" * 60] * 4) + ".example"),
    ],
)
def test_an_email_is_sent_trimmed_composed_and_in_lower_case(written: str, sent: str) -> None:
    assert list(send([profile(written)])) == [sent]


@pytest.mark.parametrize("email", [None, "", "   ", "\t\u00a0\u200e"])
def test_a_profile_without_an_email_is_rejected_as_such(email: str | None) -> None:
    assert rejected([profile(email)]) == {"c0000": "missing_email"}


@pytest.mark.parametrize(
    "email",
    [
        "ann",
        "@",
        "ann@",
        "@example.com",
        "ann@example",
        "ann@@example.com",
        "ann@ben@example.com",
        "ann lee@example.com",
        "ann@exam ple.com",
        ".ann@example.com",
        "ann.@example.com",
        "a..b@example.com",
        "ann@.example.com",
        "ann@example..com",
        "ann@example.com.",
        "ann@-example.com",
        "ann@example-.com",
        "ann@example.c",
        "ann@example.1com",
        "ann@example.123",
        '"ann"@example.com',
        "ann@[127.0.0.1]",
        "ann,ben@example.com",
        "Ann <ann@example.com>",
        "mailto:ann@example.com",
        "ann@example.com;ben@example.com",
        "ann\u200b@example.com",
        "a@" + "b" * 64 + ".com",
        "n/a",
    ],
)
def test_what_is_no_email_is_rejected_as_such(email: str) -> None:
    assert rejected([profile(email)]) == {"c0000": "invalid_email"}


@pytest.mark.parametrize("email", ["a" * 65 + "@example.com", "a@" + ".".join(["b" * 60] * 4) + ".com.example"])
def test_an_email_longer_than_omnisend_takes_is_rejected_as_such(email: str) -> None:
    assert rejected([profile(email)]) == {"c0000": "email_too_long"}


def test_rejected_profiles_come_with_customer_id_email_and_reason_and_are_counted() -> None:
    rows = [profile(None), profile("nonsense"), profile("ann@example.com"), profile("Nonsense ")]
    with staging(rows) as made:
        comparison = made.compare()
        assert rows_of(made.rejects()) == [
            {"customer_id": "c0000", "email": "", "reason": "missing_email"},
            {"customer_id": "c0001", "email": "nonsense", "reason": "invalid_email"},
            {"customer_id": "c0003", "email": "nonsense", "reason": "invalid_email"},
        ]
    assert comparison.rejected == {"missing_email": 1, "invalid_email": 2}
    assert (comparison.profiles, comparison.wanted, comparison.added) == (4, 1, 1)


def test_a_template_may_make_the_email() -> None:
    lines = [template("email", "{User}@{Domain}")]
    with staging([{"User": "Ann ", "Domain": "example.com", "segments": [0]}], lines) as made:
        made.compare()
        assert [contact.email for contact in to_send(made)] == ["ann@example.com"]


# --- text


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("Zoë", "Zoë"),
        ("Zoe\u0308", "Zoë"),
        ("  Ann  ", "Ann"),
        ("Ann\t \nLee", "Ann Lee"),
        ("Ann\x00Lee", "Ann Lee"),
        ("Zoë\x00Lee", "Zoë Lee"),
        ("Ann\x1e\x1fLee", "Ann Lee"),
        ("\u202eAnn\u202c", "Ann"),
        ("王小明", "王小明"),
        ("客戶\u3000細分", "客戶\u3000細分"),
        ('quote " and \\ slash </script>', 'quote " and \\ slash </script>'),
        ("emoji 👩\u200d👧", "emoji 👩\u200d👧"),
        ("NULL", "NULL"),
        ("007", "007"),
        ("", None),
        ("   ", None),
        ("\u00a0\u200e\x07", None),
        (None, None),
    ],
)
def test_text_is_composed_and_cleaned_of_controls_and_an_empty_one_is_left_out(
    written: str | None, sent: str | None
) -> None:
    assert value(written) == sent
    assert value(written, attribute="firstName") == sent


@pytest.mark.parametrize(
    ("attribute", "most"),
    [("firstName", 255), ("lastName", 255), ("address", 1_000), ("city", 255), ("state", 255), ("postalCode", 255),
     ("custom:x", 2_048)],
)  # fmt: skip
def test_text_is_cut_to_what_omnisend_takes(attribute: str, most: int) -> None:
    assert value("ü" * most, attribute=attribute) == "ü" * most
    assert value("ü" * most + "x", attribute=attribute) == "ü" * most


def test_cut_values_are_counted_by_profile() -> None:
    rows = [profile(f"p{n}@example.com", First="x" * (254 + n), Plan="y" * 3_000 * (n == 2)) for n in range(4)]
    with staging(rows, (EMAIL, FIRST, Line("custom:Plan", "Plan"))) as made:
        assert made.compare().cut == 2


# --- types of custom properties


@pytest.mark.parametrize(
    ("written", "kind", "sent"),
    [
        (7, pa.int64(), 7),
        (-(2**63), pa.int64(), -(2**63)),
        (255, pa.uint8(), 255),
        (1.5, pa.float64(), 1.5),
        (1e300, pa.float64(), 1e300),
        (-0.25, pa.float32(), -0.25),
        (float("nan"), pa.float64(), None),
        (float("inf"), pa.float64(), None),
        (Decimal("12.50"), pa.decimal128(10, 2), 12.5),
        (True, pa.bool_(), True),
        (False, pa.bool_(), False),
        (date(2024, 2, 29), pa.date32(), "2024-02-29"),
        (NOON.replace(microsecond=789), pa.timestamp("us"), "2024-02-29 12:00:00"),
        (NOON.replace(tzinfo=UTC), pa.timestamp("ms", "Europe/Berlin"), "2024-02-29 12:00:00"),
        (NOON, pa.timestamp("ns"), "2024-02-29 12:00:00"),
        (NOON, pa.timestamp("s"), "2024-02-29 12:00:00"),
        ("7", pa.large_string(), "7"),
        ("7", pa.string_view(), "7"),
        ("a", pa.dictionary(pa.int8(), pa.string()), "a"),
        (None, pa.int64(), None),
        (None, pa.bool_(), None),
        (None, pa.timestamp("us"), None),
        (None, pa.null(), None),
    ],
)
def test_a_custom_property_keeps_the_type_of_its_field(written: Any, kind: pa.DataType, sent: Any) -> None:
    found = value(written, kind)
    assert found == sent
    assert type(found) is type(sent)


@pytest.mark.parametrize(
    ("written", "kind", "sent"), [(1234, pa.int64(), "1234"), (True, pa.bool_(), "true"), (1.5, pa.float64(), "1.5")]
)
def test_a_standard_attribute_is_always_text(written: Any, kind: pa.DataType, sent: str) -> None:
    assert value(written, kind, attribute="postalCode") == sent


# --- countries


@pytest.mark.parametrize(
    ("written", "code", "name"),
    [
        ("Deutschland", "DE", "Germany"),
        (" fr ", "FR", "France"),
        ("中国", "CN", "China"),
        ("uk", "GB", "United Kingdom"),
    ],
)
def test_a_country_is_sent_as_code_and_english_name(written: str, code: str, name: str) -> None:
    (body,) = send([profile(Land=written)], Line("country", "Land")).values()
    assert (body["countryCode"], body["country"]) == (code, name)


def test_a_country_that_is_not_known_is_left_out_and_counted() -> None:
    rows = [profile("a@example.com", Land="Atlantis"), profile("b@example.com", Land=None)]
    with staging(rows, (EMAIL, Line("country", "Land"))) as made:
        assert made.compare().unresolved_countries == 1
        for contact in to_send(made):
            assert not {"country", "countryCode"} & contact.body.keys()


def test_a_country_that_is_not_known_blanks_nothing_also_where_empty_values_do() -> None:
    (body,) = send([profile(Land="Atlantis")], Line("country", "Land", clear=True)).values()
    assert not {"country", "countryCode"} & body.keys()


# --- clear


@pytest.mark.parametrize("empty", [None, "", "  "])
def test_an_empty_value_blanks_only_what_was_set_to_clear(empty: str | None) -> None:
    lines = [Line("firstName", "F", clear=True), Line("lastName", "F"), Line("country", "F", clear=True),
             Line("custom:a", "F", clear=True), Line("custom:b", "F")]  # fmt: skip
    (body,) = send([profile(F=empty)], *lines).values()
    assert (body["firstName"], body["country"], body["countryCode"]) == ("", "", "")
    assert "lastName" not in body
    assert body["customProperties"] == {"a": "", "segment_vip": True}


def test_a_number_that_is_missing_blanks_a_property_set_to_clear() -> None:
    assert value(None, pa.int64(), clear=True) == ""


# --- templates and constants


@pytest.mark.parametrize(
    ("first", "last", "sent"),
    [("Ann", "Lee", "Dear Ann Lee"), ("Ann", None, "Dear Ann"), (None, "Lee", "Dear Lee"), (None, " ", None)],
)
def test_a_template_is_left_out_only_if_all_its_fields_are_empty(
    first: str | None, last: str | None, sent: str | None
) -> None:
    (body,) = send([profile(F=first, L=last)], template("firstName", "Dear {F} {L}")).values()
    assert body.get("firstName") == sent


def test_a_constant_is_sent_for_everybody() -> None:
    (body,) = send([profile()], template("custom:Origin", "it's the CRM")).values()
    assert body["customProperties"]["Origin"] == "it's the CRM"


def test_an_empty_constant_is_no_value() -> None:
    (body,) = send([profile()], template("custom:Origin", " ")).values()
    assert "Origin" not in body["customProperties"]


def test_a_template_writes_numbers_and_dates_as_text() -> None:
    types = {"N": pa.int64(), "D": pa.date32(), "B": pa.bool_()}
    rows = [profile(N=7, D=date(2024, 2, 29), B=True)]
    (body,) = send(rows, template("custom:x", "{N}/{D}/{B}"), types=types).values()
    assert body["customProperties"]["x"] == "7/2024-02-29/true"


def test_a_fields_name_may_be_anything() -> None:
    odd = """it's "odd"; DROP TABLE staged --"""
    (body,) = send([profile() | {odd: "kept"}], Line("firstName", odd)).values()
    assert body["firstName"] == "kept"


# --- the rest of the body


def test_a_body_never_changes_a_subscription_nor_sends_a_welcome() -> None:
    (body,) = send([profile()]).values()
    assert body["identifiers"] == [
        {
            "type": "email",
            "id": "ann@example.com",
            "channels": {"email": {"status": "nonSubscribed", "statusChangedAt": EPOCH}},
            "sendWelcomeMessage": False,
        }
    ]
    assert body.keys() == {"identifiers", "customProperties"}


@pytest.mark.parametrize(("member_of", "flags"), [([0], (True, False)), ([1], (False, True)), ([0, 1], (True, True))])
def test_a_body_carries_each_selected_segment_true_or_false_and_each_dropped_one_false(
    member_of: list[int], flags: tuple[bool, bool]
) -> None:
    (body,) = send([profile(segments=member_of)], segments=(VIP, NEWS), dropping=["segment_old"]).values()
    vip, news = flags
    assert body["customProperties"] == {"segment_vip": vip, "segment_news": news, "segment_old": False}


def test_as_many_segments_as_an_export_may_have_are_told_apart() -> None:
    segments = [Selected(f"s{number}", f"segment_{number:03}") for number in range(100)]
    rows = [profile(f"p{number}@example.com", [number, 99]) for number in range(99)]
    with staging(rows, segments=segments) as made:
        comparison = made.compare()
        for contact in to_send(made):
            number = int(contact.email[1:].partition("@")[0])
            true = {name for name, flag in contact.body["customProperties"].items() if flag}
            assert true == {f"segment_{number:03}", "segment_099"}
    assert comparison.members == {f"s{number}": 1 for number in range(99)} | {"s99": 99}


# --- several profiles with one email


def test_profiles_of_one_email_are_folded_into_the_one_with_the_smallest_customer_id() -> None:
    rows = [
        profile("Ann@example.com", [0], CustomerId="c2", First="second"),
        profile(" ann@example.com", [1], CustomerId="c1", First="first"),
        profile("ann@example.com", [0], CustomerId="c3", First="third"),
        profile("ben@example.com", [0], CustomerId="c0", First="Ben"),
    ]
    with staging(rows, (EMAIL, FIRST), (VIP, NEWS)) as made:
        comparison = made.compare()
        bodies = {contact.email: contact.body for contact in to_send(made)}
    assert (comparison.wanted, comparison.added, comparison.duplicates) == (2, 2, 2)
    assert comparison.members == {"VIP": 2, "News": 1}
    assert bodies["ann@example.com"]["firstName"] == "first"
    assert bodies["ann@example.com"]["customProperties"] == {"segment_vip": True, "segment_news": True}


def test_an_empty_value_of_the_winner_is_not_filled_from_another_profile() -> None:
    rows = [profile(CustomerId="c1", First=None), profile(CustomerId="c2", First="second")]
    assert "firstName" not in send(rows, FIRST)["ann@example.com"]


def test_the_winner_is_the_same_in_whatever_order_and_batches_the_profiles_come() -> None:
    rows = [profile(CustomerId=f"c{number}", First=f"name {number}") for number in range(20)]
    payloads = set()
    for order in (rows, rows[::-1], rows[7:] + rows[:7]):
        with staging([], (EMAIL, FIRST)) as made:
            for start in range(0, 20, 6):
                made.add(batch(order[start : start + 6]))
            made.compare()
            (contact,) = to_send(made)
            payloads.add(contact.payload)
    assert len(payloads) == 1


def test_rows_of_the_same_customer_and_email_are_one_contact() -> None:
    assert len(send([profile(CustomerId="c1"), profile(CustomerId="c1")])) == 1


def test_profiles_without_an_email_are_not_folded() -> None:
    rows = [profile(None), profile(None), profile("nonsense"), profile("nonsense")]
    with staging(rows) as made:
        assert made.compare().duplicates == 0


def test_samples_show_the_first_contacts_with_labels_values_and_segments() -> None:
    rows = [profile(f"p{number}@example.com", [0, 1], First="Ann", Land="de", Plan=None) for number in range(5)]
    lines = (EMAIL, FIRST, Line("country", "Land"), Line("custom:Plan", "Plan"))
    with staging(rows, lines, (VIP, NEWS)) as made:
        made.compare()
        samples = made.samples(2)
        order = [contact.email for contact in to_send(made)]
    assert [sample.email for sample in samples] == order[:2]
    assert samples[0].values == {"First name": "Ann", "Country/Region": "DE"}
    assert samples[0].segments == ["VIP", "News"]
    assert samples[0].op == "added"
