"""Segments. Reference: omnisend-api.md §6.1."""

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


@pytest.fixture(scope="module")
async def process() -> AsyncIterator[Omnisend]:
    async with omnisend_process("--rate-limit", "0", *STILL) as omnisend:
        yield omnisend


@pytest.fixture
async def omnisend(process: Omnisend) -> Omnisend:
    await process.set("/reset")
    return process


def groups(*filters: dict[str, Any], junction: str = "and") -> list[dict[str, Any]]:
    return [{"conditions": [{"entity": "contact", "junction": junction, "filters": list(filters)}]}]


def custom(name: str, kind: str, operator: str, **more: Any) -> dict[str, Any]:
    return {"property": "custom", "name": name, "valueType": kind, "operator": operator, **more}


async def create(omnisend: Omnisend, rule: list[dict[str, Any]], name: str = "VIP") -> dict[str, Any]:
    answer = await omnisend.api.post("/segments", json={"name": name, "conditionGroups": rule})
    assert answer.status_code == 201, answer.text
    segment: dict[str, Any] = answer.json()
    return segment


async def count(omnisend: Omnisend, segment: dict[str, Any]) -> int:
    statistics = await omnisend.get(f"/segments/{segment['segmentID']}/statistics")
    assert statistics.keys() == {"contactsCount"}
    number: int = statistics["contactsCount"]
    return number


async def members(omnisend: Omnisend, segment: dict[str, Any], **query: Any) -> list[str]:
    page = await omnisend.get("/contacts", segmentID=segment["segmentID"], **query)
    return [entry["email"].partition("@")[0] for entry in page["contacts"]]


async def test_a_segment_is_made_and_shown(omnisend: Omnisend) -> None:
    segment = await create(omnisend, bool_rule("segment_vip"))
    assert len(segment["segmentID"]) == 24
    assert (segment["name"], segment["status"]) == ("VIP", "ready")
    assert segment["conditionGroups"] == bool_rule("segment_vip")
    assert segment["archivedAt"] is None
    assert {"isStarred", "createdAt", "updatedAt"} <= segment.keys()
    assert await omnisend.get(f"/segments/{segment['segmentID']}") == segment
    assert (await omnisend.get("/segments"))["segments"] == [segment]


async def test_members_are_those_for_whom_the_rule_holds_at_this_moment(omnisend: Omnisend) -> None:
    segment = await create(omnisend, bool_rule("vip"))
    assert await count(omnisend, segment) == 0
    for number in range(6):
        await omnisend.upsert(f"{number}@example.com", customProperties={"vip": number % 2 == 0})
    assert await count(omnisend, segment) == 3
    assert await members(omnisend, segment) == ["4", "2", "0"]
    await omnisend.upsert("2@example.com", customProperties={"vip": False})
    await omnisend.upsert("4@example.com", customProperties={"vip": ""})
    await omnisend.upsert("5@example.com", customProperties={"vip": True})
    assert await members(omnisend, segment) == ["5", "0"]
    assert await count(omnisend, segment) == 2


@pytest.mark.parametrize("value", ["true", 1, ["true"]])
async def test_only_the_truth_value_itself_counts_as_true(omnisend: Omnisend, value: Any) -> None:
    segment = await create(omnisend, bool_rule("vip"))
    await omnisend.upsert("ann@example.com", customProperties={"vip": True})
    await omnisend.upsert("ann@example.com", customProperties={"vip": value})
    assert await count(omnisend, segment) == 0
    assert await members(omnisend, segment) == []


async def test_a_rule_on_false_takes_the_false_and_not_the_absent(omnisend: Omnisend) -> None:
    segment = await create(omnisend, bool_rule("vip", False))
    await omnisend.upsert("no@example.com", customProperties={"vip": False})
    await omnisend.upsert("none@example.com")
    assert await members(omnisend, segment) == ["no"]


async def test_items_of_a_batch_become_members_when_their_turn_comes(omnisend: Omnisend) -> None:
    segment = await create(omnisend, bool_rule("vip"))
    await omnisend.post_batch([contact("ann@example.com", customProperties={"vip": True})])
    assert await count(omnisend, segment) == 0
    await omnisend.advance(2)
    assert await count(omnisend, segment) == 1


