"""What a caller may ask of a session. Every transport yields these, whatever its wire language."""

from dataclasses import dataclass

from engine.base import PCM


@dataclass(frozen=True, slots=True)
class Audio:
    """Audio at 24 kHz, mono; `start`: seconds of the caller's audio, counted by the transport from its first sample."""

    pcm: PCM
    start: float


@dataclass(frozen=True, slots=True)
class MarkAt:
    """Tell me with this id once what I said before has been transcribed."""

    id: int


@dataclass(frozen=True, slots=True)
class Flush:
    """Say the words that are still inside the model."""


@dataclass(frozen=True, slots=True)
class Clear:
    """Forget what was heard."""


@dataclass(frozen=True, slots=True)
class Finish:
    """No more audio: the last words, then the end."""


Command = Audio | MarkAt | Flush | Clear | Finish
