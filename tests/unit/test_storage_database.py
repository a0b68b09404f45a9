"""The database under concurrent writers, cancelled tasks, full disks, other versions. Reference: toolbox.md §4, §5."""

import asyncio
import gc
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection as SyncConnection
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, StatementError
from sqlmodel import SQLModel, col, select

from storage.database import Database, unbroken
from storage.errors import DatabaseDamaged, DatabaseTooNew, DiskFull, FolderUnusable
from storage.models import (
    Batch,
    BatchKind,
    Book,
    Connection,
    Export,
    ExportSegment,
    FieldMapping,
    Run,
    RunStatus,
    Workspace,
    id_of,
    now,
)
from storage.schema import newest_version

TEAM = "T0TEST"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(url(tmp_path))
    await made.open()
    yield made
    await made.close()


def url(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder / 'ferry.sqlite3'}"


async def pragma(database: Database, name: str) -> Any:
    async with database.read() as session:
        return (await (await session.connection()).exec_driver_sql(f"PRAGMA {name}")).scalar_one()


async def count(database: Database, table: str) -> int:
    async with database.read() as session:
        return int((await (await session.connection()).exec_driver_sql(f"SELECT count(*) FROM {table}")).scalar_one())


# --- how it is opened


@pytest.mark.parametrize(
    ("name", "value"), [("journal_mode", "wal"), ("foreign_keys", 1), ("busy_timeout", 10_000), ("synchronous", 1)]
)
async def test_a_connection_has(database: Database, name: str, value: object) -> None:
    assert await pragma(database, name) == value


async def test_a_missing_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    database = Database(url(tmp_path / "new"))
    await database.open()
    await database.close()
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


async def test_opening_twice_changes_nothing(database: Database) -> None:
    async with database.write() as session:
        session.add(Workspace(team_id=TEAM))
    await database.open()
    assert await count(database, "workspace") == 1


async def test_a_folder_that_cannot_be_made_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    with pytest.raises(FolderUnusable, match="can't be used"):
        await Database(url(tmp_path / "a file" / "data")).open()


async def test_a_damaged_file_is_told_as_such_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ferry.sqlite3").write_bytes(b"this was a database once" * 200)
    database = Database(url(tmp_path))
    with pytest.raises(DatabaseDamaged):
        await database.open()
    await database.close()
    assert (tmp_path / "ferry.sqlite3").read_bytes().startswith(b"this was a database once")


# --- transactions


async def test_twelve_that_read_and_then_write_at_once_are_all_counted(database: Database) -> None:
    async with database.write() as session:
        session.add(Run(team_id=TEAM, batches=0, status=RunStatus.DONE))

    async def add_one() -> None:
        async with database.write() as session:
            run = (await session.exec(select(Run))).one()
            await asyncio.sleep(0)
            run.batches += 1
            session.add(run)

    await asyncio.gather(*(add_one() for _ in range(12)))

    async with database.read() as session:
        assert (await session.exec(select(Run.batches))).one() == 12


async def test_a_write_that_raises_leaves_nothing_behind(database: Database) -> None:
    async def write() -> None:
        async with database.write() as session:
            session.add(Workspace(team_id=TEAM))
            await session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write()
    assert await count(database, "workspace") == 0


async def test_a_write_that_is_cancelled_leaves_nothing_behind_and_does_not_block_the_next(database: Database) -> None:
    written = asyncio.Event()

    async def write() -> None:
        async with database.write() as session:
            session.add(Workspace(team_id=TEAM))
            await session.flush()
            written.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await written.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert await count(database, "workspace") == 0
    async with database.write() as session:
        session.add(Workspace(team_id=TEAM))
    assert await count(database, "workspace") == 1


async def test_a_write_that_is_cancelled_within_a_statement_gives_the_lock_back(database: Database) -> None:
    rows = [(f"{number:07}", "") for number in range(50_000)]

    async def write() -> None:
        async with database.write() as session:
            connection = await session.connection()
            asyncio.get_running_loop().call_later(0.005, task.cancel)  # a tenth of the time that it takes
            await connection.exec_driver_sql("INSERT INTO many VALUES (?, ?)", rows)

    async with database.write() as session:
        await (await session.connection()).exec_driver_sql("CREATE TABLE many (name TEXT PRIMARY KEY, facts TEXT)")
    task = asyncio.create_task(write())
    with pytest.raises(asyncio.CancelledError) as _kept:  # and with it whatever its traceback refers to
        await task

    async with database.write() as session:
        session.add(Workspace(team_id=TEAM))
    assert (await count(database, "many"), await count(database, "workspace")) == (0, 1)


@pytest.mark.parametrize("times", [1, 3])
async def test_unbroken_work_is_finished_however_often_its_caller_is_cancelled(times: int) -> None:
    may_end, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await may_end.wait()
        ended.set()

    caller = asyncio.create_task(unbroken(work()))
    for _ in range(times):
        await asyncio.sleep(0)
        caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()


