"""The layout that data-out exports of Customer Insights write (Customer Insights docs, Export to Azure Blob Storage).

    FOLDER/model.json
    FOLDER/TABLE/yyyy/MM/dd/HHmm/TABLE_PARTITION.csv

`model.json` names the tables, their columns, and the partitions of their last export. Each export of a table is a
folder named by its time, and holds the whole table. One table holds the profiles; every other one with a CustomerId is
a segment: its output table. Segments may also be added as plain files, in a folder `segments`.

Nothing is read by halves: with an export that is still being written, or copied, people would seem to have left.
"""

import csv
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from bot.sources.base import CUSTOMER_ID, Note
from bot.sources.tables.files import FileFault, Table, csv_relation, first_line, parquet_table
from bot.sources.tables.folder import Folder, SegmentFile, normalised
from bot.sources.tables.model_json import MODEL, Entity, Format, read_model
from storage.errors import mark

PROFILES = "Customer"  # the table of unified profiles; without one of this name, the only one with a CustomerId

_PASSED_OVER = mark(
    "The table {table} was read as exported at {time}: the newer export {newest} is not complete ({cause})."
)

_TIME = re.compile(r"\d{4}/\d\d/\d\d/\d{4}", re.ASCII)
_LOCATION = re.compile(rf"(?:.*/)?(?P<table>[^/]+)/(?P<time>{_TIME.pattern})/(?P<file>[^/]+)", re.ASCII)


class AnyFolder(Folder):
    """A folder in either layout: one with a `model.json` is data-out's, any other is a plain one.

    Which of them it has is looked up each time, since the first export may arrive after the bot has started.
    """

    def __init__(self, path: Path, *, profiles: str = PROFILES) -> None:
        """`profiles`: the name of data-out's table of unified profiles."""
        super().__init__(path)
        self._profiles = profiles

    def profiles(self) -> Table:
        tables = self._tables()
        if tables is not None:
            return self._read(self._profile_table(tables))
        if (below := self._export_below()) is not None:
            raise FileFault(
                f"it has no tables itself, but the folder {below} in it is a data-out export: name that one"
            )
        return super().profiles()

    def list_table(self, file: SegmentFile) -> Table:
        return self._read(self._segment_table(file)) if file.format == "table" else super().list_table(file)

    def notes(self, segments: Sequence[str]) -> list[Note]:
        tables = self._tables()
        if tables is None:
            return super().notes(segments)
        files = [file for file in map(self.segment, segments) if file.format == "table"]
        read = [self._profile_table(tables), *map(self._segment_table, files)]
        return [note for table in read if (note := newest_complete(self.path, table).note)]

    def _segment_files(self) -> Iterator[SegmentFile]:
        tables = self._tables()
        if tables is None:
            yield from super()._segment_files()
            return
        profiles = self._profile_table(tables)
        for table in tables.values():
            if table.has_customer_id and table is not profiles:
                yield SegmentFile(normalised(table.name), "table", self.path / table.name)
        if (self.path / "segments").is_dir():
            yield from super()._segment_files()

    def _tables(self) -> Mapping[str, Entity] | None:
        """What `model.json` says; None where there is none. Raises `FileFault`."""
        if not os.path.lexists(self.path / MODEL):
            return None
        for plain in ("profiles.parquet", "profiles.csv"):
            if os.path.lexists(self.path / plain):
                raise FileFault(f"there are both {MODEL} and {plain}; keep one of them")
        return read_model(self.inside(self.path / MODEL, MODEL))

    def _export_below(self) -> str | None:
        """The first folder in this one that is an export, where somebody named the storage container instead of it."""
        if any(os.path.lexists(self.path / name) for name in ("profiles", "profiles.parquet", "profiles.csv")):
            return None
        return next((path.parent.name for path in sorted(self.path.glob(f"*/{MODEL}"))), None)

    def _profile_table(self, tables: Mapping[str, Entity]) -> Entity:
        candidates = [table for table in tables.values() if table.has_customer_id]
        named = [table for table in candidates if table.name.casefold() == self._profiles.casefold()]
        match named or candidates:
            case [only]:
                return only
            case []:
                raise FileFault(f"no table in {MODEL} has a column named {CUSTOMER_ID}")
            case several:
                names = ", ".join(table.name for table in several[:10])
                raise FileFault(f"{MODEL} has no table named {self._profiles}, and any of {names} may be the profiles")

    def _segment_table(self, file: SegmentFile) -> Entity:
        table = (self._tables() or {}).get(file.path.name)
        if table is None:
            raise FileFault(f"{MODEL} has no table named {file.path.name} any more")
        return table

    def _read(self, entity: Entity) -> Table:
        """The newest complete export of a table. Raises `FileFault`."""
        snapshot = newest_complete(self.path, entity)
        place = f"{entity.name}/{snapshot.time}"
        files = {f"{place}/{name}": self.inside(self.path / place / name, f"{place}/{name}") for name in snapshot.files}
        match {Path(name).suffix.lower() for name in snapshot.files}:
            case kinds if kinds == {".csv"}:
                return _csv_partitions(place, files, entity)
            case kinds if kinds == {".parquet"}:
                return parquet_table(place, files)
            case _:
                raise FileFault(f"{place} has neither CSV files only nor Parquet files only")


