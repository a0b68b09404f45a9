"""What staging asks of DuckDB for a mapping: from values as they come to rows, digests and JSON, all by SQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

from bot.duck import DuckDBConnection, identifier, literal
from bot.omnisend.contacts import MAX_EMAIL, MAX_PROPERTY_TEXT, STANDARD
from bot.pipeline import countries, opt_in
from bot.pipeline.mapping import Line, Plan
from bot.sources.base import CUSTOMER_ID, SEGMENTS
from storage.models import MappingKind
from storage.secrets import DIGEST_BYTES

FORMAT = "1"  # of the canonical form; a new one makes every contact a changed one

_LOCAL = r"[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[\p{L}\p{N}]([\p{L}\p{M}\p{N}-]*[\p{L}\p{N}])?"
_TOP = r"\p{L}[\p{L}\p{M}\p{N}-]*[\p{L}\p{N}]"
EMAIL_PATTERN = rf"^{_LOCAL}(\.{_LOCAL})*@({_LABEL}\.)+{_TOP}$"
"""`local@domain.tld`, letters of any script. Omnisend's own rule is not published; what it refuses, it says by item."""
LONG_LABEL_PATTERN = r"@.*[^.]{64}"
"""A part of the domain of more than 63 characters. Not `{0,61}` above: that takes a quarter of a second to compile."""

_CONTROLS = r"[\x00-\x1f\x7f-\x9f\x{200e}\x{200f}\x{202a}-\x{202e}\x{2066}-\x{2069}\x{feff}\s]+"
_RECORD, _UNIT = "chr(30)", "chr(31)"  # separators: cleaned values never hold them


class Reason(StrEnum):
    """Why staging rejects a profile."""

    MISSING_EMAIL = "missing_email"
    EMAIL_TOO_LONG = "email_too_long"
    INVALID_EMAIL = "invalid_email"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, slots=True)
class Selected:
    """A segment of the export and the boolean property that stands for it."""

    name: str
    property_name: str


