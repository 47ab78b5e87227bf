"""SCTP packets judged before they are read. Pure.

The reader behind this believes what a packet says of itself: a parameter of length 0 keeps it in one place for good,
and a kilobyte of acknowledgements can keep it for seconds. So every length is checked here first, chunk by chunk
(RFC 9260 section 3.2); what passes is still the caller's word, but it ends.
"""

import struct
from collections.abc import Callable

_COMMON = 12  # bytes: ports, verification tag, checksum
_CHUNK = struct.Struct("!BBH")  # type, flags, length
_PARAMETER = struct.Struct("!HH")  # type, length
_GAP = struct.Struct("!HH")  # first, last

FARTHEST_GAP = 4_096  # chunks beyond the last one acknowledged: four times what fits a window of a megabyte


def check(packet: bytes) -> None:
    """Raises ValueError naming the fault of a packet that should not be read."""
    if len(packet) < _COMMON + _CHUNK.size:
        raise ValueError("SCTP packet is shorter than its header and one chunk")
    at = _COMMON
    kinds = []
    while at <= len(packet) - _CHUNK.size:
        kind, _, length = _CHUNK.unpack_from(packet, at)
        if not _CHUNK.size <= length <= len(packet) - at:
            raise ValueError("SCTP chunk has a wrong length")
        if judge := _JUDGES.get(kind):
            judge(packet[at + _CHUNK.size : at + length])
        kinds.append(kind)
        at += length + -length % 4
    if _INIT in kinds and len(kinds) > 1:
        raise ValueError("SCTP INIT is not alone in its packet")  # RFC 9260 section 3.3.2


def _data(body: bytes) -> None:
    if len(body) <= 12:
        raise ValueError("SCTP DATA has no data")  # RFC 9260 section 3.3.1


def _init(body: bytes) -> None:
    if len(body) < 16:
        raise ValueError("SCTP INIT is truncated")
    _parameters(body[16:])


def _sack(body: bytes) -> None:
    if len(body) < 12:
        raise ValueError("SCTP SACK is truncated")
    gaps, duplicates = _PARAMETER.unpack_from(body, 8)
    if len(body) < 12 + 4 * (gaps + duplicates):
        raise ValueError("SCTP SACK has truncated blocks")
    acknowledged = 0
    for first, last in _GAP.iter_unpack(body[12 : 12 + 4 * gaps]):
        acknowledged += last - first + 1
        if not (first <= last <= FARTHEST_GAP and acknowledged <= FARTHEST_GAP):
            raise ValueError("SCTP SACK acknowledges more than was ever sent")


def _parameters(body: bytes) -> None:
    at = 0
    while at <= len(body) - _PARAMETER.size:
        kind, length = _PARAMETER.unpack_from(body, at)
        if not _PARAMETER.size <= length <= len(body) - at:
            raise ValueError("SCTP parameter has a wrong length")
        if length - _PARAMETER.size < _LEAST_IN_PARAMETER.get(kind, 0):
            raise ValueError("SCTP parameter is truncated")
        at += length + -length % 4


def _shutdown(body: bytes) -> None:
    if len(body) < 4:
        raise ValueError("SCTP SHUTDOWN is truncated")


def _forward(body: bytes) -> None:
    if len(body) < 4 or len(body) % 4:
        raise ValueError("SCTP FORWARD-TSN is truncated")


_INIT = 1
_JUDGES: dict[int, Callable[[bytes], None]] = {
    0: _data,
    _INIT: _init,
    2: _init,  # INIT ACK
    3: _sack,
    4: _parameters,  # HEARTBEAT and its ACK
    5: _parameters,
    6: _parameters,  # ABORT
    7: _shutdown,
    9: _parameters,  # ERROR
    130: _parameters,  # RE-CONFIG
    192: _forward,  # RFC 3758
}
_LEAST_IN_PARAMETER = {13: 12, 16: 8, 17: 8}  # RFC 6525 section 4: reset streams, response, add streams
