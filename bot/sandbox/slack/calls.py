"""The record of the app's Web API calls, fit to be shown: no tokens, nothing long."""

from dataclasses import dataclass
from typing import Any

from bot.sandbox.slack.errors import Json


@dataclass(slots=True)
class Call:
    """One call of the Web API, without its tokens."""

    seq: int
    time: float
    method: str
    arguments: Json
    status: int = 200
    ok: bool = False
    error: str | None = None
    retry_after: int | None = None


_SECRET_ARGUMENTS = frozenset({"token", "trigger_id", "client_secret"})


def summary(arguments: Json) -> dict[str, Any]:
    """Arguments fit for a log: no tokens, long texts cut, blocks counted."""
    shown: dict[str, Any] = {}
    for name, value in arguments.items():
        if name in _SECRET_ARGUMENTS:
            continue
        if name == "view" and isinstance(value, dict):
            blocks = value.get("blocks")
            shown[name] = {
                "type": value.get("type"),
                "callback_id": value.get("callback_id"),
                "blocks": len(blocks) if isinstance(blocks, list) else None,
            }
        elif isinstance(value, list) and name in ("blocks", "attachments"):
            shown[name] = len(value)
        elif isinstance(value, str):
            shown[name] = value if len(value) <= 200 else value[:199] + "…"
        else:
            shown[name] = value
    return shown
