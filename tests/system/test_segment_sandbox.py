"""A segment's SQL can read profiles and nothing else, in bounded memory and time.

Reference: toolbox.md §2; each row of its table is a test here.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from bot.duck import connect
from bot.sources.base import SegmentFailed
from bot.sources.tables import TablesSource
from bot.sources.tables.child import PROGRAM, ChildFailed, ChildStopped, Job, Limits, compute, keys_in
from bot.sources.tables.files import Table, csv_table

PEOPLE = """CustomerId,Email,Country,Spent,Joined
001,ada@example.com,DE,10,2024-01-01
002,bob@example.com,FR,20,2024-05-01
003,cyd@example.com,DE,30,2023-01-01
"""
ABROAD = "it reaches for something other than profiles (a file, the network, an extension)"
TOO_SLOW = "it took longer than 2 seconds"
TOO_LARGE = "it needs more than 512 MB of memory"


@pytest.fixture
def crm(tmp_path: Path) -> Path:
    """A source's folder, beside things that no segment may touch."""
    folder = tmp_path / "crm"
    (folder / "segments").mkdir(parents=True)
    (folder / "profiles.csv").write_text(PEOPLE)
    (tmp_path / "secret.csv").write_text("CustomerId\n001\n")
    (folder / "segments" / "other.csv").write_text("CustomerId\n001\n")
    (folder / "segments" / "link.csv").symlink_to(tmp_path / "secret.csv")
    return folder


async def count(crm: Path, sql: str, seconds: float = 60) -> int:
    (crm / "segments" / "x.sql").write_text(sql.replace("{crm}", str(crm)))
    return await TablesSource(crm, segment_seconds=seconds).count("x")


async def refusal(crm: Path, sql: str, seconds: float = 60) -> str:
    """Why the segment was refused, after a look at what it must have left alone."""
    with pytest.raises(SegmentFailed) as caught:
        await count(crm, sql, seconds)
    assert files_around(crm) == {"crm", "secret.csv", "crm/profiles.csv", "crm/segments"}
    assert (crm / "profiles.csv").read_text() == PEOPLE
    assert living_children() == []
    for private in ("example.com", str(crm.parent)):
        assert private not in str(caught.value)
    return str(caught.value.facts["detail"])


def files_around(crm: Path) -> set[str]:
    return {str(path.relative_to(crm.parent)) for folder in (crm, crm.parent) for path in folder.iterdir()}


def living_children() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if any(PROGRAM.name in word for word in child.cmdline())]


# The table of the reference, row by row


async def test_several_statements_are_refused(crm: Path) -> None:
    assert await refusal(crm, "SELECT 1; ATTACH ':memory:' AS x") == "its file holds 2 SQL statements instead of one"
    twice = "SELECT CustomerId FROM profiles; SELECT CustomerId FROM profiles"
    assert await refusal(crm, twice) == "its file holds 2 SQL statements instead of one"


@pytest.mark.parametrize(
    "sql",
    [
        "DROP VIEW profiles",
        "DELETE FROM profiles",
        "INSERT INTO profiles VALUES ('004')",
        "UPDATE profiles SET Email = 'x'",
        "CREATE TABLE x AS SELECT 1 AS CustomerId",
        "CREATE SECRET s (TYPE s3)",
        "CHECKPOINT",
        "VACUUM",
        "BEGIN",
        "BEGIN TRANSACTION READ ONLY",
        "SET VARIABLE x = 1",
        "USE memory",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "CALL pragma_version()",
        "EXPLAIN SELECT CustomerId FROM profiles",
        "PIVOT profiles ON Country",
        "ATTACH '{crm}/x.db'",
        "ATTACH ':memory:' AS x",
        "DETACH memory",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD '{crm}/x.duckdb_extension'",
        "SET memory_limit = '8GB'",
        "SET enable_external_access = true",
        "RESET memory_limit",
        "PRAGMA memory_limit = '8GB'",
        "PRAGMA database_list",
        "PRAGMA enable_profiling",
        "EXPORT DATABASE '{crm}/exported'",
        "COPY profiles TO '{crm}/copied.csv'",
        "COPY (SELECT 'x' AS CustomerId) TO '{crm}/profiles.csv' (use_tmp_file false)",
    ],
)
async def test_whatever_is_not_a_select_is_refused(crm: Path, sql: str) -> None:
    assert (await refusal(crm, sql)).startswith("it is not a SELECT")


