"""The part of OData's `$filter` that Dataverse understands for these tables (its developer guide, "Filter rows")."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.sandbox.dataverse.assumptions import Assumptions
from bot.sandbox.dataverse.conditions import (
    COMPARISONS,
    Among,
    AnyOf,
    Both,
    Compare,
    Condition,
    Negated,
    Search,
    text_search,
)
from bot.sandbox.dataverse.errors import (
    SQL_TIMEOUT,
    TOO_MANY_CONDITIONS,
    ODataError,
    bad_query,
    not_implemented,
    unknown_column,
)
from bot.sandbox.dataverse.population import Value

MAX_CONDITIONS = 500
MAX_NESTING = 50
SEGMENTS_COLUMN = "msdynci_segments"

TEXT_TYPES = {"String", "Memo"}
NUMBER_TYPES = {"Integer", "BigInt", "Decimal", "Double", "State", "Status"}


def parse_filter(
    text: str,
    types: Mapping[str, str],
    table: str,
    assumptions: Assumptions,
    aliases: Mapping[str, str] | None = None,
) -> Condition:
    """The condition that `text` states about a table with columns of these types.

    `aliases` are the parameters of the request, such as `@p1`. Raises `ODataError` as Dataverse answers: 400 for a
    syntax error, an unknown column, a literal of the wrong type or too many conditions; 501 for what is not supported.
    """
    return _Parser(text, types, table, assumptions, aliases or {}).parse()


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>'(?:[^']|'')*')
    | (?P<guid>[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})
    | (?P<date>\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?)
    | (?P<number>-?\d+(?:\.\d+)?)
    | (?P<name>@?[A-Za-z_][A-Za-z0-9_.]*)
    | (?P<mark>[(),=\[\]]|"(?:[^"\\]|\\.)*")
    )""",
    re.VERBOSE,
)

_CONSTANTS: dict[str, Value] = {"true": True, "false": False, "null": None}
_SEARCHES = ("contains", "startswith", "endswith")
_IN = "Microsoft.Dynamics.CRM.In"


