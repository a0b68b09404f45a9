"""What people read of something that somebody else did, or that happened by itself."""

from bot.i18n import translator
from bot.slack.views.tidings import detached, skipped
from bot.slack.views.words import explained, rejects_words, trigger_words
from bot.sources.base import SegmentMissing
from storage.models import Run, Trigger

T = translator()


def test_a_detached_export_is_not_told_of_as_a_withdrawn_consent() -> None:
    facts = {"export": "VIP", "export_id": 3, "connection": "Shop", "by": "U0ADAADA1"}
    assert "withdrew the consent for *Shop*" in detached(T, {**facts, "withdrawn": True})["text"]
    by_hand = detached(T, {**facts, "withdrawn": False})["text"]
    assert "<@U0ADAADA1> detached it from *Shop*" in by_hand
    assert "consent" not in by_hand


def test_who_stands_in_the_way_of_a_scheduled_run_is_mentioned() -> None:
    facts = {
        "export": "VIP",
        "due": "2026-11-23T06:00:00+00:00",
        "text": "It was started by U0ADAADA1.",
        "by": "U0ADAADA1",
    }
    assert skipped(T, facts)["text"].endswith("It was started by <@U0ADAADA1>.")


def test_a_name_that_looks_like_a_persons_id_is_no_mention() -> None:
    error = SegmentMissing(segment="WINTERSALE", source="UNIFIEDPROFILES", near="")
    assert "*WINTERSALE* is not in the source (UNIFIEDPROFILES)" in explained(T, error)


def test_rejects_are_counted_in_words_that_read_as_a_sentence() -> None:
    reasons = {"invalid_email": 75, "missing_email": 1_140, "omnisend": 3, "of a {later} version": 2}
    assert rejects_words(T, reasons) == (
        "1,140 without an email address, 75 with an email address that is not valid, 3 refused by Omnisend, and "
        "2 of a {later} version"
    )


def test_the_command_line_is_named_as_such() -> None:
    run = Run(team_id="T1", export_name="VIP", started_by="cli")
    assert trigger_words(T, run) == "started by the command line"
    run.trigger, run.started_by = Trigger.RETRY, "U0ADAADA1"
    assert trigger_words(T, run) == "retry of rejected rows by <@U0ADAADA1>"