async def test_members_can_be_paged(omnisend: Omnisend) -> None:
    segment = await create(omnisend, bool_rule("vip"))
    for number in range(7):
        await omnisend.upsert(f"{number}@example.com", customProperties={"vip": number != 3})
    first = await omnisend.get("/contacts", segmentID=segment["segmentID"], limit=4)
    assert first["paging"]["hasMore"] is True
    after = first["paging"]["cursors"]["after"]
    assert await members(omnisend, segment, limit=4, after=after) == ["1", "0"]
    assert await members(omnisend, segment, sort="createdAt", direction="asc", limit=2) == ["0", "1"]
    await omnisend.upsert("0@example.com")
    assert await members(omnisend, segment, sort="updatedAt", limit=2) == ["0", "6"]


async def test_a_contact_shows_its_segments(omnisend: Omnisend) -> None:
    segment = await create(omnisend, bool_rule("vip"))
    await create(omnisend, bool_rule("other"))
    shown = await omnisend.upsert("ann@example.com", customProperties={"vip": True})
    assert shown["segments"] == [segment["segmentID"]]


async def test_deleted_contacts_are_no_members(omnisend: Omnisend) -> None:
    segment = await create(omnisend, bool_rule("vip"))
    await omnisend.upsert("ann@example.com", customProperties={"vip": True})
    await omnisend.set("/contacts/delete", email="ann@example.com")
    assert await count(omnisend, segment) == 0


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (groups(custom("plan", "text", "equals", value="gold")), {"ann"}),
        (groups(custom("plan", "text", "contains", value="l")), {"ann", "bob"}),
        (groups(custom("plan", "text", "doesNotExist")), {"cid"}),
        (groups(custom("orders", "number", "moreThan", value=3)), {"ann"}),
        (groups(custom("orders", "number", "between", valueFrom=1, valueTo=3)), {"bob"}),
        (groups(custom("seen", "date", "inTheLast", unit="days", value=7)), {"bob"}),
        (groups({"property": "tags", "operator": "anyOf", "value": ["x", "z"]}), {"ann"}),
        (groups({"property": "tags", "operator": "anyOf", "value": ["x"]}), {"ann"}),
        (groups({"property": "tags", "operator": "noneOf", "value": ["x"]}), {"bob", "cid"}),
        (groups({"property": "city", "operator": "equals", "value": "Ulm"}), {"ann", "cid"}),
        (
            groups(custom("plan", "text", "equals", value="gold"), custom("orders", "number", "equals", value=2)),
            set(),
        ),
        (
            groups(
                custom("plan", "text", "equals", value="gold"),
                custom("orders", "number", "equals", value=2),
                junction="or",
            ),
            {"ann", "bob"},
        ),
        (bool_rule("vip") + bool_rule("vip", False), {"ann", "bob"}),
        ([{"conditions": bool_rule("vip")[0]["conditions"] + bool_rule("vip", False)[0]["conditions"]}], set()),
    ],
)
async def test_rules_are_computed(omnisend: Omnisend, rule: list[dict[str, Any]], expected: set[str]) -> None:
    today = (await omnisend.control.get("/clock")).json()["time"][:10]
    await omnisend.upsert(
        "ann@example.com",
        city="Ulm",
        tags=["x", "y"],
        customProperties={"plan": "gold", "orders": 7, "vip": True, "seen": "2020-01-01"},
    )
    await omnisend.upsert(
        "bob@example.com", customProperties={"plan": "silver", "orders": 2, "vip": False, "seen": today}
    )
    await omnisend.upsert("cid@example.com", city="Ulm")
    segment = await create(omnisend, rule)
    assert set(await members(omnisend, segment)) == expected
    assert await count(omnisend, segment) == len(expected)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"conditionGroups": bool_rule("x")}, "name"),
        ({"name": "x" * 257, "conditionGroups": bool_rule("x")}, "name"),
        ({"name": "x"}, "conditionGroups"),
        ({"name": "x", "conditionGroups": []}, "conditionGroups"),
        ({"name": "x", "conditionGroups": [{"conditions": []}]}, "conditionGroups.0.conditions"),
        ({"name": "x", "conditionGroups": groups()}, "conditionGroups.0.conditions.0.filters"),
        (
            {"name": "x", "conditionGroups": groups(custom("", "bool", "equals", value=True))},
            "conditionGroups.0.conditions.0.filters.0.name",
        ),
        (
            {"name": "x", "conditionGroups": groups(custom("x", "boolean", "equals", value=True))},
            "conditionGroups.0.conditions.0.filters.0.valueType",
        ),
        (
            {"name": "x", "conditionGroups": groups(custom("x", "bool", "equals", value="true"))},
            "conditionGroups.0.conditions.0.filters.0.value",
        ),
        (
            {"name": "x", "conditionGroups": groups(custom("x", "bool", "is", value=True))},
            "conditionGroups.0.conditions.0.filters.0.operator",
        ),
        (
            {"name": "x", "conditionGroups": groups({"property": "x", "operator": "equals", "value": 1})},
            "conditionGroups.0.conditions.0.filters.0.property",
        ),
    ],
)
async def test_a_rule_that_makes_no_sense_is_a_400(omnisend: Omnisend, body: dict[str, Any], field: str) -> None:
    assert field in failed_fields(await omnisend.api.post("/segments", json=body))
    assert (await omnisend.get("/segments"))["segments"] == []


