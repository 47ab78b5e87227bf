"""How fast the batch steps, and what follows from it. Pure: it is told how long each step took, and when it ended."""

from bisect import bisect_left
from collections import deque

from engine.base import FRAME_SAMPLES, SAMPLE_RATE, STEP_BOUNDS, Load

FRAME_SECONDS = (
    FRAME_SAMPLES / SAMPLE_RATE
)  # what a step hears of each caller: steps that take longer fall behind real time
GATHER = 0.008  # seconds that a step waits at most for callers whose frames are about to come
SLOW = 0.6 * FRAME_SECONDS  # from here on those who catch up take turns, so that those who are in time stay so
REOPEN = 0.75 * FRAME_SECONDS  # above the calibrated 0.7, so that a full house does not keep itself shut
SHUT = 0.85 * FRAME_SECONDS
WEIGHT = 0.1  # of the last step in the smoothed time ...
AT_MOST = 2 * FRAME_SECONDS  # ... in which no single step counts for more: one that the machine held up is no trend
STALE = 1.0  # seconds without a step after which the smoothed time says nothing about the next one
RECENT = 512  # steps in the figures


class Pace:
    """The times of the steps so far: smoothed, for what is to be decided, and one by one, for the figures.

    One thread tells it of steps; another may read what follows.
    """

    def __init__(self, places: int) -> None:
        self.seconds = 0.0  # smoothed
        self.shut = False
        self._places = places
        self._ended_at = 0.0
        self._recent: deque[tuple[float, int]] = deque(maxlen=RECENT)  # (seconds, rows)
        self._counts = [0] * (len(STEP_BOUNDS) + 1)
        self._sum = 0.0

    @property
    def slow(self) -> bool:
        """Whether steps take so long that catching up is rationed."""
        return self.seconds > SLOW

    @property
    def gather(self) -> float:
        """Seconds that a frame may wait for others: never longer than it would take the others to be served next."""
        return max(0.0, min(GATHER, self.seconds, FRAME_SECONDS - self.seconds))

    def took(self, seconds: float, rows: int, now: float) -> None:
        """A step of so many rows ended."""
        self.seconds += WEIGHT * (min(seconds, AT_MOST) - self.seconds)
        self.shut = self.seconds > (REOPEN if self.shut else SHUT)
        self._ended_at = now
        self._recent.append((seconds, rows))
        self._counts[bisect_left(STEP_BOUNDS, seconds)] += 1
        self._sum += seconds

    def admits(self, now: float) -> bool:
        """Whether another caller could be served without harm to those who are there."""
        return not self.shut or now - self._ended_at > STALE

    def load(self, backlog: float) -> Load:
        """The figures, with the `backlog` that the caller of this has counted."""
        recent = self._recent.copy()  # in one piece, while the other thread may add to it
        if not recent:
            return Load(backlog=backlog)
        times = sorted(seconds for seconds, _ in recent)
        rows = sum(rows for _, rows in recent) / len(recent)
        median, most = _quantile(times, 0.5), _quantile(times, 0.99)
        return Load(median, most, rows / self._places, backlog, tuple(self._counts), self._sum)


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
