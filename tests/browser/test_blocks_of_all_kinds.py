"""What an app may send, shown and used: blocks and elements that this bot uses rarely or not at all, too.

reference: slack-platform.md §4 (state.values), §8 (messages, files), §9 (blocks)
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, expect

from bot.sandbox.room.house import House
from bot.sandbox.slack.client import SlackWorld
from tests.browser.conftest import Screen, room_over, screens
from tests.scenario.conftest import Json, Omnisend, Source

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def _plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def _option(text: str) -> Json:
    return {"text": _plain(text), "value": text.lower()}


def _input(label: str, **element: Any) -> Json:
    name = label.lower()
    return {"type": "input", "block_id": name, "label": _plain(label), "element": {"action_id": name, **element}}


@pytest.fixture
async def house(
    slack: SlackWorld, slack_process: Json, omnisend: Omnisend, source: Source, tmp_path: Path
) -> AsyncIterator[House]:
    """A house without a bot: the test itself is the app."""
    folder = source.folder
    async with room_over(slack_process, omnisend.told, tmp_path / "room", folder, folder) as made:
        yield made


@pytest.fixture
async def screen(browser: Browser, house: House) -> AsyncIterator[Screen]:
    async with screens(browser, house) as opener:
        yield await opener()


class App:
    """Sends what a test wants to see, to #marketing."""

    def __init__(self, told: Json, http: httpx.AsyncClient) -> None:
        self._told = told
        self._http = http

    async def call(self, method: str, **arguments: Any) -> Json:
        headers = {"Authorization": f"Bearer {self._told['bot_token']}"}
        answer: Json = (
            await self._http.post(f"{self._told['api_url']}{method}", json=arguments, headers=headers)
        ).json()
        assert answer["ok"], answer
        return answer

    async def post(self, *blocks: Json, **more: Any) -> Json:
        return await self.call("chat.postMessage", channel="marketing", text="For the test", blocks=[*blocks], **more)

    async def upload(self, name: str, content: bytes, **more: Any) -> None:
        asked = await self.call("files.getUploadURLExternal", filename=name, length=len(content), **more)
        await self._http.post(asked["upload_url"], content=content)
        channel = (await self.call("chat.postMessage", channel="marketing", text="A file"))["channel"]
        await self.call("files.completeUploadExternal", files=[{"id": asked["file_id"]}], channel_id=channel)


@pytest.fixture
async def app(slack_process: Json) -> AsyncIterator[App]:
    async with httpx.AsyncClient(trust_env=False) as http:
        yield App(slack_process, http)


async def test_texts_keep_their_marks_and_nothing_becomes_markup(app: App, screen: Screen, slack: SlackWorld) -> None:
    carl = await slack.person_id("carl")
    text = (
        f"*bold* _slanted_ ~gone~ `code` <https://example.com|a link> <@{carl}> :tada: 2 &lt; 3 <img src=x>\n&gt; said"
    )
    await app.post({"type": "section", "text": {"type": "mrkdwn", "text": text}})
    message = screen.message("bold")
    for tag, words in (("strong", "bold"), ("em", "slanted"), ("s", "gone"), ("code", "code"), ("blockquote", "said")):
        await expect(message.locator(f".text {tag}")).to_have_text(words)
    await expect(message.get_by_role("link", name="a link")).to_have_attribute("rel", "noopener noreferrer")
    await expect(message).to_contain_text("@carl")
    await expect(message.get_by_role("img", name="tada")).to_be_visible()
    await expect(message).to_contain_text("2 < 3 <img src=x>")
    await expect(message.locator("img")).to_have_count(0)


async def test_a_date_stands_in_the_readers_language_and_zone(app: App, screen: Screen) -> None:
    await app.post(
        {"type": "section", "text": {"type": "mrkdwn", "text": "<!date^1764590400^{date_long} at {time}|then>"}}
    )
    await expect(screen.page.locator(".message .text time")).to_have_text("Monday, December 1, 2025 at 12:00 PM")
    await screen.page.get_by_label("Language", exact=True).select_option("de-DE")
    await expect(screen.page.locator(".message .text time")).to_have_text("Montag, 1. Dezember 2025 at 12:00")


async def test_charts_have_their_numbers_as_a_table(app: App, screen: Screen) -> None:
    data = [{"label": "Mon", "value": 3}, {"label": "Tue", "value": 1500}]
    axes = {"categories": ["Mon", "Tue"], "x_label": "Day", "y_label": "Contacts"}
    chart = {"type": "line", "series": [{"name": "Added", "data": data}], "axis_config": axes}
    pie = {"type": "pie", "segments": [{"label": "VIP", "value": 3}, {"label": "Others", "value": 7}]}
    await app.post(
        {"type": "data_visualization", "title": "Contacts", "chart": chart},
        {"type": "data_visualization", "title": "Shares", "chart": pie},
    )
    figure = screen.page.get_by_role("figure").filter(has_text="Contacts")
    await expect(figure.get_by_role("img", name="line chart, Added over Day")).to_be_visible()
    await figure.get_by_text("Numbers as a table").click()
    await expect(figure.get_by_role("row", name="Tue 1,500")).to_be_visible()
    await expect(screen.page.get_by_role("img", name="pie chart, VIP, Others")).to_be_visible()


