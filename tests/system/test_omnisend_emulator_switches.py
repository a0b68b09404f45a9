"""Every switch for what is not known, at every value. Reference: omnisend-api.md §13, last paragraph, and §6.1.

A probe looks at one thing that a switch decides; the table says what it must see under each value.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from bot.sandbox.omnisend.assumptions import SWITCHES, TABLE
from tests.system.omnisend_emulator_client import (
    STILL,
    Omnisend,
    bool_rule,
    contact,
    contacts,
    omnisend_process,
)

LIMIT = 70

Probe = Callable[[Omnisend], Awaitable[Any]]


@pytest.fixture(scope="module")
async def process() -> AsyncIterator[Omnisend]:
    async with omnisend_process("--rate-limit", str(LIMIT), *STILL) as omnisend:
        yield omnisend


@pytest.fixture
async def omnisend(process: Omnisend) -> Omnisend:
    await process.set("/reset")
    return process


async def finished(omnisend: Omnisend, items: list[Any], **more: Any) -> dict[str, Any]:
    """A batch with its items, once it is over whatever the delay."""
    batch = await omnisend.post_batch(items, **more)
    await omnisend.advance(86_400)
    return await omnisend.items(batch)


async def retry_after_in_the_body(omnisend: Omnisend) -> bool:
    await omnisend.fault("429")
    return "retryAfter" in (await omnisend.api.get("/contacts")).json()


async def retry_after_in_a_header(omnisend: Omnisend) -> bool:
    await omnisend.fault("429")
    return "Retry-After" in (await omnisend.api.get("/contacts")).headers


async def code_of_another_endpoint_when_one_is_used_up(omnisend: Omnisend) -> int:
    for _ in range(LIMIT):
        await omnisend.get("/brands/current")
    return (await omnisend.api.get("/contacts")).status_code


async def code_of_untagging_when_tagging_is_used_up(omnisend: Omnisend) -> int:
    body = {"tags": ["x"], "emails": ["a@example.com"]}
    for _ in range(60):
        assert (await omnisend.api.post("/contacts/tags", json=body)).status_code == 202
    return (await omnisend.api.request("DELETE", "/contacts/tags", json=body)).status_code


async def codes_of_created_and_updated_items(omnisend: Omnisend) -> list[int]:
    shown = [await finished(omnisend, contacts(1)) for _ in range(2)]
    return [entry["responseCode"] for batch in shown for entry in batch["responses"]]


async def keys_of_an_item_response(omnisend: Omnisend) -> set[str]:
    [entry] = (await finished(omnisend, contacts(1)))["responses"]
    return {"id", "contactID", "customProperties"} & set(entry["response"])


async def form_of_an_item_error(omnisend: Omnisend) -> str:
    item = contact("ann@example.com")
    item["identifiers"][0]["channels"] = {}
    [entry] = (await finished(omnisend, [item]))["errors"]
    assert entry["responseCode"] == 400
    assert "Provide email channel for email identifier" in str(entry["response"])
    match entry["response"]:
        case str():
            return "text"
        case {"error": str(), "fields": {"0": [str()]}}:
            return "v3"
        case {"type": str(), "status": 400, "errors": [{"field": "identifiers.0.channels"}]}:
            return "problem"
    raise AssertionError(entry)


async def path_of_a_failed_field(omnisend: Omnisend) -> str:
    field: str = (await omnisend.api.post("/contacts", json=contact("x"))).json()["errors"][0]["field"]
    return field


async def responses_of_a_batch_with_one_error_in_three(omnisend: Omnisend) -> int:
    shown = await finished(omnisend, [contact("x"), *contacts(2)])
    assert len(shown["errors"]) == 1
    return len(shown["responses"])


async def dates_of_a_pending_batch(omnisend: Omnisend) -> list[Any]:
    shown = await omnisend.batch(await omnisend.post_batch(contacts(1)))
    assert shown["status"] == "pending"
    return [shown.get(name, "absent") for name in ("startedAt", "endedAt")]


async def tags_after_a_batch_brings_others(omnisend: Omnisend) -> set[str]:
    await omnisend.upsert("person0@example.com", tags=["old"])
    await finished(omnisend, contacts(1, tags=["new"]))
    shown = await omnisend.find("person0@example.com")
    assert shown is not None
    return set(shown["tags"])


async def state_of_a_batch_with_many_errors(omnisend: Omnisend) -> tuple[str, int, int]:
    shown = await finished(omnisend, [*[contact("x")] * 15, *contacts(5)])
    return shown["status"], shown["finishedCount"], shown["errorsCount"]


async def seconds_until_a_batch_is_finished(omnisend: Omnisend) -> int:
    batch = await omnisend.post_batch(contacts(1))
    waited = 0
    for until in (1, 2, 179, 180, 10_799, 10_800):
        await omnisend.advance(until - waited)
        waited = until
        if (await omnisend.batch(batch))["status"] == "finished":
            return waited
    raise AssertionError("never finished")


async def order_of_the_list(omnisend: Omnisend) -> str:
    posted = [await omnisend.post_batch(contacts(1)) for _ in range(2)]
    listed = [batch["batchID"] for batch in (await omnisend.get("/batches", endpoint="contacts"))["batches"]]
    return {tuple(posted): "oldest first", tuple(posted[::-1]): "newest first"}[tuple(listed)]


async def origin_of_a_batch(omnisend: Omnisend) -> str:
    origin: str = (await finished(omnisend, contacts(1), origin="run 7"))["origin"]
    return origin


async def whether_items_and_batches_keep_their_order(omnisend: Omnisend) -> tuple[bool, bool]:
    batches = [await omnisend.post_batch([contact(f"{n}-{m}@example.com") for m in range(5)]) for n in range(9)]
    await omnisend.advance(86_400)
    created = list(await omnisend.stored())
    within = all(
        [email for email in created if email.startswith(f"{n}-")] == [f"{n}-{m}@example.com" for m in range(5)]
        for n in range(9)
    )
    last = [max(created.index(f"{n}-{m}@example.com") for m in range(5)) for n in range(len(batches))]
    return within, last == sorted(last)


async def seconds_until_a_tag_shows(omnisend: Omnisend) -> int | None:
    await omnisend.upsert("ann@example.com")
    await omnisend.api.post("/contacts/tags", json={"tags": ["x"], "emails": ["ann@example.com"]})
    waited = 0
    for until in (1, 59, 60, 600):
        await omnisend.advance(until - waited)
        waited = until
        if (await omnisend.get("/contacts", tag="x"))["contacts"]:
            return waited
    return None


async def code_of_a_body_over_one_megabyte(omnisend: Omnisend) -> int:
    body = {"method": "POST", "endpoint": "contacts", "items": [contact("ann@example.com", unknown="x" * 1_000_000)]}
    return (await omnisend.api.post("/batches", json=body)).status_code


async def status_after_another_of_the_very_same_date(omnisend: Omnisend) -> str:
    await omnisend.upsert("ann@example.com", status="subscribed", at="2026-01-01T00:00:00Z")
    shown = await omnisend.upsert("ann@example.com", status="unsubscribed", at="2026-01-01T00:00:00Z")
    status: str = shown["status"]
    return status


async def code_and_properties_with_bad_ones_among_them(omnisend: Omnisend) -> tuple[int, list[str], int, int]:
    bad = {"with space": 1, "x" * 129: 1, "long": "x" * 2049, "nested": {"a": 1}, "mixed": ["a", 1], "good": 1}
    first = await omnisend.api.post("/contacts", json=contact("ann@example.com", customProperties=bad))
    many = {f"p{number}": number for number in range(201)}
    second = await omnisend.api.post("/contacts", json=contact("bob@example.com", customProperties=many))
    kept = (await omnisend.stored()).get("ann@example.com", {"customProperties": {}})["customProperties"]
    held = (await omnisend.stored()).get("bob@example.com", {"customProperties": {}})["customProperties"]
    return first.status_code, list(kept), second.status_code, len(held)


async def code_of_a_property_of_another_type(omnisend: Omnisend) -> int:
    await omnisend.upsert("ann@example.com", customProperties={"plan": "gold"})
    body = contact("bob@example.com", customProperties={"plan": True})
    return (await omnisend.api.post("/contacts", json=body)).status_code


async def codes_of_a_rule_before_and_after_its_property_is_known(omnisend: Omnisend) -> tuple[int, int]:
    body = {"name": "VIP", "conditionGroups": bool_rule("vip")}
    before = await omnisend.api.post("/segments", json=body)
    await omnisend.upsert("ann@example.com", customProperties={"vip": False})
    return before.status_code, (await omnisend.api.post("/segments", json=body)).status_code


async def counts_at_once_and_a_minute_later(omnisend: Omnisend) -> tuple[int, int]:
    await omnisend.upsert("ann@example.com", customProperties={"vip": True})
    answer = await omnisend.api.post("/segments", json={"name": "VIP", "conditionGroups": bool_rule("vip")})
    path = f"/segments/{answer.json()['segmentID']}/statistics"
    await omnisend.advance(59)
    before = (await omnisend.get(path))["contactsCount"]
    await omnisend.advance(1)
    return before, (await omnisend.get(path))["contactsCount"]


async def state_and_refusals_of_a_new_segment(omnisend: Omnisend) -> tuple[str, int, int, str]:
    body = {"name": "VIP", "conditionGroups": bool_rule("vip")}
    segment = (await omnisend.api.post("/segments", json=body)).json()
    path = f"/segments/{segment['segmentID']}"
    replaced = await omnisend.api.put(path, json=body)
    deleted = await omnisend.api.delete(path)
    if deleted.status_code == 204:
        return segment["status"], replaced.status_code, 204, "gone"
    await omnisend.advance(5)
    return segment["status"], replaced.status_code, deleted.status_code, (await omnisend.get(path))["status"]


SEEN: dict[str, tuple[Probe, dict[str, Any]]] = {
    "retry-after-body": (retry_after_in_the_body, {"on": True, "off": False}),
    "retry-after-header": (retry_after_in_a_header, {"off": False, "on": True}),
    "pots": (code_of_another_endpoint_when_one_is_used_up, {"one": 429, "per-endpoint": 200}),
    "tags-limit": (code_of_untagging_when_tagging_is_used_up, {"shared": 429, "separate": 202}),
    "item-code": (
        codes_of_created_and_updated_items,
        {"201": [201, 201], "200": [200, 200], "as-single": [201, 200]},
    ),
    "item-response": (keys_of_an_item_response, {"full": {"id", "customProperties"}, "v3": {"contactID"}}),
    "item-error": (form_of_an_item_error, {"problem": "problem", "v3": "v3", "text": "text"}),
    "error-path": (path_of_a_failed_field, {"dotted": "identifiers.0.id", "brackets": "identifiers[0].id"}),
    "responses": (responses_of_a_batch_with_one_error_in_three, {"successes": 2, "everything": 3}),
    "absent-dates": (
        dates_of_a_pending_batch,
        {"omitted": ["absent", "absent"], "empty": ["", ""], "null": [None, None]},
    ),
    "batch-tags": (tags_after_a_batch_brings_others, {"replace": {"new"}, "add": {"old", "new"}}),
    "stop-after-errors": (
        state_of_a_batch_with_many_errors,
        {"off": ("finished", 20, 15), "on": ("stopped", 10, 10)},
    ),
    "batch-delay": (seconds_until_a_batch_is_finished, {"seconds": 2, "minutes": 180, "hours": 10_800}),
    "batch-order": (order_of_the_list, {"newest-first": "newest first", "oldest-first": "oldest first"}),
    "origin": (origin_of_a_batch, {"dropped": "api", "kept": "run 7"}),
    "execution": (
        whether_items_and_batches_keep_their_order,
        {"in-order": (True, True), "shuffled": (False, False)},
    ),
    "tag-delay": (seconds_until_a_tag_shows, {"1s": 1, "60s": 60}),
    "tag-effect": (seconds_until_a_tag_shows, {"applied": 1, "lost": None}),
    "big-body": (code_of_a_body_over_one_megabyte, {"accepted": 201, "413": 413}),
    "equal-status-date": (
        status_after_another_of_the_very_same_date,
        {"keeps": "subscribed", "replaces": "unsubscribed"},
    ),
    "property-errors": (
        code_and_properties_with_bad_ones_among_them,
        {"refused": (400, [], 400, 0), "ignored": (201, ["good"], 201, 200)},
    ),
    "property-type-change": (code_of_a_property_of_another_type, {"accepted": 201, "refused": 400}),
    "segment-property": (
        codes_of_a_rule_before_and_after_its_property_is_known,
        {"free": (201, 201), "known-first": (400, 201)},
    ),
    "segment-statistics-lag": (counts_at_once_and_a_minute_later, {"0s": (1, 1), "60s": (0, 1)}),
    "segment-building": (
        state_and_refusals_of_a_new_segment,
        {"0s": ("ready", 200, 204, "gone"), "5s": ("building", 409, 409, "ready")},
    ),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in SWITCHES for value in SWITCHES[name]])
async def test_a_switch_decides_what_it_says(omnisend: Omnisend, name: str, value: str) -> None:
    probe, seen = SEEN[name]
    await omnisend.assume(name, value)
    assert await probe(omnisend) == seen[value]


@pytest.mark.parametrize("name", SWITCHES)
async def test_the_first_value_of_a_switch_is_in_force_from_the_start(omnisend: Omnisend, name: str) -> None:
    probe, seen = SEEN[name]
    assert await probe(omnisend) == seen[SWITCHES[name][0]]


def test_no_two_values_of_a_switch_look_alike() -> None:
    for name, values in SWITCHES.items():
        seen = list(SEEN[name][1].values())
        assert set(SEEN[name][1]) == set(values)
        assert all(seen.count(one) == 1 for one in seen), name


async def test_the_table_of_switches_can_be_read(omnisend: Omnisend) -> None:
    switches = (await omnisend.control.get("/assume")).json()["switches"]
    assert {name: tuple(entry["values"]) for name, entry in switches.items()} == dict(SWITCHES)
    assert all(entry["now"] == entry["values"][0] for entry in switches.values())
    assert all(switch.meaning for switch in TABLE.values())


@pytest.mark.parametrize("wrong", [{"colour": "red"}, {"pots": "two"}, {"pots": 1}, {"pots": "one", "x": "y"}])
async def test_a_switch_or_value_that_does_not_exist_is_refused_and_nothing_turned(
    omnisend: Omnisend, wrong: dict[str, Any]
) -> None:
    answer = await omnisend.control.post("/assume", json=wrong)
    assert answer.status_code == 400
    assert "There is no switch" in answer.text or "has no value" in answer.text
    switches = (await omnisend.control.get("/assume")).json()["switches"]
    assert all(entry["now"] == entry["values"][0] for entry in switches.values())


async def test_a_reset_puts_the_switches_back(omnisend: Omnisend) -> None:
    await omnisend.assume("origin", "kept")
    await omnisend.set("/reset")
    assert await origin_of_a_batch(omnisend) == "api"


async def test_order_of_tag_calls_is_not_kept_when_execution_is_shuffled(omnisend: Omnisend) -> None:
    await omnisend.assume("execution", "shuffled")
    for number in range(20):
        await omnisend.upsert(f"{number}@example.com")
        body = {"tags": ["x"], "emails": [f"{number}@example.com"]}
        await omnisend.api.post("/contacts/tags", json=body)
        await omnisend.api.request("DELETE", "/contacts/tags", json=body)
        await omnisend.advance(120)
    assert 0 < len((await omnisend.get("/contacts", tag="x"))["contacts"]) < 20
