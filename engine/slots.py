"""Who sits where, and what waits there to be heard. Pure: no thread, and the time is an argument.

A new caller gets a new Slot even at the same row, so a late result can reach only the caller it belongs to.
"""

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from engine.base import CHUNK_SAMPLES, PCM, SAMPLE_RATE
from engine.echo import Echo
from engine.errors import Full
from engine.events import Event, Mark, Partial, Pause, Step, Word, WordEnd
from engine.verbs import Audio, Clear, Finish, Flush, MarkAt, Verb

MARK_PATIENCE = 0.2  # seconds without audio behind a mark until it flushes by itself


@dataclass(frozen=True, slots=True)
class Behind:
    """The model reads again what a row has heard, and is not yet where it would otherwise be."""


ModelEvent = Word | WordEnd | Partial | Pause | Step | Behind


class Places:
    """The rows of a batch that nobody sits in. It belongs to one thread: the event loop's.

    The lowest free row is taken first, so that the rows in use lie together at the start of the batch.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = list(range(count))  # a heap

    @property
    def taken(self) -> int:
        """Rows that somebody sits in."""
        return self.count - len(self._free)

    def take(self) -> int:
        """The lowest free row. Raises Full."""
        if not self._free:
            raise Full
        return heapq.heappop(self._free)

    def release(self, row: int) -> None:
        """Give a row back."""
        assert row not in self._free, f"row {row} was released twice"
        heapq.heappush(self._free, row)


class Turn(IntEnum):
    """What a slot's next frame is, in the order in which frames are served when not all can be."""

    LIVE = 0  # a live caller's who is in time, or who has had no frame for the time of one
    FLUSH = 1  # silence that pushes the last words out
    BACKLOG = 2  # a live caller's who is late
    FILE = 3


