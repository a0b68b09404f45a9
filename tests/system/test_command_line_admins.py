"""The way back for a workspace whose named admins have all left."""

from pathlib import Path

from bot.services.actor import Actor
from bot.services.people import People
from storage.database import Database
from tests.ferry import Ended, Ferry


def _said(ended: Ended) -> str:
    assert ended.status == 0, ended.stderr
    return " ".join((ended.stdout + ended.stderr).split())


async def test_named_admins_are_shown_and_can_be_left_to_slack_again(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    url = f"sqlite+aiosqlite:///{tmp_path / 'data' / 'ferry.sqlite3'}"
    ferry = Ferry(tmp_path / "data", {"FERRY_DATABASE_URL": url})
    database = Database(url)
    await database.open()
    await People(database).set_admins(Actor.command_line("T0HOME"), ["U0GONE", "U0LEFT"])
    await database.close()

    assert "by user id: U0GONE, U0LEFT" in _said(await ferry("admins"))
    assert "Slack's own admins and owners" in _said(await ferry("admins", "--leave-to-slack"))
