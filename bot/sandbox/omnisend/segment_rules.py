"""The rules of segments (Omnisend docs, Segments): what they may say, and whom they cover."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bot.sandbox.omnisend.contact_rules import TEXT_FIELDS, property_type
from bot.sandbox.omnisend.contacts import current_status
from bot.sandbox.omnisend.formats import parse_instant
from bot.sandbox.omnisend.problems import FieldError, invalid
from bot.sandbox.omnisend.store import FALSE, TAGGED, TRUE, ContactStore, Marks, Record

MAX_NAME = 256  # characters

VALUE_TYPES = ("text", "number", "bool", "date")
OPERATORS = ("equals", "anyOf", "noneOf", "contains", "doesNotExist", "moreThan", "between", "inTheLast")
_UNITS = {"hours": 3_600_000, "days": 86_400_000, "weeks": 604_800_000, "months": 2_592_000_000}  # milliseconds

Covers = Callable[[Record, int], bool]
"""Whether a rule covers a contact at a time (milliseconds since 1970)."""


@dataclass(slots=True)
class Rule:
    """A checked rule. Where it asks for one mark only, `mark` names it, and no contact need be opened."""

    covers: Covers
    mark: Callable[[ContactStore], tuple[Marks, int]] | None = None
    depends_on_time: bool = False


def parse_segment(body: Any, *, known_properties: set[str] | None) -> tuple[str, list[Any], Rule]:
    """Check the body of POST and PUT: name, condition groups, and the rule they make.

    `known_properties`: the custom properties that a rule may name; None for any. Raises `Problem` 400.
    """
    if not isinstance(body, dict):
        raise invalid(FieldError("", "invalid", "Must be an object"))
    reader = _Reader(known_properties)
    name = body.get("name")
    if not isinstance(name, str) or not name:
        reader.fail("name", "required" if name is None else "invalid", "Must be a text")
    elif len(name) > MAX_NAME:
        reader.fail("name", "invalid", f"Must be at most {MAX_NAME} characters")
    rule = reader.groups(body.get("conditionGroups"))
    if reader.errors or not isinstance(name, str):
        raise invalid(*reader.errors)
    return name, body["conditionGroups"], rule


class _Reader:
    def __init__(self, known_properties: set[str] | None) -> None:
        self.errors: list[FieldError] = []
        self._known_properties = known_properties
        self._depends_on_time = False

    def fail(self, path: str, code: str, message: str) -> None:
        self.errors.append(FieldError(path, code, message))

    def groups(self, groups: Any) -> Rule:
        """Groups are joined by OR, the conditions of a group by AND."""
        covering: list[list[Covers]] = []
        for path, group in self._entries("conditionGroups", groups):
            conditions = group.get("conditions") if isinstance(group, dict) else None
            covering.append([self._condition(*entry) for entry in self._entries(f"{path}.conditions", conditions)])

        def covers(record: Record, now: int) -> bool:
            return any(all(condition(record, now) for condition in group) for group in covering)

        mark = None if self.errors else _only_mark(groups)
        return Rule(covers, mark, self._depends_on_time)

    def _entries(self, path: str, value: Any) -> list[tuple[str, Any]]:
        if not isinstance(value, list) or not value:
            self.fail(path, "required" if value is None else "invalid", "Must be an array with at least one entry")
            return []
        return [(f"{path}.{index}", entry) for index, entry in enumerate(value)]

    def _condition(self, path: str, condition: Any) -> Covers:
        if not isinstance(condition, dict):
            self.fail(path, "invalid", "Must be an object")
            return _nobody
        if condition.get("entity") not in ("contact", "event"):
            self.fail(f"{path}.entity", "invalid", "Must be contact or event")
        if condition.get("junction") not in ("and", "or"):
            self.fail(f"{path}.junction", "invalid", "Must be and or or")
        if condition.get("entity") == "event":
            # This emulator takes no events, and a rule may only name what was sent once before.
            self.fail(f"{path}.filters", "invalid", "The event was never sent")
            return _nobody
        filters = [self._filter(*entry) for entry in self._entries(f"{path}.filters", condition.get("filters"))]
        join = all if condition.get("junction") == "and" else any
        return lambda record, now: join(covers(record, now) for covers in filters)

    def _filter(self, path: str, rule: Any) -> Covers:
        if not isinstance(rule, dict):
            self.fail(path, "invalid", "Must be an object")
            return _nobody
        operator = rule.get("operator")
        if operator not in OPERATORS:
            self.fail(f"{path}.operator", "invalid", f"Must be one of {', '.join(OPERATORS)}")
            return _nobody
        read = self._property(path, rule)
        match operator:
            case "anyOf" | "noneOf":
                return self._listed(path, rule, read)
            case "doesNotExist":
                return lambda record, now: read(record) is None
            case "between":
                low, high = rule.get("valueFrom"), rule.get("valueTo")
                if low is None or high is None:
                    self.fail(path, "required", "valueFrom and valueTo are required")
                return lambda record, now: _less(low, read(record)) and _less(read(record), high)
            case "inTheLast":
                return self._recent(path, rule, read)
        wanted = rule.get("value")
        self._check_value(path, rule)
        if operator == "equals":
            return lambda record, now: _same(read(record), wanted)
        if operator == "contains":
            return lambda record, now: _contains(read(record), wanted)
        return lambda record, now: read(record) != wanted and _less(wanted, read(record))

    def _property(self, path: str, rule: dict[str, Any]) -> Callable[[Record], Any]:
        name = rule.get("property")
        if name == "tags":
            return lambda record: record["tags"]
        if name == "custom":
            return self._custom(path, rule)
        if name in ("email", "phone"):
            return lambda record: record[name]  # type: ignore[literal-required]
        if name == "status":
            return lambda record: (current_status(record, "email") or (None, None))[1]
        if isinstance(name, str) and name in TEXT_FIELDS:
            return lambda record: record["fields"].get(name)
        self.fail(f"{path}.property", "required" if name is None else "invalid", "Is no property of a contact")
        return lambda record: None

    def _custom(self, path: str, rule: dict[str, Any]) -> Callable[[Record], Any]:
        name = rule.get("name")
        if not isinstance(name, str) or not name:
            self.fail(f"{path}.name", "required", "Is required for a custom property")
            return lambda record: None
        if self._known_properties is not None and name not in self._known_properties:
            self.fail(f"{path}.name", "invalid", "The custom property is not known")
        if rule.get("valueType") not in VALUE_TYPES:
            self.fail(f"{path}.valueType", "invalid", f"Must be one of {', '.join(VALUE_TYPES)}")
        return lambda record: record["properties"].get(name)

    def _check_value(self, path: str, rule: dict[str, Any]) -> None:
        if "value" not in rule:
            self.fail(f"{path}.value", "required", "Is required")
        elif rule.get("property") == "custom":
            kind = rule.get("valueType")
            expected = "text" if kind == "date" else kind
            if property_type(rule["value"]) != expected:
                self.fail(f"{path}.value", "invalid", f"Must be of type {kind}")

    def _listed(self, path: str, rule: dict[str, Any], read: Callable[[Record], Any]) -> Covers:
        values = rule.get("value")
        if not isinstance(values, list) or not values:
            self.fail(f"{path}.value", "invalid", "Must be an array with at least one entry")
            return _nobody
        any_of = rule["operator"] == "anyOf"

        def covers(record: Record, now: int) -> bool:
            held = read(record)
            held = held if isinstance(held, list) else [held]
            return any(_same(entry, value) for entry in held for value in values) is any_of

        return covers

    def _recent(self, path: str, rule: dict[str, Any], read: Callable[[Record], Any]) -> Covers:
        unit, amount = rule.get("unit"), rule.get("value")
        if unit not in _UNITS or not isinstance(amount, int) or isinstance(amount, bool):
            self.fail(path, "invalid", f"Needs a whole number as value and a unit of {', '.join(_UNITS)}")
            return _nobody
        self._depends_on_time = True
        span = amount * _UNITS[unit]

        def covers(record: Record, now: int) -> bool:
            moment = _moment(read(record))
            return moment is not None and now - span <= moment <= now

        return covers


def _nobody(record: Record, now: int) -> bool:
    return False


def _same(held: Any, wanted: Any) -> bool:
    """Equal and of one type: the text `true` is not the truth value, and neither is 1."""
    return property_type(held) == property_type(wanted) and held == wanted


def _contains(held: Any, wanted: Any) -> bool:
    return isinstance(held, str | list) and isinstance(wanted, str) and wanted in held


def _less(low: Any, high: Any) -> bool:
    """`low <= high` for two numbers or two texts (dates are texts that sort)."""
    kind = property_type(low)
    return kind in ("number", "text") and kind == property_type(high) and bool(low <= high)


def _moment(value: Any) -> int | None:
    if not isinstance(value, str):
        return None
    text = value.replace(" ", "T")
    for candidate in (text, f"{text}Z", f"{text}T00:00:00Z"):
        try:
            return parse_instant(candidate)
        except ValueError:
            continue
    return None


def _only_mark(groups: list[Any]) -> Callable[[ContactStore], tuple[Marks, int]] | None:
    """The mark that answers a rule of a single filter on a boolean property or on one tag."""
    if len(groups) != 1 or len(groups[0]["conditions"]) != 1 or len(groups[0]["conditions"][0]["filters"]) != 1:
        return None
    rule = groups[0]["conditions"][0]["filters"][0]
    value = rule.get("value")
    if rule["property"] == "custom" and rule["operator"] == "equals" and isinstance(value, bool):
        name, mark = rule["name"], TRUE if value else FALSE
        return lambda store: (store.bool_marks(name), mark)
    if rule["property"] == "tags" and rule["operator"] == "anyOf" and len(value) == 1:
        tag = value[0]
        return lambda store: (store.tag_marks(tag), TAGGED)
    return None