class Projection:
    """The SQL of one export: columns `a0`, `a1`, … are its attributes as they go, in the plan's order.

    `learn` the columns of the source before anything else.
    """

    def __init__(self, plan: Plan, segments: Sequence[Selected], dropping: Sequence[str], now_ms: int) -> None:
        """`now_ms`: the present, in milliseconds since 1970, which no opt-in may be later than."""
        self._plan = plan
        self._segments = tuple(segments)
        self._dropping = tuple(dropping)
        self._now_ms = now_ms
        self._opt_in = plan.opt_in
        self._types: dict[str, str] = {}

    def learn(self, schema: pa.Schema) -> None:
        """What kinds of values the source gives; they stay as they are for the whole run."""
        self._types = self._types or {column.name: _json_kind(column.type) for column in schema}

    @property
    def columns(self) -> list[str]:
        return [f"a{position}" for position in range(len(self._plan.attributes))]

    @property
    def opt_columns(self) -> list[str]:
        return ["opt_status", "opt_since"] if self._opt_in else []

    @property
    def kept(self) -> list[str]:
        """Every column that a contact's body is made from."""
        return [*self.columns, *self.opt_columns]

    def prepare(self, connection: DuckDBConnection) -> None:
        """Make the table of staged profiles, and what the SQL here needs beside it."""
        values = "".join(f", {column} VARCHAR" for column in self.columns)
        if self._opt_in:
            values += ", opt_status VARCHAR, opt_since BIGINT, opt_unreadable VARCHAR"
            connection.execute(opt_in.MACROS)
        connection.execute(
            f"""
            CREATE TABLE staged (row BIGINT, customer_id VARCHAR, email VARCHAR, digest BLOB, reason VARCHAR,
                                 mask UHUGEINT, cut BOOLEAN, lost_country BOOLEAN{values});
            CREATE TABLE countries (folded VARCHAR, code VARCHAR);
            CREATE MACRO composed(v) AS nfc_normalize(replace(v, chr(0), ' '));  -- it ends a text at a NUL
            CREATE MACRO clean(v) AS nullif(trim(regexp_replace(composed(v), '{_CONTROLS}', ' ', 'g')), '');
            """
        )
        codes = countries.codes()
        connection.register("incoming", pa.table({"folded": list(codes), "code": list(codes.values())}))
        connection.execute("INSERT INTO countries SELECT folded, code FROM incoming")
        connection.unregister("incoming")
        names = ", ".join(f"{literal(code)}: {literal(name)}" for code, name in countries.english_names().items())
        connection.execute(f"CREATE MACRO english_name(code) AS (MAP {{{names}}})[code]")

    def insert_sql(self) -> str:
        """Project, normalise, validate. `x*` are values as they come, `a*` as they go."""
        lines = self._plan.attributes
        raw = "".join(f", {self._value_sql(line)} AS x{n}" for n, line in enumerate(lines))
        country = [n for n, line in enumerate(lines) if line.attribute == "country"]
        limits = {n: _max_length(line) for n, line in enumerate(lines) if n not in country}
        final = "".join(f", {'k.code' if n in country else f'left(x{n}, {limits[n]})'}" for n in range(len(lines)))
        cut = " OR ".join([f"coalesce(length(x{n}) > {most}, false)" for n, most in limits.items()]) or "false"
        lost = f"x{country[0]} IS NOT NULL AND k.code IS NULL" if country else "false"
        if self._opt_in:
            status, date = self._field_sql(self._opt_in.status), self._field_sql(self._opt_in.date)
            raw += f", {status} AS opt_word, {date} AS opt_text"
            final += f", {opt_in.reading_sql('opt_word', 'opt_text', self._now_ms)}"
        join = f"LEFT JOIN countries k ON k.folded = lower(x{country[0]})" if country else ""
        mask = "list_reduce(list_transform({}, lambda i: 1::UHUGEINT << i::UHUGEINT), lambda a, b: a | b)"
        return f"""
            INSERT INTO staged
            SELECT $first + n, customer_id, email, CASE WHEN reason IS NULL THEN {keyed(email_message("email"))} END,
                   reason, mask, {cut}, {lost}{final}
            FROM (
                SELECT *, CASE WHEN email IS NULL THEN '{Reason.MISSING_EMAIL}'
                               WHEN length(email) > {MAX_EMAIL} OR length(split_part(email, '@', 1)) > 64
                                   THEN '{Reason.EMAIL_TOO_LONG}'
                               WHEN NOT regexp_matches(email, {literal(EMAIL_PATTERN)})
                                   OR regexp_matches(email, {literal(LONG_LABEL_PATTERN)})
                                   THEN '{Reason.INVALID_EMAIL}'
                          END AS reason
                FROM (
                    SELECT row_number() OVER () AS n, {identifier(CUSTOMER_ID)} AS customer_id,
                           lower({self._value_sql(self._plan.email)}) AS email,
                           {mask.format(identifier(SEGMENTS))} AS mask{raw}
                    FROM incoming
                )
            ) {join}
            """

    def _value_sql(self, line: Line) -> str:
        if line.kind is MappingKind.FIELD:
            return self._field_sql(line.value)
        pieces = [self._field_sql(text) if is_field else literal(text) for text, is_field in line.parts()]
        filled = [self._field_sql(name) for name in line.fields]
        joined = "clean(" + " || ".join(f"coalesce({piece}, '')" for piece in pieces or ["''"]) + ")"
        return (
            f"CASE WHEN {' OR '.join(f'{value} IS NOT NULL' for value in filled)} THEN {joined} END"
            if filled
            else joined
        )

    def _field_sql(self, name: str) -> str:
        """A field's value as clean text, or NULL. Numbers that JSON can't hold are no values."""
        kind = self._types.get(name, "text")
        if kind == "float":
            return f"CASE WHEN isfinite({identifier(name)}) THEN CAST({identifier(name)} AS VARCHAR) END"
        if kind == "moment":
            return f"strftime({identifier(name)}, '%Y-%m-%d %H:%M:%S')"
        return f"clean({identifier(name)})" if kind == "text" else f"CAST({identifier(name)} AS VARCHAR)"

    def canonical_sql(self, table: str, mask: str) -> str:
        """What a payload digest is made of: attributes by name, then the segments that are true, by property."""
        parts = [literal(FORMAT)]
        lines = sorted(enumerate(self._plan.attributes), key=lambda item: item[1].attribute)
        for position, line in lines:
            value = f"{table}.a{position}"
            there = f"{_RECORD} || {literal(line.attribute)} || {_UNIT} || {value}"
            empty = f"{_RECORD} || {literal(line.attribute)}" if line.clear else "''"
            if line.attribute == "country":
                empty = _unless_lost(empty, f"{table}.")
            parts.append(f"CASE WHEN {value} IS NOT NULL THEN {there} ELSE {empty} END")
        for position, segment in sorted(enumerate(self._segments), key=lambda item: item[1].property_name):
            true = f"{_RECORD} || {literal('segment')} || {_UNIT} || {literal(segment.property_name)}"
            parts.append(f"CASE WHEN {bit(mask, position)} THEN {true} ELSE '' END")
        if self._opt_in:
            status, since = latest_opt_in("status"), latest_opt_in("since")
            dated = f"{_RECORD} || {literal('optIn')} || {_UNIT} || {status} || {_UNIT} || {since}"
            parts.append(f"CASE WHEN {status} IS NOT NULL THEN {dated} ELSE '' END")
        return " || ".join(parts)

    def body_sql(self) -> str:
        """The contact as JSON text, built by concatenation: keys are ours, values go through `to_json`."""
        channels = opt_in.channel_sql("opt_status", "opt_since") if self._opt_in else literal(opt_in.NO_OPT_IN)
        parts = [
            literal('{"identifiers":[{"type":"email","id":'),
            "to_json(email)",
            literal(',"channels":'),
            channels,
            literal(',"sendWelcomeMessage":false}]'),
        ]
        custom: list[str] = []
        for position, line in enumerate(self._plan.attributes):
            value = f"a{position}"
            if line.is_custom:
                custom.append(self._member_sql(line.property_name, value, self._json_sql(line, value), line.clear))
            elif line.attribute == "country":
                name = f"to_json(english_name({value}))"
                both = f"""',"country":' || {name} || ',"countryCode":' || to_json({value})"""
                blank = _unless_lost(literal(',"country":"","countryCode":""') if line.clear else "''")
                parts.append(f"CASE WHEN {value} IS NOT NULL THEN {both} ELSE {blank} END")
            else:
                parts.append(self._member_sql(line.attribute, value, f"to_json({value})", line.clear))
        for position, segment in enumerate(self._segments):
            name = literal(f',"{segment.property_name}":')
            custom.append(f"{name} || CASE WHEN {bit('mask', position)} THEN 'true' ELSE 'false' END")
        custom += [literal(f',"{name}":false') for name in self._dropping]
        # Every member begins with a comma: cut the first one.
        parts.append(f"""',"customProperties":{{' || substr({" || ".join(custom) or "''"}, 2) || '}}}}'""")
        return " || ".join(parts)

    @staticmethod
    def _member_sql(name: str, value: str, as_json: str, clear: bool) -> str:
        blank = literal(f',"{name}":""') if clear else "''"
        key = literal(f',"{name}":')
        return f"CASE WHEN {value} IS NOT NULL THEN {key} || {as_json} ELSE {blank} END"

    def _json_sql(self, line: Line, value: str) -> str:
        """A custom property keeps its field's type; templates are text."""
        kind = self._types.get(line.value, "text") if line.kind is MappingKind.FIELD else "text"
        return value if kind in ("number", "float", "boolean") else f"to_json({value})"


