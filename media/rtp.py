"""Packets and the holes between them, with counters that no longer wrap."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet of audio. `seq` and `timestamp` are widened (they never wrap); `samples` at the codec's clock."""

    seq: int
    timestamp: int
    payload: bytes
    samples: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Time without a packet: `lost` when packets are missing, not `lost` when the sender was quiet (DTX)."""

    samples: int
    lost: bool
