"""`ferry doctor` in each state, and settings that can't be, as a person who sets things up meets them.

Holds the command against the issue: doctor "says what is configured, reachable and missing"; a setting that can't be
used is named with what to write instead, and nothing is started (exit status 2).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from bot.sandbox.process import LOOPBACK
from tests.ferry import Ended, Ferry
from tests.processes import emulator
from tests.system.command_line_world import answer_of, in_this_process
from tests.system.conftest import Prepared, installation

TOKENS = {"SLACK_BOT_TOKEN": "xoxb-wrong-token", "SLACK_APP_TOKEN": "xapp-wrong-token"}
NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody answers


@pytest.fixture(scope="module")
async def states(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """What doctor says in each state of an installation."""
    fresh = tmp_path_factory.mktemp("doctor")
    shop = installation(prepared.folder, prepared.omnisend)
    async with emulator("bot.sandbox.slack") as slack, _some_web_page() as page:
        real = {"SLACK_BOT_TOKEN": slack["bot_token"], "SLACK_APP_TOKEN": slack["app_token"]}
        at_slack = {"FERRY_SLACK_URL": slack["api_url"]}
        ferries = {
            "nothing set": Ferry(fresh / "data", {"FERRY_OMNISEND_URL": prepared.omnisend["url"]}),
            "all fine": shop.with_settings(**at_slack, **real),
            "wrong bot token": shop.with_settings(**at_slack, **TOKENS),
            "wrong app token": shop.with_settings(**at_slack, **real | {"SLACK_APP_TOKEN": TOKENS["SLACK_APP_TOKEN"]}),
            "nobody there": shop.with_settings(
                FERRY_SLACK_URL=f"{NOWHERE}/api/", FERRY_OMNISEND_URL=f"{NOWHERE}/api", **real
            ),
            "another page": shop.with_settings(
                FERRY_OMNISEND_URL=page, FERRY_SOURCE=str(fresh / "gone"), SLACK_BOT_TOKEN=TOKENS["SLACK_BOT_TOKEN"]
            ),
        }
        answers = {state: await in_this_process(ferry, "doctor") for state, ferry in ferries.items()}
    assert not (fresh / "data").exists(), "looking leaves nothing behind"
    return answers


@asynccontextmanager
async def _some_web_page() -> AsyncIterator[str]:
    """A web server that is no Omnisend: every path is a friendly page."""

    async def welcome(_: web.Request) -> web.Response:
        return web.Response(text="<h1>It works!</h1>", content_type="text/html")

    site = web.Application()
    site.router.add_get("/{path:.*}", welcome)
    runner = web.AppRunner(site)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, 0).start()
        yield f"http://{LOOPBACK}:{runner.addresses[0][1]}/api"
    finally:
        await runner.cleanup()


def line(states: dict[str, Ended], state: str, about: str) -> str:
    """What doctor says about one thing."""
    (found,) = [line for line in states[state].stdout.splitlines() if f"  {about}  " in line]
    return " ".join(found.split())


def test_with_nothing_set_doctor_says_what_to_set_and_finds_nothing_broken(states: dict[str, Ended]) -> None:
    answer_of(states["nothing set"], 0)
    assert line(states, "nothing set", "Storage").startswith("not set Storage nothing is stored yet")
    assert "set FERRY_SOURCE to a folder with profiles and segments" in line(states, "nothing set", "Source")
    assert "set FERRY_SLACK_BOT_TOKEN (xoxb-…) and FERRY_SLACK_APP_TOKEN (xapp-…)" in line(
        states, "nothing set", "Slack"
    )
    assert line(states, "nothing set", "Omnisend").startswith("ok ")


def test_with_everything_in_place_doctor_counts_and_names_it(states: dict[str, Ended]) -> None:
    answer_of(states["all fine"], 0)
    assert "1 connection, 1 export; secrets are sealed with a key file" in line(states, "all fine", "Storage")
    assert "2 fields (Email, First), 1 segment (VIP)" in line(states, "all fine", "Source")
    assert "answers; it allows a brand any number of requests" in line(states, "all fine", "Omnisend")
    assert "both tokens are good" in line(states, "all fine", "Slack")
    assert states["all fine"].stdout.count("ok  ") == 4


@pytest.mark.parametrize(
    ("state", "token"), [("wrong bot token", "bot token"), ("wrong app token", "app-level token (xapp-…)")]
)
def test_a_token_that_slack_refuses_is_named_and_not_shown(states: dict[str, Ended], state: str, token: str) -> None:
    told = answer_of(states[state], 1)
    assert f"broken Slack Slack does not accept the {token} (invalid_auth)." in line(states, state, "Slack")
    assert "Copy the token again from the app's settings" in told
    assert "wrong-token" not in told


def test_an_omnisend_or_slack_that_nobody_reaches_is_told_with_what_to_check(states: dict[str, Ended]) -> None:
    answer_of(states["nobody there"], 1)
    omnisend, slack = line(states, "nobody there", "Omnisend"), line(states, "nobody there", "Slack")
    assert f"broken Omnisend {NOWHERE}/api can't be reached" in omnisend
    assert "Check the network, any proxy on the way, and FERRY_OMNISEND_URL" in omnisend
    assert f"broken Slack {NOWHERE}/api/ can't be reached." in slack


def test_something_that_is_no_omnisend_is_not_taken_for_it(states: dict[str, Ended]) -> None:
    answer_of(states["another page"], 1)
    assert "answers with status 200, as Omnisend would not." in line(states, "another page", "Omnisend")


def test_a_source_that_is_gone_is_broken_and_storage_is_not(states: dict[str, Ended]) -> None:
    assert "broken Source The profiles can't be read: the folder gone is not there." in line(
        states, "another page", "Source"
    )
    assert line(states, "another page", "Storage").startswith("ok ")


def test_a_token_alone_is_told_to_lack_its_fellow(states: dict[str, Ended]) -> None:
    assert line(states, "another page", "Slack").startswith("not set Slack set FERRY_SLACK_APP_TOKEN (xapp-…);")


# --- settings


BAD = {
    "FERRY_OMNISEND_RATE": ("abc", "a rate looks like 400/60 (requests/seconds)"),
    "FERRY_OMNISEND_SHARE": ("2", "less than or equal to 1"),
    "FERRY_OMNISEND_URL": ("omnisend.com", "a web address begins with https://"),
    "FERRY_MEMORY_MB": ("1", "greater than or equal to 64"),
    "FERRY_MAX_PROFILES": ("many", "valid integer"),
    "FERRY_SWEEP_SECONDS": ("soon", "a list such as [5, 60]"),
    "FERRY_SECRET_KEYS": ("s3cret-value", "each key is 32 bytes in URL-safe base64"),
    "FERRY_DATABASE_URL": ("postgresql://db/ferry", "sqlite+aiosqlite:///"),
    "FERRY_DATAVERSE_URL": ("contoso.crm4.dynamics.com", "an environment's address begins with https://"),
    "FERRY_DATAVERSE_CA": ("/no/such/file.pem", "there is no such file"),
    "FERRY_HOOK_PORT": ("70000", "less than or equal to 65535"),
    "FERRY_LOG_LEVEL": ("loud", "choose DEBUG, INFO, WARNING"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_setting_that_cannot_be_is_named_with_what_to_write_and_nothing_starts(
    name: str, tmp_path: Path
) -> None:
    value, advice = BAD[name]
    told = answer_of(await in_this_process(Ferry(tmp_path / "data", {name: value}), "doctor"), 2)
    assert told.startswith(f"{name} can't be used: ")
    assert advice in told
    assert "Nothing was started." in told
    assert "s3cret" not in told
    assert not (tmp_path / "data").exists()


async def test_a_bad_setting_ends_the_program_itself_with_status_2(tmp_path: Path) -> None:
    ended = await Ferry(tmp_path / "data", {"FERRY_OMNISEND_RATE": "abc"})("export", "list")
    assert answer_of(ended, 2).startswith("FERRY_OMNISEND_RATE can't be used: a rate looks like 400/60")
