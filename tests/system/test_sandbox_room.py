"""The sandbox as a process and as a server: it starts, guards its address, survives a killed bot, and stops cleanly.

reference: the sandbox's own rules (loopback only, token, Host and Origin); slack-platform.md §5 (reconnecting)
"""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest

from bot.sandbox.profiles import make_folder
from bot.sandbox.room import state
from bot.sandbox.room.command import play, served
from bot.sandbox.room.errors import PortTaken, SourceNotThere, StateInUse, StateNewer
from bot.sandbox.room.house import House, Plan, opened, opened_source
from bot.sandbox.room.keeping import Kept
from bot.sandbox.slack.client import SlackWorld
from bot.sources.base import SourceError
from tests.system.sandbox_story import ask_omnisend, count, newest, run, set_up

PROFILES = 300


@asynccontextmanager
async def _command(folder: Path) -> AsyncIterator[tuple[Process, str]]:
    """`ferry sandbox` over a few profiles, and the address that its first line says; it is told to stop at the end."""
    command = (sys.executable, "-m", "bot.cli", "sandbox", "--no-browser", "--port", "0", "--state", str(folder))
    options = ("--profiles", str(PROFILES))
    process = await asyncio.create_subprocess_exec(*command, *options, stdin=PIPE, stdout=PIPE)
    assert process.stdout is not None
    try:
        address = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
        assert address.startswith("http://127.0.0.1:")
        yield process, address
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def _page(address: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(address) as page:
        return await page.text()


def _running(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


async def test_the_command_serves_a_page_and_stops_with_everything_it_started(tmp_path: Path) -> None:
    async with _command(tmp_path) as (process, address):
        assert "not Slack" in await _page(address), "a page that is asked for early waits until all is there"
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 3, "two stand-ins and the bot"
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 30) == 0
        assert not _running(children)


async def test_a_second_sign_ends_what_hangs_and_the_loss_is_remembered(tmp_path: Path) -> None:
    async with _command(tmp_path) as (process, address):
        await _page(address)
        children = psutil.Process(process.pid).children(recursive=True)
        for child in children:
            child.suspend()
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        while "Stopping" not in (line := (await process.stdout.readline()).decode()):
            assert line
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 30) == 0
        assert not _running(children)
    assert Kept(tmp_path / "kept" / "slack.json").load(lambda _: None), "what the visitor is told at the next start"


def test_a_stand_in_that_has_saved_has_lost_nothing(tmp_path: Path) -> None:
    kept: list[dict[str, int]] = []
    assert not Kept(tmp_path / "some.json").load(kept.append)
    assert Kept(tmp_path / "some.json").load(kept.append), "the one before has not saved"
    Kept(tmp_path / "some.json").save({"messages": 3})
    assert not Kept(tmp_path / "some.json").load(kept.append)
    assert kept == [{"messages": 3}]


async def test_nothing_outlives_a_sandbox_that_is_killed(tmp_path: Path) -> None:
    async with _command(tmp_path) as (process, address):
        await _page(address)
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        await process.wait()
        gone, alive = await asyncio.to_thread(psutil.wait_procs, children, timeout=30)
        assert len(gone) >= 3
        assert alive == []


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"Port {port} can't be used \(Address already in use\).*--port"):
            await play(Plan(tmp_path), port=port, open_browser=False)


async def test_state_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "about.json").write_text('{"format": 99}')
    with pytest.raises(StateNewer, match=r"newer version.*--fresh"):
        await play(Plan(tmp_path), port=0, open_browser=False)
    assert set(await asyncio.to_thread(os.listdir, tmp_path)) == {"about.json", "lock"}


async def test_two_sandboxes_do_not_share_their_state(tmp_path: Path) -> None:
    with state.held(tmp_path) as folder:
        folder.tell("http://127.0.0.1:1/somewhere/")
        with pytest.raises(StateInUse, match=r"Another sandbox is running.*http://127\.0\.0\.1:1/somewhere/"):
            await play(Plan(tmp_path), port=0, fresh=True, open_browser=False)


async def test_a_fresh_start_forgets_only_what_a_sandbox_has_kept(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "kept").mkdir()
    (tmp_path / "token").write_text("old")
    with state.held(tmp_path) as folder:
        folder.clear()
    assert set(await asyncio.to_thread(os.listdir, tmp_path)) == {"notes.txt", "lock"}


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceNotThere, match=r"There is no folder .*nowhere.*or the word dataverse"):
        await play(Plan(tmp_path / "state", tmp_path / "nowhere"), port=0, open_browser=False)


async def test_a_folder_without_profiles_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"there is no profiles\.parquet, profiles\.csv or folder profiles in it"):
        await play(Plan(tmp_path / "state", tmp_path), port=0, open_browser=False)


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with opened(Plan(tmp_path_factory.mktemp("room"), profiles=PROFILES, time_scale=1000)) as made:
        yield made


@pytest.fixture
async def address(house: House) -> AsyncIterator[str]:
    async with served(house) as where:
        yield where


async def _status(address: str, method: str = "GET", **headers: str) -> int:
    async with aiohttp.ClientSession() as http, http.request(method, address, headers=headers) as answer:
        return answer.status


async def test_nothing_is_served_without_the_token(address: str) -> None:
    parts = urlsplit(address)
    assert await _status(address) == 200
    for path in ("/", "/guessed/", "/guessed/slack/state", "/web/js/main.js"):
        assert await _status(f"{parts.scheme}://{parts.netloc}{path}") == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:8642"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_other_pages_are_refused_even_with_the_token(address: str, headers: dict[str, str]) -> None:
    assert await _status(f"{address}house/switches/slack-away", "POST", **headers) == 403


