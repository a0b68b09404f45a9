"""The main job in the page alone: connect, ask and approve, export, run, cancel, answer the guard, change a mapping.

reference: slack-platform.md §3 (interaction rules), §8 (messages), §14 (confirmation, condensed messages)
"""

import re

from playwright.async_api import expect

from bot.sandbox.room.house import House
from tests.browser.conftest import Screen
from tests.scenario.conftest import PEOPLE, Ferry

ADA, CARL = "Ada Owner (owner)", "Carl Contributor"


async def _connect(screen: Screen) -> None:
    await screen.command("/ferry connect")
    form = await screen.titled("Connect Omnisend")
    await form.get_by_label("Display name").fill("Acme Shop")
    key = await screen.page.locator("#api-key").text_content()
    await form.get_by_label("Omnisend API key").fill(key or "")
    await form.get_by_label("Everyone in this workspace").check()
    await form.get_by_label("I agree").check()
    await screen.submit("Connect")
    await expect(form).to_contain_text("Save to finish")
    await screen.submit("Save")
    await screen.titled("Connected")
    await screen.submit("Done")
    await expect(screen.modal).to_be_hidden()


async def test_the_first_export_from_an_empty_workspace_to_contacts(screen: Screen) -> None:
    await _connect(screen)

    await screen.command("/ferry export")
    form = await screen.titled("New export")
    await form.get_by_label("Name", exact=True).fill("Newsletter")
    await screen.pick("Segments", "VIP")
    await expect(form.get_by_role("list", name="Chosen")).to_contain_text("VIP")
    await form.get_by_role("button", name=re.compile("^Add the .* suggested$")).click()
    await expect(form).to_contain_text("First name")
    await screen.submit("Save")
    await screen.titled("Saved")
    await screen.close()

    await screen.command("/ferry run Newsletter")
    report = screen.message("is up to date at Omnisend")
    await expect(report).to_contain_text(f"Added{PEOPLE}")
    behind = screen.page.get_by_role("tabpanel", name="Omnisend")
    await expect(behind).to_contain_text(f"{PEOPLE} contacts")
    await expect(behind.get_by_role("row", name=f"VIP {PEOPLE}")).to_be_visible()
    await behind.get_by_label("Search contacts").fill("person7@")
    await expect(behind).to_contain_text("1–1 of 1")


async def test_a_contributor_asks_an_admin_approves_and_the_contributor_hears_it(screen: Screen) -> None:
    await screen.become(CARL)
    await screen.command("/ferry connect")
    form = await screen.titled("Request a connection")
    await form.get_by_label("What for").fill("For the newsletter")
    await screen.submit("Send request")
    await screen.titled("Request sent")
    await screen.close()

    await expect(screen.page.locator("#elsewhere")).to_contain_text("Ada Owner has 1 new direct message")
    await screen.become(ADA)
    await screen.go("Segment Ferry")
    await screen.page.get_by_role("tab", name="Messages (1 new)").click()
    await screen.message("For the newsletter").get_by_role("button", name="Review and connect").click()
    form = await screen.titled("Connect Omnisend")
    await form.get_by_label("Display name").fill("Acme Shop")
    await form.get_by_label("Omnisend API key").fill(await screen.page.locator("#api-key").text_content() or "")
    await form.get_by_label("I agree").check()
    await screen.submit("Connect")
    await expect(form).to_contain_text("Save to finish")
    await screen.submit("Save")
    await screen.titled("Connected")
    await screen.close()
    await expect(screen.message("asked for a connection").get_by_role("button")).to_have_count(0)

    await screen.become(CARL)
    await expect(screen.message("has shared the connection Acme Shop with you")).to_be_visible()


async def test_a_run_is_cancelled_after_a_question(ferry: Ferry, screen: Screen) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.omnisend.control("faults", {"faults": [{"kind": "stuck", "rate": 1}]})
    await screen.become(CARL)
    await screen.command("/ferry run newsletter")
    live = screen.message(f"of {PEOPLE} contacts")
    await live.get_by_role("button", name="Cancel").click()
    await expect(screen.question).to_contain_text("Cancel this run?")
    await screen.question.get_by_role("button", name="Let it run").click()
    await expect(screen.question).to_be_hidden()

    await live.get_by_role("button", name="Cancel").click()
    await screen.question.get_by_role("button", name="Cancel the run").click()
    await expect(screen.message("was cancelled")).to_contain_text("cancelled by @carl")
    await expect(screen.page.get_by_role("button", name="Cancel", exact=True)).to_have_count(0)


