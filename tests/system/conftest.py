"""What tests of the command line start from: one emulator and one prepared data folder, a copy of it for each test."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.ferry import Ferry
from tests.processes import emulator
from tests.system.command_line_world import Shop, Tables


@dataclass(frozen=True)
class Prepared:
    folder: Path
    omnisend: dict[str, Any]


def installation(folder: Path, omnisend: dict[str, Any]) -> Shop:
    settings = {"FERRY_SOURCE": str(folder / "source"), "FERRY_OMNISEND_URL": omnisend["url"]}
    return Shop(Ferry(folder / "data", settings), Tables(folder / "source"), omnisend)


@pytest.fixture(scope="session")
async def prepared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prepared]:
    folder = tmp_path_factory.mktemp("prepared")
    async with emulator("bot.sandbox.omnisend", "--rate-limit", "0", "--time-scale", "60") as omnisend:
        shop = installation(folder, omnisend)
        shop.tables.profiles(shop.tables.people(6))
        shop.tables.members("VIP", [f"p{n}" for n in range(1, 7)])
        connected = await shop.with_settings(FERRY_API_KEY=shop.key)("connection", "add", "Shop", "--agree")
        assert connected.status == 0, connected.stderr
        saved = await shop.ferry(
            "export", "add", "Spring", "--connection", "Shop", "--segment", "VIP", "--map", "email=Email",
            "--map", "firstName=First"
        )  # fmt: skip
        assert saved.status == 0, saved.stderr
        yield Prepared(folder, omnisend)


@pytest.fixture
async def shop(prepared: Prepared, tmp_path: Path) -> Shop:
    """An installation of its own, and an Omnisend with nothing in it."""
    shutil.copytree(prepared.folder, tmp_path, dirs_exist_ok=True)
    copy = installation(tmp_path, prepared.omnisend)
    await copy.post("reset")
    return copy
