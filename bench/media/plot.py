"""Draws what one lost packet does to each receiver, from the figures of the last run, in the plot's own environment.

.venv-peers/plot/bin/python bench/media/plot.py
"""

import json
from pathlib import Path

import matplotlib
from matplotlib import pyplot

RESULTS = Path(__file__).parent.parent / "results"
NAMES = {"offhook": "Offhook", "stock": "stock aiortc", "fastrtc": "FastRTC 0.0.34", "pipecat": "Pipecat 1.14"}
STYLES = {"offhook": "-", "stock": "-", "fastrtc": "--", "pipecat": ":"}  # the peers lie on top of each other


def draw(figures: dict[str, dict[str, dict[str, dict[str, list[tuple[float, float]]]]]], path: Path) -> None:
    """One line a receiver: the added latency of each 80 ms frame of one call."""
    matplotlib.rcParams["svg.hashsalt"] = "offhook"  # the same figures make the same file
    figure, axes = pyplot.subplots(figsize=(8, 4))
    for name, label in NAMES.items():
        if "latency" in figures.get(name, {}):
            seconds, latencies = zip(*figures[name]["latency"]["one"]["curve"], strict=True)
            axes.plot(seconds, latencies, STYLES[name], label=label, linewidth=2)
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.annotate("one packet of 20 ms is lost", (0.04, 190), color="grey", fontsize=9)
    axes.set(xlabel="seconds since the loss", ylabel="added latency, ms", ylim=(0, None))
    axes.legend(loc="center left", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    draw(json.loads((RESULTS / "media.json").read_text())["figures"], RESULTS / "media.svg")
