"""The emulator as a process, and its controls. Reference: omnisend-api.md §13; toolbox.md §12."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.system.omnisend_emulator_client import STILL, Omnisend, bool_rule, contact, contacts, omnisend_process


@pytest.fixture(scope="module")
async def process() -> AsyncIterator[Omnisend]:
    async with omnisend_process("--rate-limit", "0", *STILL) as omnisend:
        yield omnisend


@pytest.fixture
async def omnisend(process: Omnisend) -> Omnisend:
    await process.set("/reset")
    return process


async def control(omnisend: Omnisend, path: str, **query: Any) -> Any:
    answer = await omnisend.control.get(path, params=query or None)
    assert answer.status_code == 200, answer.text
    return answer.json()


# The process


async def ended(*arguments: str) -> tuple[int, str]:
    """Exit status and error output of an emulator that must end by itself."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.sandbox.omnisend", *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    _, errors = await asyncio.wait_for(process.communicate(b""), 20)
    assert process.returncode is not None
    return process.returncode, " ".join(errors.decode().replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--assume", "colour=red"), "There is no switch 'colour'"),
        (("--assume", "pots=two"), "Values: one, per-endpoint"),
        (("--assume", "pots"), "has no value"),
        (("--fault", "meteor:0.1"), "There is no fault 'meteor'"),
        (("--fault", "500:often"), "KIND:RATE"),
        (("--fault", "500:1.5"), "from 0 to 1"),
        (("--time-scale", "0"), "more than 0"),
        (("--batch-delay", "1", "--assume", "batch-delay=hours"), "not both"),
    ],
)
async def test_what_cannot_be_ends_with_status_2_and_a_clear_word(arguments: tuple[str, ...], complaint: str) -> None:
    status, errors = await ended(*arguments)
    assert status == 2
    assert complaint in errors


async def test_the_emulator_ends_when_its_input_does() -> None:
    status, errors = await ended()
    assert (status, errors) == (0, "")


async def test_the_first_line_says_all_a_client_needs(omnisend: Omnisend) -> None:
    assert omnisend.started["url"].startswith("http://127.0.0.1:")
    assert omnisend.started["url"].endswith("/api")
    assert omnisend.started["rate"] == "0/60"
    async with httpx.AsyncClient() as client:
        answer = await client.get(
            omnisend.started["url"] + "/brands/current",
            headers={"Authorization": f"Omnisend-API-Key {omnisend.started['key']}", "Omnisend-Version": "2026-03-15"},
        )
    assert answer.json()["brandID"] == omnisend.started["brandID"]


async def test_the_rate_is_that_of_real_time_and_switches_are_taken_from_the_command_line() -> None:
    arguments = ("--time-scale", "20", "--assume", "origin=kept", "--assume", "pots=per-endpoint")
    async with omnisend_process(*arguments) as omnisend:
        assert omnisend.started["rate"] == "400/3"
        switches = (await control(omnisend, "/assume"))["switches"]
        assert (switches["origin"]["now"], switches["pots"]["now"]) == ("kept", "per-endpoint")
        await omnisend.set("/reset")
        assert (await control(omnisend, "/assume"))["switches"]["origin"]["now"] == "kept"


# Contacts


async def test_all_contacts_come_as_lines_in_order_of_creation(omnisend: Omnisend) -> None:
    await omnisend.post_batch(contacts(100))
    await omnisend.post_batch([contact(f"more{number}@example.com") for number in range(100)])
    await omnisend.advance(2)
    await omnisend.post_batch(contacts(100, firstName="Änn", customProperties={"vip": True}))
    await omnisend.advance(2)
    answer = await omnisend.control.get("/contacts")
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert len(lines) == len({entry["email"] for entry in lines}) == 200
    named = [entry for entry in lines if entry.get("firstName")]
    assert len(named) == 100
    assert all(entry["customProperties"] == {"vip": True} for entry in named)
    assert all(entry["firstName"] == "Änn" for entry in named)


async def test_a_stored_contact_holds_no_empty_parts_and_its_history(omnisend: Omnisend) -> None:
    await omnisend.upsert("ann@example.com", firstName="Ann", lastName="")
    [stored] = (await omnisend.stored()).values()
    assert stored["firstName"] == "Ann"
    assert "lastName" not in stored
    [entry] = stored["statusHistory"]
    assert (entry["channel"], entry["status"]) == ("email", "nonSubscribed")
    assert entry["statusChangedAt"] == "1970-01-01T00:00:00Z"
    assert entry["appliedAt"] == stored["createdAt"]


async def test_contacts_can_be_searched_and_paged(omnisend: Omnisend) -> None:
    for name in ("Ann", "Bob", "客戶", "Änne"):
        await omnisend.upsert(f"{len(name)}{name.lower().encode().hex()}@example.com", firstName=name)
    page = await control(omnisend, "/contacts", format="json", limit=2, offset=1)
    assert page["total"] == 4
    assert [entry["firstName"] for entry in page["contacts"]] == ["Bob", "客戶"]
    for wanted, found in (("änn", ["Änne"]), ("客", ["客戶"]), ("example.com", ["Ann", "Bob", "客戶", "Änne"])):
        page = await control(omnisend, "/contacts", format="json", q=wanted)
        assert [entry["firstName"] for entry in page["contacts"]] == found
        assert page["total"] == len(found)
    assert (await control(omnisend, "/contacts", format="json", q="firstName"))["total"] == 0


