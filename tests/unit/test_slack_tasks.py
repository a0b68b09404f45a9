"""Work after an acknowledgement is awaited when the bot stops, and nothing begins once it has stopped.

reference: DESIGN.md, style: every task is awaited or supervised.
"""

import asyncio

from bot.slack.tasks import Tasks


async def test_what_is_under_way_is_let_end_and_what_it_begins_as_well() -> None:
    tasks, done = Tasks(), []

    async def second() -> None:
        await asyncio.sleep(0)
        done.append("second")

    async def first() -> None:
        await asyncio.sleep(0)
        tasks.spawn(second(), "second")
        done.append("first")

    tasks.spawn(first(), "first")
    await tasks.finish(10)
    assert done == ["first", "second"]


async def test_what_takes_too_long_is_ended_by_closing() -> None:
    tasks, ended = Tasks(), []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("endless")

    tasks.spawn(endless(), "endless")
    await tasks.finish(0)
    assert not ended
    await tasks.close()
    assert ended == ["endless"]


async def test_nothing_begins_once_it_is_closed() -> None:
    tasks, begun = Tasks(), []

    async def late() -> None:
        begun.append("late")

    await tasks.close()
    tasks.spawn(late(), "late")
    await asyncio.sleep(0)
    assert not begun
