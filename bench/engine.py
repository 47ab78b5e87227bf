"""A step of Kyutai's networks over the number of callers, beside moshi's own loop in the same run, and the roofline.

    python -m bench.engine --device cuda
    python -m bench.engine --device cpu
    python -m bench.engine --device cuda --rows 64 256 --steps 200     a part, which is printed and not kept

Ours is the engine's model as it is served: Mimi, the language model, the pause heads, the words made of what they say,
and the room it makes in its contexts. moshi's is the loop that its own programs run (`step/trial.py`). `tiny` is the
checkpoint of the tests; `stt-1b` and `stt-2.6b` are random weights of the true size, written once to `.cache/` (2.4 and
5.6 GB): they say nonsense, a word in every frame, at the true cost. On a GPU the language model is in bfloat16, as the
engine has it there; on a processor everything is in float32, and the figures are of a processor.

Every row is active in every step. Each measurement is a process of its own, and a larger one is not tried where one ran
out of memory or broke off; after the table a few more numbers of callers are tried, for the largest in real time. The
figures go to results/engine-DEVICE.json; `make bench-engine` and `make gpu` draw them.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bench import save
from bench.step import table
from bench.step.roofline import L40S, Costs, Device
from bench.step.table import Curve, Point
from bench.step.trial import Figures, Measure, Request, apart
from engine.checkpoint import Files, find, row_bytes
from engine.errors import Unavailable
from engine.moshi import CROWDED

TINY = Path(__file__).parent.parent / "tests" / "engine" / "tiny"
WEIGHED = ("stt-1b", "stt-2.6b")  # made at random
JUDGED = ("cuda", "stt-1b")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured of one model on one device."""

    rows: tuple[int, ...]
    steps: int
    least: int  # steps that a p99 is told of, however long they take
    seconds: float
    searches: int = 0
    settle: int | None = None  # None: as long as a context takes to be crowded, so that refreshes are in the figures


CUDA = Plan((1, 8, 64, 128, 256, 512, 1024), 400, 200, 8.0, searches=3)
PLANS = {
    "cuda": {"stt-1b": CUDA, "stt-2.6b": CUDA, "tiny": CUDA},
    "cpu": {
        "tiny": Plan((1, 2, 4, 8, 16, 32, 64), 200, 100, 5.0, settle=50),
        "stt-1b": Plan((1, 2, 4, 8), 20, 10, 10.0, settle=2),
        "stt-2.6b": Plan((1,), 20, 10, 10.0, settle=2),
    },
}
USUAL = {"cuda": ("stt-1b",), "cpu": ("tiny", "stt-1b")}


def main(arguments: Sequence[str] | None = None, measure: Measure = apart) -> int:
    """Measure, print, save; how many bounds were missed and measurements broke off, or 1 where there is no device."""
    options = _options(arguments)
    try:
        machine = ask(options.device)
    except Unavailable as error:
        print(error, file=sys.stderr)
        return 1
    device = Device(**machine["attains"])
    print(f"{device.name}: {device.bandwidth / 1e9:.0f} GB/s, {device.tensor / 1e12:.1f} TFLOP/s ({device.source})")
    kept = options.keep or not (options.models or options.rows or options.steps or options.settle is not None)
    document: Figures = {**machine, "models": {}}
    missed = 0
    for name in options.models or USUAL[options.device]:
        files = checkpoint(name)
        curve = Curve(costs(files, options.device), device)
        for _ in Trials(files, options.device, _plan(options, name), measure).fill(curve):
            document["models"][name] = findings(curve, files, judged=(options.device, name) == JUDGED)
            if kept:  # also of a run that is broken off
                save(f"engine-{_slug(options.device, device)}", document)
        missed += _report(name, curve, document["models"][name])
    print(f"\nresults/engine-{_slug(options.device, device)}.json" if kept else "\na part: not kept")
    return missed


