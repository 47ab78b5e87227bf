"""The figures as a table, and what they must and should reach. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

JUDGED = "offhook"
RESOLUTION = 0.25  # milliseconds: medians that are closer are the same on a machine that does other things too
PACKET = 20.0  # milliseconds

Figures = Mapping[str, Mapping[str, Any]]  # receiver -> section -> what it measured


@dataclass(frozen=True, slots=True)
class Row:
    """One line: each receiver's value, and the most that ours may have; None where there is no bound."""

    label: str
    values: dict[str, float]
    must: float | None = None
    goal: float | None = None

    @property
    def verdict(self) -> str:
        """How our value stands to the bounds; empty without a value or a bound."""
        value = self.values.get(JUDGED)
        if value is None or self.must is None:
            return ""
        if value > self.must:
            return "MISSED"
        return "goal" if self.goal is not None and value <= self.goal else "must"


def rows(figures: Figures) -> list[Row]:
    """Every line for which something was measured."""
    lines = [*_cost(figures), *_latency(figures), *_words(figures), *_setup(figures)]
    return [line for line in lines if line.values]


def _values(figures: Figures, read: Callable[[Any], float | None]) -> dict[str, float]:
    """What `read` finds for each receiver; nothing where that was not measured."""
    found = {}
    for name, sections in figures.items():
        try:
            value = read(sections)
        except KeyError:
            continue
        if value is not None:
            found[name] = value
    return found


def _cost(figures: Figures) -> Iterator[Row]:
    cpu = _values(figures, lambda of: of["cost"]["cpu"])
    yield Row("sessions at once", _values(figures, lambda of: of["cost"]["sessions"]))
    yield Row("CPU per session-second, ms", cpu)
    yield Row("  with a RED sender, ms", _values(figures, lambda of: of["cost"]["cpu_red"]))
    yield Row("  share of the core that all took", _values(figures, lambda of: of["cost"]["busy"]))
    for peer, must, goal in (("stock", 0.45, 0.30), ("fastrtc", 0.35, None), ("pipecat", 0.25, None)):
        if peer in cpu:
            ratios = {name: round(value / cpu[peer], 2) for name, value in cpu.items()}
            yield Row(f"  CPU over {peer}'s", ratios, must, goal)
    yield Row("threads per session", _values(figures, lambda of: of["cost"]["threads"]), 0.0, 0.0)
    yield Row("memory per session, MiB", _values(figures, lambda of: of["cost"]["memory"]), 0.5, 0.25)


def _latency(figures: Figures) -> Iterator[Row]:
    def told(scenario: str, figure: str) -> dict[str, float]:
        return _values(figures, lambda of: of["latency"][scenario][figure])

    yield Row("added latency, clean, p50, ms", told("clean", "p50"), 10.0, 2.0)
    yield Row("added latency, clean, p95, ms", told("clean", "p95"), 25.0, 5.0)
    yield Row("before one lost packet, p50, ms", told("one", "before"))
    yield Row("after one lost packet, p50, ms", told("one", "after"))
    yield Row("  over before", _values(figures, lambda of: ratio(of["latency"]["one"])), 1.1, 1.0)
    for percent in (5, 10):
        yield Row(f"{percent} % loss, RED sender, p95, ms", told(f"loss{percent}", "p95"), 60.0, 25.0)
    yield Row("20 % loss, RED sender, p95, ms", told("loss20", "p95"))
    yield Row("10 % loss, sender without RED, p95, ms", told("loss10_plain", "p95"))
    yield Row("30 ms jitter with reordering, p50, ms", told("jitter", "p50"))
    yield Row("30 ms jitter with reordering, p95, ms", told("jitter", "p95"), 60.0, 35.0)
    for scenario, name in (("clean", "no"), ("loss5", "5 %"), ("loss10", "10 %"), ("loss20", "20 %")):
        yield Row(f"audio missing at {name} loss, ms/s", told(scenario, "missing_ms_per_second"))
        yield Row("  in the worst call, ms", told(scenario, "missing_ms_worst_call"), PACKET, PACKET)


def _words(figures: Figures) -> Iterator[Row]:
    limits: dict[str, tuple[str, dict[int, tuple[float, float | None]]]] = {
        "red": ("RED sender", {5: (1.1, 1.0), 10: (1.15, 1.05), 20: (1.3, 1.15)}),
        "plain": ("sender without RED or FEC", {5: (1.3, None), 10: (1.5, None), 20: (2.0, None)}),
        "fec": ("sender with FEC", {5: (1.3, 1.1), 10: (1.5, 1.2), 20: (2.0, 1.4)}),
    }
    for sender, (name, bounds) in limits.items():
        rates = {loss: _word_errors(figures, sender, loss) for loss in (0, 5, 10, 20)}
        yield Row(f"WER clean, {name}", rates[0])
        for loss, (must, goal) in bounds.items():
            yield Row(f"WER at {loss} % loss, {name}", rates[loss], _above(rates[0], must), _above(rates[0], goal))


def _word_errors(figures: Figures, sender: str, loss: int) -> dict[str, float]:
    return _values(figures, lambda of: round(of["words"][sender][str(loss)], 3))


def _above(clean: dict[str, float], factor: float | None) -> float | None:
    """The factor over clean, or 0.02 more than clean, whichever allows more."""
    if factor is None or JUDGED not in clean:
        return None
    return round(max(clean[JUDGED] * factor, clean[JUDGED] + 0.02), 3)


def _setup(figures: Figures) -> Iterator[Row]:
    yield Row("offer to the first 80 ms, ms", _values(figures, lambda of: of["setup"]["p50"]), 150.0, 130.0)


def ratio(one: Mapping[str, float]) -> float:
    """After over before; 1 where they differ by less than can be told."""
    before, after = one["before"], one["after"]
    return 1.0 if abs(after - before) < RESOLUTION else round(after / before, 2)


def render(lines: list[Row], names: list[str]) -> str:
    """The table as text."""
    heads = [*names, "must", "goal", ""]
    width = max(len(line.label) for line in lines)
    text = [" " * width + "".join(f"{head:>{_width(head)}}" for head in heads)]
    for line in lines:
        numbers = [line.values.get(name) for name in names] + [line.must, line.goal]
        cells = [f"{_number(number):>{_width(head)}}" for head, number in zip(heads, numbers, strict=False)]
        text.append(f"{line.label:{width}}{''.join(cells)}  {line.verdict}".rstrip())
    return "\n".join(text)


def _width(head: str) -> int:
    return max(10, len(head) + 2)


def _number(number: float | None) -> str:
    return "" if number is None else f"{number:g}"
