"""How good the line is: the E-model (ITU-T G.107), and a meter that says it for each interval of a call.

The model's rating R is 93.2 for a line without fault; delay and loss take away from it, and R becomes a mean opinion
score (MOS). Only what a network does is counted. Nobody hears an echo of a machine, and codecs count as transparent:
ITU-T G.113 has no values for Opus in this scale, and G.711, for which it has, takes nothing away.
"""

import math

from media.events import Quality
from media.stats import TrackStats

FAULTLESS = 93.2  # R with every parameter at its default (G.107 table 2)
ROBUSTNESS = 25.1  # Bpl of G.711 whose losses are concealed by repeating the waveform (G.113 table I.4)
NOT_HEARD = 0.100  # seconds of delay that disturb nobody (G.107 section 7.4)
MOST = 4.5  # MOS of R = 100 and above


def rating(loss: float, delay: float, robustness: float = ROBUSTNESS) -> float:
    """R for a part of packets lost (0 to 1, at random) and a one-way delay in seconds. It may be below 0."""
    return FAULTLESS - delay_impairment(delay) - loss_impairment(loss, robustness)


def delay_impairment(delay: float) -> float:
    """Idd of a one-way delay in seconds (G.107 section 7.4, at the default sensitivity to delay)."""
    if delay <= NOT_HEARD:
        return 0.0
    x = math.log2(delay / NOT_HEARD)
    return 25 * (math.pow(1 + x**6, 1 / 6) - 3 * math.pow(1 + (x / 3) ** 6, 1 / 6) + 2)


def loss_impairment(loss: float, robustness: float = ROBUSTNESS) -> float:
    """Ie,eff of a transparent codec (Ie = 0) that loses a part of its packets at random (G.107 section 7.5)."""
    percent = 100 * loss
    return 95 * percent / (percent + robustness)


def opinion(rating: float) -> float:
    """The MOS of a rating R: 1 (bad) to 4.5 (G.107 annex B)."""
    if rating <= 0:
        return 1.0
    if rating >= 100:
        return MOST
    return max(1.0, 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6)


class Meter:
    """What happened between one measurement and the next. A new meter measures from the beginning of a call."""

    def __init__(self) -> None:
        self._before = TrackStats()

    def measure(self, stats: TrackStats, jitter: float, round_trip: float | None) -> Quality | None:
        """The quality since the last one that was given; None while no packet has come since. Times are seconds."""
        before = self._before
        if stats.received == before.received:
            return None
        self._before = stats
        sent = max(1, stats.expected - before.expected)
        lost, repaired = stats.lost - before.lost, stats.repaired - before.repaired
        delay = (round_trip or 0.0) / 2 + jitter  # the way here, and what it takes to put packets in order again
        return Quality(
            loss=_part(lost + repaired, sent),
            repaired=_part(repaired, sent),
            late=_part(stats.late - before.late, sent),
            reordered=_part(stats.reordered - before.reordered, sent),
            concealed=stats.concealed_seconds - before.concealed_seconds,
            jitter=jitter,
            round_trip=round_trip,
            mos=opinion(rating(_part(lost, sent), delay)),
        )


def _part(packets: int, sent: int) -> float:
    """A fraction. At the edge of an interval a loss may be counted one after the packet itself."""
    return min(1.0, max(0.0, packets / sent))