def ask(kind: str) -> Figures:
    """What is measured on. Raises Unavailable with a sentence."""
    command = [sys.executable, "-m", "bench.step.machine", kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(done.stderr.strip().splitlines()[-1])
    machine: Figures = json.loads(done.stdout.splitlines()[-1])
    return machine


def checkpoint(name: str) -> Files:
    """The files of the model."""
    if name in WEIGHED:
        from tests.gpu.full_size import kept

        return find(str(kept(name)))
    return find(str(TINY))


class Trials:
    """The measurements of one model on one device."""

    def __init__(self, files: Files, device: str, plan: Plan, measure: Measure) -> None:
        self._files = files
        self._device = device
        self._plan = plan
        self._measure = measure
        self._spent: dict[str, str] = {}  # those who ran out of memory or broke off, and where

    def fill(self, curve: Curve) -> Iterator[Point]:
        """All of them, from few callers to many: each is in the curve when it is yielded."""
        for rows in tqdm(sorted(self._plan.rows), desc=Path(self._files.name).name, file=sys.stderr):
            curve.points.append(Point(rows, self._try("offhook", rows), self._try("moshi", rows)))
            yield curve.points[-1]
        for _ in tqdm(range(self._plan.searches), desc="the largest in real time", file=sys.stderr):
            more = table.next_to_try(curve.points)
            if more is None:
                break
            self._spent.clear()
            point = Point(more, self._try("offhook", more))
            curve.points.append(point)
            curve.points.sort(key=lambda point: point.rows)
            yield point

    def _try(self, who: str, rows: int) -> Figures:
        if who in self._spent:
            return {"not_tried": self._spent[who]}
        settle = self._plan.settle
        if settle is None:
            settle = round(CROWDED * self._files.settings()["context"])
        limits = (self._plan.steps, self._plan.least, self._plan.seconds, settle)
        figures = self._measure(Request(who, self._files.name, self._device, rows, *limits))
        if why := figures.get("no_memory") or figures.get("broken"):
            self._spent[who] = f"since {rows} callers were too many, or broke off"
            tqdm.write(f"{who} at {rows} callers: {why}", file=sys.stderr)
        return figures


def costs(files: Files, device: str) -> Costs:
    """What a step of this model reads and does there."""
    return Costs.of(files.settings(), files.codec(), 2 if device == "cuda" else 4)


def findings(curve: Curve, files: Files, *, judged: bool) -> Figures:
    """The points and what follows from them, as they are kept."""
    found: Figures = {"points": curve.document(), "largest_in_real_time": curve.largest}
    if not judged:
        return found
    found["verdicts"] = [
        {"what": one.what, one.kind: round(one.bound, 2), "measured": one.measured, "kept": one.kept}
        for one in table.verdicts(curve)
    ]
    if curve.device.name != L40S.name:
        found["l40s_estimate"] = _estimates(curve, files)
    return found


def _estimates(curve: Curve, files: Files) -> Figures:
    guesses = [table.estimate(curve, rows) for rows in (table.KYUTAI, table.HOPED)]
    size = row_bytes(files.settings(), files.codec(), 2)
    return {
        "is": "an estimate by the two rooflines: no L40S was measured; from the best guess to the worst",
        "ms": {guess.rows: {"p50": guess.p50, "p99": guess.p99} for guess in guesses if guess is not None},
        "callers_at_60_ms_p99": table.largest_estimate(curve, size, files.weights),
    }


def _report(name: str, curve: Curve, found: Figures) -> int:
    print(f"\n{name}{table.render(curve)}")
    largest = found["largest_in_real_time"]
    print(f"\nthe largest number in real time (p99 below {table.FRAME:.0f} ms): {largest or 'none that was measured'}")
    missed = sum("broken" in (figures or {}) for point in curve.points for figures in (point.offhook, point.moshi))
    for one in table.verdicts(curve) if "verdicts" in found else ():
        told = "in vain" if one.measured is None else f"{one.measured:.1f} ms"
        word = one.kind if one.kept else "MISSED" if one.kind == "must" else "goal missed"
        print(f"  {one.what:48} {told:>13}   {one.kind}: {one.bound:6.1f}   {word}")
        missed += one.kind == "must" and not one.kept
    if "l40s_estimate" in found:
        print(f"an L40S, {json.dumps(found['l40s_estimate'])}")
    return missed


def _plan(options: argparse.Namespace, name: str) -> Plan:
    usual = PLANS[options.device][name]
    rows = tuple(options.rows or usual.rows)
    steps = options.steps or usual.steps
    settle = usual.settle if options.settle is None else options.settle
    return Plan(rows, steps, min(usual.least, steps), usual.seconds, 0 if options.rows else usual.searches, settle)


def _slug(kind: str, device: Device) -> str:
    return kind if kind == "cpu" else device.name.lower().replace(" ", "-")


def _options(arguments: Sequence[str] | None) -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=PLANS, default="cpu")
    parser.add_argument("--models", choices=PLANS["cuda"], nargs="+", help="instead of the usual ones")
    parser.add_argument("--rows", type=int, nargs="+", help="numbers of callers")
    parser.add_argument("--steps", type=int, help="steps measured at each, at most")
    parser.add_argument("--settle", type=int, help="steps over which the rows begin before any is measured")
    parser.add_argument("--keep", action="store_true", help="keep the figures of a part as well")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
