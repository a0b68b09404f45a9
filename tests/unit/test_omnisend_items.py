"""What became of the single contacts of a batch. Reference: omnisend-api.md §4.3."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.omnisend.models import BatchInfo, BatchItems, CursorPage, NotAsPromised, SegmentInfo
from bot.omnisend.problems import Problem
from tests.unit.omnisend_world import BATCH, LIVE_BATCH, World


def item(email: str, code: Any = 201, response: Any = None, **identifier: Any) -> dict[str, Any]:
    request = {"identifiers": [{"type": "email", "id": email, **identifier}], "firstName": "Zelda", "address": "Elm 7"}
    return {"itemID": "x", "request": request, "response": response, "responseCode": code, "status": "finished"}


def items(responses: Any, failures: Any) -> BatchItems:
    return BatchItems.read({**LIVE_BATCH, "status": "finished", "responses": responses, "errors": failures})


async def test_items_are_matched_by_their_lower_cased_email() -> None:
    world = World()
    phone = {"type": "phone", "id": "+4915112345"}
    both = item("ben@example.com", 200)
    both["request"]["identifiers"].insert(0, phone)
    body = {
        **LIVE_BATCH,
        "status": "finished",
        "responses": [item("Ann@Example.com", 201), both],
        "errors": [item("CARA@example.com", 400, {"title": "Bad Request"})],
    }
    world.answer(httpx.Response(200, json=body))
    result = await world.client.batch_items(BATCH)
    assert world.sent[0].url.path == f"/api/batches/{BATCH}/items"
    assert result.done == {"ann@example.com", "ben@example.com"}
    assert [(failure.email, failure.code, failure.reason) for failure in result.failed] == [
        ("cara@example.com", 400, "Bad Request")
    ]
    assert result.info.final


def test_a_request_in_both_arrays_is_a_failure() -> None:
    result = items([item("ann@example.com")], [item("ANN@example.com", 400, "no")])
    assert result.done == set()
    assert [failure.email for failure in result.failed] == ["ann@example.com"]


def test_a_request_with_an_error_code_among_the_responses_is_a_failure() -> None:
    result = items([item("ann@example.com", 400, "no"), item("ben@example.com", 200)], [])
    assert result.done == {"ben@example.com"}
    assert [failure.email for failure in result.failed] == ["ann@example.com"]


def test_a_request_that_failed_twice_is_reported_once() -> None:
    failed = item("ann@example.com", 400, "first")
    result = items([], [failed, item("ann@example.com", 500, "second")])
    assert [(failure.code, failure.reason) for failure in result.failed] == [(400, "first")]


def test_an_item_in_neither_array_is_in_neither_result() -> None:
    result = items([item("ann@example.com")], None)
    assert result.done == {"ann@example.com"}
    assert result.failed == []


def test_failures_that_name_nobody_are_counted() -> None:
    nameless = [{"responseCode": 400, "request": None}, {"responseCode": 400, "request": {"identifiers": "?"}}]
    result = items([], [*nameless, item("ann@example.com", 400)])
    assert (result.unnamed, len(result.failed)) == (2, 1)


def test_an_email_at_the_top_of_an_echoed_request_will_do() -> None:
    assert items([{"request": {"email": "Ann@example.com"}, "responseCode": 200}], []).done == {"ann@example.com"}


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (
            {
                "type": "https://problems.omnisend.com/validation-failed",
                "title": "Validation failed",
                "status": 400,
                "errors": [{"field": "identifiers.0.id", "code": "invalid_format", "message": "Must be valid"}],
            },
            "identifiers.0.id: Must be valid",
        ),
        ({"title": "Forbidden", "detail": "Not today."}, "Not today."),
        (
            {"error": "1 error(s) found. …", "fields": {"0": ["identifiers[0].channels: field required"]}},
            "identifiers[0].channels: field required",
        ),
        ({"error": "Provide sms channel for phone identifier."}, "Provide sms channel for phone identifier."),
        ("Provide email channel for email identifier", "Provide email channel for email identifier"),
        ('{"error": "written as text"}', "written as text"),
        ("<html><title>Oops</title></html>", "a web page: Oops"),
        ("<p>Oops", "a web page"),
        ("several\n   lines\tof text", "several lines of text"),
        ("x" * 500, "x" * 199 + "…"),
        (None, "refused with status 400"),
        ({}, "refused with status 400"),
        ({"errors": "odd", "fields": ["odd"], "detail": 5}, "refused with status 400"),
        ([1, 2], "refused with status 400"),
    ],
)
def test_the_reason_is_read_from_every_form_of_answer(response: Any, reason: str) -> None:
    assert items([], [item("ann@example.com", 400, response)]).failed[0].reason == reason


@pytest.mark.parametrize(
    "text",
    [
        "ann.lee@example.com is taken",
        "'ANN.LEE@EXAMPLE.COM' is taken",
        "is taken: ann.lee%40example.com",
        "identifiers[ann.lee@example.com].id: taken by bob@example.com",
        "Zelda of Elm 7 is known",
        "ZELDA of elm 7 is known",
    ],
)
@pytest.mark.parametrize("form", [lambda text: text, lambda text: {"errors": [{"field": text, "message": text}]}])
def test_a_reason_never_names_the_person(text: str, form: Callable[[str], Any]) -> None:
    reason = items([], [item("ann.lee@example.com", 400, form(text))]).failed[0].reason.lower()
    assert "[…]" in reason
    assert not any(word in reason for word in ("ann.lee", "bob", "example.com", "zelda", "elm"))


@given(
    email=st.text(st.characters(categories=["L", "N", "P"]), min_size=3, max_size=30).filter(lambda text: text.strip()),
    before=st.sampled_from(["", "Contact ", "The value '", '{"id":"']),
    after=st.sampled_from(["", " is bad", "' is bad", '"} is bad']),
)
def test_even_an_email_that_is_none_is_masked(email: str, before: str, after: str) -> None:
    detail = Problem.read({"detail": before + email + after}, secrets=[email]).detail
    assert email.lower() not in detail.lower().replace("[…]", "") or email.lower() in (before + after).lower()


@pytest.mark.parametrize(
    ("code", "retryable", "stops"),
    [(400, False, False), (401, False, True), (403, False, True), (404, False, False), (408, True, False),
     (409, False, False), (429, True, False), (500, True, False), (503, True, False), ("503", True, False),
     (None, False, False)],
)  # fmt: skip
def test_the_code_of_a_failure_says_what_to_do_about_it(code: Any, retryable: bool, stops: bool) -> None:
    failure = items([], [item("ann@example.com", code, "no")]).failed[0]
    assert (failure.retryable, failure.stops_run) == (retryable, stops)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["batchID", "segmentID", "responses", "errors", "request", "identifiers", "id", "type",
                         "response", "fields", "contacts", "paging", "cursors", "after", "hasMore", "x"]),
        inner, max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@given(data=JSON)
def test_json_of_any_shape_is_read_or_refused_but_never_breaks_the_reader(data: Any) -> None:
    def contacts(data: Any) -> CursorPage[SegmentInfo]:
        return CursorPage.read(data, key="contacts", read_entry=SegmentInfo.read)

    for read in (BatchInfo.read, BatchItems.read, SegmentInfo.read, Problem.read, contacts):
        with suppress(NotAsPromised):
            read(data)
