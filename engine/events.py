"""What an engine says: settled words, one replaceable tail, a boundary.

Times are seconds of the audio that was fed to the stream, counted from its first sample. An engine that feeds
itself silence (to flush the words inside its delay) does not count that silence.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """A settled word, without surrounding spaces. It never changes; `start` is when it began to be spoken."""

    text: str
    start: float


@dataclass(frozen=True, slots=True)
class WordEnd:
    """The word before this event had been spoken by `stop`."""

    stop: float


@dataclass(frozen=True, slots=True)
class Partial:
    """The tail after the last settled word. Each Partial replaces the one before it; an empty text clears it."""

    text: str


@dataclass(frozen=True, slots=True)
class Pause:
    """The utterance ended at `at`; what follows belongs to the next one."""

    at: float


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the batch: its number in this stream, the pause probabilities, the seconds of audio still waiting."""

    index: int
    pauses: tuple[float, ...]
    backlog: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Everything fed before `mark(id)` has been transcribed and told."""

    id: int


Event = Word | WordEnd | Partial | Pause | Step | Mark
