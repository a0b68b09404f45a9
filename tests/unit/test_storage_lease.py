"""One process at a time sends to a brand, and hands over the limiter's window. Held against the design's Limiter."""

import asyncio
import os
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine

from storage import lease
from storage.database import Database
from storage.models import now

BRAND = "5f92cbf10cf217478ba93561"
US, OTHER = lease.this_process(), "another-machine:17:123"
CHILD = "from storage.lease import this_process; print(this_process(), flush=True); input()"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(f"sqlite+aiosqlite:///{tmp_path / 'ferry.sqlite3'}")
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(now(), tick=False) as traveller:
        yield traveller


async def test_a_lease_that_nobody_has_had_is_taken_at_once(database: Database) -> None:
    taken = await lease.take(database, BRAND, US)
    assert taken is not None
    assert (list(taken.ages), taken.after_crash, taken.idle_seconds) == ([], False, float("inf"))


async def test_a_lease_of_a_living_process_is_not_taken(database: Database) -> None:
    await lease.take(database, BRAND, OTHER)
    assert await lease.take(database, BRAND, US) is None


async def test_each_brand_has_a_lease_of_its_own(database: Database) -> None:
    await lease.take(database, BRAND, OTHER)
    assert await lease.take(database, "another brand", US) is not None


async def test_of_several_that_ask_at_once_one_gets_it(database: Database) -> None:
    taken = await asyncio.gather(*(lease.take(database, BRAND, f"machine-{n}:1:1") for n in range(5)))
    assert sum(one is not None for one in taken) == 1


async def test_a_released_lease_hands_over_the_ages_of_its_requests(
    database: Database, clock: time_machine.Traveller
) -> None:
    await lease.take(database, BRAND, OTHER)
    await lease.release(database, BRAND, OTHER, [50.0, 2.0])
    clock.shift(7)

    taken = await lease.take(database, BRAND, US)

    assert taken is not None
    assert taken.ages == pytest.approx([57.0, 9.0])
    assert taken.after_crash is False
    assert taken.idle_seconds == pytest.approx(7.0)


async def test_the_same_process_that_takes_its_lease_again_is_not_told_what_it_knows_itself(database: Database) -> None:
    await lease.take(database, BRAND, US)
    await lease.release(database, BRAND, US, [50.0, 2.0])

    taken = await lease.take(database, BRAND, US)

    assert taken is not None
    assert list(taken.ages) == []
    assert taken.after_crash is False


async def test_a_lease_that_was_not_renewed_for_long_may_be_taken_over(
    database: Database, clock: time_machine.Traveller
) -> None:
    await lease.take(database, BRAND, OTHER)
    clock.shift(lease.EXPIRY_SECONDS - 1)
    early = await lease.take(database, BRAND, US)
    clock.shift(2)
    late = await lease.take(database, BRAND, US)

    assert early is None
    assert late is not None
    assert late.after_crash is True
    assert late.idle_seconds == pytest.approx(lease.EXPIRY_SECONDS + 1)


async def test_renewing_keeps_a_lease(database: Database, clock: time_machine.Traveller) -> None:
    await lease.take(database, BRAND, OTHER)
    clock.shift(lease.EXPIRY_SECONDS - 1)
    assert await lease.renew(database, BRAND, OTHER)
    clock.shift(lease.EXPIRY_SECONDS - 1)
    assert await lease.take(database, BRAND, US) is None


async def test_who_lost_the_lease_is_told_so_and_can_neither_renew_nor_release_it(
    database: Database, clock: time_machine.Traveller
) -> None:
    await lease.take(database, BRAND, OTHER)
    clock.shift(lease.EXPIRY_SECONDS + 1)
    await lease.take(database, BRAND, US)

    assert not await lease.renew(database, BRAND, OTHER)
    await lease.release(database, BRAND, OTHER, [])
    assert await lease.take(database, BRAND, OTHER) is None


async def test_a_lease_that_nobody_has_cannot_be_renewed(database: Database) -> None:
    assert not await lease.renew(database, BRAND, US)


async def test_the_lease_of_a_process_that_died_on_this_machine_is_free_at_once(database: Database) -> None:
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, stdin=PIPE, stdout=PIPE)
    assert child.stdout is not None
    await lease.take(database, BRAND, (await child.stdout.readline()).decode().strip())
    alive = await lease.take(database, BRAND, US)
    child.kill()
    await child.communicate()

    taken = await lease.take(database, BRAND, US)

    assert alive is None
    assert taken is not None
    assert taken.after_crash


# --- who is alive


def test_this_process_is_not_dead() -> None:
    assert not lease.is_dead(US)


def test_a_process_that_took_over_our_id_is_not_us() -> None:
    assert lease.is_dead(f"{socket.gethostname()}:{os.getpid()}:1")


def test_setting_the_clock_makes_nobody_dead() -> None:
    with time_machine.travel(now() + timedelta(days=400)):
        assert not lease.is_dead(US)


def test_of_a_process_on_another_machine_nothing_is_certain() -> None:
    assert not lease.is_dead(OTHER)
