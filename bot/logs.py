"""Logging: to standard error, without personal data and without secrets.

Tracebacks carry no local variables, and whatever looks like an email address or a token is masked before it is written.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)+")
_TOKEN = re.compile(r"\bx(?:ox[a-z]|app|oxe)[.\-][\w.-]{6,}|\beyJ[\w-]{10,}(?:\.[\w-]*)*")  # Slack's, Entra's
_QUIET = (
    "httpx", "httpcore", "apscheduler", "aiosqlite", "alembic", "slack_bolt", "slack_sdk", "msal", "urllib3", "asyncio"
)  # fmt: skip


def configure(level: str = "INFO") -> None:
    """Set up logging for a process of ours. Libraries speak up from WARNING."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            scrub,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"], sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_ScrubbingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=threshold, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))


def mask(text: str) -> str:
    """The text without email addresses and tokens."""
    return _TOKEN.sub("[token]", _EMAIL.sub("[email]", text))


def scrub(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask every text of a log event."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = mask(value)
        elif not isinstance(value, int | float | bool | None):
            event[key] = mask(str(value))
    return event


class _ScrubbingFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))
