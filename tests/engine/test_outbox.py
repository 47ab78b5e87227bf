"""From an engine to the one reader."""

import asyncio

import pytest

from engine.errors import Overrun, Unavailable
from engine.events import Partial, Word
from engine.outbox import Outbox


async def test_events_come_in_order_then_the_end() -> None:
    outbox = Outbox()
    outbox.put(Word("a", 0.0))
    outbox.put(Word("b", 1.0))
    outbox.end()
    assert [await outbox.get(), await outbox.get()] == [Word("a", 0.0), Word("b", 1.0)]
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            await outbox.get()


async def test_a_reader_who_waits_is_woken() -> None:
    outbox = Outbox()
    reading = asyncio.create_task(outbox.get())
    await asyncio.sleep(0)
    outbox.put(Word("a", 0.0))
    assert await reading == Word("a", 0.0)


async def test_an_unread_partial_is_replaced() -> None:
    outbox = Outbox()
    for text in ("a", "a b"):
        outbox.put(Partial(text))
    outbox.end()
    assert await outbox.get() == Partial("a b")
    with pytest.raises(StopAsyncIteration):
        await outbox.get()


async def test_what_waits_is_read_before_the_error() -> None:
    outbox = Outbox()
    outbox.put(Word("a", 0.0))
    outbox.end(Unavailable("gone"))
    outbox.put(Word("late", 0.0))
    assert await outbox.get() == Word("a", 0.0)
    with pytest.raises(Unavailable, match="gone"):
        await outbox.get()


async def test_a_reader_who_lags_gets_what_was_kept_then_overrun() -> None:
    outbox = Outbox(limit=2)
    for start in range(3):
        outbox.put(Word("a", start))
    assert [await outbox.get(), await outbox.get()] == [Word("a", 0), Word("a", 1)]
    with pytest.raises(Overrun, match="2 events"):
        await outbox.get()


def test_the_first_end_counts() -> None:
    outbox = Outbox()
    outbox.end()
    outbox.end(Unavailable("gone"))
    assert outbox.error is None
