"""The peak memory that a run reports is its own, not that of whatever started it. Reference: proc(5), VmHWM."""

import subprocess
import sys

from bot.cli.running import peak_rss_mb

PROGRAM = "from bot.cli.running import peak_rss_mb; print(peak_rss_mb())"
BALLAST = 400_000_000  # bytes


def test_memory_of_the_starting_process_is_not_counted() -> None:
    ballast = b"\1" * BALLAST
    answer = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True)
    assert float(answer.stdout) < len(ballast) / (1 << 20)


def test_the_peak_stays_when_the_memory_is_given_back() -> None:
    ballast = b"\1" * BALLAST
    assert len(ballast) == BALLAST
    del ballast
    assert peak_rss_mb() > BALLAST / (1 << 20)
