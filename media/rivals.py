"""Who takes over from the one who speaks, when a packet of another sender (SSRC) comes. Pure.

A caller may change its sender at any time: another microphone, another network, a restart. But two may also send at
once, or three hundred, and each change costs a decoder. So another one is listened to when it comes twice in a row, or
when the one before has fallen silent; until then a few of its packets are kept, and none of a sender who takes over is
lost.
"""

from collections import deque

from media.rtp import Arrival

IN_A_ROW = 2  # packets
KEPT = 8  # packets of one rival


class Rivals:
    """The one rival that is kept, and how often it came since the speaker did."""

    def __init__(self) -> None:
        self.dropped = 0  # packets of rivals that did not take over
        self._packets: deque[Arrival] = deque()
        self._in_a_row = 0

    def hear_speaker(self) -> None:
        """A packet of the one who speaks came."""
        self._in_a_row = 0

    def hear(self, arrival: Arrival, *, speaking: bool) -> list[Arrival]:
        """Take a packet of another; its packets, in order of arrival, if it takes over with this one."""
        if self._packets and self._packets[0].ssrc != arrival.ssrc:
            self._drop(len(self._packets))
            self._in_a_row = 0
        self._packets.append(arrival)
        self._in_a_row += 1
        if speaking and self._in_a_row < IN_A_ROW:
            self._drop(len(self._packets) - KEPT)
            return []
        taken = list(self._packets)
        self._packets.clear()
        self._in_a_row = 0
        return taken

    def _drop(self, packets: int) -> None:
        for _ in range(packets):
            self._packets.popleft()
            self.dropped += 1
