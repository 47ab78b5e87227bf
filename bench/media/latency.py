"""How long audio waits, and how much of it never comes out, on networks that are not all clean."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.media.generator import Script
from bench.media.network import PACKET, Journey, journeys, without
from bench.media.ruler import ruler
from bench.media.speech import encode
from bench.media.statistics import Point, added, missing, spread, step
from bench.media.trial import Heard, receiving
from media.impair import PRESETS

LOST = 250  # the one packet
AROUND = 100  # packets before and after it that the plot shows


@dataclass(frozen=True, slots=True)
class Scenario:
    """A network, and whether the sender offers to repeat each packet in the next one."""

    network: Callable[[int, int], list[Journey]]  # packets, seed -> what becomes of each
    redundant: bool = True


def _preset(name: str) -> Callable[[int, int], list[Journey]]:
    return lambda count, seed: journeys(count, PRESETS[name], seed)


SCENARIOS = {
    "clean": Scenario(_preset("clean")),
    "one": Scenario(lambda count, _: without(count, (LOST,)), redundant=False),
    "jitter": Scenario(_preset("jitter")),
    "loss5": Scenario(_preset("loss-5")),
    "loss10": Scenario(_preset("loss-10")),
    "loss20": Scenario(_preset("loss-20")),
    "loss10_plain": Scenario(_preset("loss-10"), redundant=False),
}


async def measure(name: str, sessions: int, seconds: float, seed: int) -> dict[str, Any]:
    """So many calls of every scenario, all of them at once."""
    payloads = list(encode(ruler(seconds), application="audio"))
    plan = [(kind, number) for number in range(sessions) for kind in SCENARIOS]
    networks = [SCENARIOS[kind].network(len(payloads), seed * 1_000 + number) for kind, number in plan]
    async with receiving(name) as receiver:
        await receiver.connect(len(plan), keep=True)
        await receiver.play(
            [
                Script(payloads, network, SCENARIOS[kind].redundant)
                for (kind, _), network in zip(plan, networks, strict=True)
            ]
        )
        outcome = await receiver.finish()
    calls: dict[str, list[tuple[Heard, list[Journey]]]] = {kind: [] for kind in SCENARIOS}
    for (kind, _), call, network in zip(plan, outcome.calls, networks, strict=True):
        calls[kind].append((call, network))
    figures: dict[str, Any] = {kind: _figures(some) for kind, some in calls.items()}
    figures["one"] |= _one_lost([added(call) for call, _ in calls["one"]])
    figures["callers_late_p95"] = spread(outcome.lateness).p95
    return figures


def _figures(calls: list[tuple[Heard, list[Journey]]]) -> dict[str, float]:
    latencies = spread(latency for call, _ in calls for _, latency in added(call))
    gone = [missing(call, network) for call, network in calls]
    said = sum(len(network) for _, network in calls) * PACKET
    return {
        "p50": latencies.p50,
        "p95": latencies.p95,
        "missing_ms_per_second": round(sum(gone) / said * 1e3, 1),
        "missing_ms_worst_call": round(max(gone) * 1e3, 1),
    }


def _one_lost(calls: list[list[Point]]) -> dict[str, Any]:
    before, after = np.median([step(points, LOST) for points in calls], axis=0).round(2).tolist()
    return {"before": before, "after": after, "curve": _curve(calls)}


def _curve(calls: list[list[Point]]) -> list[tuple[float, float]]:
    """Seconds since the loss, and the latency then, in milliseconds: what the plot shows of one call."""
    return [
        (round((packet - LOST) * PACKET, 3), round(latency * 1e3, 2))
        for packet, latency in calls[0]
        if abs(packet - LOST) <= AROUND
    ]
