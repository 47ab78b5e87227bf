"""The engine counts the audio it was fed; the caller's clock also runs while nothing is fed. This joins the two.

Audio that was dropped under load, and the seconds between a lost connection and its return, pass for the caller and
not for the engine. Pure: it is told the time.
"""

from bisect import bisect_right
from collections import deque

JOINED = 0.001  # seconds: starts closer than this to the end of what came before follow without a hole
WINDOW = 30.0  # seconds of audio that tell how the caller's clock and ours go: drift in that time is some ms
LIVE = 2.0  # seconds by which the audio may be ahead of the clock and still be somebody who speaks
REACH = 10.0  # seconds before and after the audio whose moment is known, in which that moment tells others


class CallerTime:
    """Maps seconds of fed audio to seconds of the caller's audio, and those to the moment they were spoken."""

    def __init__(self) -> None:
        self._fed: list[float] = [0.0]  # at these engine seconds ...
        self._skipped: list[float] = [0.0]  # ... this much more had passed for the caller
        self._end_fed = 0.0
        self._heard = _Earliest()
        self._began: float | None = None  # the moment at which the first audio began, had it come as it was spoken
        self._spoken: tuple[float, float] | None = None  # a caller's second, and the moment it was spoken

    @property
    def fed(self) -> float:
        """Seconds of audio that the engine was fed."""
        return self._end_fed

    @property
    def end(self) -> float:
        """Seconds of the caller's audio up to the end of what was fed last."""
        return self._end_fed + self._skipped[-1]

    def feed(self, start: float, seconds: float, now: float, spoken: float | None = None) -> None:
        """`seconds` of audio that began at `start` of the caller's time are about to be fed; they end `now`.

        `spoken`: the moment at which `start` was spoken, where the sender's clock tells.
        """
        if start - self.end > JOINED:
            self._skip(start - self.end)
        self._end_fed += seconds
        if self._began is None:
            self._began = now - self.end
        self._heard.add(now - self.end, now)
        if spoken is not None and abs(now - spoken) <= REACH:
            self._spoken = start, spoken

    def at(self, fed: float) -> float:
        """The caller's time of an engine's time."""
        return fed + self._skipped[bisect_right(self._fed, fed) - 1]

    def latency(self, start: float, now: float) -> float | None:
        """Seconds from when `start` (caller's time) was spoken, else from when it was heard, until `now`; None before
        any audio, and for a recording that is sent faster than it was spoken. What was heard leaves out how long the
        fastest packet took to come."""
        if self._spoken is not None and abs(start - self._spoken[0]) <= REACH:
            at, moment = self._spoken
            return max(0.0, now - moment - (start - at))
        passed = self.passed(now)
        if self._began is not None and self.end - (now - self._began) > LIVE:
            return None
        return None if passed is None else max(0.0, passed - start)

    def passed(self, now: float) -> float | None:
        """The caller's time at the moment `now`, by what was heard; None before any audio."""
        return None if self._heard.least is None else now - self._heard.least

    def _skip(self, seconds: float) -> None:
        if self._fed[-1] == self._end_fed:
            self._skipped[-1] += seconds
        else:
            self._fed.append(self._end_fed)
            self._skipped.append(self._skipped[-1] + seconds)


class _Earliest:
    """The moment when the caller's second 0 was heard, by the fastest packet of the last WINDOW: every delay on the way
    only adds. It slides, since no two clocks run alike."""

    def __init__(self) -> None:
        self._rising: deque[tuple[float, float]] = deque()  # each later and larger than the one before: a sliding least

    @property
    def least(self) -> float | None:
        return self._rising[0][0] if self._rising else None

    def add(self, value: float, now: float) -> None:
        while self._rising and self._rising[-1][0] >= value:
            self._rising.pop()
        self._rising.append((value, now))
        while self._rising[0][1] < now - WINDOW:
            self._rising.popleft()
