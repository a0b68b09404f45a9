"""The ids by which Slack tells us what a person used. Stable: messages in channels keep them for ever."""

from enum import StrEnum

SLASH_COMMAND = "/ferry"


class Modal(StrEnum):
    """`callback_id` of each modal."""

    NOTICE = "notice"  # says something, takes nothing
    CONNECT = "connect"
    CONNECTION = "connection"  # edit: name and who may use it
    KEY = "key"
    AGREE = "agree"  # to a new consent text
    REQUEST = "request"  # a contributor asks for a connection
    APPROVE = "approve"
    DECLINE = "decline"
    EXPORT = "export"
    ATTRIBUTE = "attribute"
    OPT_IN = "opt_in"
    OPTIONS = "options"
    REFRESH = "refresh"
    ADMINS = "admins"
    DUPLICATE = "duplicate"


class Action(StrEnum):
    """`action_id` of each button and menu. The value of a button is an opaque id, or empty."""

    # anywhere
    HELP = "help"
    MORE = "more"  # an overflow menu; the option says which action, as `action:id`
    PAGE_BACK = "page_back"
    PAGE_ON = "page_on"
    REFRESH_HOME = "refresh_home"

    # connections
    CONNECT = "connect"
    CONNECTIONS = "connections"
    EDIT_CONNECTION = "edit_connection"
    REPLACE_KEY = "replace_key"
    WITHDRAW = "withdraw"
    AGREE_AGAIN = "agree_again"
    ADD_EXPORT_USER = "add_export_user"  # get a code to sign in with
    CHECK_EXPORT_USER = "check_export_user"
    EXPORT_USER = "export_user"  # of a connection: what it is, and how to change it
    SIGN_IN_AGAIN = "sign_in_again"
    USE_APP = "use_app"
    REMOVE_CONNECTION = "remove_connection"
    REMOVE_ANYWAY = "remove_anyway"
    DETACH_IN_USE = "detach_in_use"
    REQUEST_CONNECTION = "request_connection"
    APPROVE = "approve"
    DECLINE = "decline"

    # exports
    EXPORT = "export"
    EXPORTS = "exports"
    EDIT_EXPORT = "edit_export"
    DUPLICATE_EXPORT = "duplicate_export"
    PAUSE_EXPORT = "pause_export"
    RESUME_EXPORT = "resume_export"
    DETACH_EXPORT = "detach_export"
    REMOVE_EXPORT = "remove_export"
    EMPTY_AND_REMOVE = "empty_and_remove"
    ADD_ATTRIBUTE = "add_attribute"
    ADD_SUGGESTED = "add_suggested"
    OPT_IN = "opt_in"
    ROW = "row"  # the menu of a mapping row
    OPTIONS = "options"

    # runs
    RUN = "run"
    RUN_ALL = "run_all"
    PREVIEW = "preview"
    STATUS = "status"
    HISTORY = "history"
    CANCEL = "cancel"
    GUARD_SHOW = "guard_show"
    GUARD_SEND = "guard_send"
    GUARD_SKIP = "guard_skip"
    GUARD_ADOPT = "guard_adopt"
    RETRY = "retry"
    RESYNC = "resync"
    REJECTS = "rejects"

    # the workspace
    REFRESH = "refresh"
    WEBHOOK = "webhook"
    WEBHOOK_TOKEN = "webhook_token"  # noqa: S105  the name of a button
    WEBHOOK_REMOVE = "webhook_remove"
    ADMINS = "admins"


class Field(StrEnum):
    """`block_id` and `action_id` of each input. A block may carry a suffix (`email:2`) to show a new initial value."""

    NAME = "name"
    AUDIENCE = "audience"
    PEOPLE = "people"
    GROUPS = "groups"
    KEY = "api_key"
    AGREE = "agree"
    FULL_VALUES = "full_values"
    SOURCE = "source_choice"
    READER = "reader"  # a person or the app
    REASON = "reason"
    CONNECTION = "connection_choice"
    SEGMENTS = "segments"
    EMAIL = "email_field"
    ATTRIBUTE = "attribute_choice"
    PROPERTY = "property_name"
    SOURCE_FIELD = "source_field"
    TEMPLATE = "template"
    CLEAR = "clear"
    OPT_IN_STATUS = "opt_in_status"
    OPT_IN_DATE = "opt_in_date"
    WHEN = "when"
    TIMES = "times"
    WEEKDAYS = "weekdays"
    ZONE = "zone"
    ACTIVE = "active"
    CHANNEL = "channel"
    LEAVERS = "leavers"
    NOTIFY = "notify"
    LIMIT_FALL = "limit_fall"
    LIMIT_REMOVALS = "limit_removals"
    LIMIT_REJECTS = "limit_rejects"
    LIMIT_ADDED = "limit_added"
    ADMINS = "admin_people"
