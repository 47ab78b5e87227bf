"""Where the sealed suite runs and how large it is there.

On a GPU: 64 rows of the model that OFFHOOK_MODEL names, else of the 1B model if it is on this machine, else of random
weights of its size, which say nonsense at the true cost: then what is asked about words is asked of the tiny checkpoint
alone. OFFHOOK_GPU_STEPS shortens the hour. OFFHOOK_GPU_SUITE=cpu tries the suite out without a GPU, with four rows of
the tiny checkpoint unless OFFHOOK_MODEL says otherwise, and a short hour.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.base import FRAME_SAMPLES, PCM
from engine.batch import Mask

ON_CPU = os.environ.get("OFFHOOK_GPU_SUITE") == "cpu"
DEVICE = "cpu" if ON_CPU else "cuda"
SEALED = [
    pytest.mark.gpu,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not ON_CPU and not torch.cuda.is_available(), reason="there is no NVIDIA GPU here"),
    pytest.mark.filterwarnings("default"),  # what libraries warn of on somebody's GPU is no failure of ours
]
TINY = Path(__file__).parent.parent / "engine" / "tiny"
WANTED = os.environ.get("OFFHOOK_MODEL", str(TINY) if ON_CPU else "")
ROWS = 4 if ON_CPU else 64
STEPS = 20 if ON_CPU else 500
HOUR = int(os.environ.get("OFFHOOK_GPU_STEPS", "400" if ON_CPU else "45000"))  # steps


def noise(frames: int, seed: int = 0) -> PCM:
    """Frames (T, B, F) for every row."""
    return np.random.default_rng(seed).normal(0, 0.1, (frames, ROWS, FRAME_SAMPLES)).clip(-1, 1).astype(np.float32)


def mask(*rows: int) -> Mask:
    """These rows of all."""
    found = np.zeros(ROWS, dtype=np.bool_)
    found[list(rows)] = True
    return found


EVERYBODY, NOBODY = mask(*range(ROWS)), mask()
