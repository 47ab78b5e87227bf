"""What a caller asks of a stream, in the order in which it is asked."""

from dataclasses import dataclass

from engine.base import PCM


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """More of the caller's audio, of any length."""

    pcm: PCM


@dataclass(frozen=True, slots=True)
class MarkAt:
    """Tell `Mark(id)` once everything before this has been told."""

    id: int


@dataclass(frozen=True, slots=True)
class Flush:
    """Say what is still inside the model's delay."""


@dataclass(frozen=True, slots=True)
class Clear:
    """Forget what waits, what is being formed and what the model remembers."""


@dataclass(frozen=True, slots=True)
class Finish:
    """No more audio: drain, then end."""


Verb = Audio | MarkAt | Flush | Clear | Finish
