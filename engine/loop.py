"""A Batch in a thread of its own, offered to asyncio.

The engine's thread owns the audio, the event loop owns the places. Requests go one way through a queue on which the
thread blocks when there is nothing to step; the events of a step come back with one call_soon_threadsafe. What waits
in the queue is bounded by the backlogs of the streams.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import monotonic, perf_counter
from typing import Literal, TypeVarTuple

from engine.base import BULK_BACKLOG, LIVE_BACKLOG, PCM, SAMPLE_RATE, Engine, Stats, Stream, Upkeep, checked_pcm
from engine.batch import Batch, Model, Told
from engine.calibrate import calibrate
from engine.clips import CLIP_BACKLOG, transcribe_clip
from engine.errors import Full, Misuse, Unavailable
from engine.pace import Pace
from engine.slots import Places, Slot
from engine.streams import BufferedStream
from engine.verbs import Verb

STUCK_AFTER = 5.0  # seconds in one step after which the engine counts as stuck
CLOSE_TIMEOUT = 5.0  # seconds for the thread to end its step; a daemon thread that is stuck is left behind

logger = logging.getLogger(__name__)

_Args = TypeVarTuple("_Args")


@dataclass(frozen=True, slots=True, eq=False)
class _Join:
    slot: Slot


@dataclass(frozen=True, slots=True, eq=False)
class _Leave:
    slot: Slot


@dataclass(frozen=True, slots=True, eq=False)
class _Add:
    slot: Slot
    verb: Verb


_Request = _Join | _Leave | _Add | None  # None: the thread is to end


class BatchedEngine(Engine):
    """An engine whose model steps all its streams at once.

    `load` is called in the engine's thread, which alone touches the model (a GPU context belongs to its thread); it
    returns a model that is warm, with as many rows as it has room for. `capacity` 0: as many of them are used as can be
    served in real time, which is measured at the start.
    """

    def __init__(self, load: Callable[[], Model], capacity: int = 0) -> None:
        self._load = load
        self._capacity = capacity
        self._state: Literal["new", "starting", "ready", "down", "closed"] = "new"
        self._why = "the engine has not been started"
        self._requests: SimpleQueue[_Request] = SimpleQueue()
        self._places = Places(0)
        self._vacated = asyncio.Event()
        self._streams: dict[Slot, BatchedStream] = {}
        self._thread: _Thread | None = None
        self._pace = Pace(0)
        self._upkeep: Callable[[], Upkeep] = Upkeep
        self._frame_size = self._delay = 0

    async def start(self) -> None:
        """Load the model and measure the capacity. Raises Unavailable with the reason when the model cannot be loaded,
        Misuse when called twice."""
        if self._state != "new":
            raise Misuse("an engine is started once")
        self._state, self._why = "starting", "the engine is starting"
        self._thread = _Thread(self._prepare, self._requests, self._deliver, self._fail)
        batch = await self._thread.started()
        self._frame_size, self._delay, self._pace = batch.frame_size, batch.delay, batch.pace
        self._upkeep = lambda: batch.upkeep
        self._places = Places(min(batch.size, self._capacity or batch.size))
        self._state = "ready"

    async def open(self, *, backlog: float = LIVE_BACKLOG) -> Stream:
        """Take a place. `backlog`: seconds of audio that `feed` lets wait; more than BULK_BACKLOG: it is a file's.

        Raises Full, also while the steps take so long that one more caller would harm the others, or Unavailable.
        """
        self._check_ready()
        if not self._pace.admits(monotonic()):
            raise Full
        return self._seat(backlog)

    def stats(self) -> Stats:
        """The engine as it is now."""
        backlog = sum(stream.waiting for stream in self._streams.values()) / SAMPLE_RATE
        return Stats(
            "stuck" if self._stuck else self._state,
            self._places.count,
            len(self._streams),
            admitting=self._pace.admits(monotonic()),
            load=self._pace.load(backlog),
            upkeep=self._upkeep(),
        )

    async def transcribe_batch(self, clips: Sequence[PCM]) -> list[str]:
        """Whole clips to texts, through ordinary places; half of them are left to live callers."""
        self._check_ready()
        turns = asyncio.Semaphore(max(1, self._places.count // 2))
        checked = [checked_pcm(clip) for clip in clips]
        return list(await asyncio.gather(*(self._transcribe(clip, turns) for clip in checked)))

    async def close(self) -> None:
        """Close every stream and end the thread. Closing twice is harmless."""
        for stream in list(self._streams.values()):
            await stream.close()
        self._state, self._why = "closed", "the engine is closed"
        self._vacated.set()
        if self._thread is not None:
            self._requests.put(None)
            await self._thread.ended()

    def send(self, slot: Slot, verb: Verb) -> None:
        """Pass a stream's verb on to the thread, unless nobody is there to hear it."""
        if self._state == "ready":
            self._requests.put(_Add(slot, verb))

    def release(self, slot: Slot) -> None:
        """The stream at `slot` is closed: the place is free for the next caller."""
        del self._streams[slot]
        self._places.release(slot.row)
        self._vacated.set()
        if self._state == "ready":
            self._requests.put(_Leave(slot))

    @property
    def _stuck(self) -> bool:
        return self._state == "ready" and self._thread is not None and self._thread.stepping(monotonic()) > STUCK_AFTER

    def _prepare(self) -> Batch:
        """In the engine's thread: the model, loaded and measured."""
        model = self._load()
        if not self._capacity:
            calibrate(model, perf_counter)
        return Batch(model)

    def _check_ready(self) -> None:
        if self._stuck:
            raise Unavailable(f"the engine is stuck: its step has not ended for {STUCK_AFTER:.0f} seconds")
        if self._state != "ready":
            raise Unavailable(self._why)

    def _seat(self, backlog: float) -> Stream:
        slot = Slot(self._places.take(), self._frame_size, self._delay, bulk=backlog > BULK_BACKLOG)
        stream = BatchedStream(self, slot, backlog)
        self._streams[slot] = stream
        self._requests.put(_Join(slot))
        return stream

    async def _transcribe(self, clip: PCM, turns: asyncio.Semaphore) -> str:
        async with turns:
            return await transcribe_clip(await self._open_when_free(), clip)

    async def _open_when_free(self) -> Stream:
        while True:
            try:
                self._check_ready()
                return self._seat(CLIP_BACKLOG)  # however busy the engine is: live callers go first
            except Full:
                self._vacated.clear()
                await self._vacated.wait()

    def _deliver(self, told: Sequence[Told]) -> None:
        """Hand a step's events to their streams; those of a slot that was left meanwhile reach nobody."""
        for news in told:
            stream = self._streams.get(news.slot)
            if stream is not None:
                stream.deliver(news)

    def _fail(self, error: BaseException) -> None:
        self._state, self._why = "down", f"the engine failed: {error}"
        self._vacated.set()
        for stream in self._streams.values():
            stream.end(Unavailable(self._why))


