"""First run and delta end right whatever Omnisend turns out to do. Reference: omnisend-api.md §13, last paragraph.

Each alternative of each of the emulator's switches, one by one.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.sandbox.omnisend.assumptions import SWITCHES
from storage.models import RunStatus, Trigger
from tests.engine_world import World, crowd, fast_emulator, outcome, person, world
from tests.system.omnisend_emulator_client import Omnisend

ALTERNATIVES = [(name, value) for name, values in SWITCHES.items() for value in values[1:]]
HOURS = ("batch-delay", "hours")  # nobody waits so long: the run reports in doubt, a later one settles
STOPS = ("stop-after-errors", "on")


@pytest.fixture(scope="module")
async def process() -> AsyncIterator[Omnisend]:
    async with fast_emulator() as omnisend:
        yield omnisend


@pytest.fixture
async def w(process: Omnisend, tmp_path: Path) -> AsyncIterator[World]:
    await process.set("/reset")
    async with world(tmp_path, process) as made:
        made.source.profiles_by_id.update(crowd(120))
        made.source.members = {"VIP": set(crowd(120)), "News": set(crowd(50))}
        yield made


def change(w: World) -> None:
    """Five change, five leave, five join."""
    for number in range(5):
        w.source.profiles_by_id[f"c{number:06}"]["First"] = "Renamed"
        w.source.members["VIP"].remove(f"c{number + 50:06}")
        w.source.profiles_by_id[f"c{number + 200:06}"] = person(number + 200)
        w.source.members["VIP"].add(f"c{number + 200:06}")


@pytest.mark.parametrize(
    ("name", "value"), [alternative for alternative in ALTERNATIVES if alternative not in (HOURS, STOPS)]
)
async def test_first_run_and_delta_end_right_under(w: World, name: str, value: str) -> None:
    await w.omnisend.assume(name, value)
    await w.omnisend.fault("item-error", times=2)  # so that items and their errors are read
    await w.make_export()

    first = await w.run()
    change(w)
    retry = await w.run(Trigger.RETRY)

    assert (first.status, retry.status) == (RunStatus.DONE, RunStatus.DONE)
    assert outcome(first) == {"added": 118, "rejected": 2}
    assert (retry.rejected, retry.in_doubt) == (0, 0)
    await w.assert_reconciled()


async def test_first_run_and_delta_end_right_though_batches_take_hours(w: World) -> None:
    await w.omnisend.assume(*HOURS)
    w.configure(settle_patience=0.2, canary_patience=0.2, drain_patience=0.2)
    await w.make_export()

    doubtful = await w.run()
    await w.omnisend.advance(5 * 3600)
    await w.omnisend.assume("batch-delay", "seconds")
    w.configure(settle_patience=60)
    change(w)
    final = await w.run()

    assert outcome(doubtful) == {"in_doubt": 120}
    assert outcome(final) == {"added": 5, "changed": 5, "removed": 5, "unchanged": 110}
    await w.assert_reconciled()


async def test_what_a_stopped_batch_did_not_try_is_sent_again_in_the_same_run(w: World) -> None:
    await w.omnisend.assume(*STOPS)
    await w.omnisend.fault("item-error", times=10)
    await w.make_export()

    run = await w.run()
    retry = await w.run(Trigger.RETRY)

    assert outcome(run) == {"added": 110, "rejected": 10}
    assert outcome(retry) == {"added": 10, "unchanged": 110}
    await w.assert_reconciled()
