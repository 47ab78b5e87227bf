"""What a caller may ask of a session. Every transport yields these, whatever its wire language.

The verbs are the engine's own; audio also says where in the caller's time it belongs. `Say` is for wire languages in
which a message is answered.
"""

from dataclasses import dataclass

from engine.base import PCM
from engine.verbs import Clear, Finish, Flush, MarkAt

__all__ = ["Audio", "Clear", "Command", "Finish", "Flush", "MarkAt", "Message", "Parting", "Say"]

Message = str | bytes


class Parting(bytes):
    """A message at which callers leave. They get a moment to do so, before they are told more."""


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Audio at 24 kHz, mono; `start`: seconds of the caller's audio, counted from the transport's first sample."""

    pcm: PCM
    start: float
    spoken: float | None = None  # when `start` was spoken, by the event loop's clock, where that is known


@dataclass(frozen=True, slots=True)
class Say:
    """Answer the caller, once what it asked for before has been taken."""

    message: Message


Command = Audio | MarkAt | Flush | Clear | Finish | Say
