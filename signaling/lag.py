"""How late the event loop is: everything that callers are told waits behind whatever holds it up.

A tick is due every PERIOD. A loop that is held up misses ticks, and each of them counts, with the time since it was
due: one callback alone would see a second's stop as one sample among the many of quiet times, though everybody who
wanted something in that second has waited.
"""

import asyncio
from collections.abc import Callable

PERIOD = 0.05  # seconds between two ticks
MOST = 1_000  # ticks that are told of at once: 50 s


class LoopLag:
    """Tells the lag of each tick, in seconds, from `start` to `stop`. Lives on the event loop."""

    def __init__(self, tell: Callable[[float], None]) -> None:
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to tick."""
        self._wait(self._loop.time())

    def stop(self) -> None:
        """Tick no more. Stopping twice is harmless."""
        if self._timer:
            self._timer.cancel()

    def _wait(self, now: float) -> None:
        self._due = now + PERIOD
        self._timer = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        for lag in lags(self._due, now):
            self._tell(lag)
        self._wait(now)


def lags(due: float, now: float) -> list[float]:
    """How late each tick is that was due at `due` or since; at least one, at most MOST, the latest first."""
    missed = min(MOST, 1 + max(0, int((now - due) / PERIOD)))
    return [max(0.0, now - due - tick * PERIOD) for tick in range(missed)]
