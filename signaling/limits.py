"""How often one address, or one session, may ask, and how much each has at once. Pure: it is told the time."""

from collections import Counter, OrderedDict
from collections.abc import Iterable

ASKERS_KEPT = 10_000


class RateLimit:
    """A token bucket for each asker: `per_minute` at once, refilled evenly. 0 is no limit.

    At most ASKERS_KEPT are remembered; the one that asked longest ago is forgotten first, full again.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # asker: (tokens left, when)

    def take(self, asker: str, now: float) -> float:
        """0 when the asker may go on, else the seconds until it may."""
        if not self._per_minute:
            return 0.0
        rate = self._per_minute / 60
        left, when = self._buckets.pop(asker, (float(self._per_minute), now))
        available = min(float(self._per_minute), left + (now - when) * rate)
        granted = available >= 1
        self._buckets[asker] = (available - 1, now) if granted else (left, when)
        if len(self._buckets) > ASKERS_KEPT:
            self._buckets.popitem(last=False)
        return 0.0 if granted else (1 - available) / rate


class Shares:
    """How many sessions, or files, each of those has who share the server: addresses, keys, tokens. Who has none is
    forgotten."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()

    def of(self, holder: str) -> int:
        """How many it has now."""
        return self._held[holder]

    @property
    def total(self) -> int:
        """How many all have."""
        return self._held.total()

    def take(self, holders: Iterable[str]) -> None:
        """Each of them has one more."""
        self._held.update(holders)

    def give_back(self, holders: Iterable[str]) -> None:
        """Each of them has one less."""
        for holder in holders:
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]
