"""No email or name of a profile lies in clear on a disk or in a log: while a run spills, after SIGKILL, at the end.

That the search would find them where they are not encrypted is shown by `tests/unit/test_duck.py`.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from tests.system.spilling_run import NEEDLES, found_in_clear

SPILLED_AT_LEAST = 1_000_000  # bytes: or the run did not have to spill, and the search proves little


async def run(folder: Path, mode: str) -> tuple[int, bytes, bytes]:
    """Exit status, output and log of a run that spills into `folder`, its temporary files there too."""
    (folder / "tmp").mkdir()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.system.spilling_run", str(folder), mode,
        stdout=PIPE, stderr=PIPE, env=os.environ | {"TMPDIR": str(folder / "tmp")},
    )  # fmt: skip
    stdout, stderr = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode or 0, stdout, stderr


async def test_nothing_is_in_clear_while_a_run_spills_nor_after_its_end(tmp_path: Path) -> None:
    status, stdout, stderr = await run(tmp_path, "scan")
    assert status == 0, stderr.decode()[-2000:]
    spilled, *in_clear = stdout.decode().split()
    assert int(spilled) > SPILLED_AT_LEAST
    assert in_clear == []
    assert found_in_clear(tmp_path)[2] == []
    assert not any(needle in stderr.lower() for needle in NEEDLES)
    assert list((tmp_path / "spill").iterdir()) == []


async def test_nothing_is_in_clear_after_a_run_was_killed(tmp_path: Path) -> None:
    status, _, stderr = await run(tmp_path, "kill")
    assert status == -signal.SIGKILL
    files, size, in_clear = found_in_clear(tmp_path)
    assert files
    assert size > SPILLED_AT_LEAST
    assert in_clear == []
    assert not any(needle in stderr.lower() for needle in NEEDLES)
