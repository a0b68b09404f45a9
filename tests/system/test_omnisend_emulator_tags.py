"""Tag calls. Reference: omnisend-api.md §5, §13 row 7."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.system.omnisend_emulator_client import (
    STILL,
    Omnisend,
    bool_rule,
    contact,
    failed_fields,
    omnisend_process,
)

DELAY = 1.0  # virtual seconds, the default of the switch `tag-delay`


@pytest.fixture(scope="module")
async def process() -> AsyncIterator[Omnisend]:
    async with omnisend_process("--rate-limit", "0", *STILL) as omnisend:
        yield omnisend


@pytest.fixture
async def omnisend(process: Omnisend) -> Omnisend:
    await process.set("/reset")
    return process


async def tag(omnisend: Omnisend, method: str = "POST", **body: Any) -> None:
    answer = await omnisend.api.request(method, "/contacts/tags", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.content == b""
    await omnisend.advance(DELAY)


async def tags_of(omnisend: Omnisend, email: str) -> list[str]:
    found = await omnisend.find(email)
    assert found is not None
    tags: list[str] = found["tags"]
    return tags


async def test_tags_are_added_and_removed_beside_others(omnisend: Omnisend) -> None:
    await omnisend.upsert("ann@example.com", tags=["source: shop"])
    await tag(omnisend, tags=["VIP", "new"], emails=["ann@example.com"])
    assert await tags_of(omnisend, "ann@example.com") == ["source: shop", "VIP", "new"]
    await tag(omnisend, "DELETE", tags=["VIP", "never there"], emails=["ann@example.com"])
    assert await tags_of(omnisend, "ann@example.com") == ["source: shop", "new"]


async def test_the_effect_comes_later(omnisend: Omnisend) -> None:
    await omnisend.upsert("ann@example.com")
    answer = await omnisend.api.post("/contacts/tags", json={"tags": ["VIP"], "emails": ["ann@example.com"]})
    assert answer.status_code == 202
    assert await tags_of(omnisend, "ann@example.com") == []
    await omnisend.advance(DELAY)
    assert await tags_of(omnisend, "ann@example.com") == ["VIP"]


async def test_repeating_a_call_changes_nothing(omnisend: Omnisend) -> None:
    await omnisend.upsert("ann@example.com", tags=["VIP"])
    before = await omnisend.find("ann@example.com")
    await tag(omnisend, tags=["VIP"], emails=["ann@example.com"])
    assert await omnisend.find("ann@example.com") == before


async def test_unknown_contacts_are_passed_over_in_silence(omnisend: Omnisend) -> None:
    await omnisend.upsert("ann@example.com")
    await tag(
        omnisend,
        tags=["VIP"],
        emails=["nobody@example.com", "ann@example.com", "ANN@example.com"],
        phones=["+4915112345678"],
        contactIDs=["0" * 24, "nonsense"],
    )
    assert {email: entry["tags"] for email, entry in (await omnisend.stored()).items()} == {"ann@example.com": ["VIP"]}


async def test_a_tag_on_an_address_whose_batch_is_still_open_hits_nobody(omnisend: Omnisend) -> None:
    await omnisend.post_batch([contact("ann@example.com")])
    await tag(omnisend, tags=["VIP"], emails=["ann@example.com"])
    await omnisend.advance(60)
    assert await tags_of(omnisend, "ann@example.com") == []


async def test_selectors_add_up(omnisend: Omnisend) -> None:
    ann = await omnisend.upsert("ann@example.com")
    await omnisend.upsert("bob@example.com")
    await omnisend.upsert("cid@example.com", customProperties={"vip": True})
    await omnisend.upsert("dan@example.com")
    segment = (await omnisend.api.post("/segments", json={"name": "v", "conditionGroups": bool_rule("vip")})).json()
    await tag(omnisend, tags=["x"], contactIDs=[ann["id"]], emails=["bob@example.com"], segmentID=segment["segmentID"])
    tagged = {email for email, entry in (await omnisend.stored()).items() if entry["tags"]}
    assert tagged == {"ann@example.com", "bob@example.com", "cid@example.com"}
    found = (await omnisend.get("/contacts", tag="x"))["contacts"]
    assert {entry["email"] for entry in found} == tagged


async def test_all_of_a_tag_can_be_removed_through_a_segment(omnisend: Omnisend) -> None:
    for name in ("ann", "bob"):
        await omnisend.upsert(f"{name}@example.com", tags=["x"])
    rule = {"property": "tags", "operator": "anyOf", "value": ["x"]}
    groups = [{"conditions": [{"entity": "contact", "junction": "and", "filters": [rule]}]}]
    segment = (await omnisend.api.post("/segments", json={"name": "x", "conditionGroups": groups})).json()
    await tag(omnisend, "DELETE", tags=["x"], segmentID=segment["segmentID"])
    assert [entry["tags"] for entry in (await omnisend.stored()).values()] == [[], []]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"emails": ["a@example.com"]}, "tags"),
        ({"tags": [], "emails": ["a@example.com"]}, "tags"),
        ({"tags": ["x"] * 101, "emails": ["a@example.com"]}, "tags"),
        ({"tags": [1], "emails": ["a@example.com"]}, "tags"),
        ({"tags": ["x"]}, "emails"),
        ({"tags": ["x"], "emails": []}, "emails"),
        ({"tags": ["x"], "emails": ["a@example.com"] * 251}, "emails"),
        ({"tags": ["x"], "contactIDs": ["1"] * 251}, "contactIDs"),
        ({"tags": ["x"], "phones": ["+4915112345678"] * 251}, "phones"),
        ({"tags": ["x"], "phones": ["0151 1234"]}, "phones.0"),
    ],
)
async def test_a_call_beyond_the_limits_is_a_400(
    omnisend: Omnisend, method: str, body: dict[str, Any], field: str
) -> None:
    assert failed_fields(await omnisend.api.request(method, "/contacts/tags", json=body)) == {field}


async def test_the_largest_call_is_taken(omnisend: Omnisend) -> None:
    await tag(omnisend, tags=["x"] * 100, emails=["a@example.com"] * 250, contactIDs=["1"] * 250)


async def test_an_unknown_segment_is_a_404(omnisend: Omnisend) -> None:
    answer = await omnisend.api.post("/contacts/tags", json={"tags": ["x"], "segmentID": "0" * 24})
    assert answer.status_code == 404