async def test_only_the_page_itself_may_follow_what_happens(address: str) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(f"{address}live", origin=f"http://{urlsplit(address).netloc}") as socket:
            assert (await socket.receive_json())["from"]
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await http.ws_connect(f"{address}live", origin="https://evil.example")


async def test_the_page_may_load_and_run_nothing_from_elsewhere(address: str) -> None:
    async with aiohttp.ClientSession() as http, http.get(address) as page:
        policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy


@pytest.mark.parametrize("path", ["web/../room/guard.py", "web/%2e%2e/room/guard.py", "slack/reset", "omnisend/keys"])
async def test_only_what_the_page_needs_can_be_reached(address: str, path: str) -> None:
    assert await _status(f"{address}{path}") == 404


async def test_a_killed_bot_comes_back_and_answers(house: House, address: str) -> None:
    async with aiohttp.ClientSession() as http, SlackWorld(house.slack["url"]) as slack:
        async with http.post(f"{address}house/bot/kill") as answer:
            assert (await answer.json())["state"] == "killed"
        lost = await slack.person("ada").command("/ferry help", channel="marketing")
        assert not lost.acknowledged
        async with http.post(f"{address}house/bot/start") as answer:
            assert (await answer.json())["state"] == "running"
        assert (await slack.person("ada").command("/ferry help", channel="marketing")).acknowledged


async def test_a_key_is_revoked_and_restored(house: House) -> None:
    await house.troubles.turn("key-revoked", on=True)
    assert await ask_omnisend(house) == 401
    await house.troubles.turn("key-revoked", on=False)
    assert await ask_omnisend(house) == 200


async def test_switches_of_omnisend_add_up_and_go_one_by_one(house: House) -> None:
    async def faults() -> set[str]:
        async with house.http.get(f"{house.omnisend_control}/faults") as answer:
            return {fault["kind"] for fault in (await answer.json())["faults"]}

    await house.troubles.turn("omnisend-down", on=True)
    await house.troubles.turn("omnisend-busy", on=True)
    assert await faults() == {"503", "429"}
    await house.troubles.turn("omnisend-down", on=False)
    assert await faults() == {"429"}
    await house.troubles.turn("omnisend-busy", on=False)
    assert await faults() == set()


async def test_slack_goes_away_and_the_bot_finds_it_again(house: House) -> None:
    async with SlackWorld(house.slack["url"]) as slack:
        await house.troubles.turn("slack-away", on=True)
        await slack.connected(0)
        await house.troubles.turn("slack-away", on=False)
        await slack.connected(1, seconds=60)


async def _report(house: House) -> str:
    """Run the export; what the channel hears at its end."""
    async with SlackWorld(house.slack["url"]) as slack:
        ada = slack.person("ada")
        before = await count(ada, "is up to date")
        await run(ada)
        return await newest(ada, "is up to date", before)


async def test_a_workspace_outlives_a_restart_and_a_run_then_sends_nothing(tmp_path: Path) -> None:
    plan = Plan(tmp_path, profiles=PROFILES, time_scale=1000)

    async def stock(house: House) -> tuple[object, object]:
        async with house.http.get(f"{house.omnisend_control}/contacts?format=json") as answer:
            contacts = [{**one, "id": ""} for one in (await answer.json())["contacts"]]
        async with house.http.get(f"{house.omnisend_control}/segments") as answer:
            return contacts, [(one["segmentID"], one["members"]) for one in (await answer.json())["segments"]]

    async with opened(plan) as house:
        await set_up(house, "VIP")
        first = await _report(house)
        assert "*Added*\n0" not in first
        before = await stock(house)
    async with opened(plan) as house:
        assert await stock(house) == before
        async with SlackWorld(house.slack["url"]) as slack:
            assert (await slack.person("vera").message("is up to date", channel="marketing")).shown == first
        again = await _report(house)
        assert "*Added*\n0" in again
        assert "*Removed*\n0" in again


async def test_another_source_is_copied_and_the_visitor_is_told(tmp_path: Path) -> None:
    other = await asyncio.to_thread(make_folder, tmp_path / "other", count=40)
    made_up, notes = await opened_source(Plan(tmp_path / "state", profiles=PROFILES))
    assert notes == []
    assert (await made_up.describe())["profiles"] > 200
    copied, notes = await opened_source(Plan(tmp_path / "state", other))
    assert "The source was 300 made-up profiles" in notes[0]
    assert (await copied.describe())["profiles"] <= 40


async def test_the_page_is_told_when_the_data_changes(house: House, address: str) -> None:
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{address}live") as socket:

        async def told() -> dict[str, Any]:
            while True:
                message = await socket.receive_json()
                if message["from"] == "source":
                    return dict(message)

        before = await told()
        assert {one["name"] for one in before["segments"]} == {"VIP", "Newsletter", "重要客戶"}
        async with http.post(f"{address}house/source/leave") as answer:
            words = (await answer.json())["words"]
        after = await told()
        assert after["changes"][-1] == words
        assert after["profiles"] < before["profiles"]


async def test_a_page_that_can_not_be_told_any_more_hears_that_and_may_try_again(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        gone = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    broken = replace(house, omnisend={**house.omnisend, "control": gone})
    async with (
        served(broken) as address,
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{address}live") as following,
    ):
        while (await following.receive(timeout=30)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert following.closed
