"""The live message of a run, and its Cancel.

reference: slack-platform.md §8 (chat.update: progress, the last state always sent), §14 (remove buttons afterwards)
"""

from tests.scenario.conftest import Ferry


async def _slow_run(ferry: Ferry) -> None:
    """A run that waits for Omnisend: its batches get stuck."""
    await ferry.connect()
    await ferry.set_up()
    await ferry.omnisend.control("faults", {"faults": [{"kind": "stuck", "rate": 1}]})
    await ferry.carl.command("/ferry run newsletter", channel="marketing")


async def test_the_live_message_shows_stage_bar_and_counts(ferry: Ferry) -> None:
    await _slow_run(ferry)
    live = await ferry.vera.message("0 of 12 contacts", channel="marketing")
    assert "░" in live.shown
    assert live.buttons == ["Cancel"]
    await ferry.vera.command("/ferry status", channel="general")
    assert "0 of 12 contacts" in (await ferry.vera.message("Running now")).shown
    await ferry.omnisend.control("faults", {"faults": []})
    await ferry.omnisend.control("batches/release", {})
    await ferry.vera.message("is up to date at Omnisend", channel="marketing")


async def test_cancel_stops_the_run_and_the_buttons_go(ferry: Ferry) -> None:
    await _slow_run(ferry)
    await ferry.carl.message("of 12 contacts", channel="marketing")
    await ferry.carl.click("Cancel", where="marketing", confirm=True)
    report = await ferry.vera.message("was cancelled", channel="marketing", seconds=20)
    assert "cancelled by <@" in report.shown
    live = next(one for one in await ferry.vera.messages("marketing") if "– cancelled" in one.shown)
    assert live.buttons == []


async def test_a_run_can_be_cancelled_where_its_status_is_shown(ferry: Ferry) -> None:
    await _slow_run(ferry)
    await ferry.carl.message("of 12 contacts", channel="marketing")
    await ferry.carl.command("/ferry status", channel="general")
    await ferry.carl.message("Running now", channel="general")
    await ferry.carl.click("Cancel run", where="general", confirm=True)
    await ferry.vera.message("was cancelled", channel="marketing", seconds=20)


async def test_a_run_that_is_on_its_way_is_not_started_twice(ferry: Ferry) -> None:
    await _slow_run(ferry)
    await ferry.carl.message("of 12 contacts", channel="marketing")
    await ferry.ada.command("/ferry run newsletter")
    refused = await ferry.ada.message("is running already")
    assert "<@U" in refused.shown


async def test_cancelling_what_is_over_says_how_it_ended(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    await ferry.carl.message("is up to date at Omnisend", channel="marketing")
    await ferry.carl.command("/ferry cancel newsletter", channel="general")
    await ferry.carl.message("Nothing is running", channel="general")
