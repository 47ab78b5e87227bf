"""From text tokens to words with times. Pure.

The model says one token a frame: a piece of a word, PAD while nothing begins, or WORD_START, the frame before a word's
first piece. A word's pieces come a fixed delay after the word began to be spoken, one a frame, so a token's frame tells
when. (Kyutai, "Streaming Sequence-to-Sequence Learning with Delayed Streams Modeling", 2025; moshi-server, asr.rs.)

moshi-server tells a word's end when the next one starts, so that its last word never ends. Here a word also ends
when padding has lasted for a while.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.base import FRAME_SAMPLES, SAMPLE_RATE, Timestamps
from engine.events import Partial, Word, WordEnd

WORD_START = 0
PAD = 3
FRAME_SECONDS = FRAME_SAMPLES / SAMPLE_RATE
QUIET = 3  # frames of padding after which a word has ended
LONGEST = 40  # pieces of a word: a model that never ends it is in a rut
OVERLAP = 2.5 * FRAME_SECONDS  # seconds: words closer than this to one that was told before a rewind are the same
SERVER_DELAYS = {0.5: 6, 2.5: 32}  # frames: `asr_delay_in_tokens` of moshi-server's configurations, by the delay

Said = Word | WordEnd | Partial


@dataclass(frozen=True, slots=True)
class Timing:
    """How a frame's index becomes a time: `lag` frames are between a word's onset and its WORD_START.

    The tokens of the first `deaf` frames mean nothing.
    """

    lag: float
    deaf: int

    @classmethod
    def of(cls, delay: float, timestamps: Timestamps = "accurate") -> "Timing":
        """The timing of a model whose text is `delay` seconds behind its audio.

        moshi-server's times are late by the frame that it keeps back, and rounded; `compatible` times are the same.
        The token of frame f is the model's text at position f + 1, since position 0 is its start.
        """
        server = SERVER_DELAYS.get(delay, int(delay / FRAME_SECONDS) + 1)
        lag = server - 1 if timestamps == "compatible" else delay / FRAME_SECONDS
        return cls(lag - 1, max(0, server - 2))

    def at(self, frame: int) -> float:
        """Seconds of audio at which what frame `frame` told was spoken."""
        return max(0.0, (frame - self.lag) * FRAME_SECONDS)


class Words:
    """The words of one row. It holds no mutable parts, so that `copy.copy` remembers it as it is.

    `frame` is the index of the next token's frame, `last` the last word told, `ended` when it had been spoken.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], timing: Timing) -> None:
        self.frame = 0
        self.last = ""
        self.ended = 0.0
        self._decode = decode
        self._timing = timing
        self._pieces: tuple[int, ...] = ()
        self._tail = ""  # the pieces as text
        self._start = 0.0  # when the word being formed began
        self._opened: float | None = None  # the time of a WORD_START that no piece has followed yet
        self._last_start = 0.0
        self._unended = False  # a word was told whose end was not
        self._quiet = 0  # frames of padding since the last piece
        self._quiet_since = 0.0
        self._again = -1.0  # words that start before this have been told before a rewind

    @property
    def forming(self) -> bool:
        """Whether a word has begun and not settled."""
        return bool(self._pieces)

    @property
    def speaking(self) -> bool:
        """Whether a word is being formed or has not ended."""
        return self.forming or self._unended

    def hear(self, token: int) -> list[Said]:
        """The token of the next frame."""
        frame, self.frame = self.frame, self.frame + 1
        if frame < self._timing.deaf:
            return []
        if token in (PAD, WORD_START):
            return self._pause(token, self._timing.at(frame))
        return self._grow(token, self._timing.at(frame - 1))

    def rewind(self, frames: int) -> None:
        """The last `frames` frames will be heard again; the words told of them are not told twice."""
        assert frames <= self.frame
        self.frame -= frames
        self._pieces, self._tail, self._opened = (), "", None
        self._quiet = 0
        self._again = self._last_start + OVERLAP if self.last else -1.0

    def drop(self) -> list[Said]:
        """Forget the word being formed."""
        self._pieces, self._opened = (), None
        return self._show("")

    @property
    def _is_told(self) -> bool:
        return self._start < self._again

    def _grow(self, token: int, begun: float) -> list[Said]:
        said: list[Said] = []
        if not self._pieces:
            said += self._begin(begun)
        self._pieces += (token,)
        *settled, tail = self._decode(self._pieces).split() or [""]
        for word in settled:  # words too close for padding between them: each begins with its own piece
            said += [*self._settle(word), *self._begin(begun)]
            self._pieces = (token,)
        if len(self._pieces) == LONGEST:
            return said + self._settle(tail) + self._show("")
        return said + self._show(tail.rstrip("\ufffd"))  # which stands for a character whose bytes have not all come

    def _begin(self, begun: float) -> list[Said]:
        """A word begins; the one before it has ended by then."""
        start = begun if self._opened is None else self._opened
        self._opened = None
        self._start = max(start, self._last_start)
        return self._end(self._start)

    def _pause(self, token: int, now: float) -> list[Said]:
        said: list[Said] = []
        if self._pieces:
            said += self._settle(self._decode(self._pieces).strip()) + self._show("")
            self._quiet, self._quiet_since = 0, now
        if token == WORD_START:
            said += self._end(now)
            self._opened = now
        else:
            self._quiet += 1
            if self._quiet >= QUIET:
                said += self._end(self._quiet_since)
        return said

    def _settle(self, word: str) -> list[Said]:
        """The word is complete; its tail is still to be replaced."""
        self._pieces = ()
        if self._is_told or not word:
            return []
        self._again = -1.0
        self._unended = True
        self.last, self._last_start = word, self._start
        return [Word(word, self._start)]

    def _show(self, tail: str) -> list[Said]:
        """The tail is this from now on."""
        if tail == self._tail or (tail and self._is_told):
            return []
        self._tail = tail
        return [Partial(tail)]

    def _end(self, stop: float) -> list[Said]:
        if not self._unended:
            return []
        self._unended = False
        self.ended = max(stop, self._last_start)
        return [WordEnd(self.ended)]
