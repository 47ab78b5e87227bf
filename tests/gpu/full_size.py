"""Checkpoints of the true size with random weights: they say nonsense, at the true cost.

python -m tests.gpu.full_size DIRECTORY --model stt-1b        (2.4 GB on disk, under a minute)

What measures and tests with them keeps one of each in `.cache/`.
"""

import argparse
import io
import json
import shutil
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from moshi.models import loaders
from safetensors.torch import save_file

MODELS: dict[str, dict[str, Any]] = {  # where they differ
    "stt-1b": {
        "dim": 2048,
        "num_heads": 16,
        "num_layers": 16,
        "context": 750,
        "text_card": 8000,
        "delay": 0.5,
        "heads": 4,
    },
    "stt-2.6b": {
        "dim": 2048,
        "num_heads": 32,
        "num_layers": 48,
        "context": 375,
        "text_card": 4000,
        "delay": 2.5,
        "heads": 0,
    },
}
CODEBOOKS, BINS = 32, 2048
CACHE = Path(__file__).parent.parent.parent / ".cache"
SPREAD = 0.02  # of the weights


def lm_config(model: str) -> dict[str, Any]:
    """The language model's part of config.json."""
    sizes = {name: value for name, value in MODELS[model].items() if name not in ("delay", "heads")}
    kind = {"gating": "silu", "norm": "rms_norm_f32", "positional_embedding": "rope", "hidden_scale": 4.125}
    depth = {"depformer_dim": 1024, "depformer_num_heads": 16, "depformer_num_layers": 6, "depformer_pos_emb": "none"}
    unused = {"depformer_multi_linear": True, "depformer_weights_per_step": True, "depformer_dim_feedforward": None}
    codes = {"card": BINS, "n_q": CODEBOOKS, "dep_q": 0, "delays": [0] * (CODEBOOKS + 1), "conditioners": {}}
    past = {"causal": True, "layer_scale": None, "max_period": 100_000.0, "cross_attention": False}
    ends = {"existing_text_padding_id": 3, "extra_heads_num_heads": MODELS[model]["heads"], "extra_heads_dim": 6}
    return {**sizes, **kind, **depth, **unused, **codes, **past, **ends}


def kept(model: str) -> Path:
    """The checkpoint in `.cache/`, written if it is not there."""
    directory, begun = CACHE / model, CACHE / f"{model}.part"
    if not directory.is_dir():
        shutil.rmtree(begun, ignore_errors=True)  # of somebody who was stopped
        write(begun, model).rename(directory)
    return directory


def write(directory: Path, model: str = "stt-1b") -> Path:
    """The checkpoint; `directory` must not be there yet. If it fails, nothing is left."""
    directory.mkdir(parents=True)
    try:
        torch.manual_seed(0)
        _write_lm(directory / "model.safetensors", lm_config(model))
        _write_mimi(directory / "mimi.safetensors")
        _write_tokenizer(directory / "tokenizer.model", MODELS[model]["text_card"])
        delay = {"audio_delay_seconds": MODELS[model]["delay"], "audio_silence_prefix_seconds": 0.0}
        names = {"mimi_name": "mimi.safetensors", "tokenizer_name": "tokenizer.model"}
        config = {**lm_config(model), **names, "model_type": "stt", "stt_config": delay}
        (directory / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    except BaseException:
        shutil.rmtree(directory)
        raise
    return directory


def _write_lm(path: Path, config: dict[str, Any]) -> None:
    lm = loaders.get_moshi_lm(None, config, device="meta", dtype=torch.bfloat16)
    weights = {name: torch.empty(value.shape, dtype=value.dtype) for name, value in lm.state_dict().items()}
    for name, value in weights.items():
        _ = value.fill_(1.0) if name.endswith("alpha") else value.normal_(0.0, SPREAD)
    save_file(weights, path)


def _write_mimi(path: Path) -> None:
    mimi = loaders.get_mimi(None, None, "cpu", num_codebooks=CODEBOOKS)
    weights = mimi.state_dict()
    for name, value in weights.items():
        if name.endswith("embedding_sum"):
            value.normal_()
    save_file({name: value.contiguous() for name, value in weights.items()}, path)


def _write_tokenizer(path: Path, size: int) -> None:
    """A tokenizer in which every piece is a word."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b"]),
        model_writer=model,
        vocab_size=size + 100,
        model_type="bpe",
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=3,
        user_defined_symbols=[f"\u2581{index}" for index in range(size)],
        hard_vocab_limit=False,
        minloglevel=2,
    )
    path.write_bytes(model.getvalue())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write a checkpoint of the true size with random weights.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--model", choices=MODELS, default="stt-1b")
    arguments = parser.parse_args()
    write(arguments.directory, arguments.model)
