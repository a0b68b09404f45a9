"""What the exit statuses of `ferry` mean."""

from enum import IntEnum


class Exit(IntEnum):
    FAILED = 1
    USAGE = 2  # an argument or a setting that can't be
    GUARD_ASKS = 3  # nothing was sent: look, then run again with --accept-guard
    CANCELLED = 130