async def test_the_guard_asks_and_its_question_is_answered(ferry: Ferry, screen: Screen) -> None:
    ferry.source.fill(40)
    await ferry.connect()
    await ferry.set_up()
    await screen.become(CARL)
    await screen.command("/ferry run newsletter")
    await expect(screen.message("is up to date")).to_contain_text("Added40")
    ferry.source.segment("VIP", ["p1", "p2"])
    await screen.command("/ferry run newsletter")
    question = screen.message("please look before anything is sent")
    await expect(question).to_contain_text("VIP fell from 40 to 2 members.")
    await question.get_by_role("button", name="Show what would be sent").click()
    await expect(screen.modal).to_contain_text("Would be removed38")
    await screen.close()

    await question.get_by_role("button", name="Send", exact=True).click()
    await screen.question.get_by_role("button", name="Send", exact=True).click()
    await expect(screen.message("Removed38")).to_be_visible()
    await expect(screen.message("had a question").get_by_role("button")).to_have_count(0)


async def test_a_mapping_is_edited_in_a_second_modal_and_back(ferry: Ferry, screen: Screen) -> None:
    await ferry.connect()
    await ferry.set_up()
    await screen.become(CARL)
    await screen.command("/ferry edit newsletter")
    form = await screen.titled("Edit export")
    await form.get_by_label("Name", exact=True).fill("Weekly letter")
    await form.get_by_role("button", name="Add attribute").click()
    await screen.titled("Add attribute")
    await expect(form).to_contain_text("back leads to “Edit export”")
    await screen.pick("Omnisend attribute", "City")
    await expect(form.get_by_role("combobox", name="From the profile field")).to_have_value("City")
    await screen.submit("Add")

    await screen.titled("Edit export")
    await expect(form.get_by_label("Name", exact=True)).to_have_value("Weekly letter")
    row = form.locator(".block-section").filter(has_text="City ←")
    await row.get_by_role("button", name="More actions").click()
    await form.get_by_role("menuitem", name="Blank when empty").click()
    await expect(row).to_contain_text("blanked at Omnisend when empty")
    await screen.submit("Save")
    await screen.titled("Saved")
    await screen.close()

    await screen.command("/ferry run weekly letter")
    await expect(screen.message("is up to date at Omnisend")).to_be_visible()
    assert {contact["city"] for contact in await ferry.omnisend.contacts()} == {"Berlin"}


async def test_home_shows_exports_and_runs_them(ferry: Ferry, screen: Screen) -> None:
    await ferry.connect()
    await ferry.set_up()
    await screen.become(CARL)
    await screen.go("Segment Ferry")
    home = screen.page.locator("#home")
    await expect(home.get_by_role("heading", name="Exports")).to_be_visible()
    await expect(home).to_contain_text("never run")
    await home.get_by_role("button", name="Run Newsletter").click()
    await expect(home).to_contain_text(f"done (+{PEOPLE} −0)")


async def test_nobody_sees_the_home_of_somebody_else(ferry: Ferry, house: House, screen: Screen) -> None:
    await ferry.connect()
    await screen.go("Segment Ferry")
    home = screen.page.locator("#home")
    await expect(home).to_contain_text("Acme Shop")
    await house.troubles.turn("slack-away", on=True)  # so that no other one can come
    await screen.become("Vera Viewer")
    await expect(home).to_contain_text("The app has published nothing here yet.")
    await expect(home).not_to_contain_text("Acme Shop")
    await house.troubles.turn("slack-away", on=False)


async def test_the_source_changes_and_the_next_run_sends_only_the_difference(
    ferry: Ferry, house: House, screen: Screen
) -> None:
    (ferry.source.folder / "segments" / "Berlin.sql").write_text("SELECT CustomerId FROM profiles")
    await ferry.connect()
    await ferry.set_up(segments=["Berlin"])
    await screen.become(CARL)
    await screen.command("/ferry run newsletter")
    await expect(screen.message("is up to date")).to_contain_text(f"Added{PEOPLE}")
    await screen.page.get_by_role("tab", name="Source").click()
    await screen.page.get_by_role("button", name="Some leave").click()
    behind = screen.page.get_by_role("tabpanel", name="Source")
    await expect(behind.get_by_role("row", name=f"Berlin {PEOPLE - 1}")).to_be_visible()
    await screen.page.get_by_role("button", name="Some are edited").click()
    await expect(behind).to_contain_text("profiles have another FirstName")
    await screen.command("/ferry run newsletter")
    await expect(screen.message("Removed1")).to_be_visible()
