"""Trouble on request: at random with a rate, or exactly so many times at the next requests that match."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What can go wrong with a request for data."""

    THROTTLED = "429"
    FAILED = "500"
    BAD_GATEWAY = "502"  # answered with a page of HTML
    UNAVAILABLE = "503"  # answered with a line of text
    UNAUTHORIZED = "401"  # a good token refused once
    HANG = "timeout"  # no answer until the client gives up
    CUT = "cut"  # the connection breaks in mid-body
    DELAY = "delay"
    SHORT_PAGE = "short-page"  # fewer rows than asked for, with a link
    EMPTY_PAGE = "empty-page"  # no rows, with a link
    REPEATED_ROWS = "repeated-rows"  # the page ends with its last row twice
    LYING_LENGTH = "lying-length"  # Content-Length promises more than comes
    CUT_JSON = "cut-json"  # Content-Length is right, the text ends too early
    LYING_COUNT = "lying-count"  # @odata.count does not fit the rows
    EXPIRED_LINK = "expired-link"  # the link of the next page is refused
    SIGN_IN_DOWN = "sign-in-503"  # Entra's token endpoint is away


ON_PAGES = {Kind.SHORT_PAGE, Kind.EMPTY_PAGE, Kind.REPEATED_ROWS, Kind.LYING_COUNT}
"""These change what a page holds, so they only befall requests for rows."""


@dataclass
class Planned:
    """A fault that befalls the next `times` requests whose path contains `path`, after `skip` such requests."""

    kind: Kind
    times: int = 1
    path: str = ""
    skip: int = 0


@dataclass
class Faults:
    """Which requests are befallen. Reproducible from the seed as long as requests come one by one."""

    rates: dict[Kind, float] = field(default_factory=dict)
    seed: int = 1
    planned: list[Planned] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)  # noqa: S311 (faults, no secrets)

    def draw(self, path: str, *, is_page: bool, is_link: bool) -> Kind | None:
        """The fault that befalls this request for data, if any."""

        def applies(kind: Kind) -> bool:
            if kind is Kind.EXPIRED_LINK:
                return is_link
            return kind is not Kind.SIGN_IN_DOWN and (is_page or kind not in ON_PAGES)

        return self._next_planned(path, applies) or self._random(applies)

    def draw_sign_in(self) -> bool:
        """Whether this request to Entra's token endpoint is befallen."""

        def applies(kind: Kind) -> bool:
            return kind is Kind.SIGN_IN_DOWN

        return bool(self._next_planned("", applies) or self._random(applies))

    def _random(self, applies: Callable[[Kind], bool]) -> Kind | None:
        struck = [kind for kind, rate in self.rates.items() if applies(kind) and self._dice.random() < rate]
        return struck[0] if struck else None

    def _next_planned(self, path: str, applies: Callable[[Kind], bool]) -> Kind | None:
        due = None
        for plan in self.planned:
            if not applies(plan.kind) or plan.path not in path:
                continue
            if plan.skip:
                plan.skip -= 1
            elif due is None:
                due = plan
        if due is None:
            return None
        due.times -= 1
        if due.times <= 0:
            self.planned.remove(due)
        return due.kind


def parse_fault(word: str) -> tuple[Kind, float]:
    """`500:0.01` as kind and rate. Raises `ValueError` with the kinds there are."""
    name, _, rate = word.partition(":")
    try:
        kind, chance = Kind(name), float(rate)
    except ValueError:
        kinds = ", ".join(Kind)
        raise ValueError(f"a fault looks like 500:0.01, not {word!r}; kinds are {kinds}") from None
    if not 0 <= chance <= 1:
        raise ValueError(f"the rate of a fault is between 0 and 1, not {rate}")
    return kind, chance
