"""Put packets in order and name the holes. Pure: it is told the time.

A recognizer wants packets in order, as soon as they are here, and no even pace: what is next in order goes straight
through, and nothing is held back unless something before it is missing. A hole waits until `deadline`, then it
becomes a `Gap`. The patience follows the reordering that was seen and falls back by itself.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

from media.rtp import MAX_DROPOUT, Gap, Packet

SHORTEST_WAIT = 0.020  # seconds that a hole waits at least, one usual packet
LONGEST_WAIT = 0.120
HALF_LIFE = 10.0  # seconds after which half of the reordering once seen is forgotten
MARGIN = 1.25  # how much longer than the reordering seen a hole waits

KEPT = 128  # packets that may wait behind a hole; also how far back a repeated packet is recognised
STRAYS = 3  # packets in a row from elsewhere in the sequence, after which the sender has started anew


V = TypeVar("V", int, float)


@dataclass(slots=True)
class Counts:
    """Packets. Those that were sent are `released` and `lost` together."""

    released: int = 0
    repaired: int = 0  # of these, whole again from a repetition; fewer again when the packet itself comes after all
    lost: int = 0  # never came in time,
    late: int = 0  # and of these, came after all
    duplicate: int = 0  # came twice
    reordered: int = 0  # came out of order, and in time

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


class _Passed:
    """The last packets that were released, each at its number's place in a ring."""

    def __init__(self) -> None:
        self._numbers: list[int | None] = [None] * KEPT
        self._timestamps = [0] * KEPT

    def add(self, seq: int, timestamp: int) -> None:
        self._numbers[seq % KEPT] = seq
        self._timestamps[seq % KEPT] = timestamp

    def holds(self, seq: int, timestamp: int) -> bool:
        return self._numbers[seq % KEPT] == seq and self._timestamps[seq % KEPT] == timestamp


