"""How soon Slack hears from the bot while an export is running: `python -m tests.bench.ack_speed [PROFILES]`.

The bot is a process of its own beside the emulators of Slack and Omnisend, both without limits: the export goes as fast
as it can, which is the hardest case for everybody else on the loop. Meanwhile a person types commands. Two times count
(issue 3 asks for p99 below 100 and 500 ms): from the command to its acknowledgement, and to the modal that it opens.
"""

import asyncio
import json
import os
import signal
import sqlite3
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL
from contextlib import closing
from pathlib import Path

from bot.sandbox.profiles import make_folder
from bot.sandbox.slack.client import SlackWorld
from tests.ferry import Ferry
from tests.processes import emulator

PAUSE = 0.1  # seconds between two commands
ROOT = Path(__file__).parents[2]


def p99(values: list[float]) -> str:
    ordered = sorted(values)
    middle, high, most = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)], ordered[-1]
    return f"p50 {1000 * middle:.0f} ms, p99 {1000 * high:.0f} ms, max {1000 * most:.0f} ms ({len(ordered)} commands)"


async def type_commands(slack: SlackWorld, done: asyncio.Event) -> tuple[list[float], list[float]]:
    """Type until the run is over; seconds to each acknowledgement, and to each modal."""
    ada = slack.person("ada")
    modals: list[float] = []
    known = len(await slack.deliveries())
    while not done.is_set():
        calls = len(await slack.calls("views.open"))
        began = time.time()
        await ada.command("/ferry refresh")
        while len(opened := await slack.calls("views.open")) == calls:  # noqa: ASYNC110  the emulator has no wait for it
            await asyncio.sleep(0.02)
        modals.append(opened[-1]["time"] - began)
        await ada.close(everything=True)
        await asyncio.sleep(PAUSE)
    commands = [one for one in (await slack.deliveries())[known:] if one["kind"] == "slash_commands"]
    return [one["seconds"] for one in commands if one["outcome"] == "acknowledged"], modals


async def main(profiles: int) -> None:
    print(f"load average before: {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    slack_options = ("--rate-limits", "off", "--manifest", str(ROOT / "manifest.yml"))
    omnisend_options = ("--port", "0", "--rate-limit", "0", "--batch-delay", "0")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = make_folder(folder / "source", count=profiles)
        (source / "segments" / "All.sql").write_text("SELECT CustomerId FROM profiles\n")
        async with (
            emulator("bot.sandbox.slack", *slack_options) as told,
            emulator("bot.sandbox.omnisend", *omnisend_options) as omnisend,
            SlackWorld(told["url"]) as slack,
        ):
            settings = {
                "FERRY_SOURCE": str(source),
                "FERRY_OMNISEND_URL": omnisend["url"],
                "FERRY_SLACK_URL": told["api_url"],
                "FERRY_SLACK_BOT_TOKEN": told["bot_token"],
                "FERRY_SLACK_APP_TOKEN": told["app_token"],
                "FERRY_TEAM_ID": told["team_id"],
                "FERRY_API_KEY": omnisend["key"],
                "FERRY_SWEEP_SECONDS": "[5,60]",
                "FERRY_LOG_LEVEL": "ERROR",
            }
            ferry = Ferry(folder / "data", settings)
            await ferry("connection", "add", "Shop", "--agree")
            maps = ("email=Email", "firstName=FirstName", "lastName=LastName", "city=City", "country=Country")
            mapping = [part for one in maps for part in ("--map", one)]
            await ferry("export", "add", "X", "--connection", "Shop", "--segment", "All", *mapping)
            await measure(ferry, slack, folder / "lag.json")


def run_is_over(data: Path) -> bool:
    with closing(sqlite3.connect(data / "ferry.sqlite3")) as database:
        states = database.execute("SELECT status FROM run").fetchall()
    return bool(states) and all(state not in ("queued", "running") for (state,) in states)


async def measure(ferry: Ferry, slack: SlackWorld, lag: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.watched", str(lag), "serve", env=ferry.environment, stdout=DEVNULL
    )
    try:
        await slack.connected(2)
        ada = slack.person("ada")
        idle = asyncio.Event()
        asyncio.get_running_loop().call_later(10, idle.set)
        acks, modals = await type_commands(slack, idle)
        print(f"idle: ack {p99(acks)}; modal {p99(modals)}")
        done = asyncio.Event()
        await ada.command("/ferry run X")
        began = time.perf_counter()
        typing = asyncio.create_task(type_commands(slack, done))
        while not run_is_over(ferry.data):  # noqa: ASYNC110  another process writes it
            await asyncio.sleep(0.5)
        took = time.perf_counter() - began
        done.set()
        acks, modals = await typing
        print(f"while an export runs ({took:.0f} s): ack {p99(acks)}; modal {p99(modals)}")
        print(f"load average after: {os.getloadavg()[0]:.1f}")
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()
    told = json.loads(await asyncio.to_thread(lag.read_text, encoding="utf-8"))
    print(
        "the loop was late by",
        {name: told[name] for name in ("beats", "p50_ms", "p99_ms", "max_ms", "longest_collection_ms")},
    )
    for where, (times, longest) in told["late"]:
        print(f"{times:6} times, up to {1000 * longest:4.0f} ms: {where}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000))
