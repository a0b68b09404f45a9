"""From `/ferry` to contacts in Omnisend, through Slack alone, doing only what each window suggests.

reference: slack-platform.md §3 (interaction rules), §8 (messages), §14 (lead with the likely action)
"""

from tests.scenario.conftest import PEOPLE, Ferry, form, submit


async def test_a_newcomer_gets_to_the_first_finished_export_without_reading_anything(ferry: Ferry) -> None:
    ada = ferry.ada
    await ada.command("/ferry", channel="marketing")
    await ada.message("First step", channel="marketing")
    await ada.click("Connect Omnisend")
    connect = await form(ada, "Connect Omnisend")
    await connect.fill({"Display name": "Acme Shop", "Omnisend API key": ferry.omnisend.key, "I agree": True})
    await submit(connect)
    await ada.wait_for(lambda screen: "Connected to" in screen.modal_text)
    await submit(connect)
    await ada.modal("Connected")

    await ada.click("Set up an export")
    export = await form(ada, "New export")
    await export.fill({"Name": "Newsletter", "Segments": ["VIP"]})
    await submit(export)
    await ada.modal("Saved")
    await ada.click("Preview")
    await ada.wait_for(lambda screen: f"*Would be added*\n{PEOPLE}" in screen.modal_text)
    await ada.click("Run now")

    await ferry.vera.message("is up to date at Omnisend", channel="marketing")
    assert len(await ferry.omnisend.contacts()) == PEOPLE


async def test_an_admin_connects_a_contributor_exports_and_the_channel_sees_it(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry run newsletter", channel="marketing")

    report = await ferry.vera.message("is up to date at Omnisend", channel="marketing")

    assert f"*Added*\n{PEOPLE}" in report.shown
    assert "non-subscribed" in report.shown
    contacts = await ferry.omnisend.contacts()
    assert {contact["email"] for contact in contacts} == {row["EMail"] for row in ferry.source.profiles.values()}
