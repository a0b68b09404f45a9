"""The database: SQLite in WAL mode, opened, migrated, and read and written in short transactions.

Writers begin with BEGIN IMMEDIATE: the driver's own way begins at the first write and silently loses updates.
There is one writer at a time, so nothing slow (no network) belongs inside a write transaction.
"""

import asyncio
import errno
import sqlite3
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection as SyncConnection
from sqlalchemy import event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from storage import models
from storage.errors import DatabaseDamaged, DiskFull, FolderUnusable, StorageError
from storage.schema import migrate

__all__ = ["Database", "models"]

T = TypeVar("T")

BUSY_MILLISECONDS = 10_000  # how long a writer waits for another
CLOSE_SECONDS = 5.0  # how long closing waits for sessions that are still open

_SIGNS: Mapping[str, type[StorageError]] = {
    "disk is full": DiskFull,
    "disk I/O error": DiskFull,
    "readonly database": DiskFull,
    "unable to open database file": DiskFull,
    "file is not a database": DatabaseDamaged,
    "disk image is malformed": DatabaseDamaged,
}


class Database:
    """The one door to stored state. `read()` and `write()` give sessions; a write commits when its block ends well."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.folder = _folder_of(url)
        self._engine = _create_engine(url)
        self._write = async_sessionmaker(self._engine, class_=AsyncSession, expire_on_commit=False)
        self._read = async_sessionmaker(
            self._engine.execution_options(readonly=True), class_=AsyncSession, expire_on_commit=False
        )
        self._sessions = 0
        self._unused = asyncio.Event()
        self._closed = False

    async def open(self) -> None:
        """Make the folder if need be, check the version, and bring the schema up to date.

        Raises `DatabaseTooNew` or `DatabaseDamaged` before anything is changed, and `DiskFull` or `FolderUnusable`
        where nothing can be written.
        """
        if self.folder is not None:
            with usable(self.folder):
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._closed = False
        with self._explained():
            await unbroken(self._upgrade())

    async def _upgrade(self) -> None:
        async with self._engine.connect() as connection:
            await connection.run_sync(migrate)

    async def close(self) -> None:
        """Close once the sessions under way have ended; from then on there are no new ones.

        The connection of a session that ended later would be nobody's to close.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._sessions:
                    self._unused.clear()
                    await self._unused.wait()
        self._closed = True
        await unbroken(self._engine.dispose())

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        with self._explained():
            async with self._session(self._read) as session:
                yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A write transaction: committed at the end of the block, rolled back if it raises or is cancelled."""
        with self._explained():
            async with self._session(self._write) as session:
                yield session
                await unbroken(session.commit())

    @asynccontextmanager
    async def _session(self, maker: async_sessionmaker[AsyncSession]) -> AsyncIterator[AsyncSession]:
        """A session that is surely closed when the block has ended, cancelled or not.

        SQLAlchemy's own block goes on at once where it is cancelled while it closes: a database closed by then would
        leave the connection behind. One that is cancelled while it opens is never closed by anybody.

        Raises `RuntimeError` once the database is closed: somebody has not waited for a task of theirs.
        """
        if self._closed:
            raise RuntimeError("the database is closed")
        session = maker()
        self._sessions += 1
        try:
            await unbroken(session.connection())
            yield session
        finally:
            try:
                await unbroken(session.close())
            finally:
                self._sessions -= 1
                if not self._sessions:
                    self._unused.set()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn SQLite's own complaints about disk and file into ours."""
        try:
            yield
        except DatabaseError as error:
            detail = str(error.orig)
            kind = next((kind for sign, kind in _SIGNS.items() if sign in detail), None)
            if kind is None:
                raise
            raise kind(detail=detail, folder=self.folder) from error


@contextmanager
def usable(folder: Path) -> Iterator[None]:
    """Turn what the system says about a folder into `DiskFull` or `FolderUnusable`."""
    try:
        yield
    except OSError as error:
        kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else FolderUnusable
        raise kind(detail=error.strerror or str(error), folder=folder) from error


async def unbroken(work: Coroutine[Any, Any, T]) -> T:
    """Finish a piece of database work even if its caller is cancelled meanwhile, and only then let it be cancelled.

    A commit that is broken off may have been made or not, and its connection has to be thrown away.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # heard of, and of no use to anybody any more
        raise cancelled
    return task.result()


def _folder_of(url: str) -> Path | None:
    path = url.partition(":///")[2]
    return Path(path).parent if path and path != ":memory:" else None


class _Connection(sqlite3.Connection):
    """Gives its locks back when it is closed.

    SQLite keeps a connection that is closed in mid-transaction alive, and the write lock with it, for as long as any of
    its statements is: after a cancelled write, nobody could write until the garbage collector came by.
    """

    def close(self) -> None:
        with suppress(sqlite3.Error):  # it may be closed already, or be beyond help
            if self.in_transaction:
                self.rollback()
        super().close()


def _create_engine(url: str) -> AsyncEngine:
    engine = create_async_engine(
        url,
        connect_args={"factory": _Connection},
        hide_parameters=True,  # errors quote them, and the log has the errors
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy, not the driver, begins transactions
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_MILLISECONDS}",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: SyncConnection) -> None:
        readonly = connection.get_execution_options().get("readonly")
        connection.exec_driver_sql("BEGIN" if readonly else "BEGIN IMMEDIATE")

    return engine
