"""A thread that listens for several callers: it serves the stream first whose update is due first.

The event loop puts commands into the worker's queue and gets the events of each update back in one call; nothing else
is shared. Under load the updates come less often instead of later and later.
"""

import contextlib
import logging
import math
import os
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine.base import PCM, SAMPLE_RATE
from engine.events import Event
from engine.listening import Ears, Listener
from engine.steps import Steps
from engine.verbs import Audio, Clear, Finish, Flush, MarkAt, Verb

INTERVAL = 0.5  # seconds of audio between two updates of a stream, when there is time for it
LONGEST_INTERVAL = 1.5  # ... and when there is not: beyond it a caller would wait too long for the next word
LATE = 1.8  # seconds that wait: so late a stream skips revising, which is most of its cost, until it has caught up
LOAD = 0.7  # the part of its time that a worker may spend on updates; the rest is head-room
SHARE = 0.3  # the part that one stream may take while it talks on and its updates grow dear
PIECE = 5 * SAMPLE_RATE  # audio that one update takes at most, so that one caller does not hold up another
FILE_PIECE = SAMPLE_RATE  # ... of what is not live: the detector, which all share, is kept from a live caller for less
NICENESS = 10  # of a thread that serves files: live callers' threads take the processor from it whenever they want it
QUIET = 0.2  # seconds without audio after which a mark that waits flushes by itself

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Open:
    """A stream begins. A `live` one is told its words while they are spoken; others once an utterance has ended. Where
    nobody wants to know of `steps`, none are told."""

    live: bool
    steps: bool = True


@dataclass(frozen=True, slots=True)
class Close:
    """A stream ends now. Like Clear, it overtakes the audio that waits."""


Command = Open | Verb | Close


class Outlet(Protocol):
    """Where the events of a stream go: the event loop's half of it. It is a key, so it compares by identity."""

    def deliver(self, epoch: int, events: Sequence[Event], consumed: int, ended: bool) -> None:
        """What one update brought; called on the event loop.

        `epoch`: how many Clears the worker had seen; `consumed`: samples heard or forgotten since the stream began.
        """
        ...


class Post(Protocol):
    """Calls a function on the event loop, from any thread."""

    def __call__(self, call: Callable[..., None], /, *args: object) -> None: ...


class Place:
    """The worker's half of a stream: audio and verbs that wait, the listener, what its last update cost."""

    def __init__(self, ears: Ears, *, live: bool, steps: bool = True) -> None:
        self.cost = 0.0  # seconds
        self.epoch = 0
        self.finished = False
        self._live = live
        self._listener = Listener(ears, steps=Steps() if steps else None)
        self._audio: deque[PCM] = deque()
        self._waiting = 0  # samples in _audio
        self._fed = 0  # samples since the stream began
        self._since = math.inf  # when the first of _audio came
        self._quiet_at = math.inf  # when marks that wait are to flush
        self._verbs: deque[tuple[int, Flush | Finish]] = deque()  # each with the sample it stands at

    @property
    def consumed(self) -> int:
        """Samples that were heard or forgotten."""
        return self._fed - self._waiting

    def feed(self, pcm: PCM, now: float) -> None:
        """Audio came."""
        if not self._audio:
            self._since = now
        self._audio.append(pcm)
        self._waiting += len(pcm)
        self._fed += len(pcm)
        self._expect_quiet(now)

    def ask(self, verb: Flush | Finish) -> None:
        """Do it once the audio before it has been heard."""
        self._verbs.append((self._fed, verb))

    def mark(self, id: int, now: float) -> None:
        """Tell the mark once the audio before it has been told."""
        self._listener.mark(id, self._fed)
        self._expect_quiet(now)

    def clear(self) -> list[Event]:
        """Forget the audio that waits and all that was heard; a Finish stands."""
        self._audio.clear()
        self._waiting = 0
        self._since = self._quiet_at = math.inf
        self.epoch += 1
        return self._listener.clear(self._fed)

    def due(self, load: float) -> float:
        """When the next update should be; `load`: seconds that one update of every stream of the worker takes."""
        if self._verbs:
            return -math.inf
        if not self._live:  # in whole pieces, so that the words of a file do not hang on what else the machine does
            return min(self._since if self._waiting >= FILE_PIECE else math.inf, self._quiet_at)
        interval = min(LONGEST_INTERVAL, max(INTERVAL, load / LOAD, self.cost / SHARE))
        ripe = self._since if self._waiting >= interval * SAMPLE_RATE else self._since + interval
        return min(ripe, self._quiet_at)

    def update(self, now: float) -> list[Event]:
        """Hear what waits, up to the next verb and no more than a piece; then do the verb, or revise.

        A stream that is late, or is fed a file, is told the words of each utterance once it has ended.
        """
        late = self._waiting > LATE * SAMPLE_RATE
        position = self._verbs[0][0] if self._verbs else self._fed
        piece = self._take(min(PIECE if self._live else FILE_PIECE, position - self.consumed), now)
        events = self._listener.hear(piece, self._waiting)
        if self._verbs and self.consumed >= position:
            events += self._do(self._verbs.popleft()[1])
        elif self._quiet_at <= now and not self._waiting:
            events += self._listener.flush()
        elif self._live and not late:
            events += self._listener.revise()
        self._quiet_at = self._quiet_at if self._listener.marked else math.inf
        return events

    def _do(self, verb: Flush | Finish) -> list[Event]:
        if isinstance(verb, Flush):
            return self._listener.flush()
        self.finished = True
        return self._listener.finish()

    def _expect_quiet(self, now: float) -> None:
        self._quiet_at = now + QUIET if self._listener.marked else math.inf

    def _take(self, count: int, now: float) -> PCM:
        pieces: list[PCM] = [np.zeros(0, np.float32)]
        while self._audio and count > 0:
            piece = self._audio.popleft()
            if len(piece) > count:
                self._audio.appendleft(piece[count:])
                piece = piece[:count]
            pieces.append(piece)
            count -= len(piece)
            self._waiting -= len(piece)
        self._since = now if self._audio else math.inf
        return np.concatenate(pieces)


