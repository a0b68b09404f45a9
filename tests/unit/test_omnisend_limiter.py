"""The limiter against Omnisend's sliding window. Reference: omnisend-api.md §7.

Time is a number that moves on when everybody waits, so nothing here sleeps.
"""

import asyncio
import heapq
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.omnisend.limiter import Limiter, Pot
from bot.settings import Rate


class VirtualTime:
    """A clock whose `pause` returns when `run` has moved time on to its end."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    def clock(self) -> float:
        return self.now

    async def pause(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._numbers), woken))
        await woken

    async def run(self, seconds: float | None = None) -> None:
        """Move on by so many seconds, or until nobody waits for the clock any more."""
        end = inf if seconds is None else self.now + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self.now, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
            await self._settle()
        if seconds is not None:
            self.now = end

    async def _settle(self) -> None:
        """Let every task run until it waits for the clock or for another task."""
        for _ in range(100):
            await asyncio.sleep(0)


@dataclass
class Sent:
    """A request as the limiter let it go: when it was granted and when its answer was here."""

    name: int
    pot: Pot
    granted: float
    completed: float = inf


class Traffic:
    """Tasks that send requests through one limiter, and the log of what was sent."""

    def __init__(self, rate: Rate, share: float = 1.0) -> None:
        self.time = VirtualTime()
        self.limiter = Limiter(rate, share, clock=self.time.clock, pause=self.time.pause)
        self.sent: list[Sent] = []
        self.tasks: list[asyncio.Task[None]] = []  # a request's name is its index here
        self.cancellers: list[asyncio.Task[None]] = []

    def ask(self, latency: float = 0.0, pot: Pot = Pot.ALL, after: float = 0.0) -> asyncio.Task[None]:
        task = asyncio.create_task(self._request(len(self.tasks), pot, latency, after))
        self.tasks.append(task)
        return task

    def cancel(self, name: int, after: float) -> None:
        self.cancellers.append(asyncio.create_task(self._cancel(self.tasks[name], after)))

    async def _cancel(self, task: asyncio.Task[None], after: float) -> None:
        await self.time.pause(after)
        task.cancel()

    async def _request(self, name: int, pot: Pot, latency: float, after: float) -> None:
        if after:
            await self.time.pause(after)
        async with self.limiter.slot(pot):
            request = Sent(name, pot, self.time.now)
            self.sent.append(request)
            try:
                if latency:
                    await self.time.pause(latency)
            finally:
                request.completed = self.time.now

    @property
    def names(self) -> list[int]:
        return [request.name for request in self.sent]


@asynccontextmanager
async def traffic(rate: Rate, share: float = 1.0) -> AsyncIterator[Traffic]:
    """Traffic whose tasks are all ended with the block."""
    world = Traffic(rate, share)
    try:
        yield world
    finally:
        tasks = world.tasks + world.cancellers
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def most_in_a_window(sent: list[Sent], seconds: float, arrival: Callable[[Sent], float]) -> int:
    """The most requests that the server counts at any moment, if each arrives when `arrival` says."""
    times = sorted(arrival(request) for request in sent)
    return max((index + 1 - bisect_right(times, time - seconds) for index, time in enumerate(times)), default=0)


def ticks(longest: int, of_a_second: int = 64) -> st.SearchStrategy[float]:
    """Seconds in steps that binary floats hold exactly: a rounded sum must not decide who is inside a window."""
    return st.integers(0, longest * of_a_second).map(lambda number: number / of_a_second)


plans = st.lists(
    st.tuples(
        ticks(30),  # asks after so many seconds
        ticks(8),  # and is answered after so many
        st.sampled_from(Pot),
        st.none() | ticks(40),  # cancelled after so many seconds
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(plan=plans, requests=st.integers(1, 12), share=st.sampled_from([0.3, 0.9, 1.0]), part=ticks(1, 8))
async def test_no_window_ever_counts_more_than_the_limit_wherever_a_request_arrives(
    plan: list[tuple[float, float, Pot, float | None]], requests: int, share: float, part: float
) -> None:
    allowed = max(1, int(requests * share))
    async with traffic(Rate(requests, 10), share) as world:
        for name, (after, latency, pot, cancelled) in enumerate(plan):
            world.ask(latency, pot, after)
            if cancelled is not None:
                world.cancel(name, cancelled)
        await world.time.run()

        for pots, limit in ((set(Pot), allowed), *(({pot}, max(1, allowed * pot.value // 400)) for pot in Pot)):
            sent = [request for request in world.sent if request.pot in pots]
            for arrival in (
                lambda request: request.granted,
                lambda request: request.completed,
                lambda request: request.granted + part * (request.completed - request.granted),
                lambda request: request.completed if request.name % 2 else request.granted,
            ):
                assert most_in_a_window(sent, 10, arrival) <= limit


@settings(max_examples=60, deadline=None)
@given(plan=plans, requests=st.integers(1, 12))
async def test_everyone_who_is_not_cancelled_is_served_in_the_order_of_asking(
    plan: list[tuple[float, float, Pot, float | None]], requests: int
) -> None:
    async with traffic(Rate(requests, 10)) as world:
        for name, (_, latency, pot, cancelled) in enumerate(plan):
            world.ask(latency, pot)
            if cancelled is not None:
                world.cancel(name, cancelled)
        await world.time.run()

        assert all(task.done() for task in world.tasks)
        assert set(world.names) >= {name for name, (*_, cancelled) in enumerate(plan) if cancelled is None}
        for pot in Pot:
            order = [request.name for request in world.sent if request.pot is pot]
            assert order == sorted(order)


async def test_a_full_window_lets_the_next_request_go_one_window_after_the_oldest_was_answered() -> None:
    async with traffic(Rate(2, 60)) as world:
        for _ in range(3):
            world.ask(latency=5)
        await world.time.run()
        assert [request.granted for request in world.sent] == [1000, 1000, 1065]


async def test_requests_that_never_come_back_keep_their_places() -> None:
    async with traffic(Rate(2, 60)) as world:
        for _ in range(3):
            world.ask(latency=10_000)
        await world.time.run(9_000)
        assert world.names == [0, 1]
        await world.time.run(1_060)
        assert world.names == [0, 1, 2]


async def test_the_share_is_rounded_down_but_never_to_nothing() -> None:
    async with traffic(Rate(19, 60), share=0.9) as world:
        for _ in range(30):
            world.ask()
        await world.time.run(1)
        assert len(world.sent) == 17
    async with traffic(Rate(1, 60), share=0.1) as world:
        world.ask()
        await world.time.run(1)
        assert len(world.sent) == 1


@pytest.mark.parametrize(
    ("pot", "expected"), [(Pot.ALL, 360), (Pot.TAGS, 54), (Pot.SEGMENTS_READ, 90), (Pot.SEGMENTS_WRITE, 13)]
)
@pytest.mark.parametrize("seconds", [60, 3])
async def test_each_pot_has_its_part_of_the_brands_limit_at_any_speed(pot: Pot, expected: int, seconds: float) -> None:
    async with traffic(Rate(400, seconds), share=0.9) as world:
        for _ in range(expected + 5):
            world.ask(pot=pot)
        await world.time.run(seconds / 2)
        assert len(world.sent) == expected


async def test_a_small_rate_still_leaves_one_request_to_each_pot() -> None:
    async with traffic(Rate(10, 60)) as world:
        for _ in range(2):
            world.ask(pot=Pot.SEGMENTS_WRITE)
        await world.time.run(1)
        assert world.names == [0]


async def test_a_request_that_waits_for_its_own_pot_does_not_hold_up_the_others() -> None:
    async with traffic(Rate(40, 60)) as world:
        for _ in range(2):
            world.ask(pot=Pot.SEGMENTS_WRITE)
        world.ask()
        await world.time.run(1)
        assert world.names == [0, 2]


async def test_all_pots_draw_on_the_brands_budget() -> None:
    async with traffic(Rate(4, 60)) as world:
        for pot in (Pot.TAGS, Pot.SEGMENTS_READ, Pot.SEGMENTS_WRITE, Pot.ALL, Pot.ALL):
            world.ask(pot=pot)
        await world.time.run(1)
        assert len(world.sent) == 4


async def test_a_rate_of_nought_sets_no_limit_but_can_still_be_held() -> None:
    async with traffic(Rate(0, 60)) as world:
        for pot in (*Pot, *[Pot.ALL] * 500):
            world.ask(pot=pot)
        await world.time.run(1)
        assert len(world.sent) == 504
        assert world.limiter.snapshot() == []
        world.limiter.fill()
        world.limiter.hold(5)
        world.ask()
        await world.time.run(4)
        assert len(world.sent) == 504
        await world.time.run(2)
        assert len(world.sent) == 505


async def test_a_hold_stops_every_pot_and_a_shorter_one_does_not_shorten_it() -> None:
    async with traffic(Rate(400, 60)) as world:
        world.limiter.hold(30)
        world.limiter.hold(3)
        for pot in Pot:
            world.ask(pot=pot)
        await world.time.run(29)
        assert world.sent == []
        await world.time.run(2)
        assert {request.granted for request in world.sent} == {1030}


async def test_a_hold_that_comes_while_others_wait_holds_them_too() -> None:
    async with traffic(Rate(1, 10)) as world:
        world.ask()
        world.ask()
        await world.time.run(5)
        world.limiter.hold(20)
        await world.time.run()
        assert [request.granted for request in world.sent] == [1000, 1025]


async def test_a_cancelled_waiter_takes_no_room_and_lets_the_next_one_pass() -> None:
    async with traffic(Rate(1, 10)) as world:
        world.ask()
        waiting = world.ask()
        world.ask()
        await world.time.run(5)
        waiting.cancel()
        await world.time.run()
        assert [(request.name, request.granted) for request in world.sent] == [(0, 1000), (2, 1010)]


async def test_a_waiter_cancelled_behind_the_brands_budget_gives_its_pot_back() -> None:
    async with traffic(Rate(2, 10)) as world:
        world.ask()
        world.ask()
        waiting = world.ask(pot=Pot.SEGMENTS_WRITE)
        world.ask(pot=Pot.SEGMENTS_WRITE)
        await world.time.run(5)
        waiting.cancel()
        await world.time.run()
        assert [(request.name, request.granted) for request in world.sent] == [(0, 1000), (1, 1000), (3, 1010)]


async def test_a_request_that_fails_or_is_cancelled_under_way_counts_all_the_same() -> None:
    async with traffic(Rate(1, 10)) as world:
        under_way = world.ask(latency=100)
        await world.time.run(4)
        under_way.cancel()
        world.ask()
        await world.time.run()
        assert [request.granted for request in world.sent] == [1000, 1014]


async def test_a_snapshot_gives_ages_oldest_first_and_nothing_that_no_longer_counts() -> None:
    async with traffic(Rate(10, 60)) as world:
        world.ask()
        await world.time.run(50)
        world.ask(latency=1)
        world.ask(latency=100)
        await world.time.run(5)
        assert world.limiter.snapshot() == [55, 4, 0]
        await world.time.run(6)
        assert world.limiter.snapshot() == [10, 0]


async def test_after_a_restart_the_old_requests_still_count() -> None:
    async with traffic(Rate(3, 60)) as world:
        world.limiter.restore([50, 10])
        for _ in range(3):
            world.ask()
        await world.time.run()
        assert [request.granted for request in world.sent] == [1000, 1010, 1050]


async def test_restored_requests_count_against_every_pot() -> None:
    async with traffic(Rate(40, 60)) as world:
        world.limiter.restore([20])
        world.ask(pot=Pot.SEGMENTS_WRITE)
        await world.time.run()
        assert world.sent[0].granted == 1040


@settings(max_examples=40, deadline=None)
@given(before=st.integers(0, 20), gap=ticks(70), after=st.integers(1, 20))
async def test_a_restart_makes_no_burst(before: int, gap: float, after: int) -> None:
    async with traffic(Rate(8, 60)) as old, traffic(Rate(8, 60)) as new:
        for _ in range(before):
            old.ask(latency=2)
        await old.time.run(30)
        ages = old.limiter.snapshot()
        sent = [request for request in old.sent if request.completed <= old.time.now]

        new.time.now = old.time.now + gap
        new.limiter.restore(age + gap for age in ages)
        for _ in range(after):
            new.ask(latency=2)
        await new.time.run()

        assert len(new.sent) == after
        assert most_in_a_window(sent + new.sent, 60, lambda request: request.completed) <= 8


async def test_a_filled_limiter_waits_a_whole_window() -> None:
    async with traffic(Rate(5, 60)) as world:
        world.limiter.fill()
        for _ in range(6):
            world.ask()
        await world.time.run()
        assert [request.granted for request in world.sent] == [1060] * 5 + [1120]


async def test_ages_from_the_future_count_as_new() -> None:
    async with traffic(Rate(1, 60)) as world:
        world.limiter.restore([-500])
        assert world.limiter.snapshot() == [0]


async def test_the_present_rate_is_shown_as_requests_a_minute() -> None:
    async with traffic(Rate(400, 3)) as world:
        assert world.limiter.per_minute() == 0
        for _ in range(10):
            world.ask()
        await world.time.run(1)
        assert world.limiter.per_minute() == 200
        await world.time.run(3)
        assert world.limiter.per_minute() == 0


async def test_its_repr_says_how_much_is_taken() -> None:
    async with traffic(Rate(400, 60), share=0.9) as world:
        world.ask()
        await world.time.run(1)
        assert repr(world.limiter) == "<Limiter 400/60: 1 of 360 taken>"
