"""Runs: starting and its refusals, stopping, the guard's question, the list of rejected rows; the refresh schedule.

Reference: customer-insights.md §3 (Run, Run all), §4 (the refresh schedule) and §15 (status per run, rejected rows).
"""

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.access import Denied
from bot.pipeline.errors import AlreadyRunning
from bot.pipeline.queue import claim_run
from bot.services import consent as consents
from bot.services.actor import Actor
from bot.services.connections import consent_text
from bot.services.errors import (
    ConsentOutdated,
    ConsentWithdrawn,
    ExportUnknown,
    FieldError,
    NoConnection,
    NoSegments,
    NothingToAdopt,
    Paused,
    QuestionClosed,
    RejectsReplaced,
    RunOver,
    RunUnknown,
    TimesMissing,
    WeekdaysBad,
    ZoneUnknown,
)
from bot.services.schedules import ScheduleDraft
from storage import ledger
from storage.errors import FerryError
from storage.models import (
    Audience,
    AuditEntry,
    Connection,
    ConnectionState,
    Consent,
    Export,
    RejectedBy,
    Rejection,
    Run,
    RunStatus,
    Trigger,
    When,
)
from tests.unit.services_world import (
    ADMIN,
    ANN,
    BOB,
    STORE_KEY,
    STRANGER,
    TEAM,
    ServicesWorld,
    id_of,
    services_world,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ServicesWorld]:
    async with services_world(tmp_path) as world:
        yield world


@pytest.fixture
async def export(world: ServicesWorld) -> Export:
    return await world.export(await world.shared(), ANN, channel="C0MARKETING")


# --- starting


async def test_a_run_is_queued_for_who_asked_and_the_dispatcher_is_nudged(world: ServicesWorld, export: Export) -> None:
    run = await world.runs.start(ANN, id_of(export))
    assert (run.status, run.trigger, run.started_by) == (RunStatus.QUEUED, Trigger.MANUAL, ANN.user_id)
    assert (run.export_name, run.accept_guard, run.due_at) == ("VIP to shop", False, None)
    assert world.nudges == 1
    assert (ANN.user_id, "run.started", f"run/{run.id}") in await world.audited()


async def test_what_the_guard_would_ask_can_be_accepted_beforehand(world: ServicesWorld, export: Export) -> None:
    assert (await world.runs.start(ANN, id_of(export), accept_guard=True)).accept_guard


async def test_a_run_that_is_started_twice_runs_once_and_says_who_started_it(
    world: ServicesWorld, export: Export
) -> None:
    await world.runs.start(ANN, id_of(export))
    with pytest.raises(AlreadyRunning, match=r"\*VIP to shop\* is running already \(started \d\d:\d\d UTC by U0ANN\)"):
        await world.runs.start(ADMIN, id_of(export))
    assert len(await world.rows(Run)) == 1
    assert [action for _, action, _ in await world.audited()].count("run.started") == 1


async def test_exports_run_beside_each_other(world: ServicesWorld, export: Export) -> None:
    connection = await world.row(Connection, export.connection_id)
    second = await world.export(connection, name="Second", segments=("New",))
    await world.runs.start(ANN, id_of(export))
    await world.runs.start(ANN, id_of(second))
    assert len(await world.runs.active(ANN)) == 2


async def test_a_detached_export_does_not_run(world: ServicesWorld, export: Export) -> None:
    await world.exports.detach(ANN, id_of(export))
    with pytest.raises(NoConnection, match="choose a connection"):
        await world.runs.start(ANN, id_of(export))


async def test_a_paused_export_does_not_run(world: ServicesWorld, export: Export) -> None:
    await world.exports.pause(ANN, id_of(export))
    with pytest.raises(Paused, match="Resume it"):
        await world.runs.start(ANN, id_of(export))


async def test_an_export_without_segments_does_not_run(world: ServicesWorld, export: Export) -> None:
    copy = await world.exports.duplicate(ANN, id_of(export))
    with pytest.raises(NoSegments):
        await world.runs.start(ANN, id_of(copy))


