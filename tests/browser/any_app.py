"""The page with no bot behind it: the test itself is the app, so that it can send whatever an app may send."""

from typing import Any

from tests.system.slack_emulator_app import BareApp, Json, plain

OPTIONS = ("Red", "Green", "Blue")
MARKDOWN = "# In Markdown\n\n- [x] done\n- **bold**\n  - deeper\n\n| A | B |\n|---|--:|\n| 1 | 2 |"


class AnyApp(BareApp):
    """An app that posts to #marketing, uploads, and opens modals when somebody types a command."""

    async def done(self, method: str, **arguments: Any) -> Json:
        """Call a method that must not fail."""
        answer = await self.call(method, **arguments)
        assert answer["ok"], answer
        return answer

    async def send(self, *blocks: Json, **more: Any) -> Json:
        """Post blocks."""
        return await self.done("chat.postMessage", channel="marketing", text="For the test", blocks=[*blocks], **more)

    async def say(self, text: str, **more: Any) -> Json:
        """Post a text."""
        return await self.done("chat.postMessage", channel="marketing", text=text, **more)

    async def upload(self, name: str, content: bytes, **more: Any) -> None:
        """Share a file."""
        asked = await self.done("files.getUploadURLExternal", filename=name, length=len(content), **more)
        await self.request("POST", asked["upload_url"], content=content)
        channel = (await self.say("A file"))["channel"]
        await self.done("files.completeUploadExternal", files=[{"id": asked["file_id"]}], channel_id=channel)

    async def open(self, view: Json) -> Json:
        """Answer the command that was typed with a modal; what `views.open` says."""
        command = await self.next_payload()
        return await self.done("views.open", trigger_id=command["trigger_id"], view=view)


def option(text: str, **more: Any) -> Json:
    return {"text": plain(text), "value": text.lower(), **more}


def options() -> list[Json]:
    return [option(one) for one in OPTIONS]


def field(label: str, *, block: Json | None = None, **element: Any) -> Json:
    """An input block whose ids are its label in lower case."""
    name = label.lower()
    return {
        "type": "input",
        "block_id": name,
        "label": plain(label),
        "element": {"action_id": name, **element},
        **(block or {}),
    }


def modal(title: str, *blocks: Json, **more: Any) -> Json:
    submit = {"submit": plain("Send")} if any(block["type"] == "input" for block in blocks) else {}
    return {"type": "modal", "title": plain(title), "blocks": [*blocks], **submit, **more}


def text(words: str) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": words}}


