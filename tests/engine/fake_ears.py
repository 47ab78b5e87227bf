"""A recogniser for tests: audio at level n/100 says word n, once for each 0.4 s of it or part of that."""

import itertools
import threading

import numpy as np

from engine.base import PCM, SAMPLE_RATE
from engine.listening import HOP

SPOKEN = 0.4  # seconds of a word
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def said(*numbers: int) -> PCM:
    """Audio that says these words, one after the other."""
    return np.concatenate([np.full(round(SPOKEN * SAMPLE_RATE), n / 100, np.float32) for n in numbers])


def hush(seconds: float) -> PCM:
    """Silence."""
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


class FakeEars:
    """Hears `said` audio; a word of which less than half is there is heard as "um"."""

    def __init__(self) -> None:
        self.calls = 0  # of words()
        self.longest = 0.0  # seconds that words() was asked about
        self.looked = 0  # of voice()
        self.may_go_on = threading.Event()  # words() waits for it
        self.may_go_on.set()
        self.error: Exception | None = None

    def voice(self, pcm: PCM) -> list[bool]:
        """See `Ears`."""
        assert len(pcm) % HOP == 0
        self.looked += 1
        return [bool(level > 0.005) for level in np.abs(pcm.reshape(-1, HOP)).mean(axis=1)]

    def words(self, pcm: PCM) -> list[str]:
        """See `Ears`."""
        self.calls += 1
        self.longest = max(self.longest, len(pcm) / SAMPLE_RATE)
        if not self.may_go_on.wait(10):
            raise TimeoutError
        if self.error:
            raise self.error
        levels = np.rint(pcm * 100).astype(int)
        edges = np.flatnonzero(np.diff(levels, prepend=-1, append=-1))
        found: list[str] = []
        for begin, end in itertools.pairwise(edges):
            if levels[begin] > 0:
                count = (end - begin) / (SPOKEN * SAMPLE_RATE)
                found += [WORDS[levels[begin]]] * round(count) or ["um"]
        return found
