"""Makes `tiny/`: a checkpoint in Kyutai's layout that really transcribes, small enough to be committed.

    python -m tests.engine.make_tiny DIRECTORY        (about three minutes on two cores)

Its speech are the digits of digits.py. Mimi is not trained: its convolutions are set to a bank of band-pass filters,
and its codebooks come from k-means. The language model is trained on the codes.
"""

import argparse
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch
from moshi.models import loaders
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from engine.base import FRAME_SAMPLES, SAMPLE_RATE
from tests.engine.digits import BANDS, WORDS, Spoken, babble

FRAME_RATE = SAMPLE_RATE / FRAME_SAMPLES
DELAY = 0.5  # seconds from a word's onset to its first token
CODEBOOKS, BINS, TEXT_CARD = 4, 64, 48
CONTEXT = 50  # frames: four seconds, so that every test wraps the caches
WORD_START, PAD = 0, 3  # text tokens
PAUSES = (0.5, 1.0, 2.0, 3.0)  # seconds: what the four heads tell
SEED = 0
BIAS = 4.0  # keeps every channel of the filter bank positive, where ELU is the identity
GAIN = 30.0

Example = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # codes (K, T), text (T + 1,), pauses (T + 1, 4)


def mimi_config() -> dict[str, Any]:
    """Mimi's topology with small sizes."""
    dim = 32
    seanet = {**loaders._seanet_kwargs, "dimension": dim, "n_filters": 8}
    quantizer = {"dimension": 16, "n_q": CODEBOOKS, "bins": BINS, "input_dimension": dim, "output_dimension": dim}
    transformer = {
        **loaders._transformer_kwargs,
        "d_model": dim,
        "num_heads": 2,
        "num_layers": 1,
        "context": 25,
        "dim_feedforward": 64,
        "input_dimension": dim,
        "output_dimensions": [dim],
        "layer_scale": 0.01,
    }
    rates = {"sample_rate": SAMPLE_RATE, "channels": 1, "frame_rate": FRAME_RATE}
    return {**rates, "seanet": seanet, "quantizer": quantizer, "transformer": transformer}


def lm_config() -> dict[str, Any]:
    """The language model's part of config.json, in the 1B model's style."""
    return {
        "card": BINS,
        "n_q": CODEBOOKS,
        "dep_q": 0,
        "delays": [0] * (CODEBOOKS + 1),
        "dim": 96,
        "text_card": TEXT_CARD,
        "existing_text_padding_id": PAD,
        "num_heads": 4,
        "num_layers": 3,
        "hidden_scale": 4.125,
        "causal": True,
        "layer_scale": None,
        "context": CONTEXT,
        "max_period": 100_000.0,
        "gating": "silu",
        "norm": "rms_norm_f32",
        "positional_embedding": "rope",
        "depformer_dim": 32,
        "depformer_num_heads": 2,
        "depformer_num_layers": 1,
        "depformer_dim_feedforward": None,
        "depformer_multi_linear": True,
        "depformer_pos_emb": "none",
        "depformer_weights_per_step": True,
        "conditioners": {},
        "cross_attention": False,
        "extra_heads_num_heads": 4,
        "extra_heads_dim": 6,
    }


def config() -> dict[str, Any]:
    """config.json."""
    return {
        **lm_config(),
        "model_type": "stt",
        "model_id": {"sig": "tiny", "epoch": 0},
        "lm_gen_config": {"temp": 0.0, "temp_text": 0.0, "top_k": 250, "top_k_text": 50},
        "stt_config": {"audio_delay_seconds": DELAY, "audio_silence_prefix_seconds": 0.0},
        "mimi_name": "mimi.safetensors",
        "mimi_config_name": "mimi_config.json",
        "tokenizer_name": "tokenizer.model",
        "moshi_name": "model.safetensors",
    }


def make_tokenizer(path: Path) -> sentencepiece.SentencePieceProcessor:
    """A tokenizer that knows the digits, each as one to four pieces, with the real one's special tokens."""
    rng = np.random.default_rng(SEED)
    text = [" ".join(rng.choice(WORDS, 12)) for _ in range(500)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text),
        model_writer=model,
        vocab_size=44,
        model_type="bpe",
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=PAD,
        character_coverage=1.0,
        hard_vocab_limit=False,
        normalization_rule_name="identity",  # half a kilobyte instead of 240
        minloglevel=2,
    )
    path.write_bytes(model.getvalue())
    return sentencepiece.SentencePieceProcessor(str(path))


