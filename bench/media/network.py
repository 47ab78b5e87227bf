"""What a network does to each packet of a call, drawn from a seed: the same for every receiver."""

import random
from collections.abc import Collection

Journey = float | None  # seconds under way; None: it never comes


def journeys(count: int, *, seed: int, loss: float = 0.0, jitter: float = 0.0) -> list[Journey]:
    """The journeys of `count` packets: each is lost with the chance `loss`, else takes 0 to `jitter` seconds.

    Loss and delay are drawn apart, so that a higher rate loses every packet that a lower one loses too.
    """
    chance, clock = random.Random(f"loss {seed}"), random.Random(f"delay {seed}")
    return [None if chance.random() < loss else clock.uniform(0.0, jitter) for _ in range(count)]


def without(count: int, lost: Collection[int]) -> list[Journey]:
    """A clean network, but for these packets."""
    return [None if index in lost else 0.0 for index in range(count)]


def arrived(network: list[Journey]) -> tuple[int, int]:
    """The first packet that came, and the one behind the last; (0, 0) when none did."""
    came = [index for index, journey in enumerate(network) if journey is not None]
    return (came[0], came[-1] + 1) if came else (0, 0)
