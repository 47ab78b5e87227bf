"""Recordings for the fake microphone, and how far two texts are apart."""

import re
import wave
from collections.abc import Sequence
from pathlib import Path

import jiwer
import numpy as np

from engine.base import PCM, SAMPLE_RATE
from engine.scripted import WORDS, say

RATE = 48_000  # Hz, what a browser's microphone gives
LEAD = 2.5  # seconds of silence before the first word: the call is up by then
TAIL = 1.5  # seconds of silence after the last one
LOUD = 0.02  # rms of 10 ms that is speech, in recordings as clean as ours


def silence(seconds: float, rate: int) -> PCM:
    """That much of nothing."""
    return np.zeros(round(seconds * rate), dtype=np.float32)


def write_wav(path: Path, pcm: PCM, rate: int) -> Path:
    """A mono 16-bit WAV with silence around the sound."""
    padded = np.concatenate((silence(LEAD, rate), pcm, silence(TAIL, rate)))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((padded * 32_767).round().astype("<i2").tobytes())
    return path


def write_tones(path: Path, words: Sequence[str] = WORDS, times: int = 1) -> Path:
    """A WAV of words that the scripted engine hears, 0.56 s each."""
    return write_wav(path, say([*words] * times), SAMPLE_RATE)


def onset(pcm: PCM, rate: int) -> float:
    """Seconds from the start of a recording to its first speech: the first of three loud 10 ms in a row."""
    hop = rate // 100
    levels = np.sqrt(np.square(pcm[: len(pcm) // hop * hop].reshape(-1, hop)).mean(axis=1))  # (hops,)
    loud = levels > LOUD
    return float(np.argmax(loud[:-2] & loud[1:-1] & loud[2:])) / 100


def normalized(text: str) -> str:
    """Lower case, no punctuation, single spaces."""
    return " ".join(re.sub(r"[^\w\s]", " ", text.lower().replace("'", "").replace("\u2019", "")).split())


def word_errors(reference: str, text: str) -> float:
    """The word error rate of `text`."""
    return float(jiwer.wer(normalized(reference), normalized(text)))
