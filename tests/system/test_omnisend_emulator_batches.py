"""Batches from their posting to their end. Reference: omnisend-api.md §4, §13 rows 4 to 6."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.system.omnisend_emulator_client import STILL, Omnisend, contact, contacts, failed_fields, omnisend_process

DELAY = 20.0  # virtual seconds: pending for the first half, working through the second
DAY = 86_400


@pytest.fixture(scope="module")
async def process() -> AsyncIterator[Omnisend]:
    async with omnisend_process("--rate-limit", "0", "--batch-delay", str(DELAY), *STILL) as omnisend:
        yield omnisend


@pytest.fixture
async def omnisend(process: Omnisend) -> Omnisend:
    await process.set("/reset")
    return process


def counters(batch: dict[str, Any]) -> tuple[str, int, int, int]:
    return batch["status"], batch["totalCount"], batch["finishedCount"], batch["errorsCount"]


def email_of(entry: dict[str, Any]) -> str:
    email: str = entry["request"]["identifiers"][0]["id"]
    return email


# Taking a batch


async def test_a_batch_is_taken_with_201_and_its_id(omnisend: Omnisend) -> None:
    answer = await omnisend.api.post(
        "/batches", json={"method": "POST", "endpoint": "contacts", "items": contacts(100)}
    )
    assert answer.status_code == 201
    assert answer.json().keys() == {"batchID", "totalCount"}
    assert answer.json()["totalCount"] == 100
    assert len(answer.json()["batchID"]) == 24


@pytest.mark.parametrize(
    ("envelope", "fields"),
    [
        ({"items": []}, {"items"}),
        ({"items": contacts(101)}, {"items"}),
        ({"items": None}, {"items"}),
        ({"items": {"0": contact("a@example.com")}}, {"items"}),
        ({"endpoint": "contacts/tags"}, {"endpoint"}),
        ({"endpoint": None}, {"endpoint"}),
        ({"method": "PATCH"}, {"method"}),
        ({"method": "PUT"}, {"method"}),
        ({"method": None, "endpoint": "x", "items": []}, {"method", "endpoint", "items"}),
    ],
)
async def test_a_wrong_envelope_is_refused_at_once(
    omnisend: Omnisend, envelope: dict[str, Any], fields: set[str]
) -> None:
    body = {"method": "POST", "endpoint": "contacts", "items": contacts(1)} | envelope
    assert failed_fields(await omnisend.api.post("/batches", json=body)) == fields
    assert (await omnisend.get("/batches", endpoint="contacts"))["batches"] == []


async def test_an_envelope_that_is_no_object_is_refused(omnisend: Omnisend) -> None:
    assert (await omnisend.api.post("/batches", json=contacts(1))).status_code == 400


async def test_bad_items_are_taken_in_and_fail_when_their_turn_comes(omnisend: Omnisend) -> None:
    bad = contact("bob@example.com")
    bad["identifiers"][0]["channels"] = {}
    batch = await omnisend.post_batch([contact("ann@example.com"), bad, "nonsense", contact("cid@example.com")])
    await omnisend.advance(DELAY)
    assert counters(await omnisend.batch(batch)) == ("finished", 4, 4, 2)
    assert set(await omnisend.stored()) == {"ann@example.com", "cid@example.com"}


async def test_items_upsert_like_the_single_call(omnisend: Omnisend) -> None:
    await omnisend.upsert(
        "person0@example.com", status="subscribed", at="2026-01-01T00:00:00Z", customProperties={"a": 1, "b": 2}
    )
    await omnisend.post_batch(contacts(1, firstName="Ann", customProperties={"b": "", "c": True}))
    await omnisend.advance(DELAY)
    shown = await omnisend.find("person0@example.com")
    assert shown is not None
    assert (shown["status"], shown["firstName"]) == ("subscribed", "Ann")
    assert shown["customProperties"] == {"a": 1, "c": True}


@pytest.mark.parametrize("endpoint", ["products", "events", "categories"])
async def test_other_endpoints_are_taken_and_touch_no_contact(omnisend: Omnisend, endpoint: str) -> None:
    body = {"method": "POST", "endpoint": endpoint, "items": contacts(1)}
    answer = await omnisend.api.post("/batches", json=body)
    assert answer.status_code == 201
    await omnisend.advance(DELAY)
    assert counters(await omnisend.batch(answer.json()["batchID"])) == ("finished", 1, 1, 0)
    assert await omnisend.stored() == {}


# Its life


async def test_a_batch_goes_from_pending_through_in_progress_to_finished(omnisend: Omnisend) -> None:
    batch = await omnisend.post_batch(contacts(10))
    taken = await omnisend.batch(batch)
    assert counters(taken) == ("pending", 10, 0, 0)
    assert "startedAt" not in taken
    await omnisend.advance(DELAY / 2 + 4.5)
    working = await omnisend.batch(batch)
    assert counters(working) == ("inProgress", 10, 4, 0)
    assert "startedAt" in working
    assert "endedAt" not in working
    await omnisend.advance(DELAY)
    done = await omnisend.batch(batch)
    assert counters(done) == ("finished", 10, 10, 0)
    assert done["createdAt"] < done["startedAt"] < done["endedAt"]
    assert (done["batchID"], done["method"], done["endpoint"]) == (batch, "POST", "contacts")
    assert done["eventID"] == ""


async def test_nothing_of_an_item_is_visible_before_its_turn(omnisend: Omnisend) -> None:
    batch = await omnisend.post_batch(contacts(10))
    for step in range(12):
        shown = await omnisend.batch(batch)
        visible = (await omnisend.get("/contacts"))["contacts"]
        assert len(visible) == len(await omnisend.stored()) == shown["finishedCount"]
        assert len((await omnisend.items(batch))["responses"]) == shown["finishedCount"]
        await omnisend.advance(DELAY / 2 + 0.5 if step == 0 else 1)
    assert shown["finishedCount"] == 10


async def test_open_batches_run_side_by_side(omnisend: Omnisend) -> None:
    first = await omnisend.post_batch(contacts(10))
    await omnisend.advance(2)
    second = await omnisend.post_batch(contacts(5))
    await omnisend.advance(DELAY / 2 + 2.5)
    assert (await omnisend.batch(first))["finishedCount"] == 4
    assert (await omnisend.batch(second))["finishedCount"] == 1


async def test_of_two_open_batches_with_one_email_the_later_item_wins(omnisend: Omnisend) -> None:
    await omnisend.post_batch([contact("ann@example.com", city="Ulm"), *contacts(99)])
    await omnisend.post_batch([*contacts(99), contact("ann@example.com", city="Bonn")])
    await omnisend.advance(DELAY)
    shown = await omnisend.find("ann@example.com")
    assert shown is not None
    assert shown["city"] == "Bonn"


async def test_the_times_of_a_contact_are_those_of_its_turn(omnisend: Omnisend) -> None:
    await omnisend.post_batch(contacts(10))
    await omnisend.advance(10 * DELAY)  # seen late, but done in time
    times = [entry["updatedAt"] for entry in (await omnisend.stored()).values()]
    assert len(set(times)) == 10


async def test_a_batch_without_delay_is_finished_at_the_next_look() -> None:
    async with omnisend_process("--batch-delay", "0", *STILL) as omnisend:
        batch = await omnisend.post_batch(contacts(100))
        assert counters(await omnisend.batch(batch)) == ("finished", 100, 100, 0)
        assert len(await omnisend.stored()) == 100


async def test_an_unknown_batch_is_a_404(omnisend: Omnisend) -> None:
    for path in ("/batches/unknown", f"/batches/{'0' * 24}", f"/batches/{'0' * 24}/items"):
        assert (await omnisend.api.get(path)).status_code == 404


async def test_after_seven_days_a_batch_is_gone(omnisend: Omnisend) -> None:
    batch = await omnisend.post_batch(contacts(1))
    await omnisend.advance(7 * DAY - 1)
    assert (await omnisend.batch(batch))["status"] == "finished"
    await omnisend.advance(2)
    assert (await omnisend.api.get(f"/batches/{batch}")).status_code == 404
    assert (await omnisend.api.get(f"/batches/{batch}/items")).status_code == 404
    assert (await omnisend.get("/batches", endpoint="contacts"))["batches"] == []
    assert len(await omnisend.stored()) == 1


# Its items


async def test_items_tell_successes_from_errors_and_echo_the_request(omnisend: Omnisend) -> None:
    bad = contact("not an address", firstName="Bob")
    good = contact("ann@example.com", firstName="Änn", customProperties={"n": 1})
    batch = await omnisend.post_batch([bad, good])
    await omnisend.advance(DELAY)
    shown = await omnisend.items(batch)
    assert counters(shown) == ("finished", 2, 2, 1)
    [response], [error] = shown["responses"], shown["errors"]
    assert response["request"] == good
    assert error["request"] == bad
    assert response["responseCode"] == 201
    assert response["response"] == await omnisend.find("ann@example.com")
    assert error["responseCode"] == 400
    assert error["response"]["errors"][0]["field"] == "identifiers.0.id"
    assert {"itemID", "status"} <= response.keys() & error.keys()


async def test_items_come_shuffled_with_ids_that_tell_nothing(omnisend: Omnisend) -> None:
    batch = await omnisend.post_batch(contacts(50))
    await omnisend.advance(DELAY)
    responses = (await omnisend.items(batch))["responses"]
    sent = [item["identifiers"][0]["id"] for item in contacts(50)]
    assert sorted(map(email_of, responses)) == sorted(sent)
    assert [email_of(entry) for entry in responses] != sent
    ids = [entry["itemID"] for entry in responses]
    assert len(set(ids)) == 50
    assert ids != sorted(ids)


async def test_the_response_is_the_contact_as_it_was_then(omnisend: Omnisend) -> None:
    batch = await omnisend.post_batch([contact("ann@example.com", city="Ulm")])
    await omnisend.advance(DELAY)
    await omnisend.upsert("ann@example.com", city="Bonn")
    [response] = (await omnisend.items(batch))["responses"]
    assert response["response"]["city"] == "Ulm"


# The list


async def test_the_list_needs_an_endpoint(omnisend: Omnisend) -> None:
    assert failed_fields(await omnisend.api.get("/batches")) == {"endpoint"}
    assert failed_fields(await omnisend.api.get("/batches?endpoint=categories")) == {"endpoint"}


async def test_the_list_pages_by_offset_with_urls(omnisend: Omnisend) -> None:
    posted = [await omnisend.post_batch(contacts(1)) for _ in range(5)]
    page = await omnisend.get("/batches", endpoint="contacts", limit=2)
    assert page["paging"] | {"next": None} == {"limit": 2, "offset": 0, "next": None, "previous": None}
    seen = [batch["batchID"] for batch in page["batches"]]
    while page["paging"]["next"]:
        url = page["paging"]["next"]
        assert url.startswith(omnisend.started["url"] + "/batches?")
        previous = page
        page = await omnisend.get(url)
        assert len((await omnisend.get(page["paging"]["previous"]))["batches"]) == len(previous["batches"])
        seen += [batch["batchID"] for batch in page["batches"]]
    assert seen == posted[::-1]


async def test_one_call_shows_the_counters_of_many_batches(omnisend: Omnisend) -> None:
    posted = {await omnisend.post_batch(contacts(2)) for _ in range(120)}
    await omnisend.advance(DELAY)
    page = await omnisend.get("/batches", endpoint="contacts", limit=250)
    assert {batch["batchID"] for batch in page["batches"]} == posted
    assert {counters(batch) for batch in page["batches"]} == {("finished", 2, 2, 0)}


async def test_the_list_can_be_narrowed_to_a_status_and_to_days(omnisend: Omnisend) -> None:
    old = await omnisend.post_batch(contacts(1))
    await omnisend.advance(2 * DAY)
    new = await omnisend.post_batch(contacts(1))
    day = (await omnisend.batch(new))["createdAt"][:10]
    before = (await omnisend.batch(old))["createdAt"][:10]

    async def listed(**query: str) -> list[str]:
        page = await omnisend.get("/batches", endpoint="contacts", **query)
        return [batch["batchID"] for batch in page["batches"]]

    assert await listed(status="pending") == [new]
    assert await listed(status="finished") == [old]
    assert await listed(dateFrom=day) == [new]
    assert await listed(dateTo=before) == [old]
    assert await listed(dateFrom=before, dateTo=day) == [new, old]
    assert (await omnisend.get("/batches", endpoint="products"))["batches"] == []


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=251", "offset=-1", "status=done", "dateFrom=1.1.2026", "dateTo=2026-02-30"]
)
async def test_a_list_request_that_makes_no_sense_is_a_400(omnisend: Omnisend, query: str) -> None:
    assert (await omnisend.api.get(f"/batches?endpoint=contacts&{query}")).status_code == 400


async def test_a_batch_cannot_be_cancelled(omnisend: Omnisend) -> None:
    batch = await omnisend.post_batch(contacts(1))
    assert (await omnisend.api.delete(f"/batches/{batch}")).status_code == httpx.codes.NOT_FOUND