class BatchedStream(BufferedStream):
    """One caller's place in a BatchedEngine."""

    def __init__(self, engine: BatchedEngine, slot: Slot, backlog: float) -> None:
        super().__init__(backlog)
        self._engine = engine
        self._slot = slot

    def deliver(self, told: Told) -> None:
        """What a step had for this stream."""
        for event in told.events:
            self.tell(event)
        self.consumed(told.consumed)
        if told.ended:
            self.end()

    def _send(self, verb: Verb) -> None:
        self._engine.send(self._slot, verb)

    async def _release(self) -> None:
        self._engine.release(self._slot)


class _Thread:
    """The thread that owns the model: receive, tick, tell, until it is told to end or the model fails."""

    def __init__(
        self,
        prepare: Callable[[], Batch],
        requests: SimpleQueue[_Request],
        tell: Callable[[Sequence[Told]], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._prepare = prepare
        self._requests = requests
        self._tell = tell
        self._fail = fail
        self._stepping_since: float | None = None  # written by the thread, read by the event loop
        self._loop = asyncio.get_running_loop()
        self._batch: asyncio.Future[Batch] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def stepping(self, now: float) -> float:
        """Seconds since the step that has not ended yet began; 0 between two steps."""
        since = self._stepping_since
        return 0.0 if since is None else now - since

    async def started(self) -> Batch:
        """The batch, once its model is loaded; only its figures may be read. Raises Unavailable with the reason."""
        try:
            return await asyncio.shield(self._batch)
        except Exception as error:  # whatever the loading raised is why it cannot start
            raise Unavailable(f"the engine cannot start: {error}") from error

    async def ended(self) -> None:
        """Wait for the end of the thread, but not for ever."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._ended.wait()
            self._thread.join()
        except TimeoutError:
            logger.error("the engine's thread is stuck in a step and is left behind")

    def _run(self) -> None:
        try:
            batch = self._prepare()
            self._post(self._prepared, batch)
            self._serve(batch)
        except Unavailable as error:  # a model that cannot be had says so itself
            self._post(self._failed, error)
        except Exception as error:  # the thread ends here; its callers are told
            logger.exception("the engine failed")
            self._post(self._failed, error)
        self._post(self._ended.set)

    def _serve(self, batch: Batch) -> None:
        while self._receive(batch):
            began = self._stepping_since = monotonic()
            told = batch.tick(began)
            ended = monotonic()
            self._stepping_since = None
            if batch.rows:
                batch.pace.took(ended - began, batch.rows, ended)
            if told:
                self._post(self._tell, told)

    def _receive(self, batch: Batch) -> bool:
        """Take in what is asked, until the next tick is due. False: end."""
        while True:
            now = monotonic()
            due = batch.due(now)
            is_due = due is not None and due <= now
            if not self._take_in(batch, block=not is_due, timeout=None if due is None else due - now):
                return False
            if is_due:
                return True

    def _take_in(self, batch: Batch, *, block: bool, timeout: float | None) -> bool:
        """Do all that is asked; with `block`, wait for something to be asked. False: end."""
        try:
            request = self._requests.get(block, timeout)
            now = monotonic()
            while request is not None:
                _apply(request, batch, now)
                request = self._requests.get_nowait()
        except Empty:
            return True
        return False

    def _prepared(self, batch: Batch) -> None:
        if not self._batch.done():  # done: whoever waited was cancelled
            self._batch.set_result(batch)

    def _failed(self, error: Exception) -> None:
        if not self._batch.done():
            self._batch.set_exception(error)
        self._fail(error)

    def _post(self, function: Callable[[*_Args], object], *args: *_Args) -> None:
        if not self._loop.is_closed():  # a loop that ended without closing the engine has nobody left to tell
            self._loop.call_soon_threadsafe(function, *args)


def _apply(request: _Join | _Leave | _Add, batch: Batch, now: float) -> None:
    match request:
        case _Add(slot, verb):
            batch.add(slot, verb, now)
        case _Join(slot):
            batch.join(slot)
        case _Leave(slot):
            batch.leave(slot)