async def test_unbroken_work_gives_its_result_or_its_error() -> None:
    async def work(divisor: int) -> int:
        await asyncio.sleep(0)
        return 6 // divisor

    assert await unbroken(work(2)) == 3
    with pytest.raises(ZeroDivisionError):
        await unbroken(work(0))


async def test_an_error_of_the_database_quotes_no_values(database: Database) -> None:
    with pytest.raises(IntegrityError) as raised:
        async with database.write() as session:
            session.add(FieldMapping(team_id=TEAM, export_id=77, position=0, attribute="email", value="Jane Doe"))
    assert "Jane Doe" not in str(raised.value)


async def test_a_reader_is_answered_while_a_writer_is_at_work_and_sees_the_state_before(database: Database) -> None:
    async with database.write() as session:
        session.add(Workspace(team_id=TEAM))
        await session.flush()
        assert await count(database, "workspace") == 0
    assert await count(database, "workspace") == 1


# --- what the schema holds


async def test_a_row_that_refers_to_nothing_is_refused(database: Database) -> None:
    with pytest.raises(IntegrityError):
        async with database.write() as session:
            session.add(FieldMapping(team_id=TEAM, export_id=77, position=0, attribute="email", value="Email"))


async def test_a_segment_goes_to_a_brand_through_one_export_only(database: Database) -> None:
    async with database.write() as session:
        one, two = Export(team_id=TEAM, name="one", owner="U"), Export(team_id=TEAM, name="two", owner="U")
        session.add_all([one, two])
        await session.flush()
        session.add(segment(id_of(one)))
    with pytest.raises(IntegrityError):
        async with database.write() as session:
            session.add(segment(id_of(two)))


async def test_an_export_has_one_active_run_at_most_and_any_number_of_ended_ones(database: Database) -> None:
    async with database.write() as session:
        export = Export(team_id=TEAM, name="one", owner="U")
        session.add(export)
        await session.flush()
        session.add_all(Run(team_id=TEAM, export_id=export.id, status=RunStatus.DONE) for _ in range(3))
        session.add(Run(team_id=TEAM, export_id=export.id, status=RunStatus.QUEUED))
    with pytest.raises(IntegrityError):
        async with database.write() as session:
            session.add(Run(team_id=TEAM, export_id=export.id, status=RunStatus.RUNNING))


async def test_what_belongs_to_an_export_goes_with_it_and_its_runs_stay(database: Database) -> None:
    async with database.write() as session:
        export = Export(team_id=TEAM, name="one", owner="U")
        session.add(export)
        await session.flush()
        session.add_all([segment(id_of(export)), Run(team_id=TEAM, export_id=export.id)])
    async with database.write() as session:
        await session.delete(await session.get_one(Export, export.id))
    assert (await count(database, "export_segment"), await count(database, "run")) == (0, 1)


async def test_a_time_comes_back_aware_and_in_utc(database: Database) -> None:
    moment = datetime(2026, 3, 29, 2, 30, tzinfo=timezone(timedelta(hours=2)))
    async with database.write() as session:
        session.add(Workspace(team_id=TEAM, created_at=moment))
    async with database.read() as session:
        found = (await session.exec(select(Workspace.created_at))).one()
    assert (found, found.tzinfo) == (moment, UTC)


async def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="ambiguous"):
        async with database.write() as session:
            session.add(Workspace(team_id=TEAM, created_at=datetime(2026, 1, 1)))  # noqa: DTZ001


async def test_a_word_comes_back_as_the_member_of_its_list(database: Database) -> None:
    async with database.write() as session:
        session.add(Run(team_id=TEAM, status=RunStatus.ASKING))
    async with database.read() as session:
        (run,) = (await session.exec(select(Run).where(col(Run.status) == RunStatus.ASKING))).all()
    assert run.status is RunStatus.ASKING


# --- full disks


FILL = """
import asyncio, resource, signal, sys
from storage.database import Database
from storage.errors import DiskFull
from storage.models import Workspace

async def main():
    database = Database(sys.argv[1])
    await database.open()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
    written = 0
    try:
        while True:
            async with database.write() as session:
                session.add_all(Workspace(team_id=f"{written}-{n}", name="x" * 1000) for n in range(100))
            written += 1
    except DiskFull as error:
        print(written, error)
asyncio.run(main())
"""


def test_a_full_disk_is_told_as_such_and_what_was_written_before_is_safe(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", FILL, url(tmp_path)], capture_output=True, text=True, timeout=60, env=os.environ
    )
    written, _, message = child.stdout.partition(" ")
    assert str(tmp_path) in message, child.stderr

    assert asyncio.run(stored_workspaces(tmp_path)) == 100 * int(written) > 0


async def stored_workspaces(folder: Path) -> int:
    database = Database(url(folder))
    await database.open()
    try:
        return await count(database, "workspace")
    finally:
        await database.close()


