"""What a filter says about rows.

Text is compared without regard to case, as Dataverse does. A condition is evaluated over a whole batch of rows at once
and only computes the columns that it names.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from bot.sandbox.dataverse.population import Value
from bot.sandbox.dataverse.tables import Batch

Flags = list[bool]


def _folded(value: Value) -> Value:
    return value.lower() if isinstance(value, str) else value


COMPARISONS: dict[str, Callable[[object, object], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "gt": lambda a, b: a is not None and b is not None and a > b,  # type: ignore[operator]
    "ge": lambda a, b: a is not None and b is not None and a >= b,  # type: ignore[operator]
    "lt": lambda a, b: a is not None and b is not None and a < b,  # type: ignore[operator]
    "le": lambda a, b: a is not None and b is not None and a <= b,  # type: ignore[operator]
}


class Condition(Protocol):
    """A node of a filter."""

    def matches(self, batch: Batch) -> Flags:
        """For each row of the batch, whether it is wanted."""
        ...

    def pinned(self, column: str) -> set[str] | None:
        """The only values of `column` that wanted rows can have, in lower case; None if they may have any."""
        ...


@dataclass(frozen=True)
class Compare:
    """`column eq value` and its kin. A row without a value is only matched by `eq null` and by `ne`."""

    column: str
    operator: str
    value: Value

    def matches(self, batch: Batch) -> Flags:
        wanted, compare = _folded(self.value), COMPARISONS[self.operator]
        return [compare(_folded(value), wanted) for value in batch.column(self.column)]

    def pinned(self, column: str) -> set[str] | None:
        return {str(self.value).lower()} if self.operator == "eq" and self.column == column else None


@dataclass(frozen=True)
class Among:
    """`Microsoft.Dynamics.CRM.In(PropertyName='column',PropertyValues=[…])`."""

    column: str
    values: frozenset[str]

    def matches(self, batch: Batch) -> Flags:
        return [isinstance(value, str) and value.lower() in self.values for value in batch.column(self.column)]

    def pinned(self, column: str) -> set[str] | None:
        return set(self.values) if self.column == column else None


@dataclass(frozen=True)
class Search:
    """`contains`, `startswith` or `endswith`: `found` says whether a text has what is looked for."""

    column: str
    found: Callable[[str], object]

    def matches(self, batch: Batch) -> Flags:
        seen: dict[str, bool] = {}  # memberships repeat the same few texts
        flags = []
        for value in batch.column(self.column):
            if not isinstance(value, str):
                flags.append(False)
                continue
            flag = seen.get(value)
            if flag is None:
                flag = seen[value] = bool(self.found(value))
            flags.append(flag)
        return flags

    def pinned(self, column: str) -> set[str] | None:
        return None


@dataclass(frozen=True)
class Both:
    left: Condition
    right: Condition

    def matches(self, batch: Batch) -> Flags:
        return [a and b for a, b in zip(self.left.matches(batch), self.right.matches(batch), strict=True)]

    def pinned(self, column: str) -> set[str] | None:
        left, right = self.left.pinned(column), self.right.pinned(column)
        if left is None or right is None:
            return left if right is None else right
        return left & right


@dataclass(frozen=True)
class AnyOf:
    parts: tuple[Condition, ...]

    def matches(self, batch: Batch) -> Flags:
        return [any(flags) for flags in zip(*(part.matches(batch) for part in self.parts), strict=True)]

    def pinned(self, column: str) -> set[str] | None:
        pins = [part.pinned(column) for part in self.parts]
        known = [pin for pin in pins if pin is not None]
        return set(chain.from_iterable(known)) if len(known) == len(pins) else None


@dataclass(frozen=True)
class Negated:
    condition: Condition

    def matches(self, batch: Batch) -> Flags:
        return [not flag for flag in self.condition.matches(batch)]

    def pinned(self, column: str) -> set[str] | None:
        return None


def text_search(function: str, needle: str, *, wildcards: bool) -> Callable[[str], object]:
    """Whether a text contains, starts with or ends with `needle`, whatever the case.

    With `wildcards`, `_` stands for any character, `%` for any text and `[…]` for one of several characters.
    """
    if not wildcards or not re.search(r"[_%\[]", needle):
        folded = needle.lower()
        match function:
            case "startswith":
                return lambda text: text.lower().startswith(folded)
            case "endswith":
                return lambda text: text.lower().endswith(folded)
        return lambda text: folded in text.lower()
    pattern = re.compile(_like(needle) + (r"\Z" if function == "endswith" else ""), re.IGNORECASE | re.DOTALL)
    return pattern.match if function == "startswith" else pattern.search


def _like(needle: str) -> str:
    """SQL's LIKE as a regular expression."""

    def translated(match: re.Match[str]) -> str:
        part = match[0]
        if part == "_":
            return "."
        if part == "%":
            return ".*"
        if len(part) > 2:
            negated = part[1] == "^"
            return f"[{'^' if negated else ''}{re.escape(part[1 + negated : -1]).replace(chr(92) + '-', '-')}]"
        return re.escape(part)

    return re.sub(r"\[[^\]]+\]|.", translated, needle, flags=re.DOTALL)
