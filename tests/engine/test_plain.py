"""A stream at a plain moshi-server: what the contract cannot see from outside."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from aiohttp import WSMsgType

from engine.base import FRAME_SAMPLES
from engine.errors import Unavailable
from engine.events import Event, Mark, Step, Word
from engine.plain import DELAY, LARGE_DOSE, SILENCE_LIMIT, PlainStream
from engine.sockets import RemoteStream, Socket
from engine.verbs import Audio, MarkAt
from engine.wire import Reply, Request, decode_request, encode

PATIENCE = 10.0
FRAME = np.full(FRAME_SAMPLES, 0.5, dtype=np.float32)
SILENCE = np.zeros(FRAME_SAMPLES, dtype=np.float32)


class Far:
    """The far side of a socket, played by the test."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Request] = asyncio.Queue()
        self._said: asyncio.Queue[bytes] = asyncio.Queue()

    def left(self, stream: RemoteStream) -> None:
        pass

    def lost(self) -> None:
        pass

    def say(self, *replies: Reply) -> None:
        for reply in replies:
            self._said.put_nowait(encode(reply, plain=True))

    async def hear(self, count: int) -> list[Request]:
        """The next so many requests."""
        async with asyncio.timeout(PATIENCE):
            return [await self.heard.get() for _ in range(count)]

    async def send_bytes(self, data: bytes) -> None:
        self.heard.put_nowait(decode_request(data))

    async def receive(self) -> Any:
        return SimpleNamespace(type=WSMsgType.BINARY, data=await self._said.get())

    async def close(self) -> None:
        pass


@pytest.fixture
async def far() -> Far:
    return Far()


@pytest.fixture
async def stream(far: Far) -> AsyncIterator[PlainStream]:
    stream = PlainStream(far, cast(Socket, far), 60.0)
    yield stream
    await stream.close()


def step(index: int) -> Step:
    return Step(index, (0.0, 0.0, 0.0, 0.0), 0.0)


async def told(stream: PlainStream, count: int) -> list[Event]:
    """The next so many words and marks."""
    events: list[Event] = []
    async with asyncio.timeout(PATIENCE):
        while len(events) < count:
            event = await anext(stream)
            if isinstance(event, Word | Mark):
                events.append(event)
    return events


async def test_a_marker_of_a_busy_server_waits_for_the_streams_own_steps(stream: PlainStream, far: Far) -> None:
    await stream.feed(FRAME)
    stream.mark(5)
    _, marker = await far.hear(2)
    assert isinstance(marker, MarkAt)
    far.say(step(901), marker_back(marker), *(step(902 + 3 * index) for index in range(DELAY - 1)))
    far.say(Word("alpha", 0.0), step(999))
    assert await told(stream, 2) == [Word("alpha", 0.0), Mark(5)]


async def test_markers_that_come_back_in_another_order_keep_theirs(stream: PlainStream, far: Far) -> None:
    """A moshi-server keeps them in a heap by the step, and those without audio between them have the same."""
    for id in (7, 8, 9):
        stream.mark(id)
    markers = [request for request in await far.hear(3) if isinstance(request, MarkAt)]
    assert len(markers) == 3
    far.say(*(marker_back(marker) for marker in (markers[1], markers[2], markers[0])))
    assert await told(stream, 3) == [Mark(7), Mark(8), Mark(9)]


async def test_a_server_that_does_not_tell_of_its_steps_gets_a_larger_dose(stream: PlainStream, far: Far) -> None:
    stream.flush()
    requests = await far.hear(1 + LARGE_DOSE)
    assert isinstance(requests[0], MarkAt)
    assert all(isinstance(request, Audio) and not request.pcm.any() for request in requests[1:])


async def test_a_server_that_never_answers_a_marker_is_given_up(
    stream: PlainStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.plain.MARK_PATIENCE", 0.0)
    stream.finish()
    with pytest.raises(Unavailable, match="does not answer its markers"):
        await asyncio.wait_for(anext(stream), PATIENCE)


async def test_silence_for_a_marker_is_no_end(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two pieces of audio so much silence is allowed again."""
    monkeypatch.setattr("engine.plain.SILENCE_LIMIT", LARGE_DOSE)
    assert SILENCE_LIMIT > LARGE_DOSE
    stream = PlainStream(far, cast(Socket, far), 60.0)
    for _ in range(3):
        await stream.feed(FRAME)
        stream.flush()
        marker = next(request for request in await far.hear(2 + LARGE_DOSE) if isinstance(request, MarkAt))
        far.say(marker_back(marker))
    await stream.feed(FRAME)
    await stream.close()


async def test_a_caller_on_hold_keeps_the_place(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.plain.QUIET", 0.01)
    stream = PlainStream(far, cast(Socket, far), 60.0)
    for request in await far.hear(3):
        assert isinstance(request, Audio)
        assert len(request.pcm) == 0
    await stream.close()


def marker_back(marker: MarkAt) -> Mark:
    return Mark(marker.id)
