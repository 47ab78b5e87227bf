"""Sender reports out of RTCP (RFC 3550 section 6): which moment of the sender's clock its RTP timestamps mean."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

SENDER_REPORT = 200  # section 12.1
_HEADER = struct.Struct("!BBH")  # section 6.4.1: V/P/RC, PT, length in 32-bit words less one
_SENDER = struct.Struct("!IIII")  # SSRC, NTP seconds, NTP fraction, RTP timestamp
_SENDER_INFO = 24  # bytes of a sender report before its report blocks, without the header


@dataclass(frozen=True, slots=True)
class SenderReport:
    """What one sender said of its clocks: `timestamp` (RTP, 32 bits) and `ntp` (seconds since 1900) are one moment."""

    ssrc: int
    ntp: float
    timestamp: int


def sender_reports(datagram: bytes) -> list[SenderReport]:
    """The sender reports in a compound packet, most often none or one. Raises ValueError naming the fault."""
    return [_report(body) for kind, body in list(_packets(datagram)) if kind == SENDER_REPORT]


def _packets(datagram: bytes) -> Iterator[tuple[int, bytes]]:
    """The type and the body of each packet in it (section 6.1)."""
    at = 0
    while at < len(datagram):
        if len(datagram) < at + _HEADER.size:
            raise ValueError("RTCP packet is shorter than its header")
        first, kind, words = _HEADER.unpack_from(datagram, at)
        if first >> 6 != 2:
            raise ValueError("RTCP packet has another version than 2")
        start, at = at + _HEADER.size, at + 4 * (words + 1)
        if len(datagram) < at:
            raise ValueError("RTCP packet is truncated")
        yield kind, datagram[start:at]


def _report(body: bytes) -> SenderReport:
    if len(body) < _SENDER_INFO:
        raise ValueError("RTCP sender report has no whole sender info")
    ssrc, seconds, fraction, timestamp = _SENDER.unpack_from(body)
    return SenderReport(ssrc, seconds + fraction / 2**32, timestamp)
