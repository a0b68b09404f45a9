"""DuckDB for private data: connections that leave nothing readable behind, and the folders that they may spill into."""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from storage.database import usable

DuckDBConnection = duckdb.DuckDBPyConnection

_NAME = re.compile(r"\d+-\w+")  # of a spill folder: process id (for people who look), random letters


def connect(*, memory_mb: int, spill: Path | None, threads: int = 2) -> DuckDBConnection:
    """An in-memory database that may use `memory_mb` megabytes.

    With `spill`, what does not fit goes encrypted into that folder (see `SpillFolders`); without, the query fails with
    `duckdb.OutOfMemoryException`. SQL can't see Python variables, extensions are neither fetched nor loaded, times are
    reckoned in UTC, and rows come in no particular order unless the query orders them.

    The encryption keeps out whoever searches a disk. It is no match for a cryptographer: the wheel has only DuckDB's
    built-in cipher module, whose random numbers are weak ("unsafe" is its own word for it).
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_mb}MB",
        "threads": threads,
        "temp_directory": "",
        "python_enable_replacements": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "preserve_insertion_order": False,  # ordered streaming holds rows back
    }
    if spill is not None:
        # Without the first, the second is accepted and then fails at the first spill, in the middle of a run.
        config |= {"force_mbedtls_unsafe": "true", "temp_file_encryption": True, "temp_directory": str(spill)}
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET enable_progress_bar = false")
    if spill is not None:
        # A join or sort that would just about fit fails instead of spilling, unless it has to leave room to others.
        connection.execute(f"SET operator_memory_limit = '{memory_mb // 4}MB'")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET disable_parquet_prefetching = true")  # it holds whole row groups, and files here are local
    return connection


def identifier(name: str) -> str:
    """A name quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string quoted for SQL, for the places that take no bound parameter."""
    return "'" + text.replace("'", "''") + "'"


class SpillFolders:
    """Folders that DuckDB may spill into: private, one a connection, gone when their user is.

    Spill files outlive a killed process. So each folder is locked by the process that uses it, the system drops the
    lock when that process ends in whatever way, and `sweep` deletes every folder that nobody holds. (A process id
    with its start time would not do: the start time moves when the clock is set.)
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def open(self) -> Iterator[Path]:
        """A fresh folder with mode 0700, deleted on leaving. Raises `DiskFull` or `FolderUnusable`."""
        with usable(self._root):
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder, lock = self._create()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)

    def sweep(self) -> int:
        """Delete the folders of processes that no longer live; how many there were. Called when a program starts."""
        if not self._root.is_dir():
            return 0
        ours = [entry for entry in self._root.iterdir() if _NAME.fullmatch(entry.name) and not entry.is_symlink()]
        return sum(_delete_unless_held(folder) for folder in ours)

    def _create(self) -> tuple[Path, int]:
        while True:
            folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=self._root))
            with suppress(FileNotFoundError, BlockingIOError):  # a sweep came between: take another
                lock = _lock(folder)
                if folder.exists():
                    return folder, lock
                os.close(lock)


def _delete_unless_held(folder: Path) -> bool:
    try:
        lock = _lock(folder)
    except (FileNotFoundError, BlockingIOError):
        return False
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)
    return True


def _lock(folder: Path) -> int:
    """Lock the folder until the descriptor is closed; BlockingIOError if another holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
