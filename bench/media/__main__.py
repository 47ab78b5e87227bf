"""Offhook's receive path beside stock aiortc, FastRTC and Pipecat, in one run on this machine.

    python -m bench.media                                   everything, into bench/results/media.json
    python -m bench.media --only latency setup --receivers offhook stock
                                                            a part; the other figures in the file stay

Sections: cost (processor time, memory, threads), latency (and missing audio), words (word error rates), setup.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tqdm import tqdm

from bench import RESULTS, save
from bench.media import cost, latency, setup, words
from bench.media.speech import Sender
from bench.media.table import render, rows
from bench.media.trial import RECEIVERS, cores

SECTIONS = ("cost", "latency", "words", "setup")
OURS = "offhook"  # with more words than the peers, since each peer's sender is the same with and without RED
LATENCY_SECONDS = 16.0
BUSY = 0.7  # the load before the run from which on its figures say little
SETUP_CALLS = 10


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement of one receiver; its figures go to `place`."""

    name: str
    place: tuple[str, ...]
    measure: Callable[[], Awaitable[dict[str, Any]]]


def jobs(options: argparse.Namespace) -> Iterator[Job]:
    """All that was asked for; the receivers take turns, so that a slow minute of the machine meets each of them."""
    for section in options.only:
        for name in options.receivers:
            yield from _jobs(section, name, options)


def _jobs(section: str, name: str, options: argparse.Namespace) -> Iterator[Job]:
    match section:
        case "cost":
            yield Job(name, ("cost",), lambda: cost.measure(name, options.sessions, options.seconds))
        case "latency":
            yield Job(name, ("latency",), lambda: latency.measure(name, options.calls, LATENCY_SECONDS, options.seed))
        case "setup":
            yield Job(name, ("setup",), lambda: setup.measure(name, SETUP_CALLS))
        case _:
            yield from _word_jobs(name, options)


def _word_jobs(name: str, options: argparse.Namespace) -> Iterator[Job]:
    def job(place: str, sender: Sender, count: int, *, redundant: bool) -> Job:
        seeds = range(options.seed, options.seed + count)
        return Job(name, ("words", place), lambda: words.measure(name, sender, seeds, redundant=redundant))

    if name.startswith(OURS):
        yield job("red", "plain", options.seeds, redundant=True)
        yield job("plain", "plain", options.seeds, redundant=False)
        yield job("fec", "fec", options.seeds, redundant=False)
    else:
        yield job("plain", "plain", 1, redundant=False)


async def run(options: argparse.Namespace, figures: dict[str, Any]) -> None:
    """Measure, and keep each figure as soon as it is there."""
    todo = list(jobs(options))
    bar = tqdm(todo, unit="run", disable=not sys.stderr.isatty())
    for job in bar:
        bar.set_description(f"{job.name} {' '.join(job.place)}")
        target = figures.setdefault(job.name, {})
        for part in job.place[:-1]:
            target = target.setdefault(part, {})
        target[job.place[-1]] = await job.measure()
        keep(options, figures)


def keep(options: argparse.Namespace, figures: dict[str, Any]) -> None:
    """Write what there is so far."""
    callers, receiver = cores()
    save(
        "media",
        {
            "cores": {"callers": callers, "receiver": receiver},
            "load_before": options.load,
            "rows": [asdict(row) | {"verdict": row.verdict} for row in rows(figures)],
            "figures": figures,
        },
    )


def earlier(options: argparse.Namespace) -> dict[str, Any]:
    """The figures in the file that a partial run leaves alone; a whole run begins anew."""
    path = RESULTS / "media.json"
    whole = set(options.only) == set(SECTIONS) and set(options.receivers) == set(RECEIVERS)
    figures: dict[str, Any] = {} if whole or not path.exists() else json.loads(path.read_text())["figures"]
    return figures


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="sections [default: all]")
    parser.add_argument("--receivers", nargs="+", choices=RECEIVERS, default=list(RECEIVERS), help="[default: all]")
    parser.add_argument("--sessions", type=int, default=64, help="calls at once in `cost` [default: 64]")
    parser.add_argument("--seconds", type=float, default=10.0, help="that they speak [default: 10]")
    parser.add_argument("--calls", type=int, default=4, help="calls of each scenario in `latency` [default: 4]")
    parser.add_argument("--seeds", type=int, default=3, help="networks for each clip in `words` [default: 3]")
    parser.add_argument("--seed", type=int, default=1, help="the first of them [default: 1]")
    options = parser.parse_args(arguments)
    if options.sessions < 2:
        parser.error("--sessions: at least 2, since memory is told by the difference")
    return options


def main() -> int:
    """The number of bounds that were missed, at most 1."""
    options = parse()
    missing = [name for name in options.receivers if not RECEIVERS[name][1].exists()]
    if missing:
        raise SystemExit(f"{', '.join(missing)}: not installed; `make bench-media` does it")
    figures = earlier(options)
    options.load = round(os.getloadavg()[0], 2)
    if options.load > BUSY:
        print(f"The load is {options.load:g} already: whatever else runs here will be seen in the figures.")
    asyncio.run(run(options, figures))
    lines = rows(figures)
    print(render(lines, [name for name in RECEIVERS if name in figures]))
    return int(any(line.verdict == "MISSED" for line in lines))


if __name__ == "__main__":
    sys.exit(main())
