"""The source of the sandbox: a copy of a folder of tables, in which people join and leave while one looks on."""

import asyncio
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from bot.duck import identifier, literal
from bot.sandbox.room.bell import Bell
from bot.sandbox.room.source import KEPT_CHANGES, ChangeFailed, NoSuchChange, Offer
from bot.sources.base import CUSTOMER_ID, SourceError
from bot.sources.tables import TablesSource
from bot.sources.tables.data_out import AnyFolder
from bot.sources.tables.files import FileFault

PROFILES = ("profiles.parquet", "profiles.csv")
MISSING_AT_FIRST = 0.03  # part of the original's profiles that are there to join later
OFFERS = {
    one.name: one
    for one in (
        Offer("join", "Some join", "2 % more profiles come in", 0.02),
        Offer("leave", "Some leave", "2 % of the profiles go", 0.02),
        Offer("edit", "Some are edited", "5 % get another first name", 0.05),
        Offer("break", "Break some emails", "1 % get an address that is none", 0.01),
        Offer("exodus", "Most leave", "60 % go: far more than usual", 0.6),
        Offer("reset", "Start over", "The data as it was at first", 1),
    )
}


@dataclass(frozen=True, slots=True)
class Columns:
    """What the changes need to know of the profiles' columns."""

    email: str | None
    edited: str | None


