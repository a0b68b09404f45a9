"""The gateway to Slack: typed errors, repeats, pacing.

reference: slack-platform.md §1 (business errors), §2 (rate limits), §3 (triggers, hashes), §8 (messages)
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from bot.slack.errors import (
    MessageGone,
    RateLimited,
    RecipientGone,
    ScopeMissing,
    SlackAway,
    SlackError,
    SlackRefused,
    TokenRefused,
    ViewChanged,
    ViewGone,
)
from bot.slack.gateway import Gateway, Posted
from bot.slack.pacing import CALLS_A_MINUTE, Pace
from tests.unit.slack_double import RATE_LIMITED, Clock, SlackDouble, refused, scripted_slack

HELLO = {"text": "Hello", "blocks": []}
HTML: tuple[int, dict[str, str], str] = (503, {}, "<html>Service Unavailable</html>")
Call = Callable[[Gateway], Awaitable[Any]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def slack(clock: Clock) -> AsyncIterator[tuple[SlackDouble, Gateway]]:
    async with scripted_slack(clock) as pair:
        yield pair


async def test_a_post_says_where_the_message_is(slack: tuple[SlackDouble, Gateway]) -> None:
    double, gateway = slack
    double.will_answer("chat.postMessage", {"ok": True, "channel": "D9", "ts": "1.000100"})
    assert await gateway.post("U1", HELLO) == Posted("D9", "1.000100")


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        ("channel_not_found", RecipientGone),
        ("is_archived", RecipientGone),
        ("not_in_channel", RecipientGone),
        ("message_not_found", MessageGone),
        ("edit_window_closed", MessageGone),
        ("invalid_auth", TokenRefused),
        ("token_revoked", TokenRefused),
        ("missing_scope", ScopeMissing),
        ("internal_error", SlackAway),
        ("invalid_blocks", SlackRefused),
        ("some_new_word", SlackRefused),
    ],
)
async def test_each_of_slacks_errors_has_its_class(
    slack: tuple[SlackDouble, Gateway], error: str, wanted: type[SlackError]
) -> None:
    double, gateway = slack
    double.will_answer("chat.postMessage", refused(error, needed="chat:write"))
    with pytest.raises(wanted) as caught:
        await gateway.post("C1", HELLO)
    assert caught.value.error == error


async def test_a_late_trigger_and_a_stale_hash_are_told_apart(slack: tuple[SlackDouble, Gateway]) -> None:
    double, gateway = slack
    double.will_answer("views.open", refused("expired_trigger_id"))
    double.will_answer("views.update", refused("hash_conflict"), refused("not_found"))
    with pytest.raises(ViewGone):
        await gateway.open_view("1.2.abc", {})
    with pytest.raises(ViewChanged):
        await gateway.update_view("V1", {}, expected="old")
    with pytest.raises(ViewGone):
        await gateway.update_view("V1", {})


@pytest.mark.parametrize("trouble", [HTML, "cut"])
async def test_a_post_whose_fate_is_unknown_is_not_repeated_here(
    slack: tuple[SlackDouble, Gateway], trouble: Any
) -> None:
    double, gateway = slack
    double.will_answer("chat.postMessage", trouble)
    with pytest.raises(SlackAway):
        await gateway.post("C1", HELLO)
    assert len(double.called("chat.postMessage")) == 1


@pytest.mark.parametrize("trouble", [HTML, "cut", RATE_LIMITED])
async def test_an_edit_is_repeated_since_that_does_no_harm(slack: tuple[SlackDouble, Gateway], trouble: Any) -> None:
    double, gateway = slack
    double.will_answer("chat.update", trouble, trouble)
    await gateway.edit(Posted("C1", "1.1"), HELLO)
    assert len(double.called("chat.update")) == 3


async def test_an_edit_gives_up_after_some_tries(slack: tuple[SlackDouble, Gateway]) -> None:
    double, gateway = slack
    double.will_answer("chat.update", HTML, HTML, HTML)
    with pytest.raises(SlackAway):
        await gateway.edit(Posted("C1", "1.1"), HELLO)


async def test_a_rate_limit_is_named_and_waited_for(slack: tuple[SlackDouble, Gateway], clock: Clock) -> None:
    double, gateway = slack
    double.will_answer("chat.postMessage", RATE_LIMITED)
    with pytest.raises(RateLimited) as caught:
        await gateway.post("C1", HELLO)
    assert caught.value.seconds == 3
    await gateway.post("C2", HELLO)
    assert clock.now >= 3


async def test_another_method_goes_on_while_one_is_limited(slack: tuple[SlackDouble, Gateway], clock: Clock) -> None:
    double, gateway = slack
    double.will_answer("chat.postMessage", RATE_LIMITED)
    with pytest.raises(RateLimited):
        await gateway.post("C1", HELLO)
    await gateway.update_view("V1", {})
    assert clock.now == 0


async def test_errors_carry_nothing_of_what_was_sent(slack: tuple[SlackDouble, Gateway]) -> None:
    double, gateway = slack
    double.will_answer("chat.postMessage", refused("invalid_blocks"))
    with pytest.raises(SlackRefused) as caught:
        await gateway.post("C1", {"text": "ann@example.com", "blocks": []})
    assert "ann@example.com" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


async def test_a_file_to_a_person_goes_to_their_direct_channel(slack: tuple[SlackDouble, Gateway]) -> None:
    double, gateway = slack
    double.will_answer("conversations.open", {"ok": True, "channel": {"id": "D1"}})
    url = double.url + "upload"
    double.will_answer("files.getUploadURLExternal", {"ok": True, "upload_url": url, "file_id": "F1"})
    await gateway.send_file("U1", name="r.csv", content=b"x", title="T", comment="C")
    assert double.called("files.completeUploadExternal")[0]["channel_id"] == "D1"


async def test_admins_are_found_over_all_pages_of_people(slack: tuple[SlackDouble, Gateway]) -> None:
    double, gateway = slack
    page = {"ok": True, "response_metadata": {"next_cursor": "more"}}
    double.will_answer(
        "users.list",
        {**page, "members": [{"id": "U1", "is_owner": True}, {"id": "U2"}]},
        {"ok": True, "members": [{"id": "U3", "is_admin": True, "deleted": True}, {"id": "U4", "is_admin": True}]},
    )
    assert list(await gateway.admins()) == ["U1", "U4"]


async def test_whoever_comes_from_elsewhere_is_a_guest_and_no_admin_here(slack: tuple[SlackDouble, Gateway]) -> None:
    double, gateway = slack
    for signs in ({"is_restricted": True}, {"is_ultra_restricted": True}, {"is_stranger": True, "is_owner": True}):
        double.will_answer("users.info", {"ok": True, "user": {"id": "U1", **signs}})
        profile = await gateway.profile("U1")
        assert (profile.is_guest, profile.is_admin) == (True, False)


# --- pacing


async def test_messages_into_one_channel_are_a_second_apart(clock: Clock) -> None:
    pace = Pace(clock=clock, sleep=clock.sleep)
    for channel in ("C1", "C1", "C1"):
        await pace.turn("chat.postMessage", channel)
    assert clock.slept == pytest.approx([1.1, 1.1])


async def test_different_channels_do_not_wait_for_each_other(clock: Clock) -> None:
    pace = Pace(clock=clock, sleep=clock.sleep)
    for channel in ("C1", "C2", "C3"):
        await pace.turn("chat.postMessage", channel)
    assert clock.slept == []


async def test_posts_that_come_at_once_each_get_a_second_of_their_own(clock: Clock) -> None:
    pace = Pace(clock=clock, sleep=clock.sleep)
    await asyncio.gather(*(pace.turn("chat.postMessage", "C1") for _ in range(4)))
    assert sum(clock.slept) == pytest.approx(1.1 + 2.2 + 3.3, abs=3.4)
    assert clock.now >= 3.2


async def test_a_full_minute_makes_background_calls_wait_and_people_not(clock: Clock) -> None:
    pace = Pace(clock=clock, sleep=clock.sleep)
    for _ in range(CALLS_A_MINUTE["chat.update"]):
        await pace.turn("chat.update")
    assert pace.room("chat.update") == 0
    await pace.turn("chat.update", urgent=True)
    assert clock.now == 0
    await pace.turn("chat.update")
    assert clock.now >= 60
