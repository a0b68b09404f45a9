"""What the Omnisend client asks, and what it makes of good answers.

Reference: omnisend-api.md §2, §3.6, §4.1, §4.2, §4.4 and §6.1.
"""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.omnisend import errors
from bot.omnisend.client import OmnisendClient
from bot.omnisend.limiter import Limiter
from bot.omnisend.models import BatchInfo, SegmentInfo
from bot.omnisend.wire import Call, Effect
from bot.settings import Rate
from tests.unit.omnisend_world import (
    BATCH,
    BODY,
    FOUND,
    KEY,
    LIVE_BATCH,
    TAKEN,
    URL,
    Action,
    World,
    post_batch,
    problem,
)


@pytest.fixture
def world() -> World:
    return World()


def cursor_page(key: str, entries: list[Any] | None, after: str | None = None, **paging: Any) -> httpx.Response:
    paging = {"limit": 250, "hasMore": after is not None, "cursors": {"after": after, "before": None}, **paging}
    return httpx.Response(200, json={key: entries, "paging": paging})


async def everything(pages: AsyncIterator[list[Any]]) -> list[Any]:
    return [entry async for page in pages for entry in page]


# Requests


async def test_each_request_carries_key_version_and_media_type(world: World) -> None:
    world.answer(FOUND)
    await world.client.batch(BATCH)
    headers = world.sent[0].headers
    assert headers["authorization"] == f"Omnisend-API-Key {KEY}"
    assert headers["omnisend-version"] == "2026-03-15"
    assert headers["accept"] == headers["content-type"] == "application/json"
    assert "x-api-key" not in headers


async def test_a_body_is_sent_byte_for_byte(world: World) -> None:
    world.answer(TAKEN)
    await world.client.create_batch(BODY)
    assert (world.sent[0].method, world.sent[0].url.path) == ("POST", "/api/batches")
    assert world.sent[0].content == BODY


async def test_a_plus_in_an_address_is_percent_encoded(world: World) -> None:
    world.answer(httpx.Response(200, json={"id": "1"}))
    assert await world.client.patch_contact("ann+shop@example.com", b'{"firstName":"Ann"}') is True
    assert (world.sent[0].method, world.sent[0].content) == ("PATCH", b'{"firstName":"Ann"}')
    assert world.sent[0].url.raw_path == b"/api/contacts?email=ann%2Bshop%40example.com"


