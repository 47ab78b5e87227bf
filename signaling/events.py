"""Everything that a session tells: what the engine and the media say, and the session's own end."""

from dataclasses import dataclass

from engine.events import Event as EngineEvent
from media.events import MediaEvent


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over. `reason` is one of the words in signaling/session.py's table of endings."""

    reason: str


SessionEvent = EngineEvent | MediaEvent | Ended


@dataclass(frozen=True, slots=True)
class Entry:
    """One event in a session's log. `latency`: for a Word, the seconds from speaking its start to telling it."""

    seq: int
    event: SessionEvent
    latency: float | None = None
