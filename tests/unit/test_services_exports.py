"""Exports: set-up and what it refuses, ownership of segments, what happens to deselected ones, ending.

Reference: customer-insights.md §1 (Email required, Save never runs), §3 (detach, duplicate, remove) and §15 (the same
segment twice to one target); omnisend-api.md §3.5 (custom properties).
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import func, select

from bot.access import Action, Denied
from bot.pipeline.mapping import EmailNotMapped, Line, MappedTwice, MappingError, TooManyProperties, UnknownField
from bot.pipeline.sources import Sources
from bot.services.connections import consent_text
from bot.services.errors import (
    ConnectionMissing,
    ExportBusy,
    ExportGone,
    ExportNameTaken,
    ExportUnknown,
    FieldError,
    LimitBad,
    LimitUnknown,
    NameMissing,
    ScheduleMissing,
    SegmentNotOffered,
    SegmentOwned,
    SegmentOwnedElsewhere,
    SegmentsAlike,
    SegmentsMissing,
    TimeBad,
    TimesMissing,
    TooManySegments,
    TooManyTimes,
    WeekdaysBad,
    ZoneUnknown,
)
from bot.services.schedules import ScheduleDraft
from bot.sources.base import SourceError
from storage.models import (
    Audience,
    AuditEntry,
    Batch,
    Book,
    Export,
    ExportSegment,
    FieldMapping,
    Leavers,
    LedgerEntry,
    MappingKind,
    Run,
    RunStatus,
    Schedule,
    SegmentState,
    When,
)
from tests.unit.services_world import (
    ADMIN,
    ANN,
    BOB,
    CONNECTION,
    LINES,
    SHOP_KEY,
    SHOP_KEY_TOO,
    STORE,
    STORE_KEY,
    STRANGER,
    ServicesWorld,
    draft,
    id_of,
    services_world,
)

DAILY = ScheduleDraft(("06:00",), zone="Europe/Berlin")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ServicesWorld]:
    async with services_world(tmp_path) as world:
        yield world


async def segments(world: ServicesWorld, export: Export) -> dict[str, SegmentState]:
    rows = await world.rows(ExportSegment)
    return {segment.name: segment.state for segment in rows if segment.export_id == export.id}


# --- saving


async def test_an_export_keeps_what_was_chosen(world: ServicesWorld) -> None:
    connection = await world.shared()
    export = await world.export(
        connection,
        ANN,
        name="  VIP   to shop ",
        segments=("VIP", "客戶細分", "VIP"),
        lines=(Line("custom:Town", "Town", clear=True), *LINES, Line("lastName", "{Town}!", MappingKind.TEMPLATE)),
        when=When.OWN,
        schedule=DAILY,
        channel=" C0MARKETING ",
        leavers=Leavers.KEEP,
        limits={"fall": 0.1, "rejects": 0.2},
        notify=("U1", "U1"),
    )
    view = await world.exports.get(ANN, id_of(export))
    stored = view.export
    assert (stored.name, stored.owner, stored.connection_id) == ("VIP to shop", ANN.user_id, connection.id)
    assert (stored.when, stored.channel, stored.leavers) == (When.OWN, "C0MARKETING", Leavers.KEEP)
    assert (stored.limits, stored.notify) == ({"fall": 0.1}, ["U1"])
    assert [line.attribute for line in view.lines] == ["email", "custom:Town", "firstName", "lastName"]
    assert [line.clear for line in view.lines] == [False, True, False, False]
    assert view.selected == ["VIP", "客戶細分"]
    assert view.schedule is not None
    assert (view.schedule.times, view.schedule.zone) == (["06:00"], "Europe/Berlin")
    assert view.next_due == view.schedule.next_due is not None


async def test_saving_never_runs_anything_and_tells_the_scheduler(world: ServicesWorld) -> None:
    await world.export(await world.connection(), when=When.REFRESH)
    assert await world.rows(Run) == []
    assert (world.nudges, world.reloads) == (0, 1)


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"name": " "}, NameMissing, "name"),
        ({"segments": ()}, SegmentsMissing, "segments"),
        ({"segments": tuple(f"s{n}" for n in range(101))}, TooManySegments, "segments"),
        ({"segments": ("Gone",)}, SegmentNotOffered, "segments"),
        ({"segments": ("Café", "Cafe\u0301")}, SegmentsAlike, "segments"),
        ({"limits": {"luck": 1}}, LimitUnknown, "limits"),
        ({"limits": {"fall": 1.5}}, LimitBad, "limits"),
        ({"limits": {"removals": -0.1}}, LimitBad, "limits"),
        ({"limits": {"rejects": float("nan")}}, LimitBad, "limits"),
        ({"when": When.OWN}, ScheduleMissing, "schedule"),
        ({"when": When.OWN, "schedule": replace(DAILY, times=())}, TimesMissing, "times"),
        ({"when": When.OWN, "schedule": replace(DAILY, times=("25:00",))}, TimeBad, "times"),
        ({"when": When.OWN, "schedule": replace(DAILY, times=("noon",))}, TimeBad, "times"),
        ({"when": When.OWN, "schedule": replace(DAILY, times=("1:00", "2:00", "3:00", "4:00", "5:00"))},
         TooManyTimes, "times"),
        ({"when": When.OWN, "schedule": replace(DAILY, weekdays=())}, WeekdaysBad, "weekdays"),
        ({"when": When.OWN, "schedule": replace(DAILY, weekdays=(7,))}, WeekdaysBad, "weekdays"),
        ({"when": When.OWN, "schedule": replace(DAILY, zone="Mars/Olympus")}, ZoneUnknown, "zone"),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_draft_is_said_at_its_field_and_nothing_is_stored(
    world: ServicesWorld, changes: dict[str, Any], error: type[FieldError], field: str
) -> None:
    with pytest.raises(error) as raised:
        await world.export(await world.connection(), **changes)
    assert raised.value.field == field
    assert await world.rows(Export) == []


@pytest.mark.parametrize(
    ("lines", "error", "attribute"),
    [
        ((), EmailNotMapped, "email"),
        ((Line("firstName", "FirstName"),), EmailNotMapped, "email"),
        ((*LINES, Line("lastName", "Surname")), UnknownField, "lastName"),
        ((*LINES, Line("firstName", "Town")), MappedTwice, "firstName"),
        ((*LINES, *(Line(f"custom:p{n}", "Town") for n in range(200))), TooManyProperties, "custom"),
    ],
)
async def test_a_mapping_that_can_not_be_sent_is_refused_at_its_line(
    world: ServicesWorld, lines: tuple[Line, ...], error: type[MappingError], attribute: str
) -> None:
    with pytest.raises(error) as raised:
        await world.export(await world.connection(), lines=lines)
    assert raised.value.attribute == attribute
    assert await world.rows(Export) == []


async def test_a_hundred_segments_are_not_too_many(world: ServicesWorld) -> None:
    names = tuple(f"Segment {n}" for n in range(100))
    world.engine.source_of_tables.members = {name: {"c1"} for name in names}
    assert len(await segments(world, await world.export(await world.connection(), segments=names))) == 100


@pytest.mark.parametrize("name", ["VIP to shop", "vip TO shop", "viptoshop", "»VIP to shop«"])
async def test_a_name_is_taken_whatever_its_case_and_blanks(world: ServicesWorld, name: str) -> None:
    connection = await world.connection()
    await world.export(connection)
    with pytest.raises(ExportNameTaken, match=r"\*VIP to shop\*"):
        await world.export(connection, name=name, segments=("New",))


async def test_an_export_may_be_saved_under_its_own_name_again(world: ServicesWorld) -> None:
    connection = await world.connection()
    export = await world.export(connection)
    assert (await world.exports.save(ADMIN, draft(connection, name="vip to shop"), id_of(export))).name == "vip to shop"


async def test_the_owner_stays_when_somebody_else_edits(world: ServicesWorld) -> None:
    connection = await world.shared()
    export = await world.export(connection, ANN)
    assert (await world.exports.save(ADMIN, draft(connection), id_of(export))).owner == ANN.user_id


async def test_a_connection_whose_consent_was_withdrawn_can_not_be_chosen(world: ServicesWorld) -> None:
    connection = await world.connection()
    await world.connections.withdraw(ADMIN, id_of(connection))
    with pytest.raises(ConnectionMissing) as raised:
        await world.export(connection)
    assert raised.value.field == "connection_id"


async def test_a_source_that_can_not_be_read_is_said_and_nothing_is_stored(world: ServicesWorld) -> None:
    connection = await world.connection()
    world.engine.sources = Sources({})
    with pytest.raises(Exception, match="No source is configured"):
        await world.export(connection)
    assert await world.rows(Export) == []


async def test_an_export_that_was_removed_meanwhile_is_not_brought_back_by_an_old_form(world: ServicesWorld) -> None:
    connection = await world.connection()
    export = await world.export(connection)
    await world.exports.remove(ADMIN, id_of(export))
    with pytest.raises(ExportGone):
        await world.exports.save(ADMIN, draft(connection), id_of(export))


# --- the mapping


async def test_an_edited_mapping_keeps_the_field_types_of_lines_that_stay(world: ServicesWorld) -> None:
    connection = await world.connection()
    lines = (*LINES, Line("custom:Points", "Points"))
    export = await world.export(connection, lines=lines)
    world.engine.source_of_tables.types = {"Points": "text", "Town": "category"}
    await world.exports.save(ADMIN, draft(connection, lines=(*lines, Line("city", "Town"))), id_of(export))
    types = {row.attribute: row.field_type for row in await world.rows(FieldMapping)}
    assert types == {"email": "text", "firstName": "text", "custom:Points": "integer", "city": "category"}


async def test_a_line_that_is_made_from_another_field_gets_that_fields_type(world: ServicesWorld) -> None:
    connection = await world.connection()
    export = await world.export(connection, lines=(*LINES, Line("custom:Level", "Points")))
    await world.exports.save(ADMIN, draft(connection, lines=(*LINES, Line("custom:Level", "Town"))), id_of(export))
    assert {row.attribute: row.field_type for row in await world.rows(FieldMapping)}["custom:Level"] == "text"


# --- segments belong to one export of a brand


async def test_a_segment_gets_one_property_that_is_the_same_everywhere(world: ServicesWorld) -> None:
    await world.export(await world.connection(), segments=("VIP", "客戶細分"))
    properties = [segment.property_name for segment in await world.rows(ExportSegment)]
    assert properties[0].startswith("segment_vip_")
    assert properties[1].startswith("segment_")
    assert len(set(properties)) == 2


async def test_a_second_export_of_a_segment_to_one_brand_is_refused_and_names_the_first(world: ServicesWorld) -> None:
    await world.export(await world.connection(), segments=("VIP", "New"))
    other = await world.connection(name="Shop again", api_key=SHOP_KEY_TOO)
    with pytest.raises(SegmentOwned, match=r"\*VIP\*.*\*VIP to shop\*") as raised:
        await world.export(other, name="Second", segments=("Lost", "VIP"))
    assert raised.value.field == "segments"
    assert [export.name for export in await world.rows(Export)] == ["VIP to shop"]


async def test_a_segment_may_go_to_two_brands(world: ServicesWorld) -> None:
    await world.export(await world.connection())
    store = await world.connection(name="Store", api_key=STORE_KEY)
    assert await segments(world, await world.export(store, name="VIP to store")) == {"VIP": SegmentState.SELECTED}


async def test_names_that_only_look_alike_are_one_segment_to_omnisend(world: ServicesWorld) -> None:
    world.engine.source_of_tables.members = {"Café": {"c1"}, "Cafe\u0301": {"c1"}}
    connection = await world.connection()
    await world.export(connection, segments=("Café",))
    with pytest.raises(SegmentOwned):
        await world.export(connection, name="Second", segments=("Cafe\u0301",))


async def test_another_workspaces_export_is_not_named(world: ServicesWorld) -> None:
    await world.export(await world.connection())
    theirs = await world.connections.connect(STRANGER, replace(CONNECTION, api_key=SHOP_KEY))
    with pytest.raises(SegmentOwnedElsewhere) as raised:
        await world.exports.save(STRANGER, draft(theirs, name="Theirs"))
    assert "VIP to shop" not in str(raised.value)


async def test_a_removed_export_leaves_its_segments_to_others(world: ServicesWorld) -> None:
    connection = await world.connection()
    await world.exports.remove(ADMIN, id_of(await world.export(connection)))
    await world.export(connection, name="Second")


async def test_a_segment_that_was_never_sent_is_removed_at_once_when_it_is_deselected(world: ServicesWorld) -> None:
    connection = await world.connection()
    export = await world.export(connection, segments=("VIP", "New"))
    await world.exports.save(ADMIN, draft(connection, segments=("New",)), id_of(export))
    assert await segments(world, export) == {"New": SegmentState.SELECTED}


async def test_a_segment_that_was_sent_is_dropped_when_it_is_deselected_and_may_come_back(
    world: ServicesWorld,
) -> None:
    connection = await world.connection()
    export = await world.export(connection, segments=("VIP", "New"))
    await world.sent(export)
    await world.exports.save(ADMIN, draft(connection, segments=("New",)), id_of(export))
    assert await segments(world, export) == {"VIP": SegmentState.DROPPING, "New": SegmentState.SELECTED}
    await world.exports.save(ADMIN, draft(connection, segments=("VIP", "New")), id_of(export))
    assert await segments(world, export) == {"VIP": SegmentState.SELECTED, "New": SegmentState.SELECTED}


async def test_a_segment_that_is_being_dropped_still_belongs_to_its_export(world: ServicesWorld) -> None:
    connection = await world.connection()
    export = await world.export(connection, segments=("VIP", "New"))
    await world.sent(export)
    await world.exports.save(ADMIN, draft(connection, segments=("New",)), id_of(export))
    with pytest.raises(SegmentOwned):
        await world.export(connection, name="Second", segments=("VIP",))


async def test_a_segment_that_is_gone_from_the_source_does_not_hold_up_an_edit(world: ServicesWorld) -> None:
    connection = await world.connection()
    export = await world.export(connection, segments=("VIP", "New"))
    del world.engine.source_of_tables.members["VIP"]
    await world.exports.save(ADMIN, draft(connection, segments=("VIP", "New"), channel="C1"), id_of(export))
    with pytest.raises(SegmentNotOffered):
        await world.export(connection, name="Second", segments=("Gone",))


async def test_for_a_segment_that_is_not_there_the_one_that_may_be_meant_is_named(world: ServicesWorld) -> None:
    with pytest.raises(SegmentNotOffered, match=r"Did you mean \*VIP\*\?"):
        await world.export(await world.connection(), segments=("vip",))


async def test_an_export_that_moves_to_another_brand_takes_its_segments_along(world: ServicesWorld) -> None:
    connection = await world.connection()
    export = await world.export(connection, segments=("VIP", "New"))
    await world.sent(export)
    store = await world.connection(name="Store", api_key=STORE_KEY)
    await world.exports.save(ADMIN, draft(store, segments=("VIP",)), id_of(export))
    rows = await world.rows(ExportSegment)
    assert [(segment.name, segment.brand_id) for segment in rows] == [("VIP", STORE.id)]
    await world.export(connection, name="Second")


async def test_an_export_does_not_move_to_another_brand_in_the_middle_of_a_run(world: ServicesWorld) -> None:
    export = await world.export(await world.connection())
    await world.runs.start(ADMIN, id_of(export))
    store = await world.connection(name="Store", api_key=STORE_KEY)
    with pytest.raises(ExportBusy):
        await world.exports.save(ADMIN, draft(store), id_of(export))


# --- schedules of its own


async def test_an_export_that_no_longer_has_its_own_times_loses_its_schedule(world: ServicesWorld) -> None:
    connection = await world.connection()
    export = await world.export(connection, when=When.OWN, schedule=DAILY)
    await world.exports.save(ADMIN, draft(connection, when=When.REFRESH, schedule=DAILY), id_of(export))
    assert await world.rows(Schedule) == []


async def test_an_edit_that_leaves_the_times_alone_leaves_the_due_time_alone(world: ServicesWorld) -> None:
    connection = await world.connection()
    export = await world.export(connection, when=When.OWN, schedule=DAILY)
    (before,) = await world.rows(Schedule)
    await world.exports.save(ADMIN, draft(connection, when=When.OWN, schedule=DAILY, channel="C1"), id_of(export))
    later = replace(DAILY, times=("6:30", "06:30"))
    assert [row.next_due for row in await world.rows(Schedule)] == [before.next_due]
    await world.exports.save(ADMIN, draft(connection, when=When.OWN, schedule=later), id_of(export))
    (after,) = await world.rows(Schedule)
    assert (after.times, after.id) == (["06:30"], before.id)
    assert after.next_due != before.next_due


# --- remarks


async def test_segments_of_other_exports_are_known_before_anything_is_saved(world: ServicesWorld) -> None:
    connection = await world.shared()
    export = await world.export(connection)
    key = id_of(connection)
    assert await world.exports.owned_elsewhere(ANN, key, ["VIP", "New"]) == {"VIP": "VIP to shop"}
    assert await world.exports.owned_elsewhere(ANN, key, ["VIP", "New"], export.id) == {}
    with pytest.raises(Denied):
        await world.exports.owned_elsewhere(BOB, key, ["VIP"])


async def test_two_exports_that_make_one_attribute_from_different_fields_are_remarked(world: ServicesWorld) -> None:
    connection = await world.connection()
    await world.export(connection)
    lines = (Line("email", "Email"), Line("firstName", "Town"))
    second = await world.export(connection, name="Second", segments=("New",), lines=lines)
    (first,) = [one for one in await world.exports.remarks(ADMIN, id_of(second)) if one.kind == "mapped-differently"]
    assert first.facts == {"attribute": "firstName", "other": "VIP to shop"}
    assert "VIP to shop" in first.explain()


async def test_exports_of_different_brands_do_not_bother_each_other(world: ServicesWorld) -> None:
    await world.export(await world.connection())
    store = await world.connection(name="Store", api_key=STORE_KEY)
    lines = (Line("email", "Email"), Line("firstName", "Town"))
    export = await world.export(store, name="Second", lines=lines)
    assert [remark.kind for remark in await world.exports.remarks(ADMIN, id_of(export))] == [
        "non-subscribed",
        "automations",
    ]


async def test_whoever_relies_on_a_refresh_that_is_off_is_told(world: ServicesWorld) -> None:
    export = await world.export(await world.connection(), when=When.REFRESH)
    assert "no-schedule" in [remark.kind for remark in await world.exports.remarks(ADMIN, id_of(export))]
    await world.hooks.issue(ADMIN)
    kinds = [remark.kind for remark in await world.exports.remarks(ADMIN, id_of(export))]
    assert "webhook-only" in kinds
    assert "no-schedule" not in kinds
    await world.schedules.set_refresh(ADMIN, ["06:00"], range(7), "UTC")
    assert "no-schedule" not in [remark.kind for remark in await world.exports.remarks(ADMIN, id_of(export))]


# --- what the source offers


async def test_the_choices_come_with_suggestions_and_member_counts(world: ServicesWorld) -> None:
    connection = await world.shared()
    choices = await world.exports.choices(ANN, id_of(connection))
    assert [field.name for field in choices.fields] == ["Email", "FirstName", "Town", "Points"]
    assert {segment.name: segment.members for segment in choices.segments}["VIP"] == 1
    assert choices.suggestions == {"email": "Email", "firstName": "FirstName", "city": "Town"}
    assert await world.exports.count(ANN, id_of(connection), "VIP") == 1


async def test_examples_are_masked_unless_the_consent_allows_full_values(world: ServicesWorld) -> None:
    connection = await world.connection()
    wanted = ["Email", "Town", "Points"]
    assert await world.exports.samples(ADMIN, id_of(connection), wanted) == {
        "Email": "a•••@e•••.com",
        "Town": "B•••",
        "Points": "•••",
    }
    await world.connections.agree_again(
        ADMIN, id_of(connection), language="en", text_shown=consent_text(), full_values_in_slack=True
    )
    full = await world.exports.samples(ADMIN, id_of(connection), wanted)
    assert full == {"Email": "ann.lee@example.com", "Town": "Bern", "Points": "3"}


async def test_an_error_of_the_source_reaches_who_asked(world: ServicesWorld) -> None:
    class Unreadable(type(world.engine.source_of_tables)):  # type: ignore[misc]
        async def fields(self) -> list[object]:
            raise SourceError

    connection = await world.connection()
    world.engine.sources = Sources({"tables": Unreadable()})
    with pytest.raises(SourceError):
        await world.exports.choices(ADMIN, id_of(connection))


# --- finding


@pytest.mark.parametrize("asked", ["VIP to shop", " vip  TO shop ", "VIPTOSHOP", "“VIP to shop”", '"vip to shop"'])
async def test_an_export_is_found_whatever_the_case_blanks_and_quotes(world: ServicesWorld, asked: str) -> None:
    export = await world.export(await world.connection())
    assert (await world.exports.find(BOB, asked)).id == export.id


@pytest.mark.parametrize(
    ("asked", "near"), [("VIP", ("VIP to shop",)), ("VIP to shpo", ("VIP to shop",)), ("zzz", ()), ("", ())]
)
async def test_a_name_that_is_not_there_brings_those_that_were_perhaps_meant(
    world: ServicesWorld, asked: str, near: tuple[str, ...]
) -> None:
    await world.export(await world.connection())
    with pytest.raises(ExportUnknown) as raised:
        await world.exports.find(ADMIN, asked)
    assert raised.value.suggestions == near


# --- duplicate, pause, detach, remove


async def test_a_copy_has_the_settings_and_no_segments_and_runs_by_hand_only(world: ServicesWorld) -> None:
    original = await world.export(await world.shared(), when=When.REFRESH, channel="C1", limits={"fall": 0.1})
    copy = await world.exports.duplicate(ANN, id_of(original))
    again = await world.exports.duplicate(ANN, id_of(original))
    view = await world.exports.get(ANN, id_of(copy))
    assert (copy.name, again.name) == ("VIP to shop (copy)", "VIP to shop (copy 2)")
    assert (copy.owner, copy.when, copy.channel, copy.limits) == (ANN.user_id, When.MANUAL, "C1", {"fall": 0.1})
    assert (view.lines, view.segments) == (LINES, ())
    assert view.obstacle is not None
    assert view.obstacle.code == "no-segments"


async def test_a_copy_can_be_given_a_name(world: ServicesWorld) -> None:
    original = await world.export(await world.connection())
    assert (await world.exports.duplicate(ADMIN, id_of(original), " Spring ")).name == "Spring"
    with pytest.raises(ExportNameTaken):
        await world.exports.duplicate(ADMIN, id_of(original), "spring")


async def test_the_copy_of_a_long_name_is_not_too_long(world: ServicesWorld) -> None:
    original = await world.export(await world.connection(), name="x" * 75)
    assert len((await world.exports.duplicate(ADMIN, id_of(original))).name) == 75


async def test_a_paused_export_has_no_next_run_until_it_is_resumed(world: ServicesWorld) -> None:
    export = await world.export(await world.connection(), when=When.OWN, schedule=DAILY)
    await world.exports.pause(ADMIN, id_of(export))
    assert (await world.exports.get(ADMIN, id_of(export))).next_due is None
    await world.exports.pause(ADMIN, id_of(export))
    await world.exports.resume(ADMIN, id_of(export))
    assert (await world.exports.get(ADMIN, id_of(export))).next_due is not None
    actions = [action for _, action, _ in await world.audited()]
    assert actions[-2:] == ["export.paused", "export.resumed"]


async def test_a_detached_export_keeps_its_settings_stops_and_is_its_owners(world: ServicesWorld) -> None:
    export = await world.export(await world.shared(), ANN)
    run = await world.running(await world.runs.start(ANN, id_of(export)))
    await world.exports.detach(ADMIN, id_of(export))
    assert (await world.row(Run, run.id)).cancel_requested_by == ADMIN.user_id
    view = await world.exports.get(ANN, id_of(export))
    assert (view.connection_name, view.lines, view.selected) == ("", LINES, ["VIP"])
    assert (view.may_edit, view.obstacle is not None) == (True, True)
    with pytest.raises(Denied) as raised:
        await world.exports.pause(BOB, id_of(export))
    assert raised.value.action is Action.EDIT_EXPORT


async def test_an_export_that_somebody_else_detaches_tells_its_owner(world: ServicesWorld) -> None:
    export = await world.export(await world.shared(), ANN)
    await world.exports.detach(ADMIN, id_of(export))
    (told,) = await world.heard("export.detached")
    assert (told.channel, told.facts["connection"], told.facts["by"]) == (ANN.user_id, "Shop", ADMIN.user_id)
    assert not told.facts["withdrawn"]


async def test_an_owner_who_detaches_their_own_export_is_not_told(world: ServicesWorld) -> None:
    export = await world.export(await world.shared(), ANN)
    await world.exports.detach(ANN, id_of(export))
    assert await world.heard("export.detached") == []


async def test_a_detached_export_runs_again_once_it_has_a_connection(world: ServicesWorld) -> None:
    connection = await world.connection()
    export = await world.export(connection)
    await world.exports.detach(ADMIN, id_of(export))
    await world.exports.save(ADMIN, draft(connection), id_of(export))
    assert (await world.exports.get(ADMIN, id_of(export))).obstacle is None


async def test_removal_takes_the_ledger_and_keeps_the_runs(world: ServicesWorld) -> None:
    connection = await world.connection()
    export = await world.export(connection, when=When.OWN, schedule=DAILY)
    other = await world.export(connection, name="Other", segments=("New",))
    await world.sent(export, emails=("a@b.example", "c@d.example"))
    await world.sent(other, emails=("e@f.example",))
    await world.exports.remove(ADMIN, id_of(export))
    assert [each.name for each in await world.rows(Export)] == ["Other"]
    for model in (Book, Batch):
        assert len(await world.rows(model)) == 1
    async with world.database.read() as session:
        assert (await session.exec(select(func.count()).select_from(LedgerEntry))).one() == 1
    assert {(run.export_name, run.export_id) for run in await world.rows(Run)} == {
        ("VIP to shop", None),
        ("Other", other.id),
    }
    assert await world.rows(Schedule) == []
    entry = (await world.rows(AuditEntry))[-1]
    assert (entry.action, entry.facts) == (
        "export.removed",
        {"name": "VIP to shop", "segments": ["VIP"], "ledgers": 1},
    )


async def test_an_export_is_not_removed_while_it_runs(world: ServicesWorld) -> None:
    export = await world.export(await world.connection())
    await world.runs.start(ADMIN, id_of(export))
    with pytest.raises(ExportBusy):
        await world.exports.remove(ADMIN, id_of(export))


async def test_removal_closes_a_question_that_is_open(world: ServicesWorld) -> None:
    export = await world.export(await world.connection())
    run = await world.asking(await world.runs.start(ADMIN, id_of(export)))
    await world.exports.remove(ADMIN, id_of(export))
    assert (await world.row(Run, run.id)).status is RunStatus.CANCELLED


# --- lists


async def test_the_list_shows_connection_last_run_next_run_and_what_one_may_do(world: ServicesWorld) -> None:
    connection = await world.connection(audience=Audience.EVERYONE)
    closed = await world.connection(name="Closed", api_key=STORE_KEY)
    scheduled = await world.export(connection, name="b scheduled", when=When.REFRESH)
    await world.export(closed, name="A closed")
    refresh = await world.schedules.set_refresh(ADMIN, ["06:00"], range(7), "UTC")
    first = await world.runs.start(ADMIN, id_of(scheduled))
    await world.set_run(first, RunStatus.DONE)
    last = await world.runs.start(BOB, id_of(scheduled))
    closed_view, open_view = await world.exports.visible(BOB)
    assert [view.export.name for view in (closed_view, open_view)] == ["A closed", "b scheduled"]
    assert (open_view.connection_name, open_view.next_due) == ("Shop", refresh.next_due)
    assert open_view.last_run is not None
    assert open_view.last_run.id == last.id
    assert (open_view.may_run, open_view.may_edit) == (True, True)
    assert (closed_view.may_run, closed_view.may_edit, closed_view.next_due) == (False, False, None)


async def test_every_change_stands_in_the_record(world: ServicesWorld) -> None:
    connection = await world.connection()
    export = await world.export(connection)
    key = id_of(export)
    await world.exports.save(ADMIN, draft(connection), key)
    await world.exports.duplicate(ADMIN, key)
    await world.exports.detach(ADMIN, key)
    await world.exports.remove(ADMIN, key)
    assert await world.audited() == [
        (ADMIN.user_id, "connection.added", "connection/1"),
        (ADMIN.user_id, "export.added", "export/1"),
        (ADMIN.user_id, "export.edited", "export/1"),
        (ADMIN.user_id, "export.duplicated", "export/2"),
        (ADMIN.user_id, "export.detached", "export/1"),
        (ADMIN.user_id, "export.removed", "export/1"),
    ]
