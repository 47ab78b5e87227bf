"""Which files a model is made of, from the hub or from a directory, and whether there is room for it.

moshi takes a repository without a config.json for Moshi 7B, a talking model of 15 GB, and warns only. So the
configuration is read first, and what is no speech-to-text model that this engine can run is refused.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import Unavailable

REVISIONS = {  # what was looked at; another revision may hold another model
    "kyutai/stt-1b-en_fr-candle": "095e38f6242006a93c2541149b181988397f5c7c",
    "kyutai/stt-2.6b-en": "a07aec56d22be5589cd0bc8709c75b6cf3e3039d",
}
MEANT = {  # the 1B model has its pause heads in this variant only; the 2.6B model has none in any
    "kyutai/stt-1b-en_fr": "kyutai/stt-1b-en_fr-candle",
    "kyutai/stt-2.6b-en-candle": "kyutai/stt-2.6b-en",
}
FOREIGN = {"trfs": "Hugging Face's transformers", "mlx": "MLX on a Mac"}
CONFIG = "config.json"
NEEDED = ("mimi_name", "tokenizer_name", "num_layers", "context", "dim")
LFS_POINTER = b"version https://git-lfs"  # how it begins, in place of a file that was not fetched
GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class Source:
    """A repository of the hub at a revision; None is its newest."""

    repository: str
    revision: str | None


@dataclass(frozen=True, slots=True)
class Files:
    """A checkpoint on this machine."""

    name: str
    config: Path
    lm: Path
    mimi: Path
    tokenizer: Path
    mimi_config: Path | None

    def settings(self) -> dict[str, Any]:
        """config.json."""
        settings: dict[str, Any] = json.loads(self.config.read_text())
        return settings

    def codec(self) -> dict[str, Any] | None:
        """Mimi's own configuration; None: the one that is built in."""
        if self.mimi_config is None:
            return None
        codec: dict[str, Any] = json.loads(self.mimi_config.read_text())
        return codec

    @property
    def weights(self) -> int:
        """Bytes of both networks, on disk."""
        return self.lm.stat().st_size + self.mimi.stat().st_size


Get = Callable[[str], Path]  # a file of the checkpoint, by its name


def find(name: str) -> Files:
    """The files of the model `name`: a directory, or a repository that is fetched unless it is here already.

    Raises Unavailable with a sentence that says what to do.
    """
    if Path(name).expanduser().is_dir():
        directory = Path(name).expanduser()
        return _collect(name, lambda file: _local(directory, file), lambda files: None)
    source = source_of(name)
    return _collect(name, lambda file: _fetch(source, file), lambda files: _check_disk(source, files))


def source_of(name: str) -> Source:
    """Where the model `name` is on the hub: OWNER/NAME, or OWNER/NAME@REVISION. Raises Unavailable."""
    repository, _, revision = MEANT.get(name, name).partition("@")
    owner, _, model = repository.partition("/")
    if not owner.strip(".~") or not model or "/" in model:
        raise Unavailable(f"--model {name!r} is neither a directory nor a repository like kyutai/stt-1b-en_fr")
    for part in model.split("-"):
        if part in FOREIGN:
            right = f"{owner}/{model.partition(f'-{part}')[0]}"
            raise Unavailable(f"--model {name} is for {FOREIGN[part]}: set --model {right}")
    return Source(repository, revision or REVISIONS.get(repository))


def check(name: str, settings: Mapping[str, Any]) -> None:
    """Refuse what is no speech-to-text model, and what this engine cannot run. Raises Unavailable."""
    kind = settings.get("model_type", "moshi")
    if kind != "stt" or "audio_delay_seconds" not in settings.get("stt_config", {}):
        raise Unavailable(f"--model {name} is no speech-to-text model (its config.json says {kind!r})")
    if settings.get("conditioners") or settings.get("fuser"):
        raise Unavailable(f"--model {name} wants conditions, which this engine does not have")
    if settings.get("dep_q") or any(settings.get("delays", ())) or settings.get("cross_attention"):
        raise Unavailable(f"--model {name} also makes sound, or delays its codes: this engine cannot run it")
    if settings.get("lora_name"):
        raise Unavailable(f"--model {name} is an adapter: merge it into its model first")
    missing = [key for key in NEEDED if key not in settings]
    if missing:
        raise Unavailable(f"--model {name}: its config.json says no {missing[0]}")


