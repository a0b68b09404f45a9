"""What an app may send, shown: blocks that this bot uses rarely or not at all, too.

reference: slack-platform.md §8 (messages, files), §9 (blocks), §14 (contrast, labels)
"""

import asyncio
import base64
from pathlib import Path

import pytest
from playwright.async_api import expect

from bot.sandbox.slack.blockkit.blocks import BLOCK_SURFACES
from bot.sandbox.slack.blockkit.elements import ELEMENTS
from bot.sandbox.slack.client import SlackWorld
from bot.sandbox.slack.elements import placed_elements
from tests.browser.any_app import AnyApp, every_block, field, text
from tests.browser.conftest import Open, Screen
from tests.browser.findings import findings
from tests.system.slack_emulator_app import Json, plain

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
HOSTILE = '<img src=x onerror="window.harm = 1"> <script>window.harm = 1</script> [x](javascript:window.harm=1)'


def test_the_examples_hold_every_block_and_element_that_a_message_may_have() -> None:
    shown = [block for blocks in every_block() for block in blocks]
    wanted = {kind for kind, surfaces in BLOCK_SURFACES.items() if "message" in surfaces} - {"actions"}
    assert wanted <= {block["type"] for block in shown}
    kinds = {placed.kind for placed in placed_elements(shown)}
    assert ELEMENTS.keys() - {"image", "workflow_button"} <= kinds


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_block_is_shown_and_axe_finds_nothing_serious(app: AnyApp, open_shown: Open, scheme: str) -> None:
    shown = await open_shown(color_scheme=scheme)
    for blocks in every_block():
        await app.send(*blocks)
    for kind in {block["type"] for blocks in every_block() for block in blocks}:
        await expect(shown.page.locator(f"#messages .block-{kind}").first).to_be_visible()
    await expect(shown.page.locator("#messages")).not_to_contain_text("can't be shown here")
    assert await findings(shown.page) == []


async def test_texts_keep_their_marks(app: AnyApp, shown: Screen, slack: SlackWorld) -> None:
    carl = await slack.person_id("carl")
    team = await slack.add_group("leads-team", members=["carl"])
    words = f"*bold* _slanted_ ~gone~ `code` <https://example.com|a link> <@{carl}> <!subteam^{team}> :tada: 2 &lt; 3"
    await app.send(text(f"{words}\n&gt; said\n```\nlet a = 1\n```"))
    message = shown.message("bold")
    for tag, inner in (("strong", "bold"), ("em", "slanted"), ("s", "gone"), ("code", "code"), ("blockquote", "said")):
        await expect(message.locator(f".text {tag}")).to_have_text(inner)
    await expect(message.locator("pre")).to_have_text("let a = 1")
    await expect(message.get_by_role("link", name="a link")).to_have_attribute("rel", "noopener noreferrer")
    await expect(message).to_contain_text("@carl @leads-team")
    await expect(message.get_by_role("img", name="tada")).to_be_visible()
    await expect(message).to_contain_text("2 < 3")


async def test_markdown_has_its_headings_lists_and_tables(app: AnyApp, shown: Screen) -> None:
    await app.send(
        {
            "type": "markdown",
            "text": "## Title\n1. one\n   - deeper **bold**\n2. two\n\n| A | B |\n|---|--:|\n| x | 7 |",
        }
    )
    message = shown.page.locator(".md")
    await expect(message.get_by_role("heading", name="Title")).to_be_visible()
    await expect(message.locator("ol > li")).to_have_count(2)
    await expect(message.locator("ol > li ul li strong")).to_have_text("bold")
    await expect(message.get_by_role("row", name="x 7")).to_be_visible()


async def test_nothing_that_is_said_becomes_markup(app: AnyApp, shown: Screen, slack: SlackWorld) -> None:
    await slack.person("carl").change(real_name=HOSTILE)
    rows = [[{"type": "raw_text", "text": HOSTILE}], [{"type": "raw_text", "text": HOSTILE}]]
    rich = [{"type": "rich_text_section", "elements": [{"type": "text", "text": HOSTILE}]}]
    await app.send(
        text(HOSTILE),
        {"type": "header", "text": plain(HOSTILE[:150])},
        {"type": "section", "text": plain(HOSTILE)},
        {"type": "markdown", "text": HOSTILE},
        {"type": "rich_text", "elements": rich},
        {"type": "table", "rows": rows},
    )
    await slack.person("carl").say(f"{HOSTILE} <javascript:window.harm=1|here> <@{HOSTILE}>", channel="marketing")
    await app.upload(f"{HOSTILE[:36]}.csv", HOSTILE.encode())
    await expect(shown.page.locator(".message")).to_have_count(4)
    await expect(shown.page.locator(".message").nth(1)).to_contain_text("window.harm")
    assert await shown.page.evaluate("window.harm") is None
    made = "document.querySelectorAll('[onerror], body script, a[href^=javascript], img[src=x]').length"
    assert await shown.page.evaluate(made) == 0