class Worker:
    """A thread with ears of its own, and the streams that it serves.

    `post` calls something on the event loop; `died` is told the reason should the thread end by an error. One that is
    `for_files` has what the threads of live callers leave of the processor.
    """

    def __init__(
        self, number: int, ears: Ears, post: Post, died: Callable[[str], None], *, for_files: bool = False
    ) -> None:
        self.streams = 0  # how many the event loop has given it, and not taken back
        self._ears = ears
        self._post = post
        self._died = died
        self._requests: queue.SimpleQueue[tuple[Outlet, Command] | None] = queue.SimpleQueue()  # None: stop
        self._places: dict[Outlet, Place] = {}
        self._stopped = False
        self._for_files = for_files
        self._thread = threading.Thread(target=self._run, name=f"engine-worker-{number}", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def ask(self, stream: Outlet, command: Command) -> None:
        """Hand a command over. Each stream's backlog bounds what waits in the queue."""
        self._requests.put((stream, command))

    def stop(self) -> None:
        """End the thread, and wait until the update it is at is done."""
        self._requests.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            if self._for_files:
                step_back()
            while not self._stopped:
                self._next()
        except Exception as error:  # whatever it was, the thread ends here: it is logged, and the callers are told
            log.exception("an engine worker died")
            self._post(self._died, f"the engine died: {type(error).__name__}")

    def _next(self) -> None:
        """Take the requests there are, or wait for one until a stream is due; then serve the one that is due first."""
        load = sum(place.cost for place in self._places.values())
        stream = min(self._places, key=lambda stream: self._places[stream].due(load), default=None)
        due = self._places[stream].due(load) if stream else math.inf
        self._receive(due)
        if stream in self._places and self._places[stream].due(load) <= time.monotonic():
            self._serve(stream, self._places[stream])

    def _receive(self, until: float) -> None:
        """Apply every request that waits; if none does, wait for one."""
        wait = None if until == math.inf else until - time.monotonic()
        with contextlib.suppress(queue.Empty):
            self._apply(self._requests.get(wait is None or wait > 0, wait))
            while not self._stopped:
                self._apply(self._requests.get_nowait())

    def _serve(self, stream: Outlet, place: Place) -> None:
        began = time.monotonic()
        events = place.update(began)
        place.cost = time.monotonic() - began
        self._tell(stream, place, events)
        if place.finished:
            del self._places[stream]

    def _tell(self, stream: Outlet, place: Place, events: list[Event]) -> None:
        self._post(stream.deliver, place.epoch, events, place.consumed, place.finished)

    def _apply(self, request: tuple[Outlet, Command] | None) -> None:
        match request:
            case None:
                self._stopped = True
            case stream, Open(live, steps):
                self._places[stream] = Place(self._ears, live=live, steps=steps)
            case stream, Close():
                self._places.pop(stream, None)
            case stream, command if stream in self._places:
                self._pass_on(stream, self._places[stream], command)

    def _pass_on(self, stream: Outlet, place: Place, command: Command) -> None:
        match command:
            case Audio(pcm):
                place.feed(pcm, time.monotonic())
            case MarkAt(id):
                place.mark(id, time.monotonic())
            case Clear():
                self._tell(stream, place, place.clear())
            case Flush() | Finish() as verb:
                place.ask(verb)


def step_back() -> None:
    """Let the other threads of the machine go before this one, where the system can do that for one thread alone."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