def text_of(said: list[Spoken], frames: int, tokenizer: sentencepiece.SentencePieceProcessor) -> torch.Tensor:
    """The text token of each position: a word's tokens follow a WORD_START, half a second after its onset."""
    tokens = torch.full((frames + 1,), PAD)
    free = 0
    for spoken in said:
        at = max(round((spoken.start + DELAY) * FRAME_RATE), free)
        pieces = tokenizer.encode(spoken.word)
        if at + 1 + len(pieces) > frames:
            break
        tokens[at] = WORD_START
        tokens[at + 1 : at + 1 + len(pieces)] = torch.tensor(pieces)
        free = at + 1 + len(pieces)
    return tokens


def pauses_of(said: list[Spoken], frames: int) -> torch.Tensor:
    """What the heads are to tell at each position: 0 for a pause of at least that length, else 1."""
    labels = torch.ones((frames + 1, len(PAUSES)), dtype=torch.long)
    for position in range(frames + 1):
        now = position / FRAME_RATE
        stop = max((spoken.stop for spoken in said if spoken.start < now), default=now)
        for head, pause in enumerate(PAUSES):
            labels[position, head] = int(now - stop < pause)
    return labels


@torch.no_grad()
def set_filters(mimi: Any) -> None:
    """Mimi's encoder as a filter bank: it demodulates each band, narrows it, and tells its energy at 25 Hz.

    The strided convolutions are low-passes and complex demodulators in a row; the last ELU, without its bias, rectifies
    +-Re and +-Im, and the last convolution sums them.
    """
    for module in (mimi.encoder, mimi.decoder, mimi.decoder_transformer, mimi.upsample):
        for parameter in module.parameters():  # residual branches do nothing; nobody decodes, and zeros pack well
            parameter.zero_()
    first, to_6000, to_1200, to_200, to_25, last = (mimi.encoder.model[at].conv.conv for at in (0, 3, 6, 9, 12, 14))
    first.weight[0, 0, -1] = 1
    first.bias[0] = BIAS
    to_6000.weight[0, 0, -4:] = 0.25
    for band, frequency in enumerate(BANDS):
        turn = 2 * _turn(frequency, 6_000, 10)  # twice: half of a real signal is the conjugate
        to_1200.weight[2 * band, 0], to_1200.weight[2 * band + 1, 0] = turn.real, turn.imag
        _demodulate(to_200, 2 * band, 2 * band, _turn(frequency, 1_200, 12))
        _demodulate(to_25, 4 * band, 2 * band, GAIN * _turn(frequency, 200, 16), step=2)
        _demodulate(to_25, 4 * band + 1, 2 * band, -GAIN * _turn(frequency, 200, 16), step=2)
        last.weight[band, 4 * band : 4 * band + 4] = 0.15
    for conv, bias, used in ((to_1200, BIAS, 2), (to_200, BIAS, 2), (to_25, 0.0, 4)):
        conv.bias[: used * len(BANDS)] = (bias - BIAS * conv.weight.sum((1, 2)))[: used * len(BANDS)]
    torch.nn.init.eye_(mimi.downsample.conv.conv.conv.weight[:, :, 0])
    mimi.downsample.conv.conv.conv.weight.copy_(mimi.downsample.conv.conv.conv.weight[:, :, :1] / 4)


def _turn(frequency: float, rate: int, taps: int) -> torch.Tensor:
    """A complex demodulator and low-pass: what turns a tone at `frequency` to a standstill."""
    angle = 2 * math.pi * frequency * torch.arange(taps) / rate
    return torch.polar(torch.full((taps,), 1 / taps), -angle)


def _demodulate(conv: nn.Conv1d, out: int, source: int, turn: torch.Tensor, step: int = 1) -> None:
    """Channels `out` and `out + step` are the product of `turn` with the complex signal in `source` and the next."""
    weight = conv.weight
    weight[out, source], weight[out, source + 1] = turn.real, -turn.imag
    weight[out + step, source], weight[out + step, source + 1] = turn.imag, turn.real


def centroids(points: torch.Tensor, rounds: int = 25) -> torch.Tensor:
    """k-means (Lloyd)."""
    centers = points[torch.randperm(len(points))[:BINS]].clone()
    for _ in range(rounds):
        nearest = torch.cdist(points, centers).argmin(1)
        count = torch.bincount(nearest, minlength=BINS)
        means = torch.zeros_like(centers).index_add_(0, nearest, points) / count.clamp(min=1)[:, None]
        centers = torch.where((count > 0)[:, None], means, points[torch.randint(len(points), (BINS,))])
    return centers


