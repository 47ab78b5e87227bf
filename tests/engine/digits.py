"""A language that a tiny model can learn: the digits, each spoken as two tones, with noise, level and pace at random.

Like a telephone's keys, but slower and with tones of their own, so that no keypad decoder hears them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.base import FRAME_SAMPLES, PCM, SAMPLE_RATE

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ROWS = (450, 650, 850, 1050)  # Hz
COLUMNS = (1330, 1570, 1830)  # Hz
BANDS = (*ROWS, *COLUMNS)
FADE = 0.01  # seconds in which a tone comes and goes
LONG_PAUSE = 0.12  # how often one digit is followed by a pause of up to four seconds


@dataclass(frozen=True, slots=True)
class Spoken:
    """One digit of an utterance and when it sounded, in seconds."""

    word: str
    start: float
    stop: float


def tones(word: str) -> tuple[int, int]:
    """The two frequencies of a digit, in Hz."""
    digit = WORDS.index(word)
    return (ROWS[3], COLUMNS[1]) if digit == 0 else (ROWS[(digit - 1) // 3], COLUMNS[(digit - 1) % 3])


def say(word: str, seconds: float, phases: tuple[float, float] = (0.0, 0.0)) -> PCM:
    """The sound of a digit; its peak is 2."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    fade = np.clip(np.minimum(time, seconds - time) / FADE, 0.0, 1.0)
    sound = sum(np.sin(2 * np.pi * f * time + phase) for f, phase in zip(tones(word), phases, strict=True))
    return (fade * sound).astype(np.float32)


def recite(words: Sequence[str], *, lead: float = 0.4, gap: float = 0.35, level: float = 0.2) -> PCM:
    """The digits, evenly spoken, in silence."""
    silence, pause = np.zeros(int(lead * SAMPLE_RATE)), np.zeros(int(gap * SAMPLE_RATE))
    pieces = [piece for word in words for piece in (level * say(word, 0.3), pause)]
    return np.concatenate([silence, *pieces]).astype(np.float32)


def babble(rng: np.random.Generator, seconds: float) -> tuple[PCM, list[Spoken]]:
    """A stream of digits as people say them: whole frames of audio, and what is said in it."""
    samples = int(seconds * SAMPLE_RATE) // FRAME_SAMPLES * FRAME_SAMPLES
    audio = rng.standard_normal(samples) * 10 ** rng.uniform(-4, -2.3)
    level, said = rng.uniform(0.08, 0.4), list[Spoken]()
    start = rng.uniform(0.0, 1.0)
    while start + (length := rng.uniform(0.2, 0.36)) <= seconds - 0.05:
        word = WORDS[rng.integers(len(WORDS))]
        sound = say(word, length, (rng.uniform(0, 6.28), rng.uniform(0, 6.28)))
        at = int(start * SAMPLE_RATE)
        audio[at : at + len(sound)] += level * rng.uniform(0.7, 1.0) * sound
        said.append(Spoken(word, start, start + length))
        start += length + (rng.uniform(0.6, 4.0) if rng.random() < LONG_PAUSE else rng.uniform(0.2, 0.5))
    return np.clip(audio, -1.0, 1.0).astype(np.float32), said
