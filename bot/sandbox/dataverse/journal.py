"""What was asked of the emulator and how it answered; no tokens, no secrets, no bodies."""

from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any

MAX_ENTRIES = 20_000
MAX_PATH = 2_000  # characters of a path that are kept


@dataclass
class Entry:
    """One request; times in virtual seconds since 1970."""

    at: float
    method: str
    path: str
    status: int = 0
    seconds: float = 0
    user: str = ""
    rows: int | None = None
    fault: str | None = None
    client_request_id: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Journal:
    """The latest requests, and counts of all of them."""

    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=MAX_ENTRIES))
    statuses: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    pages: Counter[str] = field(default_factory=Counter)
    writes_refused: int = 0

    def add(self, entry: Entry) -> None:
        entry.path = entry.path[:MAX_PATH]
        self.entries.append(entry)
        self.statuses[str(entry.status)] += 1
        if entry.fault:
            self.faults[entry.fault] += 1

    def page(self, set_name: str, rows: int) -> None:
        self.pages[set_name] += 1
        self.rows[set_name] += rows
