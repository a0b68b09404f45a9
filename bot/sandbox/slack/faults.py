"""Trouble on demand: what a test makes the Web API do instead of its work."""

import itertools
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from bot.sandbox.slack.errors import Json, Refused

DETAILS = frozenset({"method", "times", "retry_after", "seconds", "error"})
FaultKind = Literal["ratelimited", "500", "error", "timeout", "drop", "lost-answer", "slow", "away"]


@dataclass(slots=True)
class Fault:
    """One kind of trouble for one method (`*`: all), a number of times (None: until it is lifted).

    - `ratelimited`: HTTP 429 with `retry_after` seconds.
    - `500`: HTTP 500 with a page of HTML.
    - `error`: HTTP 200 with the error code `error`.
    - `timeout`: no answer at all until the client gives up or `seconds` have passed; no work done.
    - `drop`: the connection breaks before any work.
    - `lost-answer`: the work is done, then the connection breaks.
    - `slow`: the work is done after `seconds`.
    - `away`: nothing is answered, sockets are cut and refused, until lifted.
    """

    id: int
    kind: FaultKind
    method: str = "*"
    times: int | None = None
    retry_after: int = 1
    seconds: float = 30.0
    error: str = "internal_error"


class Faults:
    """The trouble that is on at the moment."""

    def __init__(self) -> None:
        self._active: list[Fault] = []
        self._numbers = itertools.count(1)

    @property
    def away(self) -> bool:
        return any(fault.kind == "away" for fault in self._active)

    def add(self, facts: Json) -> Fault:
        kind = facts.get("kind")
        if kind is None or kind not in get_args(FaultKind):
            raise Refused("bad_request", f"kind is one of {', '.join(get_args(FaultKind))}", status=422)
        details = {name: value for name, value in facts.items() if name in DETAILS}
        fault = Fault(next(self._numbers), kind, **details)
        self._active.append(fault)
        return fault

    def lift(self, fault_id: int | None = None) -> None:
        """End one fault, or all."""
        self._active = [fault for fault in self._active if fault_id is not None and fault.id != fault_id]

    def take(self, method: str) -> Fault | None:
        """The trouble that this call meets, counted down."""
        for fault in self._active:
            if fault.kind != "away" and fault.method in ("*", method):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._active.remove(fault)
                return fault
        return None

    def listing(self) -> list[Json]:
        return [asdict(fault) for fault in self._active]