@given(value=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_query_value_arrives_as_it_was(value: str) -> None:
    target = httpx.URL(URL + Call("GET", "/contacts", Effect.NONE, query={"email": value, "limit": 1}).target)
    assert parse_qsl(urlsplit(str(target)).query, keep_blank_values=True) == [("email", value), ("limit", "1")]


async def test_an_id_can_not_leave_its_place_in_the_path(world: World) -> None:
    world.answer(FOUND)
    await world.client.batch("a/b?c")
    assert world.sent[0].url.raw_path == b"/api/batches/a%2Fb%3Fc"


@pytest.mark.parametrize("key", ["", "  ", "two\nlines", "clé", "tab\tinside"])
async def test_a_key_that_can_stand_in_no_header_is_refused_before_anything_is_sent(key: str) -> None:
    with pytest.raises(errors.KeyRefused) as refused:
        OmnisendClient(key, base_url=URL, limiter=Limiter(Rate(0, 60)))
    assert not key.strip() or key not in str(refused.value)


async def test_space_around_a_pasted_key_and_after_the_base_address_does_no_harm() -> None:
    requests = []

    def play(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return FOUND

    transport = httpx.MockTransport(play)
    limiter = Limiter(Rate(0, 60))
    async with OmnisendClient(f" {KEY}\n", base_url=f"{URL}/", limiter=limiter, transport=transport) as client:
        await client.batch(BATCH)
    assert requests[0].headers["authorization"] == f"Omnisend-API-Key {KEY}"
    assert str(requests[0].url) == f"{URL}/batches/{BATCH}"


async def test_the_transport_is_closed_with_the_client() -> None:
    class Transport(httpx.MockTransport):
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    transport = Transport(lambda _: FOUND)
    async with OmnisendClient(KEY, base_url=URL, limiter=Limiter(Rate(0, 60)), transport=transport):
        assert not transport.closed
    assert transport.closed


async def test_requests_are_counted_with_their_repeats(world: World) -> None:
    world.answer(httpx.Response(500), httpx.Response(500), FOUND)
    await world.client.batch(BATCH)
    assert world.client.requests == 3


async def test_each_request_takes_its_place_in_the_limiter() -> None:
    world = World(Rate(2, 60))
    world.answer(FOUND)
    for _ in range(2):
        await world.client.batch(BATCH)
    assert world.clock.now == 60


# Checking a key (2.3)

BRAND = {
    "brandID": "5f92cbf10cf217478ba93561",
    "name": "Shop",
    "platform": "custom",
    "website": "https://shop.example",
    "currency": "EUR",
    "timezone": "Europe/Berlin",
    "connected": True,
    "version": "",
}
UNAUTHORIZED = httpx.Response(
    401, json={"type": "https://problems.omnisend.com/unauthorized", "title": "Unauthorized", "status": 401}
)


async def test_a_good_key_shows_its_brand(world: World) -> None:
    world.answer(httpx.Response(200, json=BRAND))
    brand = await world.client.brand()
    assert (brand.id, brand.name, brand.website) == ("5f92cbf10cf217478ba93561", "Shop", "https://shop.example")
    assert world.sent[0].url.path == "/api/brands/current"


async def test_a_wrong_key_is_refused_at_once(world: World) -> None:
    world.answer(UNAUTHORIZED)
    with pytest.raises(errors.KeyRefused):
        await world.client.brand()
    assert world.client.requests == 1


async def test_a_key_that_may_only_use_contacts_gets_a_brand_without_id(world: World) -> None:
    world.answer(problem(403, "forbidden", detail="Missing brands.read scope."), cursor_page("contacts", []))
    brand = await world.client.brand()
    assert brand.id is None
    assert world.sent[1].url.raw_path == b"/api/contacts?limit=1"


async def test_a_key_that_may_not_read_contacts_either_is_refused_with_the_scope_it_lacks(world: World) -> None:
    world.answer(
        problem(403, "forbidden", detail="Missing brands.read scope."),
        problem(403, "forbidden", detail="Missing contacts.read scope."),
    )
    with pytest.raises(errors.ScopeMissing) as refused:
        await world.client.brand()
    assert refused.value.scope == "contacts.read"
    assert "contacts.read" in str(refused.value)


@pytest.mark.parametrize("answer", [httpx.Response(403), httpx.Response(403, json={"error": "Forbidden"})])
async def test_a_403_that_names_no_scope_is_refused_all_the_same(world: World, answer: httpx.Response) -> None:
    world.answer(answer)
    with pytest.raises(errors.ScopeMissing) as refused:
        await world.client.brand()
    assert refused.value.scope is None


async def test_the_older_apis_answer_to_a_missing_key_is_shown_as_it_stands(world: World) -> None:
    world.answer(httpx.Response(400, text="API key or access token not provided"))
    with pytest.raises(errors.Refused, match="API key or access token not provided"):
        await world.client.brand()


@pytest.mark.parametrize("body", [{}, {"brandID": None}, {"brandID": ""}, [], "text", None])
async def test_a_brand_without_id_is_no_answer_of_omnisends(world: World, body: Any) -> None:
    world.answer(httpx.Response(200, json=body))
    with pytest.raises(errors.RubbishAnswer):
        await world.client.brand()


async def test_writing_is_tried_on_an_address_that_nobody_can_have(world: World) -> None:
    world.answer(httpx.Response(202))
    await world.client.check_write()
    sent = orjson.loads(world.sent[0].content)
    assert (world.sent[0].method, world.sent[0].url.path) == ("POST", "/api/contacts/tags")
    assert len(sent["tags"]) == 1
    assert [address.endswith("@example.invalid") for address in sent["emails"]] == [True]


async def test_a_key_without_the_write_scope_is_told_so(world: World) -> None:
    world.answer(problem(403, "forbidden", detail="Missing contacts.write scope."))
    with pytest.raises(errors.ScopeMissing) as refused:
        await world.client.check_write()
    assert refused.value.scope == "contacts.write"
    assert world.client.requests == 1


async def test_a_revoked_key_is_noticed_when_writing_is_tried(world: World) -> None:
    world.answer(UNAUTHORIZED)
    with pytest.raises(errors.KeyRefused):
        await world.client.check_write()


async def test_trying_to_write_is_repeated_after_any_failure_since_it_changes_nothing(world: World) -> None:
    world.answer(httpx.Response(500), httpx.ReadTimeout("late"), httpx.Response(202))
    await world.client.check_write()
    assert world.client.requests == 3


# Batches (4.1, 4.2, 4.4)


@pytest.mark.parametrize("status", [200, 201])
async def test_a_batch_gets_its_id(world: World, status: int) -> None:
    world.answer(httpx.Response(status, json={"batchID": BATCH, "totalCount": 1}))
    assert await post_batch(world.client) == BATCH


async def test_a_batch_tells_how_far_it_is(world: World) -> None:
    world.answer(httpx.Response(200, json=LIVE_BATCH))
    batch = await world.client.batch(BATCH)
    assert batch == BatchInfo(BATCH, "inProgress", 100, 40, 1, datetime(2026, 11, 1, 10, tzinfo=UTC))
    assert world.sent[0].url.path == f"/api/batches/{BATCH}"


@pytest.mark.parametrize(
    ("status", "final"),
    [
        ("pending", False),
        ("inProgress", False),
        ("finished", True),
        ("stopped", True),
        ("paused", False),
        (None, False),
        (7, False),
    ],
)
def test_only_finished_and_stopped_batches_are_final(status: Any, final: bool) -> None:
    assert BatchInfo.read({**LIVE_BATCH, "status": status}).final is final


@pytest.mark.parametrize("created", ["", None, "0001-01-01T00:00:00Z", "yesterday", 5])
def test_an_absent_date_may_be_written_in_any_way(created: Any) -> None:
    assert BatchInfo.read({**LIVE_BATCH, "createdAt": created}).created_at is None


def test_an_omitted_date_and_omitted_counters_are_read_too() -> None:
    assert BatchInfo.read({"batchID": BATCH}) == BatchInfo(BATCH, "", 0, 0, 0, None)


def test_dates_with_fractions_and_zones_are_read_and_those_without_a_zone_are_utc() -> None:
    moments = [
        BatchInfo.read({**LIVE_BATCH, "createdAt": text}).created_at
        for text in ("2026-11-01T10:00:00.000Z", "2026-11-01T11:00:00+01:00", "2026-11-01T10:00:00")
    ]
    assert moments == [datetime(2026, 11, 1, 10, tzinfo=UTC)] * 3


async def test_an_expired_batch_is_not_found(world: World) -> None:
    world.answer(problem(404))
    with pytest.raises(errors.NotFound):
        await world.client.batch(BATCH)
    with pytest.raises(errors.NotFound):
        await world.client.batch_items(BATCH)


def batch_page(ids: list[str], **paging: Any) -> httpx.Response:
    batches = [{**LIVE_BATCH, "batchID": id_} for id_ in ids]
    return httpx.Response(200, json={"batches": batches, "paging": {"limit": 250, "offset": 0, **paging}})


async def test_the_list_of_batches_is_read_to_its_end(world: World) -> None:
    world.answer(
        batch_page(["a", "b"], next="https://elsewhere.test/batches?offset=2", previous=None),
        batch_page(["c"], next=None, previous="https://elsewhere.test/batches?offset=0"),
    )
    batches = await everything(world.client.batches(date(2026, 11, 1)))
    assert [batch.id for batch in batches] == ["a", "b", "c"]
    assert [request.url.host for request in world.sent] == ["omnisend.test"] * 2
    assert [dict(request.url.params) for request in world.sent] == [
        {"endpoint": "contacts", "dateFrom": "2026-11-01", "limit": "250", "offset": "0"},
        {"endpoint": "contacts", "dateFrom": "2026-11-01", "limit": "250", "offset": "2"},
    ]


@pytest.mark.parametrize(
    "answer",
    [
        batch_page([], next="https://omnisend.test/more"),
        batch_page([], next=""),
        batch_page([]),
        httpx.Response(200, json={"batches": None, "paging": None}),
        httpx.Response(200, json={"batches": []}),
    ],
)
async def test_an_empty_list_of_batches_ends_in_whatever_form(world: World, answer: httpx.Response) -> None:
    world.answer(answer)
    assert await everything(world.client.batches(date(2026, 11, 1))) == []
    assert world.client.requests == 1


@pytest.mark.parametrize("body", [{}, {"batches": {}}, {"batches": [{}]}, {"batches": ["x"]}, []])
async def test_a_list_of_batches_of_another_shape_is_rubbish(world: World, body: Any) -> None:
    world.answer(httpx.Response(200, json=body))
    with pytest.raises(errors.RubbishAnswer):
        await everything(world.client.batches(date(2026, 11, 1)))


# Contacts of a segment (3.6)


async def test_the_members_of_a_segment_are_read_page_by_page_with_the_filter_on_each(world: World) -> None:
    world.answer(
        cursor_page("contacts", [{"email": "Ann@example.com"}, {"email": None}, {"phone": ["+1"]}], after="a/b+c="),
        cursor_page("contacts", [{"email": "ben@example.com", "customProperties": None}]),
    )
    pages = [page async for page in world.client.contact_emails("5f92")]
    assert pages == [["Ann@example.com"], ["ben@example.com"]]
    assert [dict(request.url.params) for request in world.sent] == [
        {"segmentID": "5f92", "limit": "250"},
        {"segmentID": "5f92", "limit": "250", "after": "a/b+c="},
    ]
    assert b"after=a%2Fb%2Bc%3D" in world.sent[1].url.raw_path


@pytest.mark.parametrize(
    "answer",
    [
        cursor_page("contacts", []),
        cursor_page("contacts", None),
        cursor_page("contacts", [], after="x", hasMore=False),
        cursor_page("contacts", [], hasMore=True),
        cursor_page("contacts", [], hasMore=True, cursors={"after": ""}),
        cursor_page("contacts", [], hasMore=True, cursors=None),
        httpx.Response(200, json={"contacts": []}),
    ],
)
async def test_paging_ends_without_more_or_without_a_cursor(world: World, answer: httpx.Response) -> None:
    world.answer(answer)
    assert await everything(world.client.contact_emails("5f92")) == []
    assert world.client.requests == 1


async def test_a_cursor_that_leads_to_itself_does_not_go_on_for_ever(world: World) -> None:
    world.answer(cursor_page("contacts", [{"email": "ann@example.com"}], after="same"))
    with pytest.raises(errors.RubbishAnswer, match="same page"):
        await everything(world.client.contact_emails("5f92"))
    assert world.client.requests == 2


# Segments (6.1)

SEGMENT = {
    "segmentID": "65f0c0ffee65f0c0ffee65f0",
    "name": "segment_vip",
    "conditionGroups": [
        {
            "conditions": [
                {
                    "entity": "contact",
                    "junction": "and",
                    "filters": [
                        {
                            "property": "custom",
                            "name": "segment_vip",
                            "valueType": "bool",
                            "operator": "equals",
                            "value": True,
                        }
                    ],
                }
            ]
        }
    ],
    "status": "building",
    "isStarred": False,
    "createdAt": "2026-11-01T10:00:00Z",
    "updatedAt": "2026-11-01T10:00:00Z",
    "archivedAt": None,
}


async def test_a_segment_is_made_with_the_rule_that_its_property_is_true(world: World) -> None:
    world.answer(httpx.Response(201, json=SEGMENT))
    segment = await world.client.create_segment("segment_vip", "segment_vip")
    assert (world.sent[0].method, world.sent[0].url.path) == ("POST", "/api/segments")
    assert orjson.loads(world.sent[0].content) == {
        "name": "segment_vip",
        "conditionGroups": SEGMENT["conditionGroups"],
    }
    assert (segment.id, segment.name, segment.status) == (SEGMENT["segmentID"], "segment_vip", "building")
    assert segment.follows("segment_vip")


async def test_all_segments_are_read_with_their_rules(world: World) -> None:
    world.answer(cursor_page("segments", [SEGMENT], after="next"), cursor_page("segments", [{"segmentID": "2"}]))
    segments = await everything(world.client.segments())
    assert [dict(request.url.params) for request in world.sent] == [{"limit": "50"}, {"limit": "50", "after": "next"}]
    assert [segment.id for segment in segments] == [SEGMENT["segmentID"], "2"]
    assert segments[0].condition_groups == SEGMENT["conditionGroups"]
    assert segments[1] == SegmentInfo("2", "", "", None)


def changed_rule(**changes: Any) -> SegmentInfo:
    segment = orjson.loads(orjson.dumps(SEGMENT))
    segment["conditionGroups"][0]["conditions"][0]["filters"][0].update(changes)
    return SegmentInfo.read(segment)


def test_a_rule_is_recognised_though_omnisend_adds_fields_of_its_own() -> None:
    assert changed_rule(id="f1", unit=None).follows("segment_vip")


def test_another_rule_is_not_taken_for_ours() -> None:
    groups = SEGMENT["conditionGroups"]
    others = [
        changed_rule(name="segment_gold"),
        changed_rule(value=False),
        changed_rule(operator="doesNotExist"),
        changed_rule(property="tags"),
        SegmentInfo("1", "segment_vip", "ready", None),
        SegmentInfo("1", "segment_vip", "ready", []),
        SegmentInfo("1", "segment_vip", "ready", [groups[0], groups[0]]),  # type: ignore[index]
    ]
    assert [segment.follows("segment_vip") for segment in others] == [False] * len(others)


async def test_a_segment_that_may_have_been_made_is_not_made_again(world: World) -> None:
    world.answer(httpx.ReadTimeout("late"))
    with pytest.raises(errors.FateUnknown):
        await world.client.create_segment("segment_vip", "segment_vip")
    assert world.client.requests == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(403, errors.ScopeMissing), (409, errors.Conflict), (400, errors.Refused)]
)
async def test_a_segment_refused_is_told_apart(world: World, status: int, kind: type[errors.OmnisendError]) -> None:
    world.answer(problem(status, detail="Missing segments.write scope."))
    with pytest.raises(kind):
        await world.client.create_segment("segment_vip", "segment_vip")


