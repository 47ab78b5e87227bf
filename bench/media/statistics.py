"""Figures from what was heard. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.media.network import PACKET, Journey, arrived
from bench.media.ruler import packets
from bench.media.trial import Heard

FRAME = 1_920  # samples at RATE
RATE = 24_000

Point = tuple[int, float]  # a packet, and the seconds from its sending to the frame that it completes


@dataclass(frozen=True, slots=True)
class Spread:
    """Of many latencies, in milliseconds."""

    p50: float
    p95: float


def spread(seconds: Iterable[float]) -> Spread:
    """The middle and the slow end; nan for none."""
    values = np.fromiter(seconds, float) * 1e3
    return Spread(*np.percentile(values, [50, 95]).round(2).tolist()) if values.size else Spread(np.nan, np.nan)


def added(call: Heard) -> list[Point]:
    """What each frame of a call had to wait for, beyond its own 80 ms: from the sending of the packet that its last
    sample belongs to, to the frame. Which packet that is, is heard in the frame (see ruler.py)."""
    return [
        (packet, time - call.left[packet])
        for time, packet in zip(call.times, packets(call.pcm, FRAME), strict=False)
        if 0 <= packet < len(call.left)
    ]


def missing(call: Heard, network: Sequence[Journey]) -> float:
    """Seconds of audio that never came out, of what was sent from the first packet that came to the last."""
    first, stop = arrived(network)
    return max(0.0, (stop - first) * PACKET - call.samples / RATE)


def step(points: Sequence[Point], lost: int, calm: int = 25) -> tuple[float, float]:
    """The median latencies before one lost packet, and from `calm` packets after it, in milliseconds."""
    before = spread(latency for packet, latency in points if packet < lost)
    after = spread(latency for packet, latency in points if packet >= lost + calm)
    return before.p50, after.p50