@pytest.mark.parametrize(("part", "value"), [("entity", "order"), ("junction", "xor"), ("entity", "event")])
async def test_a_condition_needs_a_known_entity_and_junction(omnisend: Omnisend, part: str, value: str) -> None:
    rule = bool_rule("x")
    rule[0]["conditions"][0][part] = value
    assert (await omnisend.api.post("/segments", json={"name": "x", "conditionGroups": rule})).status_code == 400


async def test_a_name_of_256_characters_in_any_script_is_taken(omnisend: Omnisend) -> None:
    assert (await create(omnisend, bool_rule("x"), "客" * 256))["name"] == "客" * 256


async def test_two_segments_may_have_one_name(omnisend: Omnisend) -> None:
    first, second = await create(omnisend, bool_rule("x")), await create(omnisend, bool_rule("y"))
    assert first["segmentID"] != second["segmentID"]


async def test_a_segment_is_replaced_whole(omnisend: Omnisend) -> None:
    await omnisend.upsert("ann@example.com", customProperties={"b": True})
    segment = await create(omnisend, bool_rule("a"))
    answer = await omnisend.api.put(
        f"/segments/{segment['segmentID']}", json={"name": "New", "conditionGroups": bool_rule("b")}
    )
    assert answer.status_code == 200
    assert answer.json()["name"] == "New"
    assert await count(omnisend, segment) == 1
    refused = await omnisend.api.put(f"/segments/{segment['segmentID']}", json={"name": "Half"})
    assert failed_fields(refused) == {"conditionGroups"}


async def test_a_deleted_segment_is_gone(omnisend: Omnisend) -> None:
    segment = await create(omnisend, bool_rule("a"))
    path = f"/segments/{segment['segmentID']}"
    answer = await omnisend.api.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await omnisend.api.get(path)).status_code == 404
    assert (await omnisend.api.get(f"{path}/statistics")).status_code == 404
    assert (await omnisend.api.delete(path)).status_code == 404
    assert (await omnisend.get("/segments"))["segments"] == []


async def test_the_list_pages_by_cursor(omnisend: Omnisend) -> None:
    for name in "cab":
        await create(omnisend, bool_rule("x"), name)

    async def names(**query: Any) -> list[str]:
        found, page = [], await omnisend.get("/segments", **query)
        while True:
            found += [segment["name"] for segment in page["segments"]]
            after = page["paging"]["cursors"]["after"]
            if not after:
                return found
            page = await omnisend.get("/segments", **query, after=after)

    assert await names(limit=1) == ["b", "a", "c"]
    assert await names(limit=2, sort="name", direction="asc") == ["a", "b", "c"]
    assert await names(sort="name") == ["c", "b", "a"]


@pytest.mark.parametrize("query", ["limit=51", "limit=0", "sort=updatedAt", "direction=asc", "after=a&before=b"])
async def test_a_list_request_that_makes_no_sense_is_a_400(omnisend: Omnisend, query: str) -> None:
    assert (await omnisend.api.get(f"/segments?{query}")).status_code == 400


async def test_the_list_shows_ten_unless_asked_for_more(omnisend: Omnisend) -> None:
    for number in range(12):
        await create(omnisend, bool_rule("x"), str(number))
    assert len((await omnisend.get("/segments"))["segments"]) == 10
    assert len((await omnisend.get("/segments", limit=50))["segments"]) == 12
