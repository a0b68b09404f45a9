"""What a preview says before the first run. Reference: issue's list: added, changed, removed, rejected with reasons,
attributes that stay behind, three masked examples, requests and their time at Omnisend's limit."""

from typing import Any

from bot.i18n import translator
from bot.sandbox.slack.words import visible_text
from bot.slack.views.preview import Example, PreviewCard, preview

T = translator()


def shown(**facts: Any) -> str:
    counts = {"added": 0, "changed": 0, "removed": 0, "unchanged": 0} | facts
    return visible_text(preview(T, PreviewCard(7, "Newsletter", **counts))["blocks"])


def test_every_count_is_shown_and_rejects_with_their_reasons() -> None:
    text = shown(
        added=1_204, changed=31, removed=7, unchanged=9, kept=2, rejected={"missing_email": 12, "invalid_email": 3}
    )
    for words in (
        "*Would be added*\n1,204", "*Would be changed*\n31", "*Would be removed*\n7", "*Unchanged*\n9",
        "*Left the segment, kept*\n2", "*Rejected*\n15", "12: no email address", "3: email address not valid",
    ):  # fmt: skip
        assert words in text


def test_three_examples_are_shown_with_what_they_become() -> None:
    example = Example("c1", "a•••@e•••.com", "added", {"First name": "A•••"}, ["VIP"], opt_in="subscribed")
    text = shown(added=5, examples=[example] * 5)
    assert text.count("c1 · a•••@e•••.com · new · as subscribed · VIP") == 3
    assert "First name: A•••" in text


def test_attributes_that_stay_behind_are_named() -> None:
    text = shown(left_behind=["city", "custom:Tier", "optInStatus"])
    assert "No longer mapped, so these stay at Omnisend as they are: City, Tier, and Opt-in status" in text


def test_the_requests_and_their_time_at_omnisends_limit_are_said() -> None:
    assert "About 10,041 requests, 27 min" in shown(requests=10_041, seconds=1_673.5)
    assert "at Omnisend's limit" in shown(requests=10_041, seconds=1_673.5)
    assert "limit" not in shown(requests=3)


def test_only_without_an_opt_in_do_all_new_contacts_arrive_non_subscribed() -> None:
    assert "Omnisend mails them only once they subscribe" in shown(added=1)
    mapped = shown(added=1, notes=[{"kind": "opt_in", "subscribed": 1, "unsubscribed": 0, "nonSubscribed": 0}])
    assert "Omnisend mails them only once they subscribe" not in mapped
    assert "Contacts by their opt-in: 1 subscribed, 0 unsubscribed, 0 non-subscribed." in mapped


def test_that_the_shops_own_automations_may_fire_is_said_either_way() -> None:
    assert "automations may fire" in shown(added=1)
    assert "automations may fire" in shown(added=1, notes=[{"kind": "opt_in", "subscribed": 1}])
