"""Connecting Customer Insights from Slack: a code in a window that changes by itself, and who reads from then on.

reference: customer-insights.md §1 (Add yourself as export user, then Save); slack-platform.md (views, hashes, stack).
"""

import pytest

from tests.scenario.conftest import Ferry, Start, form, submit
from tests.scenario.insights.conftest import FORM, answer, begun, code, connections, export_users, label, shows
from tests.system.dataverse_emulator_api import Api


async def test_an_admin_signs_in_saves_and_a_segment_is_exported_in_that_name(ferry: Ferry, insights: Api) -> None:
    connect = await begun(ferry)
    await ferry.ada.click("Add yourself as export user")
    await answer(ferry, insights)
    account = insights.env["people"][0]
    await shows(ferry.ada, f"Signed in as *{account}*, who can read")
    await ferry.ada.close()
    await shows(ferry.ada, f"Signed in as *{account}*.")  # in the form below, which changed by itself
    connect = await form(ferry.ada, FORM)
    await submit(connect)
    await shows(ferry.ada, "Emulated Shop")
    await submit(await form(ferry.ada, FORM))
    await shows(ferry.ada, "is connected to")

    (connection,) = await connections(ferry)
    assert connection.source == "dataverse"
    await ferry.ada.close(everything=True)
    await ferry.ada.command("/ferry connections", channel="marketing")
    listed = await shows(ferry.ada, "Acme Shop")
    assert f"Reads as *{account}*" in listed
    assert "Customer Insights (127.0.0.1" in listed


async def test_nothing_is_saved_before_somebody_has_signed_in(ferry: Ferry, insights: Api) -> None:
    await submit(await begun(ferry))
    await shows(ferry.ada, "Next: add yourself as export user")
    await submit(await form(ferry.ada, FORM))
    await shows(ferry.ada, "Nobody is there yet in whose name profiles can be read")
    assert await connections(ferry) == []


@pytest.mark.parametrize(
    ("action", "says"), [("decline", "was declined on Microsoft's page"), ("expire", "was not used in time")]
)
async def test_what_came_to_nothing_is_said_in_the_window_and_another_code_is_offered(
    ferry: Ferry, insights: Api, action: str, says: str
) -> None:
    await begun(ferry)
    await ferry.ada.click("Add yourself as export user")
    await answer(ferry, insights, action)
    await shows(ferry.ada, says)
    assert await export_users(ferry) == []
    await ferry.ada.click("Get a new code")
    await answer(ferry, insights)
    await shows(ferry.ada, "who can read profiles and segments")


async def test_consent_that_is_missing_in_entra_names_who_can_grant_it(ferry: Ferry, insights: Api) -> None:
    await insights.control("principals", name=insights.env["people"][0], consent=False)
    await begun(ferry)
    await ferry.ada.click("Add yourself as export user")
    await answer(ferry, insights)
    await shows(ferry.ada, "An Entra admin can grant it")


async def test_a_role_that_is_missing_can_be_given_and_looked_at_again(ferry: Ferry, insights: Api) -> None:
    person = insights.env["people"][0]
    await insights.control("principals", name=person, role=False)
    await begun(ferry)
    await ferry.ada.click("Add yourself as export user")
    await answer(ferry, insights)
    await shows(ferry.ada, "can make it a Viewer")
    await insights.control("principals", name=person, role=True)
    await ferry.ada.click("Check again")
    await shows(ferry.ada, "who can read profiles and segments")


async def test_a_sign_in_outlives_its_window_and_is_there_in_the_next_form(ferry: Ferry, insights: Api) -> None:
    await begun(ferry)
    await ferry.ada.click("Add yourself as export user")
    waiting = await code(ferry, insights)
    await ferry.ada.close(everything=True)
    await insights.control("device", user_code=waiting, action="approve")
    await ferry.ada.message("It is kept for a day", channel="dm")
    await ferry.ada.command("/ferry connect", channel="marketing")
    connect = await form(ferry.ada, FORM)
    await ferry.ada.choose("Profiles from", label(connect, "Customer Insights"))
    await shows(ferry.ada, f"Signed in as *{insights.env['people'][0]}*")


async def test_the_app_reads_in_its_own_name_where_an_admin_chooses_it(ferry: Ferry, insights: Api) -> None:
    await begun(ferry)
    await ferry.ada.choose("Who reads", "The app of this installation, in its own name")
    await ferry.ada.wait_for(lambda one: "Add yourself as export user" not in one.modal_text)
    await submit(await form(ferry.ada, FORM))
    await shows(ferry.ada, "Emulated Shop")
    await submit(await form(ferry.ada, FORM))
    await shows(ferry.ada, "is connected to")
    assert [user.kind for user in await export_users(ferry)] == ["app"]


async def test_an_export_user_is_changed_from_the_connections_menu(ferry: Ferry, insights: Api) -> None:
    await test_the_app_reads_in_its_own_name_where_an_admin_chooses_it(ferry, insights)
    await ferry.ada.close(everything=True)
    await ferry.ada.command("/ferry connections", channel="marketing")
    await shows(ferry.ada, "the app of this installation")
    await ferry.ada.click("Change export user")
    await shows(ferry.ada, "reads profiles as")
    await ferry.ada.click("Sign in with Microsoft")
    await answer(ferry, insights)
    await shows(ferry.ada, f"reads profiles as *{insights.env['people'][0]}* now")
    assert [user.kind for user in await export_users(ferry)] == ["person"]


async def test_an_environment_that_the_tenant_does_not_know_is_said_before_anybody_signs_in(
    ferry: Ferry, insights: Api
) -> None:
    source = ferry.app.engine.sources.insights
    assert source is not None
    source.environment = "https://127.0.0.1:1"
    await begun(ferry)
    await ferry.ada.click("Add yourself as export user")
    await shows(ferry.ada, "knows no environment https://127.0.0.1:1")
    assert await export_users(ferry) == []


async def test_a_code_that_a_restart_made_useless_says_so(start: Start, insights: Api) -> None:
    async with start() as ferry:
        await begun(ferry)
        await ferry.ada.click("Add yourself as export user")
        await code(ferry, insights)
    await shows(ferry.ada, "The bot is being restarted")
