"""Messages over a byte stream."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from engine.channel import Channel
from engine.wire import MESSAGE_LIMIT, WireError


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Channel, Channel]]:
    here, there = socket.socketpair()
    channels = await Channel.adopt(here), await Channel.adopt(there)
    yield channels
    for channel in channels:
        await channel.abort()


@pytest.fixture
async def raw() -> AsyncIterator[tuple[Channel, socket.socket]]:
    """A channel, and the bare socket of a peer that keeps to no rule."""
    here, there = socket.socketpair()
    channel = await Channel.adopt(here)
    with there:
        yield channel, there
    await channel.abort()


async def test_messages_come_whole_and_in_order(pair: tuple[Channel, Channel]) -> None:
    here, there = pair
    messages = [b"", b"a", b"b" * 100_000, b"c"]
    for message in messages:
        here.send(message)
    assert [await there.receive() for _ in messages] == messages


async def test_what_was_sent_before_hanging_up_arrives(pair: tuple[Channel, Channel]) -> None:
    here, there = pair
    here.send(b"last words")
    here.close()
    assert await there.receive() == b"last words"
    assert await there.receive() is None


async def test_sending_to_nobody_is_harmless(pair: tuple[Channel, Channel]) -> None:
    here, there = pair
    await there.abort()
    assert await here.receive() is None
    for _ in range(3):
        here.send(b"x" * 100_000)
        await here.drain()


async def test_a_peer_that_takes_nothing_makes_the_sender_wait(pair: tuple[Channel, Channel]) -> None:
    here, there = pair
    here.send(bytes(MESSAGE_LIMIT))
    draining = asyncio.create_task(here.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    assert await there.receive() == bytes(MESSAGE_LIMIT)
    await draining


@pytest.mark.parametrize("sent", [b"\0\0", struct.pack(">I", 5) + b"abc"])
async def test_a_message_cut_short_is_the_end(raw: tuple[Channel, socket.socket], sent: bytes) -> None:
    channel, peer = raw
    peer.sendall(sent)
    peer.close()
    assert await channel.receive() is None


async def test_a_length_beyond_the_limit_is_refused_before_it_is_read(raw: tuple[Channel, socket.socket]) -> None:
    channel, peer = raw
    peer.sendall(struct.pack(">I", MESSAGE_LIMIT + 1))
    with pytest.raises(WireError, match="limit"):
        await channel.receive()
