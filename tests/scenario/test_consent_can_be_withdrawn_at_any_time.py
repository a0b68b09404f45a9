"""Withdrawing consent: runs stop, the key is erased, exports are detached, and everyone concerned hears it.

reference: the design's rules of the product (consent); slack-platform.md §14 (danger with confirm)
"""

from tests.scenario.conftest import Ferry, form


async def _withdraw(ferry: Ferry) -> None:
    await ferry.ada.command("/ferry connections")
    await ferry.ada.wait_for(lambda one: "Acme Shop" in one.modal_text)
    await ferry.ada.click("Consent…")
    await ferry.ada.wait_for(lambda one: "If you withdraw the consent" in one.modal_text)
    await ferry.ada.click("Withdraw consent", confirm=True)


async def test_a_running_export_stops_and_is_named(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.omnisend.control("faults", {"faults": [{"kind": "stuck", "rate": 1}]})
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    await ferry.carl.message("of 12 contacts", channel="marketing")
    await _withdraw(ferry)
    screen = await ferry.ada.modal("Consent withdrawn")
    assert "Stopped in mid-run: *Newsletter*" in screen.text
    await ferry.vera.message("has no connection any more", channel="marketing")


async def test_a_detached_export_says_so_and_can_get_another_connection(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await _withdraw(ferry)
    await ferry.ada.modal("Consent withdrawn")
    await ferry.ada.close(everything=True)
    await ferry.carl.command("/ferry run newsletter")
    await ferry.carl.message("has no connection")
    await ferry.carl.command("/ferry status")
    assert "No connection" in (await ferry.carl.message("Exports")).shown


async def test_the_question_can_be_left_without_harm(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.ada.command("/ferry connections")
    await ferry.ada.wait_for(lambda one: "Acme Shop" in one.modal_text)
    await ferry.ada.click("Consent…")
    await ferry.ada.wait_for(lambda one: "If you withdraw the consent" in one.modal_text)
    await ferry.ada.close(everything=True)
    await ferry.carl.command("/ferry export")
    await form(ferry.carl, "New export")