def row_bytes(settings: Mapping[str, Any], mimi: Mapping[str, Any] | None, item: int, mimi_item: int = 4) -> int:
    """Bytes that one row's caches take; `item` and `mimi_item` are the bytes of a number in either network."""
    lm = 2 * settings["num_layers"] * settings["context"] * settings["dim"] * item
    codec = (mimi or {}).get("transformer", {"num_layers": 8, "context": 250, "d_model": 512})
    return int(lm + 2 * codec["num_layers"] * codec["context"] * codec["d_model"] * mimi_item)


def fitting_rows(weights: int, row: int, free: int, wanted: int, most: int) -> int:
    """How many rows there is memory for: `wanted`, or with 0 as many as fit, but at most `most`. Raises Unavailable.

    One row more is needed for the template of a new one, and a tenth of the memory is left to the step itself.
    """
    rows = int((0.9 * free - weights) // row) - 1
    if rows < max(1, wanted):
        need = (weights + (max(1, wanted) + 1) * row) / 0.9
        places = f"the model and places for callers ({max(1, wanted)})"
        sentence = f"{places} take {_gigabytes(need)} of memory, and {_gigabytes(free)} are free"
        raise Unavailable(f"{sentence}: set --capacity {rows}" if rows > 0 else sentence)
    return wanted or min(rows, most)


def free_memory() -> int:
    """Bytes that this machine has free for a process."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def _collect(name: str, get: Get, check_room: Callable[[Sequence[str]], None]) -> Files:
    config = get(CONFIG)
    try:
        settings = json.loads(config.read_text())
    except ValueError as error:
        raise Unavailable(f"--model {name}: its config.json is not JSON ({error})") from None
    check(name, settings)
    files = [settings.get("moshi_name", "model.safetensors"), settings["mimi_name"], settings["tokenizer_name"]]
    files += [settings["mimi_config_name"]] if "mimi_config_name" in settings else []
    check_room(files)
    paths = [get(file) for file in files]
    for path in paths:
        _check_whole(name, path)
    lm, mimi, tokenizer, *mimi_config = paths
    return Files(name, config, lm, mimi, tokenizer, mimi_config[0] if mimi_config else None)


def _check_whole(name: str, path: Path) -> None:
    """Refuse a pointer of Git LFS in place of a file, and weights that are cut off. Raises Unavailable."""
    from safetensors import SafetensorError, safe_open

    with path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            raise Unavailable(f"--model {name}: {path.name} is a pointer of Git LFS, not the file: run `git lfs pull`")
    if path.suffix != ".safetensors":
        return
    try:
        with safe_open(path, "np"):  # it reads the header, and compares it with the size of the file
            return
    except (SafetensorError, OSError, ValueError) as error:
        sentence = f"{path.name} is not whole, or not in the format of its name ({error}): fetch it again"
        raise Unavailable(f"--model {name}: {sentence}") from None


def _local(directory: Path, file: str) -> Path:
    path = directory / file
    if not path.is_file():
        raise Unavailable(f"--model {directory} holds no {file}")
    return path


def _fetch(source: Source, file: str) -> Path:
    """The file, from the hub's cache on this machine or over the network: resumed if begun, with a progress bar."""
    return Path(_ask_hub(source, file, dry_run=False))


def _check_disk(source: Source, files: Sequence[str]) -> None:
    """Refuse to begin what the disk has no room for."""
    from huggingface_hub import constants

    wanted = [_ask_hub(source, file, dry_run=True) for file in files if not _is_cached(source, file)]
    missing = sum(file.file_size or 0 for file in wanted if file.will_download)
    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if missing > free:
        raise Unavailable(f"the model needs {_gigabytes(missing)} more in {cache} and {_gigabytes(free)} are free")


def _is_cached(source: Source, file: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(source.repository, file, revision=source.revision), str)


def _ask_hub(source: Source, file: str, *, dry_run: bool) -> Any:
    """The hub's answer about a file. Raises Unavailable."""
    from huggingface_hub import errors, hf_hub_download

    try:
        return hf_hub_download(source.repository, file, revision=source.revision, dry_run=dry_run)
    except errors.LocalEntryNotFoundError:
        why = "it is not on this machine, and the hub cannot be reached (a directory will do as well)"
    except errors.RepositoryNotFoundError:
        why = "the hub has no such repository, or it is not open to you"
    except errors.RevisionNotFoundError:
        why = f"it has no revision {source.revision}"
    except errors.EntryNotFoundError:
        why = f"it holds no {file}"
    except (errors.HfHubHTTPError, OSError) as error:
        why = f"{file} could not be fetched ({type(error).__name__}); what has come is kept"
    raise Unavailable(f"--model {source.repository}: {why}")


def _gigabytes(count: float) -> str:
    return f"{count / GIGABYTE:.1f} GB"
