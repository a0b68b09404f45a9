"""The plain layout of the folder: which files hold the profiles, and which segments there are.

A source with another layout differs here, and only here: see `data_out.py`.
"""

import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bot.sources.base import Note, SegmentMissing, SourceUnreadable
from bot.sources.nearest import nearest
from bot.sources.tables.faults import SegmentAmbiguous
from bot.sources.tables.files import FileFault, Table, csv_table, parquet_table

SEGMENT_FORMATS: Mapping[str, Literal["sql", "csv", "parquet"]] = {
    ".sql": "sql",
    ".csv": "csv",
    ".parquet": "parquet",
}


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """What defines a segment: a file, or a folder that holds a table's files (data-out).

    `shown` is a file's name for people, such as `segments/VIP.sql`.
    """

    segment: str
    format: Literal["sql", "csv", "parquet", "table"]
    path: Path

    @property
    def shown(self) -> str:
        return f"segments/{self.path.name}"


class Folder:
    """A folder in the layout of this source. Its methods touch the disk and block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.label = path.name or path.resolve().name

    def profiles(self) -> Table:
        """The table of profiles. Raises `FileFault`."""
        if not self.path.is_dir():
            raise FileFault(self._absent())
        choices = [
            name for name in ("profiles.parquet", "profiles.csv", "profiles") if os.path.lexists(self.path / name)
        ]
        match choices:
            case ["profiles"]:
                files = {
                    f"profiles/{path.name}": self.inside(path, f"profiles/{path.name}")
                    for path in self._listed("profiles")
                    if path.suffix.lower() == ".parquet"
                }
                if not files:
                    raise FileFault("the folder profiles has no .parquet file in it")
                return parquet_table("profiles/*.parquet", files)
            case ["profiles.parquet" as name]:
                return parquet_table(name, {name: self.inside(self.path / name, name)})
            case ["profiles.csv" as name]:
                return csv_table(name, self.inside(self.path / name, name))
            case []:
                raise FileFault("there is no profiles.parquet, profiles.csv or folder profiles in it")
            case several:
                raise FileFault(f"there are both {several[0]} and {several[1]}; keep one of them")

    def segments(self) -> dict[str, SegmentFile]:
        """The segments by their normalised names, sorted. Raises `SegmentAmbiguous` or `FileFault`."""
        found: dict[str, SegmentFile] = {}
        for file in self._segment_files():
            other = found.setdefault(file.segment, file)
            if other is not file:
                raise SegmentAmbiguous(segment=file.segment, first=other.path.name, second=file.path.name)
        return dict(sorted(found.items(), key=lambda item: (item[0].casefold(), item[0])))

    def segment(self, name: str) -> SegmentFile:
        """The file of one segment. Raises `SegmentMissing`, `SegmentAmbiguous` or `FileFault`."""
        wanted = normalised(name)
        files = list(self._segment_files())
        matching = [file for file in files if file.segment == wanted]
        if not matching:
            near = nearest(wanted, {file.segment for file in files})
            raise SegmentMissing(segment=name, source=self.label, near=f" Did you mean *{near}*?" if near else "")
        if len(matching) > 1:
            first, second, *_ = matching
            raise SegmentAmbiguous(segment=name, first=first.path.name, second=second.path.name)
        return matching[0]

    def list_table(self, file: SegmentFile) -> Table:
        """The table of a segment that is a list of ids. Raises `FileFault`."""
        path = self.inside(file.path, file.shown)
        return csv_table(file.shown, path) if file.format == "csv" else parquet_table(file.shown, {file.shown: path})

    def notes(self, segments: Sequence[str]) -> list[Note]:
        """What people should know about the files that a reading of these segments is made from."""
        return []

    def inside(self, path: Path, shown: str) -> Path:
        """The real file behind a path. Raises `FileFault` unless it is a file inside of this folder.

        A link that leads out could put any file of the machine into an export, or into an error message.
        """
        try:
            real = path.resolve(strict=True)
            if not real.is_relative_to(self.path.resolve(strict=True)):
                raise FileFault(f"{shown} is a link that leads out of the folder")
            if not real.is_file():
                raise FileFault(f"{shown} is not a file")
        except OSError as error:
            raise FileFault(f"{shown} can't be opened ({error.strerror})") from None
        return real

    def unreadable(self, detail: str) -> SourceUnreadable:
        return SourceUnreadable(detail=detail, source=self.label)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what is wrong with a file into `SourceUnreadable`."""
        try:
            yield
        except FileFault as fault:
            raise self.unreadable(str(fault)) from None

    def _segment_files(self) -> Iterator[SegmentFile]:
        for path in self._listed("segments"):
            kind = SEGMENT_FORMATS.get(path.suffix.lower())
            if kind is not None:
                yield SegmentFile(normalised(path.name[: -len(path.suffix)]), kind, path)

    def _listed(self, name: str) -> list[Path]:
        """What is in a folder of this folder, without hidden files and names that are not text."""
        try:
            return sorted(path for path in (self.path / name).iterdir() if path.name[0] != "." and _is_text(path.name))
        except (FileNotFoundError, NotADirectoryError):
            there = self.path.is_dir()
            raise FileFault(f"there is no folder named {name} in it" if there else self._absent()) from None
        except OSError as error:
            raise FileFault(f"the folder {name} can't be opened ({error.strerror})") from None

    def _absent(self) -> str:
        return f"the folder {self.label} is not there"


def normalised(name: str) -> str:
    """A name as it is compared: macOS writes é as two characters into file names, people type one."""
    return unicodedata.normalize("NFC", name)


def _is_text(name: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in name)  # how Python shows bytes that are no UTF-8
