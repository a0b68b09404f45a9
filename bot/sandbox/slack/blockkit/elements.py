"""The elements of Block Kit: what each may hold, and where it may stand."""

from bot.sandbox.slack.blockkit import rules
from bot.sandbox.slack.blockkit.objects import (
    CONFIRM,
    CONVERSATIONS,
    DISPATCH,
    ID,
    LISTED_OPTION,
    OPTION_GROUPS,
    OVERFLOW_OPTION,
    RICH_TEXT,
    SELECT_OPTION,
    SLACK_FILE,
    STYLE,
    URL,
    plain,
)
from bot.sandbox.slack.blockkit.schema import Fields, Flag, Items, Number, Rule, Spec, String, Typed

TYPE_AND_ACTION: dict[str, Spec] = {"type": String(), "action_id": ID}
FOCUS: dict[str, Spec] = {"focus_on_load": Flag()}
PLACEHOLDER: dict[str, Spec] = {"placeholder": plain(150)}
CONFIRMED: dict[str, Spec] = {"confirm": CONFIRM}
BUTTON_LABEL: dict[str, Spec] = {"text": plain(75), "accessibility_label": String(75)}


def _element(*groups: dict[str, Spec], required: tuple[str, ...] = (), rules: tuple[Rule, ...] = ()) -> Fields:
    """An interactive element: the common fields and those of the groups."""
    return Fields(
        {name: spec for group in (TYPE_AND_ACTION, *groups) for name, spec in group.items()}, required, rules=rules
    )


def _select(own: dict[str, Spec], *, many: bool = False, static: bool = False) -> Fields:
    """A select menu: its own fields, and what all menus share."""
    known: dict[str, Spec] = {**TYPE_AND_ACTION, **PLACEHOLDER, **FOCUS, **CONFIRMED, **own}
    if many:
        known["max_selected_items"] = Number(1)
    of_options = (rules.initial_option_is_offered, rules.option_values_differ) if static else ()
    return Fields(
        known,
        one_of=("options", "option_groups") if static else (),
        rules=(*of_options, rules.choice_fits_maximum) if many else of_options,
    )


def _input(*groups: dict[str, Spec], required: tuple[str, ...] = (), rules: tuple[Rule, ...] = ()) -> Fields:
    """A field to type into."""
    return _element({"dispatch_action_config": DISPATCH}, PLACEHOLDER, FOCUS, *groups, required=required, rules=rules)


STATIC: dict[str, Spec] = {"options": Items(SELECT_OPTION, 100), "option_groups": OPTION_GROUPS}
LISTED: dict[str, Spec] = {"options": Items(LISTED_OPTION, 10)}
LISTED_RULES = (rules.initial_option_is_offered, rules.option_values_differ)
DECIMAL = String(pattern=r"-?\d+(\.\d+)?", example="12 or -1.5, as a string")

IMAGE_FIELDS: dict[str, Spec] = {"image_url": URL, "slack_file": SLACK_FILE, "alt_text": String(2000)}