async def test_tables_files_images_and_threads_are_shown(app: App, screen: Screen) -> None:
    rows = [[{"type": "raw_text", "text": one} for one in row] for row in (("Segment", "Members"), ("VIP", "12"))]
    parent = await app.post({"type": "table", "rows": rows})
    await app.call("chat.postMessage", channel=parent["channel"], text="In the thread", thread_ts=parent["ts"])
    await app.upload("rejects.csv", b"id,reason\n1,no email\n")
    await app.upload("picture.png", PIXEL, alt_txt="A single dot")
    await expect(screen.page.get_by_role("row", name="VIP 12")).to_be_visible()
    await screen.page.get_by_role("button", name="1 reply").click()
    thread = screen.page.get_by_role("complementary", name="Thread")
    await expect(thread.locator(".message").last).to_contain_text("In the thread")
    async with screen.page.expect_download() as coming:
        await screen.page.get_by_role("link", name="rejects.csv").click()
    path = await (await coming.value).path()
    assert await asyncio.to_thread(Path(path).read_bytes) == b"id,reason\n1,no email\n"
    picture = screen.page.get_by_role("img", name="A single dot")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("image => image.naturalWidth") == 1


async def test_an_edit_replaces_what_a_message_says(app: App, screen: Screen) -> None:
    posted = await app.post({"type": "section", "text": _plain("Half of it")})
    await expect(screen.message("Half of it")).to_be_visible()
    blocks = [{"type": "section", "text": _plain("All of it")}]
    await app.call("chat.update", channel=posted["channel"], ts=posted["ts"], text="All of it", blocks=blocks)
    await expect(screen.message("All of it")).to_contain_text("(edited)")
    await expect(screen.page.locator(".message")).to_have_count(1)


async def test_inputs_of_all_kinds_hold_what_a_person_enters(app: App, screen: Screen, slack: SlackWorld) -> None:
    options = [_option("Red"), _option("Green"), _option("Blue")]
    posted = await app.post(
        _input("Line", type="plain_text_input"),
        _input("Lines", type="plain_text_input", multiline=True),
        _input("Colour", type="static_select", options=options),
        _input("Colours", type="multi_static_select", options=options),
        _input("Mark", type="radio_buttons", options=options),
        _input("Ticks", type="checkboxes", options=options),
        _input("Person", type="users_select"),
        _input("Channel", type="conversations_select", filter={"include": ["private"]}),
        _input("Day", type="datepicker", initial_date="2026-11-30"),
        _input("Hour", type="timepicker"),
    )
    page = screen.page.locator(".message")
    await page.get_by_label("Line", exact=True).fill("one")
    await page.get_by_label("Lines").fill("two\nthree")
    for label, choice in (("Colour", "Blue"), ("Colours", "Red"), ("Person", "Carl"), ("Channel", "#leads")):
        await page.get_by_role("combobox", name=label, exact=True).click()
        await page.get_by_role("option", name=choice).click()
    await page.get_by_role("combobox", name="Colours").press("Escape")
    await page.get_by_role("radiogroup", name="Mark").get_by_label("Green").check()
    await page.get_by_role("group", name="Ticks").get_by_label("Red").check()
    await page.get_by_role("group", name="Ticks").get_by_label("Green").check()
    await expect(page.get_by_label("Day")).to_have_value("2026-11-30")
    await page.get_by_label("Day").fill("2026-12-01")
    await page.get_by_label("Hour").fill("07:30")

    def entered(messages: list[Any]) -> bool:
        message = next(one for one in messages if one.ts == posted["ts"])
        values = {name: inner[name] for name, inner in message.raw["state"]["values"].items()}
        return (
            values["line"]["value"] == "one"
            and values["lines"]["value"] == "two\nthree"
            and values["colour"]["selected_option"]["value"] == "blue"
            and [one["value"] for one in values["colours"]["selected_options"]] == ["red"]
            and values["mark"]["selected_option"]["value"] == "green"
            and [one["value"] for one in values["ticks"]["selected_options"]] == ["red", "green"]
            and values["person"]["selected_user"] == carl
            and values["channel"]["selected_conversation"] == leads
            and values["day"]["selected_date"] == "2026-12-01"
            and values["hour"]["selected_time"] == "07:30"
        )

    carl, leads = await slack.person_id("carl"), await slack.channel_id("leads")
    await slack.person("ada").wait_for_messages("marketing", entered)


async def test_an_app_that_does_not_answer_is_told_to_the_person(screen: Screen) -> None:
    await screen.command("/ferry help")
    await expect(screen.page.get_by_role("status").filter(has_text="/ferry failed with the error")).to_be_visible()
