"""Give everything that reads what a caller sends input bent by chance; report what was neither taken nor refused.

    python -m bench.fuzz [200000] [--only sctp --only stun] [--first-seed 0]

The inputs are shared out over the targets of `tests/attacks/fuzz.py`; the same seeds make the same inputs. One that
crashes its target stays in the corpus, where a test gives it to the target again from then on.
"""

import argparse
import asyncio
import hashlib
import logging
import random
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from tests.attacks.fuzz import CORPUS, TARGETS, Target

MOST_KEPT = 10  # crashes of a target: one fault is found again and again


@dataclass
class Report:
    """What one target did with its inputs."""

    name: str
    outcomes: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        times = sorted(self.times)
        taken, refused, crashed = (self.outcomes[outcome] for outcome in ("taken", "refused", "crashed"))
        middle, most = times[len(times) // 2] * 1e3, times[len(times) * 99 // 100] * 1e3
        return (
            f"{self.name:>16} {taken:>9} {refused:>9} {crashed:>9} {middle:>9.3f} {most:>9.3f} {times[-1] * 1e3:>9.1f}"
        )


def keep(name: str, data: bytes) -> None:
    """Put an input into the corpus."""
    path = CORPUS / name / hashlib.sha256(data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    print(f"crash of {name}: kept as {path.relative_to(CORPUS.parent.parent.parent)}", file=sys.stderr)


async def judge(target: Target, data: bytes, complaints: list[object]) -> str:
    """'taken', 'refused' or 'crashed', the last also when the event loop was told of an exception."""
    try:
        outcome: str = await target.judge(data)
    except Exception:  # whatever it is, it is what this command looks for
        traceback.print_exc()
        return "crashed"
    if complaints:
        print(complaints.pop(), file=sys.stderr)
        complaints.clear()
        return "crashed"
    return outcome


async def fuzz(name: str, count: int, first_seed: int, bar: "tqdm[Any]") -> Report:
    """Give a target so many inputs."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    report, target = Report(name), TARGETS[name]()
    for seed in range(first_seed, first_seed + count):
        data = target.make(random.Random(seed))
        began = time.perf_counter()
        outcome = await judge(target, data, complaints)
        report.times.append(time.perf_counter() - began)
        report.outcomes[outcome] += 1
        if outcome == "crashed" and report.outcomes["crashed"] <= MOST_KEPT:
            keep(name, data)
        bar.update()
    await target.close()
    return report


async def run(names: list[str], count: int, first_seed: int) -> int:
    """Print the table; the number of crashes."""
    shares = {name: TARGETS[name].share for name in names}
    counts = {name: max(1, round(count * share / sum(shares.values()))) for name, share in shares.items()}
    with tqdm(total=sum(counts.values()), unit="input", disable=not sys.stderr.isatty()) as bar:
        reports = []
        for name in names:
            bar.set_description(name)
            reports.append(await fuzz(name, counts[name], first_seed, bar))
    print(f"{'':>16} {'taken':>9} {'refused':>9} {'crashed':>9} {'p50 ms':>9} {'p99 ms':>9} {'worst ms':>9}")
    print(*reports, sep="\n")
    total = sum(counts.values())
    crashed = sum(report.outcomes["crashed"] for report in reports)
    print(f"{total} inputs, {crashed} crashes")
    return crashed


def main() -> int:
    """Fuzz, and fail when anything crashed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("count", type=int, nargs="?", default=200_000, help="inputs in all [default: 200000]")
    parser.add_argument("--only", action="append", choices=TARGETS, help="this target, and others named so")
    parser.add_argument("--first-seed", type=int, default=0, help="[default: 0]")
    options = parser.parse_args()
    logging.disable(logging.ERROR)  # refusals are counted, not told
    return int(asyncio.run(run(options.only or list(TARGETS), options.count, options.first_seed)) > 0)


if __name__ == "__main__":
    sys.exit(main())
