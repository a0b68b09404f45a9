"""The cases that a run must get right, each through the engine, a real database and an Omnisend emulator.

Reference: the design's table of cases; omnisend-api.md §3.2, §3.3, §3.5, §4, §6.1.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlmodel import col, delete

from bot.omnisend.contacts import segment_property
from bot.pipeline.batcher import PATCH_REMOVALS
from storage.models import (
    Batch,
    ExportSegment,
    Leavers,
    LedgerEntry,
    Rejection,
    Run,
    RunStatus,
    Suppression,
    Trigger,
    id_of,
)
from tests.engine_world import HASTY, MAPPING, TEAM, World, crowd, fast_emulator, outcome, person, world
from tests.system.omnisend_emulator_client import Omnisend

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
        yield made


def vip(w: World, count: int) -> None:
    """A segment VIP of so many clean profiles."""
    w.source.profiles_by_id.update(crowd(count))
    w.source.members["VIP"] = set(crowd(count))


# --- first run, delta


async def test_a_first_run_makes_omnisend_equal_to_the_segments(w: World) -> None:
    w.source.profiles_by_id.update(crowd(250))
    w.source.members = {"VIP": set(crowd(200)), "客戶細分": set(crowd(90, start=160)), "重要客戶": set(crowd(3))}
    await w.make_export()

    run = await w.run()

    assert run.status is RunStatus.DONE
    assert outcome(run) == {"added": 250}
    assert run.batches == await w.posted() == 3
    await w.assert_reconciled()


async def test_a_delta_sends_only_the_difference(w: World) -> None:
    vip(w, 300)
    await w.make_export()
    await w.run()
    before = await w.asked_so_far()
    w.source.profiles_by_id["c000007"]["First"] = "Renamed"
    w.source.members["VIP"] -= {"c000001", "c000002"}
    w.source.profiles_by_id["c000900"] = person(900)
    w.source.members["VIP"].add("c000900")

    run = await w.run()

    assert outcome(run) == {"added": 1, "changed": 1, "removed": 2, "unchanged": 297}
    assert await w.posted(since=before) == 1
    await w.assert_reconciled()


async def test_a_second_immediate_run_sends_no_batch(w: World) -> None:
    vip(w, 150)
    await w.make_export()
    await w.run()
    before = await w.asked_so_far()

    run = await w.run()

    assert outcome(run) == {"unchanged": 150}
    assert await w.posted(since=before) == 0


async def test_a_second_immediate_run_sends_no_batch_also_when_items_were_rejected(w: World) -> None:
    vip(w, 150)
    w.source.profiles_by_id["c000003"]["Email"] = "not an address"
    await w.make_export()
    await w.omnisend.fault("item-error", times=5)
    first = await w.run()
    before = await w.asked_so_far()

    second = await w.run()

    assert outcome(first) == {"added": 144, "rejected": 6}
    assert outcome(second) == {"unchanged": 144, "rejected": 6}
    assert await w.posted(since=before) == 0


async def test_the_counts_of_omnisend_stand_beside_our_own(w: World) -> None:
    vip(w, 40)
    w.source.members["VIP"].add("c-nobody")
    w.source.profiles_by_id["c000001"]["Email"] = None
    await w.make_export()

    run = await w.run()

    (segment,) = run.segments
    assert (segment["members"], segment["contacts"], segment["contacts_count"]) == (41, 39, 39)
    assert {"kind": "without_profile", "count": 1} in run.notes
    shown = (await w.omnisend.get("/segments"))["segments"]
    assert [(entry["name"], entry["conditionGroups"][0]["conditions"][0]["filters"][0]["name"]) for entry in shown] == [
        ("VIP", VIP)
    ]


# --- what is sent


async def test_an_export_never_changes_anybodys_subscription(w: World) -> None:
    await w.omnisend.upsert("person1@example.com", status="subscribed", at="2020-05-05T00:00:00.000Z")
    await w.omnisend.upsert("person2@example.com", status="unsubscribed", at="2021-05-05T00:00:00.000Z")
    vip(w, 5)
    await w.make_export()

    await w.run()

    stored = await w.stored()
    status = {email: contact["statusHistory"][-1]["status"] for email, contact in stored.items()}
    assert status["person1@example.com"] == "subscribed"
    assert status["person2@example.com"] == "unsubscribed"
    assert status["person3@example.com"] == "nonSubscribed"
    assert sum(contact["welcomeMessages"] for contact in stored.values()) == 0


async def test_an_export_never_touches_tags(w: World) -> None:
    await w.omnisend.upsert("person1@example.com", tags=["from the shop"])
    vip(w, 5)
    await w.make_export()

    await w.run()

    assert (await w.stored())["person1@example.com"]["tags"] == ["from the shop"]


async def test_an_empty_value_leaves_the_value_at_omnisend_as_it_is(w: World) -> None:
    vip(w, 3)
    await w.make_export()
    await w.run()
    w.source.profiles_by_id["c000001"] |= {"First": "  ", "Points": None}

    run = await w.run()

    contact = (await w.stored())["person1@example.com"]
    assert outcome(run) == {"changed": 1, "unchanged": 2}
    assert contact["firstName"] == "Zoë 1"
    assert contact["customProperties"]["Points"] == 1


async def test_an_empty_value_blanks_an_attribute_that_was_set_to_clear(w: World) -> None:
    vip(w, 3)
    await w.make_export(clear=["firstName", "country", "custom:Points"])
    await w.run()
    w.source.profiles_by_id["c000001"] |= {"First": None, "Land": None, "Points": None}

    await w.run()

    contact = (await w.stored())["person1@example.com"]
    assert not {"firstName", "country", "countryCode"} & contact.keys()
    assert contact["customProperties"] == {VIP: True}
    await w.assert_reconciled()


async def test_a_template_joins_fields(w: World) -> None:
    vip(w, 2)
    mapping = {"email": "Email", "firstName": "{First} from {Land}", "custom:Origin": "CRM {Points}"}
    await w.make_export(mapping=mapping)

    await w.run()

    contact = (await w.stored())["person1@example.com"]
    assert contact["firstName"] == "Zoë 1 from France"
    assert contact["customProperties"]["Origin"] == "CRM 1"


# --- the design's table


async def test_several_profiles_with_one_email_are_one_contact_with_the_memberships_of_all(w: World) -> None:
    w.source.profiles_by_id = {
        "c2": person(2, Email=" Same@Example.com"),
        "c1": person(1, Email="same@example.com"),
        "c3": person(3, Email="SAME@example.com", First="Other"),
        "c4": person(4),
    }
    w.source.members = {"VIP": {"c2", "c4"}, "News": {"c3"}, "Gold": {"c1"}}
    await w.make_export()

    run = await w.run()

    assert outcome(run) == {"added": 2}
    assert {"kind": "duplicates", "count": 2} in run.notes
    assert (await w.stored())["same@example.com"]["firstName"] == "Zoë 1"
    await w.assert_reconciled()


async def test_one_contact_in_two_exports_keeps_the_flag_of_the_other_export_when_it_leaves_one(w: World) -> None:
    w.source.profiles_by_id.update(crowd(30))
    w.source.members = {"VIP": set(crowd(30)), "News": set(crowd(20))}
    connection = await w.make_connection()
    vips = await w.make_export("VIP", connection=connection, name="vips")
    await w.run()
    await w.make_export("News", connection=connection, name="news")
    await w.run()
    w.source.members["VIP"] -= {"c000001", "c000002"}
    w.export = vips

    run = await w.run()

    assert outcome(run) == {"removed": 2, "unchanged": 28}
    await w.assert_reconciled()


async def test_a_deselected_segment_is_sent_as_false_to_those_who_have_it_and_then_dropped(w: World) -> None:
    w.source.profiles_by_id.update(crowd(60))
    w.source.members = {"VIP": set(crowd(40)), "News": set(crowd(40, start=20))}
    await w.make_export()
    await w.run()
    await w.deselect("News")

    run = await w.run()
    again = await w.run()

    assert outcome(run) == {"changed": 20, "removed": 20, "unchanged": 20}
    assert await w.members("News") == set()
    assert [segment.name for segment in await w.rows(ExportSegment)] == ["VIP"]
    assert outcome(again) == {"unchanged": 40}
    await w.assert_reconciled("VIP")


async def test_a_deselected_segment_is_kept_until_nobody_has_it_for_sure(w: World) -> None:
    w.source.profiles_by_id.update(crowd(20))
    w.source.members = {"VIP": set(crowd(20)), "News": set(crowd(20))}
    await w.make_export()
    await w.run()
    await w.deselect("News")
    w.configure(**HASTY)
    await w.omnisend.fault("stuck")

    doubtful = await w.run()
    kept = await w.rows(ExportSegment, name="News")
    await w.omnisend.set("/faults", faults=[])
    await w.omnisend.set("/batches/release")
    w.configure(settle_patience=60, drain_patience=60)
    await w.run()

    assert outcome(doubtful) == {"in_doubt": 20}
    assert len(kept) == 1
    assert await w.rows(ExportSegment, name="News") == []
    await w.assert_reconciled("VIP")


async def test_a_changed_email_removes_the_old_address_and_adds_the_new_one(w: World) -> None:
    vip(w, 10)
    await w.make_export()
    await w.run()
    w.source.profiles_by_id["c000004"]["Email"] = "new@example.com"

    run = await w.run()

    assert outcome(run) == {"added": 1, "removed": 1, "unchanged": 9}
    await w.assert_reconciled()


async def test_a_leaver_is_flagged_false_and_forgotten_by_the_ledger(w: World) -> None:
    vip(w, 10)
    await w.make_export()
    await w.run()
    w.source.members["VIP"].remove("c000004")

    await w.run()

    contact = (await w.stored())["person4@example.com"]
    assert contact["customProperties"][VIP] is False
    assert contact["firstName"] == "Zoë 4"
    assert len(await w.ledger()) == 9


async def test_a_leaver_stays_where_leavers_are_kept(w: World) -> None:
    vip(w, 10)
    await w.make_export(leavers=Leavers.KEEP)
    await w.run()
    w.source.members["VIP"].remove("c000004")

    run = await w.run()

    assert outcome(run) == {"unchanged": 9, "kept": 1}
    assert "person4@example.com" in await w.members("VIP")


async def test_a_leaver_who_returns_after_the_removal_is_a_joiner(w: World) -> None:
    vip(w, 10)
    await w.make_export()
    await w.run()
    w.source.members["VIP"].remove("c000004")
    await w.run()
    w.source.members["VIP"].add("c000004")

    run = await w.run()

    assert outcome(run) == {"added": 1, "unchanged": 9}
    await w.assert_reconciled()


async def test_a_leaver_who_returns_while_the_removal_is_in_doubt_is_sent_again(w: World) -> None:
    vip(w, 10)
    await w.make_export()
    await w.run()
    w.source.members["VIP"].remove("c000004")
    await w.omnisend.fault("drop-after", method="PATCH")
    w.configure(**HASTY)
    doubtful = await w.run()
    await w.omnisend.set("/faults", faults=[])
    w.source.members["VIP"].add("c000004")

    run = await w.run()

    assert outcome(doubtful) == {"unchanged": 9, "in_doubt": 1}
    assert outcome(run) == {"changed": 1, "unchanged": 9}
    await w.assert_reconciled()


async def test_a_leaver_who_returns_while_the_removal_may_still_run_waits_for_it(w: World) -> None:
    vip(w, PATCH_REMOVALS + 50)
    await w.make_export()
    await w.run()
    leavers = set(w.source.members["VIP"])
    w.source.members["VIP"] = set()
    w.configure(**HASTY)
    await w.omnisend.fault("stuck")
    await w.run(accept=True)
    w.source.members["VIP"] = leavers
    await w.omnisend.set("/faults", faults=[])

    waiting = await w.run()
    await w.omnisend.set("/batches/release")
    w.configure(settle_patience=60, drain_patience=60)
    final = await w.run()

    assert outcome(waiting) == {"in_doubt": PATCH_REMOVALS + 50}
    assert outcome(final) == {"added": PATCH_REMOVALS + 50}
    await w.assert_reconciled()


async def test_a_changed_mapping_touches_everybody_and_leaves_behind_what_is_no_longer_mapped(w: World) -> None:
    vip(w, 12)
    await w.make_export()
    await w.run()
    mapping = {"email": "Email", "lastName": "First", "custom:Points": "Points"}
    await w.remap(mapping)

    preview = await w.engine.preview(w.export.id or 0)
    run = await w.run()

    assert (preview.comparison.changed, preview.left_behind) == (12, ["firstName", "country"])
    assert outcome(run) == {"changed": 12}
    assert {"kind": "left_behind", "attributes": ["firstName", "country"]} in run.notes
    contact = (await w.stored())["person1@example.com"]
    assert (contact["firstName"], contact["lastName"], contact["country"]) == ("Zoë 1", "Zoë 1", "France")


async def test_a_mapping_in_another_order_changes_nothing(w: World) -> None:
    vip(w, 12)
    await w.make_export()
    await w.run()
    await w.remap(dict(reversed(MAPPING.items())))

    assert outcome(await w.run()) == {"unchanged": 12}


async def test_another_key_of_the_same_brand_changes_nothing(w: World) -> None:
    vip(w, 12)
    connection = await w.make_connection()
    await w.make_export(connection=connection)
    await w.run()
    key = (await w.omnisend.set("/keys"))["key"]
    await w.omnisend.set("/keys/revoke")
    await w.change(connection, api_key=w.keys.vault.seal(key, row=f"connection/{connection.id}/api_key"))

    assert outcome(await w.run()) == {"unchanged": 12}


async def test_another_brand_gets_a_ledger_of_its_own(w: World) -> None:
    vip(w, 12)
    connection = await w.make_connection()
    await w.make_export(connection=connection)
    await w.run()
    other = await w.omnisend.set("/keys", brand="Another Shop")
    sealed = w.keys.vault.seal(other["key"], row=f"connection/{connection.id}/api_key")
    await w.change(connection, api_key=sealed, brand_id=other["brandID"])

    run = await w.run()

    assert outcome(run) == {"added": 12}
    assert {book.brand_id for book in await w.books()} == {connection.brand_id, other["brandID"]}
    shown = (await w.omnisend.control.get("/segments")).json()["segments"]
    assert {entry["brand"]: entry["members"] for entry in shown} == {"Emulated Shop": 12, "Another Shop": 12}


async def test_a_lost_ledger_makes_the_run_ask_and_adopting_rebuilds_it(w: World) -> None:
    vip(w, 320)
    await w.make_export()
    await w.run()
    await lose_the_ledger(w)
    w.source.members["VIP"] -= {"c000001", "c000002"}
    w.source.profiles_by_id["c000003"]["First"] = "Renamed"
    before = await w.asked_so_far()

    asking = await w.run()
    sent = await w.posted(since=before)
    adopted = await w.engine.adopt(w.export.id or 0)
    run = await w.run()

    assert asking.status is RunStatus.ASKING
    assert asking.findings == [{"kind": "ledger_behind", "ledger": 0, "at_omnisend": 320}]
    assert (sent, adopted) == (0, 320)
    assert outcome(run) == {"changed": 318, "removed": 2}
    await w.assert_reconciled()


async def test_a_run_that_is_told_to_adopt_rebuilds_the_ledger_and_looks_again(w: World) -> None:
    vip(w, 60)
    await w.make_export()
    await w.run()
    await lose_the_ledger(w)
    w.source.members["VIP"] -= {"c000001"}

    run = await w.run(trigger=Trigger.ADOPT)

    assert run.status is RunStatus.DONE
    assert outcome(run) == {"changed": 59, "removed": 1}
    assert {"kind": "adopted", "count": 60} in run.notes
    await w.assert_reconciled()


async def test_a_run_that_adopted_may_ask_again(w: World) -> None:
    vip(w, 60)
    await w.make_export()
    await w.run()
    await lose_the_ledger(w)
    w.source.members["VIP"] = set(sorted(w.source.members["VIP"])[:5])

    run = await w.run(trigger=Trigger.ADOPT)

    assert run.status is RunStatus.ASKING
    assert "removals" in {finding["kind"] for finding in run.findings}
    assert len(await w.ledger()) == 60


async def test_an_answer_holds_for_what_was_asked_and_not_for_what_came_since(w: World) -> None:
    vip(w, 60)
    await w.make_export()
    await w.run()
    w.source.members["VIP"] = set(sorted(w.source.members["VIP"])[:25])
    asking = await w.run()
    w.source.members["VIP"] = set()
    before = await w.asked_so_far()

    again = await _sent_anyway(w, asking)
    sent = await w.posted(since=before)
    done = await _sent_anyway(w, again)

    assert {finding["kind"] for finding in asking.findings} == {"fall", "removals"}
    assert (again.status, sent) == (RunStatus.ASKING, 0)
    assert "empty" in {finding["kind"] for finding in again.findings}
    assert (done.status, outcome(done)) == (RunStatus.DONE, {"removed": 60})


async def _sent_anyway(w: World, asking: Run) -> Run:
    """As `Runs.answer` leaves a run that somebody said "Send" to, and what comes of it."""
    async with w.database.write() as session:
        run = await session.get_one(Run, asking.id)
        run.status, run.accept_guard = RunStatus.QUEUED, True
        session.add(run)
    return await w.engine.execute(id_of(run))


async def test_adopting_twice_adopts_nobody_twice(w: World) -> None:
    vip(w, 30)
    await w.make_export()
    await w.run()

    assert await w.engine.adopt(w.export.id or 0) == 0
    assert outcome(await w.run()) == {"unchanged": 30}


async def test_a_ledger_from_an_old_backup_makes_the_run_ask(w: World) -> None:
    vip(w, 10)
    await w.make_export()
    await w.run()
    backed_up = [entry.digest for entry in await w.ledger()]
    vip(w, 60)
    await w.run()
    async with w.database.write() as session:
        await session.exec(delete(LedgerEntry).where(col(LedgerEntry.digest).not_in(backed_up)))

    run = await w.run()

    assert run.findings == [{"kind": "ledger_behind", "ledger": 10, "at_omnisend": 60}]


async def test_a_contact_deleted_by_hand_stays_deleted_in_a_delta(w: World) -> None:
    vip(w, 10)
    await w.make_export()
    await w.run()
    await w.omnisend.set("/contacts/delete", email="person4@example.com")

    run = await w.run()

    assert outcome(run) == {"unchanged": 10}
    assert "person4@example.com" not in await w.stored()


async def test_a_contact_deleted_by_hand_comes_back_with_a_full_resync(w: World) -> None:
    vip(w, 10)
    await w.make_export()
    await w.run()
    await w.omnisend.set("/contacts/delete", email="person4@example.com")

    run = await w.run(Trigger.RESYNC)

    assert outcome(run) == {"changed": 10}
    await w.assert_reconciled()


async def test_nobody_is_made_again_by_being_removed(w: World) -> None:
    vip(w, 10)
    await w.make_export()
    await w.run()
    await w.omnisend.set("/contacts/delete", email="person4@example.com")
    w.source.members["VIP"] -= {"c000004", "c000005"}

    run = await w.run()

    assert outcome(run) == {"removed": 2, "unchanged": 8}
    assert "person4@example.com" not in await w.stored()
    assert len(await w.ledger()) == 8


async def test_many_removals_go_in_batches(w: World) -> None:
    vip(w, PATCH_REMOVALS + 60)
    await w.make_export()
    await w.run()
    w.source.members["VIP"] = {"c000000"}
    before = await w.asked_so_far()

    run = await w.run(accept=True)

    assert outcome(run) == {"removed": PATCH_REMOVALS + 59, "unchanged": 1}
    assert await w.posted(since=before) == 4
    await w.assert_reconciled()


async def test_an_erased_person_is_removed_and_never_exported_again(w: World) -> None:
    vip(w, 10)
    await w.make_export()
    await w.run()
    await suppress(w, "person4@example.com")

    run = await w.run()
    again = await w.run()

    assert outcome(run) == {"removed": 1, "unchanged": 9, "rejected": 1}
    assert outcome(again) == {"unchanged": 9, "rejected": 1}
    assert "person4@example.com" not in await w.members("VIP")
    assert [rejection.reason for rejection in await w.rejections()] == ["suppressed"]


async def test_an_erased_person_is_removed_also_where_leavers_are_kept(w: World) -> None:
    vip(w, 10)
    await w.make_export(leavers=Leavers.KEEP)
    await w.run()
    await suppress(w, "person4@example.com")

    assert outcome(await w.run()) == {"removed": 1, "unchanged": 9, "rejected": 1}
    assert "person4@example.com" not in await w.members("VIP")


# --- in doubt


async def test_a_value_that_changes_and_changes_back_while_in_doubt_is_sent_again(w: World) -> None:
    vip(w, 5)
    await w.make_export()
    await w.run()
    w.source.profiles_by_id["c000002"]["First"] = "B"
    await w.omnisend.fault("vanished")
    w.configure(**HASTY)
    doubtful = await w.run()
    await w.omnisend.set("/faults", faults=[])
    w.source.profiles_by_id["c000002"]["First"] = "Zoë 2"

    run = await w.run()

    assert outcome(doubtful)["in_doubt"] == 1
    assert outcome(run) == {"changed": 1, "unchanged": 4}
    await w.assert_reconciled()


async def test_nothing_newer_is_sent_for_a_contact_while_an_older_batch_may_still_run(w: World) -> None:
    vip(w, 5)
    await w.make_export()
    await w.run()
    w.source.profiles_by_id["c000002"]["First"] = "B"
    await w.omnisend.fault("stuck")
    w.configure(**HASTY)
    await w.run()
    w.source.profiles_by_id["c000002"]["First"] = "C"
    w.source.profiles_by_id["c000003"]["First"] = "C"
    await w.omnisend.set("/faults", faults=[])

    held = await w.run()
    await w.omnisend.set("/batches/release")
    w.configure(drain_patience=60)
    final = await w.run()

    assert outcome(held) == {"changed": 1, "unchanged": 3, "in_doubt": 1}
    assert {"kind": "held", "count": 1} in held.notes
    assert outcome(final) == {"changed": 1, "unchanged": 4}
    await w.assert_reconciled()


async def test_a_batch_stuck_for_hours_holds_up_neither_the_report_nor_the_next_run_of_others(w: World) -> None:
    vip(w, 150)
    await w.make_export()
    await w.omnisend.assume("batch-delay", "hours")
    w.configure(**HASTY)

    first = await w.run()
    vip(w, 160)
    second = await w.run()
    await w.omnisend.advance(4 * 3600)
    third = await w.run()

    assert outcome(first) == {"in_doubt": 150}
    assert outcome(second) == {"in_doubt": 160}
    assert outcome(third) == {"unchanged": 160}
    await w.assert_reconciled()


# --- rejected


async def test_a_rejected_contact_is_skipped_until_its_payload_changes(w: World) -> None:
    vip(w, 5)
    await w.make_export()
    await w.omnisend.fault("item-error", times=1)
    await w.run()
    (rejection,) = await w.rejections()
    skipped = await w.run()
    w.source.profiles_by_id[rejection.customer_id]["First"] = "Better"

    run = await w.run()

    assert outcome(skipped) == {"unchanged": 4, "rejected": 1}
    assert {"kind": "refused", "count": 1} in skipped.notes
    assert outcome(run) == {"added": 1, "unchanged": 4}
    assert await w.rejections() == []
    await w.assert_reconciled()


async def test_a_retry_sends_the_rejected_contacts_again(w: World) -> None:
    vip(w, 5)
    await w.make_export()
    await w.omnisend.fault("item-error", times=2)
    await w.run()

    run = await w.run(Trigger.RETRY)

    assert outcome(run) == {"added": 2, "unchanged": 3}
    await w.assert_reconciled()


async def test_a_contact_that_omnisend_never_accepted_is_forgotten(w: World) -> None:
    vip(w, 5)
    await w.make_export()
    await w.omnisend.fault("item-error", times=1)
    await w.run()
    (rejection,) = await w.rejections()
    w.source.members["VIP"].remove(rejection.customer_id)

    run = await w.run()

    assert outcome(run) == {"unchanged": 4}
    assert len(await w.ledger()) == 4


async def test_a_contact_whose_change_was_rejected_is_still_ours_to_remove(w: World) -> None:
    vip(w, 5)
    await w.make_export()
    await w.run()
    w.source.profiles_by_id["c000002"]["First"] = "Refused"
    await w.omnisend.fault("item-error", times=1)
    refused = await w.run()
    w.source.members["VIP"].remove("c000002")

    run = await w.run()

    assert outcome(refused) == {"unchanged": 4, "rejected": 1}
    assert outcome(run) == {"removed": 1, "unchanged": 4}
    await w.assert_reconciled()


async def test_a_rejected_change_that_is_taken_back_is_sent(w: World) -> None:
    vip(w, 5)
    await w.make_export()
    await w.run()
    w.source.profiles_by_id["c000002"]["First"] = "Refused"
    await w.omnisend.fault("item-error", times=1)
    await w.run()
    w.source.profiles_by_id["c000002"]["First"] = "Zoë 2"

    assert outcome(await w.run()) == {"changed": 1, "unchanged": 4}
    await w.assert_reconciled()


async def test_every_unfit_profile_is_kept_with_its_reason_and_a_sealed_email(w: World) -> None:
    vip(w, 5)
    w.source.profiles_by_id["c000000"]["Email"] = None
    w.source.profiles_by_id["c000001"]["Email"] = "who is this"
    w.source.profiles_by_id["c000002"]["Email"] = "x" * 65 + "@example.com"
    await w.make_export()

    run = await w.run()
    again = await w.run()

    reasons = {rejection.customer_id: rejection.reason for rejection in await w.rejections()}
    assert reasons == {"c000000": "missing_email", "c000001": "invalid_email", "c000002": "email_too_long"}
    assert not any(b"who is this" in rejection.email for rejection in await w.rejections())
    assert (run.rejected, again.rejected) == (3, 3)


async def test_whose_rejection_it_is_stands_beside_it(w: World) -> None:
    vip(w, 5)
    await w.make_export()
    await w.omnisend.fault("item-error", times=1)

    await w.run()

    (rejection,) = await w.rejections()
    assert rejection.customer_id in w.source.members["VIP"]
    assert rejection.detail
    assert "@" not in rejection.detail


async def test_whose_rejection_it_is_is_found_also_when_an_earlier_run_sent_it(w: World) -> None:
    vip(w, 5)
    await w.make_export()
    await w.omnisend.set(
        "/faults", faults=[{"kind": "stuck", "rate": 1}, {"kind": "item-error", "rate": 1, "times": 1}]
    )
    w.configure(**HASTY)
    await w.run()
    await w.omnisend.set("/faults", faults=[{"kind": "item-error", "rate": 1, "times": 1}])
    await w.omnisend.set("/batches/release")
    w.configure(drain_patience=60)

    await w.run()

    assert {rejection.customer_id for rejection in await w.rejections()} <= w.source.members["VIP"]


# --- everything again, nobody any more


async def test_a_full_resync_sends_everybody_again(w: World) -> None:
    vip(w, 130)
    await w.make_export()
    await w.run()
    await w.omnisend.upsert("person5@example.com", firstName="Overwritten in the shop")
    before = await w.asked_so_far()

    run = await w.run(Trigger.RESYNC)

    assert outcome(run) == {"changed": 130}
    assert await w.posted(since=before) == 2
    await w.assert_reconciled()


@pytest.mark.parametrize("leavers", Leavers)
async def test_emptying_an_export_takes_everybody_out(w: World, leavers: Leavers) -> None:
    vip(w, 30)
    await w.make_export(leavers=leavers)
    await w.run()

    run = await w.run(Trigger.EMPTY)

    assert outcome(run) == {"removed": 30}
    assert await w.members("VIP") == set()
    assert await w.ledger() == []


# --- helpers


async def lose_the_ledger(w: World) -> None:
    async with w.database.write() as session:
        for table in (LedgerEntry, Batch, Rejection):
            await session.exec(delete(table))


async def suppress(w: World, email: str) -> None:
    async with w.database.write() as session:
        session.add(Suppression(team_id=TEAM, digest=w.keys.digest.of_email(email)))
