"""Ctrl-C and two runs at once, with `ferry` as a process at a terminal.

Holds the program against the issue ("a run started twice"; Ctrl-C keeps what settled) and the design's ledger.
"""

from tests.system.command_line_world import Shop, answer_of, terminal

MANY = 3_000
SETTLING = "Waiting for Omnisend to confirm"


async def test_ctrl_c_cancels_a_run_within_seconds_and_keeps_what_is_settled(shop: Shop) -> None:
    shop.tables.profiles(shop.tables.people(MANY))
    shop.tables.members("VIP", [f"p{n}" for n in range(1, MANY + 1)])
    slow = shop.with_settings(FERRY_OMNISEND_RATE="10/1")
    async with terminal(slow, "export", "run", "Spring", "--json") as running:
        await running.until("Sending to Omnisend")
        running.interrupt()
        ended = await running.end()

    shown = answer_of(ended, 130)
    assert "Cancelling: what Omnisend has taken may still settle" in shown
    cancelled = ended.json
    assert (cancelled["status"], cancelled["in_doubt"]) == ("cancelled", 0)
    assert cancelled["seconds"] < 15
    assert cancelled["added"] < MANY

    repeated = await shop.ferry("export", "run", "Spring", "--json")
    assert (repeated.status, repeated.json["unchanged"]) == (0, cancelled["added"])
    assert len(await shop.emails()) == MANY


async def test_a_second_ctrl_c_breaks_off_at_once_and_the_next_run_goes_on(shop: Shop) -> None:
    await shop.faults({"kind": "stuck", "rate": 1, "times": 1})
    async with terminal(shop.ferry, "export", "run", "Spring", "--json") as running:
        await running.until(SETTLING)
        running.interrupt()
        await running.until("Cancelling")
        running.interrupt()
        ended = await running.end()
    assert "Broken off: the next run finds out what became of it, and goes on." in answer_of(ended, 130)
    assert ended.stdout == ""

    await shop.post("batches/release")
    repeated = await shop.ferry("export", "run", "Spring", "--json")
    assert "A run that was interrupted goes on." in repeated.stderr
    assert (repeated.status, repeated.json["status"], repeated.json["in_doubt"]) == (0, "done", 0)
    assert len(await shop.emails()) == 6


async def test_a_run_started_twice_runs_once_and_says_who_started_it_and_when(shop: Shop) -> None:
    await shop.faults({"kind": "stuck", "rate": 1, "times": 1})
    async with terminal(shop.ferry, "export", "run", "Spring", "--json") as first:
        await first.until(SETTLING)
        second = await shop.ferry("export", "run", "Spring", "--json")
        await shop.post("batches/release")
        ended = await first.end()

    refused = answer_of(second, 1)
    assert "'Spring' is running already (started " in refused
    assert "UTC by the command line). It was not started a second time. Wait for its result, or cancel it." in refused
    assert (ended.status, ended.json["added"]) == (0, 6)
    assert await shop.batches_posted() == 1


async def test_ctrl_c_at_a_prompt_ends_the_program_and_changes_nothing(shop: Shop) -> None:
    async with terminal(shop.ferry, "connection", "add", "Second") as running:
        await running.until("I agree (y/n)")
        running.interrupt()
        ended = await running.end()
    answer_of(ended, 130)
    assert "Second" not in (await shop.ferry("connection", "list")).stdout
