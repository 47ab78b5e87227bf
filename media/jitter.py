"""Put packets in order and name the holes. Pure: it is told the time.

A recognizer wants packets in order, as soon as they are here, and no even pace: what is next in order goes straight
through, and nothing is held back unless something before it is missing. A hole waits until `deadline`, then it
becomes a `Gap`. The patience follows the reordering that was seen and falls back by itself.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

from media.rtp import Gap, Packet

SHORTEST_WAIT = 0.020  # seconds that a hole waits at least, one usual packet
LONGEST_WAIT = 0.120
HALF_LIFE = 10.0  # seconds after which half of the reordering once seen is forgotten
MARGIN = 1.25  # how much longer than the reordering seen a hole waits

MAX_DROPOUT = 3_000  # RFC 3550 appendix A.1: a larger jump of the sequence is not a loss
KEPT = 128  # packets that may wait behind a hole; also how far back a repeated packet is recognised
STRAYS = 3  # packets in a row from elsewhere in the sequence, after which the sender has started anew


V = TypeVar("V", int, float)


@dataclass(slots=True)
class Counts:
    """Packets: `lost` never came in time, `late` of them came after all, `duplicate` came twice."""

    lost: int = 0
    late: int = 0
    duplicate: int = 0


class JitterBuffer:
    """Packets in, in any order; packets and gaps out, in order. Times are seconds of one clock that never goes back."""

    def __init__(self, *, shortest: float = SHORTEST_WAIT, longest: float = LONGEST_WAIT) -> None:
        self.counts = Counts()
        self._shortest = shortest
        self._longest = longest
        self._next: int | None = None  # the sequence number that goes straight through
        self._clock = 0  # the timestamp at which it should begin
        self._usual = 0  # samples of the last packet that had any
        self._waiting: dict[int, tuple[Packet, float]] = {}
        self._ready: list[Packet | Gap] = []
        self._passed: OrderedDict[int, int] = OrderedDict()  # what was released: number -> timestamp
        self._given_up: OrderedDict[int, float] = OrderedDict()  # what was not: number -> when it was missed
        self._strays: list[Packet] = []
        self._learned = 2 * shortest / MARGIN  # seconds of reordering that were seen,
        self._learned_at = 0.0  # and when

    @property
    def deadline(self) -> float | None:
        """When the hole in front of the waiting packets becomes a gap; None while nothing waits."""
        if not self._waiting:
            return None
        since = self._missed_since()
        return since + min(max(self._reach(since) * MARGIN, self._shortest), self._longest)

    def put(self, packet: Packet, now: float) -> None:
        """Take a packet in. What is late or a duplicate is dropped and counted."""
        if self._next is None:
            self._begin(packet)
            self._learned_at = now
        assert self._next is not None
        if packet.seq == self._next:
            self._learn_from_arrival(now)
            self._strays.clear()
            self._pass(packet)
            self._pass_waiting()
        elif self._next < packet.seq < self._next + MAX_DROPOUT:
            self._strays.clear()
            self._wait(packet, now)
        else:
            self._doubt(packet, now)

    def misses(self, seq: int, timestamp: int) -> bool:
        """Whether a repeated packet with this number would fill a hole: it is due, not here, and not of a time that
        has been passed."""
        if self._next is None:
            return False
        return self._next <= seq < self._next + MAX_DROPOUT and seq not in self._waiting and timestamp >= self._clock

    def pop(self, now: float) -> list[Packet | Gap]:
        """All that is ready, in order; holes whose deadline has come are gaps."""
        while (deadline := self.deadline) is not None and (now >= deadline or len(self._waiting) > KEPT):
            self._give_up_hole()
            self._pass_waiting()
        ready, self._ready = self._ready, []
        return ready

    def flush(self) -> list[Packet | Gap]:
        """Everything that is here, holes as gaps: the end of a call, or of one sender."""
        while self._waiting:
            self._give_up_hole()
            self._pass_waiting()
        ready, self._ready = self._ready, []
        return ready

    def _begin(self, packet: Packet) -> None:
        self._next = packet.seq
        self._clock = packet.timestamp

    def _pass(self, packet: Packet) -> None:
        assert self._next is not None
        if packet.samples:  # a packet without audio says nothing about the clock
            quiet = packet.timestamp - self._clock
            if quiet > 0:
                self._ready.append(Gap(quiet, lost=False))
            self._clock = packet.timestamp + packet.samples  # backward too: a sender that re-based its clock
            self._usual = packet.samples
        self._ready.append(packet)
        _remember(self._passed, packet.seq, packet.timestamp)
        self._next = packet.seq + 1

    def _pass_waiting(self) -> None:
        while self._next in self._waiting:
            self._pass(self._waiting.pop(self._next)[0])

    def _wait(self, packet: Packet, now: float) -> None:
        if packet.seq in self._waiting:
            self.counts.duplicate += 1
        else:
            self._waiting[packet.seq] = packet, now

    def _give_up_hole(self) -> None:
        """Name the hole in front of the waiting packets: as much as was lost, and the rest was quiet."""
        assert self._next is not None
        first = min(self._waiting)
        missing = first - self._next
        since = self._missed_since()
        for seq in range(max(self._next, first - KEPT), first):
            _remember(self._given_up, seq, since)
        self.counts.lost += missing
        self._next = first
        packet = self._waiting[first][0]
        if packet.samples:
            lost = min(packet.timestamp - self._clock, missing * (self._usual or packet.samples))
            if lost > 0:
                self._ready.append(Gap(lost, lost=True))
                self._clock += lost

    def _doubt(self, packet: Packet, now: float) -> None:
        """A packet from elsewhere in the sequence: late, twice, or the first of a sender that has started anew."""
        if self._passed.get(packet.seq) == packet.timestamp:
            self.counts.duplicate += 1
        elif packet.seq in self._given_up:
            self.counts.late += 1
            self._learn(now - self._given_up.pop(packet.seq), now)
            _remember(self._passed, packet.seq, packet.timestamp)  # should it come once more
        elif self._strays and packet.seq == self._strays[-1].seq + 1:
            self.counts.late += 1
            self._strays.append(packet)
            if len(self._strays) == STRAYS:
                self._start_anew()
        else:
            self.counts.late += 1
            self._strays = [packet]

    def _start_anew(self) -> None:
        self._ready = self.flush()
        self._passed.clear()
        self._given_up.clear()
        strays, self._strays = self._strays, []
        self.counts.late -= len(strays)  # they were counted before they were understood
        self._begin(strays[0])
        for packet in strays:
            self._pass(packet)

    def _missed_since(self) -> float:
        return min(arrived for _, arrived in self._waiting.values())

    def _learn_from_arrival(self, now: float) -> None:
        if self._waiting:  # this packet closes a hole that others revealed
            self._learn(now - self._missed_since(), now)

    def _learn(self, reordering: float, now: float) -> None:
        self._learned = min(max(self._reach(now), reordering), self._longest)
        self._learned_at = now

    def _reach(self, now: float) -> float:
        """How far packets are out of order, in seconds: what was seen, as far as it is remembered."""
        return self._learned * math.pow(0.5, (now - self._learned_at) / HALF_LIFE)


def _remember(record: OrderedDict[int, V], seq: int, value: V) -> None:
    record[seq] = value
    if len(record) > KEPT:
        record.popitem(last=False)
