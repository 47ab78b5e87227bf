"""When a sample was spoken, by our clock: the sender's reports (RFC 3550 section 6.4.1) joined to their arrival.

A report says which moment of the sender's wall clock an RTP timestamp is; when it arrives tells how far that clock is
from ours. Every delay on the way only adds, so the fastest report of the last minute tells best, less the way itself:
half of the shortest round trip. The window slides, so that a clock that drifts is followed: at 200 ppm the oldest
report that still counts is 12 ms wrong.

What a sender says is believed once two reports in a row agree with each other and with our clock. Pure: told the time.
"""

from collections import deque
from dataclasses import dataclass

WINDOW = 60.0  # seconds of reports that count
MOST_REPORTS = 64  # however many come in that time; browsers send a dozen
LEAP = 1.0  # seconds by which two reports may disagree with our clock: delays vary, clocks that leap do so by more
UNEVEN = 0.05  # seconds by which a sender's two clocks may disagree between two reports,
UNEVEN_PART = 0.02  # and the part of the time between them
REACH = 60.0  # seconds before and after the last report for which its mapping is good
_TURN = 1 << 32  # RTP timestamps wrap


@dataclass(frozen=True, slots=True)
class _Heard:
    """A report, when it came, and the round trip at that time."""

    ntp: float
    timestamp: int
    arrived: float
    round_trip: float | None


class SenderClock:
    """One sender's RTP timestamps to our clock's seconds. `clock_rate` is the RTP clock's, in Hz."""

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._reports: deque[_Heard] = deque(maxlen=MOST_REPORTS)
        self._offset: float | None = None  # what to add to the sender's wall clock; None while it is not believed

    def report(self, ntp: float, timestamp: int, now: float, round_trip: float | None) -> None:
        """Take a report in: `ntp` in seconds, `timestamp` modulo 2^32, `round_trip` in seconds where it is known."""
        if not ntp:
            return  # RFC 3550 section 6.4.1: the sender has no wall clock
        heard = _Heard(ntp, timestamp, now, round_trip)
        if self._reports:
            last = self._reports[-1]
            if ntp == last.ntp:
                return  # said twice, as aiortc does while nothing is sent
            if not self._agree(last, heard):
                self._reports.clear()
        self._reports.append(heard)
        while self._reports[0].arrived < now - WINDOW:
            self._reports.popleft()
        self._offset = self._estimate()

    def spoken(self, timestamp: int) -> float | None:
        """When the sample with this RTP timestamp (modulo 2^32) was captured, by our clock; None while unknown."""
        if self._offset is None:
            return None
        last = self._reports[-1]
        since = self._seconds(last.timestamp, timestamp)
        return last.ntp + since + self._offset if abs(since) <= REACH else None

    def _estimate(self) -> float | None:
        if len(self._reports) < 2:
            return None
        # Apart: a round trip that was long while the report came fast would make the way look longer than it was.
        fastest = min(heard.arrived - heard.ntp for heard in self._reports)
        shortest = min((heard.round_trip for heard in self._reports if heard.round_trip is not None), default=0.0)
        return fastest - shortest / 2

    def _agree(self, earlier: _Heard, later: _Heard) -> bool:
        """Whether our clock and both of the sender's went on equally between two reports."""
        ours, wall = later.arrived - earlier.arrived, later.ntp - earlier.ntp
        media = self._seconds(earlier.timestamp, later.timestamp)
        return abs(wall - ours) <= LEAP and abs(media - wall) <= UNEVEN + UNEVEN_PART * abs(wall)

    def _seconds(self, earlier: int, later: int) -> float:
        """From one timestamp to another, the short way round."""
        ahead = (later - earlier) % _TURN
        return (ahead if ahead < _TURN // 2 else ahead - _TURN) / self._clock_rate
