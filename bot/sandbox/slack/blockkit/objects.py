"""What elements and blocks are made of: texts, options, dialogs, filters, rich text."""

from bot.sandbox.slack.blockkit.schema import Choice, Fields, Flag, Items, Number, Spec, String, Typed


def text(most: int, *kinds: str) -> Typed:
    """A text object of these types (both, if none is named)."""
    plain = Fields({"type": String(), "text": String(most), "emoji": Flag()}, ("text",))
    mrkdwn = Fields({"type": String(), "text": String(most), "verbatim": Flag()}, ("text",))
    both = {"plain_text": plain, "mrkdwn": mrkdwn}
    return Typed("a text object", {kind: both[kind] for kind in kinds or both})


def plain(most: int) -> Typed:
    return text(most, "plain_text")


URL = String(3000)
ID = String(255)
STYLE = Choice(("primary", "danger"))

CONFIRM = Fields(
    {"title": plain(100), "text": text(300), "confirm": plain(30), "deny": plain(30), "style": STYLE}, ("text",)
)

SELECT_OPTION = Fields({"text": plain(75), "value": String(150), "description": plain(75)}, ("text", "value"))
LISTED_OPTION = Fields({"text": text(75), "value": String(150), "description": text(75)}, ("text", "value"))
OVERFLOW_OPTION = Fields(
    {"text": plain(75), "value": String(150), "description": plain(75), "url": URL}, ("text",), any_of=("value", "url")
)
OPTION_GROUPS = Items(Fields({"label": plain(75), "options": Items(SELECT_OPTION, 100)}, ("label", "options")), 100)

DISPATCH = Fields(
    {"trigger_actions_on": Items(Choice(("on_enter_pressed", "on_character_entered")), 2)}, ("trigger_actions_on",)
)
CONVERSATIONS = Fields(
    {
        "include": Items(Choice(("im", "mpim", "private", "public"))),
        "exclude_external_shared_channels": Flag(),
        "exclude_bot_users": Flag(),
    },
    any_of=("include", "exclude_external_shared_channels", "exclude_bot_users"),
)
SLACK_FILE = Fields({"id": String(), "url": URL}, one_of=("id", "url"))

# -- rich text --------------------------------------------------------------------------------------------------

_FACES = ("bold", "italic", "strike", "code", "underline", "highlight", "client_highlight", "unlink")
FACE = Fields(dict.fromkeys(_FACES, Flag()))


def _piece(required: tuple[str, ...], **known: Spec) -> Fields:
    return Fields({"type": String(), "style": FACE, **known}, required)


RICH_PIECES = {
    "text": _piece(("text",), text=String()),
    "link": _piece(("url",), url=URL, text=String(), unsafe=Flag()),
    "emoji": _piece(("name",), name=String(), unicode=String(), url=URL, skin_tone=Number(1, 6)),
    "user": _piece(("user_id",), user_id=String()),
    "channel": _piece(("channel_id",), channel_id=String()),
    "usergroup": _piece(("usergroup_id",), usergroup_id=String()),
    "team": _piece(("team_id",), team_id=String()),
    "broadcast": _piece(("range",), range=Choice(("here", "channel", "everyone"))),
    "color": _piece(("value",), value=String()),
    "date": _piece(("timestamp", "format"), timestamp=Number(), format=String(), url=URL, fallback=String()),
}
PIECES = Items(Typed("a rich text element", RICH_PIECES), least=0)
BORDER = Choice((0, 1))
RICH_PARTS = {
    "rich_text_section": Fields({"type": String(), "elements": PIECES}, ("elements",)),
    "rich_text_quote": Fields({"type": String(), "elements": PIECES, "border": BORDER}, ("elements",)),
    "rich_text_preformatted": Fields(
        {
            "type": String(),
            "elements": Items(Typed("a text or link", RICH_PIECES, frozenset({"text", "link"})), least=0),
            "border": BORDER,
            "language": String(),
        },
        ("elements",),
    ),
}
RICH_PARTS["rich_text_list"] = Fields(
    {
        "type": String(),
        "elements": Items(Typed("a section", {"rich_text_section": RICH_PARTS["rich_text_section"]})),
        "style": Choice(("bullet", "ordered")),
        "indent": Number(0, 8),
        "offset": Number(0),
        "border": BORDER,
    },
    ("elements", "style"),
)
RICH_TEXT_BLOCK = Fields(
    {"type": String(), "block_id": ID, "elements": Items(Typed("a part of rich text", RICH_PARTS))}, ("elements",)
)
RICH_TEXT = Typed("a rich_text block", {"rich_text": RICH_TEXT_BLOCK})
