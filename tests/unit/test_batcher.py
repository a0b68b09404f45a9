"""From changes to batches: claimed before they are posted, posted until Omnisend surely has them, and never too many.

Reference: omnisend-api.md §4.1, §4.5, §8; toolbox.md §10.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from bot.omnisend.contacts import MAX_BATCH_ITEMS
from bot.omnisend.errors import KeyRefused, Refused, TooLarge
from bot.pipeline.batcher import BRAKE_SECONDS, GUARD_MINIMUM, WORKERS, Batcher, judge
from bot.pipeline.errors import GuardStopped, OmnisendAway
from bot.pipeline.settling import Settler, Tally, settling
from storage.models import BatchState
from tests.unit.pipeline_world import (
    PROPERTIES,
    FakeBatch,
    Pipeline,
    changes,
    counts,
    digest,
    email,
    leavers,
    pipeline,
    until,
)

CONFIRMED, IN_DOUBT, CLAIMED = BatchState.CONFIRMED, BatchState.IN_DOUBT, BatchState.CLAIMED


@pytest.fixture
async def p(tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with pipeline(tmp_path) as made:
        yield made


async def send(p: Pipeline, count: int, *, canary: bool = False, op: str = "added") -> tuple[Settler, Batcher]:
    """Send so many contacts and wait until all is settled."""
    settler = p.settler(run_id=p.run_id)
    batcher = p.batcher(settler)
    async with settling(settler):
        await batcher.upsert(changes(range(count), op=op), canary=canary)
        await settler.settle_all(30)
    return settler, batcher


async def remove(p: Pipeline, numbers: Sequence[int], *, patch: bool) -> Settler:
    """Take contacts out and wait until all is settled."""
    settler = p.settler(run_id=p.run_id)
    batcher = p.batcher(settler)
    by = batcher.patch_removals if patch else batcher.remove
    async with settling(settler):
        await by(leavers(numbers), PROPERTIES, b"removal")
        await settler.settle_all(30)
    return settler


# --- claims and posts


async def test_contacts_go_out_in_digest_order_in_batches_of_a_hundred(p: Pipeline) -> None:
    settler, batcher = await send(p, 250)
    assert sorted(len(batch.emails) for batch in p.omnisend.posted) == [50, MAX_BATCH_ITEMS, MAX_BATCH_ITEMS]
    in_order = sorted(map(digest, range(250)))
    places = [[in_order.index(p_digest) for p_digest in map(_digest_of, b.emails)] for b in p.omnisend.posted]
    assert sorted(places) == [list(range(100)), list(range(100, 200)), list(range(200, 250))]
    assert counts(settler.tally) == (250, 0, 0, 0)
    assert (batcher.batches, await p.states()) == (3, [CONFIRMED] * 3)


def _digest_of(address: str) -> bytes:
    return digest(int(address.removeprefix("person").partition("@")[0]))


async def test_a_batch_is_an_envelope_of_contacts(p: Pipeline) -> None:
    await send(p, 2)
    (body,) = p.omnisend.bodies
    assert (body["method"], body["endpoint"]) == ("POST", "contacts")
    assert body["items"] == [
        {"identifiers": [{"type": "email", "id": _email_of(d)}]} for d in sorted(map(digest, range(2)))
    ]


def _email_of(wanted: bytes) -> str:
    return next(email(n) for n in range(10) if digest(n) == wanted)


async def test_everything_of_a_batch_is_written_down_before_it_is_posted(p: Pipeline) -> None:
    seen: list[tuple[int, list[BatchState]]] = []

    async def look(_: FakeBatch) -> None:
        seen.append((len(await p.ledger()), await p.states()))

    p.omnisend.on_post = look
    await send(p, 30)
    assert seen == [(30, [CLAIMED])]


async def test_emails_are_kept_sealed_for_new_contacts(p: Pipeline) -> None:
    await send(p, 3)
    await remove(p, [1], patch=False)
    assert p.omnisend.bodies[1]["items"][0]["identifiers"][0]["id"] == email(1)


async def test_changed_contacts_are_counted_as_changed(p: Pipeline) -> None:
    await send(p, 3)
    settler, _ = await send(p, 3, op="changed")
    assert counts(settler.tally) == (0, 3, 0, 0)


async def test_with_nothing_to_send_nothing_is_claimed_or_posted(p: Pipeline) -> None:
    _, batcher = await send(p, 0, canary=True)
    assert (batcher.batches, await p.states(), p.omnisend.asked) == (0, [], [])


async def test_no_more_batches_are_under_way_than_allowed(p: Pipeline) -> None:
    p.configure(open_batches=2)
    p.omnisend.auto_finish = False
    most = 0

    def finish_one() -> None:
        nonlocal most
        unfinished = [batch for batch in p.omnisend.posted if batch.status != "finished"]
        most = max(most, len(unfinished))
        if p.omnisend.times_asked("GET /batches") % 3 == 0 and unfinished:
            unfinished[0].finish()

    p.omnisend.on_list = finish_one
    settler, _ = await send(p, 1_000)
    assert most == 2
    assert counts(settler.tally) == (1_000, 0, 0, 0)


# --- posts that go wrong


async def test_a_lost_answer_is_looked_for_and_the_batch_not_posted_again(p: Pipeline) -> None:
    p.omnisend.posts = ["lost"]
    settler, _ = await send(p, 50)
    assert p.omnisend.times_asked("POST /batches") == 1
    assert counts(settler.tally) == (50, 0, 0, 0)


async def test_a_batch_that_never_arrived_is_posted_again_after_the_grace_and_not_before(p: Pipeline) -> None:
    p.configure(lookup_grace=40)
    p.omnisend.posts = ["dropped"]
    moments: list[float] = []

    async def note(_: FakeBatch) -> None:
        moments.append(p.clock.now)

    p.omnisend.on_post = note
    settler, _ = await send(p, 50)
    assert len(moments) == 2
    assert moments[1] - moments[0] >= 40
    assert counts(settler.tally) == (50, 0, 0, 0)


@pytest.mark.parametrize("status", ["500", "502", "524", "408"])
async def test_an_answer_that_leaves_it_open_is_looked_for_too(p: Pipeline, status: str) -> None:
    p.omnisend.posts = [status]
    settler, _ = await send(p, 50)
    assert p.omnisend.times_asked("POST /batches") == 2
    assert "GET /batches" in p.omnisend.asked
    assert counts(settler.tally) == (50, 0, 0, 0)


async def test_several_lost_answers_are_told_apart(p: Pipeline) -> None:
    p.omnisend.posts = ["lost", "dropped", "lost", "dropped", "lost"]
    settler, _ = await send(p, 500)
    assert len(p.omnisend.posted) == 5
    assert counts(settler.tally) == (500, 0, 0, 0)


async def test_the_repost_may_take_long_though_nothing_else_is_under_way(p: Pipeline) -> None:
    p.configure(lookup_grace=3)
    p.omnisend.posts = ["dropped"]
    posts = 0

    async def take_long(_: FakeBatch) -> None:
        nonlocal posts
        posts += 1
        if posts == 2:
            await asyncio.sleep(0.05)  # longer than the longest pause between sweeps

    p.omnisend.on_post = take_long
    settler, _ = await send(p, 50)
    assert counts(settler.tally) == (50, 0, 0, 0)


async def test_posts_refused_for_the_moment_are_repeated_without_a_search(p: Pipeline) -> None:
    p.omnisend.posts = ["503"] * 5
    settler, _ = await send(p, 50)
    assert p.omnisend.times_asked("POST /batches") == 6
    assert counts(settler.tally) == (50, 0, 0, 0)


async def test_after_many_failures_all_posts_slow_down(p: Pipeline) -> None:
    p.omnisend.posts = ["503"] * 2 * 3 * WORKERS  # two tries of the client each
    await send(p, 50)
    shortest, _ = BRAKE_SECONDS
    assert p.clock.now > shortest * WORKERS


async def test_an_outage_longer_than_allowed_ends_the_run_and_keeps_what_is_known(p: Pipeline) -> None:
    p.configure(outage_patience=120)
    p.omnisend.posts = ["503"] * 10_000
    with pytest.raises(OmnisendAway, match="2 minutes"):
        await send(p, 250)
    assert p.clock.now > 120
    assert CONFIRMED not in await p.states()


async def test_a_batch_too_large_goes_out_in_halves(p: Pipeline) -> None:
    p.omnisend.posts = ["413", "413"]
    settler, batcher = await send(p, 100)
    assert sorted(len(batch.emails) for batch in p.omnisend.posted) == [25, 25, 50]
    assert counts(settler.tally) == (100, 0, 0, 0)
    assert await p.states() == [IN_DOUBT, IN_DOUBT, CONFIRMED, CONFIRMED, CONFIRMED]
    assert (batcher.batches, len(await p.ledger())) == (5, 100)


async def test_the_halves_of_a_batch_that_is_too_large_find_room(p: Pipeline) -> None:
    p.configure(open_batches=1)
    p.omnisend.posts = ["413"]
    settler, _ = await send(p, 100)
    assert counts(settler.tally) == (100, 0, 0, 0)


async def test_the_halves_know_who_is_new_and_keep_sealed_emails(p: Pipeline) -> None:
    p.omnisend.posts = ["413"]
    await send(p, 4)
    settler = await remove(p, range(4), patch=False)
    assert counts(settler.tally) == (0, 0, 4, 0)
    assert await p.ledger() == {}


async def test_a_single_contact_too_large_is_an_error(p: Pipeline) -> None:
    p.omnisend.posts = ["413"]
    with pytest.raises(TooLarge):
        await send(p, 1)


@pytest.mark.parametrize(("status", "error"), [("400", Refused), ("401", KeyRefused)])
async def test_a_refused_post_stops_the_sending_and_what_was_not_posted_is_forgotten(
    p: Pipeline, status: str, error: type[Exception]
) -> None:
    p.omnisend.posts = [status] * 100
    with pytest.raises(error):
        await send(p, 5_000)  # one group of claims: more than the workers and their queue hold
    assert p.omnisend.posted == []
    assert len(await p.ledger()) <= WORKERS * MAX_BATCH_ITEMS  # those of the posts that were broken off
    assert (await p.states()).count(CLAIMED) <= WORKERS  # only these have to be looked for at Omnisend


async def test_a_sending_that_the_guard_stops_forgets_what_was_not_posted(p: Pipeline) -> None:
    def stop(tally: Tally) -> None:
        raise GuardStopped(rejected=1, tried=1, reason="for a test")

    async def work() -> None:
        async with settling(settler):
            await p.batcher(settler).upsert(changes(range(5_000)), canary=False)

    p.configure(open_batches=1)  # the others wait until one is settled, which stops everything; one more may have gone
    settler = p.settler(on_settled=stop)
    with pytest.raises(GuardStopped):
        await work()
    assert (await p.states()).count(CONFIRMED) == 1
    assert (await p.states()).count(CLAIMED) <= 1
    assert len(await p.ledger()) <= 2 * MAX_BATCH_ITEMS


async def test_a_sending_that_is_broken_off_forgets_what_was_not_posted(p: Pipeline) -> None:
    under_way = asyncio.Event()

    async def hang(_: FakeBatch) -> None:
        under_way.set()
        await asyncio.Event().wait()

    p.omnisend.on_post = hang
    sending = asyncio.create_task(send(p, 5_000))
    await under_way.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert (await p.states()).count(CLAIMED) <= WORKERS


# --- the canary and the guard


async def test_the_first_batch_goes_alone_until_it_is_settled(p: Pipeline) -> None:
    p.omnisend.auto_finish = False
    alone: list[int] = []

    def finish_later() -> None:
        if p.omnisend.times_asked("GET /batches") < 5:
            alone.append(len(p.omnisend.posted))
        else:
            for batch in p.omnisend.posted:
                batch.finish()

    p.omnisend.on_list = finish_later
    settler, _ = await send(p, 450, canary=True)
    assert set(alone) == {1}
    assert counts(settler.tally) == (450, 0, 0, 0)


async def test_if_the_canary_takes_very_long_the_others_follow(p: Pipeline) -> None:
    p.configure(canary_patience=0.01)
    p.omnisend.auto_finish = False

    def finish_when_all_are_there() -> None:
        if len(p.omnisend.posted) == 5:
            for batch in p.omnisend.posted:
                batch.finish()

    p.omnisend.on_list = finish_when_all_are_there
    settler, _ = await send(p, 450, canary=True)
    assert counts(settler.tally) == (450, 0, 0, 0)


@pytest.mark.parametrize(("rejected", "stops"), [(51, True), (50, False)])
async def test_a_canary_that_is_mostly_rejected_stops_the_run(p: Pipeline, rejected: int, stops: bool) -> None:
    p.omnisend.auto_finish = False

    def finish() -> None:
        for batch in p.omnisend.posted:
            bad = batch.emails[:rejected] if batch.id == "b0" else []
            batch.finish(codes=dict.fromkeys(bad, 400))

    p.omnisend.on_list = finish
    if stops:
        with pytest.raises(GuardStopped, match=f"rejected {rejected} of the first 100"):
            await send(p, 450, canary=True)
        assert len(p.omnisend.posted) == 1
        assert len(await p.ledger()) == 100 - rejected
    else:
        settler, _ = await send(p, 450, canary=True)
        assert counts(settler.tally) == (400, 0, 0, 50)


@pytest.mark.parametrize(
    ("tried", "rejected", "stops"),
    [(GUARD_MINIMUM, 91, True), (GUARD_MINIMUM, 90, False), (GUARD_MINIMUM - 1, 299, False), (10_000, 3_001, True)],
)
def test_a_run_stops_once_too_large_a_share_is_rejected(tried: int, rejected: int, stops: bool) -> None:
    tally = Tally(added=tried - rejected, rejected=rejected)
    if stops:
        with pytest.raises(GuardStopped, match="more than 30% of them"):
            judge(tally)
    else:
        judge(tally)


# --- stopped by a person


async def test_a_stopped_batcher_posts_nothing_more_and_forgets_who_is_new(p: Pipeline) -> None:
    p.configure(open_batches=3)
    p.omnisend.auto_finish = False
    settler = p.settler()
    batcher = p.batcher(settler)
    async with settling(settler):
        sending = asyncio.create_task(batcher.upsert(changes(range(2_000)), canary=False))
        await until(lambda: len(p.omnisend.posted) == 3)
        batcher.stop()
        settler.hasten(0)
        await sending
        assert not await settler.settle_all(30)

    assert len(p.omnisend.posted) == 3
    assert len(await p.ledger()) == settler.open_contacts == 300
    assert batcher.unsent > 0


async def test_a_stopped_batcher_does_not_wait_for_an_answer_that_was_lost(p: Pipeline) -> None:
    p.configure(lookup_grace=10**6, settle_patience=10**6)
    p.omnisend.posts = ["dropped"]
    settler = p.settler()
    batcher = p.batcher(settler)
    async with settling(settler):
        sending = asyncio.create_task(batcher.upsert(changes(range(50)), canary=False))
        await until(lambda: "GET /batches" in p.omnisend.asked)
        batcher.stop()
        settler.hasten(0)
        await sending

    assert await p.states() == [CLAIMED]
    assert settler.open_contacts == 50


# --- removals


async def test_removals_in_batches_set_the_flags_to_false_and_nothing_else(p: Pipeline) -> None:
    await send(p, 3)
    settler = await remove(p, [0, 2], patch=False)
    items = p.omnisend.bodies[1]["items"]
    assert {item["identifiers"][0]["id"] for item in items} == {email(0), email(2)}
    assert all(item["customProperties"] == {"segment_vip": False} for item in items)
    assert all(item.keys() == {"identifiers", "customProperties"} for item in items)
    assert counts(settler.tally) == (0, 0, 2, 0)
    assert set(await p.ledger()) == {digest(1)}


async def test_removals_by_single_calls_are_claimed_and_settled_in_groups(p: Pipeline) -> None:
    await send(p, 250)
    p.omnisend.asked.clear()
    settler = await remove(p, range(250), patch=True)
    assert p.omnisend.asked == ["PATCH /contacts"] * 250
    assert counts(settler.tally) == (0, 0, 250, 0)
    assert await p.ledger() == {}


async def test_who_is_gone_at_omnisend_counts_as_removed(p: Pipeline) -> None:
    await send(p, 2)
    p.omnisend.patches = {email(0): 404}
    settler = await remove(p, [0, 1], patch=True)
    assert counts(settler.tally) == (0, 0, 2, 0)


@pytest.mark.parametrize("status", [400, 409, 422])
async def test_a_single_removal_that_is_refused_stays_in_the_ledger_with_its_reason(p: Pipeline, status: int) -> None:
    await send(p, 2)
    p.omnisend.patches = {email(0): status}
    settler = await remove(p, [0, 1], patch=True)
    assert counts(settler.tally) == (0, 0, 1, 1)
    (rejection,) = await p.rejections()
    assert (rejection.digest, rejection.payload) == (digest(0), b"removal")
    assert set(await p.ledger()) == {digest(0)}


@pytest.mark.parametrize("status", [500, 503])
async def test_a_single_removal_without_an_answer_is_to_be_tried_again(p: Pipeline, status: int) -> None:
    await send(p, 2)
    p.omnisend.patches = {email(0): status}
    settler = await remove(p, [0, 1], patch=True)
    assert (counts(settler.tally), settler.tally.again) == ((0, 0, 1, 0), [digest(0)])
    assert set(await p.ledger()) == {digest(0)}


async def test_a_key_refused_during_single_removals_stops_them_and_keeps_the_ledger(p: Pipeline) -> None:
    await send(p, 2)
    p.omnisend.patches = {email(0): 401, email(1): 401}
    with pytest.raises(KeyRefused):
        await remove(p, [0, 1], patch=True)
    assert set(await p.ledger()) == {digest(0), digest(1)}
    assert await p.states() == [CONFIRMED, CLAIMED]


async def test_a_stopped_batcher_removes_nobody_more(p: Pipeline) -> None:
    await send(p, 2)
    settler = p.settler()
    batcher = p.batcher(settler)
    batcher.stop()
    async with settling(settler):
        await batcher.patch_removals(leavers([0, 1]), PROPERTIES, b"removal")
        await batcher.remove(leavers([0, 1]), PROPERTIES, b"removal")
    assert "PATCH /contacts" not in p.omnisend.asked
    assert await p.ledger() == {digest(0): b"payload", digest(1): b"payload"}
