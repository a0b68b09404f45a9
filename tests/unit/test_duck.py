"""Private DuckDB connections and their spill folders (reference: toolbox.md §1 and §3)."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from bot.duck import SpillFolders, connect, identifier, literal

KNOWN = b"@example.com"

# Makes a table of emails that does not fit into the memory, then waits.
SPILLING_PROGRAM = """
import sys
from pathlib import Path
from bot.duck import SpillFolders, connect

with SpillFolders(Path(sys.argv[1])).open() as folder:
    connection = connect(memory_mb=48, spill=folder)
    if sys.argv[2] == "plain":
        connection.execute("SET temp_file_encryption = false")
    connection.execute("CREATE TABLE people AS SELECT i || '.person@example.com' AS email FROM range(4000000) t(i)")
    print("spilled", flush=True)
    sys.stdin.read()
"""


@contextmanager
def spilling_process(root: Path, how: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has spilled and now waits for the end of its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-c", SPILLING_PROGRAM, str(root), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"spilled\n"
        try:
            yield process
        finally:
            process.kill()


def spilled_bytes(root: Path) -> bytes:
    return b"".join(file.read_bytes() for file in root.rglob("*") if file.is_file())


def test_what_spills_holds_no_email_in_clear_while_it_runs_nor_after_it_was_killed(tmp_path: Path) -> None:
    with spilling_process(tmp_path, "encrypted") as process:
        while_running = spilled_bytes(tmp_path)
        process.kill()
        process.wait()
        after_the_kill = spilled_bytes(tmp_path)
    assert len(while_running) > 10_000_000
    assert len(after_the_kill) > 10_000_000
    assert KNOWN not in while_running
    assert KNOWN not in after_the_kill


def test_without_the_encryption_the_same_search_finds_emails(tmp_path: Path) -> None:
    with spilling_process(tmp_path, "plain") as process:
        assert spilled_bytes(tmp_path).count(KNOWN) > 1_000
        process.kill()
        process.wait()
        assert spilled_bytes(tmp_path).count(KNOWN) > 1_000


def test_what_spilled_is_read_back_as_it_was(tmp_path: Path) -> None:
    with SpillFolders(tmp_path).open() as folder, connect(memory_mb=48, spill=folder) as connection:
        connection.execute(
            "CREATE TABLE people AS SELECT i, i || '.person@example.com' AS email FROM range(3000000) t(i)"
        )
        assert sum(file.stat().st_size for file in folder.iterdir()) > 1_000_000
        wrong = connection.execute("SELECT count(*) FROM people WHERE email <> i || '.person@example.com'").fetchone()
        rows = connection.execute("SELECT count(*) FROM people").fetchone()
    assert (rows, wrong) == ((3_000_000,), (0,))


def test_without_a_spill_folder_a_query_that_does_not_fit_fails_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with connect(memory_mb=32, spill=None) as connection, pytest.raises(duckdb.OutOfMemoryException):
        connection.execute("CREATE TABLE t AS SELECT md5(i::VARCHAR) AS x FROM range(3000000) t(i)")
    assert list(tmp_path.iterdir()) == []


def test_sql_cannot_see_python_variables() -> None:
    secrets = pa.table({"answer": [42]})
    assert duckdb.connect().execute("SELECT * FROM secrets").fetchall() == [(42,)]
    assert secrets.num_rows == 1
    with connect(memory_mb=32, spill=None) as connection, pytest.raises(duckdb.CatalogException):
        connection.execute("SELECT * FROM secrets")


def test_extensions_are_neither_fetched_nor_loaded_by_use() -> None:
    with connect(memory_mb=32, spill=None) as connection:
        settings = connection.execute(
            "SELECT name, value FROM duckdb_settings() WHERE name IN "
            "('autoload_known_extensions', 'autoinstall_known_extensions', 'enable_progress_bar')"
        ).fetchall()
        assert {value for _, value in settings} == {"false"}
        assert len(settings) == 3
        with pytest.raises(duckdb.Error):
            connection.execute("FROM 'https://localhost:1/x.parquet'")


def test_times_are_reckoned_in_utc_wherever_the_machine_is() -> None:
    program = (
        "from bot.duck import connect\n"
        "print(connect(memory_mb=32, spill=None).sql(\"SELECT CAST(TIMESTAMPTZ '2024-01-01 00:30:00+08' AS VARCHAR)\")"
        ".fetchall()[0][0])"
    )
    environment = os.environ | {"TZ": "Asia/Hong_Kong"}
    answer = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    assert answer.stdout == b"2023-12-31 16:30:00+00\n"


@pytest.mark.parametrize("text", ["plain", "it's", 'a "name"', "'; DROP TABLE x; --", "客戶", ""])
def test_quoted_text_comes_back_as_it_was(text: str) -> None:
    with connect(memory_mb=32, spill=None) as connection:
        name = text or "empty"
        row = connection.sql(f"SELECT {literal(text)} AS {identifier(name)}")
        assert (row.columns, row.fetchall()) == ([name], [(text,)])


def test_a_spill_folder_is_private_and_gone_after_use(tmp_path: Path) -> None:
    folders = SpillFolders(tmp_path / "deep" / "spill")
    with folders.open() as first, folders.open() as second:
        assert first != second
        assert {folder.stat().st_mode & 0o777 for folder in (first, second)} == {0o700}
        (first / "left-over").write_bytes(b"x")
    assert not first.exists()
    assert not second.exists()


def test_a_sweep_deletes_what_a_killed_process_left(tmp_path: Path) -> None:
    with spilling_process(tmp_path, "encrypted") as process:
        process.kill()
        process.wait()
        (folder,) = tmp_path.iterdir()
        assert list(folder.iterdir())
        assert SpillFolders(tmp_path).sweep() == 1
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_leaves_the_folders_of_living_processes_alone(tmp_path: Path) -> None:
    with spilling_process(tmp_path, "encrypted") as process, SpillFolders(tmp_path).open() as own:
        before = set(tmp_path.iterdir())
        assert SpillFolders(tmp_path).sweep() == 0
        assert set(tmp_path.iterdir()) == before
        assert own in before
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0
        assert set(tmp_path.iterdir()) == {own}


def test_a_sweep_touches_nothing_that_is_not_a_spill_folder(tmp_path: Path) -> None:
    elsewhere, root = tmp_path / "elsewhere", tmp_path / "spill"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    root.mkdir()
    (root / "ferry.sqlite3").touch()
    (root / "notes").mkdir()
    (root / "123-abcdefgh").symlink_to(elsewhere)
    assert SpillFolders(root).sweep() == 0
    assert (elsewhere / "precious").exists()
    assert len(list(root.iterdir())) == 3


def test_a_sweep_of_a_folder_that_does_not_exist_finds_nothing(tmp_path: Path) -> None:
    assert SpillFolders(tmp_path / "nowhere").sweep() == 0


def test_a_folder_that_a_sweeper_took_before_it_was_locked_is_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def made_and_swept_at_once(prefix: str, dir: Path) -> str:
        folder = dir / f"{prefix}{len(made)}"
        folder.mkdir(mode=0o700)
        made.append(folder)
        if len(made) == 1:
            shutil.rmtree(folder)
        return str(folder)

    monkeypatch.setattr("bot.duck.tempfile.mkdtemp", made_and_swept_at_once)
    with SpillFolders(tmp_path).open() as folder:
        assert folder == made[1]
        assert folder.is_dir()
