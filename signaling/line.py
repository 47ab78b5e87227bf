"""Who waits, in the order in which they are served. Pure.

Askers (a key, an address) take turns, so that nobody comes later because another one asks for much; each asker's own
come in the order in which they came.
"""

from collections import OrderedDict, deque
from itertools import zip_longest
from typing import Generic, TypeVar

T = TypeVar("T")


class FairLine(Generic[T]):
    """At most `length` of those who wait. Each may wait once."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._lines: OrderedDict[str, deque[T]] = OrderedDict()  # by asker; the one whose turn it is comes first

    def __len__(self) -> int:
        return sum(len(line) for line in self._lines.values())

    @property
    def first(self) -> T | None:
        """Who is served next."""
        return next((line[0] for line in self._lines.values()), None)

    def order(self) -> list[T]:
        """All, as they would be served if nobody came."""
        rounds = zip_longest(*self._lines.values())
        return [who for each in rounds for who in each if who is not None]

    def join(self, asker: str, who: T) -> T | None:
        """Let `who` wait. Who has to go for it, if the line is full: the last of the asker that has the most, or `who`
        itself where no asker would still have as many as its own."""
        self._lines.setdefault(asker, deque()).append(who)
        if len(self) <= self._length:
            return None
        most = max(self._lines, key=lambda each: (len(self._lines[each]), each == asker))
        last = self._lines[most][-1]
        self.leave(most, last)
        return last

    def leave(self, asker: str, who: T) -> None:
        """`who` waits no longer. Leaving twice is harmless."""
        line = self._lines.get(asker, deque())
        if who in line:
            line.remove(who)
        if not line:
            self._lines.pop(asker, None)

    def serve(self) -> None:
        """The first has what it waited for; it is the next asker's turn."""
        asker, line = next(iter(self._lines.items()))
        line.popleft()
        if line:
            self._lines.move_to_end(asker)
        else:
            del self._lines[asker]