@torch.no_grad()
def set_codebooks(quantizer: Any, latent: torch.Tensor) -> None:
    """Residual k-means: each level's codebook fits what the levels before it leave."""
    points = quantizer.input_proj(latent).transpose(1, 2).flatten(0, 1)
    for layer in quantizer.vq.layers:
        centers = centroids(points)
        layer._codebook.embedding_sum.copy_(centers)
        layer._codebook.cluster_usage.fill_(1.0)
        layer._codebook._initialized.fill_(1.0)
        points = points - centers[torch.cdist(points, centers).argmin(1)]


def audio_of(streams: list[tuple[Any, list[Spoken]]]) -> torch.Tensor:
    return torch.from_numpy(np.stack([pcm for pcm, _ in streams]))[:, None]  # (B, 1, S)


def make_mimi(rng: np.random.Generator) -> Any:
    """The codec, with everything set."""
    mimi = loaders.get_mimi(None, mimi_config(), "cpu", num_codebooks=CODEBOOKS)
    for parameter in mimi.parameters():
        parameter.requires_grad_(False)
    set_filters(mimi)
    latents = [mimi.encode_to_latent(audio_of([babble(rng, 8) for _ in range(16)]), quantize=False) for _ in range(8)]
    for quantizer in (mimi.quantizer.rvq_first, mimi.quantizer.rvq_rest):
        set_codebooks(quantizer, torch.cat(latents))
    return mimi


@torch.no_grad()
def examples(mimi: Any, tokenizer: Any, rng: np.random.Generator, count: int) -> list[Example]:
    """What the language model learns from: streams of 12 s."""
    found: list[Example] = []
    for _ in tqdm(range(count // 16), "examples"):
        streams = [babble(rng, 12) for _ in range(16)]
        codes = mimi.encode(audio_of(streams))  # (B, K, T)
        frames = codes.shape[-1]
        found += [
            (code, text_of(said, frames, tokenizer), pauses_of(said, frames))
            for code, (_, said) in zip(codes, streams, strict=True)
        ]
    return found


def train(lm: Any, data: list[Example], rng: np.random.Generator, steps: int) -> None:
    """Teach the model its text and its pauses. A little noise in its own text makes it forgive its mistakes."""
    lm.train()
    for module in lm.modules():
        if type(module).__name__ == "ActivationGating":
            module.training = False  # its fast path in training needs a GPU
    optimizer = torch.optim.AdamW(lm.parameters(), lr=2e-3, weight_decay=0.01)
    start = lm._get_initial_token()  # (1, K + 1, 1)
    weights = torch.ones(TEXT_CARD)
    weights[PAD] = 0.4
    for step in (progress := tqdm(range(steps), "training")):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, step / 30) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        chosen = [data[index] for index in rng.integers(len(data), size=16)]
        codes, text, pauses = (torch.stack(part) for part in zip(*chosen, strict=True))
        heard = text[:, :-1].clone()
        noise = torch.rand(heard.shape) < 0.03
        heard[noise] = torch.randint(0, 40, (int(noise.sum()),))
        sequence = torch.cat([start.expand(len(chosen), -1, -1), torch.cat([heard[:, None], codes], 1)], -1)
        hidden, logits = lm.forward_text(sequence)
        text_loss = functional.cross_entropy(logits[:, 0].transpose(1, 2), text, weight=weights)
        pause_losses = [
            functional.cross_entropy(head(hidden).transpose(1, 2), pauses[..., index])
            for index, head in enumerate(lm.extra_heads)
        ]
        optimizer.zero_grad()
        torch.autograd.backward([text_loss + 0.3 * torch.stack(pause_losses).mean()])
        nn.utils.clip_grad_norm_(lm.parameters(), 1.0)
        optimizer.step()
        progress.set_postfix(loss=f"{text_loss.item():.3f}")
    lm.eval()


def make(directory: Path, *, count: int = 384, steps: int = 500) -> None:
    """Write the checkpoint."""
    directory.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    tokenizer = make_tokenizer(directory / "tokenizer.model")
    mimi = make_mimi(rng)
    lm = loaders.get_moshi_lm(None, lm_config(), device="cpu", dtype=torch.float32)
    train(lm, examples(mimi, tokenizer, rng, count), rng, steps)
    save_file({name: value.contiguous() for name, value in mimi.state_dict().items()}, directory / "mimi.safetensors")
    weights = {
        name: value.to(torch.bfloat16).contiguous() for name, value in lm.state_dict().items()
    }  # as the real one
    save_file(weights, directory / "model.safetensors")
    (directory / "mimi_config.json").write_text(json.dumps(mimi_config(), indent=1) + "\n")
    (directory / "config.json").write_text(json.dumps(config(), indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the tiny checkpoint.")
    parser.add_argument("directory", type=Path)
    make(parser.parse_args().directory)
