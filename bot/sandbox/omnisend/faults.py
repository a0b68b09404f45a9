"""Faults on demand: what the network and the service may do to a client at any time."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from bot.sandbox.omnisend.formats import seeded

REQUEST_KINDS = ("500", "503", "429", "drop-before", "drop-after", "slow", "html")
BATCH_KINDS = ("stopped", "vanished", "stuck")
ITEM_KINDS = ("item-error",)
KINDS = (*REQUEST_KINDS, *BATCH_KINDS, *ITEM_KINDS)

MEANINGS = {
    "500": "the request is answered 500, nothing is done",
    "503": "the request is answered 503, nothing is done",
    "429": "the request is answered 429 though there is room",
    "drop-before": "the connection breaks, nothing is done",
    "drop-after": "the work is done, then the connection breaks",
    "slow": "the work is done, the answer takes 20 virtual seconds",
    "html": "an HTML page: 502 with nothing done, or 524 with the work done",
    "stopped": "the batch stops part-way, the remaining items are never tried",
    "vanished": "the batch is taken (201), then unknown everywhere; its items are executed or not",
    "stuck": "the batch stays inProgress part-way until it is released by the controls",
    "item-error": "a single item fails (400 unless `code` says otherwise)",
}


class BadFault(ValueError):
    """A fault that cannot be; the message says why."""


@dataclass(slots=True)
class Fault:
    """One fault: `rate` is its probability; it may end after `times`, and hold for one method or path only."""

    kind: str
    rate: float
    times: int | None = None
    method: str | None = None
    path: str | None = None  # beginning of the path below /api, such as /batches
    code: int = 400  # of item-error

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadFault(f"There is no fault {self.kind!r}. Faults: {', '.join(KINDS)}.")
        if isinstance(self.rate, bool) or not isinstance(self.rate, int | float) or not 0 <= self.rate <= 1:
            raise BadFault(f"The rate of {self.kind} must be from 0 to 1, not {self.rate!r}.")

    def fits(self, method: str, path: str) -> bool:
        """Whether it may strike this request."""
        return (
            self.times != 0
            and (self.method is None or self.method == method)
            and (self.path is None or path.startswith(self.path))
        )


def parse_fault(text: str) -> Fault:
    """`KIND:RATE`; raises `BadFault`."""
    kind, _, rate = text.partition(":")
    try:
        return Fault(kind, float(rate))
    except ValueError as error:
        if isinstance(error, BadFault):
            raise
        raise BadFault(f"A fault is written KIND:RATE, such as 500:0.1, not {text!r}.") from None


def fault_from_json(value: Any) -> Fault:
    """A fault from the controls: an object with the fields of `Fault`; raises `BadFault`."""
    try:
        return Fault(**value)
    except TypeError as error:
        raise BadFault(f"A fault is an object with kind, rate, times, method, path, code: {error}") from None


class Faults:
    """The faults in force. Each kind throws dice of its own, so that one does not shift another."""

    def __init__(self, seed: int, faults: list[Fault]) -> None:
        self._dice = {kind: seeded(seed, f"fault {kind}") for kind in KINDS}
        self._faults: dict[str, list[Fault]] = {}
        self.fired: Counter[str] = Counter()
        self.set(faults)

    def set(self, faults: list[Fault]) -> None:
        """Replace all faults."""
        self._faults = {kind: [replace(fault) for fault in faults if fault.kind == kind] for kind in KINDS}

    def in_force(self) -> list[Fault]:
        """The faults that may still strike."""
        return [fault for faults in self._faults.values() for fault in faults if fault.times != 0]

    def on_request(self, method: str, path: str) -> str | None:
        """The kind that strikes this request, if any."""
        for kind in REQUEST_KINDS:
            if self.strike(kind, method, path):
                return kind
        return None

    def on_batch(self) -> str | None:
        """The kind that strikes a new batch, if any."""
        for kind in BATCH_KINDS:
            if self.strike(kind):
                return kind
        return None

    def strike(self, kind: str, method: str = "", path: str = "") -> Fault | None:
        """Throw the dice for one kind."""
        for fault in self._faults[kind]:
            if fault.fits(method, path) and self._dice[kind].random() < fault.rate:
                if fault.times is not None:
                    fault.times -= 1
                self.fired[kind] += 1
                return fault
        return None

    def chance(self, kind: str) -> float:
        """A number from 0 to 1 from the dice of a kind, for what it leaves open."""
        return self._dice[kind].random()
