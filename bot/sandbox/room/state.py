"""The folder in which a sandbox keeps its state: one sandbox at a time, and none of an older version than the state."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import orjson

from bot.sandbox.room.errors import StateInUse, StateNewer, StateUnusable

FORMAT = 1  # rises when an older version could not read what a newer one kept
_FOLDERS = ("source", "made", "data", "kept")
_FILES = ("about.json", "bot.log", "token")


class StateFolder:
    """A state folder that is held: no other sandbox has it."""

    def __init__(self, path: Path, lock: IO[str]) -> None:
        self.path = path
        self._lock = lock

    def clear(self) -> None:
        """Forget what earlier sandboxes left: only what a sandbox puts there."""
        for name in _FOLDERS:
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in _FILES:
            (self.path / name).unlink(missing_ok=True)

    def check(self) -> None:
        """Raise `StateNewer` if a newer version has kept what is here."""
        kept = about(self.path).get("format", FORMAT)
        if not isinstance(kept, int) or kept > FORMAT:
            raise StateNewer(folder=self.path)

    def tell(self, address: str) -> None:
        """Leave word for whoever tries to start another sandbox here."""
        self._lock.seek(0)
        self._lock.truncate()
        self._lock.write(address)
        self._lock.flush()


@contextmanager
def held(path: Path) -> Iterator[StateFolder]:
    """Make the folder if need be, and hold it. Raises `StateInUse` or `StateUnusable`.

    Nobody else on this machine may look inside: it has messages, and a copy of the source.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (path / "lock").open("a+")
    except OSError as error:
        raise StateUnusable(folder=path, detail=error.strerror) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise StateInUse(folder=path, address=lock.read() or "it is just starting") from None
        yield StateFolder(path, lock)


def about(folder: Path) -> dict[str, Any]:
    """What the last sandbox wrote about its state: `format`, and which `source` the copy was made from."""
    path = folder / "about.json"
    if not path.exists():
        return {}
    try:
        said: dict[str, Any] = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        raise StateUnusable(folder=folder, detail="about.json is damaged") from None
    return said


def write_about(folder: Path, source: str) -> None:
    """Remember of what format this state is, and of which source."""
    draft = folder / "about.draft"
    draft.write_bytes(orjson.dumps({"format": FORMAT, "source": source}))
    draft.rename(folder / "about.json")
