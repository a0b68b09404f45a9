"""Staging: from profiles to changes, in DuckDB.

Profiles stream in as Arrow and are projected, normalised and validated by SQL; duplicates of one email are folded; each
contact gets the keyed digest of its email and of its payload; the ledger joins in; what remains is the difference. No
row passes through Python. All methods block: call them in a worker thread, one at a time.

Digests cover canonical values and a format version, never the JSON that is sent. Only true memberships count in them:
a contact that is in none of the new segments need not be sent again, and one that loses a segment does.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import pyarrow as pa

from bot.duck import DuckDBConnection, identifier, literal
from bot.omnisend.contacts import MAX_EMAIL, MAX_PROPERTY_TEXT, STANDARD
from bot.pipeline import countries, opt_in
from bot.pipeline.mapping import Line, Plan
from bot.sources.base import CUSTOMER_ID, SEGMENTS
from storage.models import MappingKind, now
from storage.secrets import DIGEST_BYTES, DigestKey

FORMAT = "1"  # of the canonical form; a new one makes every contact a changed one
BATCH_ROWS = 5_000  # contacts handed out at once: a claim group
SLICE_ROWS = 300_000  # profiles or ledger entries joined and sorted at once
MAX_SEGMENTS = 100  # of one export: a membership is a bit of 128

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


@dataclass(frozen=True, slots=True)
class Comparison:
    """The difference between what is wanted and what the ledger says, in contacts."""

    profiles: int = 0  # rows read
    wanted: int = 0  # distinct contacts
    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    kept: int = 0  # leavers that stay, by choice
    held: int = 0  # nothing newer may be sent yet: an older batch may still run
    refused: int = 0  # Omnisend rejected exactly this before
    rejected: dict[str, int] = field(default_factory=dict)  # by reason, profiles that staging found unfit
    duplicates: int = 0  # profiles folded into another with the same email
    cut: int = 0  # profiles with a value cut to Omnisend's limit
    unresolved_countries: int = 0
    ledger: int = 0  # contacts in the ledger before
    members: dict[str, int] = field(default_factory=dict)  # contacts that shall have the segment's property true
    opt_ins: dict[str, int] = field(default_factory=dict)  # of those to send, by status; empty if none is mapped
    opt_ins_unreadable: dict[str, int] = field(default_factory=dict)  # by reason, profiles that then count as without

    @property
    def to_send(self) -> int:
        return self.added + self.changed + self.removed


@dataclass(frozen=True, slots=True)
class Sample:
    """A contact as it would be sent. Personal data: mask it before it is shown."""

    customer_id: str
    op: str
    email: str
    values: dict[str, str]
    segments: list[str]
    opt_in: str = ""  # the status that would go; empty if none is mapped


class Staging:
    """One export's profiles on their way to Omnisend. Owns its DuckDB connection and closes it."""

    def __init__(
        self,
        connection: DuckDBConnection,
        plan: Plan,
        segments: Sequence[Selected],
        key: DigestKey,
        *,
        dropping: Sequence[str] = (),
        keep_leavers: bool = False,
        at: datetime | None = None,
    ) -> None:
        """`dropping`: properties of deselected segments, sent as false with whatever is sent.

        `at`: the present, which no opt-in may be later than.
        """
        self._con = connection
        self._plan = plan
        self._opt_in = plan.opt_in
        self._now_ms = int((at or now()).timestamp() * 1_000)
        self._segments = tuple(segments)
        self._dropping = tuple(dropping)
        self._keep_leavers = keep_leavers
        self._key = key
        self._keys = {"inner": key.inner, "outer": key.outer}
        self._types: dict[str, str] = {}
        self._rows = 0
        self._everything = False
        self.removal_payload = key.of(
            "\x1f".join([FORMAT, "removed", *sorted(self.properties)]).encode()
        )  # the payload digest of every removal of this run
        connection.execute("SET preserve_insertion_order = true")  # changes are kept, and go out, in digest order
        self._create_tables()

    @property
    def properties(self) -> list[str]:
        """Every segment property that the export touches, selected and dropping."""
        return [segment.property_name for segment in self._segments] + list(self._dropping)

    def close(self) -> None:
        self._con.close()

    def interrupt(self) -> None:
        """Stop the query that is running in another thread."""
        self._con.interrupt()

    # --- in

    def add(self, batch: pa.RecordBatch) -> int:
        """Take in profiles as a source gives them; the number of rows so far."""
        if not self._types:
            self._types = {column.name: _json_kind(column.type) for column in batch.schema}
        self._con.register("incoming", batch)
        try:
            self._con.execute(self._insert_sql(), self._keys | {"first": self._rows})
        finally:
            self._con.unregister("incoming")
        self._rows += batch.num_rows
        return self._rows

    def add_ledger(self, batch: pa.RecordBatch) -> None:
        """Take in a piece of the ledger (`storage.ledger.LEDGER_SCHEMA`)."""
        self._con.register("incoming", batch)
        try:
            self._con.execute("INSERT INTO ledger SELECT digest, payload, state, known FROM incoming")
        finally:
            self._con.unregister("incoming")

    def add_held(self, digests: Sequence[bytes]) -> None:
        """Contacts for which nothing newer may be sent."""
        self._insert_digests("held", digests)

    def add_suppressed(self, digests: Sequence[bytes]) -> None:
        """Contacts that are never to be exported again."""
        self._insert_digests("suppressed", digests)

    def add_refused(self, refused: Sequence[tuple[bytes, bytes]]) -> None:
        """Digest and payload digest of what Omnisend rejected before."""
        if refused:
            digests, payloads = zip(*refused, strict=True)
            table = pa.table({"digest": pa.array(digests, pa.binary()), "payload": pa.array(payloads, pa.binary())})
            self._con.register("incoming", table)
            self._con.execute("INSERT INTO refused SELECT digest, payload FROM incoming")
            self._con.unregister("incoming")

    def _insert_digests(self, table: str, digests: Sequence[bytes]) -> None:
        if digests:
            self._con.register("incoming", pa.table({"digest": pa.array(digests, pa.binary())}))
            self._con.execute(f"INSERT INTO {table} SELECT digest FROM incoming")
            self._con.unregister("incoming")

    # --- the difference

    def compare(self, *, everything: bool = False) -> Comparison:
        """Fold duplicates and say of each contact what is to be done. `everything`: send the unchanged ones too."""
        self._everything = everything
        self._fold()
        leaver = "kept" if self._keep_leavers else "removed"
        self._con.execute("CREATE TABLE leavers (digest BLOB, op VARCHAR)")
        for part in self._slices():
            values = {"removal": self.removal_payload, "leaver": leaver}
            self._con.execute(_LEAVERS_SQL.format(part=part), values)
        return self._count()

    def _fold(self) -> None:
        """Find the emails of several profiles. The smallest customer id wins; memberships are united.

        Of several opt-ins the latest counts, whoever's it is.
        """
        values = ", ".join(["customer_id", *self._columns()])
        columns, latest = "digest BLOB, mask UHUGEINT, row BIGINT, profiles BIGINT", ""
        if self._opt_in:
            # Omnisend's own rule among several statuses of one address; of two at the same time, the refusal counts.
            columns += ", opt STRUCT(since BIGINT, status VARCHAR)"
            latest = ", max({'since': opt_since, 'status': opt_status}) FILTER (opt_status IS NOT NULL)"
        self._con.execute(f"CREATE TABLE duplicates ({columns})")
        for part in self._slices():
            staged = f"(SELECT * FROM staged WHERE reason IS NULL AND {part})"
            self._con.execute(
                f"""INSERT INTO duplicates
                SELECT digest, bit_or(mask), arg_min(row, ROW({values})), count(*){latest} FROM {staged}
                WHERE digest IN (SELECT digest FROM {staged} GROUP BY digest HAVING count(*) > 1) GROUP BY digest"""
            )

    def _slices(self) -> list[str]:
        """Conditions that cut all digests, in ascending order, into parts that joins and sorts hold in little memory.

        Digests are evenly spread. DuckDB's operators can spill, but a few at a time that each almost fit may fail.
        """
        ledger = self._one("SELECT count(*) FROM ledger")
        count = min(256, 1 + max(self._rows, ledger) // SLICE_ROWS)
        bounds = [bytes([256 * number // count]) for number in range(count)]
        lower = [f"digest >= {_blob(bound)}" for bound in bounds]
        upper = [f" AND digest < {_blob(bound)}" for bound in bounds[1:]] + [""]
        return [low + up for low, up in zip(lower, upper, strict=True)]

    def _verdicts_sql(self, part: str) -> str:
        """Each wanted contact of a slice with what is to be done: every column of `staged`, and op, payload, known."""
        replaced = "coalesce(d.mask, s.mask) AS mask"
        if self._opt_in:
            replaced += f", {_latest('status')} AS opt_status, {_latest('since')} AS opt_since"
        return f"""
            SELECT w.*, CASE WHEN h.digest IS NOT NULL THEN 'held'
                             WHEN r.digest IS NOT NULL THEN 'refused'
                             WHEN l.digest IS NULL THEN 'added'
                             WHEN l.state = 'confirmed' AND l.payload = w.payload AND NOT $everything THEN 'unchanged'
                             WHEN l.state <> 'confirmed' AND NOT l.known THEN 'added'
                             ELSE 'changed' END AS op,
                   l.digest IS NOT NULL AND (l.known OR l.state IN ('confirmed', 'in_doubt')) AS known
            FROM (SELECT s.* REPLACE ({replaced}),
                         {_keyed(self._canonical_sql("s", "coalesce(d.mask, s.mask)"))} AS payload
                  FROM (SELECT * FROM staged WHERE reason IS NULL AND {part}) s
                  LEFT JOIN (SELECT * FROM duplicates WHERE {part}) d USING (digest)
                  WHERE (d.row IS NULL OR d.row = s.row)
                    AND s.digest NOT IN (SELECT digest FROM suppressed)) w
            LEFT JOIN (SELECT * FROM ledger WHERE {part}) l USING (digest)
            LEFT JOIN (SELECT * FROM held WHERE {part}) h USING (digest)
            LEFT JOIN refused r ON r.digest = w.digest AND r.payload = w.payload"""

    def _verdict_values(self) -> dict[str, Any]:
        return self._keys | {"everything": self._everything}

    def _count(self) -> Comparison:
        bits = "".join(f", count(*) FILTER ({_bit('mask', position)})" for position in range(len(self._segments)))
        if self._opt_in:
            bits += "".join(f", count(*) FILTER (opt_status = '{status}')" for status in _DATED)
        counts: list[tuple[Any, ...]] = []
        for part in self._slices():
            sql = f"SELECT op, count(*){bits} FROM ({self._verdicts_sql(part)}) GROUP BY op"
            counts += self._con.execute(sql, self._verdict_values()).fetchall()
        ops = Counter[str]()
        for op, count, *_ in counts:
            ops[op] += count
        leavers = dict(self._con.execute("SELECT op, count(*) FROM leavers GROUP BY op").fetchall())
        reasons = dict(
            self._con.execute("SELECT reason, count(*) FROM staged WHERE reason IS NOT NULL GROUP BY reason").fetchall()
        )
        if suppressed := self._one("SELECT count(*) FROM staged WHERE digest IN (SELECT digest FROM suppressed)"):
            reasons[Reason.SUPPRESSED] = suppressed
        return Comparison(
            profiles=self._rows,
            wanted=sum(ops.values()),
            added=ops.get("added", 0),
            changed=ops.get("changed", 0),
            removed=leavers.get("removed", 0),
            unchanged=ops.get("unchanged", 0),
            kept=leavers.get("kept", 0),
            held=ops.get("held", 0) + leavers.get("held", 0),
            refused=ops.get("refused", 0) + leavers.get("refused", 0),
            rejected=reasons,
            duplicates=self._one("SELECT coalesce(sum(profiles - 1), 0) FROM duplicates"),
            cut=self._one("SELECT count(*) FROM staged WHERE cut"),
            unresolved_countries=self._one("SELECT count(*) FROM staged WHERE lost_country"),
            ledger=self._one("SELECT count(*) FROM ledger"),
            members={
                segment.name: sum(row[2 + position] for row in counts)
                for position, segment in enumerate(self._segments)
            },
            opt_ins=_opt_ins([row for row in counts if row[0] in ("added", "changed")]) if self._opt_in else {},
            opt_ins_unreadable=self._opt_ins_unreadable() if self._opt_in else {},
        )

    def _opt_ins_unreadable(self) -> dict[str, int]:
        sql = """SELECT opt_unreadable, count(*) FROM staged
            WHERE reason IS NULL AND opt_unreadable IS NOT NULL GROUP BY 1 ORDER BY 1"""
        return dict(self._con.execute(sql).fetchall())

    def outdated_refusals(self) -> list[bytes]:
        """Contacts that Omnisend refused once and that this difference no longer skips for it: changed, or gone."""
        if not self._one("SELECT count(*) FROM refused"):
            return []
        outdated: list[bytes] = []
        for part in self._slices():
            sql = f"""SELECT DISTINCT digest FROM refused WHERE {part}
                AND digest NOT IN (SELECT digest FROM ({self._verdicts_sql(part)}) WHERE op IN ('refused', 'held'))
                AND digest NOT IN (SELECT digest FROM leavers WHERE op <> 'removed')"""
            outdated += [digest for (digest,) in self._con.execute(sql, self._verdict_values()).fetchall()]
        return outdated

    # --- out

    def upserts(self, only: Sequence[bytes] | None = None) -> Iterator[pa.RecordBatch]:
        """Contacts to create or update, in digest order: digest, payload, op, known, email, body (JSON text).

        `only`: these contacts again, whatever they were.
        """
        which = "v.op IN ('added', 'changed')" if only is None else f"v.digest IN ({self._again(only)})"
        values = "".join(f", {column}" for column in [*self._columns(), *self._opt_columns()])
        known = "known" if only is None else "true"
        for part in self._slices():
            self._con.execute(
                f"""CREATE OR REPLACE TABLE outgoing AS
                SELECT digest, payload, op, known, mask, email, lost_country{values}
                FROM ({self._verdicts_sql(part)}) v WHERE {which} ORDER BY digest""",
                self._verdict_values(),
            )
            yield from self._stream(
                f"SELECT digest, payload, op, {known} AS known, email, {self._body_sql()} AS body FROM outgoing"
            )

    def removals(self, only: Sequence[bytes] | None = None) -> Iterator[pa.RecordBatch]:
        """Contacts to take out of the export's segments, in digest order: digest."""
        which = "op = 'removed'" if only is None else f"op = 'removed' AND digest IN ({self._again(only)})"
        yield from self._stream(f"SELECT digest FROM leavers WHERE {which} ORDER BY digest")

    def rejects(self) -> Iterator[pa.RecordBatch]:
        """Profiles that staging found unfit: customer_id, email (as far as there is one), reason."""
        yield from self._stream(
            f"""SELECT customer_id, coalesce(email, '') AS email, coalesce(reason, '{Reason.SUPPRESSED}') AS reason
            FROM staged WHERE reason IS NOT NULL OR digest IN (SELECT digest FROM suppressed) ORDER BY customer_id"""
        )

    def customers(self, digests: Sequence[bytes]) -> dict[bytes, str]:
        """The customer id behind each of these contacts; of several profiles, the one that was sent."""
        sql = f"SELECT digest, min(customer_id) FROM staged WHERE digest IN ({self._again(digests)}) GROUP BY digest"
        return dict(self._con.execute(sql).fetchall())

    def samples(self, most: int = 3) -> list[Sample]:
        """The first contacts to be sent, with their values by attribute label."""
        status = "opt_status" if self._opt_in else "NULL"
        columns = ", ".join(["customer_id", "op", "email", "mask", status, *self._columns()])
        rows: list[tuple[Any, ...]] = []
        for part in self._slices():
            sql = f"""SELECT {columns} FROM ({self._verdicts_sql(part)})
                WHERE op IN ('added', 'changed') ORDER BY digest LIMIT {int(most) - len(rows)}"""
            rows += self._con.execute(sql, self._verdict_values()).fetchall()
            if len(rows) >= most:
                break
        labels = [line.label for line in self._plan.attributes]
        return [
            Sample(
                customer_id=row[0],
                op=row[1],
                email=row[2],
                values={label: value for label, value in zip(labels, row[5:], strict=True) if value is not None},
                segments=[segment.name for bit, segment in enumerate(self._segments) if int(row[3]) >> bit & 1],
                opt_in=(row[4] or opt_in.Status.NON_SUBSCRIBED) if self._opt_in else "",
            )
            for row in rows
        ]

    def _stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        reader = self._con.cursor().sql(sql).to_arrow_reader(BATCH_ROWS)
        try:
            yield from reader
        finally:
            reader.close()

    def _again(self, digests: Sequence[bytes]) -> str:
        self._con.execute("CREATE OR REPLACE TABLE again (digest BLOB)")
        self._insert_digests("again", digests)
        return "SELECT digest FROM again"

    def _one(self, sql: str) -> int:
        return int(self._con.execute(sql).fetchall()[0][0])

    # --- SQL

    def _columns(self) -> list[str]:
        return [f"a{position}" for position in range(len(self._plan.attributes))]

    def _opt_columns(self) -> list[str]:
        return ["opt_status", "opt_since"] if self._opt_in else []

    def _create_tables(self) -> None:
        values = "".join(f", {column} VARCHAR" for column in self._columns())
        if self._opt_in:
            values += ", opt_status VARCHAR, opt_since BIGINT, opt_unreadable VARCHAR"
            self._con.execute(opt_in.MACROS)
        self._con.execute(
            f"""
            CREATE TABLE staged (row BIGINT, customer_id VARCHAR, email VARCHAR, digest BLOB, reason VARCHAR,
                                 mask UHUGEINT, cut BOOLEAN, lost_country BOOLEAN{values});
            CREATE TABLE ledger (digest BLOB, payload BLOB, state VARCHAR, known BOOLEAN);
            CREATE TABLE held (digest BLOB);
            CREATE TABLE suppressed (digest BLOB);
            CREATE TABLE refused (digest BLOB, payload BLOB);
            CREATE TABLE countries (folded VARCHAR, code VARCHAR);
            CREATE MACRO composed(v) AS nfc_normalize(replace(v, chr(0), ' '));  -- it ends a text at a NUL
            CREATE MACRO clean(v) AS nullif(trim(regexp_replace(composed(v), '{_CONTROLS}', ' ', 'g')), '');
            """
        )
        codes = countries.codes()
        self._con.register("incoming", pa.table({"folded": list(codes), "code": list(codes.values())}))
        self._con.execute("INSERT INTO countries SELECT folded, code FROM incoming")
        self._con.unregister("incoming")
        names = ", ".join(f"{literal(code)}: {literal(name)}" for code, name in countries.english_names().items())
        self._con.execute(f"CREATE MACRO english_name(code) AS (MAP {{{names}}})[code]")

    def _insert_sql(self) -> str:
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
            SELECT $first + n, customer_id, email, CASE WHEN reason IS NULL THEN {_keyed(_email_message("email"))} END,
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

    def _canonical_sql(self, table: str, mask: str) -> str:
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
            parts.append(f"CASE WHEN {_bit(mask, position)} THEN {true} ELSE '' END")
        if self._opt_in:
            status, since = _latest("status"), _latest("since")
            dated = f"{_RECORD} || {literal('optIn')} || {_UNIT} || {status} || {_UNIT} || {since}"
            parts.append(f"CASE WHEN {status} IS NOT NULL THEN {dated} ELSE '' END")
        return " || ".join(parts)

    def _body_sql(self) -> str:
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
            custom.append(f"{name} || CASE WHEN {_bit('mask', position)} THEN 'true' ELSE 'false' END")
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


_LEAVERS_SQL = """
INSERT INTO leavers
SELECT l.digest, CASE WHEN l.digest IN (SELECT digest FROM held) THEN 'held'
                      WHEN $leaver = 'kept' AND l.digest NOT IN (SELECT digest FROM suppressed) THEN 'kept'
                      WHEN l.digest IN (SELECT digest FROM refused WHERE payload = $removal) THEN 'refused'
                      ELSE 'removed' END AS op
FROM (SELECT digest FROM ledger WHERE {part}) l
WHERE l.digest NOT IN (SELECT digest FROM staged WHERE reason IS NULL AND {part})
   OR l.digest IN (SELECT digest FROM suppressed)
"""


_DATED = (opt_in.Status.SUBSCRIBED, opt_in.Status.UNSUBSCRIBED)


def _latest(part: str) -> str:
    """`status` or `since` of a contact's opt-in: of the duplicates (`d`) of a profile (`s`), if there are any."""
    return f"CASE WHEN d.row IS NULL THEN s.opt_{part} ELSE d.opt.{part} END"


def _opt_ins(counts: Sequence[tuple[Any, ...]]) -> dict[str, int]:
    """How many contacts go with which status. A row of `counts` has all of them second, each of `_DATED` at its end."""
    dated = {status.value: sum(row[n - len(_DATED)] for row in counts) for n, status in enumerate(_DATED)}
    return dated | {opt_in.Status.NON_SUBSCRIBED.value: sum(row[1] for row in counts) - sum(dated.values())}


def _keyed(message: str) -> str:
    """HMAC-SHA-256 of a text, cut like `DigestKey.of`, by the construction's two nested hashes."""
    return f"unhex(left(sha256($outer || unhex(sha256($inner || encode({message})))), {2 * DIGEST_BYTES}))"


def _email_message(email: str) -> str:
    return f"{literal('email')} || {_UNIT} || {email}"


def _blob(value: bytes) -> str:
    return "'" + "".join(f"\\x{byte:02X}" for byte in value) + "'::BLOB"


def _bit(mask: str, position: int) -> str:
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
