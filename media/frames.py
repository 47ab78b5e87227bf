"""PCM of any length to frames of one length, and the bounded queue in which they wait for their one reader."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np

from media.codecs import PCM
from media.events import MediaEvent, Missed

MOST_EVENTS = 1_000  # that may wait between the frames: nobody presses so many keys while two seconds of audio wait


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of the caller's audio. `start`: seconds from the caller's first sample, in the caller's own clock."""

    pcm: PCM  # (frame_samples,) float32, mono
    start: float
    spoken: float | None = None  # when `start` was spoken, by our clock, where the sender's reports tell it


class Framer:
    """Cuts a stream of samples into frames; nothing is lost or added between them."""

    def __init__(self, rate: int, frame_samples: int) -> None:
        self.written = 0  # samples so far
        self._rate = rate
        self._frame: PCM = np.empty(frame_samples, np.float32)
        self._filled = 0

    @property
    def position(self) -> float:
        """Seconds of audio so far."""
        return self.written / self._rate

    def push(self, pcm: PCM) -> list[Frame]:
        """Add samples; the frames that they complete."""
        end = self._filled + pcm.size
        if end < self._frame.size:  # as three packets of four
            self._frame[self._filled : end] = pcm
            self._filled = end
            self.written += pcm.size
            return []
        frames = []
        while pcm.size:
            part = pcm[: self._frame.size - self._filled]
            self._frame[self._filled : self._filled + part.size] = part
            self._filled += part.size
            self.written += part.size
            pcm = pcm[part.size :]
            if self._filled == self._frame.size:
                frames.append(self._take())
        return frames

    def rest(self) -> list[Frame]:
        """The last, unfinished frame, made whole with zeros; none when nothing is left."""
        return self.push(np.zeros(self._frame.size - self._filled, np.float32)) if self._filled else []

    def _take(self) -> Frame:
        frame = Frame(self._frame, (self.written - self._frame.size) / self._rate)
        self._frame = np.empty_like(self._frame)
        self._filled = 0
        return frame


class FrameQueue(AsyncIterator[Frame | MediaEvent]):
    """At most `limit` frames wait; the oldest give way, and what was dropped is told before the next frame."""

    def __init__(self, limit: int, frame_seconds: float) -> None:
        self.dropped = 0  # frames
        self.untold = 0  # events
        self._limit = limit
        self._frame_seconds = frame_seconds
        self._items: deque[Frame | MediaEvent] = deque()
        self._frames = 0
        self._changed = asyncio.Event()
        self._ended = False
        self._error: Exception | None = None

    def put(self, frame: Frame) -> None:
        """Add a frame; the oldest one gives way when too many wait. After the end nothing happens."""
        if self._ended:
            return
        if self._frames == self._limit:
            self._drop_oldest()
        self._items.append(frame)
        self._frames += 1
        self._changed.set()

    def tell(self, event: MediaEvent) -> None:
        """Add an event between the frames. Beyond a thousand that nobody has read it is only counted."""
        if self._ended:
            return
        if len(self._items) - self._frames >= MOST_EVENTS:
            self.untold += 1
            return
        self._items.append(event)
        self._changed.set()

    def end(self, error: Exception | None = None) -> None:
        """No more frames; what waits is still read, and then `error` is raised where there is one."""
        self._ended = True
        self._error = error
        self._changed.set()

    async def __anext__(self) -> Frame | MediaEvent:
        """The next frame, or what happened before it; StopAsyncIteration after the last."""
        while not self._items:
            if self._ended:
                raise self._error or StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        item = self._items.popleft()
        if isinstance(item, Frame):
            self._frames -= 1
        return item

    def _drop_oldest(self) -> None:
        before: list[MediaEvent] = []  # the oldest frame; these are told all the same, and in one piece where missed
        missed: Missed | None = None
        while not isinstance(item := self._items.popleft(), Frame):
            if isinstance(item, Missed):
                missed = _joined(missed, item)
            else:
                before.append(item)
        self.dropped += 1
        self._frames -= 1
        self._items.appendleft(_joined(missed, Missed(item.start, item.start + self._frame_seconds)))
        self._items.extendleft(reversed(before))


def _joined(earlier: Missed | None, later: Missed) -> Missed:
    return Missed(min(earlier.start, later.start), max(earlier.stop, later.stop)) if earlier else later
