"""How times, ids and addresses are written on the wire."""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import Any

import orjson

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.IGNORECASE)
_E164 = re.compile(r"\+[1-9]\d{6,14}")
_LOCAL_PART = re.compile(r"""[^\s@.,;:<>()\[\]\\"]+(\.[^\s@.,;:<>()\[\]\\"]+)*""")
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]*[^\W_])?\.)+[^\W\d_][\w-]*[^\W_]")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def seeded(seed: int, purpose: str) -> Random:
    """A random generator of its own for each purpose, so that one use does not shift another."""
    return Random(f"{seed}:{purpose}")  # noqa: S311 - repeatable on purpose; guards nothing


def hex_id(random: Random, now: float | None = None) -> str:
    """24 hexadecimal digits, as most of Omnisend's ids are.

    With a time they begin with it, so that an emulator started anew never gives out an id of its predecessor.
    """
    head = random.getrandbits(32) if now is None else int(now) & 0xFFFFFFFF
    return f"{head:08x}{random.getrandbits(64):016x}"


def compact_json(value: Any) -> bytes:
    """JSON to be kept: a copy of its own size, since orjson's own result occupies 4 kB whatever its length."""
    return bytes(memoryview(orjson.dumps(value)))


@lru_cache(maxsize=65_536)
def parse_instant(text: str) -> int:
    """An RFC 3339 time as milliseconds since 1970; raises ValueError."""
    if not _RFC3339.fullmatch(text):
        raise ValueError(text)
    return (datetime.fromisoformat(text.upper()) - EPOCH) // timedelta(milliseconds=1)


@lru_cache(maxsize=65_536)
def instant_text(milliseconds: int) -> str:
    """`2026-11-01T10:00:00Z`, with a fraction only where there is one."""
    moment = EPOCH + timedelta(milliseconds=milliseconds)
    timespec = "milliseconds" if milliseconds % 1000 else "seconds"
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def seconds_text(seconds: float) -> str:
    """A time in whole seconds, as batches and segments show theirs."""
    return instant_text(int(seconds) * 1000)


def parse_day(text: str) -> int:
    """The start of a day written `yyyy-mm-dd`, in milliseconds since 1970 (UTC); raises ValueError."""
    if not _DATE.fullmatch(text):
        raise ValueError(text)
    return (date.fromisoformat(text).toordinal() - EPOCH.toordinal()) * DAY_MS


def is_email(text: str) -> bool:
    """`local@domain.tld` of at most 254 characters. Omnisend does not publish its rule; this one is assumed."""
    local, at, domain = text.rpartition("@")
    return bool(
        at
        and len(text) <= 254
        and len(local) <= 64
        and _LOCAL_PART.fullmatch(local)
        and _DOMAIN.fullmatch(domain)
        and ".." not in domain
    )


def is_phone(text: str) -> bool:
    """A full E.164 number with its plus sign."""
    return bool(_E164.fullmatch(text))


class ContactIds:
    """Opaque ids for contacts that need no memory: the contact's number, scrambled so that it can be undone."""

    _ODD = 0x9E3779B97F4A7C15  # any odd number has an inverse modulo 2**64
    _INVERSE = pow(_ODD, -1, 1 << 64)
    _MASK = (1 << 64) - 1

    def __init__(self, random: Random, now: float) -> None:
        self._prefix = hex_id(random, now)[:8]
        self._offset = random.getrandbits(64)

    def of(self, number: int) -> str:
        """The id of contact `number`."""
        return f"{self._prefix}{((number + 1) * self._ODD + self._offset) & self._MASK:016x}"

    def number(self, text: str) -> int | None:
        """The contact's number, or None if this is no id of ours."""
        if not re.fullmatch("[0-9a-f]{24}", text) or not text.startswith(self._prefix):
            return None
        number = ((int(text[8:], 16) - self._offset) * self._INVERSE - 1) & self._MASK
        return number if number < 1 << 40 else None
