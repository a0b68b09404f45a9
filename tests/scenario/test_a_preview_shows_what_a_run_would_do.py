"""The preview: counts, masked examples, reasons, cost; and nothing is sent.

reference: slack-platform.md §3 (a trigger lives 3 s: the modal opens first), the design's words on preview
"""

import json

from storage.models import Audience
from tests.scenario.conftest import PEOPLE, Ferry


async def test_counts_examples_and_cost_are_shown_and_nothing_is_sent(ferry: Ferry) -> None:
    ferry.source.profiles["p1"]["EMail"] = "not an address"
    ferry.source.write()
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry preview newsletter")
    screen = await ferry.carl.wait_for(lambda one: "Nothing was sent" in one.modal_text)

    assert f"*Would be added*\n{PEOPLE - 1}" in screen.modal_text
    assert "1: email address not valid" in screen.modal_text
    assert "requests" in screen.modal_text
    assert "p•••@e•••.com" in screen.modal_text
    assert "@example.com" not in json.dumps(screen.modals)
    assert await ferry.omnisend.batches_posted() == 0


async def test_the_preview_leads_to_the_run(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry preview newsletter")
    await ferry.carl.wait_for(lambda one: "Nothing was sent" in one.modal_text)
    await ferry.carl.click("Run now")
    await ferry.carl.wait_for(lambda one: "is on its way" in one.modal_text)
    await ferry.carl.message("is up to date at Omnisend", channel="marketing")


async def test_a_viewer_may_not_look_at_samples(ferry: Ferry) -> None:
    await ferry.connect(Audience.ADMINS)
    await ferry.set_up("ada")
    await ferry.vera.command("/ferry preview newsletter")
    await ferry.vera.wait_for(lambda one: "Only admins and people that the connection is shared with" in one.modal_text)


async def test_a_source_that_fails_is_said_in_the_modal(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    (ferry.source.folder / "segments" / "VIP.csv").unlink()
    await ferry.carl.command("/ferry preview newsletter")
    await ferry.carl.wait_for(lambda one: "VIP" in one.modal_text and "Bring it back" in one.modal_text)
