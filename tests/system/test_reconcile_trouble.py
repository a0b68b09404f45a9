"""Runs through trouble: each kind of fault, refused keys, lost answers, cancelled runs, two processes, odd segments.

Reference: omnisend-api.md §4.2, §4.3, §6.1, §8, §13.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.omnisend.contacts import segment_property
from bot.pipeline.errors import AlreadyRunning
from bot.sandbox.omnisend.faults import KINDS
from storage import lease
from storage.errors import FerryError
from storage.models import (
    ConnectionState,
    ExportSegment,
    Lease,
    Run,
    RunStatus,
    Stage,
    Trigger,
)
from tests.engine_world import (
    CHANNEL,
    HASTY,
    OWNER,
    World,
    crowd,
    fast_emulator,
    kinds,
    outcome,
    world,
)
from tests.system.omnisend_emulator_client import Omnisend, bool_rule

VIP = segment_property("VIP")


@pytest.fixture(scope="module")
async def process() -> AsyncIterator[Omnisend]:
    async with fast_emulator() as omnisend:
        yield omnisend


@pytest.fixture
async def omnisend(process: Omnisend) -> Omnisend:
    await process.set("/reset")
    return process


@pytest.fixture
async def w(omnisend: Omnisend, tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, omnisend) as made:
        made.source.profiles_by_id.update(crowd(450))
        made.source.members = {"VIP": set(crowd(450)), "News": set(crowd(100))}
        yield made


async def calm(w: World) -> None:
    """No more faults; what was stuck goes on; everybody may wait again."""
    await w.omnisend.set("/faults", faults=[])
    await w.omnisend.set("/batches/release")
    w.configure(settle_patience=60, canary_patience=60, drain_patience=60)


# --- each kind of fault


@pytest.mark.parametrize("kind", KINDS)
async def test_a_run_ends_right_under_a_little_of(w: World, kind: str) -> None:
    await w.make_export()
    times = {"429": 1, "stuck": 0, "vanished": 2, "stopped": 3}.get(kind, 5)
    code = {"code": 503} if kind == "item-error" else {}
    await w.omnisend.fault(kind, times=times, **code)

    run = await w.run()

    assert (run.status, run.rejected, run.in_doubt) == (RunStatus.DONE, 0, 0)
    assert (run.added, run.changed) == (450, 0)
    await w.assert_reconciled()


@pytest.mark.parametrize("kind", ["drop-after", "drop-before", "html"])
async def test_a_batch_whose_answer_is_lost_is_found_or_posted_again_and_never_twice(w: World, kind: str) -> None:
    await w.make_export()
    await w.omnisend.fault(kind, times=3, method="POST", path="/batches")

    run = await w.run()

    assert outcome(run) == {"added": 450}
    assert (await stats(w))["items"] == {"succeeded": 450}
    await w.assert_reconciled()


async def test_a_batch_that_stays_stuck_is_in_doubt_and_settled_by_a_later_run(w: World) -> None:
    await w.make_export()
    await w.omnisend.fault("stuck")
    w.configure(**HASTY)

    doubtful = await w.run()
    held = await w.run()
    await calm(w)
    final = await w.run()

    assert (doubtful.status, outcome(doubtful)) == (RunStatus.DONE, {"in_doubt": 450})
    assert outcome(held) == {"in_doubt": 450}
    assert outcome(final) == {"unchanged": 450}
    await w.assert_reconciled()


async def test_a_lost_answer_to_a_batch_that_nobody_has_begun_holds_up_no_report(w: World) -> None:
    await w.make_export()
    await w.omnisend.assume("batch-delay", "hours")
    await w.omnisend.fault("drop-after", times=1, method="POST", path="/batches")
    w.configure(**HASTY)

    doubtful = await w.run()
    await w.omnisend.advance(5 * 3600)
    await calm(w)
    final = await w.run()

    assert outcome(doubtful) == {"in_doubt": 450}
    assert outcome(final) == {"unchanged": 450}
    assert (await stats(w))["items"] == {"succeeded": 450}
    await w.assert_reconciled()


async def test_items_that_fail_for_the_moment_are_sent_again_until_the_run_gives_up_on_them(w: World) -> None:
    await w.make_export()
    await w.omnisend.fault("item-error", code=503)

    doubtful = await w.run()
    await calm(w)
    final = await w.run()

    assert outcome(doubtful) == {"in_doubt": 450}
    assert (final.status, final.rejected, final.in_doubt) == (RunStatus.DONE, 0, 0)
    await w.assert_reconciled()


async def test_omnisend_away_fails_the_run_and_the_next_one_goes_on(w: World) -> None:
    await w.make_export()
    await w.omnisend.fault("drop-before", path="/batches")
    w.configure(outage_patience=0.3)

    run = await w.run()
    await calm(w)
    w.configure(outage_patience=60)
    final = await w.run()

    assert (run.status, run.error_code) == (RunStatus.FAILED, "omnisend-away")
    assert final.status is RunStatus.DONE
    await w.assert_reconciled()


# --- a key that is refused


async def test_a_key_revoked_in_mid_run_stops_it_and_a_new_key_goes_on(w: World) -> None:
    connection = await w.make_connection()
    await w.make_export(connection=connection)
    await w.omnisend.set("/keys", key=w.omnisend.key, revoke_after=4)

    run = await w.run()
    told = await w.told()
    new = (await w.omnisend.set("/keys"))["key"]
    await w.change(connection, api_key=w.keys.vault.seal(new, row=f"connection/{connection.id}/api_key"))
    final = await w.run()

    assert (run.status, run.error_code) == (RunStatus.FAILED, "omnisend-key-refused")
    assert "new key" in (run.error_text or "")
    assert ("run.failed", OWNER) in told
    assert final.status is RunStatus.DONE
    await w.assert_reconciled()


async def test_a_failed_run_says_how_many_contacts_it_had_sent(w: World) -> None:
    await w.make_export()
    await w.omnisend.set("/keys", key=w.omnisend.key, revoke_after=6)

    run = await w.run()

    assert run.status is RunStatus.FAILED
    assert run.added + run.in_doubt >= 100


async def test_a_key_without_the_scope_stops_the_run_and_says_which_one(w: World) -> None:
    await w.make_export()
    await w.omnisend.set("/keys", key=w.omnisend.key, scopes=["brands.read", "contacts.read", "segments.read"])

    run = await w.run()

    assert (run.status, run.error_code) == (RunStatus.FAILED, "omnisend-scope-missing")
    assert "contacts.write" in (run.error_text or "")
    assert await w.stored() == {}


@pytest.mark.parametrize(("code", "error"), [(401, "omnisend-key-refused"), (403, "omnisend-scope-missing")])
async def test_an_item_refused_for_the_key_stops_the_run_and_is_no_reject(w: World, code: int, error: str) -> None:
    await w.make_export()
    await w.omnisend.fault("item-error", code=code, times=1)

    run = await w.run()
    final = await w.run()

    assert (run.status, run.error_code) == (RunStatus.FAILED, error)
    assert await w.rejections() == []
    assert final.status is RunStatus.DONE
    await w.assert_reconciled()


async def test_a_retired_version_stops_the_run_and_asks_for_a_newer_release(w: World) -> None:
    await w.make_export()
    await w.omnisend.set("/versions/retire", version="2026-03-15")

    run = await w.run()

    assert (run.status, run.error_code) == (RunStatus.FAILED, "omnisend-version-retired")
    assert "newer release" in (run.error_text or "")


async def test_a_wrong_key_is_refused_when_it_is_checked(w: World) -> None:
    with pytest.raises(FerryError) as refused:
        await w.engine.check_key("0123456789abcdef01234567-wrong")
    assert refused.value.code == "omnisend-key-refused"


async def test_checking_a_key_changes_nothing(w: World) -> None:
    await w.engine.check_key(w.omnisend.key)
    assert await w.stored() == {}


# --- what a person must mend first


async def test_nothing_is_sent_through_a_withdrawn_connection(w: World) -> None:
    connection = await w.make_connection()
    await w.make_export(connection=connection)
    await w.change(connection, state=ConnectionState.WITHDRAWN, api_key=None)

    assert await failure(w) == "no-key"


async def test_a_detached_export_does_not_run(w: World) -> None:
    await w.make_export()
    await w.change(w.export, connection_id=None)

    assert await failure(w) == "no-connection"


async def test_a_segment_that_is_gone_from_the_source_is_named(w: World) -> None:
    await w.make_export()
    del w.source.members["News"]

    assert await failure(w) == "segment-missing"


async def test_a_mapped_field_that_is_gone_from_the_source_is_named_with_what_it_was_for(w: World) -> None:
    await w.make_export()
    for profile in w.source.profiles_by_id.values():
        del profile["Land"]

    run = await w.run()

    assert run.error_code == "field-missing"
    assert "Country/Region" in (run.error_text or "")


async def test_more_profiles_than_an_export_may_have_are_refused_before_anything_is_sent(w: World) -> None:
    await w.make_export()
    w.configure(max_profiles=449)

    assert await failure(w) == "too-many-profiles"


async def test_a_run_that_takes_too_long_stops_and_keeps_what_it_knows(w: World) -> None:
    await w.make_export()
    await w.omnisend.fault("stuck")
    w.configure(run_hours=0.5 / 3600)

    run = await w.run()
    await calm(w)
    w.configure(run_hours=1)
    final = await w.run()

    assert (run.status, run.error_code) == (RunStatus.FAILED, "run-too-long")
    assert final.status is RunStatus.DONE
    await w.assert_reconciled()


async def test_an_error_of_our_own_making_is_told_by_a_reference_and_not_in_detail(w: World) -> None:
    await w.make_export()
    w.source.profiles_by_id["c000000"]["Email"] = ["a list", "is no text"]

    run = await w.run()

    assert run.status is RunStatus.FAILED
    assert run.error_code == "unexpected"
    assert (run.reference or "?") in (run.error_text or "")


# --- the guard


async def test_an_emptied_segment_makes_the_run_ask_before_anything_is_sent(w: World) -> None:
    await w.make_export()
    await w.run()
    w.source.members["News"] = set()
    before = await w.asked_so_far()

    asking = await w.run()
    sent = [entry for entry in await w.asked(before) if entry["method"] != "GET"]
    accepted = await w.run(accept=True)

    assert asking.status is RunStatus.ASKING
    assert asking.findings == [{"kind": "empty", "segment": "News", "before": 100}]
    assert sent == []
    assert ("run.asking", CHANNEL) in await w.told()
    assert outcome(accepted) == {"changed": 100, "unchanged": 350}
    await w.assert_reconciled()


async def test_the_canary_stops_a_run_whose_first_batch_is_mostly_rejected(w: World) -> None:
    await w.make_export()
    await w.omnisend.fault("item-error")

    run = await w.run()

    assert (run.status, run.error_code) == (RunStatus.STOPPED, "guard-stopped")
    assert await w.posted() == 1
    assert ("run.failed", OWNER) in await w.told()


async def test_a_run_stops_in_the_middle_once_too_much_is_rejected(w: World) -> None:
    await w.make_export()
    await w.omnisend.fault("item-error", rate=0.4)

    run = await w.run()

    assert (run.status, run.error_code) == (RunStatus.STOPPED, "guard-stopped")


# --- cancelled, started twice, two processes


async def test_a_run_started_twice_is_refused_and_names_the_first(w: World) -> None:
    await w.make_export()
    await w.queue()

    with pytest.raises(AlreadyRunning, match=f"the export.*{OWNER}"):
        await w.queue()


async def test_a_run_that_two_engines_execute_at_once_is_executed_once(w: World) -> None:
    await w.make_export()
    run_id = await w.queue()

    await asyncio.gather(w.engine.execute(run_id), w.another_engine().execute(run_id))

    (run,) = await w.rows(Run)
    assert (run.status, run.attempts, run.added) == (RunStatus.DONE, 1, 450)
    assert (await stats(w))["items"] == {"succeeded": 450}


async def test_runs_of_one_brand_go_one_after_the_other(w: World) -> None:
    connection = await w.make_connection()
    first = await w.make_export("VIP", name="one", connection=connection)
    one = await w.queue()
    await w.make_export("News", name="two", connection=connection)
    two = await w.queue()

    await asyncio.gather(w.engine.execute(one), w.engine.execute(two))

    assert [run.status for run in await w.rows(Run)] == [RunStatus.DONE, RunStatus.DONE]
    assert first.id != w.export.id
    await w.assert_reconciled()


async def test_a_run_waits_while_a_living_process_holds_the_brands_lease(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await w.make_connection()
    await w.make_export(connection=connection)
    monkeypatch.setattr(lease, "is_dead", lambda holder: False)
    monkeypatch.setattr("bot.pipeline.brand.WAIT_SECONDS", 0.01)
    async with w.database.write() as session:
        session.add(Lease(brand_id=connection.brand_id, holder="elsewhere:1:1.00"))

    running = asyncio.create_task(w.run())
    await until_waiting(w)
    while not w.engine.resting:  # noqa: ASYNC110  so that the dispatcher lets runs of other brands go on
        await asyncio.sleep(0.01)
    assert not (await w.asked())[3:]
    await lease.release(w.database, connection.brand_id, "elsewhere:1:1.00", [])
    run = await running

    assert outcome(run) == {"added": 450}
    assert w.engine.resting == set()


async def test_a_run_that_waits_for_its_turn_can_be_cancelled_at_once(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    connection = await w.make_connection()
    await w.make_export(connection=connection)
    monkeypatch.setattr(lease, "is_dead", lambda holder: False)
    monkeypatch.setattr("bot.pipeline.brand.WAIT_SECONDS", 3600)
    async with w.database.write() as session:
        session.add(Lease(brand_id=connection.brand_id, holder="elsewhere:1:1.00"))

    first = asyncio.create_task(w.run())  # waits for the other process
    await until_waiting(w)
    await cancel(w)
    run = await first

    assert (run.status, run.error_code, run.requests) == (RunStatus.CANCELLED, "run-cancelled", 0)


async def test_a_run_cancelled_while_it_takes_the_lease_gives_it_back(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    await w.make_export()
    take, taken = lease.take, asyncio.Event()

    async def take_and_linger(*arguments: Any) -> lease.Taken | None:
        await take(*arguments)
        taken.set()
        await asyncio.Event().wait()
        return None

    monkeypatch.setattr(lease, "take", take_and_linger)
    running = asyncio.create_task(w.run())
    await taken.wait()
    await cancel(w)

    assert (await running).status is RunStatus.CANCELLED
    assert [row.released for row in await w.rows(Lease)] == [True]


async def test_a_run_that_reads_for_long_can_be_cancelled_at_once(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch)
    await w.make_export()
    reading = asyncio.Event()

    async def never_ends() -> None:
        reading.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(w.source, "fields", never_ends)
    running = asyncio.create_task(w.run())
    await reading.wait()
    await cancel(w)
    run = await running

    assert (run.status, await w.posted()) == (RunStatus.CANCELLED, 0)


async def test_the_time_of_a_run_counts_from_its_turn(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = await w.make_connection()
    await w.make_export(connection=connection)
    monkeypatch.setattr(lease, "is_dead", lambda holder: False)
    monkeypatch.setattr("bot.pipeline.brand.WAIT_SECONDS", 0.01)
    w.configure(run_hours=1e-7)  # a third of a millisecond: too little for any run
    async with w.database.write() as session:
        session.add(Lease(brand_id=connection.brand_id, holder="elsewhere:1:1.00"))

    running = asyncio.create_task(w.run())
    await until_waiting(w)
    (waiting,) = await w.rows(Run)
    await lease.release(w.database, connection.brand_id, "elsewhere:1:1.00", [])
    run = await running

    assert waiting.status is RunStatus.RUNNING
    assert (run.status, run.error_code) == (RunStatus.FAILED, "run-too-long")


async def test_a_run_whose_lease_was_taken_over_stops_sending(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    await w.make_export()
    await w.omnisend.fault("stuck")
    running = asyncio.create_task(w.run())
    await until_posted(w)
    async with w.database.write() as session:
        for row in await w.rows(Lease):
            row.holder = "elsewhere:1:1.00"
            session.add(row)

    run = await running

    assert (run.status, run.error_code) == (RunStatus.FAILED, "lease-lost")


async def test_a_cancelled_run_stops_soon_and_a_later_one_sends_the_rest(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    await w.make_export()
    await w.omnisend.fault("stuck")
    running = asyncio.create_task(w.run())
    await until_posted(w)
    await cancel(w)

    run = await running
    await calm(w)
    final = await w.run()

    assert (run.status, run.error_code) == (RunStatus.CANCELLED, "run-cancelled")
    assert (await w.posted()) < 5 + 5
    assert final.status is RunStatus.DONE
    await w.assert_reconciled()


async def test_a_run_can_be_cancelled_while_it_waits_for_room_at_omnisend(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    w.configure(open_batches=1, canary_patience=0.1)
    await w.make_export()
    await w.omnisend.fault("stuck")
    running = asyncio.create_task(w.run())
    await until_posted(w)
    await cancel(w)

    run = await running

    assert run.status is RunStatus.CANCELLED
    assert await w.posted() == 1
    assert run.in_doubt == 100


async def test_what_a_cancelled_run_had_claimed_and_not_posted_is_forgotten(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    w.configure(open_batches=1, canary_patience=0.1)
    await w.make_export()
    await w.omnisend.fault("stuck")
    running = asyncio.create_task(w.run())
    await until_posted(w)
    await cancel(w)
    await running

    assert len(await w.ledger()) == 100


async def test_a_run_whose_process_shuts_down_stays_queued_and_goes_on(w: World) -> None:
    await w.make_export()
    await w.omnisend.fault("stuck")
    run_id = await w.queue()
    running = asyncio.create_task(w.engine.execute(run_id))
    await until_posted(w)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    (left,) = await w.rows(Run)
    await calm(w)

    run = await w.engine.execute(run_id)

    assert (left.status, left.holder) == (RunStatus.QUEUED, None)
    assert (run.status, run.attempts) == (RunStatus.DONE, 2)
    assert "resumed" in kinds(run.notes)
    await w.assert_reconciled()


@pytest.mark.parametrize("seed", range(6))
async def test_a_run_that_is_broken_off_at_any_moment_goes_on_and_ends_right(w: World, seed: int) -> None:
    dice = random.Random(seed)
    await w.make_export()
    run_id = await w.queue()
    for _ in range(3):
        running = asyncio.create_task(w.engine.execute(run_id))
        await asyncio.wait([running], timeout=dice.uniform(0, 0.6))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await w.change(w.export, name=f"the export {dice.random()}")  # nothing keeps others from writing

    await w.engine.execute(run_id)
    again = await w.run()

    assert (again.status, outcome(again), again.batches) == (RunStatus.DONE, {"unchanged": 450}, 0)
    await w.assert_reconciled()


# --- segments at omnisend


async def test_a_segment_of_the_same_name_with_another_rule_is_left_alone_and_ours_gets_a_suffix(w: World) -> None:
    theirs = {"name": "VIP", "conditionGroups": bool_rule("something_else")}
    await w.omnisend.api.post("/segments", json=theirs)
    await w.make_export("VIP")

    run = await w.run()

    assert {"kind": "segment_renamed", "segment": "VIP", "name": "VIP (Segment Ferry)"} in run.notes
    assert run.segments[0]["omnisend_name"] == "VIP (Segment Ferry)"
    shown = {entry["name"]: entry["conditionGroups"] for entry in (await w.omnisend.get("/segments"))["segments"]}
    assert shown == {"VIP": bool_rule("something_else"), "VIP (Segment Ferry)": bool_rule(VIP)}


async def test_our_own_segment_is_known_by_its_rule_whatever_it_is_called_now(w: World) -> None:
    await w.omnisend.api.post("/segments", json={"name": "Renamed by hand", "conditionGroups": bool_rule(VIP)})
    await w.make_export("VIP")

    run = await w.run()

    assert len((await w.omnisend.get("/segments"))["segments"]) == 1
    assert run.segments[0]["omnisend_name"] == "Renamed by hand"


async def test_a_segment_deleted_by_hand_is_made_again(w: World) -> None:
    await w.make_export("VIP")
    await w.run()
    (segment,) = await w.rows(ExportSegment)
    await w.omnisend.api.delete(f"/segments/{segment.omnisend_id}")

    run = await w.run()

    assert [entry["name"] for entry in (await w.omnisend.get("/segments"))["segments"]] == ["VIP"]
    assert run.segments[0]["contacts_count"] == 450


async def test_without_the_scope_for_segments_contacts_are_sent_and_the_report_says_how_to_make_them(w: World) -> None:
    scopes = ["brands.read", "contacts.read", "contacts.write", "segments.read"]
    await w.omnisend.set("/keys", key=w.omnisend.key, scopes=scopes)
    await w.make_export("VIP")

    run = await w.run()

    assert outcome(run) == {"added": 450}
    by_hand = {"kind": "segment_by_hand", "scope": "segments.write", "segment": "VIP", "property": VIP}
    assert by_hand in run.notes


async def test_an_answer_lost_while_a_segment_is_made_makes_no_second_one(w: World) -> None:
    await w.make_export("VIP")
    await w.omnisend.fault("drop-after", method="POST", path="/segments", times=1)

    await w.run()
    await w.run()

    assert [entry["name"] for entry in (await w.omnisend.get("/segments"))["segments"]] == ["VIP"]


# --- removals under trouble


async def test_removals_by_single_calls_that_fail_are_in_doubt_and_done_by_the_next_run(w: World) -> None:
    await w.make_export()
    await w.run()
    w.source.members["VIP"] -= set(crowd(5, start=200))
    await w.omnisend.fault("503", method="PATCH")

    doubtful = await w.run()
    await calm(w)
    final = await w.run()

    assert outcome(doubtful) == {"unchanged": 445, "in_doubt": 5}
    assert outcome(final) == {"unchanged": 445, "removed": 5}
    await w.assert_reconciled()


async def test_a_leaver_whose_removal_was_rejected_is_not_tried_again_until_somebody_asks(w: World) -> None:
    await w.make_export("VIP")
    await w.run()
    w.source.members["VIP"] = {"c000000"}
    await w.omnisend.fault("item-error", times=1)

    refused = await w.run(accept=True)
    skipped = await w.run(accept=True)
    retried = await w.run(Trigger.RETRY, accept=True)

    assert (refused.removed, refused.rejected) == (448, 1)
    assert (skipped.removed, skipped.rejected) == (0, 1)
    assert (retried.removed, retried.rejected) == (1, 0)
    await w.assert_reconciled("VIP")


# --- helpers


async def failure(w: World) -> str | None:
    """Run; the run must fail with nothing sent. Its error's code."""
    before = await w.asked_so_far()
    run = await w.run()
    assert run.status is RunStatus.FAILED
    assert await w.posted(before) == 0
    assert await w.stored() == {}
    return run.error_code


async def stats(w: World) -> dict[str, Any]:
    """What the emulator counted for the default brand."""
    answer = (await w.omnisend.control.get("/stats")).json()
    brand: dict[str, Any] = answer["brands"][0]
    return brand


async def until_posted(w: World) -> None:
    """Until Omnisend has taken a batch: another process, so there is nothing to wait on but its log."""
    while not await w.posted():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def until_waiting(w: World) -> None:
    """Until the run has been taken up and waits for its turn."""
    while [run.stage for run in await w.rows(Run, status=RunStatus.RUNNING)] != [Stage.WAITING]:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def cancel(w: World) -> None:
    async with w.database.write() as session:
        for run in await w.rows(Run, status=RunStatus.RUNNING):
            run.cancel_requested_by = OWNER
            session.add(run)


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancelled run notices at once and waits for nothing."""
    monkeypatch.setattr("bot.pipeline.recording.PULSE_SECONDS", 0.02)
    monkeypatch.setattr("bot.pipeline.reconcile.CANCEL_PATIENCE", 0.1)