@pytest.mark.parametrize(
    "sql",
    [
        "WITH x AS (DELETE FROM profiles RETURNING *) SELECT CustomerId FROM x",
        "WITH x AS (INSERT INTO profiles VALUES ('004') RETURNING *) SELECT CustomerId FROM x",
        "WITH x AS (UPDATE profiles SET Email = '' RETURNING *) FROM x",
        "SELECT * FROM (WITH x AS (DELETE FROM profiles RETURNING *) SELECT CustomerId FROM x)",
        "WITH x AS (COPY profiles TO '{crm}/copied.csv') SELECT CustomerId FROM x",
    ],
)
async def test_changing_data_inside_of_a_select_is_refused(crm: Path, sql: str) -> None:
    assert re.fullmatch(r"WITH clause containing a .* statement must be at the top level", await refusal(crm, sql))


def test_a_copy_that_got_as_far_as_an_allowed_file_could_write_nothing(tmp_path: Path) -> None:
    file = tmp_path / "profiles.csv"
    file.write_text(PEOPLE)
    program = (
        "import os, runpy\n"
        f"runpy.run_path({str(PROGRAM)!r})['limit_this_process'](60)\n"
        f"os.write(os.open({str(file)!r}, os.O_RDWR), b'x')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert ended.returncode != 0
    assert b"File too large" in ended.stderr
    assert file.read_text() == PEOPLE


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT CustomerId FROM profiles WHERE pg_sleep(3600) IS NOT NULL",
        "SELECT levenshtein(repeat('a', 1000000), repeat('b', 1000000)) AS CustomerId",
        "SELECT '1' AS CustomerId" + " UNION ALL SELECT '1'" * 20_000,
        "WITH RECURSIVE t(CustomerId) AS (SELECT 1 UNION ALL SELECT CustomerId + 1 FROM t) SELECT CustomerId FROM t",
    ],
    ids=["pg_sleep", "levenshtein", "20,000 times UNION ALL", "recursion without end"],
)
async def test_what_takes_too_long_is_killed(crm: Path, sql: str) -> None:
    assert await refusal(crm, sql, seconds=2) == TOO_SLOW


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT repeat('x', 4000000000) AS CustomerId",
        "SELECT len(range(3000000000)) AS CustomerId",
        "SELECT string_agg(repeat(Email, 1000000), '') AS CustomerId FROM profiles, range(100)",
    ],
)
async def test_what_takes_too_much_memory_ends_without_harm(crm: Path, sql: str) -> None:
    assert await refusal(crm, sql) == TOO_LARGE


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT sql AS CustomerId FROM duckdb_views()",
        "SELECT value AS CustomerId FROM duckdb_settings()",
        "SELECT table_name AS CustomerId FROM information_schema.tables",
        "SELECT current_setting('allowed_paths') AS CustomerId",
    ],
)
async def test_looking_at_settings_gives_ids_that_belong_to_no_profile(crm: Path, sql: str) -> None:
    (crm / "segments" / "x.sql").write_text(sql)
    async with TablesSource(crm).profiles(["x"], ["Email"]) as stream:
        assert [batch async for batch in stream] == []
    assert stream.summary.without_profile == stream.summary.members["x"] > 0


async def test_the_child_gets_no_secret_to_look_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FERRY_SECRET_KEYS", "hush")
    program = tmp_path / "program.py"
    program.write_text("import json, os; print(json.dumps(dict(os.environ)))")
    environment = json.loads(await compute(a_job("unused"), Limits(), program))
    assert set(environment) <= {
        *("MALLOC_ARENA_MAX", "OPENBLAS_NUM_THREADS", "LC_ALL", "LC_CTYPE", "TZ"),
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    }


