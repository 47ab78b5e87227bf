"""Samples to frames, and the queue in which they wait."""

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.events import Digit, MediaEvent, Missed
from media.frames import MOST_EVENTS, Frame, FrameQueue, Framer


def frame(index: int) -> Frame:
    return Frame(np.zeros(4, np.float32), index * 0.5)


@given(st.lists(st.integers(0, 50), max_size=30))
def test_no_sample_is_lost_or_added(lengths: list[int]) -> None:
    framer = Framer(8, 4)
    samples = np.arange(sum(lengths), dtype=np.float32)
    frames, at = [], 0
    for length in lengths:
        frames += framer.push(samples[at : at + length])
        at += length
    assert framer.position == samples.size / 8
    frames += framer.rest()
    assert [frame.start for frame in frames] == [index * 0.5 for index in range(len(frames))]
    whole = np.concatenate([frame.pcm for frame in frames]) if frames else samples
    assert np.array_equal(whole[: samples.size], samples)
    assert not whole[samples.size :].any()
    assert whole.size - samples.size < 4


def start_of(item: Frame | MediaEvent) -> float:
    assert isinstance(item, Frame | Missed)
    return item.start


async def test_frames_and_events_come_in_order_and_end() -> None:
    queue = FrameQueue(4, 0.5)
    queue.put(frame(0))
    queue.tell(Missed(0.1, 0.2))
    queue.put(frame(1))
    queue.end()
    queue.put(frame(2))
    queue.tell(Missed(1, 2))
    assert [start_of(item) async for item in queue] == [0.0, 0.1, 0.5]


async def test_a_reader_who_waits_is_woken() -> None:
    queue = FrameQueue(4, 0.5)
    reader = asyncio.create_task(anext(queue))
    await asyncio.sleep(0)
    queue.put(frame(0))
    assert start_of(await asyncio.wait_for(reader, 1)) == 0.0
    last = asyncio.create_task(anext(queue))
    await asyncio.sleep(0)
    queue.end()
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(last, 1)


async def test_what_was_dropped_is_told_once_before_the_next_frame() -> None:
    queue = FrameQueue(2, 0.5)
    for index in range(5):
        queue.put(frame(index))
        if index == 1:
            queue.tell(Missed(0.9, 0.95))
    queue.end()
    items = [item async for item in queue]
    assert items[0] == Missed(0.0, 1.5)
    assert [start_of(item) for item in items[1:]] == [1.5, 2.0]
    assert queue.dropped == 3


async def test_a_digit_outlives_the_frames_around_it() -> None:
    queue = FrameQueue(1, 0.5)
    queue.tell(Missed(0.0, 0.1))
    for index in range(3):
        queue.tell(Digit(str(index), index / 2, 0.1))
        queue.put(frame(index))
    queue.end()
    items = [item async for item in queue]
    assert [item.digit for item in items if isinstance(item, Digit)] == ["0", "1", "2"]
    assert [item for item in items if isinstance(item, Missed)] == [Missed(0.0, 1.0)]
    assert start_of(items[-1]) == 1.0


async def test_a_flood_of_events_that_nobody_reads_is_bounded_and_counted() -> None:
    queue = FrameQueue(2, 0.5)
    for number in range(MOST_EVENTS + 5):
        queue.tell(Digit("1", float(number), 0.1))
    queue.put(frame(0))
    queue.end()
    items = [item async for item in queue]
    assert (len(items), queue.untold, queue.dropped) == (MOST_EVENTS + 1, 5, 0)