async def test_without_consent_nothing_runs(world: ServicesWorld, export: Export) -> None:
    async with world.database.write() as session:
        connection = await session.get_one(Connection, export.connection_id)
        connection.state, connection.api_key = ConnectionState.WITHDRAWN, None
        session.add(connection)
    with pytest.raises(ConsentWithdrawn, match="was withdrawn"):
        await world.runs.start(ANN, id_of(export))


async def test_a_new_text_asks_again_before_the_next_run(
    world: ServicesWorld, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consents, "CONSENT_VERSION", "2031-01.1")
    with pytest.raises(ConsentOutdated, match="agree"):
        await world.runs.start(ANN, id_of(export))
    assert export.connection_id is not None
    await world.connections.agree_again(
        ADMIN, export.connection_id, language="en", text_shown=consent_text(), full_values_in_slack=False
    )
    await world.runs.start(ANN, id_of(export))


async def test_every_refusal_says_what_to_do(world: ServicesWorld, export: Export) -> None:
    await world.exports.pause(ANN, id_of(export))
    with pytest.raises(FerryError) as raised:
        await world.runs.start(ANN, id_of(export))
    assert raised.value.what
    assert raised.value.consequence
    assert raised.value.remedy
    assert world.nudges == 0
    assert await world.rows(Run) == []


async def test_a_retry_a_resync_and_an_emptying_say_what_they_are(world: ServicesWorld, export: Export) -> None:
    first = await world.runs.start(ANN, id_of(export))
    await world.set_run(first, RunStatus.DONE)
    retry = await world.runs.retry_rejected(ANN, id_of(first))
    await world.set_run(retry, RunStatus.DONE)
    resync = await world.runs.resync(ANN, id_of(export))
    await world.set_run(resync, RunStatus.DONE)
    empty = await world.runs.empty(ANN, id_of(export))
    assert [run.trigger for run in (retry, resync, empty)] == [Trigger.RETRY, Trigger.RESYNC, Trigger.EMPTY]


async def test_a_paused_export_can_be_emptied_before_it_is_removed(world: ServicesWorld, export: Export) -> None:
    await world.exports.pause(ANN, id_of(export))
    assert (await world.runs.empty(ANN, id_of(export))).trigger is Trigger.EMPTY


async def test_run_all_runs_what_has_an_active_schedule_and_can_run(world: ServicesWorld) -> None:
    connection = await world.connection(audience=Audience.EVERYONE)
    daily = ScheduleDraft(("06:00",))
    off = ScheduleDraft(("06:00",), active=False)
    world.engine.source_of_tables.members |= {f"s{number}": {"c1"} for number in range(7)}
    settings: dict[str, dict[str, Any]] = {
        "with refresh": {"when": When.REFRESH},
        "own": {"when": When.OWN, "schedule": daily},
        "own but off": {"when": When.OWN, "schedule": off},
        "by hand": {},
        "paused": {"when": When.REFRESH},
        "running": {"when": When.REFRESH},
        "last": {"when": When.REFRESH},
    }
    for number, (name, changes) in enumerate(settings.items()):
        await world.export(connection, name=name, segments=(f"s{number}",), **changes)
    closed = await world.connection(name="Closed", api_key=STORE_KEY)
    await world.export(closed, name="not shared", when=When.REFRESH)
    await world.exports.pause(ADMIN, id_of(await world.exports.find(ADMIN, "paused")))
    await world.runs.start(ADMIN, id_of(await world.exports.find(ADMIN, "running")))

    started = await world.runs.run_all(BOB)

    assert [(run.export_name, run.started_by) for run in started] == [
        ("with refresh", BOB.user_id),
        ("own", BOB.user_id),
        ("last", BOB.user_id),
    ]
    assert len(await world.rows(Run)) == 4


async def test_run_all_with_nothing_to_run_starts_nothing(world: ServicesWorld) -> None:
    assert await world.runs.run_all(ADMIN) == []


# --- preview


async def test_a_preview_starts_nothing(world: ServicesWorld, export: Export) -> None:
    assert (await world.runs.preview(ANN, id_of(export))).comparison.added == 1
    assert await world.rows(Run) == []
    assert not await world.runs.may_show_full_values(ANN, id_of(export))


