"""Packets and the holes between them, with counters that no longer wrap."""

import struct
from dataclasses import dataclass

_FIXED = struct.Struct("!BBHII")  # RFC 3550 section 5.1: V/P/X/CC, M/PT, sequence number, timestamp, SSRC


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet of audio. `seq` and `timestamp` are widened (they never wrap); `samples` at the codec's clock.

    `samples` is 0 where a packet takes a place in the sequence but holds no audio: padding, a digit, a payload that
    is no codec of ours.
    """

    seq: int
    timestamp: int
    payload: bytes
    samples: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Time without a packet: `lost` when packets are missing, not `lost` when the sender was quiet (DTX)."""

    samples: int
    lost: bool


@dataclass(frozen=True, slots=True)
class Arrival:
    """An RTP packet as it came: counters of 16 and 32 bits, the payload without its padding."""

    ssrc: int
    payload_type: int
    sequence_number: int
    timestamp: int
    payload: bytes


class Widener:
    """Counts on where a counter of `bits` wraps: each value is read as the one nearest to the value before it."""

    def __init__(self, bits: int) -> None:
        self._span = 1 << bits
        self._last: int | None = None

    def widen(self, value: int) -> int:
        """The wide counter. Half a turn ahead is read as backward, since nobody is that far ahead."""
        self._last = wide = self.peek(value)
        return wide

    def peek(self, value: int) -> int:
        """What `widen` would say, without moving."""
        if self._last is None:
            return value
        ahead = (value - self._last) % self._span
        return self._last + (ahead if ahead < self._span // 2 else ahead - self._span)


def parse(datagram: bytes) -> Arrival:
    """Read an RTP packet (RFC 3550 section 5.1). Raises ValueError naming the fault."""
    if len(datagram) < _FIXED.size:
        raise ValueError("RTP packet is shorter than its fixed header")
    first, second, sequence_number, timestamp, ssrc = _FIXED.unpack_from(datagram)
    if first >> 6 != 2:
        raise ValueError("RTP packet has another version than 2")
    start = _payload_start(datagram, first)
    end = len(datagram) - _padding(datagram, first, start)
    return Arrival(ssrc, second & 0x7F, sequence_number, timestamp, datagram[start:end])


def _payload_start(datagram: bytes, first: int) -> int:
    start = _FIXED.size + 4 * (first & 0x0F)
    if len(datagram) < start:
        raise ValueError("RTP packet has truncated CSRC")
    if first & 0x10:
        if len(datagram) < start + 4:
            raise ValueError("RTP packet has a truncated extension header")
        start += 4 + 4 * int.from_bytes(datagram[start + 2 : start + 4])
        if len(datagram) < start:
            raise ValueError("RTP packet has a truncated extension")
    return start


def _padding(datagram: bytes, first: int, start: int) -> int:
    if not first & 0x20:
        return 0
    padding = datagram[-1]
    if not 0 < padding <= len(datagram) - start:
        raise ValueError("RTP packet has wrong padding")
    return padding