async def test_a_date_stands_in_the_readers_language_and_zone(app: AnyApp, shown: Screen) -> None:
    await app.send(text("<!date^1764590400^{date_long} at {time}|then>"))
    await expect(shown.page.locator(".message .text time")).to_have_text("Monday, December 1, 2025 at 12:00 PM")
    await shown.page.get_by_label("Language", exact=True).select_option("de-DE")
    await expect(shown.page.locator(".message .text time")).to_have_text("Montag, 1. Dezember 2025 at 12:00")


async def test_charts_have_their_numbers_as_a_table(app: AnyApp, shown: Screen) -> None:
    data = [{"label": "Mon", "value": 3}, {"label": "Tue", "value": 1500}]
    axes = {"categories": ["Mon", "Tue"], "x_label": "Day", "y_label": "Contacts"}
    chart = {"type": "line", "series": [{"name": "Added", "data": data}], "axis_config": axes}
    pie = {"type": "pie", "segments": [{"label": "VIP", "value": 3}, {"label": "Others", "value": 7}]}
    await app.send(
        {"type": "data_visualization", "title": "Contacts", "chart": chart},
        {"type": "data_visualization", "title": "Shares", "chart": pie},
    )
    figure = shown.page.get_by_role("figure").filter(has_text="Contacts")
    await expect(figure.get_by_role("img", name="line chart, Added over Day")).to_be_visible()
    await figure.get_by_text("Numbers as a table").click()
    await expect(figure.get_by_role("row", name="Tue 1,500")).to_be_visible()
    shares = shown.page.get_by_role("figure").filter(has_text="Shares")
    await expect(shares.get_by_role("img", name="pie chart, VIP, Others")).to_be_visible()
    await expect(shares.get_by_role("listitem").first).to_have_text("VIP30%")


async def test_a_data_table_is_sorted_by_its_columns_and_leafed_through(app: AnyApp, shown: Screen) -> None:
    numbers = (7, 100, 20)
    rows: list[list[Json]] = [[{"type": "raw_text", "text": "Members"}]]
    rows += [[{"type": "raw_number", "value": n, "text": str(n)}] for n in numbers]
    await app.send({"type": "data_table", "rows": rows, "caption": "Segments", "page_size": 2})
    table = shown.page.get_by_role("table", name="Segments")
    await expect(table.locator("td")).to_have_text(["7", "100"])
    await table.get_by_role("button", name="Members").click()
    await expect(table.locator("td")).to_have_text(["7", "20"])
    await expect(table.get_by_role("columnheader")).to_have_attribute("aria-sort", "ascending")
    await shown.page.get_by_role("button", name="Next").press("Enter")
    await expect(table.locator("td")).to_have_text(["100"])


async def test_files_are_kept_looked_into_and_pictures_shown(app: AnyApp, shown: Screen) -> None:
    await app.upload("rejects.csv", b'id,reason\r\n1,"no, ""email"""\r\n')
    await app.upload("picture.png", PIXEL, alt_txt="A single dot")
    async with shown.page.expect_download() as coming:
        await shown.page.get_by_role("link", name="rejects.csv").click()
    path = await (await coming.value).path()
    assert (await asyncio.to_thread(Path(path).read_bytes)).startswith(b"id,reason")
    await shown.page.get_by_text("Look inside").click()
    await expect(shown.page.get_by_role("row", name='1 no, "email"')).to_be_visible()
    picture = shown.page.get_by_role("img", name="A single dot")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("image => image.naturalWidth") == 1


async def test_an_edit_replaces_what_a_message_says(app: AnyApp, shown: Screen) -> None:
    posted = await app.send({"type": "section", "text": plain("Half of it")})
    await expect(shown.message("Half of it")).to_be_visible()
    blocks = [{"type": "section", "text": plain("All of it")}]
    await app.done("chat.update", channel=posted["channel"], ts=posted["ts"], text="All of it", blocks=blocks)
    await expect(shown.message("All of it")).to_contain_text("(edited)")
    await expect(shown.page.locator(".message")).to_have_count(1)


