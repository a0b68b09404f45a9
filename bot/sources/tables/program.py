"""Computes one segment: a program of its own, since a segment's SQL is somebody else's.

DuckDB's settings keep SQL from files, network, settings and extensions, but not from one function call that eats all
memory or never ends. Limits of the system on a process do, so each segment gets a process. It holds no secret, is
started as `python -I program.py`, imports nothing of this project, and is killed when its time is over.

In, on stdin: a job as JSON (`Job` in `child.py`). Out, on stdout: one Arrow stream with the binary column `key`, the
distinct keys of the members in ascending order. If it can't: exit status 3 and on stderr JSON with the `kind` of
error and a `message`, which may quote profiles and is not for people's eyes.
"""

import json
import math
import resource
import signal
import sys
from typing import Any, NoReturn

import duckdb  # before the limits: importing takes more memory than they leave
import pyarrow as pa

FAILED = 3
GIB = 1 << 30
THREADS = 2
GRACE_SECONDS = 5  # after which the system ends a process that nobody has killed in time


class Refused(Exception):
    """The SQL is not what a segment may be."""


def main() -> None:
    job = json.loads(sys.stdin.buffer.read())
    limit_this_process(job["seconds"])
    try:
        keys = compute(job)
    except MemoryError as error:
        fail("MemoryError", str(error))
    except (Refused, duckdb.Error) as error:
        fail(type(error).__name__, str(error))
    with pa.ipc.new_stream(sys.stdout.buffer, keys.schema) as stream:
        stream.write_table(keys)


def limit_this_process(seconds: float) -> None:
    limits = {
        resource.RLIMIT_DATA: GIB,
        resource.RLIMIT_AS: 3 * GIB,  # address space of idle threads, mostly; with less it fails now and then
        resource.RLIMIT_CPU: math.ceil(seconds * THREADS) + GRACE_SECONDS,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))
    signal.alarm(math.ceil(seconds) + GRACE_SECONDS)  # unhandled, it ends even a process whose parent is gone


def compute(job: dict[str, Any]) -> pa.Table:
    connection = closed_database(job)
    query = only_select(connection, job["sql"])
    members = f"SELECT CAST(CustomerId AS VARCHAR) AS id FROM (\n{query}\n) AS segment"
    keys = f"SELECT DISTINCT {job['key']} AS key FROM ({members}) AS members WHERE id <> '' ORDER BY key"
    return connection.sql(keys).to_arrow_table().combine_chunks()


def closed_database(job: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    """A database that holds the one view and can reach nothing but the view's files."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": f"{job['memory_mb']}MB",
            "threads": THREADS,
            "temp_directory": "",
            "max_expression_depth": 250,
            "preserve_insertion_order": False,
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET disable_parquet_prefetching = true")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"CREATE VIEW {job['view']} AS FROM {job['relation']}")
    connection.execute("SET allowed_paths = ?", [job["files"]])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")  # last
    return connection


def only_select(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The one SELECT, fit to stand in brackets: there, a common table expression can't change data."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise Refused(f"its file holds {len(statements)} SQL statements instead of one")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise Refused(f"it is not a SELECT ({statements[0].type.name})")
    return without_tail(statements[0].query)


def without_tail(query: str) -> str:
    """The query without the semicolons and comments at its end."""
    text = query.encode()
    end = len(text)
    for offset, kind in reversed(duckdb.tokenize(query)):
        if kind != duckdb.token_type.comment and text[offset : offset + 1] != b";":
            break
        end = offset
    return text[:end].decode()


def fail(kind: str, message: str) -> NoReturn:
    json.dump({"kind": kind, "message": message[:8192]}, sys.stderr)
    sys.exit(FAILED)


if __name__ == "__main__":
    main()
