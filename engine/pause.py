"""From the model's pause probabilities to the end of an utterance. Pure.

The 1B model has four heads: how likely it is that the speaker pauses for 0.5, 1, 2 and 3 seconds. They know what was
said, so they rise when a sentence is complete and not when somebody thinks; Kyutai's Unmute goes by the third, with one
threshold to end a turn and a lower one to take that back. They also rise for a moment between the digits of a number
that is read out, so a probability must stay high for a while, and for longer after a number.

A model without heads ends an utterance when it has said nothing for a second.
"""

from collections.abc import Sequence

from engine.words import FRAME_SECONDS

HEAD = 2  # the pause of two seconds
HIGH = 0.6
LOW = 0.4
WARM_UP = 12  # frames at the beginning whose probabilities mean nothing
HOLD = 3  # frames that a probability must stay high: its spikes are shorter
NUMBER_HOLD = 15  # the same after a number, whose digits may be half a second apart
QUIET = round(1.0 / FRAME_SECONDS)  # frames without a word, for a model without heads

ENGLISH = (
    "zero oh one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million "
    "double triple point plus dash"
)
FRENCH = (
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize vingt trente "
    "quarante cinquante soixante septante huitante nonante cent mille virgule"
)
NUMBERS = frozenset((*ENGLISH.split(), *FRENCH.split()))


def is_number(word: str) -> bool:
    """Whether a word is a part of a number that somebody may still be reading out."""
    bare = word.strip(".,;:-!?+()").lower()
    return any(character.isdigit() for character in word) or all(part in NUMBERS for part in bare.split("-"))


class Endpoint:
    """Tells when one row's utterance has ended. It holds no mutable parts, so that `copy.copy` remembers it as it is.

    The heads hear the present, the words come `delay` frames later: an end is told once its words have been.
    """

    def __init__(self, delay: int) -> None:
        self._hold = max(HOLD, delay)
        self._number_hold = max(NUMBER_HOLD, delay)
        self._frame = 0
        self._open = False  # a word was told after the last end
        self._after_number = False
        self._held = 0  # frames that the probability has been high, or that nothing was said

    def hear(self, pauses: Sequence[float], *, word: str = "", speaking: bool = False) -> bool:
        """One frame: the heads, the last `word` told in it, whether one is being formed. True: the utterance ended."""
        self._frame += 1
        if word:
            self._open, self._after_number = True, is_number(word)
        if pauses:
            self._held = self._held + 1 if self._is_quiet(pauses[HEAD]) else 0
        else:
            self._held = 0 if word or speaking else self._held + 1
        ended = self._open and not speaking and self._held >= self._needed(bool(pauses))
        self._open = self._open and not ended
        return ended

    def _is_quiet(self, probability: float) -> bool:
        """High begins a quiet, low ends it, and what is between changes nothing."""
        return self._frame > WARM_UP and (probability > HIGH or (self._held > 0 and probability >= LOW))

    def _needed(self, has_heads: bool) -> int:
        if not has_heads:
            return QUIET
        return self._number_hold if self._after_number else self._hold
