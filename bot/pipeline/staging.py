"""Staging: from profiles to changes, in DuckDB.

Profiles stream in as Arrow and are projected, normalised and validated by SQL (`projection`); duplicates of one email
are folded; each contact gets the keyed digest of its email and of its payload; the ledger joins in; what remains is the
difference. No row passes through Python. All methods block: call them in a worker thread, one at a time.

Digests cover canonical values and a format version, never the JSON that is sent. Only true memberships count in them:
a contact that is in none of the new segments need not be sent again, and one that loses a segment does.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from bot.duck import DuckDBConnection
from bot.pipeline import opt_in
from bot.pipeline.mapping import Plan
from bot.pipeline.projection import DATED, FORMAT, Projection, Reason, Selected, bit, keyed, latest_opt_in
from storage.ledger import UNLIKE_ANYTHING
from storage.models import now
from storage.secrets import DigestKey

__all__ = ["MAX_SEGMENTS", "Comparison", "Reason", "Sample", "Selected", "Staging"]

BATCH_ROWS = 5_000  # contacts handed out at once: a claim group
SLICE_ROWS = 300_000  # profiles or ledger entries joined and sorted at once
MAX_SEGMENTS = 100  # of one export: a membership is a bit of 128


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
        self._segments = tuple(segments)
        self._dropping = tuple(dropping)
        self._keep_leavers = keep_leavers
        self._key = key
        self._keys = {"inner": key.inner, "outer": key.outer}
        self._sql = Projection(plan, segments, dropping, int((at or now()).timestamp() * 1_000))
        self._rows = 0
        self._everything = False
        self.removal_payload = key.of(
            "\x1f".join([FORMAT, "removed", *sorted(self.properties)]).encode()
        )  # the payload digest of every removal of this run
        connection.execute("SET preserve_insertion_order = true")  # changes are kept, and go out, in digest order
        self._sql.prepare(connection)
        connection.execute(
            """
            CREATE TABLE ledger (digest BLOB, payload BLOB, state VARCHAR, known BOOLEAN);
            CREATE TABLE held (digest BLOB);
            CREATE TABLE suppressed (digest BLOB);
            CREATE TABLE refused (digest BLOB, payload BLOB);
            """
        )

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
        self._sql.learn(batch.schema)
        self._con.register("incoming", batch)
        try:
            self._con.execute(self._sql.insert_sql(), self._keys | {"first": self._rows})
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
        values = ", ".join(["customer_id", *self._sql.columns])
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
            replaced += f", {latest_opt_in('status')} AS opt_status, {latest_opt_in('since')} AS opt_since"
        return f"""
            SELECT w.*, CASE WHEN h.digest IS NOT NULL THEN 'held'
                             WHEN r.digest IS NOT NULL THEN 'refused'
                             WHEN l.digest IS NULL THEN 'added'
                             WHEN l.state = 'confirmed' AND l.payload = w.payload AND NOT $everything THEN 'unchanged'
                             WHEN NOT l.known AND (l.state <> 'confirmed' OR l.payload = $unlike) THEN 'added'
                             ELSE 'changed' END AS op,
                   l.digest IS NOT NULL AND (l.known OR l.state IN ('confirmed', 'in_doubt')) AS known
            FROM (SELECT s.* REPLACE ({replaced}),
                         {keyed(self._sql.canonical_sql("s", "coalesce(d.mask, s.mask)"))} AS payload
                  FROM (SELECT * FROM staged WHERE reason IS NULL AND {part}) s
                  LEFT JOIN (SELECT * FROM duplicates WHERE {part}) d USING (digest)
                  WHERE (d.row IS NULL OR d.row = s.row)
                    AND s.digest NOT IN (SELECT digest FROM suppressed)) w
            LEFT JOIN (SELECT * FROM ledger WHERE {part}) l USING (digest)
            LEFT JOIN (SELECT * FROM held WHERE {part}) h USING (digest)
            LEFT JOIN refused r ON r.digest = w.digest AND r.payload = w.payload"""

    def _verdict_values(self) -> dict[str, Any]:
        return self._keys | {"everything": self._everything, "unlike": UNLIKE_ANYTHING}

    def _count(self) -> Comparison:
        bits = "".join(f", count(*) FILTER ({bit('mask', position)})" for position in range(len(self._segments)))
        if self._opt_in:
            bits += "".join(f", count(*) FILTER (opt_status = '{status}')" for status in DATED)
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
        values = "".join(f", {column}" for column in self._sql.kept)
        known = "known" if only is None else "true"
        for part in self._slices():
            self._con.execute(
                f"""CREATE OR REPLACE TABLE outgoing AS
                SELECT digest, payload, op, known, mask, email, lost_country{values}
                FROM ({self._verdicts_sql(part)}) v WHERE {which} ORDER BY digest""",
                self._verdict_values(),
            )
            yield from self._stream(
                f"SELECT digest, payload, op, {known} AS known, email, {self._sql.body_sql()} AS body FROM outgoing"
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
        columns = ", ".join(["customer_id", "op", "email", "mask", status, *self._sql.columns])
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


def _opt_ins(counts: Sequence[tuple[Any, ...]]) -> dict[str, int]:
    """How many contacts go with which status. A row of `counts` has all of them second, each of `DATED` at its end."""
    dated = {status.value: sum(row[n - len(DATED)] for row in counts) for n, status in enumerate(DATED)}
    return dated | {opt_in.Status.NON_SUBSCRIBED.value: sum(row[1] for row in counts) - sum(dated.values())}


def _blob(value: bytes) -> str:
    return "'" + "".join(f"\\x{byte:02X}" for byte in value) + "'::BLOB"
