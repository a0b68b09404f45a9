"""Which messages and views Slack takes: the limits and shapes of Block Kit as tables, and a validator over them.

Pure: no state, no I/O. Sources: Slack docs, Block Kit reference; Slack's own type definitions; for the newest blocks a
third-party specification that follows the docs.
"""

from bot.sandbox.slack.blockkit.schema import Problem
from bot.sandbox.slack.blockkit.validator import (
    LARGEST_VIEW,
    size_of_view,
    validate_message,
    validate_options,
    validate_view,
)

__all__ = ["LARGEST_VIEW", "Problem", "size_of_view", "validate_message", "validate_options", "validate_view"]