# Files, network, functions that reach out


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT content AS CustomerId FROM read_text('/etc/passwd')",
        "SELECT content AS CustomerId FROM read_blob('/proc/self/environ')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_csv('/dev/stdin')",
        "SELECT * FROM read_csv('/proc/self/fd/0')",
        "SELECT * FROM read_json('/etc/passwd')",
        "SELECT CustomerId FROM read_csv('{crm}/../secret.csv')",
        "SELECT CustomerId FROM read_csv('{crm}/segments/other.csv')",
        "SELECT CustomerId FROM read_csv('{crm}/segments/link.csv')",
        "SELECT CustomerId FROM read_csv('{crm}/*.csv')",
        "SELECT CustomerId FROM read_parquet('{crm}/profiles/*.parquet')",
        "SELECT CustomerId FROM '{crm}/segments/other.csv'",
        "SELECT CustomerId FROM 'segments/other.csv'",
        "SELECT file AS CustomerId FROM glob('/etc/*')",
        "SELECT Delimiter AS CustomerId FROM sniff_csv('/etc/passwd')",
        "SELECT file_name AS CustomerId FROM parquet_metadata('/etc/passwd')",
        "SELECT CustomerId FROM profiles POSITIONAL JOIN read_text('/etc/hosts')",
        "SELECT CustomerId FROM query('SELECT CustomerId FROM read_csv(''{crm}/segments/other.csv'')')",
        "SELECT content AS CustomerId "
        "FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM read_text(''/etc/passwd'')'))",
        "SELECT CustomerId FROM read_csv('https://example.com/x.csv')",
        "SELECT CustomerId FROM 's3://bucket/x.parquet'",
        "SELECT CustomerId FROM 'https://example.com/x.parquet'",
    ],
)
async def test_reaching_for_files_or_the_network_is_refused(crm: Path, sql: str) -> None:
    assert await refusal(crm, sql) == ABROAD


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT getenv('HOME') AS CustomerId", "getenv does not exist"),
        ("SELECT CustomerId FROM query('ATTACH '':memory:'' AS y')", "Expected a single SELECT statement"),
        ("SELECT CustomerId FROM enable_logging()", "a function was given a value that it does not take"),
        ("SELECT nextval('x') AS CustomerId", "Sequence with name x does not exist"),
        ("SELECT " + "(" * 5_000 + "1" + ")" * 5_000 + " AS CustomerId", "Max expression depth"),
        (f"SELECT CustomerId FROM profiles {'-' * 1_000_000}", "longer than 1,000,000 bytes"),
    ],
)
async def test_other_tricks_are_refused(crm: Path, sql: str, words: str) -> None:
    assert words in await refusal(crm, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT CustomerId FROM profiles) AS s; DROP VIEW profiles; SELECT * FROM (SELECT 1 AS CustomerId",
        "SELECT CustomerId FROM profiles) UNION ALL SELECT * FROM (SELECT 1 AS CustomerId",
        "SELECT CustomerId FROM profiles /* open",
        "SELECT CustomerId FROM profiles WHERE Email = 'open",
    ],
)
async def test_sql_cannot_break_out_of_the_brackets_it_is_put_in(crm: Path, sql: str) -> None:
    words = await refusal(crm, sql)
    assert words.startswith(("syntax error", "unterminated"))


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("", "its file holds 0 SQL statements instead of one"),
        ("-- nothing yet", "its file holds 0 SQL statements instead of one"),
        ("SELEKT CustomerId FROM profiles", 'syntax error at or near "SELEKT"'),
        ("SELECT CustomerId FROM profils", 'Table with name profils does not exist! Did you mean "profiles"'),
        ("SELECT Email FROM profiles", 'Referenced column "CustomerId" not found in FROM clause!'),
        ("SELECT CustomerId FROM profiles WHERE Emial = ''", 'Referenced column "Emial" not found'),
        ("SELECT CAST(Email AS INTEGER) AS CustomerId FROM profiles", "TRY_CAST gives NULL"),
        ("SELECT error(Email) AS CustomerId FROM profiles", "a function was given a value that it does not take"),
        ("SELECT error('CSV Error on Line: 7 ' || Email) AS CustomerId FROM profiles", ""),
        ("SELECT Spent::TINYINT * 100::TINYINT AS CustomerId FROM profiles", "a number is out of range"),
    ],
)
async def test_honest_mistakes_are_explained_shortly_and_without_data(crm: Path, sql: str, words: str) -> None:
    (crm / "segments" / "x.sql").write_text(sql)
    with pytest.raises(Exception, match="Nothing was sent") as caught:
        await TablesSource(crm).count("x")
    detail = str(caught.value.facts["detail"])  # type: ignore[attr-defined]
    assert words in detail
    assert "\n" not in detail
    assert len(detail) < 300
    assert "example.com" not in str(caught.value)