DATED = (opt_in.Status.SUBSCRIBED, opt_in.Status.UNSUBSCRIBED)


def latest_opt_in(part: str) -> str:
    """`status` or `since` of a contact's opt-in: of the duplicates (`d`) of a profile (`s`), if there are any."""
    return f"CASE WHEN d.row IS NULL THEN s.opt_{part} ELSE d.opt.{part} END"


def keyed(message: str) -> str:
    """HMAC-SHA-256 of a text, cut like `DigestKey.of`, by the construction's two nested hashes."""
    return f"unhex(left(sha256($outer || unhex(sha256($inner || encode({message})))), {2 * DIGEST_BYTES}))"


def email_message(email: str) -> str:
    return f"{literal('email')} || {_UNIT} || {email}"


def bit(mask: str, position: int) -> str:
    return f"(({mask} >> {position}::UHUGEINT) & 1::UHUGEINT) = 1"


def _unless_lost(empty: str, table: str = "") -> str:
    """A country that could not be resolved is no empty one: it blanks nothing."""
    return f"CASE WHEN {table}lost_country THEN '' ELSE {empty} END"


def _max_length(line: Line) -> int:
    return MAX_PROPERTY_TEXT if line.is_custom else STANDARD[line.attribute].max_length


def _json_kind(column: pa.DataType) -> str:
    if pa.types.is_boolean(column):
        return "boolean"
    if pa.types.is_integer(column) or pa.types.is_decimal(column):
        return "number"
    if pa.types.is_floating(column):
        return "float"
    if pa.types.is_timestamp(column):
        return "moment"
    return "date" if pa.types.is_date(column) else "text"
