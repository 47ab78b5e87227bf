"""The data channel: kept until it opens, counted until it is acknowledged."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from media.channel import LONGEST_WAITING, MOST_INBOUND, Channel
from media.errors import SlowReader


class FakeDataChannel:
    def __init__(self, label: str = "events") -> None:
        self.label = label
        self.readyState = "open"
        self.bufferedAmount = 0
        self.sent: list[bytes | str] = []
        self.received: Callable[[str | bytes], None] = lambda message: None

    def send(self, data: bytes | str) -> None:
        self.sent.append(data)
        self.bufferedAmount += len(data)

    def close(self) -> None:
        self.readyState = "closed"

    def on(self, event: str, f: Callable[..., Any]) -> None:
        assert event == "message"
        self.received = f


def made() -> Channel:
    return Channel("events", lambda: 0)


async def test_what_was_said_before_comes_first() -> None:
    channel, data = made(), FakeDataChannel()
    channel.send("one")
    assert channel.waiting == 3
    channel.offer(data)
    channel.send("two")
    assert data.sent == ["one", "two"]
    assert channel.waiting == 6


async def test_only_a_channel_of_our_label_is_used_and_only_one() -> None:
    channel, other, first, second = made(), FakeDataChannel("chat"), FakeDataChannel(), FakeDataChannel()
    for data in (other, first, second):
        channel.offer(data)
    channel.send("hello")
    assert (other.sent, first.sent, second.sent) == ([], ["hello"], [])
    first.close()
    channel.send("nobody hears this")
    channel.offer(second)
    channel.send("again")
    assert second.sent == ["again"]


async def test_a_slow_reader_is_refused() -> None:
    channel = made()
    channel.send("x" * LONGEST_WAITING)
    with pytest.raises(SlowReader):
        channel.send("y")


async def test_messages_come_in_order_and_end() -> None:
    channel, data = made(), FakeDataChannel()
    channel.offer(data)
    data.received("one")
    data.received(b"two")
    reader = aiter(channel)
    assert [await anext(reader), await anext(reader)] == ["one", b"two"]
    waiting = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0)
    channel.end()
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(waiting, 1)


async def test_a_flood_closes_the_channel() -> None:
    channel, data = made(), FakeDataChannel()
    channel.offer(data)
    for _ in range(MOST_INBOUND + 1):
        data.received("flush")
    assert data.readyState == "closed"


async def test_drained_waits_for_the_acknowledgement() -> None:
    channel, data = made(), FakeDataChannel()
    channel.offer(data)
    channel.send("last words")
    drained = asyncio.create_task(channel.drained())
    await asyncio.sleep(0)
    channel.progress()
    await asyncio.sleep(0)
    assert not drained.done()
    data.bufferedAmount = 0
    channel.progress()
    await asyncio.wait_for(drained, 1)


async def test_drained_does_not_outwait_the_call() -> None:
    channel = made()
    channel.send("nobody will read this")
    drained = asyncio.create_task(channel.drained())
    await asyncio.sleep(0)
    channel.end()
    await asyncio.wait_for(drained, 1)
