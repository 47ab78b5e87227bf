"""Who waits for audio to be consumed."""

import asyncio

from engine.backlog import Backlog


async def waits(backlog: Backlog) -> bool:
    """Whether `room` waits."""
    waiting = asyncio.create_task(backlog.room())
    await asyncio.sleep(0)
    done = waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    return not done


async def test_there_is_room_up_to_the_limit() -> None:
    backlog = Backlog(10)
    backlog.add(10)
    assert not await waits(backlog)
    backlog.add(1)
    assert await waits(backlog)
    assert backlog.waiting == 11


async def test_consuming_makes_room() -> None:
    backlog = Backlog(10)
    backlog.add(30)
    backlog.consumed(19)
    assert await waits(backlog)
    backlog.consumed(20)
    assert not await waits(backlog)


async def test_totals_neither_go_back_nor_beyond_what_was_fed() -> None:
    backlog = Backlog(10)
    backlog.add(30)
    backlog.consumed(25)
    backlog.consumed(5)
    assert backlog.waiting == 5
    backlog.consumed(99)
    assert backlog.waiting == 0
    backlog.add(5)
    assert backlog.waiting == 5


async def test_the_end_lets_everyone_through() -> None:
    backlog = Backlog(0)
    backlog.add(5)
    assert await waits(backlog)
    backlog.release()
    backlog.add(5)
    assert not await waits(backlog)