class Slot:
    """One caller's seat in the batch: what waits to be heard, and what is to be told.

    Each step asks for its `turn`, then may `take` the frame, then lets it `hear` what the model said. Counters: `fed`
    and `consumed` samples (`clear` consumes what it forgets), `steps`. Before the model hears the frame that was taken,
    it is to `restore` the row's state, or to forget it (`fresh`), and then to `save` it, where these are set.
    """

    def __init__(self, row: int, frame_size: int, delay: int, *, bulk: bool = False) -> None:
        self.row = row
        self.fed = 0
        self.consumed = 0
        self.steps = 0
        self.ended = False
        self.fresh = True
        self.save = self.restore = False
        self.changed = False  # there is something to tell
        self.expected = 0.0  # when a live caller's next frame should be whole
        self._size = frame_size
        self._period = frame_size / SAMPLE_RATE
        self._delay = delay
        self._bulk = bulk
        self._patient_until = 0.0
        self._due_at = 0.0  # from when on one who keeps pace with what is spoken may have the next frame
        self._frame: PCM = np.zeros(frame_size, dtype=np.float32)
        self._filled = 0
        self._again = 0  # samples at the start of the frame that a flush has let the model hear before
        self._kept: PCM | None = None  # in and after a flush: the part of a frame that it began with
        self._kept_fresh = False  # ... and whether the model's state before it was that of a new caller
        self._offset = 0  # samples of the first Audio that waits which are in the frame already
        self._pending: deque[Verb] = deque()
        self._marks: deque[tuple[int, int]] = deque()  # (id, the step after which it is told)
        self._told_by = 0  # the step after which everything heard so far has been told ...
        self._behind = False  # ... unless the model is behind then
        self._echo_until = 0  # the step after which the model repeats nothing that a flush has told
        self._echo = Echo()
        self._origin = 0  # samples of the caller's audio before the last reset ...
        self._heard = 0  # ... and those that the model heard since then
        self._tail = ""
        self._news: list[Event] = []

    @property
    def waiting(self) -> int:
        """Samples that wait to be heard."""
        return self.fed - self.consumed

    @property
    def deadline(self) -> float | None:
        """When the slot flushes although nobody asks, because a mark waits and no audio comes."""
        return self._patient_until if self._marks and not self._pending else None

    @property
    def hurried(self) -> bool:
        """Whether the next step should not wait for others: more waits than one frame that was just fed."""
        return self._bulk or self.waiting >= 2 * self._size or self._filled < self._size

    def add(self, verb: Verb, now: float) -> None:
        """Put a verb behind those that wait; `clear` does not wait."""
        match verb:
            case Audio(pcm):
                self.fed += len(pcm)
                self._pending.append(verb)
                self._patient_until = now + MARK_PATIENCE
                if not self._bulk:
                    self.expected = now + self._period * max(1, self.waiting // self._size)
            case MarkAt():
                self._pending.append(verb)
                self._patient_until = now + MARK_PATIENCE
            case Clear():
                self._clear()
            case Flush() | Finish():
                self._pending.append(verb)

    def expire(self) -> None:
        """The deadline has passed: a flush takes the place of the audio that did not come."""
        self._pending.append(Flush())

    def turn(self, now: float) -> Turn | None:
        """What the next frame would be; None while there is none. Verbs that need no frame are done on the way."""
        while not self.ended:
            if self._filled == self._size:
                return self._audio_turn(now)
            if not self._pending:
                return None
            match self._pending[0]:
                case Audio(pcm):
                    self._fill(pcm)
                case MarkAt(id):
                    self._pass_mark(id)
                case Flush() | Finish() if self._unheard or not self._all_is_told:
                    return Turn.FILE if self._bulk else Turn.FLUSH
                case Finish():
                    self.ended = self.changed = True
                case _:
                    self._pending.popleft()
        return None

    def take(self, now: float) -> PCM:
        """The frame of this turn, as far as there is audio, and silence behind it. It is valid until the next call."""
        if self._filled < self._size:
            self._prepare_flush()
        live = self._filled - self._again
        self._frame[self._filled :] = 0.0
        self._filled = self._again = 0
        self._heard += live
        self.consumed += live
        if now >= self._due_at:
            self._due_at = max(self._due_at, now - self._period) + self._period
        if live:
            self._told_by = self.steps + 1 + self._delay
        return self._frame

    def hear(self, events: Iterable[ModelEvent]) -> None:
        """The model heard the frame and said `events`, in its own time since the row's reset."""
        self.steps += 1
        self.fresh = self.save = self.restore = self._behind = False
        self.changed = True
        for event in events:
            self._tell(event)
        if self.steps >= self._echo_until and not self._behind:
            self._echo.settle()
        self._tell_marks()

    def news(self) -> Sequence[Event]:
        """What is to be told since the last call."""
        self.changed = False
        news, self._news = self._news, []
        return news

    @property
    def _unheard(self) -> bool:
        return self._filled > self._again

    @property
    def _all_is_told(self) -> bool:
        """Whether the model has told everything that it has heard."""
        return self.steps >= self._told_by and not self._behind

    def _audio_turn(self, now: float) -> Turn:
        if self._bulk:
            return Turn.FILE
        in_time = self.waiting < CHUNK_SAMPLES + self._size or now >= self._due_at
        return Turn.LIVE if in_time else Turn.BACKLOG

    def _pass_mark(self, id: int) -> None:
        self._pending.popleft()
        self._marks.append((id, self.steps + 1 + self._delay if self._unheard else self._told_by))
        self._tell_marks()

    def _fill(self, pcm: PCM) -> None:
        if self._kept is not None and len(pcm):
            self._go_on(self._kept)
        count = min(len(pcm) - self._offset, self._size - self._filled)
        self._frame[self._filled : self._filled + count] = pcm[self._offset : self._offset + count]
        self._filled += count
        self._offset += count
        if self._offset == len(pcm):
            self._pending.popleft()
            self._offset = 0

    def _prepare_flush(self) -> None:
        """The model's state is kept before it hears silence, unless nothing can follow."""
        if self._kept is None and isinstance(self._pending[0], Flush):
            self._kept = self._frame[: self._filled].copy()
            self._kept_fresh = self.fresh
            self.save = not self.fresh
            self._echo.begin()

    def _go_on(self, kept: PCM) -> None:
        """The caller goes on after a flush, which has never been: the model is taken back to before it."""
        self.restore, self.fresh = not self._kept_fresh, self._kept_fresh
        self._frame[: len(kept)] = kept
        self._filled = self._again = len(kept)
        self._kept = None
        self._echo.rewind()
        self._echo_until = self.steps + 1 + self._delay

    def _clear(self) -> None:
        """Times go on, and no mark is left behind: nothing that was fed before it is still to be told."""
        self._marks.extend((verb.id, self.steps) for verb in self._pending if isinstance(verb, MarkAt))
        self._marks = deque((id, self.steps) for id, _ in self._marks)
        self._pending.clear()
        self._filled = self._again = self._offset = 0
        self._kept = None
        self._told_by = self.steps
        self.consumed = self.fed
        self._origin, self._heard = self.fed, 0
        self._echo = Echo()
        self.fresh = self.changed = True
        self.save = self.restore = self._behind = False
        if self._tail:
            self._news.append(Partial(""))
            self._tail = ""
        self._tell_marks()

    def _tell_marks(self) -> None:
        while self._marks and self._marks[0][1] <= self.steps and not self._behind:
            self._news.append(Mark(self._marks.popleft()[0]))
            self.changed = True

    def _tell(self, event: ModelEvent) -> None:
        """The event in the caller's time, unless it was told before."""
        match event:
            case Step(pauses=pauses):
                self._news.append(Step(self.steps, pauses, self.waiting / SAMPLE_RATE))
            case Word(start=start):
                word = replace(event, start=self._at(start))
                if self._echo.is_word_new(word):
                    self._news.append(word)
            case WordEnd(stop):
                end = WordEnd(self._at(stop))
                if self._echo.is_end_new(end):
                    self._news.append(end)
            case Partial():
                self._tell_tail(self._echo.tail(event))
            case Pause(at):
                pause = Pause(self._at(at))
                if self._echo.is_pause_new(pause):
                    self._news.append(pause)
            case Behind():
                self._behind = True

    def _at(self, seconds: float) -> float:
        """The caller's time of what the model heard at `seconds`. Silence that was made up lies behind the last sample,
        since a flush is taken back before the caller goes on: a time inside it is that of the last sample."""
        return max(0.0, (self._origin + min(seconds * SAMPLE_RATE, self._heard)) / SAMPLE_RATE)

    def _tell_tail(self, partial: Partial) -> None:
        if partial.text != self._tail:
            self._tail = partial.text
            self._news.append(partial)