async def test_sql_that_is_not_utf8_is_refused(crm: Path) -> None:
    (crm / "segments" / "x.sql").write_bytes("SELECT CustomerId FROM profiles -- für alle".encode("latin-1"))
    with pytest.raises(SegmentFailed, match=r"segments/x\.sql is not UTF-8"):
        await TablesSource(crm).count("x")


# Honest SQL


@pytest.mark.parametrize(
    ("sql", "members"),
    [
        ("SELECT CustomerId FROM profiles", 3),
        ("FROM profiles", 3),
        ("\ufeffSELECT CustomerId FROM profiles", 3),
        ("SELECT CustomerId FROM profiles -- all of them", 3),
        ("SELECT CustomerId FROM profiles; -- all of them", 3),
        ("-- 客戶\nSELECT CustomerId /* 客戶 */ FROM profiles WHERE Email <> '客戶;--' ; /* tail */ ;\n", 3),
        ("SELECT DISTINCT customerid FROM profiles ORDER BY 1 LIMIT 2", 2),
        ("SELECT CustomerId FROM profiles WHERE CAST(Spent AS INTEGER) >= 20", 2),
        ("SELECT a.CustomerId FROM profiles a JOIN profiles b ON a.Country = b.Country AND a.Email <> b.Email", 2),
        ("SELECT CustomerId FROM profiles QUALIFY row_number() OVER (PARTITION BY Country ORDER BY Spent) = 1", 2),
        ("SELECT max(CustomerId) AS CustomerId FROM profiles GROUP BY Country HAVING count(*) > 1", 1),
        ("WITH german AS (FROM profiles WHERE Country = 'DE') SELECT CustomerId FROM german", 2),
        ("SELECT CustomerId FROM profiles WHERE regexp_matches(Email, '^[ab]')", 2),
        ("SELECT CustomerId FROM profiles WHERE Joined::DATE > DATE '2024-03-01' - INTERVAL 3 MONTH", 2),
        ("SELECT CustomerId FROM profiles WHERE Joined::DATE < current_date AND year(now()) > 2020", 3),
        ("SELECT CustomerId FROM profiles WHERE Spent::INT > (SELECT avg(Spent::INT) FROM profiles)", 1),
        ("SELECT CustomerId FROM profiles EXCEPT SELECT CustomerId FROM profiles WHERE Country = 'DE'", 1),
        (
            "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT n AS CustomerId FROM t",
            3,
        ),
    ],
)
async def test_honest_sql_works(crm: Path, sql: str, members: int) -> None:
    assert await count(crm, sql) == members


# The program and its watcher, whatever the other side does


def a_job(sql: str, table: Table | None = None) -> Job:
    relation = table.relation if table else "range(1)"
    return Job(sql, "profiles", relation, table.paths if table else [], "unhex(md5(id))")


async def test_keys_come_sorted_and_distinct_and_are_the_digests_that_the_reader_computes(tmp_path: Path) -> None:
    (tmp_path / "profiles.csv").write_text(PEOPLE)
    job = a_job("SELECT CustomerId FROM profiles, range(3)", csv_table("profiles.csv", tmp_path / "profiles.csv"))
    keys = keys_in(await compute(job, Limits())).to_pylist()
    with connect(memory_mb=32, spill=None) as connection:
        wanted = connection.execute("SELECT unhex(md5('00' || i)) FROM range(1, 4) t(i)").fetchall()
    assert keys == sorted(key for (key,) in wanted)


