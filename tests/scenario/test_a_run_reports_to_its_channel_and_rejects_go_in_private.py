"""The report of a run, and where its parts go.

reference: slack-platform.md §8 (edits do not notify; files), §14 (privacy of channels)
"""

import json

from storage.models import Audience
from tests.scenario.conftest import PEOPLE, Ferry


async def _run(ferry: Ferry) -> None:
    await ferry.carl.command("/ferry run newsletter", channel="marketing")


async def test_the_report_notifies_the_channel_and_the_edits_do_not(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await _run(ferry)
    report = await ferry.vera.message("is up to date at Omnisend", channel="marketing")
    told = await ferry.vera.notifications()
    assert any(one["ts"] == report.ts and one["how"] != "edit" for one in told)
    live = next(one for one in await ferry.vera.messages("marketing") if "– done" in one.shown)
    assert live.edited
    assert live.buttons == []


async def test_the_list_of_rejected_rows_goes_to_who_started_it_and_is_masked(ferry: Ferry) -> None:
    ferry.source.profiles["p1"]["EMail"] = "ann@nowhere"
    ferry.source.profiles["p2"]["EMail"] = ""
    ferry.source.write()
    await ferry.connect()
    await ferry.set_up()
    await _run(ferry)
    report = await ferry.vera.message("is up to date at Omnisend", channel="marketing")
    assert "*Rejected*\n2" in report.shown
    letter = await ferry.carl.wait_for_messages("dm", lambda seen: [one for one in seen if one.files])
    content = (await ferry.carl.read_file(next(one for one in letter if one.files).files[0])).decode("utf-8-sig")
    lines = content.splitlines()
    assert lines[0] == "customer id,email,reason"
    assert [line.split(",")[0] for line in lines[1:]] == ["p1", "p2"]
    assert "ann@nowhere" not in content
    everything = json.dumps([one.raw for one in await ferry.vera.messages("marketing")])
    assert "files" not in everything
    assert "p1" not in everything


async def test_whoever_may_see_them_gets_the_rejected_rows_again(ferry: Ferry) -> None:
    ferry.source.profiles["p1"]["EMail"] = ""
    ferry.source.write()
    await ferry.connect()
    await ferry.set_up()
    await _run(ferry)
    await ferry.ada.message("is up to date at Omnisend", channel="marketing")
    await ferry.ada.click("Rejected rows", where="marketing")
    await ferry.ada.wait_for_messages("dm", lambda seen: [one for one in seen if one.files])


async def test_who_may_not_see_rejected_rows_is_refused(ferry: Ferry) -> None:
    ferry.source.profiles["p1"]["EMail"] = ""
    ferry.source.write()
    await ferry.connect(Audience.ADMINS)
    await ferry.set_up("ada")
    await ferry.ada.command("/ferry run newsletter", channel="marketing")
    await ferry.vera.message("is up to date at Omnisend", channel="marketing")
    await ferry.vera.click("Rejected rows", where="marketing")
    await ferry.vera.message("Only admins and people that the connection is shared with", channel="marketing")
    assert not [one for one in await ferry.vera.messages("dm") if one.files]


async def test_what_omnisend_refused_is_named_and_tried_again_on_retry(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.omnisend.control("faults", {"faults": [{"kind": "item-error", "rate": 1, "times": 2}]})
    await _run(ferry)
    report = await ferry.vera.message("*Rejected*\n2", channel="marketing")
    assert "2 refused by Omnisend" in report.shown
    assert "Retry rejected" in report.buttons
    await _run(ferry)
    skipped = await ferry.vera.message(f"*Unchanged*\n{PEOPLE - 2}", channel="marketing")
    assert "*Rejected*\n2" in skipped.shown

    await ferry.carl.click("Retry rejected", where="marketing")
    retried = await ferry.vera.message("*Added*\n2", channel="marketing")
    assert "retry of rejected rows by <@" in retried.shown
    assert "*Rejected*\n0" in retried.shown
    assert "Retry rejected" not in retried.buttons
    assert len(await ferry.omnisend.contacts()) == PEOPLE


async def test_rows_unfit_in_the_source_are_named_by_reason_and_need_no_retry(ferry: Ferry) -> None:
    ferry.source.profiles["p1"]["EMail"] = ""
    ferry.source.write()
    await ferry.connect()
    await ferry.set_up()
    await _run(ferry)
    report = await ferry.vera.message("*Rejected*\n1", channel="marketing")
    assert "1 without an email address" in report.shown
    assert "Mend them in the source" in report.shown
    assert "Retry rejected" not in report.buttons


async def test_a_second_run_sends_only_the_difference_and_says_so(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await _run(ferry)
    await ferry.vera.message("is up to date at Omnisend", channel="marketing")
    ferry.source.segment("VIP", list(ferry.source.profiles)[1:])
    await _run(ferry)
    report = await ferry.vera.message("*Removed*\n1", channel="marketing")
    assert f"*Unchanged*\n{PEOPLE - 1}" in report.shown


async def test_what_the_run_noticed_stands_in_the_reports_thread(ferry: Ferry) -> None:
    ferry.source.profiles["p1"]["EMail"] = ferry.source.profiles["p2"]["EMail"].upper()
    ferry.source.write()
    await ferry.connect()
    await ferry.set_up()
    await _run(ferry)
    report = await ferry.vera.message("is up to date at Omnisend", channel="marketing")
    details = await ferry.vera.message("shares its email", channel="marketing")
    assert details.thread_ts == report.ts


async def test_the_history_shows_the_runs_as_a_chart_and_as_text(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await _run(ferry)
    await ferry.vera.message(f"*Added*\n{PEOPLE}", channel="marketing")
    await _run(ferry)
    await ferry.vera.message(f"*Unchanged*\n{PEOPLE}", channel="marketing")
    await ferry.vera.command("/ferry history newsletter", channel="marketing")
    history = await ferry.vera.message("The last runs of Newsletter", channel="marketing")
    assert history.ephemeral
    charts = [block["chart"] for block in history.blocks if block["type"] == "data_visualization"]
    shown = {series["name"]: [point["value"] for point in series["data"]] for one in charts for series in one["series"]}
    assert shown.keys() == {"Members", "Added", "Removed", "Rejected", "Minutes"}
    assert (shown["Members"], shown["Added"]) == ([PEOPLE, PEOPLE], [PEOPLE, 0])
    for words in (history.shown, history.text):  # the blocks, and what is read aloud
        assert f"{PEOPLE} members: {PEOPLE} added, 0 changed, 0 removed, 0 rejected" in words
