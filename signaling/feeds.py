"""What those who only listen are sent: a session's events as server-sent events, or as live captions. Pure, no I/O.

Server-sent events are the WHATWG's (HTML, section 9.2): `id` is the event's seq, and what a reader that comes back
sends as Last-Event-ID. Captions are WebVTT; a cue is written once it is complete.
"""

from typing import Protocol

from engine.events import Pause, Word, WordEnd
from signaling.captions import VTT_OPENING, VTT_TYPE, Cue, Cues, Spoken, vtt, vtt_comment
from signaling.dialects.native import Native
from signaling.events import Ended, Entry, SessionEvent


class Feed(Protocol):
    """One reader's language. It is made for each reader; texts may be empty."""

    content_type: str
    opening: str
    idle: str  # a sign of life that tells nothing

    def tell(self, entry: Entry) -> str:
        """How an event is told."""

    def fail(self, code: str, text: str) -> str:
        """How the reader is told that it gets no more, and why."""

    def close(self) -> str:
        """What is still to be told at the end."""


class EventFeed:
    """The native language in server-sent events."""

    content_type = "text/event-stream"
    opening = ""
    idle = ": still here\n\n"

    def __init__(self) -> None:
        self._dialect = Native()

    def tell(self, entry: Entry) -> str:
        return "".join(f"id: {entry.seq}\ndata: {message!s}\n\n" for message in self._dialect.encode(entry))

    def fail(self, code: str, text: str) -> str:
        return "".join(f"data: {message!s}\n\n" for message in self._dialect.error(code, text))

    def close(self) -> str:
        return ""


class CaptionFeed:
    """Live WebVTT: a file that grows until the session ends."""

    content_type = VTT_TYPE
    opening = VTT_OPENING
    idle = vtt_comment("still here")

    def __init__(self) -> None:
        self._cues = Cues()
        self._word: Word | None = None  # whose end has not been told

    def tell(self, entry: Entry) -> str:
        return "".join(map(vtt, self._completed(entry.event)))

    def fail(self, code: str, text: str) -> str:
        return vtt_comment(f"{code}: {text}")

    def close(self) -> str:
        return "".join(map(vtt, [*self._ended(None), *self._cues.close()]))

    def _completed(self, event: SessionEvent) -> list[Cue]:
        match event:
            case Word(start=start):
                done = self._ended(start)
                self._word = event
                return done
            case WordEnd(stop):
                return self._ended(stop)
            case Pause() | Ended():
                return [*self._ended(None), *self._cues.close()]
            case _:
                return []

    def _ended(self, stop: float | None) -> list[Cue]:
        """The word that had no end ended at `stop`."""
        if (word := self._word) is None:
            return []
        self._word = None
        return self._cues.add(Spoken(word.text, word.start, word.start if stop is None else max(stop, word.start)))
