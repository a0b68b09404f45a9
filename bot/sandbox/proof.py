"""The proof of a demo: is what stands in Omnisend exactly what the source says? By queries of its own.

Nothing of the pipeline is used here, or the proof would prove nothing: the rules are written down a second time.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from bot.duck import identifier, literal

_LOCAL = r"[\w!#$%&'*+/=?^`{|}~-]+"
_LABEL = r"[^\W_]([\w-]*[^\W_])?"
_ADDRESS = re.compile(rf"{_LOCAL}(\.{_LOCAL})*@({_LABEL}\.)+[^\W\d_]([\w-]*[^\W_])")
COMPARED = ("firstName", "lastName", "address", "city", "state", "postalCode")
DIRECTIONS = set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")  # and the byte order mark
LONGEST = {"address": 1_000}
USUAL_LONGEST = 255


@dataclass(slots=True)
class Verdict:
    """How many contacts stand as they should, and which differ (by customer id, never by address)."""

    segment: str
    expected: int
    found: int
    wrong: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.wrong and self.expected == self.found

    def as_json(self) -> dict[str, Any]:
        return {"name": self.segment, "expected": self.expected, "found": self.found, "ok": self.holds}


def prove(
    folder: Path, segment: str, property_name: str, mapping: Mapping[str, str], contacts: list[dict[str, Any]]
) -> Verdict:
    """Compare one segment with the contacts whose property is true.

    `mapping`: attribute → profile field, `email` among them. `contacts`: as Omnisend stores them.
    """
    everyone = set().union(*(_members(folder, name) for name in segment_names(folder)))
    wanted = wanted_contacts(_rows(folder, mapping), _members(folder, segment), everyone)
    return compare(segment, property_name, wanted, contacts)


def compare(
    segment: str, property_name: str, wanted: Mapping[str, tuple[str, dict[str, str]]], contacts: list[dict[str, Any]]
) -> Verdict:
    """Compare the contacts whose property is true with those wanted: email → customer id and values."""
    found = {
        contact["email"]: contact
        for contact in contacts
        if (contact.get("customProperties") or {}).get(property_name) is True
    }
    verdict = Verdict(segment, expected=len(wanted), found=len(found))
    for email, (customer, values) in wanted.items():
        stored = found.get(email)
        if stored is None:
            verdict.wrong.append(f"{customer} is missing")
        elif odd := [name for name, value in values.items() if stored.get(name) != value]:
            verdict.wrong.append(f"{customer} has another {', '.join(odd)}")
    verdict.wrong += [f"a contact too many ({len(found.keys() - wanted.keys())})"] * bool(found.keys() - wanted.keys())
    return verdict


def wanted_contacts(
    rows: Mapping[str, Mapping[str, str | None]], members: set[str], everyone: set[str]
) -> dict[str, tuple[str, dict[str, str]]]:
    """Email → customer id and values, of the members of a segment. Of several profiles the first customer id wins.

    `rows`: customer id → attribute → value. `everyone`: the members of all segments.

    The values of the winner count among all profiles that any segment exports; here every segment is exported.
    """
    winners: dict[str, tuple[str, dict[str, str]]] = {}
    reached: set[str] = set()
    for customer, fields in sorted(rows.items()):
        email = _clean(fields.get("email")).lower()
        if customer in everyone and len(email) <= 254 and _ADDRESS.fullmatch(email):
            winners.setdefault(email, (customer, _values(fields)))
            if customer in members:
                reached.add(email)
    return {email: winners[email] for email in reached}


def segment_names(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "segments").iterdir() if not path.name.startswith("."))


def _values(fields: Mapping[str, str | None]) -> dict[str, str]:
    clean = {name: _clean(fields.get(name)) for name in COMPARED}
    return {name: value[: LONGEST.get(name, USUAL_LONGEST)] for name, value in clean.items() if value}


def _clean(text: str | None) -> str:
    """Composed (NFC); runs of blanks, controls and marks that turn the writing direction are one blank."""
    composed = unicodedata.normalize("NFC", text or "")
    return " ".join("".join(" " if _is_blank(letter) else letter for letter in composed).split())


def _is_blank(letter: str) -> bool:
    return letter.isspace() or unicodedata.category(letter) == "Cc" or letter in DIRECTIONS


def _rows(folder: Path, mapping: Mapping[str, str]) -> dict[str, dict[str, str | None]]:
    columns = ", ".join(f"CAST({identifier(name)} AS VARCHAR)" for name in mapping.values())
    with duckdb.connect(":memory:") as con:
        rows = con.execute(f'SELECT "CustomerId", {columns} FROM {_profiles(folder)}').fetchall()
    return {row[0]: dict(zip(mapping, row[1:], strict=True)) for row in rows}


def _members(folder: Path, segment: str) -> set[str]:
    with duckdb.connect(":memory:") as con:
        con.execute(f"CREATE VIEW profiles AS FROM {_profiles(folder)}")
        path = next(path for path in (folder / "segments").iterdir() if path.stem == segment)
        if path.suffix == ".sql":
            ids = f"SELECT CustomerId FROM ({path.read_text().strip().rstrip(';')})"
        else:
            reader = "read_csv" if path.suffix == ".csv" else "read_parquet"
            ids = f"SELECT CustomerId FROM {reader}({literal(str(path))})"
        return {row[0] for row in con.execute(ids).fetchall()}


def _profiles(folder: Path) -> str:
    csv = folder / "profiles.csv"
    if csv.exists():
        return f"read_csv({literal(str(csv))}, all_varchar = true)"
    return f"read_parquet({literal(str(folder / 'profiles.parquet'))})"
