"""What a running server holds and how late its event loop is, over time."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families

from bench.calls import footprint

EVERY = 5.0  # seconds between two samples
WARM = 0.25  # the part of a phase that is not in the slopes


def bucket(text: str, name: str) -> dict[float, float]:
    """A histogram's counts by upper bound, each with all below it."""
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {float(sample.labels["le"]): sample.value for sample in samples if sample.name == f"{name}_bucket"}


def gauge(text: str, name: str) -> float:
    """One figure without labels."""
    families = text_string_to_metric_families(text)
    return next(sample.value for family in families for sample in family.samples if sample.name == name)


def between(before: dict[float, float], after: dict[float, float]) -> dict[str, float]:
    """What came between two readings of a histogram: the bound that 99 of 100 keep, and the share above 50 ms."""
    counts = {bound: count - before[bound] for bound, count in after.items()}
    total = counts[max(counts)]
    p99 = next(bound for bound, count in sorted(counts.items()) if count >= 0.99 * total)
    return {"samples": total, "p99_at_most": p99, "above_50_ms": round(1 - counts[0.05] / total, 5)}


def slope(times: Sequence[float], figures: Sequence[float]) -> float:
    """Of the line of least squares, by the minute."""
    middle, mean = sum(times) / len(times), sum(figures) / len(figures)
    spread = sum((at - middle) ** 2 for at in times)
    together = sum((at - middle) * (figure - mean) for at, figure in zip(times, figures, strict=True))
    return 60 * together / spread


class Cores:
    """Who has used the processors since this object was made."""

    def __init__(self, server: psutil.Process) -> None:
        self._processes = {"server": [server], "engine": server.children(recursive=True), "callers": [psutil.Process()]}
        self._began = time.monotonic()
        self._before = self._used()

    def figures(self) -> dict[str, float]:
        """Cores in use on average, by whom."""
        passed = time.monotonic() - self._began
        used = {name: (now - self._before[name]) / passed for name, now in self._used().items()}
        used["others"] = max(0.0, used.pop("all") - sum(used.values()))
        return {name: round(cores, 3) for name, cores in used.items()}

    def _used(self) -> dict[str, float]:
        used = {
            name: sum(sum(process.cpu_times()[:2]) for process in processes)
            for name, processes in self._processes.items()
        }
        whole = psutil.cpu_times()
        return {**used, "all": sum(whole) - whole.idle - whole.iowait - whole.guest - whole.guest_nice}


@dataclass(slots=True)
class Watch:
    """Samples of a server; `run` takes them until it is cancelled."""

    http: aiohttp.ClientSession
    url: str
    server: psutil.Process
    rows: list[dict[str, Any]] = field(default_factory=list)

    async def run(self) -> None:
        """A sample every 5 s."""
        began = time.monotonic()
        while True:
            at = round(time.monotonic() - began, 1)
            tasks = gauge(await self.metrics(), "offhook_tasks")
            async with self.http.get(f"{self.url}/health") as response:
                health = await response.json()
            held = footprint(self.server)
            live = {"live": health["live"], "taken": health["capacity"] - health["free"]}
            self.rows.append({"at": at, **held, "tasks": tasks, **live})
            await asyncio.sleep(EVERY)

    async def metrics(self) -> str:
        """What Prometheus is told."""
        async with self.http.get(f"{self.url}/metrics") as response:
            return await response.text()

    def slopes(self) -> dict[str, float]:
        """By the minute, after the warm-up. Memory in MiB."""
        rows = [row for row in self.rows if row["at"] >= WARM * self.rows[-1]["at"]]
        times = [row["at"] for row in rows]
        names = ("server_mib", "engine_mib", "threads", "descriptors", "tasks")
        return {name: round(slope(times, [row[name] for row in rows]), 3) for name in names}
