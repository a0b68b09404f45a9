"""What becomes of exports when the sign-in behind them ends, and when they are moved to another source.

reference: customer-insights.md §12.1 (refresh tokens), §12.7 (what each refusal means)
"""

from datetime import timedelta

import pytest
from sqlmodel import select

from bot.services.connections import ConnectionDraft, consent_text
from bot.services.exports import ExportDraft
from bot.services.overview import line_of
from bot.services.sign_in_watch import SignInWatch
from bot.sources.entra import SignInState
from storage.models import Audience, Connection, FieldMapping, Run, Schedule, Stage, When, now
from tests.scenario.conftest import Ferry
from tests.scenario.insights.conftest import answer, connections, export_users, shows
from tests.system.dataverse_emulator_api import Api


@pytest.fixture
async def connection(ferry: Ferry, insights: Api) -> Connection:
    """A connection that reads as the emulator's first person, as if Ada had made it in Slack."""
    services, ada = ferry.app.services, await ferry.actor("ada")
    begun = await services.export_users.begin(ada)
    await insights.control("device", user_code=begun.code, action="approve")
    assert (await services.export_users.wait(begun)).state is SignInState.SIGNED_IN
    draft = ConnectionDraft(
        "Insights", ferry.omnisend.key, Audience.EVERYONE, agreed=True, text_shown=consent_text(), source="dataverse"
    )
    return await services.connections.connect(ada, draft)


async def set_up(ferry: Ferry, connection: Connection, **changes: object) -> None:
    lines = [
        FieldMapping(team_id="", export_id=0, position=0, attribute="email", value="msdynci_email"),
        FieldMapping(team_id="", export_id=0, position=1, attribute="firstName", value="msdynci_firstname"),
    ]
    given = {
        "name": "Newsletter",
        "connection_id": connection.id or 0,
        "segments": ("VIP",),
        "lines": tuple(line_of(line) for line in lines),
        "channel": await ferry.slack.channel_id("marketing"),
    }
    draft = ExportDraft(**given | changes)  # type: ignore[arg-type]
    await ferry.app.services.exports.save(await ferry.actor("carl"), draft)


async def test_a_sign_in_that_has_ended_is_renewed_from_the_report(
    ferry: Ferry, insights: Api, connection: Connection
) -> None:
    await set_up(ferry, connection)
    await insights.control("tokens", revoke_refresh=True, expire_access=True)
    await ferry.carl.command("/ferry run Newsletter")
    report = await ferry.ada.message("has to sign in again", channel="dm")
    assert "Sign in again" in report.buttons
    assert (
        insights.env["people"][0] not in report.shown
    )  # whose sign-in it is only admins see, in the connection's list
    (before,) = await export_users(ferry)
    assert before.ended_at is not None
    await ferry.ada.command("/ferry connections")
    await shows(ferry.ada, "Nobody is signed in to read profiles")
    await ferry.ada.close(everything=True)

    await ferry.ada.click("Sign in again", where="dm", ts=report.ts)
    await answer(ferry, insights)
    await shows(ferry.ada, "*Insights* reads profiles as")
    (after,) = await export_users(ferry)
    assert (after.id != before.id, after.ended_at) == (True, None)
    await ferry.carl.command("/ferry run Newsletter")
    await ferry.vera.message("*Newsletter* is up to date", channel="marketing")


async def test_a_contributor_can_not_sign_in_for_a_connection(
    ferry: Ferry, insights: Api, connection: Connection
) -> None:
    await set_up(ferry, connection)
    await insights.control("tokens", revoke_refresh=True, expire_access=True)
    await ferry.carl.command("/ferry run Newsletter")
    report = await ferry.carl.message("has to sign in again", channel="dm")
    await ferry.carl.click("Sign in again", where="dm", ts=report.ts)
    await shows(ferry.carl, "Only admins may do this")
    assert len(await export_users(ferry)) == 1


async def test_a_run_that_is_due_while_customer_insights_refreshes_waits_and_says_so(
    ferry: Ferry, insights: Api, connection: Connection
) -> None:
    await set_up(ferry, connection, when=When.REFRESH)
    async with ferry.app.database.write() as session:
        started = now() - timedelta(minutes=5)
        session.add(Schedule(team_id=ferry.settings.team_id, times=[f"{started:%H:%M}"], zone="UTC"))
    await ferry.carl.command("/ferry run Newsletter")
    await ferry.vera.message("Waiting until Customer Insights has been refreshed", channel="marketing")
    async with ferry.app.database.read() as session:
        run = (await session.exec(select(Run))).one()
    assert run.stage is Stage.REFRESHING

    hook = await ferry.app.services.hooks.issue(await ferry.actor("ada"))
    await ferry.app.services.hooks.receive(hook.token)
    await ferry.vera.message("*Newsletter* is up to date", channel="marketing", seconds=30)


async def test_an_export_that_is_moved_hears_what_does_not_fit_there(
    ferry: Ferry, insights: Api, connection: Connection
) -> None:
    await ferry.connect()
    tables = next(one for one in await connections(ferry) if one.source == "tables")
    old = FieldMapping(team_id="", export_id=0, position=0, attribute="email", value="EMail")
    city = FieldMapping(team_id="", export_id=0, position=1, attribute="city", value="City")
    ferry.source.segment("Berliners", ["p1"])
    await set_up(ferry, tables, segments=("VIP", "Berliners"), lines=(line_of(old), line_of(city)))
    await ferry.carl.command("/ferry edit Newsletter")
    await shows(ferry.carl, "Email field")
    await ferry.carl.choose("Connection", "Insights")
    shown = await shows(ferry.carl, "Its profiles don't have: City (City)")
    assert "does not have these segments, so they are deselected: Berliners" in shown
    await ferry.carl.submit()
    await shows(ferry.carl, "which does not have: City (City)")


async def test_a_sign_in_that_goes_stale_is_told_to_who_can_renew_it(
    ferry: Ferry, insights: Api, connection: Connection
) -> None:
    in_time = now() + timedelta(days=80)
    await SignInWatch(ferry.app.database, ferry.app.engine.sources, clock=lambda: in_time).look()
    warning = await ferry.ada.message("reads profiles ends on", channel="dm")
    assert "Sign in again" in warning.buttons
    too_late = now() + timedelta(days=91)
    await SignInWatch(ferry.app.database, ferry.app.engine.sources, clock=lambda: too_late).look()
    await ferry.ada.message("has ended, so its exports can't run", channel="dm")
