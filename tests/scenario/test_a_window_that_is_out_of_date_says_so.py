"""Two people edit one thing, or one person clicks twice: nothing is undone unseen, and everything is done once.

reference: slack-platform.md §3 (submissions), §14 (modals that outlived their meaning)
"""

import asyncio
from typing import Any

import pytest
from sqlmodel import select

from bot.slack.segments import look_at_segments
from storage.models import Connection, Consent, Export
from tests.scenario.conftest import Ferry, form, submit


async def _rows(ferry: Ferry, model: type) -> list[object]:
    async with ferry.app.database.read() as session:
        return list((await session.exec(select(model))).all())


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def test_an_export_that_was_saved_meanwhile_is_not_undone(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry edit newsletter")
    older = await form(ferry.carl, "Edit export")
    await ferry.ada.command("/ferry edit newsletter")
    newer = await form(ferry.ada, "Edit export")
    await newer.fill({"Name": "Autumn"})
    await submit(newer)
    await ferry.ada.modal("Saved")
    await older.fill({"Name": "Winter"})
    await submit(older)
    await ferry.carl.wait_for(lambda one: "*Autumn* was changed since this window was opened" in one.modal_text)
    await ferry.carl.click("Open it again")
    again = await form(ferry.carl, "Edit export")
    assert again.values["name:0"]["name"]["value"] == "Autumn"


async def test_a_detached_export_is_not_attached_again_by_an_older_window(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry edit newsletter")
    older = await form(ferry.carl, "Edit export")
    await ferry.ada.command("/ferry detach newsletter")
    await ferry.ada.message("is detached")
    await submit(older)
    # Detached, it is its owner's alone, who is Carl: but not what he saw.
    await ferry.carl.wait_for(lambda one: "was changed since this window was opened" in one.modal_text)


async def test_an_export_that_was_removed_meanwhile_is_not_made_again(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry edit newsletter")
    older = await form(ferry.carl, "Edit export")
    (connection,) = await ferry.app.services.exports.visible(await ferry.actor("ada"))
    await ferry.app.services.exports.remove(await ferry.actor("ada"), connection.export.id or 0)
    await submit(older)
    await ferry.carl.wait_for(lambda one: "This export is no longer there" in one.modal_text)
    assert await _rows(ferry, Export) == []


async def test_a_connection_that_was_shared_meanwhile_is_not_unshared_unseen(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.ada.command("/ferry connections")
    await ferry.ada.wait_for(lambda one: "Acme Shop" in one.modal_text)
    await ferry.ada.click("Edit, share")
    older = await form(ferry.ada, "Edit connection")
    (connection,) = await ferry.app.services.connections.visible(await ferry.actor("ada"))
    await ferry.app.services.connections.edit(
        await ferry.actor("ada"), connection.id or 0, name="Renamed", audience=connection.audience
    )
    await submit(older)
    await ferry.ada.wait_for(lambda one: "*Renamed* was changed since this window was opened" in one.modal_text)


async def test_a_double_submit_connects_once(ferry: Ferry) -> None:
    await ferry.ada.command("/ferry connect")
    modal = await form(ferry.ada, "Connect Omnisend")
    await modal.fill({"Display name": "Shop", "Omnisend API key": ferry.omnisend.key, "I agree": True})
    await submit(modal)
    await ferry.ada.wait_for(lambda one: "Save to finish" in one.modal_text)
    await asyncio.gather(modal.submit(), modal.submit())
    await ferry.ada.modal("Connected")
    assert (len(await _rows(ferry, Connection)), len(await _rows(ferry, Consent))) == (1, 1)


async def test_what_is_found_late_does_not_cover_what_says_that_it_was_saved(
    ferry: Ferry, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ferry.connect()
    await ferry.carl.command("/ferry export Newsletter")
    modal = await form(ferry.carl, "New export")
    saved = asyncio.Event()
    looking: list[asyncio.Task[Any]] = []

    async def late(*arguments: Any) -> list[str]:
        looking.append(_this_task())
        await saved.wait()
        return await look_at_segments(*arguments)  # which finds that an export has these segments: this one

    monkeypatch.setattr("bot.slack.configure.look_at_segments", late)
    await modal.fill({"Segments": ["VIP"]})
    await submit(modal)
    await ferry.carl.modal("Saved")
    saved.set()
    await asyncio.wait(looking)
    assert "is saved. Nothing was sent." in (await ferry.carl.modal("Saved")).text


async def test_a_later_look_at_the_segments_is_not_undone_by_an_earlier_one(
    ferry: Ferry, monkeypatch: pytest.MonkeyPatch
) -> None:
    ferry.source.segment("Nobody", [])
    await ferry.connect()
    await ferry.carl.command("/ferry export Newsletter")
    modal = await form(ferry.carl, "New export")
    overtaken = asyncio.Event()
    looking: list[asyncio.Task[Any]] = []

    async def late(*arguments: Any) -> list[str]:
        looking.append(_this_task())
        warnings = await look_at_segments(*arguments)
        if len(looking) == 1:
            await overtaken.wait()
        return warnings

    monkeypatch.setattr("bot.slack.configure.look_at_segments", late)
    await modal.fill({"Segments": ["Nobody"]})
    await modal.fill({"Segments": ["VIP"]})
    await asyncio.wait(looking[1:])
    overtaken.set()
    await asyncio.wait(looking)
    assert "has no members" not in (await ferry.carl.modal("New export")).text


async def test_a_double_submit_saves_an_export_once(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.carl.command("/ferry export Newsletter")
    modal = await form(ferry.carl, "New export")
    await modal.fill({"Segments": ["VIP"]})
    await asyncio.gather(modal.submit(), modal.submit())
    await ferry.carl.modal("Saved")
    assert len(await _rows(ferry, Export)) == 1
