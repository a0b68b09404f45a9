"""Starting and stopping: tokens are checked first, a Slack that is away is waited for, nothing is left running.

reference: slack-platform.md §1 (auth.test), §5 (apps.connections.open; a client that retries for ever)
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE

import pytest
from pydantic import SecretStr

from bot.app import TokensMissing, running
from bot.sandbox.slack.client import SlackWorld
from bot.settings import Settings
from bot.slack.errors import TokenRefused
from tests.scenario.conftest import Start


async def test_without_tokens_the_sandbox_is_named(settings: Settings) -> None:
    bare = settings.model_copy(update={"slack_app_token": SecretStr("")})
    with pytest.raises(TokensMissing, match=r"no app-level token.*make sandbox"):
        async with running(bare):
            pass


@pytest.mark.parametrize(
    ("field", "token", "named"),
    [("slack_bot_token", "xoxb-0-0-wrong", "bot token"), ("slack_app_token", "xapp-0-0-wrong", "app-level token")],
)
async def test_a_wrong_token_is_named_at_once(settings: Settings, field: str, token: str, named: str) -> None:
    wrong = settings.model_copy(update={field: SecretStr(token)})
    with pytest.raises(TokenRefused, match=named):
        async with running(wrong):
            pass


async def test_a_slack_that_is_away_is_waited_for(settings: Settings, slack: SlackWorld) -> None:
    async with slack.fault("error", "auth.test", error="service_unavailable", times=2), running(settings):
        await slack.connected(2)


async def test_nothing_is_left_running(start: Start, slack: SlackWorld) -> None:
    before = asyncio.all_tasks()
    async with start() as ferry:
        await ferry.connect()
        await ferry.set_up()
        await ferry.carl.command("/ferry run newsletter", channel="marketing")
        await ferry.carl.message("is on its way", channel="marketing")
    await slack.connected(0)
    assert {task.get_name() for task in asyncio.all_tasks() - before} == set()


async def test_the_process_ends_well_when_it_is_told_to(settings: Settings, slack: SlackWorld) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "FERRY_DATA_DIR": str(settings.data_dir),
        "FERRY_SLACK_URL": settings.slack_url,
        "FERRY_SLACK_BOT_TOKEN": settings.slack_bot_token.get_secret_value(),
        "FERRY_SLACK_APP_TOKEN": settings.slack_app_token.get_secret_value(),
    }
    program = (
        "import asyncio; from bot.app import serve; from bot.settings import Settings; asyncio.run(serve(Settings()))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env=environment, stdout=PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        await slack.connected(2, seconds=20)
        process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.wait_for(process.communicate(), 10)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output.decode()
    assert b"Traceback" not in output
