"""Failures: what happened, what was sent, who can mend it; told once, and once more when it is over.

reference: slack-platform.md §14; customer-insights.md §15 (noise of failure mails)
"""

import pytest
from structlog.testing import capture_logs

from bot.pipeline.staging import Staging
from bot.services.schedules import ScheduleDraft
from storage.models import When
from tests.scenario.conftest import Ferry


async def _failed(ferry: Ferry) -> None:
    """The segment has gone from the source."""
    await ferry.connect()
    await ferry.set_up()
    (ferry.source.folder / "segments" / "VIP.csv").unlink()
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    await ferry.vera.message("*Newsletter* failed", channel="marketing")


async def test_channel_owner_and_admins_hear_what_to_do(ferry: Ferry) -> None:
    await _failed(ferry)
    report = await ferry.vera.message("*Newsletter* failed", channel="marketing")
    assert "choose another segment" in report.shown
    assert "Nothing was sent." in report.shown
    assert "No schedule tries it again" in report.shown
    assert "The export's owner and everyone its connection is shared with can mend this." in report.shown
    assert "Run again" in report.buttons
    for person in (ferry.carl, ferry.ada):
        letter = await person.message("*Newsletter* failed", channel="dm")
        assert "Nothing was sent" in letter.shown
    assert not await ferry.vera.messages("dm")


async def test_a_revoked_key_says_who_can_mend_it(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.omnisend.control("keys/revoke", {})
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    report = await ferry.vera.message("*Newsletter* failed", channel="marketing")
    assert "An admin can make a new key in Omnisend" in report.shown


async def test_a_scheduled_export_says_when_it_is_tried_again(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up(when=When.OWN, schedule=ScheduleDraft(("06:00",)))
    (ferry.source.folder / "segments" / "VIP.csv").unlink()
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    report = await ferry.vera.message("*Newsletter* failed", channel="marketing")
    assert "The next scheduled run tries again" in report.shown
    letter = await ferry.ada.message("*Newsletter* failed", channel="dm")
    assert "The next scheduled run tries again" in letter.shown


async def test_what_nobody_foresaw_is_told_with_a_code_that_stands_in_the_log(
    ferry: Ferry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("of ann@example.com")

    await ferry.connect()
    await ferry.set_up()
    monkeypatch.setattr(Staging, "compare", fail)
    with capture_logs() as log:
        await ferry.carl.command("/ferry run newsletter", channel="marketing")
        report = await ferry.vera.message("*Newsletter* failed", channel="marketing")
        await ferry.carl.message("*Newsletter* failed", channel="dm")
    (reference,) = {entry["reference"] for entry in log if "reference" in entry}
    assert f"reference {reference}" in report.shown
    assert "ann@example.com" not in report.shown
    assert "Whoever runs Segment Ferry can mend this." in report.shown


async def test_one_trouble_of_many_exports_is_one_message_with_the_others_in_its_thread(ferry: Ferry) -> None:
    ferry.source.segment("Other", ["p1"])
    await ferry.connect()
    await ferry.set_up()
    await ferry.set_up(name="Second", segments=["Other"])
    await ferry.omnisend.control("keys/revoke", {})
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    first = await ferry.ada.message("*Newsletter* failed", channel="dm")
    await ferry.carl.command("/ferry run second", channel="marketing")
    second = await ferry.ada.message("*Second* failed", channel="dm")
    assert (first.thread_ts, second.thread_ts) == (None, first.ts)


async def test_the_same_failure_again_is_reported_in_the_channel_only(ferry: Ferry) -> None:
    await _failed(ferry)
    await ferry.ada.message("*Newsletter* failed", channel="dm")
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    await ferry.vera.wait_for_messages(
        "marketing", lambda seen: sum("*Newsletter* failed" in one.shown for one in seen) == 2
    )
    await ferry.app_outbox_empty()
    assert sum("failed" in one.shown for one in await ferry.ada.messages("dm")) == 1


async def test_recovery_is_told_to_whoever_heard_of_the_failure(ferry: Ferry) -> None:
    await _failed(ferry)
    ferry.source.segment("VIP", ferry.source.profiles)
    await ferry.carl.click("Run again", where="marketing")
    await ferry.vera.message("is up to date at Omnisend", channel="marketing")
    for person in (ferry.carl, ferry.ada):
        await person.message("works again", channel="dm")
