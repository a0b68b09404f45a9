"""A contributor asks for a connection, an admin decides, the contributor hears it; stale copies say so.

reference: slack-platform.md §14 (re-check the right on every action; condense the message after the decision)
"""

from bot.sandbox.slack.client import Person
from storage.models import Audience
from tests.scenario.conftest import Ferry, form, submit


async def _ask(carl: Person, reason: str = "For the newsletter") -> None:
    await carl.command("/ferry connect")
    modal = await form(carl, "Request a connection")
    await modal.fill({"What for": reason})
    await submit(modal)
    await carl.modal("Request sent")
    await carl.close(everything=True)


async def test_an_admin_connects_for_a_request_and_the_requester_can_go_on(ferry: Ferry) -> None:
    await _ask(ferry.carl)
    request = await ferry.ada.message("asks for a connection", channel="dm")
    assert "For the newsletter" in request.shown
    await ferry.ada.click("Review and connect", where="dm")
    modal = await form(ferry.ada, "Connect Omnisend")
    await modal.fill({"Display name": "Acme Shop", "Omnisend API key": ferry.omnisend.key, "I agree": True})
    await submit(modal)
    await ferry.ada.wait_for(lambda one: "Connected to" in one.modal_text)
    await submit(modal)
    await ferry.ada.modal("Connected")

    await ferry.carl.message("has shared the connection *Acme Shop* with you", channel="dm")
    settled = await ferry.ada.message("asked for a connection", channel="dm")
    assert settled.buttons == []
    await ferry.carl.click("Set up an export", where="dm")
    await form(ferry.carl, "New export")


async def test_an_existing_connection_can_be_shared_instead(ferry: Ferry) -> None:
    await ferry.connect(Audience.ADMINS)
    await _ask(ferry.carl)
    await ferry.ada.message("asks for a connection", channel="dm")
    await ferry.ada.click("Review and connect", where="dm")
    await submit(await form(ferry.ada, "Connection request"))
    await ferry.ada.modal("Approved")
    await ferry.carl.message("has shared the connection", channel="dm")
    await ferry.carl.command("/ferry export")
    await form(ferry.carl, "New export")


async def test_a_request_is_declined_with_a_reason(ferry: Ferry) -> None:
    await _ask(ferry.carl)
    await ferry.ada.message("asks for a connection", channel="dm")
    await ferry.ada.click("Decline", where="dm")
    modal = await form(ferry.ada, "Decline request")
    await modal.fill({"Reason": "We only mail from the other shop."})
    await submit(modal)
    await ferry.ada.modal("Declined")
    heard = await ferry.carl.message("declined your request", channel="dm")
    assert "We only mail from the other shop." in heard.shown


async def test_a_second_admin_who_is_late_sees_what_was_decided(ferry: Ferry) -> None:
    bea = await ferry.slack.add_person("bea", is_admin=True)
    await _ask(ferry.carl)
    await ferry.ada.message("asks for a connection", channel="dm")
    await bea.message("asks for a connection", channel="dm")
    await bea.click("Decline", where="dm")
    late = await form(bea, "Decline request")
    await ferry.ada.click("Decline", where="dm")
    modal = await form(ferry.ada, "Decline request")
    await modal.fill({"Reason": "No."})
    await submit(modal)
    await ferry.ada.modal("Declined")

    await late.fill({"Reason": "Not now."})
    await submit(late)
    await bea.modal("This has changed")
    assert (await bea.message("asked for a connection", channel="dm")).buttons == []


async def test_only_an_admin_can_answer_a_request(ferry: Ferry) -> None:
    await _ask(ferry.carl)
    await ferry.ada.message("asks for a connection", channel="dm")
    await ferry.ada.click("Decline", where="dm")
    modal = await form(ferry.ada, "Decline request")
    await ferry.ada.change(is_admin=False, is_owner=False, is_primary_owner=False)
    await modal.fill({"Reason": "No."})
    await submit(modal)
    await ferry.ada.wait_for(lambda one: "Only admins may do this" in one.modal_text)


async def test_an_admin_who_has_never_used_the_app_hears_it_too(ferry: Ferry) -> None:
    await ferry.ada.command("/ferry")  # she is known; Zoe is not
    await ferry.ada.message("what you can do")
    zoe = await ferry.slack.add_person("zoe", is_admin=True)
    await ferry.carl.command("/ferry connect")
    modal = await form(ferry.carl, "Request a connection")
    await modal.fill({"What for": "Newsletter"})
    await submit(modal)
    await ferry.carl.modal("Request sent")
    for person in (ferry.ada, zoe):
        await person.message("asks for a connection to Omnisend", channel="dm")
