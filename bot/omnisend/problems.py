"""What Omnisend says when it refuses: problem bodies, the older `{error, fields}` form, plain text or a gateway's HTML.

Their texts may quote what was sent, so nothing leaves this module unmasked.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from bot.omnisend.errors import FieldProblem

LONGEST_DETAIL = 200  # characters
MASK = "[…]"

_HTML_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_SCOPE = re.compile(r"\b[a-z]+\.(?:read|write)\b")


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal, read: `detail` is short and masked, `retry_after` in seconds, `trace` Omnisend's id of the request."""

    detail: str = ""
    fields: tuple[FieldProblem, ...] = ()
    retry_after: float | None = None
    trace: str | None = None

    @property
    def scope(self) -> str | None:
        """The permission that the detail names, such as `contacts.write`."""
        found = _SCOPE.search(self.detail)
        return found[0] if found else None

    @classmethod
    def read(cls, answer: Any, secrets: Iterable[str] = ()) -> "Problem":
        """Read an answer in any of its forms, as bytes, text or parsed JSON; `secrets` are masked beside all emails."""
        data = _parsed(answer)
        hide = _Masker(secrets)
        if not isinstance(data, dict):
            return cls(detail=hide(_plain(data)))
        fields = tuple(FieldProblem(hide(field), hide(code), hide(message)) for field, code, message in _fields(data))
        spoken = "; ".join(str(field) for field in fields) or _first_text(data, "detail", "error", "message", "title")
        trace = data.get("instance")
        return cls(
            detail=hide(spoken),
            fields=fields,
            retry_after=seconds(data.get("retryAfter")),
            trace=hide(trace) if isinstance(trace, str) else None,
        )


def seconds(value: Any) -> float | None:
    """A wait in seconds, given as a number or as its digits; None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number < float("inf") else None


class _Masker:
    """Puts a mask over whatever holds an @ and over the given texts (whole words, any case), and cuts what is long."""

    def __init__(self, secrets: Iterable[str]) -> None:
        words = sorted({secret.strip() for secret in secrets} - {""}, key=len, reverse=True)
        self._words = (
            re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE) if words else None
        )

    def __call__(self, text: str) -> str:
        if self._words is not None:
            text = self._words.sub(MASK, text)
        text = " ".join(MASK if "@" in word or "%40" in word else word for word in text.split())
        return text if len(text) <= LONGEST_DETAIL else text[: LONGEST_DETAIL - 1] + "…"


def _parsed(answer: Any) -> Any:
    """JSON where it is JSON, else text."""
    if isinstance(answer, str):
        answer = answer.encode()
    if not isinstance(answer, bytes):
        return answer
    try:
        return orjson.loads(answer)
    except orjson.JSONDecodeError:
        return answer.decode(errors="replace")


def _plain(data: Any) -> str:
    """Words from what is not an object: of an HTML page its title."""
    if not isinstance(data, str):
        return ""
    if not data.lstrip().startswith("<"):
        return data
    title = _HTML_TITLE.search(data)
    return f"a web page: {title[1]}" if title else "a web page"


def _fields(data: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
    """Field, code and message of each complaint, from the problem's `errors` or the older form's `fields`."""
    errors = data.get("errors")
    for error in errors if isinstance(errors, list) else []:
        if isinstance(error, dict):
            yield _text(error, "field"), _text(error, "code"), _text(error, "message")
    older = data.get("fields")
    for complaints in older.values() if isinstance(older, dict) else []:
        for complaint in complaints if isinstance(complaints, list) else [complaints]:
            path, colon, message = str(complaint).partition(": ")
            yield (path, "", message) if colon else ("", "", path)


def _text(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _first_text(data: dict[str, Any], *keys: str) -> str:
    return next((text for key in keys if (text := _text(data, key).strip())), "")