ELEMENTS: dict[str, Fields] = {
    "button": _element(
        BUTTON_LABEL,
        CONFIRMED,
        {
            "value": String(2000),
            "url": URL,
            "style": STYLE,
            "agent_prompt": String(4000),
            "visible_to_user_ids": Items(String()),
        },
        required=("text",),
    ),
    "workflow_button": _element(
        BUTTON_LABEL,
        CONFIRMED,
        {
            "style": STYLE,
            "workflow": Fields(
                {
                    "trigger": Fields(
                        {
                            "url": URL,
                            "customizable_input_parameters": Items(
                                Fields({"name": String(), "value": String()}, ("name", "value"))
                            ),
                        },
                        ("url",),
                    )
                },
                ("trigger",),
            ),
        },
        required=("text", "workflow"),
    ),
    "icon_button": _element(
        BUTTON_LABEL,
        CONFIRMED,
        {"icon": String(), "value": String(2000), "visible_to_user_ids": Items(String())},
        required=("icon", "text"),
    ),
    "feedback_buttons": _element(
        dict.fromkeys(
            ("positive_button", "negative_button"), Fields({**BUTTON_LABEL, "value": String(2000)}, ("text", "value"))
        ),
        required=("positive_button", "negative_button"),
    ),
    "overflow": _element(CONFIRMED, {"options": Items(OVERFLOW_OPTION, 5)}, required=("options",)),
    "checkboxes": _element(
        FOCUS,
        CONFIRMED,
        LISTED,
        {"initial_options": Items(LISTED_OPTION, 10)},
        required=("options",),
        rules=LISTED_RULES,
    ),
    "radio_buttons": _element(
        FOCUS, CONFIRMED, LISTED, {"initial_option": LISTED_OPTION}, required=("options",), rules=LISTED_RULES
    ),
    "static_select": _select({**STATIC, "initial_option": SELECT_OPTION}, static=True),
    "multi_static_select": _select({**STATIC, "initial_options": Items(SELECT_OPTION)}, many=True, static=True),
    "external_select": _select({"initial_option": SELECT_OPTION, "min_query_length": Number(0)}),
    "multi_external_select": _select(
        {"initial_options": Items(SELECT_OPTION), "min_query_length": Number(0)}, many=True
    ),
    "users_select": _select({"initial_user": String()}),
    "multi_users_select": _select({"initial_users": Items(String())}, many=True),
    "conversations_select": _select(
        {
            "initial_conversation": String(),
            "default_to_current_conversation": Flag(),
            "filter": CONVERSATIONS,
            "response_url_enabled": Flag(),
        }
    ),
    "multi_conversations_select": _select(
        {
            "initial_conversations": Items(String()),
            "default_to_current_conversation": Flag(),
            "filter": CONVERSATIONS,
        },
        many=True,
    ),
    "channels_select": _select({"initial_channel": String(), "response_url_enabled": Flag()}),
    "multi_channels_select": _select({"initial_channels": Items(String())}, many=True),
    "datepicker": _element(
        PLACEHOLDER,
        FOCUS,
        CONFIRMED,
        {"initial_date": String(pattern=r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", example="2026-11-30")},
    ),
    "timepicker": _element(
        PLACEHOLDER,
        FOCUS,
        CONFIRMED,
        {"initial_time": String(pattern=r"([01]\d|2[0-3]):[0-5]\d", example="07:30"), "timezone": String()},
    ),
    "datetimepicker": _element(FOCUS, CONFIRMED, {"initial_date_time": Number(1_000_000_000, 9_999_999_999)}),
    "plain_text_input": _input(
        {
            "initial_value": String(3000, least=0),
            "multiline": Flag(),
            "min_length": Number(0, 3000),
            "max_length": Number(1, 3000),
        },
        rules=(rules.text_length_bounds,),
    ),
    "email_text_input": _input({"initial_value": String(least=0)}),
    "url_text_input": _input({"initial_value": String(least=0)}),
    "number_input": _input(
        {"is_decimal_allowed": Flag(), "initial_value": DECIMAL, "min_value": DECIMAL, "max_value": DECIMAL},
        required=("is_decimal_allowed",),
        rules=(rules.number_bounds,),
    ),
    "rich_text_input": _input(
        {"initial_value": RICH_TEXT, "min_lines": Number(1, 100), "max_lines": Number(1, 100)},
        rules=(rules.line_bounds,),
    ),
    "file_input": _element({"filetypes": Items(String()), "max_files": Number(1, 10)}),
    "image": Fields({"type": String(), **IMAGE_FIELDS}, ("alt_text",), one_of=("image_url", "slack_file")),
}

SELECTS = frozenset(kind for kind in ELEMENTS if kind.endswith("_select"))
CHOICES = SELECTS | {"checkboxes", "radio_buttons", "datepicker", "timepicker"}
ACCESSORY = Typed("an element", ELEMENTS, CHOICES | {"button", "workflow_button", "overflow", "image"})
ACTION = Typed(
    "an element", ELEMENTS, CHOICES | {"button", "workflow_button", "overflow", "datetimepicker", "rich_text_input"}
)
INPUT = Typed(
    "an element",
    ELEMENTS,
    CHOICES
    | {"datetimepicker", "plain_text_input", "email_text_input", "url_text_input", "number_input", "rich_text_input"}
    | {"file_input"},
)
BUTTON = Typed("a button", {"button": ELEMENTS["button"]})
IMAGE = Typed("an image", {"image": ELEMENTS["image"]})
