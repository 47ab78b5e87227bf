"""The embedded engine: Moonshine's small English model, whose weights ship inside the `moonshine-voice` wheel.

Each worker thread owns one recogniser and serves the streams it was given, the one that is due first first; the library
releases the GIL while it works, so the workers use as many cores. Files have workers of their own, to which the system
gives what those of live callers leave. The event loop owns the places. Requests go one way through a worker's queue,
and events come back with one `call_soon_threadsafe` for each update.

The library's own streams are not used: they share one voice detector, state and all, in the whole process, so that one
caller's voice moves another's boundaries. Here `Listener` cuts the audio, and the library is only asked about stretches
of it. The wheel has no word timings: the times of words are estimates (see `Listener`), right to about half a second.
"""

import asyncio
import ctypes
import os
import threading
import time
import wave
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, ParamSpec

import numpy as np

from engine.base import BULK_BACKLOG, LIVE_BACKLOG, PCM, SAMPLE_RATE, Engine, EngineConfig, Stats, Stream, pcm_from_s16
from engine.errors import EngineError, Full, Misuse, Unavailable
from engine.events import Event, Mark, Word
from engine.listening import HOP, Listener
from engine.streams import BufferedStream
from engine.verbs import Clear, Verb
from engine.worker import LONGEST_INTERVAL, Close, Open, Worker

WARMUP = 10.0  # seconds of speech that the capacity is measured on
FULL = 0.55  # the part of its time that a full house of them may take: at 0.7 words came a quarter later than alone
REHEARSALS = 2  # times that it is measured; the fastest counts, since the first one also warms the caches
INSTALL = "the moonshine engine is not installed: pip install moonshine-voice==0.0.73"

P = ParamSpec("P")


class Recogniser:
    """One transcriber of the library: stretches of 24 kHz audio in, its lines out. One thread at a time.

    It calls the C functions itself, since the wheel's Python classes copy every sample through a list.
    """

    def __init__(self, options: dict[str, str]) -> None:
        try:
            from moonshine_voice import moonshine_api as api
        except ImportError as error:
            raise Unavailable(INSTALL) from error
        self._api: Any = api
        self._lib: Any = api._MoonshineLib().lib
        pairs = [
            api.TranscriberOptionC(name=name.encode(), value=value.encode())
            for name, value in {**options, "identify_speakers": "false", "return_audio_data": "false"}.items()
        ]
        self._handle = self._lib.moonshine_load_transcriber_from_files(
            str(assets() / "tiny-en").encode(),
            api.ModelArch.TINY.value,
            (api.TranscriberOptionC * len(pairs))(*pairs),
            len(pairs),
            api.MOONSHINE_HEADER_VERSION,
        )
        self._check(self._handle)
        self._free = weakref.finalize(self, self._lib.moonshine_free_transcriber, self._handle)

    def lines(self, pcm: PCM) -> list["Line"]:
        """Transcribe, each stretch of voice a line. Raises Unavailable when the library fails."""
        pcm = np.ascontiguousarray(pcm)
        transcript = ctypes.POINTER(self._api.TranscriptC)()
        self._check(
            self._lib.moonshine_transcribe_without_streaming(
                self._handle,
                pcm.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
                len(pcm),
                SAMPLE_RATE,
                0,
                ctypes.byref(transcript),
            )
        )
        found = transcript.contents
        return [_line(found.lines[index]) for index in range(found.line_count)]

    def close(self) -> None:
        """Give the memory back, once; a recogniser that is forgotten gives it back too."""
        self._free()

    def _check(self, code: int) -> None:
        if code < 0:
            reason = self._lib.moonshine_error_to_string(code)
            raise Unavailable(f"the moonshine library failed: {reason.decode() if reason else code}")


@dataclass(frozen=True, slots=True)
class Line:
    """A stretch of voice that the library found, in seconds of the audio it was given."""

    text: str
    start: float
    duration: float


def _line(line: Any) -> Line:
    text = ctypes.string_at(line.text).decode("utf-8", "replace") if line.text else ""
    return Line(text, line.start_time, line.duration)


def assets() -> Path:
    """Where the wheel keeps its model and its recordings."""
    import moonshine_voice

    return Path(moonshine_voice.__file__).parent / "assets"