class SourceData:
    """The folder `copy`, made from `original` where it is not there yet. The original is only read.

    The copy has the plain layout, whatever the original's is: one file of profiles, and one for each segment.
    """

    def __init__(self, original: Path, copy: Path) -> None:
        self.folder = copy
        self.bell = Bell()
        self._original = AnyFolder(original)
        self._busy = asyncio.Lock()
        self._told: dict[str, Any] | None = None
        self.changes: list[str] = []

    async def open(self) -> None:
        """Make the copy, unless an earlier sandbox left one. Raises `SourceError`."""
        if not any((self.folder / name).exists() for name in PROFILES):
            await TablesSource(self._original.path).check()
            with self._original.reading():
                await asyncio.to_thread(self._begin)

    async def describe(self) -> dict[str, Any]:
        """Profiles, each segment with its number of members (None where it can't be counted, with why), and changes."""
        async with self._busy:
            if self._told is None:
                try:
                    self._told = await self._count()
                except (SourceError, FileFault, OSError, duckdb.Error) as error:
                    problem = f"The copy of the data can't be read: {error} Start over makes it anew."
                    return {"profiles": None, "segments": [], "problem": problem, **self._beside()}
            return {**self._told, "problem": "", **self._beside()}

    def _beside(self) -> dict[str, Any]:
        return {"offers": [one.shown() for one in OFFERS.values()], "changes": self.changes}

    async def change(self, name: str) -> str:
        """Change the data; what happened, in words. Raises `NoSuchChange` or `ChangeFailed`."""
        if name not in OFFERS:
            raise NoSuchChange(f"There is no change {name!r}.")
        async with self._busy:
            try:
                words = await asyncio.to_thread(self._change, name)
            except (FileFault, OSError, duckdb.Error) as error:
                raise ChangeFailed(f"The data could not be changed: {error}") from error
            self._told = None
            self.changes = [*self.changes[1 - KEPT_CHANGES :], words]
        self.bell.ring()
        return words

    async def sign_in(self, code: str, person: str, action: str) -> None:
        raise ChangeFailed("Nobody signs in to a folder of tables.")

    # -- counting

    async def _count(self) -> dict[str, Any]:
        source = TablesSource(self.folder)
        segments = []
        for segment in await source.segments():
            try:
                members, problem = await source.count(segment.name), ""
            except SourceError as error:
                members, problem = None, str(error)
            segments.append({"name": segment.name, "members": members, "problem": problem})
        return {"profiles": await asyncio.to_thread(self._profiles), "segments": segments}

    def _profiles(self) -> int:
        with duckdb.connect(":memory:") as con:
            return _number(con, f"SELECT count(*) FROM {self._now}")

    # -- changing

    @property
    def _path(self) -> Path:
        """The copy's file of profiles."""
        return next((path for name in PROFILES if (path := self.folder / name).exists()), self.folder / PROFILES[0])

    @property
    def _now(self) -> str:
        """The profiles as they are, for use after FROM."""
        return AnyFolder(self.folder).profiles().relation

    def _begin(self) -> None:
        """Write the copy, in which a few of the original's profiles are missing, then put it in place of the last."""
        draft, last = (self.folder.with_name(f"{self.folder.name}.{name}") for name in ("draft", "last"))
        for left_over in (draft, last):
            shutil.rmtree(left_over, ignore_errors=True)
        self._write_copy(draft)
        if self.folder.exists():
            self.folder.rename(last)
        draft.rename(self.folder)
        shutil.rmtree(last, ignore_errors=True)

    def _write_copy(self, folder: Path) -> None:
        (folder / "segments").mkdir(parents=True)
        with duckdb.connect(":memory:") as con:
            for segment in self._original.segments().values():
                if segment.format == "sql":
                    original = self._original.inside(segment.path, segment.shown)
                    shutil.copy(original, folder / "segments" / f"{segment.segment}.sql")
                else:
                    ids = f'SELECT "{CUSTOMER_ID}" FROM {self._original.list_table(segment).relation}'
                    _write(con, ids, folder / "segments" / f"{segment.segment}.parquet")
            there = f"""hash("{CUSTOMER_ID}", 'later') % 1000 >= {int(MISSING_AT_FIRST * 1000)}"""
            _write(con, f"SELECT * FROM {self._original.profiles().relation} WHERE {there}", folder / PROFILES[0])

    def _change(self, name: str) -> str:
        if name == "reset":
            self._begin()
            return "The data is as it was at the beginning."
        with duckdb.connect(":memory:") as con:
            con.execute(f"CREATE TABLE now AS FROM {self._now}")
            con.execute(f"SELECT setseed({random.uniform(-1, 1)})")  # noqa: S311  which ones is left to chance
            words = self._alter(con, name)
            _write(con, "FROM now", self._path)
        return words

    def _alter(self, con: duckdb.DuckDBPyConnection, name: str) -> str:
        total = _number(con, "SELECT count(*) FROM now")
        some = min(total, max(1, round(total * OFFERS[name].share)))
        columns = _columns(con)
        chosen = f'"{CUSTOMER_ID}" IN (SELECT "{CUSTOMER_ID}" FROM now ORDER BY random() LIMIT {some})'
        match name:
            case "join":
                return self._let_join(con, max(1, some))
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

    def _let_join(self, con: duckdb.DuckDBPyConnection, some: int) -> str:
        there = f'SELECT "{CUSTOMER_ID}" FROM now WHERE "{CUSTOMER_ID}" IS NOT NULL'
        missing = f'FROM {self._original.profiles().relation} WHERE "{CUSTOMER_ID}" NOT IN ({there})'
        joined = min(some, _number(con, f"SELECT count(*) {missing}"))
        con.execute(f"INSERT INTO now BY NAME SELECT * {missing} ORDER BY random() LIMIT {some}")
        return f"{joined:,} profiles joined." if joined else "Nobody is left to join."


def _write(con: duckdb.DuckDBPyConnection, select: str, path: Path) -> None:
    """In one piece: whoever reads meanwhile has the file before."""
    draft = path.with_name(f".{path.name}.draft")
    options = "FORMAT csv, HEADER" if path.suffix == ".csv" else "FORMAT parquet"
    con.execute(f"COPY ({select}) TO {literal(str(draft))} ({options})")
    draft.rename(path)


def _number(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = con.execute(sql).fetchone()
    return int(row[0]) if row else 0


def _columns(con: duckdb.DuckDBPyConnection) -> Columns:
    """The column of email addresses, and the one whose values are edited: a first name, else any other text."""
    described = con.execute("DESCRIBE now").fetchall()
    texts = [str(name) for name, kind, *_ in described if kind == "VARCHAR" and name.casefold() != "customerid"]
    email = next((name for name in texts if "mail" in name.casefold()), None)
    others = [name for name in texts if name != email]
    edited = next((name for name in others if "first" in name.casefold()), others[0] if others else None)
    return Columns(email, edited)
