"""Setting up an export: suggestions, rows, templates, constants; what is saved is what Omnisend gets.

reference: slack-platform.md §3 (views keep what is typed where ids stay; external selects), §9 (limits)
"""

import json
from datetime import timedelta

from bot.sandbox.slack.client import Modal, Person
from storage.models import Audience, Run, RunStatus, now
from tests.scenario.conftest import PEOPLE, Ferry, form, submit


async def _open(ferry: Ferry) -> Modal:
    await ferry.connect()
    await ferry.carl.command("/ferry export Newsletter", channel="marketing")
    return await form(ferry.carl, "New export")


async def _add(carl: Person, **entries: object) -> None:
    await carl.click("Add attribute")
    modal = await form(carl, "Add attribute")
    await modal.fill({name.replace("_", " "): value for name, value in entries.items()})
    await submit(modal)


async def test_the_form_begins_with_what_can_be_known(ferry: Ferry) -> None:
    modal = await _open(ferry)
    values = modal.values
    assert values["name:0"]["name"]["value"] == "Newsletter"
    assert values["connection_choice:0"]["connection_choice"]["selected_option"]["text"]["text"] == "Acme Shop"
    assert values["email_field:0"]["email_field"]["selected_option"]["value"] == "EMail"
    assert values["channel:0"]["channel"]["selected_conversation"] == await ferry.slack.channel_id("marketing")


async def test_fields_are_offered_with_a_masked_example(ferry: Ferry) -> None:
    modal = await _open(ferry)
    assert await ferry.carl.suggestions("Email field", "first") == ["FirstName"]
    assert "person1@example.com" not in json.dumps(modal.view)
    await ferry.carl.click("Add attribute")
    await form(ferry.carl, "Add attribute")
    await ferry.carl.choose("Omnisend attribute", "City")
    screen = await ferry.carl.wait_for(lambda one: "such as" in one.modal_text)
    assert "Berlin" not in screen.modal_text


async def test_segments_are_searched_and_empty_ones_warned_of(ferry: Ferry) -> None:
    ferry.source.segment("Nobody", [])
    await _open(ferry)
    assert await ferry.carl.suggestions("Segments", "vi") == ["VIP"]
    await ferry.carl.choose("Segments", ["VIP", "Nobody"])
    await ferry.carl.wait_for(lambda one: "Nobody has no members now" in one.modal_text)