def every_block() -> list[list[Json]]:
    """Each kind of block that a message may hold, with each kind of cell, run and part; message by message."""
    image = {"type": "image", "image_url": "https://example.com/a.png", "alt_text": "A ship"}
    rich = [
        {
            "type": "rich_text_section",
            "elements": [
                {"type": "text", "text": "Rich", "style": {"bold": True, "underline": True}},
                {"type": "link", "url": "https://example.com", "text": "linked"},
                {"type": "emoji", "name": "rocket"},
                {"type": "broadcast", "range": "here"},
                {"type": "color", "value": "#0a6a6f"},
                {"type": "date", "timestamp": 1764590400, "format": "{date_num}", "fallback": "then"},
            ],
        },
        {
            "type": "rich_text_list",
            "style": "ordered",
            "offset": 2,
            "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "an item"}]}],
        },
        {"type": "rich_text_quote", "elements": [{"type": "text", "text": "quoted"}]},
        {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "a = 1"}]},
    ]
    rows = [[{"type": "raw_text", "text": "Segment"}, {"type": "raw_text", "text": "Members"}]] + [
        [{"type": "raw_text", "text": f"Segment {n}"}, {"type": "raw_number", "value": n, "text": str(n)}]
        for n in range(1, 6)
    ]
    points = [{"label": "Mon", "value": 3}, {"label": "Tue", "value": 5}]
    axes = {"categories": ["Mon", "Tue"], "x_label": "Day", "y_label": "Contacts"}
    series = [{"name": "Added", "data": points}]

    def chart(kind: str) -> Json:
        drawn = {"type": kind, "series": series, "axis_config": axes}
        return {"type": "data_visualization", "title": f"As {kind}", "chart": drawn}

    pie = {"type": "pie", "segments": [{"label": "VIP", "value": 3}, {"label": "Others", "value": 7}]}
    click = {"type": "button", "action_id": "click", "text": plain("Click")}
    task = {"task_id": "1", "title": "Read", "status": "complete"}
    card = {
        "type": "card",
        "title": plain("A card"),
        "subtitle": plain("of paper"),
        "body": plain("Body"),
        "icon": image,
    }
    return [
        [
            {"type": "header", "text": plain("A header")},
            {**text("*Text* :tada:"), "fields": [plain("A field")], "accessory": {**click, "action_id": "accessory"}},
            {"type": "divider"},
            {"type": "context", "elements": [plain("In small"), image]},
            {"type": "image", "title": plain("A picture"), "image_url": image["image_url"], "alt_text": "A ship"},
            {"type": "rich_text", "elements": rich},
            {"type": "markdown", "text": MARKDOWN},
            {
                "type": "video",
                "video_url": "https://example.com/v",
                "thumbnail_url": "https://example.com/t",
                "alt_text": "A film",
                "title": plain("Film"),
                "title_url": "https://example.com/v",
            },
            {"type": "file", "external_id": "f-1", "source": "remote"},
        ],
        [{"type": "table", "rows": rows, "column_settings": [{"align": "left"}, {"align": "right"}]}],
        [{"type": "data_table", "rows": rows, "caption": "All segments", "page_size": 3, "row_header_column_index": 0}],
        [chart("line"), chart("bar")],
        [chart("area"), {"type": "data_visualization", "title": "As pie", "chart": pie}],
        [
            {**card, "actions": [{**click, "action_id": "card"}]},
            {"type": "carousel", "elements": [card, {**card, "title": plain("Another")}]},
            {
                "type": "container",
                "title": plain("A container"),
                "is_collapsible": True,
                "child_blocks": [text("Inside")],
            },
            {
                "type": "plan",
                "title": "The plan",
                "tasks": [
                    {"type": "task_card", **task},
                    {"type": "task_card", **task, "task_id": "2", "status": "in_progress"},
                ],
            },
            {"type": "task_card", **task, "status": "error"},
            {
                "type": "context_actions",
                "elements": [
                    {
                        "type": "feedback_buttons",
                        "action_id": "f",
                        "positive_button": {"text": plain("Good"), "value": "1"},
                        "negative_button": {"text": plain("Bad"), "value": "0"},
                    },
                    {"type": "icon_button", "action_id": "i", "icon": "trash", "text": plain("Delete")},
                ],
            },
            {
                "type": "actions",
                "elements": [
                    click,
                    {**click, "action_id": "primary", "style": "primary"},
                    {**click, "action_id": "danger", "style": "danger"},
                    {"type": "overflow", "action_id": "more", "options": [option("Edit"), option("Copy")]},
                ],
            },
        ],
        [
            field("Line", type="plain_text_input"),
            field("Lines", type="plain_text_input", multiline=True, block={"hint": plain("A hint"), "optional": True}),
            field("Mail", type="email_text_input"),
            field("Address", type="url_text_input"),
            field("Number", type="number_input", is_decimal_allowed=False),
            field("Rich", type="rich_text_input"),
            field("Colour", type="static_select", options=options()),
            field("Colours", type="multi_static_select", options=options(), initial_options=options()[:2]),
            field("Asked", type="external_select"),
            field("Several", type="multi_external_select"),
            field("Person", type="users_select"),
            field("People", type="multi_users_select"),
            field("Talk", type="conversations_select"),
            field("Talks", type="multi_conversations_select"),
            field("Channel", type="channels_select"),
            field("Channels", type="multi_channels_select"),
            field("Mark", type="radio_buttons", options=options()),
            field("Ticks", type="checkboxes", options=options()),
            field("Day", type="datepicker"),
            field("Hour", type="timepicker", timezone="Europe/Berlin"),
            field("When", type="datetimepicker"),
            field("Files", type="file_input"),
        ],
    ]
