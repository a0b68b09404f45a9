"""The emulator's Socket Mode, spoken to by a bare WebSocket.

reference: slack-platform.md §5 (Socket Mode), §3 (times), §4 (payloads)
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from bot.sandbox.slack.client import SlackWorld
from tests.processes import emulator
from tests.system.slack_emulator_app import PATIENCE, BareApp, modal, section

Json = dict[str, Any]


@pytest.fixture(scope="module")
async def told() -> AsyncIterator[Json]:
    async with emulator("bot.sandbox.slack", "--rate-limits", "off") as first_line:
        yield first_line


@pytest.fixture
async def slack(told: Json) -> AsyncIterator[SlackWorld]:
    async with SlackWorld(told["url"]) as world:
        await world.connected(0)
        await world.reset()
        yield world


@pytest.fixture
async def app(told: Json, slack: SlackWorld) -> AsyncIterator[BareApp]:
    async with BareApp(told) as bare:
        yield bare
    await slack.connected(0)


async def test_hello_counts_the_connections_and_names_the_app(app: BareApp) -> None:
    first, second = await app.connect(), await app.connect()
    assert (first["type"], first["num_connections"], second["num_connections"]) == ("hello", 1, 2)
    assert first["connection_info"]["app_id"].startswith("A")
    assert {"host", "started", "build_number", "approximate_connection_time"} <= first["debug_info"].keys()


async def test_a_ticket_opens_one_connection(app: BareApp) -> None:
    url = await app.socket_url()
    await app.open_socket(url)
    for used_or_unknown in (url, app.told["url"].replace("http", "ws") + "/link/?ticket=guessed"):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await app.open_socket(used_or_unknown)


async def test_a_ping_is_answered_with_the_same_payload(app: BareApp) -> None:
    socket = await app.open_socket()
    assert (await socket.receive_json())["type"] == "hello"
    await socket.ping(b"sdk-ping-pong:1764000000.25")
    frame = await socket.receive(PATIENCE)
    assert (frame.type, bytes(frame.data)) == (aiohttp.WSMsgType.PONG, b"sdk-ping-pong:1764000000.25")


async def test_a_command_comes_as_an_envelope_with_all_its_fields(app: BareApp, slack: SlackWorld) -> None:
    await app.connect()
    result = await slack.person("carl").command("/ferry run  VIP customers ", channel="marketing")
    assert (result.sent, result.acknowledged, result.reply) == (True, True, None)
    envelope = await app.next()
    assert envelope["type"] == "slash_commands"
    assert envelope["accepts_response_payload"] is True
    assert len(envelope["envelope_id"]) == 36
    payload = envelope["payload"]
    assert (payload["command"], payload["text"]) == ("/ferry", "run  VIP customers")
    assert (payload["user_name"], payload["channel_name"]) == ("carl", "marketing")
    assert payload["is_enterprise_install"] == "false"
    assert {"token", "team_id", "team_domain", "channel_id", "user_id", "api_app_id"} <= payload.keys()
    assert payload["response_url"].startswith(app.told["url"] + "/commands/")
    assert "thread_ts" not in payload


async def test_private_channels_and_direct_messages_are_named_by_their_kind(app: BareApp, slack: SlackWorld) -> None:
    await app.connect()
    for channel, name in (("leads", "privategroup"), ("dm", "directmessage")):
        await slack.person("ada").command("/ferry", channel=channel)
        assert (await app.next_payload())["channel_name"] == name


async def test_an_ack_may_carry_the_answer_to_a_command(app: BareApp, slack: SlackWorld) -> None:
    await app.connect()
    app.answer = lambda payload: {"text": "only you"}
    result = await slack.person("ada").command("/ferry")
    assert result.text == "only you"
    app.answer = lambda payload: {"response_type": "in_channel", "blocks": [section("all of you")]}
    result = await slack.person("ada").command("/ferry")
    assert result.text == "all of you"
    assert [one.shown for one in await slack.person("ada").messages()] == ["only you", "all of you"]
    assert [one.shown for one in await slack.person("vera").messages()] == ["all of you"]


async def test_an_invalid_answer_is_shown_as_a_failure(app: BareApp, slack: SlackWorld) -> None:
    await app.connect()
    app.answer = lambda payload: {"blocks": [{"type": "nonsense"}]}
    result = await slack.person("ada").command("/ferry")
    assert (result.error, result.reply) == ("invalid_blocks", None)


async def test_without_an_ack_the_person_sees_the_command_time_out(app: BareApp, slack: SlackWorld) -> None:
    await app.connect()
    app.silent = True
    typing = asyncio.create_task(slack.person("ada").command("/ferry"))
    await app.next()
    await slack.advance(2.5)
    assert not typing.done()
    await slack.advance(1)
    result = await typing
    assert (result.sent, result.acknowledged, result.error) == (True, False, "operation_timeout")
    assert "operation_timeout" in (result.notice or "")
    [notice] = (await slack.person("ada").screen()).notices
    assert notice["error"] == "operation_timeout"
    assert (await slack.deliveries())[-1]["outcome"] == "operation_timeout"


async def test_a_late_ack_changes_nothing(app: BareApp, slack: SlackWorld) -> None:
    await app.connect()
    app.silent = True
    typing = asyncio.create_task(slack.person("ada").command("/ferry"))
    envelope = await app.next()
    await slack.advance(4)
    assert (await typing).error == "operation_timeout"
    await app.sockets[0].send_json({"envelope_id": envelope["envelope_id"], "payload": {"text": "late"}})
    await app.sockets[0].send_str("not even JSON")
    app.silent = False
    assert (await slack.person("ada").command("/ferry")).acknowledged
    assert await slack.person("ada").messages() == []
    oddities = (await slack.request("GET", "connections"))["oddities"]
    assert [one["what"] for one in oddities] == ["acknowledges no envelope it is due for", "not an acknowledgement"]


async def test_an_ack_counts_only_on_the_connection_of_its_envelope(app: BareApp, slack: SlackWorld) -> None:
    await app.connect()
    await app.connect()
    app.silent = True
    typing = asyncio.create_task(slack.person("ada").command("/ferry"))
    envelope = await app.next()
    await app.sockets[1 - envelope["socket"]].send_json({"envelope_id": envelope["envelope_id"]})
    app.silent = False
    assert (await slack.person("carl").command("/ferry")).acknowledged
    assert (await slack.person("carl").command("/ferry")).acknowledged
    await slack.advance(4)
    assert (await typing).error == "operation_timeout"


async def test_each_payload_goes_to_one_of_several_connections(app: BareApp, slack: SlackWorld) -> None:
    await app.connect()
    await app.connect()
    for _ in range(4):
        await slack.person("ada").command("/ferry")
    assert sorted([(await app.next())["socket"] for _ in range(4)]) == [0, 0, 1, 1]
    assert app.heard_nothing()


async def test_the_eleventh_connection_is_one_too_many(app: BareApp) -> None:
    for _ in range(10):
        await app.connect()
    socket = await app.open_socket()
    refusal = await socket.receive_json()
    assert (refusal["type"], refusal["reason"]) == ("disconnect", "too_many_websockets")
    assert (await socket.receive(PATIENCE)).type is aiohttp.WSMsgType.CLOSE


async def test_nothing_is_kept_for_an_app_that_is_not_connected(app: BareApp, slack: SlackWorld) -> None:
    result = await slack.person("ada").command("/ferry")
    assert (result.acknowledged, result.error) == (False, "dispatch_failed")
    await slack.person("ada").open_home()
    await app.connect()
    await slack.person("ada").command("/ferry second")
    assert (await app.next_payload())["text"] == "second"
    assert app.heard_nothing()


@pytest.mark.parametrize("reason", ["warning", "refresh_requested", "link_disabled"])
async def test_a_disconnect_message_comes_ten_seconds_before_the_end(
    app: BareApp, slack: SlackWorld, reason: str
) -> None:
    await app.connect()
    await slack.disconnect(reason)
    told = await app.next()
    assert (told["type"], told["reason"]) == ("disconnect", reason)
    assert (await slack.person("ada").command("/ferry")).acknowledged
    await slack.advance(11)
    await slack.connected(0)


async def test_an_ack_lost_with_its_connection_fails_the_command(app: BareApp, slack: SlackWorld) -> None:
    await app.connect()
    app.silent = True
    typing = asyncio.create_task(slack.person("ada").command("/ferry"))
    await app.next()
    await slack.disconnect(abort=True)
    assert (await typing).error == "operation_timeout"


async def test_reconnects_can_be_asked_for_early(app: BareApp, slack: SlackWorld) -> None:
    socket = await app.open_socket(await app.socket_url() + "&debug_reconnects=true")
    assert (await socket.receive_json())["debug_info"]["approximate_connection_time"] == 360
    await slack.advance(351)
    assert (await socket.receive_json())["reason"] == "warning"
    await slack.advance(10)
    assert (await socket.receive_json())["reason"] == "refresh_requested"


# -- events -----------------------------------------------------------------------------------------------------


async def test_opening_home_is_an_event_with_the_view_once_there_is_one(app: BareApp, slack: SlackWorld) -> None:
    await app.connect()
    await slack.person("ada").open_home()
    envelope = await app.next()
    assert (envelope["type"], envelope["accepts_response_payload"]) == ("events_api", False)
    wrapper = envelope["payload"]
    assert wrapper["type"] == "event_callback"
    assert {"token", "team_id", "api_app_id", "event_id", "event_time", "authorizations"} <= wrapper.keys()
    event = wrapper["event"]
    assert (event["type"], event["tab"]) == ("app_home_opened", "home")
    assert "view" not in event
    view = {"type": "home", "blocks": [section("Hi")]}
    await app.call("views.publish", user_id=event["user"], view=view)
    await slack.person("ada").open_home()
    assert (await app.next_payload())["event"]["view"]["blocks"][0]["text"]["text"] == "Hi"


async def test_an_event_without_an_ack_comes_again_at_once_after_a_minute_and_after_five(
    app: BareApp, slack: SlackWorld
) -> None:
    await app.connect()
    app.silent = True
    opening = asyncio.create_task(slack.person("ada").open_home())
    first = await app.next()
    assert "retry_attempt" not in first
    for attempt, pause in ((1, 0), (2, 60), (3, 300)):
        await slack.advance(3.1)
        await slack.watch("connections", _outcomes, _timed_out(attempt), PATIENCE)
        await slack.advance(pause)
        again = await app.next()
        assert (again["retry_attempt"], again["retry_reason"]) == (attempt, "timeout")
        assert again["payload"]["event_id"] == first["payload"]["event_id"]
    assert (await opening).error == "operation_timeout"


TIMEOUT = "operation_timeout"


def _timed_out(times: int) -> Callable[[list[str]], bool]:
    return lambda outcomes: outcomes.count(TIMEOUT) == times


def _outcomes(answer: Json) -> list[str]:
    return [one["outcome"] for one in answer["deliveries"]]


async def test_any_event_can_be_sent_by_hand(app: BareApp, slack: SlackWorld) -> None:
    await app.connect()
    answer = await slack.request("POST", "deliver", {"event": {"type": "app_uninstalled"}})
    assert answer["outcome"] == "acknowledged"
    assert (await app.next_payload())["event"] == {"type": "app_uninstalled"}


# -- response URLs ----------------------------------------------------------------------------------------------


async def _response_url(app: BareApp, slack: SlackWorld) -> str:
    await slack.person("ada").command("/ferry", channel="random")
    return str((await app.next_payload())["response_url"])


async def test_a_response_url_takes_five_posts_ephemeral_unless_said_otherwise(app: BareApp, slack: SlackWorld) -> None:
    await app.connect()
    url = await _response_url(app, slack)
    await app.request("POST", url, json={"text": "0"})
    await app.request("POST", url, json={"text": "1", "response_type": "in_channel"})
    for number in ("2", "3", "4"):
        assert (await app.request("POST", url, json={"text": number})).text == "ok"
    sixth = await app.request("POST", url, json={"text": "5"})
    assert (sixth.status_code, sixth.json()["error"]) == (404, "used_url")
    assert [one.text for one in await slack.person("ada").messages("random")] == ["0", "1", "2", "3", "4"]
    assert [one.text for one in await slack.person("vera").messages("random")] == ["1"]


async def test_a_response_url_lives_for_thirty_minutes(app: BareApp, slack: SlackWorld) -> None:
    await app.connect()
    url = await _response_url(app, slack)
    await slack.advance(29 * 60)
    assert (await app.request("POST", url, json={"text": "in time"})).status_code == 200
    await slack.advance(2 * 60)
    late = await app.request("POST", url, json={"text": "late"})
    assert (late.status_code, late.json()["error"]) == (404, "expired_url")
    unknown = await app.request("POST", url[:-3] + "abc", json={"text": "t"})
    assert unknown.status_code == 404


async def test_bad_posts_to_a_response_url_are_refused(app: BareApp, slack: SlackWorld) -> None:
    await app.connect()
    url = await _response_url(app, slack)
    assert (await app.request("POST", url, json={})).json()["error"] == "no_text"
    assert (await app.request("POST", url, content="text")).status_code == 400
    invalid = await app.request("POST", url, json={"blocks": [section("")]})
    assert invalid.json()["error"] == "invalid_blocks"


async def test_a_click_on_a_message_can_replace_or_delete_it_by_its_response_url(
    app: BareApp, slack: SlackWorld
) -> None:
    await app.connect()
    ada = slack.person("ada")
    go = {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Go"}}]}
    app.answer = lambda payload: {"text": "question", "blocks": [go]} if "command" in payload else None
    await ada.command("/ferry")
    await app.next()
    for change, left in (({"replace_original": True, "text": "t", "blocks": [go, section("again")]}, 1), ({}, 2)):
        await ada.click("Go")
        payload = await app.next_payload()
        assert payload["container"]["is_ephemeral"] is True
        assert "message" not in payload
        await app.request("POST", payload["response_url"], json=change or {"text": "new"})
        assert len(await ada.messages()) == left
    await ada.click("Go")
    await app.request("POST", (await app.next_payload())["response_url"], json={"delete_original": True})
    assert [one.text for one in await ada.messages()] == ["new"]
    assert await slack.person("vera").messages() == []


async def test_a_modal_can_ask_for_response_urls_to_channels(app: BareApp, slack: SlackWorld) -> None:
    await app.connect()
    ada = slack.person("ada")
    await ada.command("/ferry", channel="marketing")
    trigger = (await app.next_payload())["trigger_id"]
    where = {
        "type": "conversations_select",
        "action_id": "c",
        "response_url_enabled": True,
        "default_to_current_conversation": True,
    }
    label = {"type": "plain_text", "text": "Channel"}
    view = modal({"type": "input", "block_id": "b", "label": label, "element": where})
    await app.call("views.open", trigger_id=trigger, view=view)
    await ada.submit()
    [entry] = (await app.next_payload())["response_urls"]
    marketing = await slack.channel_id("marketing")
    assert (entry["block_id"], entry["action_id"], entry["channel_id"]) == ("b", "c", marketing)
    await app.request("POST", entry["response_url"], json={"text": "hello", "response_type": "in_channel"})
    assert [one.text for one in await slack.person("vera").messages("marketing")] == ["hello"]
