"""Where utterances begin and end, from a row of "voice or not", one flag for each hop of audio.

An utterance opens once most of the last few hops are voice, and reaches back a little before the first of them, since
a detector hears an onset late. It closes after a short silence; the longer it has lasted, the shorter a silence will
do, and at `LONGEST` it is cut wherever it is, so that the cost of hearing it again stays bounded.
"""

from collections import deque
from dataclasses import dataclass

HOP_SECONDS = 0.032

ONSET = (3, 5)  # of the last 5 hops, 3 are voice
LOOK_BEHIND = 10  # hops before the first voice that still belong to the utterance: 320 ms
HANG = 12  # hops without voice that end an utterance: 384 ms
SHORTEST_HANG = 3  # ... when it has nearly reached LONGEST: a breath between two words
TIRING = 250  # hops after which a shorter silence begins to do: 8 s
LONGEST = 375  # hops at which an utterance is cut: 12 s


@dataclass(frozen=True, slots=True)
class Utterance:
    """Hops [start, stop) of the audio; of these [voiced_from, voiced_to) hold the voice.

    `paused`: a silence ended it; false while it goes on, and where it was cut for its length.
    """

    start: int
    stop: int
    voiced_from: int
    voiced_to: int
    paused: bool


class Utterances:
    """The state between two hops: silence, or one open utterance."""

    def __init__(self) -> None:
        self._hop = 0  # the hop that comes next
        self._floor = 0  # where the last utterance ended: the next one cannot begin before
        self._recent: deque[bool] = deque(maxlen=ONSET[1])
        self._open: Utterance | None = None
        self._voiced_to = 0  # the end of the voice in the last utterance that closed

    @property
    def open(self) -> Utterance | None:
        """The utterance that goes on, as far as it has been heard."""
        return self._open

    @property
    def told(self) -> int:
        """Every hop before this one is in an utterance that has closed, or is silence."""
        if self._open:
            return self._open.start
        recent = list(self._recent)
        return self._hop - len(recent) + recent.index(True) if True in recent else self._hop

    @property
    def needed(self) -> int:
        """The first hop whose audio may still become part of an utterance."""
        return self._open.start if self._open else max(self._floor, self._hop - ONSET[1] - LOOK_BEHIND)

    @property
    def silence(self) -> int:
        """Hops since the voice of the last utterance, or since the beginning; what opens none is no voice."""
        return self._hop - (self._open.voiced_to if self._open else self._voiced_to)

    def push(self, voiced: bool) -> Utterance | None:
        """Take the flag of the next hop; the utterance that it closed, if it closed one."""
        self._hop += 1
        self._recent.append(voiced)
        if self._open is None:
            self._open = self._onset()
            return None
        voiced_to = self._hop if voiced else self._open.voiced_to
        self._open = Utterance(self._open.start, self._hop, self._open.voiced_from, voiced_to, False)
        if self._hop - voiced_to >= hang(self._hop - self._open.start):
            return self.close(paused=True)
        if self._hop - self._open.start >= LONGEST:
            return self._cut()
        return None

    def close(self, *, paused: bool) -> Utterance | None:
        """End the open utterance here."""
        closed, self._open = self._open, None
        if closed is None:
            return None
        self._floor, self._voiced_to = self._hop, closed.voiced_to
        self._recent.clear()
        return Utterance(closed.start, closed.stop, closed.voiced_from, closed.voiced_to, paused)

    def _onset(self) -> Utterance | None:
        if sum(self._recent) < ONSET[0]:
            return None
        first = self._hop - len(self._recent) + list(self._recent).index(True)
        start = max(self._floor, first - LOOK_BEHIND)
        return Utterance(start, self._hop, first, self._hop, False)

    def _cut(self) -> Utterance | None:
        """Close in the middle of speech: what follows is voice from its first hop on."""
        closed = self.close(paused=False)
        self._open = Utterance(self._hop, self._hop, self._hop, self._hop, False)
        return closed


def hang(length: int) -> int:
    """How many hops of silence end an utterance that is `length` hops long."""
    tired = min(1.0, max(0.0, (length - TIRING) / (LONGEST - TIRING)))
    return round(HANG - tired * (HANG - SHORTEST_HANG))
