"""The connect form: mistakes are answered at their field, what was typed stays, the key never comes back.

reference: slack-platform.md §3 (response_action errors and update; typed values stay where ids are unchanged)
"""

import asyncio
import json
import logging

import pytest

from bot.services.actor import Actor
from tests.scenario.conftest import Ferry, form, submit

WRONG_KEY = "0123456789abcdef01234567-ThisIsNotAKeyThatAnybodyHasEverMade"


async def test_the_consent_box_has_to_be_ticked(ferry: Ferry) -> None:
    await ferry.ada.command("/ferry connect")
    modal = await form(ferry.ada, "Connect Omnisend")
    await modal.fill({"Display name": "Shop", "Omnisend API key": ferry.omnisend.key})
    result = await modal.submit()
    assert list(result.errors) == ["agree"]


async def test_a_wrong_key_is_said_at_the_key_and_everything_typed_stays(ferry: Ferry) -> None:
    await ferry.ada.command("/ferry connect")
    modal = await form(ferry.ada, "Connect Omnisend")
    await modal.fill({"Display name": "Shop", "Omnisend API key": WRONG_KEY, "I agree": True})
    await submit(modal)
    screen = await ferry.ada.wait_for(lambda one: "does not accept this API key" in one.modal_text)
    assert screen.modal is not None
    values = screen.modal["state"]["values"]
    assert values["name"]["name"]["value"] == "Shop"
    assert values["agree"]["agree"]["selected_options"]
    blocks = screen.modal["blocks"]
    problem = next(n for n, block in enumerate(blocks) if "does not accept" in str(block))
    assert blocks[problem - 1]["block_id"] == "api_key"


async def test_a_key_without_a_permission_says_which(ferry: Ferry) -> None:
    weak = await ferry.omnisend.control("keys", {"brand": "other", "scopes": ["brands.read", "contacts.read"]})
    await ferry.ada.command("/ferry connect")
    modal = await form(ferry.ada, "Connect Omnisend")
    await modal.fill({"Display name": "Shop", "Omnisend API key": weak["key"], "I agree": True})
    await submit(modal)
    await ferry.ada.wait_for(lambda one: "contacts.write" in one.modal_text or "write" in one.modal_text)


async def test_mended_at_once_the_same_form_goes_on(ferry: Ferry) -> None:
    await ferry.ada.command("/ferry connect")
    modal = await form(ferry.ada, "Connect Omnisend")
    await modal.fill({"Display name": "Shop", "Omnisend API key": WRONG_KEY, "I agree": True})
    await submit(modal)
    await ferry.ada.wait_for(lambda one: "does not accept this API key" in one.modal_text)
    await modal.fill({"Omnisend API key": ferry.omnisend.key})
    await submit(modal)
    await ferry.ada.wait_for(lambda one: "Connected to" in one.modal_text)
    await submit(modal)
    await ferry.ada.modal("Connected")


async def test_a_name_that_is_taken_is_said_at_the_name(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.ada.command("/ferry connect")
    modal = await form(ferry.ada, "Connect Omnisend")
    await modal.fill({"Display name": "acme SHOP", "Omnisend API key": ferry.omnisend.key, "I agree": True})
    await submit(modal)
    await ferry.ada.wait_for(lambda one: "Connected to" in one.modal_text)
    await submit(modal)
    await ferry.ada.wait_for(lambda one: "There is a connection named *Acme Shop* already" in one.modal_text)


async def test_the_key_never_leaves_the_screen_it_was_typed_on(
    ferry: Ferry, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        await ferry.connect()
        await ferry.ada.command("/ferry connections")
        await ferry.ada.wait_for(lambda one: "Acme Shop" in one.modal_text)
    screen = await ferry.ada.screen()
    key = ferry.omnisend.key
    assert f"key ends in {key[-4:]}" in screen.modal_text
    assert key not in json.dumps(screen.modals)
    assert key not in json.dumps(await ferry.slack.calls())
    output = capsys.readouterr()
    assert key not in caplog.text + output.out + output.err
    stored = b"".join(path.read_bytes() for path in ferry.settings.data_dir.glob("ferry.sqlite3*"))
    assert key.encode() not in stored


async def test_submitting_twice_makes_one_connection(ferry: Ferry) -> None:
    await ferry.ada.command("/ferry connect")
    modal = await form(ferry.ada, "Connect Omnisend")
    await modal.fill({"Display name": "Shop", "Omnisend API key": ferry.omnisend.key, "I agree": True})
    await submit(modal)
    await ferry.ada.wait_for(lambda one: "Connected to" in one.modal_text)
    await asyncio.gather(modal.submit(), modal.submit(), return_exceptions=True)
    await ferry.ada.modal("Connected")
    everyone = Actor.command_line(ferry.settings.team_id)
    assert [each.name for each in await ferry.app.services.connections.visible(everyone)] == ["Shop"]