async def test_what_is_for_one_person_only_is_marked_so(app: AnyApp, shown: Screen, slack: SlackWorld) -> None:
    ada = await slack.person_id("ada")
    await app.done("chat.postEphemeral", channel=await slack.channel_id("marketing"), user=ada, text="A secret")
    await expect(shown.message("A secret")).to_contain_text("Only visible to you")
    await shown.become("Carl Contributor")
    await expect(shown.page.get_by_text("Nothing was said here yet.")).to_be_visible()


async def test_an_answer_is_given_in_a_thread(app: AnyApp, shown: Screen, slack: SlackWorld) -> None:
    root = await app.say("Shall I?")
    await shown.page.locator(".message-row").hover()
    await shown.page.get_by_role("button", name="in a thread").click()
    thread = shown.page.get_by_role("complementary", name="Thread")
    await expect(thread.get_by_role("textbox", name="Reply in the thread")).to_be_focused()
    await shown.page.keyboard.type("Please do")
    await shown.page.keyboard.press("Enter")
    await expect(thread.locator(".message").last).to_contain_text("Please do")
    assert await findings(shown.page) == []
    await shown.page.keyboard.press("Escape")
    await expect(thread).to_be_hidden()
    await expect(shown.page.get_by_role("button", name="1 reply")).to_be_visible()
    [_, reply] = await slack.person("ada").messages("marketing")
    assert reply.raw["thread_ts"] == root["ts"]


async def test_what_was_not_seen_yet_is_counted_and_marked_as_new(app: AnyApp, shown: Screen) -> None:
    await app.say("Seen at once")
    await expect(shown.message("Seen at once")).to_be_visible()
    await shown.go("general")
    await app.say("Not seen")
    place = shown.page.get_by_role("navigation").get_by_role("button", name="marketing")
    await expect(place).to_have_accessible_name("marketing 1 new")
    await expect(shown.page).to_have_title("(1) #general – Sandbox workspace")
    await place.click()
    await expect(place).to_have_accessible_name("marketing")
    await expect(shown.page.locator(".divider-new + li")).to_contain_text("Not seen")


async def test_reactions_are_shown_with_their_number(app: AnyApp, shown: Screen, slack: SlackWorld) -> None:
    await slack.change_app(scopes=["chat:write", "reactions:write"])
    posted = await app.say("Done")
    await app.done("reactions.add", channel=posted["channel"], timestamp=posted["ts"], name="white_check_mark")
    await expect(shown.page.get_by_role("list", name="Reactions")).to_have_text("1")


async def test_what_does_not_change_is_left_alone_while_something_else_reports(app: AnyApp, shown: Screen) -> None:
    await app.send(text("Stays"), field("Line", type="plain_text_input"))
    live = await app.say("Progress 0")
    line = shown.page.get_by_label("Line")
    await line.press_sequentially("typed mean")
    await shown.message("Stays").evaluate("element => { element.untouched = true }")
    for number in range(1, 21):
        await app.done("chat.update", channel=live["channel"], ts=live["ts"], text=f"Progress {number}")
    await expect(shown.message("Progress 20")).to_be_visible()
    await line.press_sequentially("while")
    await expect(line).to_have_value("typed meanwhile")
    assert await shown.message("Stays").evaluate("element => element.untouched")


async def test_a_long_channel_begins_with_its_newest_messages(app: AnyApp, shown: Screen) -> None:
    await shown.go("general")
    for number in range(105):
        await app.say(f"Message {number}.")
    await shown.go("marketing")
    await expect(shown.message("Message 104.")).to_be_in_viewport()
    await expect(shown.page.get_by_text("Message 4.", exact=True)).to_have_count(0)
    await shown.page.get_by_role("button", name="Show earlier messages").click()
    await expect(shown.page.get_by_text("Message 4.", exact=True)).to_have_count(1)
    await expect(shown.page.get_by_role("button", name="Show earlier messages")).to_be_hidden()


async def test_texts_that_are_hard_to_read_are_shown_all_the_same(app: AnyApp, shown: Screen) -> None:
    hard = (">" * 2900, "*" * 2900, "`" * 2900, "*_~`<" * 580, "**a" * 900, "- " * 900, "[a](" * 700)
    await app.send(*(text(words) for words in hard))
    await app.send(*({"type": "markdown", "text": words[:1500]} for words in hard))
    await app.send(text("*The end*"))
    await expect(shown.message("The end").locator(".text strong")).to_be_visible()
    await expect(shown.page.locator(".message .block-markdown")).to_have_count(len(hard))
