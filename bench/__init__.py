"""Measurements beside a peer or an earlier moment of the same run. Results go to bench/results as JSON."""

import json
import platform
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def save(name: str, figures: dict[str, Any]) -> Path:
    """Write one run's figures with what they were measured on; the file's path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    document = {"measured": time.strftime("%Y-%m-%d"), **machine, **figures}
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return path