async def test_a_detached_export_has_no_preview(world: ServicesWorld, export: Export) -> None:
    await world.exports.detach(ANN, id_of(export))
    with pytest.raises(NoConnection):
        await world.runs.preview(ANN, id_of(export))


# --- cancel


async def test_a_run_under_way_is_asked_to_stop(world: ServicesWorld, export: Export) -> None:
    run = await world.running(await world.runs.start(ANN, id_of(export)))
    cancelled = await world.runs.cancel(ADMIN, id_of(run))
    assert (cancelled.status, cancelled.cancel_requested_by) == (RunStatus.RUNNING, ADMIN.user_id)


async def test_a_run_that_waits_ends_at_once_and_the_channel_hears_it(world: ServicesWorld, export: Export) -> None:
    run = await world.runs.start(ANN, id_of(export))
    cancelled = await world.runs.cancel(ANN, id_of(run))
    assert (cancelled.status, cancelled.ended_at is not None) == (RunStatus.CANCELLED, True)
    (message,) = await world.heard("run.finished")
    assert (message.channel, message.facts) == ("C0MARKETING", {"run_id": run.id})
    assert await claim_run(world.database, id_of(run), "a dispatcher") is None


async def test_a_double_click_cancels_once(world: ServicesWorld, export: Export) -> None:
    run = await world.running(await world.runs.start(ANN, id_of(export)))
    await world.runs.cancel(ANN, id_of(run))
    assert (await world.runs.cancel(ADMIN, id_of(run))).cancel_requested_by == ANN.user_id
    assert [action for _, action, _ in await world.audited()].count("run.cancelled") == 1


async def test_a_run_that_is_over_can_not_be_cancelled_and_says_how_it_ended(
    world: ServicesWorld, export: Export
) -> None:
    run = await world.set_run(await world.runs.start(ANN, id_of(export)), RunStatus.DONE)
    with pytest.raises(RunOver, match="done"):
        await world.runs.cancel(ANN, id_of(run))


# --- the guard's question


async def test_send_lets_the_same_run_go_on_with_what_was_found_accepted(world: ServicesWorld, export: Export) -> None:
    run = await world.asking(await world.running(await world.runs.start(ANN, id_of(export))))
    answered = await world.runs.answer(ADMIN, id_of(run), True)
    assert (answered.id, answered.status, answered.accept_guard) == (run.id, RunStatus.QUEUED, True)
    assert (answered.ended_at, answered.started_by) == (None, ANN.user_id)
    assert (ADMIN.user_id, "guard.accepted", f"run/{run.id}") in await world.audited()


async def test_skip_ends_the_run_and_the_channel_hears_it(world: ServicesWorld, export: Export) -> None:
    run = await world.asking(await world.runs.start(ANN, id_of(export)))
    assert (await world.runs.answer(ANN, id_of(run), False)).status is RunStatus.SKIPPED
    assert [message.facts for message in await world.heard("run.finished")] == [{"run_id": run.id}]
    assert (await world.rows(AuditEntry))[-1].facts == {"export": "VIP to shop", "findings": ["fall"]}


@pytest.mark.parametrize("send", [True, False])
async def test_the_second_answer_says_that_things_have_changed(
    world: ServicesWorld, export: Export, send: bool
) -> None:
    run = await world.asking(await world.runs.start(ANN, id_of(export)))
    await world.runs.answer(ANN, id_of(run), False)
    with pytest.raises(QuestionClosed, match="skipped"):
        await world.runs.answer(ADMIN, id_of(run), send)


async def test_a_new_run_closes_the_question_of_an_older_one(world: ServicesWorld, export: Export) -> None:
    older = await world.asking(await world.runs.start(ANN, id_of(export)))
    await world.runs.start(ANN, id_of(export))
    closed = await world.row(Run, older.id)
    assert (closed.status, closed.notes) == (RunStatus.SKIPPED, [{"kind": "question_superseded"}])
    with pytest.raises(QuestionClosed):
        await world.runs.answer(ANN, id_of(older), True)


async def test_an_answer_does_not_send_what_may_no_longer_be_sent(world: ServicesWorld, export: Export) -> None:
    run = await world.asking(await world.runs.start(ANN, id_of(export)))
    await world.exports.pause(ANN, id_of(export))
    with pytest.raises(Paused):
        await world.runs.answer(ANN, id_of(run), True)
    assert (await world.row(Run, run.id)).status is RunStatus.ASKING


