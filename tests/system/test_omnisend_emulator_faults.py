"""Every fault that the emulator can do to a client. Reference: omnisend-api.md §4.2, §8, §9, §13."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from bot.sandbox.omnisend.faults import BATCH_KINDS, ITEM_KINDS, KINDS, REQUEST_KINDS
from tests.system.omnisend_emulator_client import STILL, Omnisend, contact, contacts, omnisend_process


@pytest.fixture(scope="module")
async def process() -> AsyncIterator[Omnisend]:
    async with omnisend_process("--rate-limit", "0", *STILL) as omnisend:
        yield omnisend


@pytest.fixture
async def omnisend(process: Omnisend) -> Omnisend:
    await process.set("/reset")
    return process


async def post(omnisend: Omnisend) -> httpx.Response:
    return await omnisend.api.post("/contacts", json=contact("ann@example.com"))


async def was_done(omnisend: Omnisend) -> bool:
    return "ann@example.com" in await omnisend.stored()


# Faults of requests


@pytest.mark.parametrize("code", [500, 503, 429])
async def test_an_error_code_is_a_problem_body_and_nothing_is_done(omnisend: Omnisend, code: int) -> None:
    await omnisend.fault(str(code))
    answer = await post(omnisend)
    assert answer.status_code == code
    assert answer.json()["status"] == code
    assert answer.json()["type"].startswith("https://problems.omnisend.com/")
    assert not await was_done(omnisend)


async def test_the_429_out_of_the_blue_says_how_long_to_wait(omnisend: Omnisend) -> None:
    await omnisend.fault("429")
    assert (await post(omnisend)).json()["retryAfter"] >= 1


async def test_drop_before_breaks_the_connection_with_nothing_done(omnisend: Omnisend) -> None:
    await omnisend.fault("drop-before")
    with pytest.raises(httpx.TransportError):
        await post(omnisend)
    assert not await was_done(omnisend)


async def test_drop_after_breaks_the_connection_with_the_work_done(omnisend: Omnisend) -> None:
    await omnisend.fault("drop-after")
    with pytest.raises(httpx.TransportError):
        await post(omnisend)
    assert await was_done(omnisend)


async def test_a_batch_whose_answer_was_lost_can_be_found_in_the_list(omnisend: Omnisend) -> None:
    await omnisend.fault("drop-after", method="POST", path="/batches")
    with pytest.raises(httpx.TransportError):
        await omnisend.post_batch(contacts(7))
    [batch] = (await omnisend.get("/batches", endpoint="contacts"))["batches"]
    assert batch["totalCount"] == 7


async def test_a_slow_answer_takes_virtual_time_and_the_work_is_done_at_once(omnisend: Omnisend) -> None:
    await omnisend.fault("slow")
    waiting = asyncio.create_task(post(omnisend))
    while not await was_done(omnisend):
        continue
    assert not waiting.done()
    await omnisend.advance(20)
    assert (await waiting).status_code == 201


async def test_html_is_a_gateway_page_with_or_without_the_work_done(omnisend: Omnisend) -> None:
    await omnisend.fault("html")
    seen = set()
    for number in range(30):
        answer = await omnisend.api.post("/contacts", json=contact(f"{number}@example.com"))
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.text.startswith("<html>")
        seen.add((answer.status_code, f"{number}@example.com" in await omnisend.stored()))
    assert seen == {(502, False), (524, True)}


@pytest.mark.parametrize("kind", ["drop-after", "html"])
async def test_work_that_the_service_would_refuse_is_not_done_under_a_fault(omnisend: Omnisend, kind: str) -> None:
    await omnisend.fault(kind)
    for _ in range(5):
        try:
            await omnisend.api.post("/contacts", json=contact("no address"))
        except httpx.TransportError:
            continue
    assert await omnisend.stored() == {}


# Faults of batches


async def test_a_stopped_batch_leaves_the_remaining_items_untried_for_ever(omnisend: Omnisend) -> None:
    await omnisend.fault("stopped")
    batches = [await omnisend.post_batch([contact(f"{n}-{m}@example.com") for m in range(10)]) for n in range(9)]
    await omnisend.advance(60)
    tried = []
    for batch in batches:
        shown = await omnisend.items(batch)
        assert shown["status"] == "stopped"
        assert "endedAt" in shown
        assert len(shown["responses"]) == shown["finishedCount"] < 10
        assert shown["errorsCount"] == 0
        tried.append(shown["finishedCount"])
    assert len(set(tried)) > 1
    await omnisend.advance(86_400)
    assert len(await omnisend.stored()) == sum(tried)


async def test_a_stuck_batch_stays_in_progress_until_it_is_released(omnisend: Omnisend) -> None:
    await omnisend.fault("stuck")
    batch = await omnisend.post_batch(contacts(10))
    await omnisend.advance(86_400)
    stuck = await omnisend.batch(batch)
    assert stuck["status"] == "inProgress"
    assert len(await omnisend.stored()) == stuck["finishedCount"] < 10
    assert (await omnisend.set("/batches/release"))["released"] == [batch]
    assert (await omnisend.set("/batches/release"))["released"] == []
    await omnisend.advance(2)
    assert (await omnisend.batch(batch))["status"] == "finished"
    assert len(await omnisend.stored()) == 10


async def test_one_stuck_batch_can_be_released_and_the_others_not(omnisend: Omnisend) -> None:
    await omnisend.fault("stuck")
    first, second = await omnisend.post_batch(contacts(5)), await omnisend.post_batch(contacts(5))
    await omnisend.advance(10)
    await omnisend.set("/batches/release", batchID=second)
    await omnisend.advance(10)
    assert (await omnisend.batch(first))["status"] == "inProgress"
    assert (await omnisend.batch(second))["status"] == "finished"


async def test_a_vanished_batch_is_known_nowhere_and_its_items_are_done_or_not(omnisend: Omnisend) -> None:
    await omnisend.fault("vanished")
    for number in range(20):
        batch = await omnisend.post_batch([contact(f"{number}@example.com")])
        assert (await omnisend.api.get(f"/batches/{batch}")).status_code == 404
        assert (await omnisend.api.get(f"/batches/{batch}/items")).status_code == 404
    await omnisend.advance(60)
    assert (await omnisend.get("/batches", endpoint="contacts"))["batches"] == []
    assert 0 < len(await omnisend.stored()) < 20
    listed = (await omnisend.control.get("/batches")).json()["batches"]
    assert {entry["fault"] for entry in listed} == {"vanished"}


# Faults of items


async def test_single_items_fail_and_do_not_harm_the_others(omnisend: Omnisend) -> None:
    await omnisend.fault("item-error", rate=0.3)
    batch = await omnisend.post_batch(contacts(100))
    await omnisend.advance(2)
    shown = await omnisend.items(batch)
    assert shown["status"] == "finished"
    assert 0 < len(shown["errors"]) == shown["errorsCount"] < 100
    assert {entry["responseCode"] for entry in shown["errors"]} == {400}
    failed = {entry["request"]["identifiers"][0]["id"] for entry in shown["errors"]}
    assert set(await omnisend.stored()) == {f"person{n}@example.com" for n in range(100)} - failed


@pytest.mark.parametrize(("form", "kind"), [("problem", dict), ("v3", dict), ("text", str)])
async def test_an_item_error_takes_the_form_of_the_switch(omnisend: Omnisend, form: str, kind: type) -> None:
    await omnisend.assume("item-error", form)
    await omnisend.fault("item-error")
    batch = await omnisend.post_batch(contacts(1))
    await omnisend.advance(2)
    [entry] = (await omnisend.items(batch))["errors"]
    assert isinstance(entry["response"], kind)


@pytest.mark.parametrize("code", [429, 503])
async def test_an_item_can_fail_with_a_code_that_is_worth_a_retry(omnisend: Omnisend, code: int) -> None:
    await omnisend.fault("item-error", code=code, times=1)
    batch = await omnisend.post_batch(contacts(2))
    await omnisend.advance(2)
    shown = await omnisend.items(batch)
    assert [entry["responseCode"] for entry in shown["errors"]] == [code]
    assert len(shown["responses"]) == 1


# All of them


STRIKES: dict[str, Callable[[Omnisend], Awaitable[object]]] = {
    **dict.fromkeys(REQUEST_KINDS, post),
    **dict.fromkeys((*BATCH_KINDS, *ITEM_KINDS), lambda omnisend: omnisend.post_batch(contacts(1))),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_fault_may_be_set_to_strike_a_number_of_times_and_is_counted(omnisend: Omnisend, kind: str) -> None:
    await omnisend.fault(kind, times=2)
    for _ in range(2):
        strike = asyncio.ensure_future(STRIKES[kind](omnisend))
        while not strike.done():
            await omnisend.advance(20)
        await asyncio.gather(strike, return_exceptions=True)
    await omnisend.advance(20)
    state = (await omnisend.control.get("/faults")).json()
    assert state["fired"] == {kind: 2}
    assert state["faults"] == []
    assert (await post(omnisend)).status_code in (200, 201)


async def test_a_fault_may_be_bound_to_one_operation(omnisend: Omnisend) -> None:
    await omnisend.fault("503", method="POST", path="/batches")
    assert (await post(omnisend)).status_code == 201
    assert (await omnisend.api.get("/batches?endpoint=contacts")).status_code == 200
    assert (await omnisend.api.post("/batches", json={})).status_code == 503


async def test_the_controls_have_no_faults(omnisend: Omnisend) -> None:
    await omnisend.fault("drop-before")
    for path in ("/contacts", "/stats", "/requests", "/faults"):
        assert (await omnisend.control.get(path)).status_code == 200


async def test_a_fault_needs_a_good_key_first(omnisend: Omnisend) -> None:
    await omnisend.fault("500")
    async with omnisend.with_key("wrong") as api:
        assert (await api.get("/contacts")).status_code == 401


@pytest.mark.parametrize(
    "wrong",
    [
        [{"kind": "meteor", "rate": 1}],
        [{"kind": "500", "rate": 2}],
        [{"kind": "500"}],
        [{"kind": "500", "rate": 1, "colour": "red"}],
        "500:1",
    ],
)
async def test_a_fault_that_cannot_be_is_refused(omnisend: Omnisend, wrong: object) -> None:
    answer = await omnisend.control.post("/faults", json={"faults": wrong})
    assert answer.status_code == 400
    assert answer.json()["error"]


async def codes(seed: int) -> list[int]:
    async with omnisend_process("--fault", "500:0.3", "--fault", "503:0.3", "--seed", str(seed)) as omnisend:
        first = [(await post(omnisend)).status_code for _ in range(30)]
        await omnisend.set("/reset")
        assert [(await post(omnisend)).status_code for _ in range(30)] == first
        return first


async def test_faults_repeat_with_the_seed() -> None:
    first, again, other = await codes(1), await codes(1), await codes(2)
    assert first == again != other
    assert {200, 500, 503} <= set(first)
