"""Notices that a model has stalled: somebody speaks and no word comes. Pure.

Kyutai's 1B model stops transcribing "from time to time ... for a long period" (its maintainers, in
kyutai-labs/delayed-streams-modeling#146). Speech is told from noise by its level alone: clearly above a floor that
follows the quietest moments, so that music on hold or a fan is no speech for long.
"""

from collections import deque

WINDOW = 75  # frames: six seconds
SHARE = 0.6  # of them must be loud
LOUD = 10 ** (-45 / 10)  # mean square of the quietest speech: -45 dBFS
ABOVE_FLOOR = 10.0  # times the floor's power: 10 dB
FLOOR_RISE = 10 ** (0.1 / 10)  # a frame: 1.25 dB a second
LEAST_FLOOR = 1e-9


class Watchdog:
    """Watches one row."""

    def __init__(self) -> None:
        self._floor: float | None = None
        self._loud: deque[bool] = deque(maxlen=WINDOW)

    def hear(self, power: float, *, word: bool) -> bool:
        """One frame's mean square, and whether a piece of a word came. True: it has stalled; then it waits anew."""
        self._floor = power if self._floor is None else min(power, self._floor * FLOOR_RISE)
        self._floor = max(self._floor, LEAST_FLOOR)
        self._loud.append(power > max(LOUD, self._floor * ABOVE_FLOOR))
        stalled = not word and len(self._loud) == WINDOW and sum(self._loud) >= SHARE * WINDOW
        if word or stalled:
            self._loud.clear()
        return stalled
