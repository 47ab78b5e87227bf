"""What a track counts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrackStats:
    """What happened to one caller's audio so far. Packets, but where seconds are named."""

    received: int = 0
    expected: int = 0  # sent, by their sequence numbers
    repaired: int = 0  # lost, and whole again from the redundancy in a later one; may shrink when it comes after all
    lost: int = 0  # never whole in time
    late: int = 0
    duplicate: int = 0
    reordered: int = 0  # out of order, and in time
    undecodable: int = 0
    foreign: int = 0  # from senders who did not take over
    digits: int = 0
    digits_dropped: int = 0  # faster than anybody presses keys
    events_dropped: int = 0  # told between the frames, and not read in time
    concealed_seconds: float = 0.0
    silent_seconds: float = 0.0  # filled in for DTX and for packets that stopped
    dropped_seconds: float = 0.0  # not read in time