async def test_an_answer_that_is_too_long_is_cut_off() -> None:
    job = a_job("SELECT range AS CustomerId FROM range(100000)")
    assert len(keys_in(await compute(job, Limits(answer_mb=3)))) == 100_000
    with pytest.raises(ChildStopped, match="too many customers"):
        await compute(job, Limits(answer_mb=1))


async def test_an_endless_stream_of_ids_ends_at_the_memory_limit(crm: Path) -> None:
    assert await refusal(crm, "SELECT range AS CustomerId FROM range(100000000000)") == TOO_LARGE


def test_the_program_ends_by_itself_when_nobody_is_left_to_kill_it() -> None:
    program = (
        "import importlib.util, time\n"
        f"spec = importlib.util.spec_from_file_location('program', {str(PROGRAM)!r})\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "module.GRACE_SECONDS = 1\n"
        "module.limit_this_process(0)\n"
        "time.sleep(3600)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == -signal.SIGALRM


async def run_probe(tmp_path: Path, source: str, **limits: Any) -> object:
    """What the parent makes of a child that runs some other program."""
    program = tmp_path / "program.py"
    program.write_text(f"import json, os, sys, time\n{source}\n")
    try:
        return keys_in(await compute(a_job("x" * 500_000), Limits(**limits), program))
    except (ChildStopped, ChildFailed) as outcome:
        return outcome
    finally:
        assert living_children() == []


RUBBISH = "its computation gave no usable answer"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", RUBBISH),
        ("sys.stdin.read()", RUBBISH),
        ("os.close(0)", RUBBISH),
        ("print('hello')", RUBBISH),
        ("sys.stdout.buffer.write(os.urandom(100_000))", RUBBISH),
        ("sys.stdout.buffer.write(b'\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x7f' + b'x' * 1000)", RUBBISH),
        (
            "import pyarrow as pa; s = pa.schema([('key', pa.string())])\n"
            "pa.ipc.new_stream(sys.stdout.buffer, s).close()",
            RUBBISH,
        ),
        ("while True: os.write(1, b'x' * 65536)", "it gives too many customers"),
        ("while True: os.write(2, b'x' * 65536)", "it took longer than 2 seconds"),
        ("sys.stdin.read(); time.sleep(3600)", "it took longer than 2 seconds"),
        ("os.abort()", "broke off"),
        ("raise SystemExit(3)", "broke off"),
        ("print('no json', file=sys.stderr); raise SystemExit(3)", "broke off"),
        ("print('[1]', file=sys.stderr); raise SystemExit(3)", "broke off"),
        ("print('{}', file=sys.stderr); raise SystemExit(3)", "broke off"),
        ("print('x' * 1_000_000, file=sys.stderr); raise SystemExit(3)", "broke off"),
    ],
)
async def test_a_child_that_misbehaves_is_survived_and_ended(tmp_path: Path, source: str, words: str) -> None:
    outcome = await run_probe(tmp_path, source, seconds=2 if "longer than 2" in words else 60, answer_mb=1)
    assert isinstance(outcome, ChildStopped)
    assert words in str(outcome)


async def test_a_report_of_the_child_comes_through(tmp_path: Path) -> None:
    source = "json.dump({'kind': 'BinderException', 'message': 'no'}, sys.stderr); raise SystemExit(3)"
    outcome = await run_probe(tmp_path, source)
    assert isinstance(outcome, ChildFailed)
    assert (outcome.kind, outcome.message) == ("BinderException", "no")


async def test_cancelling_the_caller_kills_the_child(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    program = tmp_path / "program.py"
    program.write_text(
        f"import os, signal\nprint(os.getpid(), file=open({str(pipe)!r}, 'w'), flush=True)\nsignal.pause()"
    )
    task = asyncio.create_task(compute(a_job("unused"), Limits(seconds=3600), program))
    pid = int(await asyncio.to_thread(pipe.read_text))
    assert psutil.pid_exists(pid)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not psutil.pid_exists(pid)
