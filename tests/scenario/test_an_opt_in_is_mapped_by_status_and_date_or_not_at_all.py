"""The opt-in: two fields or none, spelled out where they are chosen; what goes to Omnisend, and what is said of it.

reference: omnisend-api.md §3.3 (the later date wins); slack-platform.md §3 (errors at the field)
"""

from bot.sandbox.slack.client import Modal
from tests.scenario.conftest import Ferry, form, submit


def _state_opt_ins(ferry: Ferry) -> None:
    """p1 said yes, p2 no, p3 something else, p4 yes but in a year to come, the others nothing."""
    said = {"p1": ("yes", "2024-05-01"), "p2": ("No", "2025-01-02"), "p3": ("maybe", "2024-05-01")}
    said["p4"] = ("yes", "2999-01-01")
    for number, profile in ferry.source.profiles.items():
        profile["OptIn"], profile["OptInAt"] = said.get(number, ("", ""))
    ferry.source.write()


async def _open(ferry: Ferry) -> Modal:
    _state_opt_ins(ferry)
    await ferry.connect()
    await ferry.carl.command("/ferry export Newsletter", channel="marketing")
    modal = await form(ferry.carl, "New export")
    await modal.fill({"Segments": ["VIP"]})
    return modal


async def _map(ferry: Ferry, status: str = "OptIn", date: str = "OptInAt") -> Modal:
    await ferry.carl.click("Map opt-in…")
    modal = await form(ferry.carl, "Opt-in")
    await modal.fill({"Status": status, "Since when": date})
    return modal


async def _save(ferry: Ferry) -> str:
    await submit(await form(ferry.carl, "New export"))
    return (await ferry.carl.modal("Saved")).text


async def test_what_it_means_is_spelled_out_where_it_is_chosen(ferry: Ferry) -> None:
    modal = await _open(ferry)
    assert "new contacts arrive as *non-subscribed*" in modal.text
    pushed = await _map(ferry)
    for words in ("may be mailed at once", "whichever status has the later date", "can't be read counts as without"):
        assert words in pushed.text


async def test_contacts_arrive_with_the_status_of_their_profile_and_the_rest_as_non_subscribed(ferry: Ferry) -> None:
    await _open(ferry)
    await submit(await _map(ferry))
    await ferry.carl.wait_for(lambda one: "*Opt-in* ← `OptIn`, since `OptInAt`" in one.modal_text)
    assert "with the opt-in of their profile" in await _save(ferry)
    await ferry.carl.click("Preview")
    preview = await ferry.carl.wait_for(lambda one: "What a run of *Newsletter* would do" in one.modal_text)
    for words in (
        "Contacts by their opt-in: 1 subscribed, 1 unsubscribed, 10 non-subscribed.",
        "1 profile has an opt-in status that can't be read",
        "1 profile has an opt-in dated in the future",
        "New contacts arrive with the opt-in of their profile",
    ):
        assert words in preview.modal_text
    await ferry.carl.click("Run now")
    report = await ferry.carl.message("is up to date at Omnisend", channel="marketing")
    assert "New contacts arrive with the opt-in of their profile" in report.shown
    assert "Omnisend mails them only once they subscribe" not in report.shown
    status = {one["email"]: one["statusHistory"][-1] for one in await ferry.omnisend.contacts()}
    assert status["person1@example.com"]["status"] == "subscribed"
    assert status["person1@example.com"]["statusChangedAt"].startswith("2024-05-01T00:00:00")
    assert status["person2@example.com"]["status"] == "unsubscribed"
    assert {status[f"person{n}@example.com"]["status"] for n in range(3, 13)} == {"nonSubscribed"}


async def test_one_field_for_both_is_refused_at_the_field(ferry: Ferry) -> None:
    await _open(ferry)
    result = await (await _map(ferry, date="OptIn")).submit()
    assert result.errors == {"opt_in_date": "Choose another field: one can't hold both status and date."}


async def test_it_is_shown_again_when_the_export_is_edited_and_can_be_taken_out(ferry: Ferry) -> None:
    await _open(ferry)
    await submit(await _map(ferry))
    await ferry.carl.wait_for(lambda one: "*Opt-in* ← `OptIn`" in one.modal_text)
    await _save(ferry)
    await ferry.carl.close(everything=True)
    await ferry.carl.command("/ferry edit Newsletter")
    edit = await form(ferry.carl, "Edit export")
    assert "*Opt-in* ← `OptIn`, since `OptInAt`" in edit.text
    await ferry.carl.click("Change…", block_id="row-optIn")
    pushed = await form(ferry.carl, "Opt-in")
    assert pushed.values["opt_in_status"]["opt_in_status"]["selected_option"]["value"] == "OptIn"
    await ferry.carl.close()
    await ferry.carl.click("Remove", block_id="row-optIn")
    await ferry.carl.wait_for(lambda one: "Not mapped: new contacts arrive as *non-subscribed*" in one.modal_text)
    await submit(await form(ferry.carl, "Edit export"))
    assert "non-subscribed: they may not be mailed until they subscribe" in (await ferry.carl.modal("Saved")).text
