"""A recognizer of tones, for tests: deterministic, no weights, driven through the real loop.

Each of 26 words has a pitch, from 400 Hz up in steps of 80 Hz. A tone that lasts two frames is a word; what happened in
a frame is told six steps later, as a model with a delay does, while the tail is told at once. The pitches lie where
every telephone codec is honest, and far enough apart to survive it.
"""

from collections import deque
from collections.abc import Sequence
from copy import copy
from typing import Self

import numpy as np

from engine.base import FRAME_SAMPLES, PCM, SAMPLE_RATE, EngineConfig, Upkeep
from engine.batch import Mask
from engine.events import Partial, Pause, Step, Word, WordEnd
from engine.loop import BatchedEngine
from engine.slots import ModelEvent

WORDS = (
    *("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett", "kilo", "lima"),
    *("mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango", "uniform", "victor", "whiskey"),
    *("xray", "yankee", "zulu"),
)
DELAY = 6  # steps
CAPACITY = 16
LOWEST = 400.0  # Hz
SPACING = 80.0  # Hz
FRAME_SECONDS = FRAME_SAMPLES / SAMPLE_RATE
QUIET_FRAMES = 10  # frames of quiet after a word that end an utterance
PAUSES = (0.5, 1.0, 2.0, 3.0)  # seconds: the pauses whose probability a Step tells
GATE = 0.01  # rms of the quietest tone that counts: -40 dBFS
PURITY = 0.25  # share of a frame's power that its tone must have; half a frame of tone has 0.5
RAMP = 0.005  # seconds in which a tone fades in and out, so that it does not click


def pitch(word: str) -> float:
    """The frequency of a word, in Hz. Raises ValueError for a word that is not in WORDS."""
    return LOWEST + SPACING * WORDS.index(word)


def tone(word: str, seconds: float = 0.32, amplitude: float = 0.4) -> PCM:
    """The sound of one word."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    envelope = np.clip(np.minimum(time, seconds - time) / RAMP, 0.0, 1.0)
    return (amplitude * envelope * np.sin(2 * np.pi * pitch(word) * time)).astype(np.float32)


def say(words: Sequence[str], gap: float = 0.24) -> PCM:
    """The sound of words, with `gap` seconds of silence after each."""
    silence: PCM = np.zeros(round(gap * SAMPLE_RATE), dtype=np.float32)
    pieces = [piece for word in words for piece in (tone(word), silence)]
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.float32)


def scripted_engine(config: EngineConfig) -> BatchedEngine:
    """The recognizer of tones in the real loop; 16 places unless the configuration says otherwise."""
    capacity = config.capacity or CAPACITY
    return BatchedEngine(lambda: ScriptedModel(capacity), capacity)


class ScriptedModel:
    """A Model that hears tones."""

    sample_rate = SAMPLE_RATE
    frame_size = FRAME_SAMPLES
    delay = DELAY
    hurried = False
    upkeep = Upkeep()

    def __init__(self, batch_size: int = CAPACITY) -> None:
        self.resize(batch_size)
        time = np.arange(FRAME_SAMPLES) / SAMPLE_RATE
        pitches = np.array([pitch(word) for word in WORDS])
        phases = 2 * np.pi * np.outer(time, pitches)  # (F, W)
        self._basis: PCM = np.hstack([np.cos(phases), np.sin(phases)]).astype(np.float32)  # (F, 2 W)

    def resize(self, batch_size: int) -> None:
        """Hold so many rows, all of them new."""
        self.batch_size = batch_size
        self._rows = [_Row() for _ in range(batch_size)]
        self._saved: dict[int, _Row] = {}

    def save(self, rows: Mask) -> None:
        """Remember the rows as they are."""
        for row in np.flatnonzero(rows).tolist():
            self._saved[row] = self._rows[row].copy()

    def restore(self, rows: Mask) -> None:
        """Take the rows back to what was saved."""
        for row in np.flatnonzero(rows).tolist():
            self._rows[row] = self._saved.pop(row)

    def step(self, pcm: PCM, active: Mask, reset: Mask) -> Sequence[Sequence[ModelEvent]]:
        """Hear one frame of each active row."""
        for row in np.flatnonzero(reset):
            self._rows[row] = _Row()
        said: list[Sequence[ModelEvent]] = [()] * self.batch_size
        rows = np.flatnonzero(active)
        for row, word in zip(rows, self._recognize(pcm[rows]), strict=True):
            said[row] = self._rows[row].hear(word)
        return said

    def _recognize(self, frames: PCM) -> list[str | None]:
        """The word whose tone fills each frame; None for quiet and for noise."""
        parts = (frames @ self._basis / FRAME_SAMPLES).reshape(len(frames), 2, len(WORDS))
        powers = 2 * np.square(parts).sum(axis=1)  # (n, W) mean square of the tone at each pitch
        loudest, power = powers.argmax(axis=1), powers.max(axis=1)
        total = np.square(frames).mean(axis=1)
        heard = (np.sqrt(power) > GATE / 2) & (np.sqrt(total) > GATE) & (power > PURITY * total)
        return [WORDS[index] if is_tone else None for index, is_tone in zip(loudest, heard, strict=True)]


class _Row:
    """What one caller has said: one frame after another in, events out."""

    def __init__(self) -> None:
        self._frame = 0  # frames heard
        self._tone: str | None = None
        self._length = 0  # frames that the present tone, or quiet, has lasted
        self._spoken_until: float | None = None  # seconds: the end of a word after which no Pause was told
        self._due: deque[tuple[int, Word | WordEnd]] = deque()  # (frame in which it is told, event)
        self._tail: list[str] = []

    def copy(self) -> Self:
        """A row that has heard the same."""
        row = copy(self)
        row._due, row._tail = self._due.copy(), self._tail.copy()
        return row

    def hear(self, word: str | None) -> list[ModelEvent]:
        """The events that this frame settles, and those whose delay ends with it."""
        self._advance(word)
        events = [*self._forming(), *self._settled(), *self._pause()]
        events.append(Step(0, self._pauses(), 0.0))
        self._frame += 1
        return events

    def _advance(self, word: str | None) -> None:
        if word == self._tone:
            self._length += 1
            return
        if self._tone is not None and self._length >= 2:  # what happened in the last frame is told `DELAY` after it
            self._spoken_until = self._frame * FRAME_SECONDS
            self._due.append((self._frame - 1 + DELAY, WordEnd(self._spoken_until)))
        self._tone, self._length = word, 1

    def _forming(self) -> list[ModelEvent]:
        if self._tone is None or self._length != 2:
            return []
        self._spoken_until = None
        self._due.append((self._frame + DELAY, Word(self._tone, (self._frame - 1) * FRAME_SECONDS)))
        self._tail.append(self._tone)
        return [Partial(" ".join(self._tail))]

    def _settled(self) -> list[ModelEvent]:
        events: list[ModelEvent] = []
        while self._due and self._due[0][0] <= self._frame:
            event = self._due.popleft()[1]
            events.append(event)
            if isinstance(event, Word):
                self._tail.pop(0)
                events.append(Partial(" ".join(self._tail)))
        return events

    def _pause(self) -> list[ModelEvent]:
        if self._spoken_until is None or self._tone is not None or self._length < QUIET_FRAMES:
            return []
        at, self._spoken_until = self._spoken_until, None
        return [Pause(at)]

    def _pauses(self) -> tuple[float, ...]:
        quiet = self._length * FRAME_SECONDS if self._tone is None else 0.0
        return tuple(min(1.0, quiet / pause) for pause in PAUSES)
