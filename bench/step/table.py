"""What follows from the measured steps: how near the roofline, what must be reached, and an L40S. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.step.roofline import H200, L40S, Costs, Device, roofline

Figures = dict[str, Any]

FRAME = 80.0  # ms: a step that takes longer falls behind
STEADY = 60.0  # ms that the slowest steps may take for what is wanted of a server
HALF = 64  # callers at which a step takes at most half of moshi's
MUST = {256: 25.0, 512: 40.0}  # ms at p99 on an H200
GOAL = {1000: 60.0}
HOPED = 192  # callers of an L40S within STEADY
KYUTAI = 64  # callers of an L40S that Kyutai's server has at three times real time
KEPT_FREE = 0.9  # of the memory is planned with
GRAIN = 32  # callers: more exactly the largest number is not looked for


@dataclass(frozen=True, slots=True)
class Point:
    """Both at one number of callers; None was not measured."""

    rows: int
    offhook: Figures | None = None
    moshi: Figures | None = None

    def ms(self, who: str, quantile: str) -> float | None:
        """Milliseconds, or None where there was no measurement or no memory."""
        figures: Figures | None = getattr(self, who)
        return None if figures is None else figures.get(quantile)

    @property
    def in_time(self) -> bool:
        """Whether 99 of our steps in 100 keep up."""
        p99 = self.ms("offhook", "p99")
        return p99 is not None and p99 < FRAME


@dataclass(frozen=True, slots=True)
class Verdict:
    """A bound, in milliseconds, and what was measured; None: it was tried in vain."""

    what: str
    kind: str  # must, or goal
    bound: float
    measured: float | None

    @property
    def kept(self) -> bool:
        """Whether it was reached."""
        return self.measured is not None and self.measured <= self.bound


@dataclass(frozen=True, slots=True)
class Curve:
    """The steps of one model on one device."""

    costs: Costs
    device: Device
    points: list[Point] = field(default_factory=list)

    def roofline(self, rows: int) -> float:
        """Milliseconds."""
        return roofline(self.costs, self.device, rows)

    @property
    def largest(self) -> int | None:
        """The most callers, of the numbers measured, that are served in real time."""
        return max((point.rows for point in self.points if point.in_time), default=None)

    def document(self) -> list[Figures]:
        """The points, as they are kept."""
        return [self._told(point) for point in self.points]

    def _told(self, point: Point) -> Figures:
        bound = self.roofline(point.rows)
        told: Figures = {"rows": point.rows, "roofline_ms": round(bound, 4)}
        for who in ("offhook", "moshi"):
            figures = getattr(point, who)
            if figures is not None:
                over = {"over_roofline": round(figures["p50"] / bound, 2)} if "p50" in figures else {}
                told[who] = {**figures, **over}
        return told


def next_to_try(points: Sequence[Point]) -> int | None:
    """The number of callers that would tell more of the largest in real time; None: it is known well enough."""
    good = max((point.rows for point in points if point.in_time), default=0)
    bad = min((point.rows for point in points if point.offhook is not None and not point.in_time), default=None)
    if not good or (bad is not None and bad <= good):
        return None
    if bad is None:
        return 2 * good
    middle = (good + bad) // 2 // GRAIN * GRAIN
    return middle if good < middle < bad else None


def verdicts(curve: Curve) -> Iterator[Verdict]:
    """Of the numbers of callers that were measured. Bounds of an H200, for another GPU by their two rooflines."""
    for point in curve.points:
        if point.rows == HALF and (stock := point.ms("moshi", "p50")) is not None:
            yield Verdict(f"{HALF} callers, half of moshi's step (p50)", "must", stock / 2, point.ms("offhook", "p50"))
    for kind, bounds in (("must", MUST), ("goal", GOAL)):
        for rows, bound in bounds.items():
            nearest = _at_least(rows, curve.points)
            if nearest is not None:
                scale = curve.roofline(nearest.rows) / roofline(curve.costs, H200, nearest.rows)
                what = f"{rows} callers (measured: {nearest.rows}), p99"
                yield Verdict(what, kind, bound * scale, nearest.ms("offhook", "p99"))


def _at_least(rows: int, points: Sequence[Point]) -> Point | None:
    tried = [point for point in points if point.rows >= rows and point.offhook is not None]
    return min(tried, key=lambda point: point.rows, default=None)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an L40S might do, by its roofline: between two guesses (best, worst), in milliseconds, and nothing more.

    In the one, what lies above the roofline is the same there (kernels that are launched); in the other it grows with
    the roofline (memory that is read badly).
    """

    rows: int
    p50: tuple[float, float]
    p99: tuple[float, float]


def estimate(curve: Curve, rows: int) -> Estimate | None:
    """For so many callers, from the measured points on both sides; None where there are none."""
    p50, p99 = (_guess(curve, rows, quantile) for quantile in ("p50", "p99"))
    return None if p50 is None or p99 is None else Estimate(rows, p50, p99)


def largest_estimate(curve: Curve, row_bytes: float, weights: float) -> tuple[int, int] | None:
    """The most callers that an L40S might serve within STEADY at p99, by the worst and by the best guess."""
    room = int((KEPT_FREE * L40S.memory - weights) // row_bytes) - 1
    most = min(room, max((point.rows for point in curve.points), default=0))
    guesses = [(rows, guess) for rows in range(1, most + 1) if (guess := _guess(curve, rows, "p99")) is not None]
    if not guesses:
        return None

    def most_within(which: int) -> int:
        return max((rows for rows, guess in guesses if guess[which] <= STEADY), default=0)

    return most_within(1), most_within(0)


def _guess(curve: Curve, rows: int, quantile: str) -> tuple[float, float] | None:
    here, there = curve.roofline(rows), roofline(curve.costs, L40S, rows)
    ms = _between(
        rows, [(point.rows, ms) for point in curve.points if (ms := point.ms("offhook", quantile)) is not None]
    )
    return None if ms is None else _ordered(there + ms - here, there * ms / here)


def _ordered(one: float, other: float) -> tuple[float, float]:
    return round(min(one, other), 1), round(max(one, other), 1)


def _between(rows: int, measured: Sequence[tuple[int, float]]) -> float | None:
    """On the straight line between the two nearest measurements."""
    below = max((point for point in measured if point[0] <= rows), default=None)
    above = min((point for point in measured if point[0] >= rows), default=None)
    if below is None or above is None:
        return None
    if below == above:
        return below[1]
    return below[1] + (above[1] - below[1]) * (rows - below[0]) / (above[0] - below[0])


HEAD = """
  callers  roofline |          Offhook: ms a step         |           moshi: ms a step
                    |    p50    p99   p50/roofline     GB |    p50    p99   p50/roofline     GB"""


def render(curve: Curve) -> str:
    """The table as text."""
    return "\n".join([HEAD, *(_line(point, curve.roofline(point.rows)) for point in curve.points)])


def _line(point: Point, bound: float) -> str:
    sides = [_side(figures, bound) for figures in (point.offhook, point.moshi)]
    return f"  {point.rows:7}  {bound:8.2f} | {sides[0]:35} | {sides[1]}".rstrip()


def _side(figures: Figures | None, bound: float) -> str:
    if figures is None:
        return "not measured"
    if "no_memory" in figures:
        return "does not fit"
    if "broken" in figures:
        return "broke off"
    if "not_tried" in figures:
        return "not tried"
    return f"{figures['p50']:6.1f} {figures['p99']:6.1f} {figures['p50'] / bound:14.1f} {figures['memory_gb']:6.1f}"
