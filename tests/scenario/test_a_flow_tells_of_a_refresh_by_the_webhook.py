"""The refresh webhook from its token in a window to the exports that a call starts.

reference: customer-insights.md §4 (a Power Automate flow calls after a scheduled refresh)
"""

import re
import socket

import httpx
import pytest

from bot.settings import Settings
from storage.models import When
from tests.scenario.conftest import Ferry, form


@pytest.fixture
def settings(settings: Settings) -> Settings:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return settings.model_copy(update={"hook_port": free.getsockname()[1]})


async def token_address(ferry: Ferry, button: str) -> str:
    await ferry.ada.click(button, confirm=button != "Make a token")
    screen = await ferry.ada.wait_for(lambda one: "It is shown only now" in one.modal_text)
    found = re.search(r"http://\S+/hooks/refresh/[\w-]+", screen.modal_text)
    assert found
    return found[0]


async def opened(ferry: Ferry) -> None:
    await ferry.ada.command("/ferry refresh")
    await form(ferry.ada, "Refresh schedule")
    await ferry.ada.click("Refresh webhook")
    await ferry.ada.wait_for(lambda one: "a flow in Power Automate" in one.modal_text)


async def call(address: str) -> int:
    async with httpx.AsyncClient(trust_env=False) as http:
        return (await http.post(address)).status_code


async def test_a_call_with_the_token_starts_the_exports_that_run_with_each_refresh(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up(when=When.REFRESH)
    await opened(ferry)
    address = await token_address(ferry, "Make a token")
    await ferry.ada.close(everything=True)
    assert await call(address) == 200
    await ferry.vera.message("*Newsletter* is up to date", channel="marketing")
    await opened(ferry)
    await ferry.ada.wait_for(lambda one: "Last told of a refresh" in one.modal_text)


async def test_a_replaced_token_is_refused_and_so_is_one_that_was_removed(ferry: Ferry) -> None:
    await opened(ferry)
    first = await token_address(ferry, "Make a token")
    await ferry.ada.close(everything=True)
    await opened(ferry)
    second = await token_address(ferry, "Replace the token")
    assert second != first
    assert await call(first) == 404
    assert await call(second) == 200
    await ferry.ada.close(everything=True)
    await opened(ferry)
    await ferry.ada.click("Remove", confirm=True)
    await ferry.ada.wait_for(lambda one: "There is no token yet" in one.modal_text)
    assert await call(second) == 404
