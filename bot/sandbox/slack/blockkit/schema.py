"""A small language for the shape of JSON, in which the tables of Block Kit are written.

A spec says what a value must be; `problems` yields where a value is not so. Lengths are counted in Unicode code points
(Slack's own unit is not documented).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where (a JSON pointer), which rule it breaks, and what was found instead.

    Slack refuses errors; a warning is something that Slack takes but people suffer from.
    """

    path: str
    rule: str
    found: str
    level: Literal["error", "warning"] = "error"

    @property
    def is_error(self) -> bool:
        return self.level == "error"

    def __str__(self) -> str:
        return f"{self.path or '/'}: {self.rule} (found {self.found})"


Problems = Iterator[Problem]
Rule = Callable[[Json, str], Problems]


class Spec(Protocol):
    """Anything that can say what is wrong with a value at a path."""

    def problems(self, value: Any, path: str) -> Problems: ...


def kind_of(value: Any) -> str:
    """What a value is, in JSON's words."""
    if value is None:
        return "null"
    names = {
        bool: "a boolean",
        str: "a string",
        dict: "an object",
        list: "an array",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), type(value).__name__)


@dataclass(frozen=True, slots=True)
class String:
    """A string of `least` to `most` characters."""

    most: int | None = None
    least: int = 1
    pattern: str | None = None
    example: str = ""

    def problems(self, value: Any, path: str) -> Problems:
        if not isinstance(value, str):
            yield Problem(path, "must be a string", kind_of(value))
        elif len(value) < self.least:
            yield Problem(path, f"must be at least {self.least} character(s)", f"{len(value)} characters")
        elif self.most is not None and len(value) > self.most:
            yield Problem(path, f"must be at most {self.most} characters", f"{len(value)} characters")
        elif self.pattern and not re.fullmatch(self.pattern, value):
            yield Problem(path, f"must look like {self.example}", repr(value[:40]))


@dataclass(frozen=True, slots=True)
class Number:
    """A number, whole unless `fractions`, from `least` to `most`; `above` excludes its own value."""

    least: int | None = None
    most: int | None = None
    above: int | None = None
    fractions: bool = False

    def problems(self, value: Any, path: str) -> Problems:
        wanted = (int, float) if self.fractions else int
        if not isinstance(value, wanted) or isinstance(value, bool):
            yield Problem(path, "must be a number" if self.fractions else "must be a whole number", kind_of(value))
        elif self.least is not None and value < self.least:
            yield Problem(path, f"must be at least {self.least}", str(value))
        elif self.most is not None and value > self.most:
            yield Problem(path, f"must be at most {self.most}", str(value))
        elif self.above is not None and value <= self.above:
            yield Problem(path, f"must be more than {self.above}", str(value))


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def problems(self, value: Any, path: str) -> Problems:
        if not isinstance(value, bool):
            yield Problem(path, "must be true or false", kind_of(value))


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words or numbers."""

    values: tuple[str | int, ...]

    def problems(self, value: Any, path: str) -> Problems:
        if isinstance(value, bool) or value not in self.values:
            listed = ", ".join(str(one) for one in self.values)
            yield Problem(path, f"must be one of {listed}", repr(value)[:60])


@dataclass(frozen=True, slots=True)
class Items:
    """An array of `least` to `most` items of one kind."""

    of: Spec
    most: int | None = None
    least: int = 1

    def problems(self, value: Any, path: str) -> Problems:
        if not isinstance(value, list):
            yield Problem(path, "must be an array", kind_of(value))
            return
        if len(value) < self.least:
            yield Problem(path, f"must have at least {self.least} item(s)", f"{len(value)} items")
        if self.most is not None and len(value) > self.most:
            yield Problem(path, f"must have at most {self.most} items", f"{len(value)} items")
        for index, item in enumerate(value):
            yield from self.of.problems(item, f"{path}/{index}")


@dataclass(frozen=True, slots=True)
class Fields:
    """An object with known fields, some of them required, and rules over several fields at once."""

    known: Mapping[str, Spec]
    required: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    """At least one of these must be there."""
    one_of: tuple[str, ...] = ()
    """Exactly one of these must be there."""
    rules: tuple[Rule, ...] = ()

    def problems(self, value: Any, path: str) -> Problems:
        if not isinstance(value, dict):
            yield Problem(path, "must be an object", kind_of(value))
            return
        for name in self.required:
            if name not in value:
                yield Problem(path, f"must have the field {name}", "none")
        if self.any_of and not any(name in value for name in self.any_of):
            yield Problem(path, f"must have one of the fields {', '.join(self.any_of)}", "none")
        present = [name for name in self.one_of if name in value]
        if self.one_of and len(present) != 1:
            yield Problem(path, f"must have exactly one of the fields {', '.join(self.one_of)}", f"{len(present)}")
        for name, item in value.items():
            if name in self.known:
                yield from self.known[name].problems(item, f"{path}/{name}")
            else:
                yield Problem(path, "must have no unknown field", str(name))
        for rule in self.rules:
            yield from _applied(rule, value, path)


def _applied(rule: Rule, value: Json, path: str) -> Problems:
    """A rule's problems. A rule that stumbles over a malformed part says nothing: that part has its own problem."""
    try:
        yield from list(rule(value, path))
    except (TypeError, KeyError, AttributeError, ValueError):
        return


@dataclass(frozen=True, slots=True)
class Typed:
    """An object whose `type` says which of some kinds it is. `kinds` may be filled after the spec was made."""

    what: str
    kinds: Mapping[str, Fields] = field(default_factory=dict)
    allowed: frozenset[str] | None = None
    """The kinds that may stand here, if not all."""

    def problems(self, value: Any, path: str) -> Problems:
        if not isinstance(value, dict):
            yield Problem(path, f"must be {self.what}, an object", kind_of(value))
            return
        kind = value.get("type")
        if not isinstance(kind, str) or kind not in self.kinds:
            yield Problem(f"{path}/type", f"must be a type of {self.what}", repr(kind)[:60])
        elif self.allowed is not None and kind not in self.allowed:
            yield Problem(path, f"must be {self.what} of a type allowed here", str(kind))
        else:
            yield from self.kinds[kind].problems(value, path)
