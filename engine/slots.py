"""Who sits where, and what waits there to be heard. Pure: no thread, and the time is an argument.

A new caller gets a new Slot even at the same row, so a late result can reach only the caller it belongs to.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from engine.base import PCM, SAMPLE_RATE
from engine.errors import Full
from engine.events import Event, Mark, Partial, Pause, Step, Word, WordEnd
from engine.timeline import Timeline
from engine.verbs import Audio, Clear, Finish, Flush, MarkAt, Verb

MARK_PATIENCE = 0.2  # seconds without audio behind a mark until it flushes by itself

ModelEvent = Word | WordEnd | Partial | Pause | Step


class Places:
    """The rows of a batch that nobody sits in. It belongs to one thread: the event loop's."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = deque(range(count))

    @property
    def taken(self) -> int:
        """Rows that somebody sits in."""
        return self.count - len(self._free)

    def take(self) -> int:
        """A free row. Raises Full."""
        if not self._free:
            raise Full
        return self._free.popleft()

    def release(self, row: int) -> None:
        """Give a row back."""
        assert row not in self._free, f"row {row} was released twice"
        self._free.append(row)


class Slot:
    """One caller's seat in the batch: what waits to be heard, and what is to be told.

    `next_frame` and `hear` alternate, once a step. Counters: `fed` and `consumed` samples (`clear` consumes what it
    forgets), `steps`, `injected` samples of silence.
    """

    def __init__(self, row: int, frame_size: int, delay: int) -> None:
        self.row = row
        self.fed = 0
        self.consumed = 0
        self.steps = 0
        self.injected = 0
        self.ended = False
        self.fresh = True  # the model is to forget the row's past before the next frame
        self.changed = False  # there is something to tell
        self._delay = delay
        self._frame: PCM = np.zeros(frame_size, dtype=np.float32)
        self._filled = 0
        self._pending: deque[Verb] = deque()
        self._marks: deque[tuple[int, int]] = deque()  # (id, the step after which it is told)
        self._told_by = 0  # the step after which everything heard so far has been told
        self._patient_until = 0.0
        self._timeline = Timeline()
        self._tail = ""
        self._news: list[Event] = []

    def add(self, verb: Verb, now: float) -> None:
        """Put a verb behind those that wait; `clear` does not wait."""
        match verb:
            case Audio(pcm):
                self.fed += len(pcm)
                self._pending.append(verb)
                self._patient_until = now + MARK_PATIENCE
            case MarkAt():
                self._pending.append(verb)
                self._patient_until = now + MARK_PATIENCE
            case Clear():
                self._clear()
            case Flush() | Finish():
                self._pending.append(verb)

    @property
    def deadline(self) -> float | None:
        """When `next_frame` will have silence to give although no audio comes, because a mark waits."""
        return self._patient_until if self._marks and not self._pending else None

    def next_frame(self, now: float) -> PCM | None:
        """What the model hears next; None while no whole frame waits. It is valid until the next call."""
        while not self.ended:
            if self._filled == len(self._frame):
                return self._take_frame()
            if not self._pending and not self._lost_patience(now):
                return None
            match self._pending[0]:
                case Audio(pcm):
                    self._fill(pcm)
                case MarkAt(id):
                    self._pass_mark(id)
                case Flush() | Finish() if self._filled or self.steps < self._told_by:
                    return self._take_frame()
                case Finish():
                    self.ended = self.changed = True
                case _:
                    self._pending.popleft()
        return None

    def hear(self, events: Iterable[ModelEvent]) -> None:
        """The model heard the frame and said `events`, in its own time since the row's reset."""
        self.steps += 1
        self.fresh = False
        self.changed = True
        self._news.extend(self._placed(event) for event in events)
        self._tell_marks()

    def news(self) -> Sequence[Event]:
        """What is to be told since the last call."""
        self.changed = False
        news, self._news = self._news, []
        return news

    def _lost_patience(self, now: float) -> bool:
        """Whether a mark has waited long enough for audio behind it; if so, a flush takes the audio's place."""
        if self.deadline is None or now < self.deadline:
            return False
        self._pending.append(Flush())
        return True

    def _pass_mark(self, id: int) -> None:
        self._pending.popleft()
        self._marks.append((id, self.steps + 1 + self._delay if self._filled else self._told_by))
        self._tell_marks()

    def _fill(self, pcm: PCM) -> None:
        room = len(self._frame) - self._filled
        self._frame[self._filled : self._filled + room][: len(pcm)] = pcm[:room]
        self._filled += min(room, len(pcm))
        self._pending.popleft()
        if len(pcm) > room:
            self._pending.appendleft(Audio(pcm[room:]))

    def _take_frame(self) -> PCM:
        """The frame as far as it is filled, and silence behind it."""
        live, injected = self._filled, len(self._frame) - self._filled
        self._frame[live:] = 0.0
        self._filled = 0
        self._timeline.hear(live, injected)
        self.consumed += live
        self.injected += injected
        if live:
            self._told_by = self.steps + 1 + self._delay
        return self._frame

    def _clear(self) -> None:
        """Times go on, and no mark is left behind: nothing that was fed before it is still to be told."""
        self._marks.extend((verb.id, self.steps) for verb in self._pending if isinstance(verb, MarkAt))
        self._marks = deque((id, self.steps) for id, _ in self._marks)
        self._pending.clear()
        self._filled = 0
        self._told_by = self.steps
        self.consumed = self.fed
        self._timeline.restart(self.fed)
        self.fresh = self.changed = True
        if self._tail:
            self._news.append(Partial(""))
            self._tail = ""
        self._tell_marks()

    def _tell_marks(self) -> None:
        while self._marks and self._marks[0][1] <= self.steps:
            self._news.append(Mark(self._marks.popleft()[0]))
            self.changed = True

    def _placed(self, event: ModelEvent) -> Event:
        """The event in the caller's time."""
        match event:
            case Word(start=start):
                return replace(event, start=self._timeline.at(start))
            case WordEnd(stop):
                return WordEnd(self._timeline.at(stop))
            case Pause(at):
                return Pause(self._timeline.at(at))
            case Partial(text):
                self._tail = text
                return event
            case Step(pauses=pauses):
                return Step(self.steps, pauses, (self.fed - self.consumed) / SAMPLE_RATE)
