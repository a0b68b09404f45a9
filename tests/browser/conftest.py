"""The sandbox's page in a real Chromium, over the bot and the stand-ins of the scenarios.

One browser a session, one context a test. Each test ends by looking whether the page complained.
"""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from bot.sandbox.room.bell import Bell
from bot.sandbox.room.bot_process import BotProcess
from bot.sandbox.room.command import served
from bot.sandbox.room.house import House, Plan
from bot.sandbox.room.source_data import SourceData
from bot.sandbox.room.trouble import Troubles
from bot.sandbox.slack.client import SlackWorld
from tests.browser.any_app import AnyApp
from tests.scenario.conftest import (
    Ferry,
    Json,
    Omnisend,
    Source,
    ferry,
    new_database,
    omnisend,
    omnisend_process,
    settings,
    slack,
    slack_process,
    source,
    start,
)

__all__ = [
    "ferry",
    "new_database",
    "omnisend",
    "omnisend_process",
    "settings",
    "slack",
    "slack_process",
    "source",
    "start",
]

PATIENCE = 15_000  # milliseconds that an expectation waits; the bot answers in one second at most
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The machine's own Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("the browser tests need Chromium, and this machine has none (apt-get install chromium)")
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=path)
        yield running
        await running.close()


@asynccontextmanager
async def room_over(slack: Json, omnisend: Json, folder: Path, original: Path, copy: Path) -> AsyncIterator[House]:
    """A house whose bot runs elsewhere, so there is none to stop or kill."""
    await asyncio.to_thread(folder.mkdir)
    bell = Bell()

    async def connected() -> None:
        return

    bot = BotProcess({}, folder / "bot.log", bell, connected)
    bot.state = "running"
    async with aiohttp.ClientSession(trust_env=False) as http:
        troubles = Troubles(http, f"{slack['url']}/_control", omnisend["control"], omnisend["key"], bell)
        data = SourceData(original, copy)
        yield House(Plan(folder), slack, omnisend, bot, data, troubles, http, bell)


@pytest.fixture
async def house(ferry: Ferry, slack_process: Json, omnisend_process: Json, tmp_path: Path) -> AsyncIterator[House]:
    """The house around the scenario's bot; its source is the scenario's."""
    original = tmp_path / "original"
    await asyncio.to_thread(shutil.copytree, ferry.source.folder, original)
    async with room_over(slack_process, omnisend_process, tmp_path / "room", original, ferry.source.folder) as made:
        yield made


@pytest.fixture
async def bare_house(
    slack: SlackWorld, slack_process: Json, omnisend: Omnisend, source: Source, tmp_path: Path
) -> AsyncIterator[House]:
    """A house without a bot: the test itself is the app."""
    folder = source.folder
    async with room_over(slack_process, omnisend.told, tmp_path / "room", folder, folder) as made:
        yield made


@pytest.fixture
async def app(slack: SlackWorld, slack_process: Json) -> AsyncIterator[AnyApp]:
    """The app of a house without a bot."""
    async with AnyApp(slack_process) as app:
        await app.connect()
        yield app


@pytest.fixture
async def open_shown(browser: Browser, bare_house: House) -> AsyncIterator["Open"]:
    """Open the page of a house without a bot, as `open_screen` does."""
    async with screens(browser, bare_house) as opener:
        yield opener


@pytest.fixture
async def shown(open_shown: "Open") -> "Screen":
    """The page of a house without a bot."""
    return await open_shown()


@dataclass
class Screen:
    """Somebody at the page."""

    page: Page

    @property
    def box(self) -> Locator:
        """The box for commands and messages."""
        return self.page.get_by_role("combobox", name=re.compile("^Message "))

    @property
    def modal(self) -> Locator:
        """The open modal."""
        return self.page.get_by_role("dialog")

    @property
    def question(self) -> Locator:
        """What a button asks before it does anything."""
        return self.page.get_by_role("alertdialog")

    def message(self, text: str) -> Locator:
        """The newest message that says this."""
        return self.page.locator(".message").filter(has_text=text).last

    async def command(self, text: str) -> None:
        await self.box.fill(text)
        await self.box.press("Enter")

    async def become(self, name: str) -> None:
        """Switch to another person."""
        people = self.page.get_by_role("radiogroup", name="You are")
        await people.get_by_role("radio", name=re.compile(f"^{re.escape(name.split(' (')[0])} ")).check()

    async def go(self, place: str) -> None:
        """Go to a channel, or to the app."""
        await self.page.get_by_role("navigation").get_by_role("button", name=place).click()

    async def titled(self, title: str) -> Locator:
        """The modal of this title, once its fields or texts are there."""
        await expect(self.modal.get_by_role("heading", name=title)).to_be_visible()
        await expect(self.modal).not_to_contain_text("One moment…")
        return self.modal

    async def pick(self, label: str, *options: str) -> None:
        """Choose in a select, as with a mouse."""
        box = self.modal.get_by_role("combobox", name=label)
        await box.click()
        for option in options:
            await self.modal.get_by_role("option", name=option).click()
        if await box.get_attribute("aria-expanded") == "true":  # a box for several stays open
            await box.press("Escape")

    async def submit(self, name: str) -> None:
        await self.modal.get_by_role("button", name=name, exact=True).click()

    async def close(self) -> None:
        """Close all modals."""
        await self.modal.get_by_role("button", name="Close all").click()
        await expect(self.modal).to_be_hidden()


Open = Callable[..., Awaitable[Screen]]


@pytest.fixture
async def open_screen(browser: Browser, house: House) -> AsyncIterator[Open]:
    """Open the page, with options for the browser's context; at the end nothing may have gone wrong in it."""
    async with screens(browser, house) as opener:
        yield opener


@pytest.fixture
async def screen(open_screen: Open) -> Screen:
    """The page, on an ordinary desktop, at #marketing as Ada."""
    return await open_screen()


@asynccontextmanager
async def screens(browser: Browser, house: House) -> AsyncIterator[Open]:
    complaints: list[str] = []
    contexts: list[Any] = []
    async with served(house) as address:

        async def opened(**options: Any) -> Screen:
            context = await browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
            contexts.append(context)
            page = await context.new_page()
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
            await page.goto(address)
            screen = Screen(page)
            await expect(screen.box).to_be_visible()
            return screen

        yield opened
        for context in contexts:
            await context.close()
    assert complaints == []
