"""Files that make one table, and how DuckDB reads them."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.duck import literal

HEADER_BYTES = 1 << 20  # no honest header line is longer
DELIMITERS = ",;\t|"
CSV_BUFFER_BYTES = 8_000_000  # a thread; DuckDB's own choice of 32 MB does not fit beside anything else


class FileFault(Exception):
    """Something is wrong with a file. Its text names the file as people know it, without any of its content."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table made of files: `files` by the names that people know them by, `relation` for use after SQL's FROM."""

    name: str
    files: Mapping[str, Path]
    relation: str

    @property
    def paths(self) -> list[str]:
        return [str(path) for path in self.files.values()]


def parquet_table(name: str, files: Mapping[str, Path]) -> Table:
    """Parquet files as one table: columns are matched by name, those missing from a file are empty there."""
    paths = ", ".join(literal(str(path)) for path in files.values())
    return Table(name, files, f"read_parquet([{paths}], union_by_name = true, hive_partitioning = false)")


def csv_table(name: str, path: Path) -> Table:
    """A CSV file as a table of text columns. Raises `FileFault` if its header can't be read."""
    delimiter, columns = _read_header(name, path)
    return Table(name, {name: path}, csv_relation([path], columns, delimiter=delimiter, header=True))


def csv_relation(paths: Iterable[Path], columns: Iterable[str], *, delimiter: str, header: bool) -> str:
    """SQL that reads CSV files of the same columns, all of them text, for use after FROM.

    Nothing is guessed: a guess from the first rows would turn the postal code 01067 into 1067, or lose a header that
    looks like data.
    """
    files = ", ".join(literal(str(path)) for path in paths)
    types = ", ".join(f"{literal(column)}: 'VARCHAR'" for column in columns)
    options = (
        f"auto_detect = false, header = {str(header).lower()}, quote = '\"', escape = '\"', hive_partitioning = false, "
        f"delim = {literal(delimiter)}, columns = {{{types}}}, buffer_size = {CSV_BUFFER_BYTES}"
    )
    return f"read_csv([{files}], {options})"


def first_line(name: str, path: Path) -> str:
    """The first line of a text file, without byte order mark and line end. Raises `FileFault`."""
    try:
        with path.open("rb") as file:
            return file.readline(HEADER_BYTES).decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise FileFault(f"{name} is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise FileFault(f"{name} can't be opened ({error.strerror})") from None


def _read_header(name: str, path: Path) -> tuple[str, list[str]]:
    """The delimiter, the only thing that is guessed, and the column names."""
    line = first_line(name, path)
    if not line.strip():
        raise FileFault(f"{name} is empty or begins with an empty line")
    delimiter = max(DELIMITERS, key=line.count)
    try:
        columns = next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error:
        raise FileFault(f"the header of {name} is not valid CSV") from None
    return delimiter, _distinct(name, columns)


def _distinct(name: str, columns: Sequence[str]) -> list[str]:
    """The names, with one made up for each that is empty (a delimiter at the line's end makes such a column)."""
    named = [column.strip() or f"column{number}" for number, column in enumerate(columns, 1)]
    seen: set[str] = set()
    for column in named:
        if column.casefold() in seen:
            raise FileFault(f"{name} has two columns named {column}")
        seen.add(column.casefold())
    return named
