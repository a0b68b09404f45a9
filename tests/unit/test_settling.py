"""What becomes of batches: settled by sweeps, by item where there are errors, found again where an answer was lost.

Reference: omnisend-api.md §4.2, §4.3, §4.4; toolbox.md §10.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.omnisend.errors import KeyRefused, ScopeMissing
from bot.pipeline.errors import GuardStopped, OmnisendAway
from bot.pipeline.settling import OpenBatch, Settler, StillUnknown, Tally, drain, settling
from storage.ledger import UNLIKE_ANYTHING
from storage.models import BatchKind, BatchState, Rejection, now
from tests.unit.pipeline_world import (
    BRAND,
    FakeBatch,
    Pipeline,
    counts,
    digest,
    email,
    pipeline,
    until,
)


@pytest.fixture
async def p(tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with pipeline(tmp_path) as made:
        yield made


async def under_way(p: Pipeline, *numbers: int, kind: BatchKind = BatchKind.UPSERT, new: bool = False) -> OpenBatch:
    """A batch that Omnisend took and is working on."""
    name = f"b{len(p.omnisend.batches)}"
    p.omnisend.batches[name] = FakeBatch(name, [email(number) for number in numbers])
    batch = await p.claim(numbers, kind=kind, omnisend_id=name, known=not new)
    if new:
        batch.new = frozenset(batch.payloads)
    return batch


def at_omnisend(p: Pipeline, batch: OpenBatch) -> FakeBatch:
    assert batch.row.omnisend_id is not None
    return p.omnisend.batches[batch.row.omnisend_id]


async def settle(p: Pipeline, *batches: OpenBatch, patience: float = 10) -> tuple[bool, Settler]:
    """Watch these batches until all is settled or patience is at its end."""
    settler = p.settler(run_id=p.run_id)
    async with settling(settler):
        for batch in batches:
            assert batch.row.omnisend_id is not None
            await settler.watch(batch, batch.row.omnisend_id)
        return await settler.settle_all(patience), settler


# --- settled by the list


async def test_finished_batches_without_errors_are_settled_from_the_list_alone(p: Pipeline) -> None:
    batches = [await under_way(p, 2 * n, 2 * n + 1, new=n == 0) for n in range(3)]
    for batch in batches:
        at_omnisend(p, batch).finish()

    all_settled, settler = await settle(p, *batches)

    assert all_settled
    assert counts(settler.tally) == (2, 4, 0, 0)
    assert await p.states() == [BatchState.CONFIRMED] * 3
    assert set(p.omnisend.asked) == {"GET /batches"}


@pytest.mark.parametrize("status", ["pending", "inProgress", "a word not known yet"])
async def test_a_batch_that_is_not_final_stays_open(p: Pipeline, status: str) -> None:
    batch = await under_way(p, 1)
    at_omnisend(p, batch).finish(status)

    all_settled, settler = await settle(p, batch, patience=0.05)

    assert not all_settled
    assert settler.open_contacts == 1
    assert await p.states() == [BatchState.SUBMITTED]


async def test_a_batch_is_settled_once_it_has_ended(p: Pipeline) -> None:
    batch = await under_way(p, 1)

    def end_on_third_look() -> None:
        if p.omnisend.times_asked("GET /batches") == 3:
            at_omnisend(p, batch).finish()

    p.omnisend.on_list = end_on_third_look
    all_settled, _ = await settle(p, batch)

    assert all_settled
    assert p.omnisend.times_asked("GET /batches") == 3


async def test_the_list_is_asked_from_the_day_before_the_oldest_open_batch(p: Pipeline) -> None:
    batch = await under_way(p, 1)
    other = await under_way(p, 2)
    batch.row.claimed_at = now() - timedelta(days=5)
    for shown in p.omnisend.posted:
        shown.finish()

    await settle(p, other, batch)

    assert p.omnisend.since == [f"{now() - timedelta(days=6):%Y-%m-%d}"]


# --- items


async def test_rejected_items_keep_their_payload_and_reason_and_the_others_are_accepted(p: Pipeline) -> None:
    batch = await under_way(p, 1, 2, 3, new=True)
    at_omnisend(p, batch).finish(codes={email(2): 400})

    _, settler = await settle(p, batch)

    assert counts(settler.tally) == (2, 0, 0, 1)
    (rejection,) = await p.rejections()
    assert (rejection.digest, rejection.payload, rejection.detail) == (digest(2), b"payload", "No.")
    assert (rejection.run_id, rejection.email != b"") == (p.run_id, True)


@pytest.mark.parametrize("code", [408, 429, 500, 503])
async def test_items_that_may_pass_later_are_to_be_sent_again_and_are_no_rejects(p: Pipeline, code: int) -> None:
    batch = await under_way(p, 1, 2)
    at_omnisend(p, batch).finish(codes={email(2): code})

    _, settler = await settle(p, batch)

    assert (counts(settler.tally), settler.tally.again) == ((0, 1, 0, 0), [digest(2)])
    assert await p.rejections() == []
    assert (await p.ledger())[digest(2)] == UNLIKE_ANYTHING


@pytest.mark.parametrize(("code", "error"), [(401, KeyRefused), (403, ScopeMissing)])
async def test_items_refused_for_the_key_stop_everything(p: Pipeline, code: int, error: type[Exception]) -> None:
    batch = await under_way(p, 1, 2)
    at_omnisend(p, batch).finish(codes={email(2): code})

    with pytest.raises(error):
        await settle(p, batch)

    assert await p.rejections() == []
    assert (await p.ledger())[digest(2)] == UNLIKE_ANYTHING


async def test_what_a_stopped_batch_did_not_try_is_to_be_sent_again(p: Pipeline) -> None:
    batch = await under_way(p, 1, 2, 3)
    at_omnisend(p, batch).finish("stopped", tried=2, codes={email(1): 400})

    _, settler = await settle(p, batch)

    assert (counts(settler.tally), settler.tally.again) == ((0, 1, 0, 1), [digest(3)])


async def test_a_finished_batch_that_did_not_try_everything_is_looked_at_closely(p: Pipeline) -> None:
    batch = await under_way(p, 1, 2)
    at_omnisend(p, batch).finish(tried=1)

    _, settler = await settle(p, batch)

    assert settler.tally.again == [digest(2)]


async def test_items_of_others_in_the_echo_are_nobodys(p: Pipeline) -> None:
    batch = await under_way(p, 1)
    at_omnisend(p, batch).finish(codes={email(1): 500})
    at_omnisend(p, batch).codes["stranger@example.com"] = 400

    _, settler = await settle(p, batch)

    assert await p.rejections() == []
    assert settler.tally.again == [digest(1)]


async def test_a_confirmed_removal_is_counted_and_leaves_the_ledger(p: Pipeline) -> None:
    batch = await under_way(p, 1, 2, kind=BatchKind.REMOVAL)
    at_omnisend(p, batch).finish()

    _, settler = await settle(p, batch)

    assert counts(settler.tally) == (0, 0, 2, 0)
    assert await p.ledger() == {}


# --- vanished


async def test_a_batch_that_omnisend_does_not_know_any_more_is_in_doubt_and_to_be_sent_again(p: Pipeline) -> None:
    batch, other = await under_way(p, 1), await under_way(p, 2)
    at_omnisend(p, batch).hidden = True
    at_omnisend(p, other).finish()

    _, settler = await settle(p, batch, other)

    assert settler.tally.again == [digest(1)]
    assert await p.states() == [BatchState.IN_DOUBT, BatchState.CONFIRMED]


async def test_a_batch_missing_from_one_list_is_not_given_up(p: Pipeline) -> None:
    batch = await under_way(p, 1)
    shown = at_omnisend(p, batch)
    shown.finish()

    def hide_once() -> None:
        shown.hidden = p.omnisend.times_asked("GET /batches") == 1

    p.omnisend.on_list = hide_once
    all_settled, settler = await settle(p, batch)

    assert all_settled
    assert settler.tally.again == []
    assert "GET /batches/b0" not in p.omnisend.asked


async def test_a_batch_whose_items_are_gone_is_in_doubt(p: Pipeline) -> None:
    batch = await under_way(p, 1)
    shown = at_omnisend(p, batch)
    shown.finish(codes={email(1): 400})
    shown.items_gone = True

    _, settler = await settle(p, batch)

    assert settler.tally.again == [digest(1)]
    assert await p.states() == [BatchState.IN_DOUBT]


# --- outages, haste, the guard


async def test_an_outage_is_waited_out(p: Pipeline) -> None:
    batch = await under_way(p, 1)
    at_omnisend(p, batch).finish()

    def down_at_first() -> None:
        p.omnisend.listing = "down" if p.omnisend.times_asked("GET /batches") < 8 else "ok"

    p.omnisend.on_list = down_at_first
    all_settled, _ = await settle(p, batch)

    assert all_settled


async def test_an_outage_longer_than_allowed_ends_it(p: Pipeline) -> None:
    p.configure(outage_patience=60)
    batch = await under_way(p, 1)
    p.omnisend.listing = "down"

    with pytest.raises(OmnisendAway, match="1 minutes"):
        await settle(p, batch)

    assert p.clock.now > 60
    assert await p.states() == [BatchState.SUBMITTED]


async def test_haste_ends_the_wait_for_batches_that_do_not_settle(p: Pipeline) -> None:
    batch = await under_way(p, 1)
    settler = p.settler()
    async with settling(settler):
        await settler.watch(batch, "b0")
        waiting = asyncio.create_task(settler.settle_all(3_600))
        await until(lambda: p.omnisend.times_asked("GET /batches") > 0)
        settler.hasten(0.01)
        assert not await waiting


async def test_what_watches_the_tally_may_stop_everything(p: Pipeline) -> None:
    def judge(tally: Tally) -> None:
        if tally.rejected:
            raise GuardStopped(rejected=1, tried=1, reason="for a test")

    batch = await under_way(p, 1)
    at_omnisend(p, batch).finish(codes={email(1): 400})
    settler = p.settler(on_settled=judge)

    async def work() -> None:
        async with settling(settler):
            await settler.watch(batch, "b0")
            await settler.settle_all(10)

    with pytest.raises(GuardStopped):
        await work()

    assert len(await p.rejections()) == 1


async def test_who_stops_it_has_seen_all_that_is_written_down(p: Pipeline) -> None:
    def judge(tally: Tally) -> None:
        raise GuardStopped(rejected=1, tried=1, reason="for a test")

    batches = [await under_way(p, number) for number in range(3)]
    for batch in batches:
        at_omnisend(p, batch).finish()
    settler = p.settler(on_settled=judge)

    async def work() -> None:
        async with settling(settler):
            for number, batch in enumerate(batches):
                await settler.watch(batch, f"b{number}")
            await settler.settle_all(10)

    with pytest.raises(GuardStopped):
        await work()

    assert (await p.states()).count(BatchState.CONFIRMED) == settler.tally.changed == 3
    assert settler.open == []


async def test_nothing_is_asked_while_nothing_is_open(p: Pipeline) -> None:
    settler = p.settler()
    async with settling(settler):
        assert await settler.settle_all(10)
        assert await settler.settle_all(10)
        for _ in range(50):
            await asyncio.sleep(0)
    assert p.omnisend.asked == []


async def test_removals_by_single_calls_are_settled_at_once(p: Pipeline) -> None:
    batch = await p.claim([1, 2, 3], kind=BatchKind.PATCH, known=True)
    settler = p.settler()
    refusal = Rejection(team_id="T", book_id=batch.row.book_id, reason="omnisend", digest=digest(2), payload=b"payload")

    await settler.settle_patched(batch, [refusal], [digest(3)])

    assert (counts(settler.tally), settler.tally.again) == ((0, 0, 1, 1), [digest(3)])
    assert await p.ledger() == {digest(2): UNLIKE_ANYTHING, digest(3): UNLIKE_ANYTHING}


# --- batches whose answer was lost


async def look_for(p: Pipeline, batch: OpenBatch, grace: float = 5) -> str | None:
    settler = p.settler()
    async with settling(settler):
        return await settler.look_for(batch, grace)


async def test_a_lost_batch_is_found_by_the_echo_of_its_items(p: Pipeline) -> None:
    batch = await p.claim([1, 2])
    p.omnisend.batches["other"] = FakeBatch("other", [email(3), email(4)])
    p.omnisend.batches["ours"] = FakeBatch("ours", [email(1), email(2)])
    for shown in p.omnisend.posted:
        shown.finish()

    assert await look_for(p, batch) == "ours"


async def test_a_lost_batch_is_known_by_its_first_item_while_the_others_wait(p: Pipeline) -> None:
    batch = await p.claim([1, 2])
    p.omnisend.batches["ours"] = FakeBatch("ours", [email(1), email(2)])
    p.omnisend.batches["ours"].finish("inProgress", tried=1)

    assert await look_for(p, batch) == "ours"


async def test_a_lost_batch_that_does_not_turn_up_is_waited_for_and_then_surely_not_there(p: Pipeline) -> None:
    batch = await p.claim([1, 2])

    assert await look_for(p, batch, grace=20) is None
    assert p.clock.now >= 20


async def test_without_a_look_at_the_list_nothing_is_sure(p: Pipeline) -> None:
    p.configure(outage_patience=50)
    p.omnisend.listing = "down"
    with pytest.raises(OmnisendAway):
        await look_for(p, await p.claim([1]), grace=0)


async def test_a_batch_that_shows_no_items_yet_leaves_it_open_whether_it_is_ours(p: Pipeline) -> None:
    batch = await p.claim([1, 2])
    p.omnisend.batches["pending"] = FakeBatch("pending", [email(1), email(2)])

    def begin_late() -> None:
        if p.clock.now > 40:  # long after the grace
            p.omnisend.batches["pending"].finish("inProgress", tried=1)

    p.omnisend.on_list = begin_late
    assert await look_for(p, batch, grace=1) == "pending"


async def test_nobody_waits_for_ever_for_a_batch_that_shows_no_items(p: Pipeline) -> None:
    p.configure(settle_patience=0.02)
    batch = await p.claim([1, 2])
    p.omnisend.batches["pending"] = FakeBatch("pending", [email(1), email(2)])
    settler = p.settler()

    async with settling(settler):
        with pytest.raises(StillUnknown):
            await settler.look_for(batch, 0.01)

    assert settler.open == [batch]
    assert await p.states() == [BatchState.CLAIMED]


@pytest.mark.parametrize("unlike", ["size", "age"])
async def test_batches_of_another_size_or_age_are_not_even_asked_about(p: Pipeline, unlike: str) -> None:
    batch = await p.claim([1, 2])
    shown = FakeBatch("pending", [email(1)] if unlike == "size" else [email(1), email(2)])
    if unlike == "age":
        shown.created -= timedelta(hours=2)
    p.omnisend.batches["pending"] = shown

    assert await look_for(p, batch) is None
    assert "GET /batches/pending/items" not in p.omnisend.asked


async def test_a_batch_of_another_run_is_never_taken_for_the_lost_one(p: Pipeline) -> None:
    await under_way(p, 1, 2)
    p.omnisend.batches["b0"].finish("inProgress", tried=1)
    assert await look_for(p, await p.claim([1, 2], known=True)) is None


async def test_a_stranger_is_asked_about_once(p: Pipeline) -> None:
    p.omnisend.batches["other"] = FakeBatch("other", [email(8), email(9)])
    p.omnisend.batches["other"].finish()
    assert await look_for(p, await p.claim([1, 2]), grace=50) is None
    assert p.omnisend.times_asked("GET /batches/other/items") == 1


async def test_a_batch_seen_before_its_own_answer_was_lost_is_found_all_the_same(p: Pipeline) -> None:
    first, second = await p.claim([1, 2]), await p.claim([3, 4])
    p.omnisend.batches["second"] = FakeBatch("second", [email(3), email(4)])
    p.omnisend.batches["second"].finish()
    settler = p.settler()
    async with settling(settler):
        assert await settler.look_for(first, 5) is None  # it looked at the other, which nobody missed yet
        assert p.omnisend.times_asked("GET /batches/second/items") == 1
        assert await settler.look_for(second, 5) == "second"


async def test_haste_ends_the_search_and_leaves_the_batch_open(p: Pipeline) -> None:
    batch = await p.claim([1, 2])
    settler = p.settler()
    async with settling(settler):
        search = asyncio.create_task(settler.look_for(batch, 10**6))
        await until(lambda: p.omnisend.times_asked("GET /batches") > 0)
        settler.hasten(0)
        with pytest.raises(StillUnknown):
            await search
    assert settler.open_contacts == 2


# --- the drain


async def drained(p: Pipeline, *, quiet: float = 0) -> int:
    return await drain(p.settler(), BRAND, p.database, p.settings, quiet)


async def test_with_nothing_left_open_a_drain_asks_nothing(p: Pipeline) -> None:
    assert await drained(p) == 0
    assert p.omnisend.asked == []


async def test_what_an_earlier_run_left_under_way_is_settled(p: Pipeline) -> None:
    batch = await under_way(p, 1, 2)
    at_omnisend(p, batch).finish(codes={email(2): 400})
    assert await drained(p) == 0
    assert await p.states() == [BatchState.CONFIRMED]
    assert [rejection.digest for rejection in await p.rejections()] == [digest(2)]


async def test_a_batch_that_a_crash_left_without_an_id_is_found_and_settled(p: Pipeline) -> None:
    await p.claim([1, 2])
    p.omnisend.batches["ours"] = FakeBatch("ours", [email(1), email(2)])
    p.omnisend.batches["ours"].finish()
    assert await drained(p) == 0
    assert await p.states() == [BatchState.CONFIRMED]


async def test_a_batch_that_a_crash_kept_from_being_posted_is_in_doubt(p: Pipeline) -> None:
    await p.claim([1, 2])
    assert await drained(p) == 0
    assert await p.states() == [BatchState.IN_DOUBT]
    assert set(await p.ledger()) == {digest(1), digest(2)}


async def test_many_batches_that_a_crash_left_all_learn_their_fate(p: Pipeline) -> None:
    for number in range(0, 40, 2):
        await p.claim([number, number + 1])
    for number in range(0, 20, 2):
        name = f"n{number}"
        p.omnisend.batches[name] = FakeBatch(name, [email(number), email(number + 1)])
        p.omnisend.batches[name].finish()
    assert await drained(p) == 0
    assert sorted(await p.states()) == [BatchState.CONFIRMED] * 10 + [BatchState.IN_DOUBT] * 10


async def test_after_a_long_silence_nothing_more_can_turn_up(p: Pipeline) -> None:
    p.configure(lookup_grace=90)
    await p.claim([1, 2])
    await drained(p, quiet=100)
    assert p.clock.now < 10


async def test_removals_by_single_calls_that_a_crash_broke_off_are_in_doubt(p: Pipeline) -> None:
    await p.claim([1, 2], kind=BatchKind.PATCH, known=True)
    p.omnisend.batches["b"] = FakeBatch("b", [email(1), email(2)])
    p.omnisend.batches["b"].finish()
    await drained(p)
    assert await p.states() == [BatchState.IN_DOUBT]


async def test_what_is_still_under_way_after_the_drain_stays_open(p: Pipeline) -> None:
    p.configure(drain_patience=0.03)
    await under_way(p, 1, 2)
    await p.claim([3])
    p.omnisend.batches["x"] = FakeBatch("x", [email(3)])  # shows no items
    assert await drained(p, quiet=100) == 3
    assert await p.states() == [BatchState.SUBMITTED, BatchState.CLAIMED]


async def test_a_key_refused_during_the_drain_is_raised(p: Pipeline) -> None:
    batch = await under_way(p, 1, 2)
    at_omnisend(p, batch).finish(codes={email(2): 401})
    await p.claim([3])
    with pytest.raises(KeyRefused):
        await drained(p)