# --- which files are read


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One export of a table: the time that names its folder, and the names of its files.

    `note`: which newer one was passed over, and why.
    """

    time: str
    files: list[str]
    note: Note | None = None


def newest_complete(root: Path, entity: Entity) -> Snapshot:
    """The newest export of a table whose files are surely all there. Raises `FileFault`.

    `model.json` lists the partitions of the last export that was finished, so that anything newer is being written. Of
    older exports it says nothing. These count as complete if their partitions are numbered without a gap and are no
    fewer than those listed now.
    """
    listed = _listed(entity)
    passed_over: list[tuple[str, str]] = []
    for time in sorted(_times(root / entity.name) | listed.keys(), reverse=True):
        folder = root / entity.name / time
        files = listed.get(time) or _files(folder, f"{entity.name}/{time}")
        cause = _incomplete(folder, time, files, listed)
        if cause is None:
            return Snapshot(time, files, _note(entity, time, *passed_over[0]) if passed_over else None)
        passed_over.append((time, cause))
    newest, cause = passed_over[0]
    raise FileFault(f"there is no complete export of the table {entity.name} ({entity.name}/{newest}: {cause})")


def _note(entity: Entity, time: str, newest: str, cause: str) -> Note:
    return Note(_PASSED_OVER, table=entity.name, time=time, newest=newest, cause=cause)


def _incomplete(folder: Path, time: str, files: Sequence[str], listed: Mapping[str, Sequence[str]]) -> str | None:
    """What keeps an export from being complete; None if nothing does."""
    last = max(listed)
    if time > last:
        return f"{MODEL} does not list it yet"
    if time in listed:
        return next((f"{name} is missing" for name in files if not (folder / name).is_file()), None)
    return None if _is_gapless(files, len(listed[last])) else "partitions seem to be missing"


def _listed(entity: Entity) -> dict[str, list[str]]:
    """The names of the files that `model.json` lists for a table, by the time that names their folder."""
    listed: dict[str, list[str]] = {}
    for partition in entity.partitions:
        path = unquote(partition.location.partition("?")[0])
        match = _LOCATION.fullmatch(path)
        if match is None or match["table"] != entity.name:
            raise FileFault(f"{MODEL} lists a partition of {entity.name} that is not in {entity.name}/yyyy/MM/dd/HHmm")
        listed.setdefault(match["time"], []).append(match["file"])
    if not listed:
        raise FileFault(f"{MODEL} lists no partitions of {entity.name}, so nobody can tell whether all are there")
    return listed


def _times(folder: Path) -> set[str]:
    found = (path for path in folder.glob("*/*/*/*") if path.is_dir())
    return {time for path in found if _TIME.fullmatch(time := path.relative_to(folder).as_posix())}


def _files(folder: Path, shown: str) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if path.suffix.lower() in (".csv", ".parquet"))
    except OSError as error:
        raise FileFault(f"the folder {shown} can't be opened ({error.strerror})") from None


def _is_gapless(files: Sequence[str], fewest: int) -> bool:
    """Whether the names end in `_0`, `_1` and so on (or begin with `_1`), and are at least so many."""
    endings = [Path(name).stem.rpartition("_")[2] for name in files]
    numbers = sorted(int(ending) for ending in endings if re.fullmatch(r"\d{1,9}", ending, re.ASCII))
    return len(files) >= fewest and numbers in (list(range(len(files))), list(range(1, len(files) + 1)))


# --- CSV as the Common Data Model has it


def _csv_partitions(name: str, files: Mapping[str, Path], entity: Entity) -> Table:
    """CSV files as one table of text, with the columns that `model.json` names. Raises `FileFault`."""
    columns = entity.columns
    if len({column.casefold() for column in columns}) < len(columns):
        raise FileFault(f"{MODEL} names two columns of {entity.name} alike")
    style = entity.partitions[0].format
    header = _have_header(files, columns, style)
    return Table(name, files, csv_relation(files.values(), columns, delimiter=style.delimiter, header=header))


def _have_header(files: Mapping[str, Path], columns: Sequence[str], style: Format) -> bool:
    """Whether the files begin with a header, by what stands there: a row that is taken for one would be lost.

    Raises `FileFault` where a header is missing. Files without any row may have one or not.
    """
    lines = {name: line for name, path in files.items() if (line := first_line(name, path))}
    headers = {name: _is_header(line, columns, style.delimiter) for name, line in lines.items()}
    expected = style.header or any(headers.values())
    for name, there in headers.items():
        if expected and not there:
            raise FileFault(f"{name} does not begin with a header of its columns, though {MODEL} or other files do")
    return any(headers.values())


def _is_header(line: str, columns: Sequence[str], delimiter: str) -> bool:
    try:
        words = next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error:  # a value with a line break in it
        return False
    return [word.casefold() for word in words] == [column.casefold() for column in columns]
