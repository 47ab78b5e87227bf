"""LocalAgreement-2: which words of a hypothesis that is still being revised may be called settled.

A recogniser that hears an utterance again and again, each time with a little more audio, changes its mind about the
last words and seldom about the earlier ones. A word settles once two hypotheses in a row agree on it (Macháček et al.,
"Turning Whisper into Real-Time Transcription System", 2023). What is settled never changes; a later hypothesis that
spells it differently is aligned with it, so that the words after it are neither told twice nor lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

HELD_BACK = 1  # words


@dataclass(frozen=True, slots=True)
class Agreed:
    """What one hypothesis brought: its words [first, stop) are newly settled, those from `stop` on are the tail."""

    first: int
    stop: int


class Agreement:
    """The settled words of one utterance and the tail that the last hypothesis put behind them.

    `held_back`: how many words at the end of a hypothesis cannot settle, since their audio may be incomplete.
    """

    def __init__(self, held_back: int = HELD_BACK) -> None:
        self._held_back = held_back
        self._settled: list[str] = []
        self._tail: list[str] = []

    @property
    def settled(self) -> int:
        """How many words of the utterance are settled."""
        return len(self._settled)

    def revise(self, hypothesis: Sequence[str]) -> Agreed:
        """Take a newer hypothesis of the whole utterance and settle what two in a row agree on."""
        words = [normalised(word) for word in hypothesis]
        first = continuation(self._settled, words)
        agreed = common_prefix(self._tail, words[first : max(first, len(words) - self._held_back)])
        return self._settle(words, first, first + agreed)

    def conclude(self, hypothesis: Sequence[str]) -> Agreed:
        """Settle every word of a hypothesis; a later one of the same utterance goes on from there."""
        words = [normalised(word) for word in hypothesis]
        return self._settle(words, continuation(self._settled, words), len(words))

    def _settle(self, words: list[str], first: int, stop: int) -> Agreed:
        self._settled += words[first:stop]
        self._tail = words[stop:]
        return Agreed(first, stop)


def normalised(word: str) -> str:
    """The word as it is compared: small letters and digits only, or itself where nothing else is in it."""
    return "".join(c for c in word.lower() if c.isalnum()) or word


def common_prefix(one: Sequence[str], other: Sequence[str]) -> int:
    """How many words the two begin with in common."""
    for count, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return count
    return min(len(one), len(other))


def continuation(settled: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Where in `hypothesis` the words after the settled ones begin.

    The prefix that is closest to the settled words by edit distance stands for them; of equally close ones, the one
    that ends with the same word, and then the one whose length is nearest to theirs.
    """
    distances = list(range(len(hypothesis) + 1))  # of the settled words so far to each prefix of the hypothesis
    for row, word in enumerate(settled, start=1):
        diagonal, distances[0] = distances[0], row
        for column, other in enumerate(hypothesis, start=1):
            substituted = diagonal + (word != other)
            diagonal = distances[column]
            distances[column] = min(substituted, diagonal + 1, distances[column - 1] + 1)

    def cost(length: int) -> tuple[int, bool, int]:
        return distances[length], hypothesis[:length][-1:] != settled[-1:], abs(length - len(settled))

    return min(range(len(distances)), key=cost)
