"""A source whose data changes between two runs, made from any folder of tables: some join, some leave, some change."""

import shutil
from pathlib import Path

import duckdb

from bot.duck import identifier, literal

JOIN = 0.03  # share of the profiles that are not there at first
LEAVE = 0.04  # share that is gone later
CHANGE = 0.06  # share whose value changes later


class EvolvingFolder:
    """A copy of a folder of tables, in two states. The original is only read."""

    def __init__(self, original: Path, copy: Path) -> None:
        self._copy = copy
        single = next(
            (path for path in (original / "profiles.parquet", original / "profiles.csv") if path.exists()), None
        )
        files = [single] if single else sorted((original / "profiles").glob("*.parquet"))
        self._is_csv = files[0].suffix == ".csv"
        names = ", ".join(literal(str(file)) for file in files)
        self._read = f"read_csv([{names}], all_varchar = true)" if self._is_csv else f"read_parquet([{names}])"
        copy.mkdir(parents=True, exist_ok=True)
        shutil.copytree(original / "segments", copy / "segments", dirs_exist_ok=True)

    def begin(self) -> None:
        """The first state: a few are not there yet."""
        self._write(f"SELECT * FROM {self._read} WHERE NOT {_among('join', JOIN)}")

    def change(self, field: str) -> None:
        """The second state: those few have joined, others have left, and `field` has changed for some."""
        name = identifier(field)
        changed = f"CASE WHEN {_among('change', CHANGE)} THEN 'Changed ' || {name} ELSE {name} END AS {name}"
        self._write(f"SELECT * REPLACE ({changed}) FROM {self._read} WHERE NOT {_among('leave', LEAVE)}")

    def _write(self, select: str) -> None:
        ending, options = (".csv", "FORMAT csv, HEADER") if self._is_csv else (".parquet", "FORMAT parquet")
        draft = self._copy / ".draft"
        with duckdb.connect(":memory:") as con:
            con.execute(f"COPY ({select}) TO {literal(str(draft))} ({options})")
        draft.rename(self._copy / f"profiles{ending}")


def _among(what: str, share: float) -> str:
    """Whether a profile is among the chosen share: the same ones every time."""
    return f"""hash("CustomerId", {literal(what)}) % 1000 < {int(share * 1000)}"""
