"""Who takes over from the one who speaks, when a packet of another sender (SSRC) comes. Pure: it is told the time.

A caller may change its sender at any time: another microphone, another network, a restart. But two may also send at
once, or three hundred, and each change costs a decoder. So another one is listened to when it comes twice in a row, or
when the one before has fallen silent. Twice in a row is enough once in a second: of two who go on sending at once, each
has its turn, and nobody is asked for a decoder with every other packet. Until then a second's worth of packets is kept,
a bounded number of them, and none of a sender who takes over is lost.
"""

from collections import deque

from media.rtp import Arrival

IN_A_ROW = 2  # packets
TURN = 1.0  # seconds for which whoever took over by them cannot be interrupted so again
KEPT = 16  # packets of one rival: more than those of 20 ms that come until the one before is said to be silent,
KEPT_FOR = 1.0  # and for so many seconds: what was said before then is not heard any more


class Rivals:
    """The one rival that is kept, and how often it came since the speaker did."""

    def __init__(self) -> None:
        self.dropped = 0  # packets of rivals that did not take over, or too late for these
        self._packets: deque[tuple[float, Arrival]] = deque()  # and when each came
        self._in_a_row = 0
        self._taken_at: float | None = None  # when one last took over from who was speaking

    def hear_speaker(self) -> None:
        """A packet of the one who speaks came."""
        self._in_a_row = 0

    def hear(self, arrival: Arrival, now: float, *, speaking: bool) -> list[Arrival]:
        """Take a packet of another; its packets, in order of arrival, if it takes over with this one."""
        self._forget(arrival.ssrc, now)
        self._packets.append((now, arrival))
        self._in_a_row += 1
        if speaking and not self._may_interrupt(now):
            self._drop(len(self._packets) - KEPT)
            return []
        if speaking:
            self._taken_at = now
        taken = [kept for _, kept in self._packets]
        self._packets.clear()
        self._in_a_row = 0
        return taken

    def _may_interrupt(self, now: float) -> bool:
        in_turn = self._taken_at is not None and now - self._taken_at < TURN
        return self._in_a_row >= IN_A_ROW and not in_turn

    def _forget(self, ssrc: int, now: float) -> None:
        """What is old, and all of one who is not this."""
        if self._packets and self._packets[0][1].ssrc != ssrc:
            self._drop(len(self._packets))
            self._in_a_row = 0
        self._drop(sum(now - came > KEPT_FOR for came, _ in self._packets))

    def _drop(self, packets: int) -> None:
        for _ in range(packets):
            self._packets.popleft()
            self.dropped += 1
