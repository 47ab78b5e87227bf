"""How long to wait before the next attempt. Pure: chance is an argument."""

from collections.abc import Callable, Iterator


def delays(first: float, most: float, chance: Callable[[], float]) -> Iterator[float]:
    """Seconds before each new attempt, for ever: `first`, doubled each time up to `most`, less up to a half by chance.

    `chance` gives numbers in [0, 1). It keeps those who failed together from trying again together.
    """
    wait = first
    while True:
        yield wait * (1 - chance() / 2)
        wait = min(most, 2 * wait)