async def test_a_limit_of_the_database_itself_is_a_full_disk_too(database: Database) -> None:
    async def write() -> None:
        async with database.write() as session:
            await (await session.connection()).exec_driver_sql("PRAGMA max_page_count = 1")
            session.add_all(Workspace(team_id=f"{n}", name="x" * 1000) for n in range(1_000))

    with pytest.raises(DiskFull, match="full"):
        await write()


# --- migrations


async def test_the_migrations_make_exactly_the_schema_of_the_models(database: Database) -> None:
    def differences(session: Any) -> list[Any]:
        context = MigrationContext.configure(session, opts={"compare_type": False})
        return list(compare_metadata(context, SQLModel.metadata))

    async with database.read() as session:
        assert await (await session.connection()).run_sync(differences) == []


def test_the_newest_version_is_the_one_that_the_migrations_lead_to() -> None:
    config = Config()
    config.set_main_option("script_location", "storage:migrations")
    config.set_main_option("path_separator", "os")
    assert [newest_version()] == ScriptDirectory.from_config(config).get_heads()


async def test_a_database_of_a_newer_version_is_left_alone_and_the_error_says_what_to_do(tmp_path: Path) -> None:
    database = Database(url(tmp_path))
    await database.open()
    async with database.write() as session:
        await (await session.connection()).execute(text("UPDATE alembic_version SET version_num = '9999_future'"))
    await database.close()
    before = (tmp_path / "ferry.sqlite3").read_bytes()

    with pytest.raises(DatabaseTooNew, match=r"9999_future.*Install that version"):
        await database.open()

    await database.close()
    assert (tmp_path / "ferry.sqlite3").read_bytes() == before


async def test_rows_survive_a_migration_that_rebuilds_the_table_they_refer_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(url(tmp_path))
    await database.open()
    await fill(database)
    monkeypatch.setattr("alembic.command.upgrade", rebuild_all)
    await forget_version(database)

    await database.open()

    assert {table: await count(database, table) for table in ("connection", "export", "book", "batch")} == {
        "connection": 1,
        "export": 1,
        "book": 1,
        "batch": 1,
    }
    assert await pragma(database, "foreign_keys") == 1
    await database.close()


async def test_a_migration_that_would_leave_broken_references_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(url(tmp_path))
    await database.open()
    await fill(database)
    monkeypatch.setattr("alembic.command.upgrade", lose_the_books)
    await forget_version(database)

    with pytest.raises(RuntimeError, match="broken references"):
        await database.open()

    assert await count(database, "book") == 1
    await database.close()


def rebuild_all(config: Any, _target: str) -> None:
    """What alembic's batch mode does to change a table: build it anew, copy, drop, rename."""
    connection: SyncConnection = config.attributes["connection"]
    operations = Operations(MigrationContext.configure(connection))
    for table in ("connection", "export", "book"):
        with operations.batch_alter_table(table, recreate="always"):
            pass


def lose_the_books(config: Any, _target: str) -> None:
    config.attributes["connection"].exec_driver_sql("DELETE FROM book")


async def forget_version(database: Database) -> None:
    """As a database of a version before the first one."""
    async with database.write() as session:
        await (await session.connection()).execute(text("DELETE FROM alembic_version"))


async def fill(database: Database) -> None:
    """A row in each of a chain of tables."""
    async with database.write() as session:
        connection = Connection(team_id=TEAM, name="c", brand_id="b")
        session.add(connection)
        await session.flush()
        export = Export(team_id=TEAM, name="x", owner="U", connection_id=connection.id)
        session.add(export)
        await session.flush()
        book = Book(team_id=TEAM, export_id=export.id, brand_id="b")
        session.add(book)
        await session.flush()
        batch = Batch(
            team_id=TEAM, book_id=id_of(book), kind=BatchKind.UPSERT, count=1, first_digest=b"a", last_digest=b"a",
            claimed_at=now(),
        )  # fmt: skip
        session.add(batch)


def segment(export_id: int) -> ExportSegment:
    return ExportSegment(
        team_id=TEAM, export_id=export_id, brand_id="b", source="tables", name="VIP", property_name="segment_vip"
    )


async def test_closing_waits_for_a_session_that_is_still_open(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'ferry.sqlite3'}")
    await database.open()
    async with database.read():
        closing = asyncio.create_task(database.close())
        await asyncio.sleep(0)
        assert not closing.done()
    await closing


async def test_a_database_that_is_closed_gives_no_session_until_it_is_opened_again(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'ferry.sqlite3'}")
    await database.open()
    await database.close()
    with pytest.raises(RuntimeError, match="the database is closed"):
        async with database.read():
            pass
    await database.open()
    async with database.read():
        pass
    await database.close()


async def test_closing_is_not_broken_off_half_way(tmp_path: Path) -> None:
    """A connection that is left in the pool is reported by its driver when it is collected."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'ferry.sqlite3'}")
    await database.open()
    async with database.read(), database.read(), database.read():
        pass
    for _ in range(2):
        closing = asyncio.create_task(database.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
    del database
    gc.collect()
