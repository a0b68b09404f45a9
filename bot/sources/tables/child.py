"""Starts the program that computes a segment, watches it, and takes its answer: `program.py` is the other side."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

PROGRAM = Path(__file__).with_name("program.py")
COMPLAINT_BYTES = 65_536  # more than the program ever says about an error
PIPE_BYTES = 1 << 20  # read ahead from a child, at most twice this
ENVIRONMENT = {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
PASSED_ON = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")  # some Pythons don't start without; nothing else is inherited


@dataclass(frozen=True, slots=True)
class Job:
    """What the program shall compute: the `key` of each CustomerId that `sql` gives over `view`.

    `relation` says in SQL what the view reads, `files` are the only paths that DuckDB may open meanwhile.
    """

    sql: str
    view: str
    relation: str
    files: list[str]
    key: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What a segment may use: wall-clock seconds, DuckDB's memory, and the size of the answer (20 bytes a member)."""

    seconds: float = 60
    memory_mb: int = 512
    answer_mb: int = 100


class ChildFailed(Exception):
    """The program reported an error of DuckDB's: `kind` names its class, `message` may quote profiles."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind)
        self.kind = kind
        self.message = message


class ChildStopped(Exception):
    """The program was stopped, or ended without a usable answer. The text says why, for people."""


async def compute(job: Job, limits: Limits, program: Path = PROGRAM) -> bytearray:
    """The program's answer, for `keys_in`. Raises `ChildFailed` or `ChildStopped`.

    No child outlives this call, whether it ends well, by an error or by cancellation.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", str(program)),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        limit=PIPE_BYTES,
        env=ENVIRONMENT | {name: os.environ[name] for name in PASSED_ON if name in os.environ},
        cwd="/",
        start_new_session=True,  # Ctrl-C in a terminal is for the parent, which then ends its children in order
    )
    try:
        async with asyncio.timeout(limits.seconds):
            return await _converse(process, job, limits)
    except TimeoutError:
        raise ChildStopped(f"it took longer than {limits.seconds:g} seconds") from None
    finally:
        await asyncio.shield(_end(process))


async def _converse(process: Process, job: Job, limits: Limits) -> bytearray:
    """Hand over the job, take the answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    order = asdict(job) | {"seconds": limits.seconds, "memory_mb": limits.memory_mb}
    process.stdin.write(json.dumps(order).encode())  # without waiting: a child that does not listen may yet speak
    process.stdin.close()

    most = limits.answer_mb * 1_000_000
    answer = await _read(process.stdout, most)
    if len(answer) > most:
        raise ChildStopped("it gives too many customers")
    complaint = await _read(process.stderr, COMPLAINT_BYTES)
    status = await process.wait()
    if status != 0:
        raise _failure(status, complaint)
    return answer


async def _read(stream: asyncio.StreamReader, most: int) -> bytearray:
    """The stream to its end, or a little more than `most` bytes of it."""
    read = bytearray()
    while len(read) <= most and (chunk := await stream.read(PIPE_BYTES)):
        read += chunk
    return read


def _failure(status: int, complaint: bytearray) -> ChildFailed | ChildStopped:
    try:
        report: Any = json.loads(complaint)
        return ChildFailed(str(report["kind"]), str(report["message"]))
    except (ValueError, KeyError, TypeError):
        return ChildStopped(f"its computation broke off, probably for want of memory (status {status})")


async def _end(process: Process) -> None:
    """Kill the process if it lives, and close its pipes."""
    with suppress(ProcessLookupError):
        process.kill()
    await process.communicate()


def keys_in(answer: bytearray) -> pa.Array:
    """The members' keys: binary, ascending, distinct. Raises `ChildStopped` if the answer is something else."""
    try:
        with pa.ipc.open_stream(pa.py_buffer(answer)) as stream:
            if stream.schema.names != ["key"] or stream.schema.field(0).type != pa.binary():
                raise pa.ArrowInvalid("not a stream of keys")
            columns = [batch.column(0) for batch in stream]
        for column in columns:
            column.validate(full=True)
    except (pa.ArrowException, OSError):
        raise ChildStopped("its computation gave no usable answer") from None
    return columns[0] if len(columns) == 1 else pa.concat_arrays([pa.nulls(0, pa.binary()), *columns])