@dataclass
class _Parser:
    """Recursive descent over the tokens of one filter; `not` binds tighter than `and`, and that than `or`."""

    text: str
    types: Mapping[str, str]
    table: str
    assumptions: Assumptions
    aliases: Mapping[str, str]
    _tokens: list[tuple[str, str, int]] = field(default_factory=list)
    _at: int = 0
    _conditions: int = 0
    _depth: int = 0

    def parse(self) -> Condition:
        self._tokens = self._split(self.text)
        condition = self._or()
        if self._peek() is not None:
            raise self._syntax_error()
        return condition

    def _split(self, text: str) -> list[tuple[str, str, int]]:
        tokens = []
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                raise bad_query(f"Syntax error: character '{text[position:].strip()[0]}' is not valid in '{text}'.")
            kind = match.lastgroup or ""
            tokens.append((kind, match[kind], match.start(kind)))
            position = match.end()
        return tokens

    # Grammar

    def _or(self) -> Condition:
        parts = [self._and()]
        while self._take("name", "or"):
            parts.append(self._and())
        parts = self._equals_together(parts)
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _equals_together(self, parts: list[Condition]) -> list[Condition]:
        """`column eq 'a' or column eq 'b' …` as one condition: hundreds of them are a usual way to ask for rows."""
        equals: dict[str, set[str]] = {}
        others = []
        for part in parts:
            if isinstance(part, Compare) and part.operator == "eq" and isinstance(part.value, str):
                equals.setdefault(part.column, set()).add(part.value.lower())
            else:
                others.append(part)
        return [*others, *(Among(column, frozenset(values)) for column, values in equals.items())]

    def _and(self) -> Condition:
        condition = self._unary()
        while self._take("name", "and"):
            condition = Both(condition, self._unary())
        return condition

    def _unary(self) -> Condition:
        if self._depth >= MAX_NESTING:
            raise bad_query("The filter is nested too deeply.")
        self._depth += 1
        try:
            if self._take("name", "not"):
                return Negated(self._unary())
            if self._take("mark", "("):
                condition = self._or()
                self._expect("mark", ")")
                return condition
            return self._condition()
        finally:
            self._depth -= 1

    def _condition(self) -> Condition:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise ODataError(
                400, TOO_MANY_CONDITIONS, f"Number of conditions in query exceeded maximum limit of {MAX_CONDITIONS}."
            )
        name = self._expect("name")
        if name in _SEARCHES:
            return self._maybe_compared(self._search(name))
        if name == _IN:
            return self._maybe_compared(self._among())
        if self._take("mark", "("):
            raise not_implemented(f"The function '{name}' is not supported.")
        operator = self._expect("name")
        if operator not in COMPARISONS:
            raise self._syntax_error()
        return Compare(self._column(name), operator, self._literal(name))

    def _maybe_compared(self, condition: Condition) -> Condition:
        """`contains(…) eq true` means the same as `contains(…)`."""
        if not self._take("name", "eq"):
            return condition
        return Negated(condition) if self._expect("name", "true", "false") == "false" else condition

    def _search(self, function: str) -> Condition:
        self._expect("mark", "(")
        column = self._column(self._expect("name"))
        if self.types[column] not in TEXT_TYPES:
            raise bad_query(f"The function '{function}' can't be used with the column '{column}'.")
        self._expect("mark", ",")
        needle = _unquoted(self._expect("string"))
        self._expect("mark", ")")
        if column == SEGMENTS_COLUMN and function == "contains":
            return self._search_segments(needle)
        return Search(column, text_search(function, needle, wildcards=self.assumptions.wildcards))

    def _search_segments(self, needle: str) -> Condition:
        """How names are looked for in the memberships' text is not known for certain: the switches decide."""
        switches = self.assumptions
        if switches.contains == "unsupported":
            raise not_implemented("The function 'contains' is not supported on elastic tables.")
        if switches.contains == "times-out":
            raise ODataError(500, SQL_TIMEOUT, "SQL timeout expired.")
        if '\\"' in needle:
            accepted, needle = switches.contains_backslash, needle.replace('\\"', '"')
        else:
            accepted = switches.contains_quoted if '"' in needle else switches.contains_bare
        found = text_search("contains", needle, wildcards=switches.wildcards)
        return Search(SEGMENTS_COLUMN, found if accepted else lambda text: False)

    def _among(self) -> Condition:
        if not self.assumptions.in_operator:
            raise not_implemented(f"The function '{_IN}' is not supported on elastic tables.")
        self._expect("mark", "(")
        arguments: dict[str, list[str]] = {}
        while not arguments or self._take("mark", ","):
            name = self._expect("name", "PropertyName", "PropertyValues")
            self._expect("mark", "=")
            arguments[name] = self._argument()
        self._expect("mark", ")")
        if arguments.keys() != {"PropertyName", "PropertyValues"} or len(arguments["PropertyName"]) != 1:
            raise bad_query(f"'{_IN}' needs PropertyName and PropertyValues.")
        column = self._column(arguments["PropertyName"][0])
        return Among(column, frozenset(value.lower() for value in arguments["PropertyValues"]))

    def _argument(self) -> list[str]:
        """A string or a list of strings, given in place or as the alias of a request parameter."""
        kind, word, _ = self._next()
        if kind == "name" and word.startswith("@"):
            if word not in self.aliases:
                raise bad_query(f"The parameter alias '{word}' has no value.")
            inner = _Parser(self.aliases[word], self.types, self.table, self.assumptions, {})
            inner._tokens = inner._split(inner.text)
            return inner._argument()
        if kind == "string":
            return [_unquoted(word)]
        if word != "[":
            raise self._syntax_error()
        values: list[str] = []
        while not self._take("mark", "]"):
            if values:
                self._expect("mark", ",")
            kind, word, _ = self._next()
            if kind != "string" and not word.startswith('"'):
                raise self._syntax_error()
            values.append(_unquoted(word) if kind == "string" else word[1:-1].replace('\\"', '"'))
        return values

    def _column(self, name: str) -> str:
        if name not in self.types:
            raise unknown_column(name, self.table, self.assumptions.unknown_column_code)
        return name

    def _literal(self, column: str) -> Value:
        kind, token, _ = self._next()
        type_ = self.types[column]
        if kind == "name" and token in _CONSTANTS:
            value = _CONSTANTS[token]
            fits = value is None or type_ == "Boolean"
        elif kind == "number":
            value = float(token) if "." in token else int(token)
            fits = type_ in NUMBER_TYPES
        elif kind == "string":
            value, fits = _unquoted(token), type_ in TEXT_TYPES
        else:
            value, fits = token, type_ in ({"DateTime"} if kind == "date" else {"Uniqueidentifier", "Lookup", "Owner"})
        if not fits:
            raise bad_query(
                f"A binary operator with incompatible types was detected: '{column}' is {type_}, got '{token}'."
            )
        return value

    # Tokens

    def _peek(self) -> tuple[str, str, int] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> tuple[str, str, int]:
        token = self._peek()
        if token is None:
            raise self._syntax_error()
        self._at += 1
        return token

    def _take(self, kind: str, text: str) -> bool:
        token = self._peek()
        if token is None or token[:2] != (kind, text):
            return False
        self._at += 1
        return True

    def _expect(self, kind: str, *texts: str) -> str:
        token = self._peek()
        if token is None or token[0] != kind or (texts and token[1] not in texts):
            raise self._syntax_error()
        self._at += 1
        return token[1]

    def _syntax_error(self) -> ODataError:
        token = self._peek()
        position = len(self.text) if token is None else token[2]
        return bad_query(f"Syntax error at position {position} in '{self.text}'.")


def _unquoted(token: str) -> str:
    return token[1:-1].replace("''", "'")
