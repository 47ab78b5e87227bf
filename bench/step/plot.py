"""Draws the steps of bench.engine over the number of callers, with the roofline, in the environment of the other plot.

.venv-peers/plot/bin/python bench/step/plot.py [results/engine-cpu.json]      without a file: all that there are
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot

RESULTS = Path(__file__).parent.parent / "results"
SIZES = {"tiny": "the tiny checkpoint", "stt-1b": "stt-1b-en_fr's true size", "stt-2.6b": "stt-2.6b-en's true size"}
NAMES = {"offhook": ("Offhook", "C0"), "moshi": ("moshi's LMGen loop", "C1")}
FRAME = 80  # ms


def draw(figures: dict[str, Any], path: Path) -> None:
    """One picture a model: medians, the p99 dashed above them, the roofline dotted, real time in grey.

    Of a processor the fastest steps are drawn, and no p99: it has other things to do, which are in all the others.
    """
    matplotlib.rcParams["svg.hashsalt"] = "offhook"  # the same figures make the same file
    models = figures["models"]
    canvas, pictures = pyplot.subplots(
        1, len(models), figsize=(6 * len(models), 4.4), squeeze=False, layout="constrained"
    )
    for axes, (model, found) in zip(pictures[0], models.items(), strict=True):
        _draw_one(axes, found["points"], "p50" if figures["kind"] == "cuda" else "fastest")
        axes.set(title=SIZES[model], xlabel="callers", ylabel="ms a step")
    labels = pictures[0][0].get_legend_handles_labels()
    canvas.legend(*labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    canvas.suptitle(figures["attains"]["name"], fontsize=9)
    canvas.savefig(path, metadata={"Date": None})
    pyplot.close(canvas)


def _draw_one(axes: Any, points: list[dict[str, Any]], quantile: str) -> None:
    axes.set(xscale="log", yscale="log")
    for who, (label, colour) in NAMES.items():
        told = [point for point in points if "p50" in point.get(who, {})]
        rows = [point["rows"] for point in told]
        times = [point[who][quantile] for point in told]
        axes.plot(rows, times, "o-", color=colour, label=f"{label}, {quantile}", markersize=4)
        if quantile == "p50":
            slowest = [point[who]["p99"] for point in told]
            axes.plot(rows, slowest, "--", color=colour, label=f"{label}, p99", linewidth=0.8)
    rows = [point["rows"] for point in points]
    axes.plot(rows, [point["roofline_ms"] for point in points], ":", color="black", label="roofline")
    axes.set_ylim(top=max(axes.get_ylim()[1], 1.5 * FRAME))
    axes.axhline(FRAME, color="grey", linewidth=0.8)
    axes.annotate("real time", (rows[0], FRAME * 1.05), color="grey", fontsize=9)
    axes.set_xticks(rows, [str(count) for count in rows], rotation=45, fontsize=8)
    axes.set_xticks([], minor=True)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    for file in [Path(name) for name in sys.argv[1:]] or sorted(RESULTS.glob("engine-*.json")):
        draw(json.loads(file.read_text()), file.with_suffix(".svg"))
