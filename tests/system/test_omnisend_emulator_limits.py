"""Rate limits. Reference: omnisend-api.md §7, §13 row 8."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.system.omnisend_emulator_client import STILL, Omnisend, bool_rule, contacts, omnisend_process

LIMIT = 130  # of everything together; below the real 400 to keep the tests short
TAG_BODY = {"tags": ["x"], "emails": ["a@example.com"]}


@pytest.fixture(scope="module")
async def process() -> AsyncIterator[Omnisend]:
    async with omnisend_process("--rate-limit", str(LIMIT), *STILL) as omnisend:
        yield omnisend


@pytest.fixture
async def omnisend(process: Omnisend) -> Omnisend:
    await process.set("/reset")
    return process


async def until_refused(api: httpx.AsyncClient, method: str, path: str, body: object = None) -> int:
    """How many of these requests go through before the first 429."""
    for count in range(LIMIT + 1):
        answer = await api.request(method, path, json=body)
        if answer.status_code == 429:
            return count
        assert answer.status_code < 300, answer.text
    raise AssertionError("never refused")


async def test_the_limit_is_one_pot_for_all_endpoints(omnisend: Omnisend) -> None:
    for _ in range(10):
        await omnisend.get("/batches", endpoint="contacts")
        await omnisend.post_batch(contacts(1))
    assert await until_refused(omnisend.api, "GET", "/brands/current") == LIMIT - 20
    assert (await omnisend.api.get("/batches?endpoint=contacts")).status_code == 429


async def test_the_window_slides_without_a_reset_moment(omnisend: Omnisend) -> None:
    for _ in range(LIMIT // 2):
        await omnisend.get("/contacts", limit=1)
    await omnisend.advance(40)
    assert await until_refused(omnisend.api, "GET", "/contacts?limit=1") == LIMIT - LIMIT // 2
    await omnisend.advance(19)
    assert (await omnisend.api.get("/contacts?limit=1")).status_code == 429
    await omnisend.advance(1)  # the first half is 60 seconds old, the second 20
    assert await until_refused(omnisend.api, "GET", "/contacts?limit=1") == LIMIT // 2
    await omnisend.advance(60)
    assert await until_refused(omnisend.api, "GET", "/contacts?limit=1") == LIMIT


async def test_all_keys_of_a_brand_count_together_and_brands_apart(omnisend: Omnisend) -> None:
    same = (await omnisend.set("/keys"))["key"]
    other = (await omnisend.set("/keys", brand="Other"))["key"]
    assert await until_refused(omnisend.api, "GET", "/brands/current") == LIMIT
    async with omnisend.with_key(same) as api:
        assert (await api.get("/brands/current")).status_code == 429
    async with omnisend.with_key(other) as api:
        assert (await api.get("/brands/current")).status_code == 200


async def test_tags_have_sixty_inside_the_limit_shared_by_both_methods(omnisend: Omnisend) -> None:
    for method in ("POST", "DELETE") * 10:
        assert (await omnisend.api.request(method, "/contacts/tags", json=TAG_BODY)).status_code == 202
    assert await until_refused(omnisend.api, "POST", "/contacts/tags", TAG_BODY) == 40
    assert (await omnisend.api.request("DELETE", "/contacts/tags", json=TAG_BODY)).status_code == 429
    assert await until_refused(omnisend.api, "GET", "/brands/current") == LIMIT - 60


async def test_segments_have_fifteen_writes_and_a_hundred_reads(omnisend: Omnisend) -> None:
    body = {"name": "x", "conditionGroups": bool_rule("x")}
    assert await until_refused(omnisend.api, "POST", "/segments", body) == 15
    [segment, *_] = (await omnisend.get("/segments"))["segments"]
    assert (await omnisend.api.put(f"/segments/{segment['segmentID']}", json=body)).status_code == 429
    assert (await omnisend.api.delete(f"/segments/{segment['segmentID']}")).status_code == 204
    assert await until_refused(omnisend.api, "GET", "/segments") == 98


async def test_the_refusal_is_a_problem_without_any_rate_header(omnisend: Omnisend) -> None:
    await until_refused(omnisend.api, "GET", "/brands/current")
    answer = await omnisend.api.get("/brands/current")
    problem = answer.json()
    assert problem["type"] == "https://problems.omnisend.com/rate-limit-exceeded"
    assert (problem["title"], problem["status"]) == ("Rate limit exceeded", 429)
    assert problem["instance"].startswith("urn:omnisend:request:")
    assert isinstance(problem["retryAfter"], int)
    for response in (answer, await omnisend.api.get("/contacts")):
        assert not [name for name in response.headers if "rate" in name.lower() or name.lower() == "retry-after"]


async def test_a_refused_request_does_nothing_and_does_not_count(omnisend: Omnisend) -> None:
    await until_refused(omnisend.api, "GET", "/brands/current")
    for _ in range(10):
        assert (await omnisend.api.post("/batches", json={})).status_code == 429
    await omnisend.advance(60)
    assert await until_refused(omnisend.api, "GET", "/brands/current") == LIMIT


async def test_a_request_without_a_key_counts_for_nobody(omnisend: Omnisend) -> None:
    async with omnisend.with_key("wrong") as api:
        for _ in range(10):
            assert (await api.get("/brands/current")).status_code == 401
    assert await until_refused(omnisend.api, "GET", "/brands/current") == LIMIT


async def test_the_wait_is_given_in_the_seconds_of_the_client() -> None:
    async with omnisend_process("--rate-limit", "1", "--time-scale", "0.5") as omnisend:
        assert omnisend.started["rate"] == "1/120"
        await omnisend.get("/brands/current")
        answer = await omnisend.api.get("/brands/current")
        assert 60 < answer.json()["retryAfter"] <= 120


async def test_without_a_limit_nothing_is_refused() -> None:
    async with omnisend_process("--rate-limit", "0", *STILL) as omnisend:
        for _ in range(61):
            assert (await omnisend.api.post("/contacts/tags", json=TAG_BODY)).status_code == 202
        for _ in range(16):
            body = {"name": "x", "conditionGroups": bool_rule("x")}
            assert (await omnisend.api.post("/segments", json=body)).status_code == 201


async def test_the_stats_tell_the_fullest_window(omnisend: Omnisend) -> None:
    for _ in range(5):
        await omnisend.get("/brands/current")
    await omnisend.advance(50)
    for _ in range(3):
        await omnisend.get("/brands/current")
    await omnisend.advance(20)
    [brand] = (await omnisend.control.get("/stats")).json()["brands"]
    assert brand["requests_per_minute"] == {
        "accepted_now": 3,
        "accepted_peak": 8,
        "offered_now": 3,
        "offered_peak": 8,
        "peaks": {"all": 8},
    }
    await omnisend.advance(60)
    assert await until_refused(omnisend.api, "GET", "/brands/current") == LIMIT
    [brand] = (await omnisend.control.get("/stats")).json()["brands"]
    assert brand["requests_per_minute"]["accepted_peak"] == LIMIT
    assert brand["requests_per_minute"]["offered_peak"] == LIMIT + 1
