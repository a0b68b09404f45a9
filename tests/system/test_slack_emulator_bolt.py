"""Slack's own Python libraries against the emulator: what they do with the real Slack, they must be able to do here.

reference: slack-platform.md §1, §4, §5, §8; toolbox.md §6
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.client import SlackWorld
from tests.processes import emulator
from tests.system.slack_emulator_app import actions, button, field, home, modal, options, section, text_field

Json = dict[str, Any]
PING_SECONDS = 0.2  # how often the client looks after its connection


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
async def client(told: Json) -> AsyncWebClient:
    return AsyncWebClient(token=told["bot_token"], base_url=told["api_url"])


@pytest.fixture
async def app(client: AsyncWebClient) -> AsyncApp:
    return AsyncApp(client=client)


@pytest.fixture
async def handler(app: AsyncApp, told: Json, slack: SlackWorld) -> AsyncIterator[AsyncSocketModeHandler]:
    """The app connected; its listeners may be added before or after."""
    socket = AsyncSocketModeHandler(app, told["app_token"], ping_interval=PING_SECONDS)
    await socket.connect_async()  # type: ignore[no-untyped-call]
    await slack.connected()
    yield socket
    await socket.close_async()  # type: ignore[no-untyped-call]


@pytest.mark.usefixtures("handler")
async def test_a_command_becomes_a_modal_a_message_an_edit_and_an_answer(app: AsyncApp, slack: SlackWorld) -> None:
    @app.command("/ferry")
    async def ferry(ack: Any, body: Json, client: AsyncWebClient) -> None:
        await ack("One moment.")
        await client.views_open(trigger_id=body["trigger_id"], view=modal(text_field("Display name")))

    @app.view("cb")
    async def saved(ack: Any, body: Json, client: AsyncWebClient) -> None:
        name = body["view"]["state"]["values"]["name"]["typed"]["value"]
        if name == "taken":
            await ack(response_action="errors", errors={"name": "There is one of that name."})
            return
        await ack()
        blocks = [section(f"*{name}* is connected"), actions(button("Run", "run", value=name))]
        await client.chat_postMessage(channel="#general", text=f"{name} is connected", blocks=blocks)

    @app.action("run")
    async def run(ack: Any, body: Json, client: AsyncWebClient, respond: Any) -> None:
        await ack()
        where = {"channel": body["channel"]["id"], "ts": body["message"]["ts"]}
        await client.chat_update(**where, text=f"{body['actions'][0]['value']}: done")
        await respond("Thank you.")

    ada = slack.person("ada")
    assert (await ada.command("/ferry connect")).text == "One moment."
    shown = await ada.modal()
    await shown.fill({"Display name": "taken"})
    assert (await shown.submit()).errors == {"name": "There is one of that name."}
    await shown.fill({"Display name": "Shop"})
    assert (await shown.submit()).closed
    await slack.person("vera").message("*Shop* is connected")
    await ada.click("Run")
    assert (await slack.person("vera").message("Shop: done")).edited
    assert (await ada.message("Thank you.")).ephemeral


@pytest.mark.usefixtures("handler")
async def test_options_and_home_and_closed_views(app: AsyncApp, slack: SlackWorld) -> None:
    closed: asyncio.Queue[str] = asyncio.Queue()

    @app.event("app_home_opened")
    async def opened(event: Json, client: AsyncWebClient) -> None:
        await client.views_publish(user_id=event["user"], view=home(actions(button("New export", "new"))))

    @app.action("new")
    async def new(ack: Any, body: Json, client: AsyncWebClient) -> None:
        await ack()
        element = {"type": "external_select", "action_id": "segments", "min_query_length": 0}
        view = modal(field("Segment", element, "segment"), notify_on_close=True)
        await client.views_open(trigger_id=body["trigger_id"], view=view)

    @app.options("segments")
    async def segments(ack: Any, payload: Json) -> None:
        await ack(options=[one for one in options("VIP", "New") if payload["value"] in one["text"]["text"]])

    @app.view_closed("cb")
    async def was_closed(ack: Any, body: Json) -> None:
        await ack()
        await closed.put(body["view"]["callback_id"])

    carl = slack.person("carl")
    await carl.open_home()
    await carl.home("New export")
    await carl.click("New export")
    await carl.modal()
    assert await carl.suggestions("Segment", "") == ["VIP", "New"]
    await carl.choose("Segment", "VIP")
    await carl.close()
    assert await asyncio.wait_for(closed.get(), 10) == "cb"


@pytest.mark.usefixtures("handler")
async def test_an_exception_before_the_ack_is_seen_by_the_person(app: AsyncApp, slack: SlackWorld) -> None:
    begun = asyncio.Event()

    @app.command("/ferry")
    async def ferry(ack: Any) -> None:
        begun.set()
        raise RuntimeError("before the ack")

    typing = asyncio.create_task(slack.person("ada").command("/ferry"))
    await begun.wait()
    await slack.advance(4)
    assert (await typing).error == "operation_timeout"


@pytest.mark.usefixtures("handler")
@pytest.mark.parametrize("how", ["refresh_requested", "warning", "abort"])
async def test_the_client_comes_back_after_its_connection_ends(app: AsyncApp, slack: SlackWorld, how: str) -> None:
    @app.command("/ferry")
    async def ferry(ack: Any) -> None:
        await ack("here")

    numbers = (await slack.request("GET", "connections"))["connections"]
    await slack.disconnect("refresh_requested" if how == "abort" else how, abort=how == "abort")
    good, _ = await slack.watch(
        "connections",
        lambda answer: list(answer["connections"]),
        lambda now: now and not set(now) & set(numbers),
        10,
    )
    assert good
    assert (await slack.person("ada").command("/ferry")).text == "here"


@pytest.mark.usefixtures("handler")
async def test_the_client_comes_back_when_slack_does(app: AsyncApp, slack: SlackWorld) -> None:
    @app.command("/ferry")
    async def ferry(ack: Any) -> None:
        await ack("here")

    async with slack.fault("away"):
        await slack.connected(0)
    await slack.connected()
    assert (await slack.person("ada").command("/ferry")).text == "here"


async def test_the_client_library_retries_what_is_rate_limited(client: AsyncWebClient, slack: SlackWorld) -> None:
    client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=2))
    await slack.add_fault("ratelimited", "chat.postMessage", times=2, retry_after=0)
    await client.chat_postMessage(channel="#general", text="third time lucky")
    assert [one["status"] for one in await slack.calls("chat.postMessage")] == [429, 429, 200]


async def test_errors_arrive_as_slack_api_errors(client: AsyncWebClient, slack: SlackWorld) -> None:
    with pytest.raises(SlackApiError) as refusal:
        await client.chat_postMessage(channel="C0NOWHERE", text="t")
    assert refusal.value.response["error"] == "channel_not_found"
    with pytest.raises(SlackApiError) as refusal:
        await client.views_publish(user_id="U0NOBODY", view=home())
    assert refusal.value.response["error"] == "user_not_found"


async def test_reading_methods_work_as_the_library_sends_them(client: AsyncWebClient, slack: SlackWorld) -> None:
    members = (await client.users_list(include_locale=True))["members"]
    ada = next(one for one in members if one["name"] == "ada")
    assert (await client.users_info(user=ada["id"], include_locale=True))["user"]["locale"] == "en-US"
    channels = (await client.conversations_list(types="public_channel,im", exclude_archived=True))["channels"]
    general = next(one["id"] for one in channels if one.get("name") == "general")
    assert ada["id"] in (await client.conversations_members(channel=general))["members"]
    assert (await client.conversations_info(channel=general))["channel"]["is_member"] is True
    direct = (await client.conversations_open(users=[ada["id"]]))["channel"]["id"]
    posted = await client.chat_postMessage(channel=direct, text="hello")
    link = await client.chat_getPermalink(channel=direct, message_ts=posted["ts"])
    assert link["permalink"].startswith("https://acme.slack.com/archives/")
    assert (await client.team_info())["team"]["name"] == "Acme"
    assert (await client.usergroups_list())["usergroups"] == []


async def test_the_library_uploads_a_file(client: AsyncWebClient, slack: SlackWorld) -> None:
    members = (await client.users_list())["members"]
    carl = next(one["id"] for one in members if one["name"] == "carl")
    direct = (await client.conversations_open(users=carl))["channel"]["id"]
    content = "id,reason\n1,no email\n"
    await client.files_upload_v2(
        channel=direct, filename="rejects.csv", title="Rejects", content=content, initial_comment="2 rows"
    )
    [file] = (await slack.person("carl").message("2 rows", channel="dm")).files
    assert (await slack.person("carl").read_file(file)).decode() == content
