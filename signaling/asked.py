"""What a caller asks for beside its audio. Pure.

Audio is bounded by the time it takes; a mark, a flush or a clear is a few bytes, of which any number could wait behind
it.
"""

from engine.events import Mark
from engine.verbs import Clear, Flush, MarkAt
from signaling.errors import BadMessage

MOST_MARKS = 500  # not yet told: half of the events that may wait for a stream's reader


class Asked:
    """What one caller has asked for."""

    def __init__(self) -> None:
        self._marks = 0
        self._done: set[type[Flush | Clear]] = set()  # since the last audio

    def heard(self, samples: int) -> None:
        """So much audio came."""
        if samples:
            self._done.clear()

    def told(self, mark: Mark) -> None:
        """The caller has this mark back."""
        self._marks -= 1

    def counts(self, verb: MarkAt | Flush | Clear) -> bool:
        """Whether it is to be done: what nothing has come behind need not be flushed or forgotten twice. Raises
        BadMessage for a mark too many."""
        if isinstance(verb, MarkAt):
            if self._marks >= MOST_MARKS:
                raise BadMessage(f"{MOST_MARKS} marks wait already: wait until they are back before you ask for more.")
            self._marks += 1
            return True
        first = type(verb) not in self._done
        self._done.add(type(verb))
        return first
