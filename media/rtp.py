"""Packets and the holes between them, with counters that no longer wrap."""

import struct
from dataclasses import dataclass
from typing import NamedTuple

MAX_DROPOUT = 3_000  # RFC 3550 appendix A.1: a larger jump of the sequence is not a loss
_FIXED = struct.Struct("!BBHII")  # RFC 3550 section 5.1: V/P/X/CC, M/PT, sequence number, timestamp, SSRC


class Arrival(NamedTuple):
    """An RTP packet as it came: counters of 16 and 32 bits, the payload without its padding.

    A tuple, as `Packet` is, because one is made for every packet and a frozen dataclass takes three times as long.
    """

    ssrc: int
    payload_type: int
    sequence_number: int
    timestamp: int
    payload: bytes


class Packet(NamedTuple):
    """One RTP packet in its place. `seq` and `timestamp` are widened (they never wrap).

    `rate` is the clock of `timestamp`, in Hz; 0 where a packet only takes a place in the sequence and its timestamp
    says nothing about audio: a digit, padding, a payload that is no codec of ours. `samples`: the audio in it, at that
    clock; 0 also for comfort noise, which has a time and no sound.
    """

    seq: int
    timestamp: int
    payload: bytes
    samples: int
    payload_type: int
    rate: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Time without a packet, in `samples` of a clock of `rate` Hz: `lost` when packets are missing, not `lost` when the
    sender was quiet (DTX)."""

    samples: int
    rate: int
    lost: bool


class Widener:
    """Counts on where a counter of `bits` wraps: each value is read as the one nearest to the value before it."""

    def __init__(self, bits: int) -> None:
        self._span = 1 << bits
        self._half = self._span >> 1
        self._last: int | None = None

    def widen(self, value: int) -> int:
        """The wide counter. Half a turn ahead is read as backward, since nobody is that far ahead."""
        last = self._last
        if last is not None:
            ahead = (value - last) % self._span
            value = last + (ahead if ahead < self._half else ahead - self._span)
        self._last = value
        return value

    def peek(self, value: int) -> int:
        """What `widen` would say, without moving."""
        if self._last is None:
            return value
        ahead = (value - self._last) % self._span
        return self._last + (ahead if ahead < self._half else ahead - self._span)


def parse(datagram: bytes) -> Arrival:
    """Read an RTP packet (RFC 3550 section 5.1). Raises ValueError naming the fault."""
    if len(datagram) < _FIXED.size:
        raise ValueError("RTP packet is shorter than its fixed header")
    first, second, sequence_number, timestamp, ssrc = _FIXED.unpack_from(datagram)
    if first >> 6 != 2:
        raise ValueError("RTP packet has another version than 2")
    start = _payload_start(datagram, first) if first & 0x1F else _FIXED.size
    payload = datagram[start : len(datagram) - _padding(datagram, start)] if first & 0x20 else datagram[start:]
    return Arrival(ssrc, second & 0x7F, sequence_number, timestamp, payload)


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


def _padding(datagram: bytes, start: int) -> int:
    padding = datagram[-1]
    if not 0 < padding <= len(datagram) - start:
        raise ValueError("RTP packet has wrong padding")
    return padding
