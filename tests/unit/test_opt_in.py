"""Opt-ins: which words and dates are read, what goes to Omnisend for each, and what counts as a change.

Reference: omnisend-api.md §3.3 (the later date wins; a dated consent goes with its true status, date and a consent
block; never "now" on data from a table). Where no rule is published, the safe assumption is tested.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.omnisend.contacts import EPOCH, removal_item
from bot.pipeline.mapping import (
    Line,
    MappedTwice,
    OptInFromOneField,
    OptInFromText,
    OptInIncomplete,
    check,
)
from bot.pipeline.opt_in import WORDS, Status
from storage.models import MappingKind
from tests.unit.staging_cases import VIP, contact, outgoing, person, staged

EMAIL = Line("email", "Email")
STATUS, DATE = Line("optInStatus", "OptIn"), Line("optInDate", "OptInAt")
PLAN = check([EMAIL, Line("firstName", "First"), STATUS, DATE])
DAY = "2024-05-01"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
NOTHING = {"email": {"status": "nonSubscribed", "statusChangedAt": EPOCH}}


def opted(status: Any, since: Any = DAY, **options: Any) -> dict[str, Any]:
    """The identifier that a profile with this opt-in makes."""
    row = person("c1", "ann@example.com", OptIn=status, OptInAt=since)
    sent = contact(row, plan=PLAN, at=NOW, **options)
    identifier: dict[str, Any] = sent.body["identifiers"][0]
    return identifier


def read(statements: Sequence[tuple[Any, Any]]) -> list[dict[str, Any]]:
    """The channel that each of these opt-ins makes, status and date as text: all in one staging."""
    rows = [
        person(f"c{n}", f"p{n}@example.com", OptIn=status, OptInAt=since)
        for n, (status, since) in enumerate(statements)
    ]
    with staged(*rows, plan=PLAN, at=NOW) as staging:
        staging.compare()
        sent = {one.email: one.body["identifiers"][0]["channels"]["email"] for one in outgoing(staging)}
    return [sent[f"p{n}@example.com"] for n in range(len(rows))]


def unreadable(*rows: dict[str, Any]) -> dict[str, int]:
    with staged(*rows, plan=PLAN, at=NOW) as staging:
        return staging.compare().opt_ins_unreadable


# --- mapping: both or neither


@pytest.mark.parametrize(("line", "missing"), [(STATUS, "optInDate"), (DATE, "optInStatus")])
def test_half_an_opt_in_is_refused_and_the_missing_half_is_named(line: Line, missing: str) -> None:
    with pytest.raises(OptInIncomplete, match="needs two fields") as refused:
        check([EMAIL, line])
    assert refused.value.attribute == missing


def test_an_empty_half_counts_as_missing() -> None:
    with pytest.raises(OptInIncomplete):
        check([EMAIL, STATUS, Line("optInDate", " ")])


def test_a_text_can_not_subscribe_everybody() -> None:
    with pytest.raises(OptInFromText, match="each person's own"):
        check([EMAIL, Line("optInStatus", "subscribed", MappingKind.TEMPLATE), DATE])


def test_status_and_date_are_two_fields() -> None:
    with pytest.raises(OptInFromOneField, match="OptIn"):
        check([EMAIL, STATUS, Line("optInDate", "OptIn")])


def test_an_opt_in_mapped_twice_is_refused() -> None:
    with pytest.raises(MappedTwice):
        check([EMAIL, STATUS, DATE, STATUS])


def test_an_opt_in_stands_apart_from_the_attributes_and_its_fields_are_read() -> None:
    plan = check([DATE, EMAIL, STATUS, Line("city", "Town")])
    assert [line.attribute for line in plan.lines] == ["email", "city", "optInStatus", "optInDate"]
    assert [line.attribute for line in plan.attributes] == ["city"]
    assert plan.opt_in is not None
    assert (plan.opt_in.status, plan.opt_in.date) == ("OptIn", "OptInAt")
    assert plan.fields == ["Email", "Town", "OptIn", "OptInAt"]


def test_blanking_means_nothing_for_an_opt_in() -> None:
    plan = check([EMAIL, Line("optInStatus", "OptIn", clear=True), DATE])
    assert not any(line.clear for line in plan.lines)


# --- the words


@pytest.mark.parametrize("status", [Status.SUBSCRIBED, Status.UNSUBSCRIBED])
def test_every_word_for_yes_subscribes_and_every_word_for_no_unsubscribes(status: Status) -> None:
    words = WORDS[status]
    said = {word: channel["status"] for word, channel in zip(words, read([(w, DAY) for w in words]), strict=True)}
    assert said == dict.fromkeys(words, status)


def test_a_word_for_neither_is_no_opt_in_and_no_mistake() -> None:
    words = WORDS[Status.NON_SUBSCRIBED]
    assert read([(word, DAY) for word in words]) == [NOTHING["email"]] * len(words)
    assert unreadable(*(person(word, f"{word}@example.com", OptIn=word) for word in words)) == {}


def test_case_blanks_and_hyphens_do_not_matter() -> None:
    written = ["TRUE", " Opted In ", "opt-in", "OPT_IN", "Subscribed\n", "Yes"]
    assert {channel["status"] for channel in read([(word, DAY) for word in written])} == {"subscribed"}


def test_no_word_means_two_things() -> None:
    words = [word for group in WORDS.values() for word in group]
    assert len(words) == len(set(words))


def test_an_unknown_word_is_no_opt_in_and_is_counted() -> None:
    words = ["maybe", "2", "yes!", "trueish", "subscribed?", "-1", "1-", "- 1", "IN", "on", "confirmed"]
    assert read([(word, DAY) for word in words]) == [NOTHING["email"]] * len(words)
    rows = [person(word, f"p{n}@example.com", OptIn=word, OptInAt=DAY) for n, word in enumerate(words)]
    assert unreadable(*rows) == {"opt_in_status": len(words)}


@pytest.mark.parametrize(
    ("value", "kind", "status"),
    [
        (True, pa.bool_(), "subscribed"),
        (False, pa.bool_(), "unsubscribed"),
        (1, pa.int64(), "subscribed"),
        (0, pa.int64(), "unsubscribed"),
        (1.0, pa.float64(), "subscribed"),
    ],
)
def test_a_status_may_be_a_boolean_or_a_number(value: Any, kind: pa.DataType, status: str) -> None:
    assert opted(value, types={"OptIn": kind})["channels"]["email"]["status"] == status


# --- the dates


def test_an_iso_date_goes_as_the_moment_it_names() -> None:
    moments = {
        "2024-05-01": "2024-05-01T00:00:00.000Z",
        "2024-05-01 10:11": "2024-05-01T10:11:00.000Z",
        "2024-05-01 10:11:12": "2024-05-01T10:11:12.000Z",
        "2024-05-01T10:11:12.345Z": "2024-05-01T10:11:12.345Z",
        "2024-05-01T10:11:12.3450001Z": "2024-05-01T10:11:12.345Z",
        "2024-05-01T10:11:12+02:00": "2024-05-01T08:11:12.000Z",
        "2024-05-01T00:30:00+0530": "2024-04-30T19:00:00.000Z",
        " 2024-02-29 ": "2024-02-29T00:00:00.000Z",
        "2026-11-29T12:00:00Z": "2026-11-29T12:00:00.000Z",
    }
    sent = read([("yes", written) for written in moments])
    assert [channel["statusChangedAt"] for channel in sent] == list(moments.values())
    assert {channel["status"] for channel in sent} == {"subscribed"}


@pytest.mark.parametrize(
    ("value", "kind", "sent"),
    [
        (date(2024, 5, 1), pa.date32(), "2024-05-01T00:00:00.000Z"),
        (datetime(2024, 5, 1, 10, 11, 12, tzinfo=UTC), pa.timestamp("us"), "2024-05-01T10:11:12.000Z"),
        (datetime(2024, 5, 1, 10, 11, 12, tzinfo=UTC), pa.timestamp("us", tz="UTC"), "2024-05-01T10:11:12.000Z"),
    ],
)
def test_a_date_may_be_the_sources_own(value: Any, kind: pa.DataType, sent: str) -> None:
    assert opted("no", value, types={"OptInAt": kind})["channels"]["email"]["statusChangedAt"] == sent


def test_a_date_that_is_none_or_could_be_read_in_two_ways_is_no_opt_in_and_is_counted() -> None:
    written = [
        None, "", "soon", "01/05/2024", "2024-13-01", "2024-02-30", "2024-5-1", "20240501", "2024-05-01T25:00:00Z",
        "1714521600", "1970-01-01", "1900-01-01", "0001-01-01", "infinity", "epoch", "2024-05-01 10:00 Europe/Berlin",
    ]  # fmt: skip
    statements = [(status, since) for status in ("subscribed", "unsubscribed") for since in written]
    assert read(statements) == [NOTHING["email"]] * len(statements)
    rows = [person(f"c{n}", f"p{n}@example.com", OptIn="yes", OptInAt=since) for n, since in enumerate(written)]
    assert unreadable(*rows) == {"opt_in_date": len(written)}


def test_a_date_to_come_is_no_opt_in_since_it_would_beat_what_the_person_does_until_then() -> None:
    written = ["2026-11-29T12:00:00.001Z", "2026-11-30", "2999-01-01"]
    assert read([("subscribed", since) for since in written]) == [NOTHING["email"]] * len(written)
    rows = [person(f"c{n}", f"p{n}@example.com", OptIn="yes", OptInAt=since) for n, since in enumerate(written)]
    assert unreadable(*rows) == {"opt_in_future": len(written)}


def test_a_profile_that_says_nothing_is_no_mistake() -> None:
    assert unreadable(person("c1", "ann@example.com"), person("c2", "ben@example.com", OptInAt="2024-05-01")) == {}


def test_a_rejected_profile_is_counted_as_rejected_only() -> None:
    assert unreadable(person("c1", "nonsense", OptIn="maybe")) == {}


# --- what goes to Omnisend


def test_a_subscription_goes_with_the_consent_to_it() -> None:
    consent = opted("yes", "2024-05-01T10:00:00Z")["consent"]
    assert consent["createdAt"] == "2024-05-01T10:00:00.000Z"
    assert consent["source"]


@pytest.mark.parametrize("status", ["no", None])
def test_nobody_else_gets_a_consent(status: str | None) -> None:
    assert "consent" not in opted(status)


@pytest.mark.parametrize("status", ["yes", "no", None])
def test_nobody_gets_a_welcome_message(status: str | None) -> None:
    assert opted(status)["sendWelcomeMessage"] is False


def test_without_a_mapped_opt_in_everybody_goes_as_before() -> None:
    row = person("c1", "ann@example.com", OptIn="yes", OptInAt="2024-05-01")
    identifier = contact(row).body["identifiers"][0]
    assert identifier["channels"] == NOTHING
    assert "consent" not in identifier


def test_a_removal_says_nothing_of_a_subscription() -> None:
    [identifier] = orjson.loads(removal_item("ann@example.com", ["segment_vip_0a"]))["identifiers"]
    assert identifier["channels"] == NOTHING
    with staged(plan=PLAN) as mapped, staged() as unmapped:
        assert mapped.removal_payload == unmapped.removal_payload


def test_of_several_profiles_with_one_email_the_latest_opt_in_counts() -> None:
    sent = contact(
        person("c1", "ann@example.com", First="Ann", OptIn="yes", OptInAt="2024-05-01"),
        person("c2", "Ann@example.com", First="Anna", OptIn="no", OptInAt="2025-05-01"),
        person("c3", "ann@example.com", OptIn="yes", OptInAt="2999-01-01"),
        plan=PLAN,
        at=NOW,
    )
    assert sent.body["firstName"] == "Ann"
    assert sent.body["identifiers"][0]["channels"]["email"] == {
        "status": "unsubscribed",
        "statusChangedAt": "2025-05-01T00:00:00.000Z",
    }


def test_of_two_opt_ins_at_the_same_time_the_refusal_counts() -> None:
    rows = [person(f"c{n}", "ann@example.com", OptIn=said, OptInAt="2024-05-01") for n, said in enumerate("yny")]
    assert contact(*rows, plan=PLAN, at=NOW).body["identifiers"][0]["channels"]["email"]["status"] == "unsubscribed"


# --- what counts as a change


def payload(status: Any, since: Any, plan: Any = PLAN, **options: Any) -> bytes:
    return contact(person("c1", "ann@example.com", OptIn=status, OptInAt=since), plan=plan, at=NOW, **options).payload


def test_another_status_or_date_is_a_change_and_another_way_to_write_it_is_none() -> None:
    known = payload("yes", "2024-05-01")
    assert payload("no", "2024-05-01") != known
    assert payload("yes", "2024-05-02") != known
    assert payload("TRUE", "2024-05-01T00:00:00Z") == known
    assert payload(True, date(2024, 5, 1), types={"OptIn": pa.bool_(), "OptInAt": pa.date32()}) == known


@pytest.mark.parametrize("status", [None, "maybe"])
def test_a_contact_without_an_opt_in_is_the_same_whether_one_is_mapped_or_not(status: str | None) -> None:
    """So that mapping one sends only those again for whom it says something."""
    assert payload(status, None) == payload(status, None, plan=check([EMAIL, Line("firstName", "First")]))


def test_a_date_to_come_is_sent_once_it_has_come() -> None:
    row = person("c1", "ann@example.com", OptIn="yes", OptInAt="2026-11-30")
    before = contact(row, plan=PLAN, at=NOW)
    after = contact(row, plan=PLAN, at=NOW + timedelta(days=1))
    assert before.payload != after.payload
    assert after.body["identifiers"][0]["channels"]["email"]["status"] == "subscribed"


# --- what is told


def test_the_comparison_says_as_what_contacts_go() -> None:
    rows = [
        person("c1", "a@example.com", OptIn="yes", OptInAt="2024-05-01"),
        person("c2", "b@example.com", OptIn="no", OptInAt="2024-05-01"),
        person("c3", "c@example.com", OptIn="yes"),
        person("c4", "d@example.com"),
    ]
    with staged(*rows, plan=PLAN, at=NOW) as staging:
        comparison = staging.compare()
        assert comparison.opt_ins == {"subscribed": 1, "unsubscribed": 1, "nonSubscribed": 2}
        assert {sample.customer_id: sample.opt_in for sample in staging.samples(4)} == {
            "c1": "subscribed", "c2": "unsubscribed", "c3": "nonSubscribed", "c4": "nonSubscribed",
        }  # fmt: skip


def test_only_contacts_to_send_are_counted() -> None:
    row = person("c1", "a@example.com", OptIn="yes", OptInAt="2024-05-01")
    known = contact(row, plan=PLAN, at=NOW).payload
    with staged(row, plan=PLAN, at=NOW, ledger=[("a@example.com", known, "confirmed", True)]) as staging:
        assert staging.compare().opt_ins == {"subscribed": 0, "unsubscribed": 0, "nonSubscribed": 0}


def test_without_a_mapped_opt_in_nothing_is_told() -> None:
    with staged(person("c1", "a@example.com")) as staging:
        comparison = staging.compare()
        assert (comparison.opt_ins, comparison.opt_ins_unreadable) == ({}, {})
        assert staging.samples()[0].opt_in == ""


# --- a rule over all of it

moments = st.datetimes(datetime(1960, 1, 1), datetime(2040, 1, 1)).map(lambda one: one.replace(microsecond=0))  # noqa: DTZ001
stated = st.tuples(
    st.sampled_from(["yes", "no", "maybe", "not set", None]),
    st.one_of(st.none(), st.just("soon"), moments),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(stated, min_size=1, max_size=4))
def test_what_goes_is_the_latest_readable_statement_or_nothing(profiles: list[tuple[str | None, Any]]) -> None:
    """A model of a few lines: readable are yes and no with a date after the epoch and not to come."""
    rows = [
        person(f"c{n}", "ann@example.com", OptIn=status, OptInAt=when if when is None else str(when))
        for n, (status, when) in enumerate(profiles)
    ]
    readable = [
        (when, "subscribed" if status == "yes" else "unsubscribed")
        for status, when in profiles
        if status in ("yes", "no")
        and isinstance(when, datetime)
        and datetime(1970, 1, 1) < when <= NOW.replace(tzinfo=None)  # noqa: DTZ001
    ]
    with staged(*rows, plan=PLAN, at=NOW, segments=(VIP,)) as staging:
        staging.compare()
        [sent] = outgoing(staging)
    identifier = sent.body["identifiers"][0]
    if readable:
        when, status = max(readable)
        moment = f"{when:%Y-%m-%dT%H:%M:%S}.000Z"
        assert identifier["channels"]["email"] == {"status": status, "statusChangedAt": moment}
        assert ("consent" in identifier) == (status == "subscribed")
    else:
        assert identifier["channels"] == NOTHING
        assert "consent" not in identifier
