"""What a flush has told is not told again when the model goes on from before the flush. Pure.

A flush lets the model hear silence; then the model is taken back, so that the silence has never been, and it says
once more what it said meanwhile. Words never change once they are told, so what it says the second time is not heard,
even where the audio that came instead of the silence would have made it another word.
"""

from engine.events import Partial, Pause, Word, WordEnd

SAME_MOMENT = 0.1  # seconds between the starts of a word and of its repetition, at most: a frame and some
SAME_WORD = 0.24  # the same where the text is the same too


class Echo:
    """Tells repetitions from news, in one stream. Times are the caller's."""

    def __init__(self) -> None:
        self._due: list[Word] = []  # told, and still to be said again
        self._kept: list[Word] = []  # the same at the moment that the model goes back to
        self._told: list[Word] = []  # in the flush
        self._flushing = False
        self._paused = False  # a flush has told a Pause, and no word has come since
        self._last: Word | None = None  # the last word told
        self._ended = True  # ... and its end was told too
        self._rewound = False  # since the last new word

    def begin(self) -> None:
        """The model's state was saved: a flush begins."""
        self._flushing = True
        self._kept, self._told = list(self._due), []

    def rewind(self) -> None:
        """The model went back to what was saved."""
        self._flushing = False
        self._rewound = True
        self._due, self._told = self._kept + self._told, []

    def settle(self) -> None:
        """Everything from before the flush has been said again by now."""
        if not self._flushing:
            self._due.clear()

    def is_word_new(self, word: Word) -> bool:
        """Whether the word is to be told."""
        if self._due and _repeats(word, self._due[-1]):
            self._due = self._behind(word)
            return False
        self._due.clear()
        self._last, self._ended, self._paused = word, False, False
        if self._flushing:
            self._told.append(word)
        else:
            self._rewound = False
        return True

    def _behind(self, word: Word) -> list[Word]:
        """What is still to be said again once this has been: no more than one word is taken for it."""
        same = [index for index, due in enumerate(self._due) if _is(due, word)]
        if same:
            return self._due[min(same, key=lambda index: abs(self._due[index].start - word.start)) + 1 :]
        return [due for due in self._due if due.start > word.start + SAME_MOMENT]

    def is_end_new(self, end: WordEnd) -> bool:
        """Whether the end is to be told: after a flush, only once a word and only if it is that word's."""
        if self._rewound and (self._ended or self._last is None or end.stop <= self._last.start):
            return False
        self._ended = True
        return True

    def is_pause_new(self, pause: Pause) -> bool:
        """Whether the pause is to be told: one that a flush has told ends the utterance, until there is a word."""
        if self._paused:
            return False
        self._paused = self._flushing
        return True

    def tail(self, partial: Partial) -> Partial:
        """The tail without the words that have been told."""
        told = sum(len(word.text.split()) for word in self._due)
        return Partial(" ".join(partial.text.split()[told:])) if told else partial


def _repeats(word: Word, told: Word) -> bool:
    return word.start <= told.start + SAME_MOMENT or _is(word, told)


def _is(word: Word, told: Word) -> bool:
    return word.text == told.text and abs(word.start - told.start) <= SAME_WORD
