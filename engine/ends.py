"""Every word has its end, once, before the next word, a mark, or the end of the stream. Pure.

moshi-server tells a word's end when the next one starts, so that its last word may have none; a `clear` may forget an
end that was about to be told; and a mark may stand in the middle of a word. Here the missing end is supplied, and the
one that comes too late for it is left out.
"""

from engine.events import Event, Mark, Word, WordEnd

SPOKEN = 0.5  # seconds that a word takes whose end nobody tells, unless something shows that it was shorter


class Ends:
    """The events of one stream, with every word's end among them. Times are the caller's."""

    def __init__(self) -> None:
        self._open: float | None = None  # when the last word began, while it has no end

    def hear(self, event: Event, fed: float) -> list[Event]:
        """What is to be told for `event`; so many seconds of audio were fed."""
        match event:
            case Word(start=start):
                ended = self.close(start)
                self._open = start
                return [*ended, event]
            case WordEnd():
                known, self._open = self._open is not None, None
                return [event] if known else []
            case Mark():
                return [*self.close(fed), event]
            case _:
                return [event]

    def close(self, latest: float) -> list[Event]:
        """The end of the word that has none: it was spoken by `latest`."""
        if self._open is None:
            return []
        start, self._open = self._open, None
        return [WordEnd(max(start, min(latest, start + SPOKEN)))]