async def test_omnisends_own_count_is_read(world: World) -> None:
    world.answer(httpx.Response(200, json={"contactsCount": 1234}))
    assert await world.client.segment_count("5f92") == 1234
    assert world.sent[0].url.path == "/api/segments/5f92/statistics"


@pytest.mark.parametrize("body", [{}, {"contactsCount": None}, {"contactsCount": "many"}, []])
async def test_a_count_that_is_none_is_rubbish_and_not_nought(world: World, body: Any) -> None:
    world.answer(httpx.Response(200, json=body))
    with pytest.raises(errors.RubbishAnswer):
        await world.client.segment_count("5f92")


async def test_the_count_of_an_unknown_segment_is_not_found(world: World) -> None:
    world.answer(problem(404))
    with pytest.raises(errors.NotFound):
        await world.client.segment_count("5f92")


@pytest.mark.parametrize(
    ("action", "allowed"),
    [
        (lambda client: client.check_write(), 6),
        (lambda client: client.segment_count("5f92"), 10),
        (lambda client: client.create_segment("a", "a"), 1),
        (lambda client: client.batch(BATCH), 40),
    ],
)
async def test_calls_draw_on_the_pot_of_their_endpoint(action: Action, allowed: int) -> None:
    world = World(Rate(45, 60))
    world.answer(httpx.Response(200, json={**SEGMENT, "contactsCount": 1, "batchID": BATCH}))
    while world.clock.now == 0:
        await action(world.client)
    assert world.client.requests == allowed + 1