class Detector:
    """Which hops of a stretch of audio hold voice.

    The library's detector (Silero) is one for the process and remembers what it heard last, whoever said it: so it
    is asked under a lock, and the caller puts some of its own older audio in front. Windows of one hop and no look
    behind make each of the library's lines a run of hops that were voice.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._library = Recogniser(
            {
                "skip_transcription": "true",
                "vad_window_duration": "0.03",  # rounded up to one hop
                "vad_look_behind_sample_count": "512",  # one hop at the library's 16 kHz
                "vad_max_segment_duration": "86400",
            }
        )

    def voice(self, pcm: PCM) -> list[bool]:
        """One flag for each HOP samples."""
        with self._lock:
            runs = self._library.lines(pcm)
        count = len(pcm) // HOP
        flags = [False] * count
        for run in runs:
            start = round(run.start * SAMPLE_RATE / HOP)
            stop = round((run.start + run.duration) * SAMPLE_RATE / HOP)
            stop -= stop < count  # a run that ended has its first silent hop in it
            flags[start:stop] = [True] * (stop - start)
        return flags


class MoonshineEars:
    """A recogniser of its own, and the detector that all share."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self._library = Recogniser({"vad_threshold": "0.0", "vad_max_segment_duration": "86400"})  # all of it is voice

    def voice(self, pcm: PCM) -> list[bool]:
        """See `Ears`."""
        return self.detector.voice(pcm)

    def words(self, pcm: PCM) -> list[str]:
        """See `Ears`."""
        return " ".join(line.text for line in self._library.lines(pcm)).split()

    def close(self) -> None:
        """Give the memory back."""
        self._library.close()


class LateEars:
    """Ears whose recogniser is loaded when the first words are asked for: where no files come, nobody needs it."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._ears: MoonshineEars | None = None

    def voice(self, pcm: PCM) -> list[bool]:
        """See `Ears`."""
        return self._detector.voice(pcm)

    def words(self, pcm: PCM) -> list[str]:
        """See `Ears`. Raises Unavailable when the recogniser cannot be loaded."""
        if self._ears is None:
            self._ears = MoonshineEars(self._detector)
        return self._ears.words(pcm)

    def close(self) -> None:
        """Give the memory back, if it was taken."""
        if self._ears is not None:
            self._ears.close()


class MoonshineStream(BufferedStream):
    """The event loop's half of a stream."""

    def __init__(self, engine: "MoonshineEngine", worker: Worker, backlog: float, begin: Open) -> None:
        super().__init__(backlog)
        self._engine = engine
        self._worker = worker
        self._epoch = 0  # how often it was cleared: what a worker said of an older one is forgotten too
        worker.ask(self, begin)

    def deliver(self, epoch: int, events: Sequence[Event], consumed: int, ended: bool) -> None:
        """What one update brought; called on the event loop."""
        for event in events:
            if epoch == self._epoch or isinstance(event, Mark):
                self.tell(event)
        self.consumed(consumed)
        if ended:
            self.end()

    def _send(self, verb: Verb) -> None:
        self._epoch += isinstance(verb, Clear)
        self._worker.ask(self, verb)

    async def _release(self) -> None:
        self._worker.ask(self, Close())
        self._engine.left(self, self._worker)