async def test_a_segment_with_the_same_number_of_members_for_long_is_asked_about(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    seen = [{"name": "VIP", "members": PEOPLE}]
    async with ferry.app.database.write() as session:
        for days in (40, 80):
            ended = now() - timedelta(days=days)
            session.add(
                Run(team_id=ferry.settings.team_id, export_id=1, status=RunStatus.DONE, ended_at=ended, segments=seen)
            )
    await ferry.carl.command("/ferry edit Newsletter")
    modal = await form(ferry.carl, "Edit export")
    assert f"VIP has had exactly {PEOPLE} members in every run since" in modal.text


async def test_suggested_attributes_come_with_one_click_and_only_then(ferry: Ferry) -> None:
    modal = await _open(ferry)
    assert "Suggested" in modal.text
    assert "Remove" not in modal.text
    await ferry.carl.click("Add the 3 suggested")
    await ferry.carl.wait_for(lambda one: "Suggested" not in one.modal_text and "*City*" in one.modal_text)


async def test_a_constant_a_template_and_a_custom_property_reach_omnisend(ferry: Ferry) -> None:
    modal = await _open(ferry)
    carl = ferry.carl
    await modal.fill({"Segments": ["VIP"]})
    await carl.click("Add the 3 suggested")
    await carl.wait_for(lambda one: "*City*" in one.modal_text)
    await carl.click("Add attribute")
    pushed = await form(carl, "Add attribute")
    await carl.choose("Omnisend attribute", "Custom property…")
    await carl.wait_for(lambda one: "Name of the custom property" in one.modal_text)
    await pushed.fill({"From the profile field": "Tier"})
    await submit(pushed)
    await carl.wait_for(lambda one: "*Tier*" in one.modal_text)
    await _add(carl, Omnisend_attribute="Address", Or_from_a_text="{LastName} Street, {City}")
    await carl.wait_for(lambda one: "*Address*" in one.modal_text)
    await _add(carl, Omnisend_attribute="Country/Region", Or_from_a_text="DE")
    await carl.wait_for(lambda one: "*Country/Region*" in one.modal_text)
    await submit(await form(carl, "New export"))
    await carl.modal("Saved")
    await carl.click("Run now")
    await carl.message("is up to date at Omnisend", channel="marketing")

    contact = next(one for one in await ferry.omnisend.contacts() if one["email"] == "person1@example.com")
    assert (contact["firstName"], contact["lastName"], contact["city"]) == ("Ann1", "Lee", "Berlin")
    assert contact["address"] == "Lee Street, Berlin"
    assert contact["countryCode"] == "DE"
    assert contact["customProperties"]["Tier"] == "gold"


async def test_rows_are_changed_blanked_and_removed_from_their_menu(ferry: Ferry) -> None:
    await _open(ferry)
    carl = ferry.carl
    await carl.click("Add the 3 suggested")
    await carl.wait_for(lambda one: "*City*" in one.modal_text)
    await carl.click("Remove", block_id="row-city")
    await carl.wait_for(lambda one: "*City*" not in one.modal_text)
    await carl.click("Blank when empty", block_id="row-lastName")
    await carl.wait_for(lambda one: "blanked at Omnisend when empty" in one.modal_text)
    await carl.click("Change…", block_id="row-firstName")
    modal = await form(carl, "Change attribute")
    await modal.fill({"From the profile field": "Tier"})
    await submit(modal)
    await carl.wait_for(lambda one: "*First name* ← `Tier`" in one.modal_text)


async def test_a_row_from_nothing_or_from_both_is_refused_at_its_field(ferry: Ferry) -> None:
    await _open(ferry)
    await ferry.carl.click("Add attribute")
    modal = await form(ferry.carl, "Add attribute")
    await modal.fill({"Omnisend attribute": "City"})
    await ferry.carl.wait_for(lambda one: "such as" in one.modal_text)
    await modal.fill({"Or from a text": "Berlin"})
    result = await modal.submit()
    assert "not both" in str(result.errors)


async def test_a_text_that_can_not_be_filled_in_is_refused_where_it_was_typed(ferry: Ferry) -> None:
    await _open(ferry)
    await ferry.carl.click("Add attribute")
    modal = await form(ferry.carl, "Add attribute")
    for text, said in (
        ("{FirstNam} Lee", "Did you mean FirstName?"),
        ("{FirstName Lee", "a brace without its partner"),
    ):
        await modal.fill({"Omnisend attribute": "Address", "Or from a text": text})
        assert said in str((await modal.submit()).errors["template"])
    await modal.fill({"Or from a text": "{FirstName} Lee"})
    await submit(modal)
    await ferry.carl.wait_for(lambda one: "*Address*" in one.modal_text)


async def test_an_export_without_a_segment_is_not_saved(ferry: Ferry) -> None:
    modal = await _open(ferry)
    assert (await modal.submit()).errors.keys() == {"segments:0"}


async def test_a_segment_that_another_export_has_is_refused_and_names_it(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up(name="First")
    await ferry.carl.command("/ferry export Second")
    modal = await form(ferry.carl, "New export")
    await modal.fill({"Segments": ["VIP"]})
    await ferry.carl.wait_for(lambda one: "through the export First already: leave it out here" in one.modal_text)
    await submit(modal)
    screen = await ferry.carl.wait_for(lambda one: "through the export *First* already" in one.modal_text)
    assert screen.modal is not None
    assert screen.modal["state"]["values"]["name:1"]["name"]["value"] == "Second"


async def _save_with_city(ferry: Ferry, name: str, segment: str, field: str) -> str:
    """An export whose City comes from this field; what is said once it is saved."""
    carl = ferry.carl
    await carl.command(f"/ferry export {name}")
    modal = await form(carl, "New export")
    await modal.fill({"Segments": [segment]})
    await carl.click("Add attribute")
    pushed = await form(carl, "Add attribute")
    await carl.choose("Omnisend attribute", "City")
    await carl.wait_for(lambda one: "such as" in one.modal_text)
    await pushed.fill({"From the profile field": field})
    await submit(pushed)
    await carl.wait_for(lambda one: f"*City* ← `{field}`" in one.modal_text)
    await submit(await form(carl, "New export"))
    saved = (await carl.modal("Saved")).text
    await carl.close(everything=True)
    return saved


async def test_an_attribute_that_another_export_maps_differently_is_warned_of(ferry: Ferry) -> None:
    ferry.source.segment("Others", ["p1"])
    await ferry.connect()
    assert "another field" not in await _save_with_city(ferry, "First", "VIP", "City")
    said = await _save_with_city(ferry, "Second", "Others", "Tier")
    assert "City comes from another field in the export *First*" in said


async def test_a_segments_property_can_not_be_set_by_hand(ferry: Ferry) -> None:
    modal = await _open(ferry)
    await modal.fill({"Segments": ["VIP"]})
    await ferry.carl.click("Add attribute")
    await form(ferry.carl, "Add attribute")
    await ferry.carl.choose("Omnisend attribute", "Custom property…")
    pushed = await form(ferry.carl, "Add attribute")
    await ferry.carl.wait_for(lambda one: "Name of the custom property" in one.modal_text)
    await pushed.fill({"Name of the custom property": "segment_vip_3f9a1c20", "Or from a text": "true"})
    assert "who is in a segment" in str((await pushed.submit()).errors["property_name"])


async def test_saving_runs_nothing(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    assert await ferry.omnisend.batches_posted() == 0
    await ferry.carl.command("/ferry status")
    assert "never run" in (await ferry.carl.message("Exports")).shown


async def test_who_may_use_no_connection_is_told_whom_to_ask(ferry: Ferry) -> None:
    await ferry.connect(Audience.ADMINS)
    await ferry.carl.command("/ferry export")
    screen = await ferry.carl.wait_for(lambda one: "No connection is shared with you yet" in one.modal_text)
    assert "<@U" in screen.modal_text


async def test_an_own_schedule_asks_for_its_times_and_is_shown_as_next_run(ferry: Ferry) -> None:
    modal = await _open(ferry)
    await modal.fill({"Segments": ["VIP"]})
    await ferry.carl.choose("When it runs", "On its own schedule")
    await ferry.carl.wait_for(lambda one: "Time zone" in one.modal_text)
    await modal.fill({"At": ["06:00", "18:30"], "Time zone": "Europe/Berlin"})
    await submit(modal)
    await ferry.carl.modal("Saved")
    await ferry.carl.close(everything=True)
    await ferry.carl.command("/ferry status")
    assert "next" in (await ferry.carl.message("Exports")).shown


async def test_guard_limits_are_kept_and_shown_again_as_percent(ferry: Ferry) -> None:
    modal = await _open(ferry)
    await modal.fill({"Segments": ["VIP"]})
    await ferry.carl.click("More options…")
    options = await form(ferry.carl, "More options")
    await options.fill({"Largest fall in members of a segment (percent)": "12.5"})
    await ferry.carl.choose("People who leave a segment", "Leave them in it")
    await submit(options)
    await ferry.carl.wait_for(lambda one: "People who leave stay in the segment" in one.modal_text)
    await submit(await form(ferry.carl, "New export"))
    await ferry.carl.modal("Saved")
    await ferry.carl.close(everything=True)
    await ferry.carl.command("/ferry edit Newsletter")
    await form(ferry.carl, "Edit export")
    await ferry.carl.click("More options…")
    again = await form(ferry.carl, "More options")
    assert again.values["limit_fall"]["limit_fall"]["value"] == "12.5"