LOST = {"kind": "ledger_behind", "ledger": 0, "at_omnisend": 40}


async def test_adopt_lets_the_same_run_rebuild_the_ledger_and_look_again(world: ServicesWorld, export: Export) -> None:
    run = await world.asking(await world.running(await world.runs.start(ANN, id_of(export))), LOST)
    answered = await world.runs.adopt(ADMIN, id_of(run))
    assert (answered.id, answered.status, answered.trigger) == (run.id, RunStatus.QUEUED, Trigger.ADOPT)
    assert (answered.accept_guard, answered.started_by) == (False, ADMIN.user_id)
    assert (ADMIN.user_id, "guard.adopted", f"run/{run.id}") in await world.audited()


async def test_adopt_is_refused_where_the_ledger_is_not_what_is_asked_about(
    world: ServicesWorld, export: Export
) -> None:
    run = await world.asking(await world.runs.start(ANN, id_of(export)))
    with pytest.raises(NothingToAdopt):
        await world.runs.adopt(ANN, id_of(run))
    assert (await world.row(Run, run.id)).status is RunStatus.ASKING


async def test_a_ledger_that_is_rebuilt_unasked_stands_in_the_record(world: ServicesWorld, export: Export) -> None:
    assert await world.runs.rebuild_ledger(ADMIN, id_of(export)) == 40
    entry = (await world.rows(AuditEntry))[-1]
    assert (entry.actor, entry.action, entry.subject) == (ADMIN.user_id, "export.ledger_rebuilt", f"export/{export.id}")
    assert entry.facts == {"name": export.name, "contacts": 40}


async def test_adopt_after_another_answer_says_that_things_have_changed(world: ServicesWorld, export: Export) -> None:
    run = await world.asking(await world.runs.start(ANN, id_of(export)), LOST)
    await world.runs.answer(ANN, id_of(run), False)
    with pytest.raises(QuestionClosed, match="skipped"):
        await world.runs.adopt(ADMIN, id_of(run))


# --- looking


async def test_history_shows_the_last_runs_newest_first(world: ServicesWorld, export: Export) -> None:
    runs = []
    for _ in range(3):
        runs.append(await world.set_run(await world.runs.start(ANN, id_of(export)), RunStatus.DONE))  # noqa: PERF401
    assert [run.id for run in await world.runs.history(BOB, id_of(export), limit=2)] == [runs[2].id, runs[1].id]


async def test_the_lists_show_what_is_going_on_in_ones_own_workspace(world: ServicesWorld, export: Export) -> None:
    connection = await world.row(Connection, export.connection_id)
    second = await world.export(connection, name="Second", segments=("New",))
    going_on = await world.runs.start(ANN, id_of(export))
    asking = await world.asking(await world.runs.start(ANN, id_of(second)))
    assert [run.id for run in await world.runs.active(BOB)] == [going_on.id]
    assert [run.id for run in await world.runs.asking(BOB)] == [asking.id]
    assert await world.runs.active(STRANGER) == await world.runs.asking(STRANGER) == []
    assert (await world.runs.get(id_of(going_on))).export_name == "VIP to shop"
    with pytest.raises(RunUnknown):
        await world.runs.get(4_711)


# --- rejected rows


async def rejected(world: ServicesWorld, export: Export, run: Run, *, customer: str = "c1") -> None:
    """One row that the source caused, one without an email, and one that Omnisend refused."""
    book = await world.sent(export)
    seal, digest = world.keys.email, world.keys.digest.of_email("zoe.ray@example.org")
    assert book.id is not None
    async with world.database.write() as session:
        session.add_all(
            [
                Rejection(
                    team_id=TEAM,
                    book_id=book.id,
                    run_id=run.id,
                    customer_id=customer,
                    email=ledger.seal_rejected(seal, book.id, customer, "ann.lee@example"),
                    reason="invalid_email",
                ),
                Rejection(team_id=TEAM, book_id=book.id, run_id=run.id, customer_id="=cmd|x", reason="missing_email"),
                Rejection(
                    team_id=TEAM,
                    book_id=book.id,
                    run_id=run.id,
                    by=RejectedBy.OMNISEND,
                    customer_id="客2",
                    email=seal.seal("zoe.ray@example.org", book.id, digest),
                    reason="omnisend",
                    detail="firstName: too long",
                    digest=digest,
                    payload=b"p",
                ),
            ]
        )
    await world.set_run(run, RunStatus.DONE, rejected=3)


