"""Writing and reading contacts. Reference: omnisend-api.md §3, §13 rows 3 and 9."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.system.omnisend_emulator_client import EPOCH, STILL, Omnisend, contact, failed_fields, omnisend_process


@pytest.fixture(scope="module")
async def process() -> AsyncIterator[Omnisend]:
    async with omnisend_process("--rate-limit", "0", *STILL) as omnisend:
        yield omnisend


@pytest.fixture
async def omnisend(process: Omnisend) -> Omnisend:
    await process.set("/reset")
    return process


def status_of(shown: dict[str, Any]) -> tuple[str, str]:
    [entry] = shown["statuses"]
    assert entry["status"] == shown["status"]
    return entry["status"], entry["statusChangedAt"]


# Upsert


async def test_the_first_post_creates_and_the_second_updates_one_contact(omnisend: Omnisend) -> None:
    first = await omnisend.api.post("/contacts", json=contact("ann@example.com", firstName="Ann"))
    second = await omnisend.api.post("/contacts", json=contact("ann@example.com", city="Ulm"))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert (second.json()["firstName"], second.json()["city"]) == ("Ann", "Ulm")
    assert len(await omnisend.stored()) == 1


async def test_the_answer_is_the_full_contact(omnisend: Omnisend) -> None:
    shown = await omnisend.upsert(
        "ann@example.com",
        firstName="Ann",
        countryCode="DE",
        postalCode="01067",
        customProperties={"plan": "gold", "orders": 7},
    )
    assert len(shown["id"]) == 24
    assert shown["email"] == "ann@example.com"
    assert shown["postalCode"] == "01067"
    assert shown["customProperties"] == {"plan": "gold", "orders": 7}
    assert shown["identifiers"][0]["id"] == "ann@example.com"
    assert shown["identifiers"][0]["channels"]["email"]["status"] == "nonSubscribed"
    assert shown["tags"] == shown["segments"] == shown["optIns"] == shown["consents"] == []
    assert (await omnisend.get(f"/contacts/{shown['id']}")) == shown


async def test_empty_parts_are_shown_as_they_were_seen_live(omnisend: Omnisend) -> None:
    shown = await omnisend.upsert("ann@example.com")
    assert shown["customProperties"] is None
    assert shown["phone"] is None
    assert shown["gender"] == ""


async def test_the_email_is_matched_exactly_and_case_sensitively(omnisend: Omnisend) -> None:
    await omnisend.upsert("ann@example.com")
    answer = await omnisend.api.post("/contacts", json=contact("Ann@example.com"))
    assert answer.status_code == 201
    assert set(await omnisend.stored()) == {"ann@example.com", "Ann@example.com"}


async def test_fields_that_are_not_sent_stay_and_empty_ones_blank(omnisend: Omnisend) -> None:
    await omnisend.upsert("ann@example.com", firstName="Ann", lastName="Lee")
    shown = await omnisend.upsert("ann@example.com", lastName="")
    assert (shown["firstName"], shown["lastName"]) == ("Ann", "")


async def test_custom_properties_merge_and_an_empty_text_or_null_removes_one(omnisend: Omnisend) -> None:
    await omnisend.upsert("ann@example.com", customProperties={"a": 1, "b": "x", "c": True})
    shown = await omnisend.upsert("ann@example.com", customProperties={"b": "", "c": None, "d": ["p", "q"]})
    assert shown["customProperties"] == {"a": 1, "d": ["p", "q"]}


async def test_tags_in_the_body_replace_and_their_absence_keeps(omnisend: Omnisend) -> None:
    await omnisend.upsert("ann@example.com", tags=["a", "b"])
    assert (await omnisend.upsert("ann@example.com"))["tags"] == ["a", "b"]
    assert (await omnisend.upsert("ann@example.com", tags=["c"]))["tags"] == ["c"]
    assert (await omnisend.upsert("ann@example.com", tags=[]))["tags"] == []


async def test_unknown_field_names_are_ignored_with_success(omnisend: Omnisend) -> None:
    body = contact("ann@example.com", fristName="Ann") | {"email": "other@example.com"}
    answer = await omnisend.api.post("/contacts", json=body)
    assert answer.status_code == 201
    shown = answer.json()
    assert shown["email"] == "ann@example.com"
    assert "fristName" not in shown


async def test_created_at_becomes_a_custom_property(omnisend: Omnisend) -> None:
    shown = await omnisend.upsert("ann@example.com", createdAt="2020-02-03T04:05:06Z")
    assert shown["customProperties"] == {"externalCreated": "2020-02-03T04:05:06Z"}
    assert not shown["createdAt"].startswith("2020")


async def test_the_country_gives_the_code_and_the_code_wins_over_the_country(omnisend: Omnisend) -> None:
    assert (await omnisend.upsert("a@example.com", country="Germany"))["countryCode"] == "DE"
    both = await omnisend.upsert("b@example.com", country="Germany", countryCode="FR")
    assert (both["country"], both["countryCode"]) == ("France", "FR")


# Status


async def test_a_later_status_wins_and_an_earlier_one_changes_nothing(omnisend: Omnisend) -> None:
    await omnisend.upsert("ann@example.com", status="subscribed", at="2026-01-02T00:00:00Z")
    earlier = await omnisend.upsert("ann@example.com", status="unsubscribed", at="2026-01-01T00:00:00Z")
    assert status_of(earlier) == ("subscribed", "2026-01-02T00:00:00Z")
    later = await omnisend.upsert("ann@example.com", status="unsubscribed", at="2026-01-03T00:00:00Z")
    assert status_of(later) == ("unsubscribed", "2026-01-03T00:00:00Z")


async def test_a_non_subscribed_at_the_epoch_never_takes_a_subscription(omnisend: Omnisend) -> None:
    await omnisend.upsert("ann@example.com", status="subscribed", at="2026-01-02T00:00:00Z")
    assert status_of(await omnisend.upsert("ann@example.com"))[0] == "subscribed"


async def test_a_missing_status_date_means_now(omnisend: Omnisend) -> None:
    await omnisend.upsert("ann@example.com", status="subscribed", at="2026-01-02T00:00:00Z")
    shown = await omnisend.upsert("ann@example.com", status="nonSubscribed", at=None)
    now = (await omnisend.control.get("/clock")).json()["time"]
    assert status_of(shown)[0] == "nonSubscribed"
    assert status_of(shown)[1][:16] == now[:16]


async def test_the_old_name_of_the_status_date_is_ignored_so_the_date_becomes_now(omnisend: Omnisend) -> None:
    body = contact("ann@example.com", at=None)
    body["identifiers"][0]["channels"]["email"]["statusDate"] = EPOCH
    answer = await omnisend.api.post("/contacts", json=body)
    assert not status_of(answer.json())[1].startswith("1970")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(
        st.tuples(
            st.sampled_from(["subscribed", "unsubscribed", "nonSubscribed"]),
            st.integers(0, 1_900_000_000).map(lambda second: datetime.fromtimestamp(second, UTC)),
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda change: change[1],
    )
)
async def test_whatever_the_order_the_latest_status_holds(
    omnisend: Omnisend, changes: list[tuple[str, datetime]]
) -> None:
    await omnisend.set("/reset")
    for status, moment in changes:
        shown = await omnisend.upsert("ann@example.com", status=status, at=moment.isoformat())
    status, moment = max(changes, key=lambda change: change[1])
    assert status_of(shown) == (status, moment.isoformat().replace("+00:00", "Z"))


async def test_the_history_keeps_what_took_effect_only(omnisend: Omnisend) -> None:
    await omnisend.upsert("ann@example.com", status="subscribed", at="2026-01-02T00:00:00Z")
    await omnisend.upsert("ann@example.com")
    await omnisend.upsert("ann@example.com", status="unsubscribed", at="2026-01-03T00:00:00+01:00")
    history = (await omnisend.stored())["ann@example.com"]["statusHistory"]
    assert [(entry["status"], entry["statusChangedAt"]) for entry in history] == [
        ("subscribed", "2026-01-02T00:00:00Z"),
        ("unsubscribed", "2026-01-02T23:00:00Z"),
    ]


async def test_a_subscription_shows_as_opt_in_with_its_consent(omnisend: Omnisend) -> None:
    body = contact("ann@example.com", status="subscribed", at="2026-01-02T00:00:00Z")
    body["identifiers"][0]["consent"] = {"source": "shop", "createdAt": "2026-01-01T00:00:00Z"}
    shown = (await omnisend.api.post("/contacts", json=body)).json()
    assert shown["optIns"] == [{"channel": "email", "optInAt": "2026-01-02T00:00:00Z"}]
    [consent] = shown["consents"]
    assert (consent["source"], consent["createdAt"]) == ("shop", "2026-01-01T00:00:00Z")


async def test_the_welcome_message_is_asked_for_unless_it_is_switched_off(omnisend: Omnisend) -> None:
    body = contact("ann@example.com")
    await omnisend.api.post("/contacts", json=body)
    assert (await omnisend.stored())["ann@example.com"]["welcomeMessages"] == 0
    del body["identifiers"][0]["sendWelcomeMessage"]
    await omnisend.api.post("/contacts", json=body)
    assert (await omnisend.stored())["ann@example.com"]["welcomeMessages"] == 1


# Refusals


async def test_an_email_without_its_channel_is_refused_with_the_phrase_seen_live(omnisend: Omnisend) -> None:
    for channels in ({}, {"sms": {"status": "subscribed"}}, None):
        body = contact("ann@example.com")
        body["identifiers"][0]["channels"] = channels
        answer = await omnisend.api.post("/contacts", json=body)
        assert failed_fields(answer) == {"identifiers.0.channels"}
        assert "Provide email channel for email identifier" in answer.text
    assert await omnisend.stored() == {}


async def test_a_phone_without_its_channel_is_refused_alike(omnisend: Omnisend) -> None:
    identifier = {"type": "phone", "id": "+4915112345678"}
    answer = await omnisend.api.post("/contacts", json={"identifiers": [identifier]})
    assert "Provide sms channel for phone identifier" in answer.text


@pytest.mark.parametrize("body", [{}, {"identifiers": []}, {"email": "ann@example.com"}])
async def test_a_contact_needs_an_identifier(omnisend: Omnisend, body: dict[str, Any]) -> None:
    answer = await omnisend.api.post("/contacts", json=body)
    assert failed_fields(answer) == {"identifiers"}
    assert answer.json()["errors"][0]["code"] == "required"


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ann",
        "ann@",
        "@example.com",
        "ann@example",
        "a b@example.com",
        "ann@exa mple.com",
        "a..b@example.com",
        "ann@example..com",
        "ann@-.com",
        "ann@example.c",
        f"{'a' * 65}@example.com",
        f"a@{'b' * 250}.com",
    ],
)
async def test_an_address_that_is_none_is_refused(omnisend: Omnisend, email: str) -> None:
    assert failed_fields(await omnisend.api.post("/contacts", json=contact(email))) == {"identifiers.0.id"}


@pytest.mark.parametrize(
    "email", ["a@b.de", "ann.lee+x@example.co.uk", "o'neil@example.com", "müller@exämple.de", "1@2-3.museum"]
)
async def test_an_address_that_is_one_is_taken(omnisend: Omnisend, email: str) -> None:
    assert (await omnisend.upsert(email))["email"] == email


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("firstName", 7),
        ("firstName", None),
        ("firstName", "x" * 256),
        ("address", "x" * 1001),
        ("countryCode", "de"),
        ("countryCode", "DEU"),
        ("countryCode", "ZZ"),
        ("gender", "female"),
        ("birthdate", "1.2.1990"),
        ("birthdate", "1990-02-30"),
        ("tags", "vip"),
        ("tags", ["x"] * 101),
        ("customProperties", ["x"]),
        ("createdAt", "yesterday"),
    ],
)
async def test_a_field_of_the_wrong_form_is_refused(omnisend: Omnisend, field: str, value: Any) -> None:
    answer = await omnisend.api.post("/contacts", json=contact("ann@example.com") | {field: value})
    assert failed_fields(answer) == {field}


async def test_all_failures_come_at_once_in_a_problem_body(omnisend: Omnisend) -> None:
    body = contact("ann", status="maybe", at="today", gender="x")
    answer = await omnisend.api.post("/contacts", json=body)
    assert failed_fields(answer) == {
        "identifiers.0.id",
        "identifiers.0.channels.email.status",
        "gender",
    }
    problem = answer.json()
    assert problem["type"] == "https://problems.omnisend.com/validation-failed"
    assert (problem["title"], problem["status"]) == ("Validation failed", 400)
    assert problem["instance"].startswith("urn:omnisend:request:")
    assert all(error.keys() == {"field", "code", "message"} for error in problem["errors"])


async def test_status_date_and_welcome_flag_are_checked(omnisend: Omnisend) -> None:
    body = contact("ann@example.com", at="1970-01-01")
    body["identifiers"][0]["sendWelcomeMessage"] = "no"
    assert failed_fields(await omnisend.api.post("/contacts", json=body)) == {
        "identifiers.0.channels.email.statusChangedAt",
        "identifiers.0.sendWelcomeMessage",
    }


async def test_one_contact_has_one_email(omnisend: Omnisend) -> None:
    body = contact("ann@example.com")
    body["identifiers"] += contact("bob@example.com")["identifiers"]
    assert failed_fields(await omnisend.api.post("/contacts", json=body)) == {"identifiers.1"}


# Phones, and identifiers of others


def with_phone(email: str | None, phone: str) -> dict[str, Any]:
    channels = {"sms": {"status": "nonSubscribed", "statusChangedAt": EPOCH}}
    identifier = {"type": "phone", "id": phone, "channels": channels, "sendWelcomeMessage": False}
    body = contact(email) if email else {"identifiers": []}
    body["identifiers"].append(identifier)
    return body


async def test_a_phone_of_somebody_else_is_dropped(omnisend: Omnisend) -> None:
    await omnisend.api.post("/contacts", json=with_phone("ann@example.com", "+4915112345678"))
    answer = await omnisend.api.post("/contacts", json=with_phone("bob@example.com", "+4915112345678"))
    assert answer.status_code == 201
    assert answer.json()["phone"] is None
    [found] = (await omnisend.get("/contacts", phone="+4915112345678"))["contacts"]
    assert found["email"] == "ann@example.com"


async def test_a_clashing_identifier_that_is_the_only_one_makes_no_contact(omnisend: Omnisend) -> None:
    await omnisend.api.post("/contacts", json=with_phone("ann@example.com", "+4915112345678"))
    answer = await omnisend.api.post("/contacts", json=with_phone(None, "+4915112345678"))
    assert answer.status_code == 400
    assert len(await omnisend.stored()) == 1


# PATCH


async def test_patch_changes_only_what_is_supplied(omnisend: Omnisend) -> None:
    made = await omnisend.upsert("ann+x@example.com", firstName="Ann", customProperties={"a": True, "b": 1})
    by_email = await omnisend.api.patch(
        "/contacts", params={"email": "ann+x@example.com"}, json={"customProperties": {"a": False}}
    )
    assert by_email.status_code == 200
    assert by_email.json()["customProperties"] == {"a": False, "b": 1}
    by_id = await omnisend.api.patch(f"/contacts/{made['id']}", json={"firstName": "Anna", "tags": ["t"]})
    assert by_id.status_code == 200
    assert (by_id.json()["firstName"], by_id.json()["tags"]) == ("Anna", ["t"])
    assert by_id.json()["customProperties"] == {"a": False, "b": 1}


async def test_patching_nobody_is_a_404_and_creates_nobody(omnisend: Omnisend) -> None:
    for path in ("/contacts?email=nobody@example.com", f"/contacts/{'0' * 24}", "/contacts/nonsense"):
        answer = await omnisend.api.patch(path, json={"firstName": "X"})
        assert answer.status_code == 404, path
    assert await omnisend.stored() == {}


async def test_patch_without_an_email_in_the_query_is_a_400(omnisend: Omnisend) -> None:
    assert failed_fields(await omnisend.api.patch("/contacts", json={})) == {"email"}


async def test_patching_to_an_identifier_of_another_contact_is_a_409(omnisend: Omnisend) -> None:
    await omnisend.upsert("ann@example.com")
    bob = await omnisend.upsert("bob@example.com")
    answer = await omnisend.api.patch(f"/contacts/{bob['id']}", json=contact("ann@example.com"))
    assert answer.status_code == 409
    renamed = await omnisend.api.patch(f"/contacts/{bob['id']}", json=contact("new@example.com"))
    assert renamed.status_code == 400


# Reading


async def test_an_unknown_email_gives_an_empty_list(omnisend: Omnisend) -> None:
    answer = await omnisend.get("/contacts", email="nobody@example.com")
    assert answer == {
        "contacts": [],
        "paging": {"limit": 100, "hasMore": False, "cursors": {"after": None, "before": None}},
    }
    assert (await omnisend.api.get(f"/contacts/{'0' * 24}")).status_code == 404


async def test_a_plus_in_an_address_must_be_escaped(omnisend: Omnisend) -> None:
    await omnisend.upsert("ann+x@example.com")
    assert (await omnisend.get("/contacts?email=ann+x@example.com"))["contacts"] == []
    assert len((await omnisend.get("/contacts?email=ann%2Bx@example.com"))["contacts"]) == 1


@pytest.mark.parametrize(
    "query",
    [
        "tag=x&status=subscribed",
        "updatedAtFrom=2026-01-01T00:00:00Z&email=a@example.com",
        "updatedAtFrom=yesterday",
        "direction=asc",
        "sort=email",
        "sort=createdAt&direction=up",
        "status=gone",
        "limit=0",
        "limit=251",
        "limit=x",
        "segmentID=unknown",
        "after=a&before=b",
        "after=nonsense",
    ],
)
async def test_what_excludes_each_other_or_makes_no_sense_is_a_400(omnisend: Omnisend, query: str) -> None:
    assert (await omnisend.api.get(f"/contacts?{query}")).status_code == 400


async def pages(omnisend: Omnisend, **query: Any) -> list[list[str]]:
    found, after = [], None
    while True:
        page = await omnisend.get("/contacts", **query, **({"after": after} if after else {}))
        found.append([entry["email"].partition("@")[0] for entry in page["contacts"]])
        after = page["paging"]["cursors"]["after"]
        assert page["paging"]["hasMore"] is (after is not None)
        if after is None:
            return found


async def fill(omnisend: Omnisend, count: int = 5) -> None:
    for number in range(count):
        tags = ["odd"] if number % 2 else ["even"]
        await omnisend.upsert(f"{number}@example.com", tags=tags, customProperties={"odd": bool(number % 2)})
        await omnisend.advance(1)


async def test_pages_follow_each_other_newest_first_unless_asked_otherwise(omnisend: Omnisend) -> None:
    await fill(omnisend)
    assert await pages(omnisend, limit=2) == [["4", "3"], ["2", "1"], ["0"]]
    assert await pages(omnisend, limit=3, sort="createdAt", direction="asc") == [["0", "1", "2"], ["3", "4"]]
    assert await pages(omnisend, limit=1, tag="odd") == [["3"], ["1"]]
    assert await pages(omnisend, limit=5, status="nonSubscribed", sort="updatedAt") == [["4", "3", "2", "1", "0"]]


async def test_the_order_of_updates_follows_them(omnisend: Omnisend) -> None:
    await fill(omnisend)
    moment = (await omnisend.control.get("/clock")).json()["time"]
    await omnisend.advance(1)
    await omnisend.upsert("1@example.com", firstName="Ann")
    assert (await pages(omnisend, limit=2, sort="updatedAt"))[0] == ["1", "4"]
    assert (await pages(omnisend, limit=9, sort="updatedAt", direction="asc", tag="odd")) == [["3", "1"]]
    assert await pages(omnisend, updatedAtFrom=moment, sort="updatedAt") == [["1"]]
    assert await pages(omnisend, updatedAtFrom=moment) == [["1"]]


async def test_one_can_page_back(omnisend: Omnisend) -> None:
    await fill(omnisend)
    first = await omnisend.get("/contacts", limit=2)
    second = await omnisend.get("/contacts", limit=2, after=first["paging"]["cursors"]["after"])
    back = await omnisend.get("/contacts", limit=2, before=second["paging"]["cursors"]["before"])
    assert back["contacts"] == first["contacts"]
    assert back["paging"]["cursors"]["before"] is None


async def test_a_cursor_is_bound_to_its_filters(omnisend: Omnisend) -> None:
    await fill(omnisend)
    after = (await omnisend.get("/contacts", limit=1, tag="odd"))["paging"]["cursors"]["after"]
    carried = await omnisend.get("/contacts", limit=1, after=after)
    assert [entry["email"] for entry in carried["contacts"]] == ["1@example.com"]
    for changed in ({"tag": "even"}, {"tag": "odd", "email": "1@example.com"}, {"sort": "updatedAt"}):
        answer = await omnisend.api.get("/contacts", params={"after": after, **changed})
        assert answer.status_code == 400, changed


async def test_contacts_written_while_one_pages_disturb_nothing(omnisend: Omnisend) -> None:
    await fill(omnisend, 4)
    first = await omnisend.get("/contacts", limit=2)
    await omnisend.upsert("new@example.com")
    second = await omnisend.get("/contacts", limit=9, after=first["paging"]["cursors"]["after"])
    assert [entry["email"] for entry in second["contacts"]] == ["1@example.com", "0@example.com"]
