"""What a stream's tokens must be: moshi's own LMGen and Mimi, one stream at a time, from a fresh state, without masks.

Beside it small networks with random weights, and a schedule of callers who come and go as they like.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from moshi.models import loaders
from moshi.models.lm import LMGen
from moshi.quantization.core_vq import EuclideanCodebook
from moshi.utils.compile import no_compile

from engine.base import FRAME_SAMPLES, PCM, SAMPLE_RATE
from engine.net import Heard, Mask, Net

Floats = npt.NDArray[np.float64]
CODEBOOKS, BINS, DIM = 8, 64, 32


@dataclass(frozen=True, slots=True, eq=False)
class Networks:
    """Mimi and the language model."""

    mimi: Any
    lm: Any

    def alone(self, pcm: PCM, prefix: int = 0) -> tuple[list[int], Floats]:
        """The tokens (T,) and the pause probabilities (T, heads) of one stream, after `prefix` frames of silence."""
        dtype = next(self.mimi.parameters()).dtype
        generate = LMGen(self.lm, use_sampling=False, temp=0.0, temp_text=0.0)
        nothing = torch.zeros(1, self.lm.n_q, 1, dtype=torch.long)
        audio = torch.from_numpy(np.concatenate([np.zeros(prefix * FRAME_SAMPLES, np.float32), pcm])).to(dtype)
        tokens, pauses = list[int](), list[list[float]]()
        with torch.no_grad(), no_compile(), self.mimi.streaming(1), generate.streaming(1):
            generate.step(nothing)  # the start tokens
            for frame in audio.view(-1, 1, 1, FRAME_SAMPLES):
                said = generate.step_with_extra_heads(self.mimi.encode(frame))
                assert said is not None
                out, heads = said
                tokens.append(int(out[0, 0, 0]))
                pauses.append([float(head[0, 0, 0]) for head in heads])
        return tokens[prefix:], np.array(pauses[prefix:]).reshape(len(pauses) - prefix, -1)


def random_networks(seed: int, dtype: torch.dtype, heads: int = 4) -> Networks:
    """Small networks that say random things of what they hear, with contexts of 16 and 24 positions."""
    torch.manual_seed(seed)
    seanet = {**loaders._seanet_kwargs, "dimension": DIM, "n_filters": 4}
    quantizer = {"dimension": 16, "n_q": CODEBOOKS, "bins": BINS, "input_dimension": DIM, "output_dimension": DIM}
    sizes = {"d_model": DIM, "num_heads": 2, "num_layers": 2, "context": 16, "dim_feedforward": 4 * DIM}
    outside = {"input_dimension": DIM, "output_dimensions": [DIM], "layer_scale": 0.5}
    transformer = {**loaders._transformer_kwargs, **sizes, **outside}
    rates = {"sample_rate": SAMPLE_RATE, "channels": 1, "frame_rate": SAMPLE_RATE / FRAME_SAMPLES}
    whole = {**rates, "seanet": seanet, "quantizer": quantizer, "transformer": transformer}
    mimi = loaders.get_mimi(None, whole, "cpu", num_codebooks=CODEBOOKS)
    codebooks = [module for module in mimi.modules() if isinstance(module, EuclideanCodebook)]
    for codebook in codebooks:
        codebook.embedding_sum.normal_()
        codebook.cluster_usage.fill_(1.0)
    with torch.no_grad():
        for parameter in mimi.encoder.parameters():
            parameter.mul_(1.7)  # loud enough to reach every code
    return Networks(mimi.to(dtype).eval(), loaders.get_moshi_lm(None, random_config(heads), "cpu", dtype).eval())


def random_config(heads: int) -> dict[str, Any]:
    """The language model of `random_networks`."""
    sizes = {"dim": 64, "text_card": 48, "n_q": CODEBOOKS, "dep_q": 0, "card": BINS, "num_heads": 4, "num_layers": 2}
    kind = {"gating": "silu", "norm": "rms_norm_f32", "positional_embedding": "rope", "hidden_scale": 4.125}
    unused = {"depformer_multi_linear": True, "depformer_weights_per_step": True, "depformer_pos_emb": "none"}
    ends = {"extra_heads_num_heads": heads, "extra_heads_dim": 6, "existing_text_padding_id": 3}
    past = {"causal": True, "context": 24, "max_period": 100_000.0, "delays": [0] * (CODEBOOKS + 1)}
    return {**sizes, **kind, **unused, **ends, **past, "layer_scale": None, "cross_attention": False}


@contextmanager
def streaming(networks: Networks, rows: int, **options: Any) -> Iterator[Net]:
    """A Net of so many rows."""
    net = Net(networks.mimi, networks.lm, rows, **options)
    try:
        yield net
    finally:
        net.close()


@dataclass(slots=True, eq=False)
class Caller:
    """A stream and what a batch said of it."""

    pcm: PCM
    tokens: list[int] = field(default_factory=list)
    pauses: list[Sequence[float]] = field(default_factory=list)

    @property
    def frame(self) -> PCM:
        """What is heard next."""
        start = len(self.tokens) * FRAME_SAMPLES
        return self.pcm[start : start + FRAME_SAMPLES]

    def differs(self, expected: tuple[list[int], Floats], tolerance: float) -> bool:
        """Whether this is not what the stream alone has said."""
        tokens, pauses = expected
        return self.tokens != tokens or bool(
            np.abs(np.array(self.pauses).reshape(pauses.shape) - pauses).max() > tolerance
        )


def callers(rng: np.random.Generator, count: int, shortest: int, longest: int) -> list[Caller]:
    """Streams of tones, noise and silence, so many frames long."""
    return [Caller(noise(rng, int(rng.integers(shortest, longest + 1)))) for _ in range(count)]


def noise(rng: np.random.Generator, frames: int) -> PCM:
    """Tones, noise and silence, another in each frame."""
    samples = frames * FRAME_SAMPLES
    level = np.repeat(rng.choice([0.0, 0.05, 0.3, 0.8], frames), FRAME_SAMPLES)
    pitch = np.repeat(rng.uniform(80, 4000, frames), FRAME_SAMPLES)
    tone = np.sin(2 * np.pi * pitch * np.arange(samples) / SAMPLE_RATE)
    return np.clip(level * (0.5 * tone + 0.5 * rng.standard_normal(samples)), -1, 1).astype(np.float32)


Reset = Callable[[Mask], None]
Step = Callable[[PCM, Mask], Heard]


def come_and_go(reset: Reset, step: Step, rows: int, waiting: Sequence[Caller], rng: np.random.Generator) -> None:
    """Callers take a row when one is free, speak in some steps and not in others, and leave their row to the next.

    In the steps in which a row is not active it is given loud rubbish.
    """
    queue, seats = deque(waiting), list[Caller | None]([None] * rows)
    while queue or any(seats):
        fresh, active = np.zeros(rows, dtype=np.bool_), np.zeros(rows, dtype=np.bool_)
        pcm = 3 * rng.standard_normal((rows, FRAME_SAMPLES)).astype(np.float32)
        for row in range(rows):
            if seats[row] is None and queue and rng.random() < 0.5:
                seats[row] = queue.popleft()
                fresh[row] = True
            caller = seats[row]
            if caller is not None and rng.random() < 0.6:
                active[row], pcm[row] = True, caller.frame
        if fresh.any():
            reset(fresh)
        heard = step(pcm, active)
        for row in np.flatnonzero(active).tolist():
            caller = seats[row]
            assert caller is not None
            caller.tokens.append(heard.tokens[row])
            caller.pauses.append(heard.pauses[row])
            if not len(caller.frame):
                seats[row] = None
