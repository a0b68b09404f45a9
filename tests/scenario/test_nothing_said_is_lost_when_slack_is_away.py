"""The outbox through outages, restarts, rate limits and lost channels.

reference: slack-platform.md §2 (429 and Retry-After), §8 (errors of posts), §5 (Socket Mode)
"""

import asyncio

from sqlmodel import select

from storage.models import Export
from tests.scenario.conftest import Ferry, Start, form, submit


async def test_a_report_comes_when_slack_is_back(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    async with ferry.slack.fault("500", "chat.postMessage"):
        await ferry.carl.command("/ferry run newsletter", channel="marketing")
        await ferry.carl.message("is on its way", channel="marketing")
        await ferry.run_ended()
    await ferry.vera.message("is up to date at Omnisend", channel="marketing", seconds=20)


async def test_a_report_survives_a_restart_of_the_bot(start: Start) -> None:
    async with start() as ferry:
        await ferry.connect()
        await ferry.set_up()
        await ferry.slack.add_fault("error", "chat.postMessage", error="service_unavailable")
        await ferry.carl.command("/ferry run newsletter", channel="marketing")
        await ferry.carl.message("is on its way", channel="marketing")
        await ferry.run_ended()
    await ferry.slack.lift_faults()
    async with start() as ferry:
        await ferry.vera.message("is up to date at Omnisend", channel="marketing", seconds=20)


async def test_a_bot_that_stops_right_after_a_report_leaves_nothing_running(start: Start) -> None:
    """The report asks for newer Homes; they would be made from a database that is closed."""
    before = asyncio.all_tasks()
    async with start() as ferry:
        await ferry.connect()
        await ferry.set_up()
        await ferry.carl.open_home()
        await ferry.carl.home("Refresh schedule")
        await ferry.carl.command("/ferry run newsletter", channel="marketing")
        await ferry.vera.message("is up to date at Omnisend", channel="marketing")
    assert asyncio.all_tasks() - before == set()


async def test_an_answer_that_slack_lost_is_said_again_rather_than_not(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.slack.add_fault("lost-answer", "chat.postMessage", times=1)
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    await ferry.vera.message("is up to date at Omnisend", channel="marketing")


async def test_slacks_rate_limit_is_waited_for(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.slack.add_fault("ratelimited", "chat.postMessage", times=1, retry_after=1)
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    await ferry.vera.message("is up to date at Omnisend", channel="marketing")
    calls = await ferry.slack.calls("chat.postMessage")
    refused = next(call for call in calls if call["status"] == 429)
    later = next(call for call in calls if call["seq"] > refused["seq"])
    assert later["time"] - refused["time"] >= 1


async def test_what_a_lost_channel_does_not_take_goes_to_the_owner(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.slack.change_channel("marketing", archived=True)
    await ferry.carl.command("/ferry run newsletter", channel="general")
    letter = await ferry.carl.message("is up to date at Omnisend", channel="dm")
    assert "Slack does not let me write to" in letter.shown


async def test_a_connection_that_slack_renews_in_mid_work_loses_nothing(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.carl.command("/ferry export Newsletter", channel="marketing")
    await ferry.slack.disconnect("refresh_requested")
    await ferry.slack.connected(2)
    await ferry.set_up()
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    await ferry.slack.disconnect("warning", abort=True)
    await ferry.slack.connected(2)
    await ferry.vera.message("is up to date at Omnisend", channel="marketing")
    await ferry.carl.command("/ferry status")
    await ferry.carl.message("Nothing is running")


async def test_where_the_owner_is_not_in_slack_the_admins_get_what_a_lost_channel_does_not_take(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    async with ferry.app.database.write() as session:
        (export,) = (await session.exec(select(Export))).all()
        export.owner = "cli"
        session.add(export)
    await ferry.slack.change_channel("marketing", archived=True)
    await ferry.ada.command("/ferry run newsletter", channel="general")
    letter = await ferry.ada.message("is up to date at Omnisend", channel="dm")
    assert "Slack does not let me write to" in letter.shown


async def test_a_private_channel_without_the_bot_is_warned_of_and_its_reports_go_to_the_owner(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.carl.command("/ferry export Newsletter")
    modal = await form(ferry.carl, "New export")
    await modal.fill({"Segments": ["VIP"], "Report to channel": "leads"})
    await submit(modal)
    assert "If that channel is private, invite me there" in (await ferry.carl.modal("Saved")).text
    await ferry.carl.click("Run now")
    letter = await ferry.carl.message("is up to date at Omnisend", channel="dm")
    assert "Slack does not let me write to" in letter.shown