class MoonshineEngine(Engine):
    """Moonshine's small English model on the cores of this machine."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._state: Literal["new", "starting", "ready", "down", "closed"] = "new"
        self._capacity = config.capacity
        self._workers: list[Worker] = []
        self._file_workers: list[Worker] = []
        self._ears: list[MoonshineEars] = []
        self._file_ears: list[LateEars] = []
        self._streams: set[MoonshineStream] = set()  # those that hold a place
        self._helpers: set[MoonshineStream] = set()  # those of transcribe_batch

    async def start(self) -> None:
        """See `Engine.start`. The capacity is how many callers may speak at once at the longest interval."""
        if self._state != "new":
            raise Misuse("the engine was started before")
        self._state = "starting"
        self._loop = asyncio.get_running_loop()
        try:
            one_thread_each()
            self._ears = await asyncio.to_thread(load_ears, self._config.workers or os.cpu_count() or 1)
            self._capacity = self._config.capacity or await asyncio.to_thread(rehearse, self._ears)
        except EngineError:
            self._state = "down"
            raise
        if self._was_closed():
            self._unload()
            self._check()
        self._workers = [Worker(number, ears, self._post, self._died) for number, ears in enumerate(self._ears)]
        self._file_ears = [LateEars(self._ears[0].detector) for _ in range(max(1, len(self._ears) // 2))]
        self._file_workers = [
            Worker(number, ears, self._post, self._died, for_files=True)
            for number, ears in enumerate(self._file_ears, len(self._ears))
        ]
        for worker in (*self._workers, *self._file_workers):
            worker.start()
        self._state = "ready"

    async def open(self, *, backlog: float = LIVE_BACKLOG) -> Stream:
        """See `Engine.open`."""
        self._check()
        if len(self._streams) >= self._capacity:
            raise Full
        is_file = backlog > BULK_BACKLOG
        stream = self._stream(self._file_workers if is_file else self._workers, backlog, Open(live=not is_file))
        self._streams.add(stream)
        return stream

    def stats(self) -> Stats:
        """See `Engine.stats`."""
        return Stats(self._state, self._capacity, len(self._streams))

    async def transcribe_batch(self, clips: Sequence[PCM]) -> list[str]:
        """See `Engine.transcribe_batch`. The clips share the workers with the live callers, piece by piece."""
        self._check()
        turns = asyncio.Semaphore(len(self._workers))
        return list(await asyncio.gather(*(self._transcribe(clip, turns) for clip in clips)))

    async def close(self) -> None:
        """See `Engine.close`."""
        if self._state == "closed":
            return
        self._state = "closed"
        for stream in [*self._streams, *self._helpers]:
            await stream.close()
        await asyncio.to_thread(self._unload)

    def left(self, stream: MoonshineStream, worker: Worker) -> None:
        """A stream gave its place back."""
        worker.streams -= 1
        self._streams.discard(stream)
        self._helpers.discard(stream)

    def _stream(self, workers: Sequence[Worker], backlog: float, begin: Open) -> MoonshineStream:
        worker = min(workers, key=lambda worker: worker.streams)
        worker.streams += 1
        return MoonshineStream(self, worker, backlog, begin)

    async def _transcribe(self, clip: PCM, turns: asyncio.Semaphore) -> str:
        async with turns:
            self._check()
            stream = self._stream(self._workers, len(clip) / SAMPLE_RATE, Open(live=False, steps=False))
            self._helpers.add(stream)
            try:
                await stream.feed(clip)
                stream.finish()
                return " ".join([event.text async for event in stream if isinstance(event, Word)])
            finally:
                await stream.close()

    def _post(self, call: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        self._loop.call_soon_threadsafe(partial(call, *args, **kwargs))

    def _died(self, reason: str) -> None:
        if self._state == "ready":
            self._state = "down"
            for stream in [*self._streams, *self._helpers]:
                stream.end(Unavailable(reason))

    def _check(self) -> None:
        if self._state != "ready":
            raise Unavailable(f"the moonshine engine is {self._state}")

    def _was_closed(self) -> bool:
        return self._state == "closed"

    def _unload(self) -> None:
        for worker in (*self._workers, *self._file_workers):
            worker.stop()
        for ears in self._ears:
            ears.close()
        for late in self._file_ears:
            late.close()


def load_ears(count: int) -> list["MoonshineEars"]:
    """As many recognisers, and one detector. Raises Unavailable when the package is missing or broken."""
    detector = Detector()
    return [MoonshineEars(detector) for _ in range(count)]


def one_thread_each() -> None:
    """Keep the library from a thread pool of its own for each recogniser.

    The pool's threads spin while they wait: on two cores they take 1.7 times the processor time for an answer that
    comes no sooner. The library has no option for it, only this variable, which it reads when a recogniser is loaded.
    """
    os.putenv("MOONSHINE_ORT_SINGLE_THREAD", "1")


def rehearse(ears: Sequence[MoonshineEars]) -> int:
    """How many callers can speak at once: all recognisers work at the same time on one, as if the house were full."""
    speech = recording(WARMUP)
    with ThreadPoolExecutor(len(ears), "moonshine-rehearsal") as pool:
        takes = [max(pool.map(partial(listen, speech), ears)) for _ in range(REHEARSALS)]
    return len(ears) * max(1, int(FULL * WARMUP / min(takes)))


def listen(speech: PCM, ears: MoonshineEars) -> float:
    """Seconds that it takes to transcribe `speech` live with the longest interval between two updates."""
    began = time.perf_counter()
    listener = Listener(ears)
    step = round(LONGEST_INTERVAL * SAMPLE_RATE)
    for start in range(0, len(speech), step):
        listener.hear(speech[start : start + step])
        listener.revise()
    listener.finish()
    return time.perf_counter() - began


def recording(seconds: float) -> PCM:
    """The longest sentence of a recording in the wheel, which ends two seconds before it: the dearest kind of speech.

    Every other sample is left out to halve its rate; how it sounds does not matter here.
    """
    with wave.open(str(assets() / "two_cities.wav")) as file:  # 48 kHz, mono, 16 bits
        every_other = pcm_from_s16(file.readframes(file.getnframes()))[::2]
    first = len(every_other) - round((seconds + 2) * SAMPLE_RATE)
    return every_other[first : first + round(seconds * SAMPLE_RATE)]
