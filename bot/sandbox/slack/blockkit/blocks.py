"""The blocks of Block Kit: what each may hold, and on which surfaces it may stand."""

from bot.sandbox.slack.blockkit import rules
from bot.sandbox.slack.blockkit.elements import ACCESSORY, ACTION, BUTTON, ELEMENTS, IMAGE, IMAGE_FIELDS, INPUT
from bot.sandbox.slack.blockkit.objects import ID, RICH_TEXT, RICH_TEXT_BLOCK, URL, plain, text
from bot.sandbox.slack.blockkit.schema import Choice, Fields, Flag, Items, Number, Rule, Spec, String, Typed

ON_ALL = frozenset({"message", "modal", "home"})
BLOCK_SURFACES: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        ("actions", "card", "context", "divider", "header", "image", "input", "rich_text", "section", "video"), ON_ALL
    ),
    "alert": frozenset({"modal"}),
    **dict.fromkeys(("carousel", "container", "data_table", "table"), frozenset({"home", "message"})),
    **dict.fromkeys(
        ("context_actions", "data_visualization", "file", "markdown", "plan", "task_card"), frozenset({"message"})
    ),
}

BLOCKS: dict[str, Fields] = {}


def _block(
    *required: str,
    any_of: tuple[str, ...] = (),
    one_of: tuple[str, ...] = (),
    rules: tuple[Rule, ...] = (),
    **known: Spec,
) -> Fields:
    return Fields({"type": String(), "block_id": ID, **known}, required, any_of, one_of, rules)


CELL = Typed(
    "a table cell",
    {
        "raw_text": Fields({"type": String(), "text": String()}, ("text",)),
        "raw_number": Fields({"type": String(), "value": Number(fractions=True), "text": String()}, ("value", "text")),
        "rich_text": RICH_TEXT_BLOCK,
    },
)
POINT = Fields({"label": String(20), "value": Number(fractions=True)}, ("label", "value"))
SERIES = Fields({"name": String(20), "data": Items(POINT, 20)}, ("name", "data"))
AXES = Fields({"categories": Items(String(20), 20), "x_label": String(50), "y_label": String(50)}, ("categories",))
AXIS_CHART = Fields(
    {"type": String(), "series": Items(SERIES, 12), "axis_config": AXES},
    ("series", "axis_config"),
    rules=(rules.chart_points_match_categories,),
)
SEGMENT = Fields({"label": String(20), "value": Number(above=0, fractions=True)}, ("label", "value"))
PIE = Fields({"type": String(), "segments": Items(SEGMENT, 12)}, ("segments",))
CHART = Typed("a chart", {"pie": PIE, "bar": AXIS_CHART, "line": AXIS_CHART, "area": AXIS_CHART})

SOURCE = Typed("a source", {"url": Fields({"type": String(), "url": URL, "text": String()}, ("url", "text"))})
TASK = _block(
    "task_id",
    "title",
    "status",
    task_id=String(),
    title=String(),
    details=RICH_TEXT,
    output=RICH_TEXT,
    sources=Items(SOURCE),
    status=Choice(("pending", "in_progress", "complete", "error")),
)
CARD = _block(
    any_of=("hero_image", "title", "actions", "body"),
    hero_image=IMAGE,
    icon=IMAGE,
    slack_icon=Fields({"type": String(), "name": String()}),
    title=text(150),
    subtitle=text(150),
    body=text(200),
    subtext=text(200),
    actions=Items(BUTTON, 3),
)
INSIDE_CONTAINER = frozenset(
    {
        "actions", "context", "divider", "file", "header", "image", "input", "rich_text", "section", "table", "video",
    }
)  # fmt: skip

BLOCKS.update(
    {
        "actions": _block("elements", elements=Items(ACTION, 25)),
        "alert": _block("text", text=text(200), level=Choice(("default", "info", "warning", "error", "success"))),
        "card": CARD,
        "carousel": _block("elements", elements=Items(Typed("a card", {"card": CARD}), 10)),
        "container": _block(
            "child_blocks",
            any_of=("title", "rich_text_title"),
            rules=(rules.collapsed_needs_collapsible,),
            title=plain(150),
            rich_text_title=RICH_TEXT,
            subtitle=text(150),
            child_blocks=Items(Typed("a block", BLOCKS, INSIDE_CONTAINER), 10),
            width=Choice(("narrow", "standard", "wide", "full")),
            icon=IMAGE,
            is_collapsible=Flag(),
            default_collapsed=Flag(),
            has_header_divider=Flag(),
        ),
        "context": _block(
            "elements",
            elements=Items(Typed("a text or image", {**text(3000).kinds, "image": ELEMENTS["image"]}), 10),
        ),
        "context_actions": _block(
            "elements",
            elements=Items(Typed("an element", ELEMENTS, frozenset({"feedback_buttons", "icon_button"})), 5),
        ),
        "data_table": _block(
            "rows",
            "caption",
            rules=(rules.data_table_shape,),
            rows=Items(Items(CELL, 20), 201, least=2),
            caption=String(),
            page_size=Number(1, 100),
            row_header_column_index=Number(0),
        ),
        "data_visualization": _block("title", "chart", title=String(50), chart=CHART),
        "divider": _block(),
        "file": _block("external_id", "source", external_id=String(), source=Choice(("remote",))),
        "header": _block("text", text=plain(150)),
        "image": Fields(
            {"type": String(), "block_id": ID, "title": plain(2000), **IMAGE_FIELDS},
            ("alt_text",),
            one_of=("image_url", "slack_file"),
        ),
        "input": _block(
            "label",
            "element",
            label=plain(2000),
            element=INPUT,
            hint=plain(2000),
            optional=Flag(),
            dispatch_action=Flag(),
        ),
        "markdown": _block("text", text=String(12_000)),
        "plan": _block(
            "title",
            rules=(rules.task_ids_differ,),
            title=String(),
            tasks=Items(TASK, 50, least=0),
        ),
        "rich_text": RICH_TEXT_BLOCK,
        "section": _block(
            any_of=("text", "fields"),
            text=text(3000),
            fields=Items(text(2000), 10),
            accessory=ACCESSORY,
            expand=Flag(),
        ),
        "table": _block(
            "rows",
            rules=(rules.table_text_total,),
            rows=Items(Items(CELL, 20), 100),
            column_settings=Items(Fields({"align": Choice(("left", "center", "right")), "is_wrapped": Flag()}), 20),
        ),
        "task_card": TASK,
        "video": _block(
            "video_url",
            "thumbnail_url",
            "alt_text",
            "title",
            video_url=URL,
            thumbnail_url=URL,
            alt_text=String(2000),
            title=plain(199),
            title_url=URL,
            author_name=String(49),
            provider_name=String(),
            provider_icon_url=URL,
            description=plain(200),
        ),
    }
)
