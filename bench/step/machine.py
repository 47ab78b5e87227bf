"""What is measured on: the device, its versions, and what it attains where no data sheet is known.

    python -m bench.step.machine cuda

prints it as JSON. It is a process of its own, since whoever asks PyTorch about a GPU takes half a gigabyte of it.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import torch

from bench.step.roofline import SHEETS, Device
from engine.checkpoint import free_memory
from engine.errors import Unavailable
from engine.moshi import check_installed

COPIED = {"cuda": 2**30, "cpu": 2**27}  # bytes
SIDE = {"cuda": 8192, "cpu": 1024}  # of the matrices that are multiplied
TRIALS = 10


def described(kind: str) -> dict[str, Any]:
    """The device (as a Device), its number of cores or none, and the versions. Raises Unavailable."""
    check_installed()
    if kind == "cuda" and not torch.cuda.is_available():
        raise Unavailable(f"there is no NVIDIA GPU here that PyTorch {torch.__version__} can use: nothing is measured")
    name = torch.cuda.get_device_name() if kind == "cuda" else f"{platform.machine()}, {os.cpu_count()} cores"
    device = SHEETS.get(name) or attained(kind, name)
    versions = {"torch": torch.__version__, "moshi": version("moshi")}
    if kind == "cuda":
        versions |= {"cuda": str(torch.version.cuda), "driver": _driver()}
    return {"kind": kind, "attains": asdict(device), **versions}


def attained(kind: str, name: str) -> Device:
    """What the device attains in a copy and in products of matrices."""
    if kind == "cpu":
        torch.set_num_threads(1)  # as in the measurements
    whole = torch.empty(COPIED[kind] // 4, device=kind)
    copy = torch.empty_like(whole)
    bandwidth = 2 * COPIED[kind] / _fastest(lambda: copy.copy_(whole), kind)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")  # TF32, where there is such a thing
    single = _products(kind, torch.float32)
    torch.set_float32_matmul_precision(before)
    tensor = _products(kind, torch.bfloat16) if kind == "cuda" else single  # a processor computes in float32
    memory = torch.cuda.get_device_properties(0).total_memory if kind == "cuda" else free_memory()
    return Device(name, bandwidth, tensor, single, memory, "measured: a copy, and products of large matrices")


def _products(kind: str, dtype: torch.dtype) -> float:
    """Sums a second."""
    one = torch.randn(SIDE[kind], SIDE[kind], device=kind, dtype=dtype)
    other = torch.randn_like(one)
    return float(2 * SIDE[kind] ** 3 / _fastest(lambda: one @ other, kind))


def _fastest(work: Callable[[], object], kind: str) -> float:
    """Seconds."""
    times = []
    for _ in range(TRIALS):
        began = time.perf_counter()
        work()
        if kind == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times)


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0].strip()
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "not told: nvidia-smi does not answer"


if __name__ == "__main__":
    try:
        print(json.dumps(described(sys.argv[1])))
    except Unavailable as error:
        sys.exit(str(error))
