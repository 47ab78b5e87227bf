"""How one sender's packets arrived, for the receiver reports and for us (RFC 3550 section 6.4.1, appendices A.1, A.3
and A.8). Pure: told the time.

Packets are counted as they come in and before any repair: a browser's encoder spends bits on redundancy only while
reports tell it of loss, so what redundancy has mended must stay in them.
"""

from media.rtp import MAX_DROPOUT

MAX_MISORDER = 100  # appendix A.1: a larger step back is not a late packet
LEAP = 2.0  # seconds by which a packet may be early or late; beyond it the sender's clock was set anew
_SEQUENCES = 1 << 16
_TURN = 1 << 32  # timestamps wrap


class Reception:
    """One SSRC's packets, whichever codecs it speaks."""

    def __init__(self) -> None:
        self.heard = 0.0  # when the last packet came
        self.jitter = 0.0  # seconds
        self.clock_rate = 1  # Hz, of the last packet with audio
        self._base = 0  # the first sequence number, and
        self._highest = -1  # the highest, both extended by the turns taken
        self._received = 0
        self._expected_prior = 0
        self._received_prior = 0
        self._stray: int | None = None  # where a sender that has started anew would go on
        self._timestamp: int | None = None  # of the last packet with audio,
        self._arrived = 0.0  # and when it came

    def add(self, sequence_number: int, timestamp: int, clock_rate: int | None, now: float) -> None:
        """Take note of a packet; `clock_rate` is None where its timestamp tells nothing of the time it was sent."""
        if self._count(sequence_number) and clock_rate is not None:
            self._measure(timestamp, clock_rate, now)
        self.heard = now

    @property
    def highest(self) -> int:
        """The extended highest sequence number: turns in the upper 16 bits."""
        return self._highest

    @property
    def expected(self) -> int:
        """Packets that the sender has sent."""
        return self._highest - self._base + 1

    @property
    def lost(self) -> int:
        """Packets that did not come; negative where some came twice."""
        return self.expected - self._received

    def take_fraction_lost(self) -> float:
        """The part of the packets that was lost since this was last asked."""
        expected, received = self.expected - self._expected_prior, self._received - self._received_prior
        self._expected_prior, self._received_prior = self.expected, self._received
        return max(0.0, (expected - received) / expected) if expected > 0 else 0.0

    def _count(self, sequence_number: int) -> bool:
        """Give the packet its place. False for one that is from elsewhere in the sequence."""
        if self._highest < 0:
            self._start(sequence_number)
        ahead = (sequence_number - self._highest) % _SEQUENCES
        if ahead < MAX_DROPOUT:
            self._highest += ahead
        elif ahead <= _SEQUENCES - MAX_MISORDER:
            if sequence_number != self._stray:
                self._stray = (sequence_number + 1) % _SEQUENCES
                return False
            self._start(sequence_number)  # two in a row: the sender has started anew
        self._received += 1
        return True

    def _start(self, sequence_number: int) -> None:
        self._base = self._highest = sequence_number
        self._received = self._received_prior = self._expected_prior = 0
        self._stray = None

    def _measure(self, timestamp: int, clock_rate: int, now: float) -> None:
        """Appendix A.8: how unevenly packets arrive, against how evenly they were sent."""
        if self._timestamp is not None and clock_rate == self.clock_rate and timestamp != self._timestamp:
            ahead = (timestamp - self._timestamp) % _TURN
            sent = (ahead if ahead < _TURN // 2 else ahead - _TURN) / clock_rate
            difference = abs(now - self._arrived - sent)
            if difference < LEAP:
                self.jitter += (difference - self.jitter) / 16
        self._timestamp, self._arrived = timestamp, now
        self.clock_rate = clock_rate
