"""How many callers a model can serve on this machine: measured before the first of them comes."""

import logging
from collections.abc import Callable

import numpy as np

from engine.base import PCM
from engine.batch import Model
from engine.pace import FRAME_SECONDS

SHARE = 0.7  # of a frame's time that the slowest steps may take
LIMIT = SHARE * FRAME_SECONDS
WARM_UP = 3  # steps that are not measured: the first ones allocate
STEPS = 40  # steps measured at each size
HALVINGS = 3  # between the largest size that is fast enough and the smallest that is not
LEVEL = 0.1  # of the noise that the rows hear: silence may cost less

logger = logging.getLogger(__name__)


def calibrate(model: Model, clock: Callable[[], float]) -> int:
    """Resize the model to the most rows of which 99 in 100 steps take at most LIMIT seconds; the number of rows.

    At least one, even where that is too slow: the log says so. `clock`: seconds.
    """
    most = model.batch_size
    good, bad = 0, most + 1
    while good < most and bad == most + 1:
        size = min(most, max(1, 2 * good))
        good, bad = (size, bad) if _keeps_up(model, size, clock) else (good, size)
    for _ in range(HALVINGS):
        size = (good + bad) // 2
        if size in (good, bad):
            break
        good, bad = (size, bad) if _keeps_up(model, size, clock) else (good, size)
    if not good:
        logger.warning("this machine is too slow for the model: a single caller will be behind real time")
    rows = max(1, good)
    model.resize(rows)
    logger.info("measured: %d callers at once", rows)
    return rows


def _keeps_up(model: Model, rows: int, clock: Callable[[], float]) -> bool:
    model.resize(rows)
    slowest = _slowest(model, rows, clock)
    logger.info("measuring: a step of %d callers takes at most %.1f ms of %.0f", rows, 1e3 * slowest, 1e3 * LIMIT)
    return slowest <= LIMIT


def _slowest(model: Model, rows: int, clock: Callable[[], float]) -> float:
    """Seconds that 99 in 100 steps take at most; fewer steps are measured where already the median is too much."""
    noise = np.random.default_rng(0).normal(0.0, LEVEL, (rows, model.frame_size)).clip(-1.0, 1.0)
    pcm: PCM = noise.astype(np.float32)
    active = np.ones(rows, dtype=np.bool_)
    reset = np.ones(rows, dtype=np.bool_)
    times: list[float] = []
    for step in range(WARM_UP + STEPS):
        began = clock()
        model.step(pcm, active, reset)
        reset[:] = False
        if step >= WARM_UP:
            times.append(clock() - began)
        if len(times) == STEPS // 4 and np.median(times) > LIMIT:
            break
    return float(np.quantile(times, 0.99))