def table(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))


async def test_the_list_of_rejects_names_customers_masks_emails_and_says_why(
    world: ServicesWorld, export: Export
) -> None:
    run = await world.runs.start(ANN, id_of(export))
    await rejected(world, export, run)
    content = await world.runs.rejects_csv(ANN, id_of(run))
    assert table(content) == [
        ["customer id", "email", "reason"],
        ["c1", "a•••@e•••", "not a valid email address"],
        ["'=cmd|x", "", "no email address"],
        ["客2", "z•••@e•••.org", "refused by Omnisend: firstName: too long"],
    ]
    assert content.startswith(b"\xef\xbb\xbf")


async def test_full_addresses_are_listed_only_if_the_consent_says_so(
    world: ServicesWorld, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await world.runs.start(ANN, id_of(export))
    await rejected(world, export, run)
    assert export.connection_id is not None
    await world.connections.agree_again(
        ADMIN, export.connection_id, language="en", text_shown=consent_text(), full_values_in_slack=True
    )
    assert [row[1] for row in table(await world.runs.rejects_csv(ANN, id_of(run)))[1:]] == [
        "ann.lee@example",
        "",
        "zoe.ray@example.org",
    ]
    monkeypatch.setattr(consents, "CONSENT_VERSION", "2031-01.1")
    assert "zoe.ray" not in (await world.runs.rejects_csv(ANN, id_of(run))).decode()


async def test_what_omnisend_refused_before_and_has_not_changed_is_in_the_next_runs_list_too(
    world: ServicesWorld, export: Export
) -> None:
    first = await world.runs.start(ANN, id_of(export))
    await rejected(world, export, first)
    second = await world.set_run(await world.runs.start(ANN, id_of(export)), RunStatus.DONE, rejected=1)
    rows = table(await world.runs.rejects_csv(ANN, id_of(second)))
    assert [row[0] for row in rows[1:]] == ["客2"]


async def test_what_a_newer_run_found_is_not_in_an_older_runs_list(world: ServicesWorld, export: Export) -> None:
    older = await world.set_run(await world.runs.start(ANN, id_of(export)), RunStatus.DONE)
    await rejected(world, export, await world.runs.start(ANN, id_of(export)))
    assert len(table(await world.runs.rejects_csv(ANN, id_of(older)))) == 1


async def test_a_list_that_made_room_for_a_newer_one_says_so(world: ServicesWorld, export: Export) -> None:
    run = await world.set_run(await world.runs.start(ANN, id_of(export)), RunStatus.DONE, rejected=3)
    with pytest.raises(RejectsReplaced):
        await world.runs.rejects_csv(ANN, id_of(run))


async def test_what_is_being_emptied_is_paused_so_that_no_schedule_fills_it_again(
    world: ServicesWorld, export: Export
) -> None:
    run = await world.runs.empty(ANN, id_of(export))
    assert (await world.row(Export, export.id)).paused
    assert (ANN.user_id, "export.paused", f"export/{export.id}") in await world.audited()
    await world.set_run(run, RunStatus.DONE)
    with pytest.raises(Paused):
        await world.runs.start(ANN, id_of(export))


async def test_a_guest_sees_no_export_and_no_run_that_they_are_not_named_for(
    world: ServicesWorld, export: Export
) -> None:
    run = await world.runs.start(ANN, id_of(export))
    guest = Actor(TEAM, "U0GUEST", is_guest=True)
    for actor, seen in ((ANN, 1), (BOB, 1), (guest, 0)):
        assert (len(await world.exports.visible(actor)), len(await world.runs.active(actor))) == (seen, seen)
    with pytest.raises(ExportUnknown) as raised:
        await world.exports.find(guest, "VIP to sho")
    assert raised.value.suggestions == ()
    for look in (world.exports.get(guest, id_of(export)), world.runs.history(guest, id_of(export))):
        with pytest.raises(Denied):
            await look
    await world.asking(run)
    assert (len(await world.runs.asking(ANN)), await world.runs.asking(guest)) == (1, [])

    assert export.connection_id is not None
    await world.connections.share(ADMIN, export.connection_id, audience=Audience.PEOPLE, people=[guest.user_id])
    assert (len(await world.exports.visible(guest)), len(await world.runs.asking(guest))) == (1, 1)


async def test_a_run_without_rejects_has_an_empty_list(world: ServicesWorld, export: Export) -> None:
    run = await world.set_run(await world.runs.start(ANN, id_of(export)), RunStatus.DONE)
    assert table(await world.runs.rejects_csv(ANN, id_of(run))) == [["customer id", "email", "reason"]]


async def test_an_address_that_does_not_open_does_not_hide_the_others(world: ServicesWorld, export: Export) -> None:
    run = await world.runs.start(ANN, id_of(export))
    await rejected(world, export, run)
    async with world.database.write() as session:
        broken = await session.get_one(Rejection, 1)
        broken.email = b"not sealed by us"
        session.add(broken)
    assert [row[1] for row in table(await world.runs.rejects_csv(ANN, id_of(run)))[1:]] == ["", "", "z•••@e•••.org"]


async def test_another_exports_rejects_are_not_in_the_list(world: ServicesWorld, export: Export) -> None:
    connection = await world.row(Connection, export.connection_id)
    other = await world.export(connection, name="Other", segments=("New",))
    await rejected(world, other, await world.runs.start(ANN, id_of(other)))
    run = await world.runs.start(ANN, id_of(export))
    await rejected(world, export, run, customer="c9")
    assert [row[0] for row in table(await world.runs.rejects_csv(ANN, id_of(run)))[1:]] == ["c9", "'=cmd|x", "客2"]


# --- the workspace's refresh


async def test_the_refresh_is_off_until_an_admin_sets_it(world: ServicesWorld) -> None:
    assert await world.schedules.refresh(TEAM) is None
    schedule = await world.schedules.set_refresh(ADMIN, ["18:30", "6:00"], [4, 0], "Europe/Berlin")
    assert (schedule.times, schedule.weekdays, schedule.zone) == (["06:00", "18:30"], [0, 4], "Europe/Berlin")
    assert schedule.next_due is not None
    assert world.reloads == 1
    assert await world.schedules.refresh("T0ELSE") is None


async def test_there_is_one_refresh_and_it_can_be_switched_off(world: ServicesWorld) -> None:
    first = await world.schedules.set_refresh(ADMIN, ["06:00"], range(7), "UTC")
    second = await world.schedules.set_refresh(ADMIN, ["06:00"], range(7), "UTC", active=False)
    assert (second.id, second.active, second.next_due) == (first.id, False, None)
    assert (await world.schedules.set_refresh(ADMIN, ["06:00"], range(7), "UTC")).next_due == first.next_due


@pytest.mark.parametrize(
    ("times", "weekdays", "zone", "error"),
    [
        ([], [0], "UTC", TimesMissing),
        (["06:00"], [], "UTC", WeekdaysBad),
        (["06:00"], [0], "Nowhere", ZoneUnknown),
    ],
)
async def test_a_refresh_that_can_not_be_is_refused(
    world: ServicesWorld, times: list[str], weekdays: list[int], zone: str, error: type[FieldError]
) -> None:
    with pytest.raises(error):
        await world.schedules.set_refresh(ADMIN, times, weekdays, zone)


async def test_contributors_do_not_set_the_refresh(world: ServicesWorld) -> None:
    with pytest.raises(Denied):
        await world.schedules.set_refresh(ANN, ["06:00"], [0], "UTC")


async def test_setting_the_refresh_stands_in_the_record(world: ServicesWorld) -> None:
    await world.schedules.set_refresh(ADMIN, ["06:00"], [0], "UTC")
    assert await world.audited() == [(ADMIN.user_id, "refresh.set", f"workspace/{TEAM}")]
    assert await world.rows(Consent) == []