async def test_a_contact_can_be_deleted_as_if_by_hand(omnisend: Omnisend) -> None:
    made = await omnisend.upsert("ann@example.com", tags=["x"], customProperties={"vip": True})
    await omnisend.set("/contacts/delete", email="ann@example.com")
    assert (await omnisend.api.get(f"/contacts/{made['id']}")).status_code == 404
    assert (await omnisend.get("/contacts"))["contacts"] == []
    assert (await omnisend.get("/contacts", tag="x"))["contacts"] == []
    assert (await omnisend.api.patch("/contacts?email=ann@example.com", json={})).status_code == 404
    again = await omnisend.upsert("ann@example.com")
    assert again["id"] != made["id"]
    assert again["customProperties"] is None
    answer = await omnisend.control.post("/contacts/delete", json={"email": "nobody@example.com"})
    assert answer.status_code == 400


async def test_contacts_are_listed_by_brand(omnisend: Omnisend) -> None:
    other = await omnisend.set("/keys", brand="Other")
    await omnisend.upsert("ann@example.com")
    async with omnisend.with_key(other["key"]) as api:
        await api.post("/contacts", json=contact("bob@example.com"))
    page = await control(omnisend, "/contacts", format="json", brand="Other")
    assert [entry["email"] for entry in page["contacts"]] == ["bob@example.com"]
    assert (await control(omnisend, "/contacts", format="json"))["total"] == 2
    assert (await omnisend.control.get("/contacts?brand=Nobody")).status_code == 400


# The rest


async def test_segments_show_their_true_count_whatever_the_lag(omnisend: Omnisend) -> None:
    await omnisend.assume("segment-statistics-lag", "60s")
    await omnisend.upsert("ann@example.com", customProperties={"vip": True})
    await omnisend.api.post("/segments", json={"name": "VIP", "conditionGroups": bool_rule("vip")})
    [segment] = (await control(omnisend, "/segments"))["segments"]
    assert (segment["name"], segment["members"]) == ("VIP", 1)


async def test_requests_are_logged_with_method_path_time_status_and_the_end_of_the_key(omnisend: Omnisend) -> None:
    await omnisend.get("/brands/current")
    await omnisend.advance(100)
    await omnisend.api.get("/contacts/unknown?x=1")
    await omnisend.fault("drop-before")
    with pytest.raises(httpx.TransportError):
        await omnisend.api.post("/batches", json={})
    log = await control(omnisend, "/requests")
    assert log["total"] == 3
    first, second, third = log["requests"]
    assert (first["method"], first["path"], first["status"]) == ("GET", "/api/brands/current", 200)
    assert first["key"] == omnisend.key[-4:]
    assert second["path"] == "/api/contacts/unknown?x=1"
    assert second["time"] - first["time"] == pytest.approx(100, abs=1)
    assert second["real_time"] - first["real_time"] < 100
    assert (third["status"], third["fault"]) == (None, "drop-before")
    assert (await control(omnisend, "/requests", since=2))["requests"] == [third]


async def test_stats_count_contacts_batches_items_and_answers(omnisend: Omnisend) -> None:
    await omnisend.post_batch([*contacts(3), contact("x")])
    await omnisend.advance(2)
    await omnisend.post_batch(contacts(1))
    stats = await control(omnisend, "/stats")
    [brand] = stats["brands"]
    assert (brand["contacts"], brand["segments"], brand["welcome_messages"]) == (3, 0, 0)
    assert brand["batches"] == {"finished": 1, "pending": 1}
    assert brand["items"] == {"succeeded": 3, "failed": 1}
    assert stats["requests_by_status"] == {"201": 2}
    assert stats["requests"] == 2


async def test_the_clock_goes_forward_only(omnisend: Omnisend) -> None:
    before = (await control(omnisend, "/clock"))["now"]
    after = (await omnisend.set("/clock", advance_seconds=3600))["now"]
    assert after - before == pytest.approx(3600, abs=1)
    for wrong in (-1, "1", None, True):
        answer = await omnisend.control.post("/clock", json={"advance_seconds": wrong})
        assert answer.status_code == 400


async def test_a_reset_drops_everything_but_the_key(omnisend: Omnisend) -> None:
    other = (await omnisend.set("/keys", brand="Other"))["key"]
    await omnisend.upsert("ann@example.com")
    await omnisend.post_batch(contacts(1))
    await omnisend.api.post("/segments", json={"name": "VIP", "conditionGroups": bool_rule("vip")})
    await omnisend.fault("500")
    await omnisend.set("/keys/revoke")
    assert (await omnisend.set("/reset"))["key"] == omnisend.key
    assert (await omnisend.get("/brands/current"))["brandID"] == omnisend.started["brandID"]
    assert (await omnisend.get("/contacts"))["contacts"] == []
    assert (await omnisend.get("/batches", endpoint="contacts"))["batches"] == []
    assert (await omnisend.get("/segments"))["segments"] == []
    assert len((await control(omnisend, "/keys"))["keys"]) == 1
    async with omnisend.with_key(other) as api:
        assert (await api.get("/contacts")).status_code == 401


async def test_ids_begin_with_a_time_so_that_a_restarted_emulator_gives_out_no_old_ones(omnisend: Omnisend) -> None:
    begun = int((await control(omnisend, "/clock"))["now"])
    contact_id = (await omnisend.upsert("ann@example.com"))["id"]
    await omnisend.advance(1000)
    batch_id = await omnisend.post_batch(contacts(1))
    assert int(contact_id[:8], 16) == begun
    assert int(batch_id[:8], 16) == begun + 1000


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/keys", {"scopes": ["contacts.fly"]}),
        ("/keys/revoke", {"key": "unknown"}),
        ("/contacts/delete", {"email": "a@example.com", "brand": "Nobody"}),
        ("/clock", []),
    ],
)
async def test_a_control_request_that_makes_no_sense_is_a_400_with_a_reason(
    omnisend: Omnisend, path: str, body: object
) -> None:
    answer = await omnisend.control.post(path, json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
