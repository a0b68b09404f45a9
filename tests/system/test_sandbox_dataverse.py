"""`ferry sandbox --source dataverse`: signing in backstage, exporting, changing the data, and starting again.

reference: customer-insights.md §5 (device code), §8 (segment memberships)
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.room.house import House, Plan, opened
from bot.sandbox.room.insights import InsightsData, insights
from bot.sandbox.room.source import ChangeFailed, NoSuchChange
from bot.sandbox.slack.client import SlackWorld
from tests.scenario.conftest import form, submit
from tests.system.sandbox_story import add_export, newest, run

DONE = "is up to date at Omnisend"


async def _waiting_code(house: House) -> str:
    """The code that waits for an answer, once the page is told of it."""
    with house.source.bell.listening() as heard:
        async with asyncio.timeout(30):
            while not (codes := (await house.source.describe())["sign_in"]["codes"]):
                await heard.wait()
                heard.clear()
    return str(codes[0])


async def _connect(house: House) -> None:
    async with SlackWorld(house.slack["url"]) as slack:
        ada = slack.person("ada")
        await ada.command("/ferry connect", channel="marketing")
        modal = await form(ada, "Connect Omnisend")
        await modal.fill({"Display name": "Shop", "Omnisend API key": house.omnisend["key"], "I agree": True})
        await ada.click("Add yourself as export user")
        code, person = await _waiting_code(house), "ada.export@contoso.example"
        await house.source.sign_in(code, person, "approve")
        await ada.wait_for(lambda one: f"Signed in as *{person}*, who can read" in one.modal_text, 30)
        await ada.close()
        await ada.wait_for(lambda one: f"Signed in as *{person}*." in one.modal_text)
        await submit(await form(ada, "Connect Omnisend"))
        await ada.wait_for(lambda one: "Save to finish" in one.modal_text)
        await ada.submit()
        await ada.modal("Connected")
        await ada.close(everything=True)


def _members(described: dict[str, Any]) -> dict[str, int]:
    return {one["name"]: one["members"] for one in described["segments"]}


async def test_customer_insights_is_tried_as_in_life_and_its_data_outlives_a_restart(tmp_path: Path) -> None:
    plan = Plan(tmp_path, profiles=300, time_scale=500, dataverse=True)
    async with opened(plan) as house, SlackWorld(house.slack["url"]) as slack:
        ada = slack.person("ada")
        assert isinstance(house.source, InsightsData)
        await _connect(house)
        await add_export(ada, "VIP")
        await run(ada)
        assert "*Added*\n0\n" not in await newest(ada, DONE)
        url = house.source.told["url"]
        before = _members(await house.source.describe())
        for change in ("join", "leave", "edit", "break", "exodus"):
            assert await house.source.change(change)
        after = _members(await house.source.describe())
        assert after["VIP"] < before["VIP"] / 2
        with pytest.raises(NoSuchChange):
            await house.source.change("reset")
        with pytest.raises(ChangeFailed, match="stand-in of Dataverse refused"):
            await house.source.sign_in("NO-CODE", "ada.export@contoso.example", "approve")
        await run(ada)
        assert "*VIP* fell from" in await newest(ada, "please look before anything is sent")
    async with insights(tmp_path / "kept" / "dataverse.json", plan.profiles) as data:
        assert _members(await data.describe()) == after
        assert data.told["url"] == url, "the address by which the bot knows the environment"
