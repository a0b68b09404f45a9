"""Run `ferry` with a watchdog that sees what holds the event loop: `python -m tests.bench.watched REPORT serve`.

A thread of its own looks at the loop's heartbeat. Where it is late, the main thread's stack is noted; at the end the
report says how late the loop was, and in which of our lines.
"""

import asyncio
import gc
import json
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType

from bot.cli.commands import app

LATE = 0.03  # seconds without a beat after which the stack is noted
LOOK = 0.01


class Watchdog:
    def __init__(self, report: Path) -> None:
        self._report = report
        self._beat = time.perf_counter()
        self._lags: list[float] = []
        self._where: dict[str, tuple[int, float]] = {}
        self._collections: list[float] = [0.0]
        self._collection_began = 0.0
        gc.callbacks.append(self.collecting)
        self._main = threading.main_thread().ident or 0

    def collecting(self, phase: str, _facts: object) -> None:
        """Garbage collection stops everybody."""
        if phase == "start":
            self._collection_began = time.perf_counter()
        else:
            self._collections.append(time.perf_counter() - self._collection_began)

    async def heart(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(LOOK)
            self._beat = time.perf_counter()
            self._lags.append(self._beat - before - LOOK)

    def watch(self) -> None:
        while True:
            time.sleep(LOOK)
            late = time.perf_counter() - self._beat - LOOK
            if late > LATE:
                self._note(late)

    def _note(self, late: float) -> None:
        """Where the main thread is; while it only waits, for its turn with the interpreter, where the others are."""
        frames = sys._current_frames()
        where = _named(frames.pop(self._main))
        if where.endswith("select"):
            frames.pop(threading.get_ident(), None)
            others = sorted(one for frame in frames.values() if not (one := _named(frame)).startswith("-"))
            where = "(waiting) " + " | ".join(others)
        times, longest = self._where.get(where, (0, 0.0))
        self._where[where] = (times + 1, max(longest, late))

    def write(self) -> None:
        lags = sorted(self._lags) or [0.0]
        told = {
            "beats": len(lags),
            "p50_ms": round(1000 * lags[len(lags) // 2], 1),
            "p99_ms": round(1000 * lags[int(len(lags) * 0.99)], 1),
            "max_ms": round(1000 * lags[-1], 1),
            "longest_collection_ms": round(1000 * max(self._collections), 1),
            "late": sorted(self._where.items(), key=lambda one: -one[1][1])[:25],
        }
        self._report.write_text(json.dumps(told, indent=1), encoding="utf-8")


def _named(frame: FrameType) -> str:
    """Our innermost line, and what it called."""
    stack = traceback.extract_stack(frame)
    ours = [one for one in stack if "/bot/" in one.filename or "/storage/" in one.filename]
    inner = stack[-1]
    named = f"{Path(ours[-1].filename).name}:{ours[-1].lineno} {ours[-1].name}" if ours else "-"
    return f"{named} > {Path(inner.filename).name}:{inner.lineno} {inner.name}"


def main() -> None:
    watchdog = Watchdog(Path(sys.argv.pop(1)))
    hearts: list[asyncio.Task[None]] = []
    begun = asyncio.Runner.run

    def run(self: asyncio.Runner, work: object, **options: object) -> object:
        async def beating() -> object:
            hearts.append(asyncio.create_task(watchdog.heart()))
            return await work  # type: ignore[misc]

        return begun(self, beating(), **options)  # type: ignore[arg-type]

    asyncio.Runner.run = run  # type: ignore[assignment,method-assign]
    threading.Thread(target=watchdog.watch, daemon=True).start()
    try:
        app(prog_name="ferry")
    finally:
        watchdog.write()


if __name__ == "__main__":
    main()
