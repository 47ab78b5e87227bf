"""One measurement: the steps of one of the two, at one number of callers.

    python -m bench.step.trial '{"who": "offhook", ...}'

Each is a process of its own: nothing that another left on the device is in its memory, and running out of memory ends
it alone. `offhook` is the model as the engine loads it. `moshi` is the loop that moshi's own programs run:
`mimi.encode`, then `LMGen.step_with_extra_heads`, with masks for rows that come and go, and one read of the tokens and
of each head; no words. On a GPU it has its CUDA graphs and, where there is a C compiler, its compiled pieces, as it
comes; on a processor both have one thread and compile nothing.
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from engine.base import FRAME_SAMPLES, EngineConfig
from engine.checkpoint import find
from engine.errors import Unavailable
from engine.moshi import load_model, load_networks

WARM_UP = 20  # steps of moshi's loop at most
RECORDED = 3  # ... and at least: in the first it compiles, in the second it records its graphs
LEVEL = 0.05  # of the noise that the rows hear
NO_MEMORY = ("out of memory", "ALLOC_FAILED", "can't allocate memory")  # what PyTorch and CUDA's libraries say

Step = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Request:
    """What to measure: at most `steps` steps, fewer (but `least`) when they take longer than `seconds` in all.

    `model`: a directory; `settle`: steps over which the rows begin, one after another, before any is measured.
    """

    who: str
    model: str
    device: str
    rows: int
    steps: int
    least: int
    seconds: float
    settle: int


Figures = dict[str, Any]
Measure = Callable[[Request], Figures]


def apart(request: Request) -> Figures:
    """`measured`, in a process of its own. A processor is measured with the GPU out of sight.

    Beside what `measured` tells: `broken`, when the process ended otherwise; the reason is on standard error.
    """
    command = [sys.executable, "-m", "bench.step.trial", json.dumps(asdict(request))]
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if request.device == "cpu" else {}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **hidden}, check=False)
    if done.returncode == -signal.SIGKILL:
        return {"no_memory": "killed by the system, which is what it does when memory runs out"}
    if done.returncode:
        return {"broken": f"the measurement ended with {done.returncode}"}
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def measured(request: Request) -> Figures:
    """Milliseconds of a step (p50, p99, worst, fastest), how many, gigabytes, pieces compiled; or `no_memory`."""
    import torch

    if request.device == "cpu":
        torch.set_num_threads(1)
    try:
        with {"offhook": ours, "moshi": theirs}[request.who](request) as step, torch.no_grad():
            times = timed(step, request)
            figures = {
                "steps": len(times),
                "p50": round(float(np.median(times)) * 1e3, 3),
                "p99": round(float(np.quantile(times, 0.99)) * 1e3, 3),
                "worst": round(max(times) * 1e3, 3),
                "fastest": round(min(times) * 1e3, 3),
                "memory_gb": round(memory(request.device) / 1e9, 2),
                "compiled": torch._dynamo.utils.counters["frames"]["ok"],
            }
    except (Unavailable, MemoryError) as error:
        return {"no_memory": str(error) or "out of memory"}
    except RuntimeError as error:
        if not any(words in str(error) for words in NO_MEMORY):
            raise
        return {"no_memory": "out of memory"}
    return figures


@contextmanager
def ours(request: Request) -> Iterator[Step]:
    """The engine's model. Its rows have begun one after another, as callers do, and are refreshed as in real life."""
    model = load_model(EngineConfig("moshi", capacity=request.rows, model=request.model))
    assert model._net.device.type == request.device, "the engine takes the GPU wherever there is one"
    pcm, everybody, nobody = noise(request.rows), np.ones(request.rows, np.bool_), np.zeros(request.rows, np.bool_)
    turns = np.arange(request.rows) * request.settle // request.rows
    for turn in range(request.settle):
        model.step(pcm, everybody, turns == turn)
    yield lambda: model.step(pcm, everybody, nobody)
    model._net.close()


@contextmanager
def theirs(request: Request) -> Iterator[Step]:
    """moshi's own loop, as its programs for many callers run it."""
    import torch
    from moshi.models.lm import LMGen
    from moshi.utils.compile import no_compile

    torch._dynamo.config.suppress_errors = True
    dtype = torch.bfloat16 if request.device == "cuda" else torch.float32
    mimi, lm, _ = load_networks(find(request.model), request.device, dtype)
    generator = LMGen(lm, use_sampling=False, temp=0.0, temp_text=0.0, support_out_of_sync=True)
    active = torch.ones(request.rows, dtype=torch.bool, device=request.device)
    pcm = torch.from_numpy(noise(request.rows))[:, None]

    def step() -> None:
        mimi.set_exec_mask(active)
        codes = mimi.encode(pcm.to(request.device))
        generator.set_exec_mask(active)
        told = generator.step_with_extra_heads(codes)
        assert told is not None
        for out in (told[0], *told[1]):
            out.cpu()

    with ExitStack() as streaming, torch.no_grad(), nullcontext() if compiles(request.device) else no_compile():
        streaming.enter_context(mimi.streaming(request.rows))
        streaming.enter_context(generator.streaming(request.rows))
        for _ in range(max(RECORDED, min(WARM_UP, request.settle))):
            step()
        yield step


def compiles(device: str) -> bool:
    """Whether to compile moshi's pieces: on a GPU, with Triton and a C compiler. What cannot be, runs as it is."""
    return device == "cuda" and find_spec("triton") is not None and any(map(shutil.which, ("gcc", "cc", "clang")))


def timed(step: Step, request: Request) -> list[float]:
    """Seconds of each step: from an idle device to an idle device."""
    import torch
    from tqdm import tqdm

    def wait() -> None:
        if request.device == "cuda":
            torch.cuda.synchronize()

    times: list[float] = []
    for _ in tqdm(range(request.steps), desc=f"  {request.who}, {request.rows} callers", leave=False, file=sys.stderr):
        wait()
        began = time.perf_counter()
        step()
        wait()
        times.append(time.perf_counter() - began)
        if len(times) >= request.least and sum(times) > request.seconds:
            break
    return times


def memory(device: str) -> int:
    """Bytes: the most that PyTorch has held on the GPU, or that this process has had of the machine's."""
    import torch

    if device == "cuda":
        return int(torch.cuda.max_memory_reserved())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def noise(rows: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Something to hear."""
    return np.random.default_rng(0).normal(0.0, LEVEL, (rows, FRAME_SAMPLES)).astype(np.float32)


if __name__ == "__main__":
    print(json.dumps(measured(Request(**json.loads(sys.argv[1])))))
