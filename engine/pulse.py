"""Whether the engine's process is well, as its parent sees it. Pure.

The child tells once a BEAT how its engine is. What it misses is counted in beats of the parent's, not in seconds: a
parent that has stood still itself (a suspended laptop, a paused container) does not blame the child for it.
"""

from engine.base import Stats

BEAT = 1.0  # seconds
SILENT = 4  # beats without a sign of life after which the child counts as stuck
HOPELESS = 30  # beats after which a child that is stuck, or says that its engine is, is given up


class Pulse:
    """What the child said last, and how many beats ago it was well."""

    def __init__(self) -> None:
        self.stats = Stats("starting", 0, 0)
        self._silent = 0  # beats
        self._ill = 0  # beats

    @property
    def stuck(self) -> bool:
        """Whether the child serves nobody at the moment."""
        return self._silent >= SILENT or self.stats.state != "ready"

    @property
    def hopeless(self) -> bool:
        """Whether it has been so for too long."""
        return self._ill >= HOPELESS

    def heard(self, stats: Stats) -> None:
        """The child has told how it is."""
        self.stats = stats
        self._silent = 0
        if stats.state == "ready":
            self._ill = 0

    def tick(self) -> None:
        """A beat has passed here."""
        self._silent += 1
        self._ill += 1
