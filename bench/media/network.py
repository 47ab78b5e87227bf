"""What a network does to each packet of a call, drawn from a seed: the same for every receiver."""

from collections.abc import Collection, Sequence

from media.impair import Impairment, Path

PACKET = 0.02  # seconds
Journey = float | None  # seconds under way; None: it never comes


def journeys(count: int, impairment: Impairment, seed: int) -> list[Journey]:
    """The journeys of `count` packets, sent one every 20 ms."""
    path = Path(impairment, seed)
    return [_journey(path, index * PACKET) for index in range(count)]


def _journey(path: Path, now: float) -> Journey:
    arrivals = path.deliveries(now)
    return max(0.0, min(arrivals) - now) if arrivals else None


def without(count: int, lost: Collection[int]) -> list[Journey]:
    """A clean network, but for these packets."""
    return [None if index in lost else 0.0 for index in range(count)]


def arrived(network: Sequence[Journey]) -> tuple[int, int]:
    """The first packet that came, and the one behind the last; (0, 0) when none did."""
    came = [index for index, journey in enumerate(network) if journey is not None]
    return (came[0], came[-1] + 1) if came else (0, 0)
