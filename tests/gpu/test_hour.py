"""An hour of steps, as fast as they go: callers come and go, flush, and fill their contexts. Nothing may grow."""

import sys
import time

import numpy as np
import psutil
import pytest
import torch
from tqdm import tqdm

from engine.moshi import MoshiModel
from tests.gpu.place import EVERYBODY, HOUR, ON_CPU, ROWS, SEALED, noise

pytestmark = [*SEALED, pytest.mark.timeout(7200)]

PARTS = 10  # of the hour, of which the first is what the last is held to
STAY = 1_000  # steps that a caller stays: long enough for its context to be renewed
FLUSH_EVERY, FLUSHED = 50, 4  # steps between two flushes, and steps of one
GROWTH = 64e6  # bytes
SLOWER = 3.0 if ON_CPU else 1.1  # of the median step; a processor is shared with others


class Callers:
    """All the callers: noise in every row, of which some begin, and some are flushed, now and then."""

    def __init__(self, model: MoshiModel) -> None:
        self._model = model
        self._pcm = noise(10)
        self._joins = np.arange(ROWS) * STAY // ROWS  # the step of STAY in which a row is another's
        self._flushing = np.zeros(ROWS, dtype=np.bool_)

    def step(self, index: int) -> float:
        """Seconds of one step, with the flush that begins or ends before it."""
        began = time.perf_counter()
        joining = EVERYBODY if index == 0 else self._joins == index % STAY
        self._flushing = self._flushing & ~joining
        if index % FLUSH_EVERY == FLUSHED and self._flushing.any():
            self._model.restore(self._flushing)
        elif index % FLUSH_EVERY == 0:
            self._flushing = np.arange(ROWS) % 8 == index // FLUSH_EVERY % 8
            self._flushing &= ~joining
            self._model.save(self._flushing)
        self._model.step(self._pcm[index % 10], EVERYBODY, joining)
        if not ON_CPU:
            torch.cuda.synchronize()
        return time.perf_counter() - began


def held() -> int:
    """Bytes: what PyTorch has given out on the GPU, or what this process has of the machine."""
    return psutil.Process().memory_info().rss if ON_CPU else torch.cuda.memory_allocated()


def test_an_hour_leaves_memory_and_steps_as_they_were(model: MoshiModel) -> None:
    callers, before, parts = Callers(model), model.upkeep, list[tuple[float, int]]()
    steps = iter(tqdm(range(HOUR), desc="an hour of steps", file=sys.stderr))
    for _ in range(PARTS):
        times = [callers.step(next(steps)) for _ in range(HOUR // PARTS)]
        parts.append((float(np.median(times)), held()))
    first, last = parts[0], parts[-1]
    for number, (median, memory) in enumerate(parts):
        print(f"part {number}: step p50 {1e3 * median:.1f} ms, {memory / 1e9:.3f} GB")  # noqa: T201  # wanted
    assert last[1] <= first[1] + GROWTH
    assert last[0] <= first[0] * SLOWER
    assert model.upkeep.losses == before.losses
    if model._net.context < min(HOUR, STAY):
        assert model.upkeep.refreshes > before.refreshes
