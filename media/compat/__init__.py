"""Every reach into aiortc's and aioice's private parts, and nothing else.

Written against aiortc 1.16.0 and aioice 0.13.0, which are pinned. Nothing is patched globally: each function hooks
one connection's own objects. `tests/media/test_compat.py` and the tests beside it hold a contract for each, so that a
new version of either fails there and not in a call. Each file says what it does, why, and when it can go.
"""

from media.compat.channels import (
    guard_association,
    guard_channels,
    mend_association,
    unacknowledged,
    watch_acknowledged,
)
from media.compat.connection import (
    answer_codecs,
    consent_expired,
    ice_connection,
    open_connection,
    refused,
    round_trip,
    sever,
)
from media.compat.gathering import Gathering
from media.compat.packets import jitter, take_packets

__all__ = [
    "Gathering",
    "answer_codecs",
    "consent_expired",
    "guard_association",
    "guard_channels",
    "ice_connection",
    "jitter",
    "mend_association",
    "open_connection",
    "refused",
    "round_trip",
    "sever",
    "take_packets",
    "unacknowledged",
    "watch_acknowledged",
]
