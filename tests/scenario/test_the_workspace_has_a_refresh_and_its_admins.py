"""The settings of the workspace: when exports refresh, and who its admins are.

reference: customer-insights.md §4 (system schedule), §6 (roles)
"""

from storage.models import When
from tests.scenario.conftest import Ferry, form, submit


async def test_an_admin_sets_the_refresh_and_exports_attached_to_it_have_a_next_run(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.ada.command("/ferry refresh")
    modal = await form(ferry.ada, "Refresh schedule")
    await modal.fill({"The refresh is": "On", "At": ["06:00", "18:00"]})
    await submit(modal)
    await ferry.ada.wait_for(lambda one: "The refresh runs daily at 06:00 and 18:00 (Europe/London)" in one.modal_text)
    await ferry.set_up(when=When.REFRESH)
    await ferry.carl.command("/ferry status")
    assert "next" in (await ferry.carl.message("Exports")).shown


async def test_run_all_starts_what_has_an_active_schedule_and_nothing_else(ferry: Ferry) -> None:
    ferry.source.segment("Other", ["p1"])
    await ferry.connect()
    await ferry.set_up(name="Manual")
    await ferry.set_up(name="Scheduled", segments=["Other"], when=When.REFRESH)
    await ferry.ada.command("/ferry run all")
    assert "*Scheduled*" in (await ferry.ada.message("Started")).shown
    await ferry.vera.message("*Scheduled* is up to date", channel="marketing")
    assert not [one for one in await ferry.vera.messages("marketing") if "Manual" in one.shown]


async def test_only_admins_set_the_refresh(ferry: Ferry) -> None:
    await ferry.carl.command("/ferry refresh")
    await ferry.carl.wait_for(lambda one: "Only admins may do this" in one.modal_text)


async def test_named_admins_take_the_place_of_slacks_own(ferry: Ferry) -> None:
    await ferry.ada.command("/ferry admins")
    modal = await form(ferry.ada, "Admins")
    await modal.fill({"Admins": ["carl"]})
    await submit(modal)
    await ferry.ada.wait_for(lambda one: "Admins are now" in one.modal_text)
    await ferry.carl.command("/ferry connect")
    await form(ferry.carl, "Connect Omnisend")
    await ferry.ada.close(everything=True)
    await ferry.ada.command("/ferry connect")
    await form(ferry.ada, "Request a connection")
