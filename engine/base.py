"""The contract between those who bring audio and those who turn it into words.

Audio is float32, mono, 24 kHz, within [-1, 1]. An `Engine` has a number of places; `open` takes one and returns a
`Stream`, which belongs to one caller until it is closed. Two verbs end a stream: `finish` ("no more audio": the last
words come, then the iteration ends) and `close` ("now": the place is free at once).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from engine.errors import Misuse
from engine.events import Event

SAMPLE_RATE = 24_000
FRAME_SAMPLES = 1_920  # 80 ms: what one step of the batch consumes of each stream
CHUNK_SAMPLES = 11_520  # 480 ms: what the field's batch clients send at a time, 23,040 bytes of PCM16

LIVE_BACKLOG = 2.0  # seconds of audio that may wait in a live caller's stream before `feed` waits
BULK_BACKLOG = 45.0  # a stream that lets more wait is a file's: live callers go before it
STEP_BOUNDS = (
    0.02,
    0.03,
    0.04,
    0.05,
    0.06,
    0.07,
    0.08,
)  # seconds: between these steps are counted, as moshi-server does
EVENTS_KEPT = 1_000  # events that may wait for a stream's reader before it has overrun

Timestamps = Literal["accurate", "compatible"]  # of words: as exact as can be, or the same as moshi-server's
PCM = npt.NDArray[np.float32]  # (n,) float32, mono, SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What an engine is told when it is loaded. It crosses a process boundary as JSON, so it holds plain values.

    `capacity` 0 means: as many streams as the warm-up measures; `workers` 0 means: one per core. `remote_urls`
    and `remote_key` are the remote engine's, `model`, `temperature` and `timestamps` the moshi engine's.
    """

    name: str
    capacity: int = 0
    workers: int = 0
    remote_urls: tuple[str, ...] = ()
    remote_key: str = ""
    model: str = "kyutai/stt-1b-en_fr"
    temperature: float = 0.0
    timestamps: Timestamps = "accurate"


@dataclass(frozen=True, slots=True)
class Load:
    """How hard an engine that steps a batch works.

    `step_p50`, `step_p99`: seconds of the recent steps; `fill`: callers in a step, as a share of the places (mean);
    `backlog`: seconds of audio that wait, of all callers together. `step_counts`: how many steps there were since the
    start that took up to each of STEP_BOUNDS and longer than the bound before it, and last those that took longer than
    all; `step_sum`: the seconds that all of them took.
    """

    step_p50: float = 0.0
    step_p99: float = 0.0
    fill: float = 0.0
    backlog: float = 0.0
    step_counts: tuple[int, ...] = (0,) * (len(STEP_BOUNDS) + 1)
    step_sum: float = 0.0


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What an engine has had to do, since it was started, to keep its model well.

    `refreshes`: how often room was made in a memory that filled up; `stalls`: how often somebody spoke and no word
    came, so that it was heard again; `losses`: how often a caller's figures were not finite, which may cost words.
    """

    refreshes: int = 0
    stalls: int = 0
    losses: int = 0


@dataclass(frozen=True, slots=True)
class Stats:
    """How an engine is: `state`, its places, how many are taken, and how often it was restarted.

    `stuck`: it has callers, but has not answered for seconds; it may recover. `admitting`: false while it has too much
    to do to take another caller, whatever places are free.
    """

    state: Literal["new", "starting", "ready", "stuck", "down", "closed"]
    capacity: int
    live: int
    restarts: int = 0
    admitting: bool = True
    load: Load = Load()
    upkeep: Upkeep = Upkeep()

    @property
    def free(self) -> int:
        """Places that `open` would give now."""
        return max(0, self.capacity - self.live) if self.state == "ready" and self.admitting else 0


class Stream(ABC):
    """One caller's place in an engine: audio and verbs in, events out, in the order in which they were given.

    The verbs may be called from the event loop only. After `finish` or `close` every verb but `close` raises Misuse.
    When the engine dies, `feed` and the iteration raise Unavailable.
    """

    @abstractmethod
    async def feed(self, pcm: PCM) -> None:
        """Add audio of any length; wait while more than the stream's backlog is still to be transcribed."""

    @abstractmethod
    def mark(self, id: int) -> None:
        """Ask for `Mark(id)` once what was fed so far has been told; with no audio behind it for 200 ms it flushes."""

    @abstractmethod
    def flush(self) -> None:
        """Say the words that are still inside the model's delay, without disturbing what follows."""

    @abstractmethod
    def clear(self) -> None:
        """Forget: audio that waits, the words being formed, what the model remembers. Times go on."""

    @abstractmethod
    def finish(self) -> None:
        """No more audio: the last words come, then the iteration ends."""

    @abstractmethod
    async def close(self) -> None:
        """Free the place at once; the iteration ends. Closing twice is harmless."""

    @abstractmethod
    async def __anext__(self) -> Event:
        """The next event; StopAsyncIteration after the last one."""

    def __aiter__(self) -> Self:
        return self


class Engine(ABC):
    """A number of places and what serves them."""

    @abstractmethod
    async def start(self) -> None:
        """Load, warm up, measure the capacity. Raises Unavailable with the reason."""

    @abstractmethod
    async def open(self, *, backlog: float = LIVE_BACKLOG) -> Stream:
        """Take a place. `backlog`: seconds of audio that `feed` lets wait; more than BULK_BACKLOG: it is a file's.

        Raises Full or Unavailable.
        """

    @abstractmethod
    def stats(self) -> Stats:
        """The engine as it is now; cheap enough for every health check."""

    @abstractmethod
    async def transcribe_batch(self, clips: Sequence[PCM]) -> list[str]:
        """Whole clips to texts, in the order given, outside the live places where the engine can."""

    @abstractmethod
    async def close(self) -> None:
        """Close every stream and give everything back. Closing twice is harmless."""


def checked_pcm(pcm: object) -> PCM:
    """The same audio made safe for a model: finite and within [-1, 1]. Raises Misuse for another shape or type.

    One NaN in a model's cache outlives the caller who sent it, so nothing reaches an engine unchecked.
    """
    if not isinstance(pcm, np.ndarray) or pcm.ndim != 1 or pcm.dtype != np.float32:
        raise Misuse("audio must be a one-dimensional float32 array, mono at 24 kHz")
    checked: PCM = pcm
    if checked.size and not (np.abs(checked).max() <= 1.0):  # false for NaN too
        checked = np.clip(np.nan_to_num(checked, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)
    return checked


def pcm_from_s16(data: bytes) -> PCM:
    """Little-endian PCM16 to float32 in [-1, 1). Raises Misuse for an odd number of bytes."""
    if len(data) % 2:
        raise Misuse("PCM16 audio has an odd number of bytes")
    return np.frombuffer(data, dtype="<i2").astype(np.float32) / np.float32(32_768)


def s16_from_pcm(pcm: PCM) -> bytes:
    """Float32 to little-endian PCM16; what is out of range is clipped. Inverse of `pcm_from_s16`."""
    return np.clip(np.rint(pcm * 32_768), -32_768, 32_767).astype("<i2").tobytes()
