"""The error boundary: modal → in the modal, message → beside it; with a reference that also stands in the log.

reference: slack-platform.md §3 (interaction rules), §14 (never log what people typed)
"""

import re
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.scenario.conftest import Ferry, form, submit


class Broken(Exception):
    """Nobody foresaw it, and it quotes somebody."""


async def _break(*_: Any, **__: Any) -> Any:
    raise Broken("while handling ann.lee@example.com with xoxb-123456-abcdef")


def _reference(text: str) -> str:
    found = re.search(r"F-[2-9A-Z]{4}", text)
    assert found is not None, text
    return found[0]


def _logged(logs: list[Any], reference: str) -> str:
    entry = next(one for one in logs if one.get("reference") == reference)
    assert "ann.lee" not in str(entry)
    assert "xoxb" not in str(entry)
    return str(entry["traceback"])


async def test_after_a_command_the_error_stands_beside_it(ferry: Ferry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(ferry.app.services.runs), "active", _break)
    with capture_logs() as logs:
        await ferry.carl.command("/ferry status")
        answer = await ferry.carl.message("Something unexpected went wrong")
    assert answer.ephemeral
    assert "Broken" in _logged(logs, _reference(answer.shown))
    assert "example.com" not in answer.shown


async def test_in_a_modal_the_error_stands_in_the_modal(ferry: Ferry, monkeypatch: pytest.MonkeyPatch) -> None:
    await ferry.connect()
    await ferry.set_up()
    monkeypatch.setattr(type(ferry.app.services.runs), "preview", _break)
    with capture_logs() as logs:
        await ferry.carl.command("/ferry preview newsletter")
        screen = await ferry.carl.wait_for(lambda one: "Something unexpected went wrong" in one.modal_text)
    assert _logged(logs, _reference(screen.modal_text))


async def test_an_error_within_a_form_lies_on_top_and_the_form_keeps_what_was_typed(
    ferry: Ferry, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ferry.connect()
    await ferry.carl.command("/ferry export Newsletter")
    modal = await form(ferry.carl, "New export")
    await modal.fill({"Name": "Typed by hand"})
    monkeypatch.setattr(type(ferry.app.services.exports), "choices", _break)
    await ferry.carl.choose("Connection", "Acme Shop")
    await ferry.carl.wait_for(lambda one: "Something unexpected went wrong" in one.modal_text)
    await ferry.carl.close()
    again = await form(ferry.carl, "New export")
    assert "Typed by hand" in str(again.values)


async def test_on_submitting_the_error_stands_in_the_modal(ferry: Ferry, monkeypatch: pytest.MonkeyPatch) -> None:
    await ferry.connect()
    await ferry.carl.command("/ferry export Newsletter")
    modal = await form(ferry.carl, "New export")
    await modal.fill({"Segments": ["VIP"]})
    monkeypatch.setattr(type(ferry.app.services.exports), "save", _break)
    await submit(modal)
    await ferry.carl.wait_for(lambda one: "Something unexpected went wrong" in one.modal_text)


async def test_from_home_the_error_opens_in_a_window(ferry: Ferry, monkeypatch: pytest.MonkeyPatch) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.open_home()
    await ferry.carl.home("Newsletter")
    monkeypatch.setattr(type(ferry.app.services.runs), "start", _break)
    await ferry.carl.click("Run", where="home")
    await ferry.carl.wait_for(lambda one: "Something unexpected went wrong" in one.modal_text)
