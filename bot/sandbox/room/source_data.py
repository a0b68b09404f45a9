"""The source of the sandbox: a copy of a folder of tables, in which people join and leave while one looks on."""

import asyncio
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import duckdb

from bot.duck import identifier, literal
from bot.sandbox.evolving import EvolvingFolder
from bot.sandbox.room.bell import Bell
from bot.sources.base import SourceError
from bot.sources.tables import TablesSource

Change = Literal["join", "leave", "edit", "break", "exodus", "reset"]

SHARE = {"join": 0.02, "leave": 0.02, "edit": 0.05, "break": 0.01, "exodus": 0.6}
"""Part of all profiles that a change touches; at least one."""


class NoSuchChange(ValueError):
    """A change that is not offered."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What the changes need to know of the profiles' columns."""

    email: str | None
    edited: str | None


class SourceData:
    """The folder `copy`, made from `original` where it is not there yet. The original is only read."""

    def __init__(self, original: Path, copy: Path) -> None:
        self.folder = copy
        self.bell = Bell()
        self._original = original
        self._busy = asyncio.Lock()
        self._told: dict[str, Any] | None = None
        self.changes: list[str] = []

    async def open(self) -> None:
        """Make the copy, unless an earlier sandbox left one."""
        if not any(self.folder.glob("profiles*")):
            await asyncio.to_thread(self._begin)

    async def describe(self) -> dict[str, Any]:
        """Profiles, and each segment with the number of its members (None where it can't be counted, with why)."""
        async with self._busy:
            if self._told is None:
                self._told = await self._count()
            return {**self._told, "changes": self.changes}

    async def change(self, name: str) -> str:
        """Change the data; what happened, in words. Raises `NoSuchChange`."""
        if name not in get_args(Change):
            raise NoSuchChange(f"There is no change {name!r}.")
        async with self._busy:
            words = await asyncio.to_thread(self._change, name)
            self._told = None
            self.changes = [*self.changes[-9:], words]
        self.bell.ring()
        return words

    # -- counting

    async def _count(self) -> dict[str, Any]:
        source = TablesSource(self.folder)
        try:
            segments = []
            for segment in await source.segments():
                try:
                    members, problem = await source.count(segment.name), ""
                except SourceError as error:
                    members, problem = None, str(error)
                segments.append({"name": segment.name, "members": members, "problem": problem})
        finally:
            await source.close()
        return {"profiles": await asyncio.to_thread(self._profiles), "segments": segments}

    def _profiles(self) -> int:
        with duckdb.connect(":memory:") as con:
            row = con.execute(f"SELECT count(*) FROM {self._relation(self.folder)}").fetchone()
        return int(row[0]) if row else 0

    # -- changing

    def _begin(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        EvolvingFolder(self._original, self.folder).begin()

    def _change(self, name: str) -> str:
        if name == "reset":
            self._begin()
            return "The data is as it was at the beginning."
        with duckdb.connect(":memory:") as con:
            con.execute(f"CREATE TABLE now AS FROM {self._relation(self.folder)}")
            con.execute(f"SELECT setseed({random.uniform(-1, 1)})")  # noqa: S311  which ones is left to chance
            words = self._alter(con, name)
            self._write(con)
        return words

    def _alter(self, con: duckdb.DuckDBPyConnection, name: str) -> str:
        total = _number(con, "SELECT count(*) FROM now")
        some = max(1, round(total * SHARE[name]))
        columns = _columns(con)
        chosen = '"CustomerId" IN (SELECT "CustomerId" FROM now ORDER BY random() LIMIT ' + f"{some})"
        match name:
            case "join":
                missing = f"""FROM {self._relation(self._original)}
                              WHERE "CustomerId" NOT IN (SELECT "CustomerId" FROM now)"""
                joined = min(some, _number(con, f"SELECT count(*) {missing}"))
                con.execute(f"INSERT INTO now BY NAME SELECT * {missing} ORDER BY random() LIMIT {some}")
                return f"{joined:,} profiles joined." if joined else "Nobody is left to join."
            case "leave" | "exodus":
                con.execute(f"DELETE FROM now WHERE {chosen}")
                return f"{some:,} profiles left."
            case "edit" if columns.edited:
                field = identifier(columns.edited)
                changed = f"CASE WHEN {field} LIKE 'New %' THEN substr({field}, 5) ELSE 'New ' || {field} END"
                con.execute(f"UPDATE now SET {field} = {changed} WHERE {chosen}")
                return f"{some:,} profiles have another {columns.edited}."
            case "break" if columns.email:
                field = identifier(columns.email)
                con.execute(f"UPDATE now SET {field} = replace({field}, '@', ' at ') WHERE {chosen}")
                return f"{some:,} email addresses are broken."
        return "There is no column that this could change."

    def _write(self, con: duckdb.DuckDBPyConnection) -> None:
        path = _single(self.folder)
        draft = self.folder / ".draft"
        options = "FORMAT csv, HEADER" if path.suffix == ".csv" else "FORMAT parquet"
        con.execute(f"COPY now TO {literal(str(draft))} ({options})")
        draft.rename(path)

    @staticmethod
    def _relation(folder: Path) -> str:
        single = [path for path in (folder / "profiles.parquet", folder / "profiles.csv") if path.exists()]
        names = ", ".join(literal(str(path)) for path in single or sorted((folder / "profiles").glob("*.parquet")))
        is_csv = bool(single) and single[0].suffix == ".csv"
        return f"read_csv([{names}], all_varchar = true)" if is_csv else f"read_parquet([{names}])"


def _single(folder: Path) -> Path:
    """The one file of profiles, as the copy has it."""
    return next(path for path in (folder / "profiles.parquet", folder / "profiles.csv") if path.exists())


def _number(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = con.execute(sql).fetchone()
    return int(row[0]) if row else 0


def _columns(con: duckdb.DuckDBPyConnection) -> Columns:
    """The column of email addresses, and the one whose values are edited: a first name, else any other text."""
    described = con.execute("DESCRIBE now").fetchall()
    texts = [str(name) for name, kind, *_ in described if kind == "VARCHAR" and name != "CustomerId"]
    email = next((name for name in texts if "mail" in name.casefold()), None)
    others = [name for name in texts if name != email]
    edited = next((name for name in others if "first" in name.casefold()), others[0] if others else None)
    return Columns(email, edited)
