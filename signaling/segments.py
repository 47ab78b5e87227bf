"""What was said in a recording, in segments as people read them, from an engine's events. Pure.

A segment ends where the speaker pauses: where the engine says so, or where no word begins for a second. Who does not
pause is cut at the end of a sentence once the segment is LONG, and after LONGEST anywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.ends import Ends
from engine.events import Pause, Word, WordEnd
from signaling.captions import GAP, LONGEST_WORD, SENTENCE_ENDS, Spoken
from signaling.events import SessionEvent

LONG = 7.0  # seconds, after which the end of a sentence ends a segment
LONGEST = 15.0  # seconds


@dataclass(frozen=True, slots=True)
class Segment:
    """Words that belong together, at least one. `id` counts from 0; times are seconds of the recording."""

    id: int
    words: tuple[Spoken, ...]

    @property
    def start(self) -> float:
        """When its first word began."""
        return self.words[0].start

    @property
    def stop(self) -> float:
        """When its last word had been spoken."""
        return max(word.stop for word in self.words)

    @property
    def text(self) -> str:
        """Its words, with spaces between them."""
        return " ".join(word.text for word in self.words)


class Segments:
    """Makes segments of events as they come. Every word has an end, told or not."""

    def __init__(self) -> None:
        self._ends = Ends()
        self._word: Word | None = None  # whose end has not been told
        self._words: list[Spoken] = []
        self._next = 0

    def hear(self, event: SessionEvent, seconds: float) -> list[Segment]:
        """The next event; the segments that it completed, if any. So many seconds of the recording were read."""
        match event:
            case Word() | WordEnd():
                return [done for told in self._ends.hear(event, seconds) for done in self._take(told)]
            case Pause(at):
                return self.close(at)
            case _:
                return []

    def close(self, seconds: float) -> list[Segment]:
        """The words since the last segment, if any: the speaker has paused, or the recording ended, here."""
        for told in self._ends.close(seconds):
            self._spoken(told)
        return list(self._cut())

    def _take(self, event: object) -> Iterator[Segment]:
        if isinstance(event, Word):
            if self._is_full(event.start):
                yield from self._cut()
            self._word = event
        else:
            self._spoken(event)

    def _spoken(self, event: object) -> None:
        """The word that was open has ended."""
        assert isinstance(event, WordEnd)
        assert self._word is not None
        if text := " ".join(self._word.text.split()):
            start = self._word.start
            self._words.append(Spoken(text, start, min(event.stop, start + LONGEST_WORD)))
        self._word = None

    def _is_full(self, start: float) -> bool:
        """Whether a word that starts here belongs to the next segment."""
        if not self._words:
            return False
        first, last = self._words[0], self._words[-1]
        long = LONG if last.text.endswith(SENTENCE_ENDS) else LONGEST
        return start - last.stop >= GAP or start - first.start >= long

    def _cut(self) -> Iterator[Segment]:
        if self._words:
            words, self._words = self._words, []
            self._next += 1
            yield Segment(self._next - 1, tuple(words))
