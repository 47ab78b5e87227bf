"""Draws the steps of bench.steps over the number of callers, in the environment of the other plot.

.venv-peers/plot/bin/python bench/steps_plot.py
"""

import json
from pathlib import Path

import matplotlib
from matplotlib import pyplot

RESULTS = Path(__file__).parent / "results"
SIZES = {"tiny": "the tiny checkpoint", "1b": "the true size of stt-1b-en_fr, random weights"}
NAMES = {"offhook": "Offhook", "moshi": "moshi's LMGen loop"}
FRAME = 80  # ms


def draw(figures: dict[str, list[dict[str, float]]], path: Path) -> None:
    """One picture a size, one line for each of the two."""
    matplotlib.rcParams["svg.hashsalt"] = "offhook"  # the same figures make the same file
    figure, pictures = pyplot.subplots(1, len(figures), figsize=(4.5 * len(figures), 3.6), squeeze=False)
    for axes, (size, rows) in zip(pictures[0], sorted(figures.items(), reverse=True), strict=True):
        for name, label in NAMES.items():
            axes.plot([row["rows"] for row in rows], [row[name] for row in rows], "o-", label=label, markersize=4)
        axes.axhline(FRAME, color="grey", linewidth=0.8)
        axes.annotate("real time", (1, FRAME * 1.05), color="grey", fontsize=9)
        axes.set(title=SIZES[size], xlabel="callers", ylabel="ms a step (CPU, one thread)", xscale="log", yscale="log")
        axes.set_xticks([row["rows"] for row in rows], [f"{row['rows']:.0f}" for row in rows])
        axes.spines[["top", "right"]].set_visible(False)
    pictures[0][0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    draw(json.loads((RESULTS / "steps.json").read_text())["step_ms"], RESULTS / "steps.svg")
