"""`/ferry` alone, mistyped or without a name still leads somewhere.

reference: slack-platform.md §3 (acknowledge within 3 s), §14 (lead with the action the reader most likely wants)
"""

from tests.scenario.conftest import Ferry, form


async def test_the_bare_command_shows_help_with_the_first_step_for_an_admin(ferry: Ferry) -> None:
    await ferry.ada.command("/ferry")
    help_text = await ferry.ada.message("First step", channel="general")
    assert help_text.ephemeral
    assert help_text.buttons[0] == "Connect Omnisend"


async def test_somebody_without_a_connection_is_led_to_the_request(ferry: Ferry) -> None:
    await ferry.carl.command("/ferry help")
    assert (await ferry.carl.message("First step")).buttons[0] == "Request a connection"


async def test_a_help_button_opens_what_it_says(ferry: Ferry) -> None:
    await ferry.ada.command("/ferry")
    await ferry.ada.message("First step")
    await ferry.ada.click("Connect Omnisend")
    await form(ferry.ada, "Connect Omnisend")


async def test_a_mistyped_verb_is_guessed_and_nothing_is_done(ferry: Ferry) -> None:
    await ferry.carl.command("/ferry preveiw Newsletter")
    guess = await ferry.carl.message("Did you mean")
    assert "/ferry preview Newsletter" in guess.shown


async def test_what_is_no_verb_at_all_leads_to_the_help(ferry: Ferry) -> None:
    await ferry.carl.command("/ferry xyzzy <!channel>")
    answer = await ferry.carl.message("I don't know")
    assert answer.buttons == ["Show what I can do"]
    assert "<!channel>" not in answer.text


async def test_run_without_a_name_offers_the_exports_that_one_may_run(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry run")
    offer = await ferry.carl.message("Which export shall run?")
    assert "Newsletter" in offer.shown
    await ferry.carl.click("Run")
    await ferry.carl.message("is up to date at Omnisend", channel="marketing")


async def test_a_name_without_a_verb_shows_what_can_be_done_with_that_export(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry newsletter")
    assert (await ferry.carl.message("*Newsletter*")).buttons == ["Run", "Preview", "History", "Edit…"]
    await ferry.ada.command("/ferry newslet")
    await ferry.ada.message("I don't know “newslet”")


async def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry run newslettr")
    assert "Did you mean *Newsletter*?" in (await ferry.carl.message("There is no export named")).shown


async def test_a_name_in_quotes_and_other_case_is_found(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry history “NEWSLETTER”")
    await ferry.carl.message("has not run yet")


async def test_retry_without_a_name_offers_what_omnisend_refused(ferry: Ferry) -> None:
    await ferry.connect()
    await ferry.set_up()
    await ferry.carl.command("/ferry retry")
    await ferry.carl.message("There is nothing to try again")
    await ferry.omnisend.control("faults", {"faults": [{"kind": "item-error", "rate": 1, "times": 2}]})
    await ferry.carl.command("/ferry run newsletter", channel="marketing")
    await ferry.vera.message("2 refused by Omnisend", channel="marketing")
    await ferry.carl.command("/ferry retry")
    await ferry.carl.message("shall the rows that Omnisend refused be tried again?")
    await ferry.carl.click("Retry rejected", where="general")
    await ferry.vera.message("retry of rejected rows by <@", channel="marketing")