class JitterBuffer:
    """Packets in, in any order; packets and gaps out, in order. Times are seconds of one clock that never goes back."""

    def __init__(self, *, shortest: float = SHORTEST_WAIT, longest: float = LONGEST_WAIT) -> None:
        self.counts = Counts()
        self._shortest = shortest
        self._longest = longest
        self._next: int | None = None  # the sequence number that goes straight through
        self._clock = 0  # the timestamp at which it should begin,
        self._rate = 0  # and the clock that this is told by; 0 before any audio
        self._usual = 0  # samples of the last packet that had any
        self._audible = False  # whether the last packet had any
        self._waiting: dict[int, tuple[Packet, float]] = {}  # in order of arrival
        self._newest = 0  # the highest number that waits
        self._ready: list[Packet | Gap] = []
        self._passed = _Passed()
        self._mended: OrderedDict[int, int] = OrderedDict()  # what was repaired and did not come itself yet
        self._given_up: OrderedDict[int, float] = OrderedDict()  # what was not released: number -> when it was missed
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
        due = self._next
        if due is None:
            due = self._begin(packet)
            self._learned_at = now
        if packet.seq == due:
            if self._strays:
                self._strays.clear()
            if self._waiting:
                self._learn_from_arrival(now)
                self._pass(packet)
                self._pass_waiting()
            else:
                self._pass(packet)
        elif due < packet.seq < due + MAX_DROPOUT:
            self._strays.clear()
            self._wait(packet, now)
        else:
            self._doubt(packet, now)

    def misses_before(self, seq: int) -> bool:
        """Whether anything is missing of what comes before this number, so that a repetition of it would help."""
        return bool(self._waiting) or (self._next is not None and self._next < seq)

    def repair(self, packet: Packet, now: float) -> bool:
        """Take a packet as a later one repeats it, if it fills a hole: it is due, not here, and not of a time that has
        been passed. Whether it was taken."""
        due = self._next
        if due is None or not due <= packet.seq < due + MAX_DROPOUT or packet.seq in self._waiting:
            return False
        if packet.rate != self._rate or packet.timestamp < self._clock:
            return False
        self.counts.repaired += 1
        _remember(self._mended, packet.seq, packet.timestamp)
        if packet.seq == due:
            self._pass(packet)
            self._pass_waiting()
        else:
            self._hold(packet, now)
        return True

    def pop(self, now: float) -> list[Packet | Gap]:
        """All that is ready, in order; holes whose deadline has come are gaps."""
        if self._waiting:
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

    def _begin(self, packet: Packet) -> int:
        self._next = packet.seq
        self._clock = packet.timestamp
        self._rate = packet.rate
        return packet.seq

    def _pass(self, packet: Packet) -> None:
        seq, timestamp, _, samples, _, rate = packet
        if rate:  # without one it says nothing about the clock
            self._follow_clock(timestamp, samples, rate)
        self._audible = samples > 0
        self._ready.append(packet)
        self._passed.add(seq, timestamp)
        self._next = seq + 1
        self.counts.released += 1

    def _follow_clock(self, timestamp: int, samples: int, rate: int) -> None:
        """Silence up to this packet, by the sender's clock. That may go back, or be another one: it is then taken as
        it is. Comfort noise only ever follows the clock of the audio."""
        if rate == self._rate and timestamp > self._clock:
            self._ready.append(Gap(timestamp - self._clock, rate, lost=False))
            self._clock = timestamp
        if samples:
            self._clock = timestamp + samples
            self._rate = rate
            self._usual = samples

    def _pass_waiting(self) -> None:
        while self._next in self._waiting:
            self._pass(self._waiting.pop(self._next)[0])

    def _wait(self, packet: Packet, now: float) -> None:
        if packet.seq in self._waiting:
            self._count_again(packet.seq)
            return
        if self._waiting and packet.seq < self._newest:
            self.counts.reordered += 1
        self._hold(packet, now)

    def _hold(self, packet: Packet, now: float) -> None:
        self._newest = max(self._newest, packet.seq) if self._waiting else packet.seq
        self._waiting[packet.seq] = packet, now

    def _count_again(self, seq: int) -> None:
        """A packet that is here already came once more; or it came at last, and was not lost when it was repaired."""
        if self._mended.pop(seq, None) is None:
            self.counts.duplicate += 1
        else:
            self.counts.repaired -= 1
            self.counts.reordered += 1

    def _give_up_hole(self) -> None:
        """Name the hole in front of the waiting packets: as much as was lost, and the rest was quiet.

        Only between audio and a time that can be compared was audio lost: beside a digit it was most likely another
        packet of that digit.
        """
        assert self._next is not None
        first = min(self._waiting)
        missing = first - self._next
        since = self._missed_since()
        for seq in range(max(self._next, first - KEPT), first):
            _remember(self._given_up, seq, since)
        self.counts.lost += missing
        self._next = first
        packet = self._waiting[first][0]
        if self._audible and packet.rate:
            lost = missing * self._usual
            if packet.rate == self._rate:
                lost = min(packet.timestamp - self._clock, lost)
            if lost > 0:
                self._ready.append(Gap(lost, self._rate, lost=True))
                self._clock += lost

    def _doubt(self, packet: Packet, now: float) -> None:
        """A packet from elsewhere in the sequence: late, twice, or the first of a sender that has started anew."""
        if self._passed.holds(packet.seq, packet.timestamp):
            self._count_again(packet.seq)
        elif packet.seq in self._given_up:
            self.counts.late += 1
            self._learn(now - self._given_up.pop(packet.seq), now)
            self._passed.add(packet.seq, packet.timestamp)  # should it come once more
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
        self._passed = _Passed()
        self._mended.clear()
        self._given_up.clear()
        strays, self._strays = self._strays, []
        self.counts.late -= len(strays)  # they were counted before they were understood
        self._begin(strays[0])
        for packet in strays:
            self._pass(packet)

    def _missed_since(self) -> float:
        return next(iter(self._waiting.values()))[1]

    def _learn_from_arrival(self, now: float) -> None:
        """This packet closes a hole that others revealed."""
        self.counts.reordered += 1
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
