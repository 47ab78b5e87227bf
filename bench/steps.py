"""A step of Kyutai's networks over the number of callers, beside moshi's own loop in the same run.

    python -m bench.steps
    python -m bench.steps --only tiny --rows 1 16 --steps 30     a part, which is printed and not kept

Ours is `MoshiModel.step`: Mimi, the language model, the pause heads, and the words made of what they say. moshi's is
the loop that its own programs run: `mimi.encode`, then `LMGen.step_with_extra_heads`, with masks for rows that come and
go, and one read of the tokens and of each head; no words. Both run without torch.compile, on one thread, and with the
same weights: the tiny checkpoint of the tests, and random ones of the true size of stt-1b-en_fr (float32, as the engine
has them without a GPU: bfloat16 is ten times slower there; 4 GB, and 0.2 GB a caller).

Every row is active. The rings are always read whole, so a step costs the same at the start of a call as later. The two
take turns, twice at each number of callers, and the fastest step counts: what else the machine does is in neither.
Figures go to results/steps.json; `make bench-engine` draws them.
"""

import argparse
import copy
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from moshi.models import loaders
from moshi.models.lm import LMGen
from moshi.utils.compile import no_compile
from tqdm import tqdm

from bench import save
from engine.base import FRAME_SAMPLES
from engine.checkpoint import find
from engine.moshi import MoshiModel, load_networks
from engine.net import Net
from tests.gpu.full_size import lm_config

TINY = Path(__file__).parent.parent / "tests" / "engine" / "tiny"
ROWS = {"tiny": (1, 2, 4, 8, 16, 32, 64), "1b": (1, 2, 4, 8)}
STEPS = {"tiny": 60, "1b": 3}
ROUNDS = 2
WARM_UP = 2  # steps
DELAY = 0.5  # seconds

Step = Callable[[], None]


def networks(size: str) -> tuple[Any, Any]:
    """Mimi and the language model."""
    if size == "tiny":
        mimi, lm, _ = load_networks(find(str(TINY)), "cpu", torch.float32)
        return mimi, lm
    torch.manual_seed(0)
    mimi = loaders.get_mimi(None, device="cpu", num_codebooks=32)
    return mimi, loaders.get_moshi_lm(None, lm_config("stt-1b"), device="cpu", dtype=torch.float32).eval()


class Theirs:
    """moshi's own loop, as its server for many callers runs it."""

    def __init__(self, mimi: Any, lm: Any, rows: int) -> None:
        self._mimi = mimi
        self._generator = LMGen(lm, use_sampling=False, temp=0.0, temp_text=0.0, support_out_of_sync=True)
        self._streaming = ExitStack()
        self._streaming.enter_context(mimi.streaming(rows))
        self._streaming.enter_context(self._generator.streaming(rows))
        self._active = torch.ones(rows, dtype=torch.bool)
        self._pcm = torch.from_numpy(noise(rows))[:, None]

    @torch.no_grad()
    def step(self) -> None:
        """One frame of every row."""
        with no_compile():
            self._mimi.set_exec_mask(self._active)
            codes = self._mimi.encode(self._pcm)
            self._generator.set_exec_mask(self._active)
            told = self._generator.step_with_extra_heads(codes)
            assert told is not None
            told[0].cpu()
            for head in told[1]:
                head.cpu()

    def close(self) -> None:
        """Give the networks back."""
        self._streaming.close()


class Ours:
    """The engine's model."""

    def __init__(self, net: Net, rows: int) -> None:
        net.resize(rows)
        self._net = net
        self._model = MoshiModel(net, lambda tokens: "word", DELAY)
        self._pcm = noise(rows)
        self._active, self._reset = np.ones(rows, dtype=np.bool_), np.zeros(rows, dtype=np.bool_)

    def step(self) -> None:
        """One frame of every row."""
        self._model.step(self._pcm, self._active, self._reset)

    def close(self) -> None:
        """Give the networks back."""
        self._net.close()


def noise(rows: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Something to hear."""
    return np.random.default_rng(0).normal(0.0, 0.05, (rows, FRAME_SAMPLES)).astype(np.float32)


def timed(step: Step, steps: int) -> float:
    """The fastest step in milliseconds."""
    for _ in range(WARM_UP):
        step()
    times = []
    for _ in range(steps):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return round(min(times) * 1e3, 2)


def measure(size: str, rows: Sequence[int], steps: int) -> list[dict[str, float]]:
    """Both at each number of rows."""
    torch.set_num_threads(1)
    mimi, lm = networks(size)
    stock = copy.deepcopy(mimi)  # ours has no decoder
    net = Net(mimi, lm, 1)
    net.close()
    turns: dict[str, Callable[[int], Theirs | Ours]] = {
        "moshi": lambda count: Theirs(stock, lm, count),
        "offhook": lambda count: Ours(net, count),
    }
    figures = []
    for count in tqdm(rows, desc=f"{size}, callers", file=sys.stderr):
        times: dict[str, list[float]] = {name: [] for name in turns}
        for name in [*turns] * ROUNDS:
            model = turns[name](count)
            times[name].append(timed(model.step, steps))
            model.close()
        figures.append({"rows": count, **{name: min(rounds) for name, rounds in times.items()}})
    return figures


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=ROWS, help="one size of the networks")
    parser.add_argument("--rows", type=int, nargs="+", help="numbers of callers")
    parser.add_argument("--steps", type=int, help="steps measured at each")
    options = parser.parse_args()
    results = {}
    for size in [options.only] if options.only else reversed(ROWS):
        results[size] = measure(size, options.rows or ROWS[size], options.steps or STEPS[size])
        print(f"\n{size}: milliseconds a step\n  callers   Offhook     LMGen")
        for row in results[size]:
            print(f"  {row['rows']:7}  {row['offhook']:8.1f}  {row['moshi']:8.1f}")
    if not (options.only or options.rows or options.steps):
        print(f"\n{save('steps', {'device': 'cpu', 'step_ms': results})}")


if __name__ == "__main__":
    main()
