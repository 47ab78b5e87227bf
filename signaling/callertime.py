"""The engine counts the audio it was fed; the caller's clock also runs while nothing is fed. This joins the two.

Audio that was dropped under load, and the seconds between a lost connection and its return, pass for the caller and
not for the engine. Pure: it is told the time.
"""

from bisect import bisect_right

JOINED = 0.001  # seconds: starts closer than this to the end of what came before follow without a hole


class CallerTime:
    """Maps seconds of fed audio to seconds of the caller's audio, and those to the moment they were heard."""

    def __init__(self) -> None:
        self._fed: list[float] = [0.0]  # at these engine seconds ...
        self._skipped: list[float] = [0.0]  # ... this much more had passed for the caller
        self._end_fed = 0.0
        self._origin: float | None = None  # the moment when the caller's second 0 was heard

    @property
    def end(self) -> float:
        """Seconds of the caller's audio up to the end of what was fed last."""
        return self._end_fed + self._skipped[-1]

    def feed(self, start: float, seconds: float, now: float) -> None:
        """`seconds` of audio that began at `start` of the caller's time are about to be fed; they end `now`."""
        if start - self.end > JOINED:
            self._skip(start - self.end)
        self._end_fed += seconds
        origin = now - self.end
        # The fastest packet tells best when the sender spoke: every delay on the way only adds.
        self._origin = origin if self._origin is None else min(self._origin, origin)

    def at(self, fed: float) -> float:
        """The caller's time of an engine's time."""
        return fed + self._skipped[bisect_right(self._fed, fed) - 1]

    def latency(self, start: float, now: float) -> float | None:
        """Seconds from hearing what was said at `start` (caller's time) until `now`; None before any audio."""
        return None if self._origin is None else max(0.0, now - self._origin - start)

    def _skip(self, seconds: float) -> None:
        if self._fed[-1] == self._end_fed:
            self._skipped[-1] += seconds
        else:
            self._fed.append(self._end_fed)
            self._skipped.append(self._skipped[-1] + seconds)
