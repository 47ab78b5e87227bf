import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.checkpoint import (
    REVISIONS,
    Source,
    check,
    find,
    fitting_rows,
    free_memory,
    row_bytes,
    source_of,
)
from engine.errors import Unavailable

TINY = Path(__file__).parent / "tiny"
CANDLE = "kyutai/stt-1b-en_fr-candle"
LARGE = {"num_layers": 16, "context": 750, "dim": 2048}  # of the 1B model
FILES = {"mimi_name": "mimi.safetensors", "tokenizer_name": "tokenizer.model"}
SPEECH: dict[str, Any] = {"model_type": "stt", "stt_config": {"audio_delay_seconds": 0.5}, "conditioners": {}}
GOOD = SPEECH | FILES | LARGE


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A checkpoint to spoil."""
    return Path(shutil.copytree(TINY, tmp_path / "model"))


def edit(directory: Path, **settings: Any) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


class TestNames:
    @pytest.mark.parametrize(
        ("name", "repository"),
        [
            ("kyutai/stt-1b-en_fr", CANDLE),
            (CANDLE, CANDLE),
            ("kyutai/stt-2.6b-en", "kyutai/stt-2.6b-en"),
            ("kyutai/stt-2.6b-en-candle", "kyutai/stt-2.6b-en"),
        ],
    )
    def test_known_models_are_taken_as_they_were_looked_at(self, name: str, repository: str) -> None:
        assert source_of(name) == Source(repository, REVISIONS[repository])

    def test_others_are_taken_as_they_are(self) -> None:
        assert source_of("somebody/stt-de") == Source("somebody/stt-de", None)
        assert source_of("somebody/stt-de@v2") == Source("somebody/stt-de", "v2")

    @pytest.mark.parametrize(
        ("name", "sentence"),
        [
            ("kyutai/stt-1b-en_fr-trfs", "for Hugging Face's transformers: set --model kyutai/stt-1b-en_fr"),
            ("kyutai/stt-2.6b-en-mlx", "for MLX on a Mac: set --model kyutai/stt-2.6b-en"),
            ("kyutai/stt-2.6b-en-mlx-q4", "for MLX on a Mac: set --model kyutai/stt-2.6b-en"),
            ("whisper", "neither a directory nor a repository"),
            ("./models/stt", "neither a directory nor a repository"),
            ("/models/stt", "neither a directory nor a repository"),
            ("", "neither a directory nor a repository"),
        ],
    )
    def test_what_cannot_be_meant_is_refused_with_a_sentence(self, name: str, sentence: str) -> None:
        with pytest.raises(Unavailable, match=sentence):
            source_of(name)


class TestADirectory:
    def test_holds_all_that_its_configuration_names(self) -> None:
        files = find(str(TINY))
        assert (files.lm, files.mimi) == (TINY / "model.safetensors", TINY / "mimi.safetensors")
        assert (files.tokenizer, files.mimi_config) == (TINY / "tokenizer.model", TINY / "mimi_config.json")
        assert files.weights == files.lm.stat().st_size + files.mimi.stat().st_size

    @pytest.mark.parametrize("file", ["config.json", "model.safetensors", "mimi.safetensors", "tokenizer.model"])
    def test_without_a_file_is_refused(self, copy: Path, file: str) -> None:
        (copy / file).unlink()
        with pytest.raises(Unavailable, match=f"holds no {file}"):
            find(str(copy))

    @pytest.mark.parametrize("file", ["model.safetensors", "mimi.safetensors"])
    @pytest.mark.parametrize("left", [0, 4, 5_000, -1])
    def test_whose_weights_are_cut_off_is_refused(self, copy: Path, file: str, left: int) -> None:
        path = copy / file
        path.write_bytes(path.read_bytes()[:left])
        with pytest.raises(Unavailable, match=rf"{file} is not whole.*: fetch it again"):
            find(str(copy))

    @pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.model"])
    def test_that_was_cloned_without_lfs_is_refused(self, copy: Path, file: str) -> None:
        (copy / file).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
        with pytest.raises(Unavailable, match=rf"{file} is a pointer of Git LFS.*git lfs pull"):
            find(str(copy))

    def test_without_a_name_for_mimis_configuration_uses_the_one_that_is_built_in(self, copy: Path) -> None:
        path = copy / "config.json"
        settings = json.loads(path.read_text())
        del settings["mimi_config_name"]
        path.write_text(json.dumps(settings))
        assert find(str(copy)).codec() is None

    @pytest.mark.parametrize(
        ("settings", "sentence"),
        [
            ({"model_type": "moshi"}, "no speech-to-text model .*'moshi'"),
            ({"model_type": "tts"}, "no speech-to-text model .*'tts'"),
            ({"stt_config": {}}, "no speech-to-text model"),
            ({"conditioners": {"speaker": {}}}, "wants conditions"),
            ({"dep_q": 8}, "makes sound"),
            ({"delays": [0, 1]}, "delays its codes"),
            ({"lora_name": "lora.safetensors"}, "is an adapter"),
        ],
    )
    def test_with_another_kind_of_model_is_refused(self, copy: Path, settings: dict[str, Any], sentence: str) -> None:
        edit(copy, **settings)
        with pytest.raises(Unavailable, match=sentence):
            find(str(copy))

    @pytest.mark.parametrize("key", ["mimi_name", "tokenizer_name", "context"])
    def test_that_does_not_say_all_that_is_needed_is_refused(self, key: str) -> None:
        check("x", GOOD)
        with pytest.raises(Unavailable, match=f"config.json says no {key}"):
            check("x", {name: value for name, value in GOOD.items() if name != key})

    def test_whose_configuration_is_broken_is_refused(self, copy: Path) -> None:
        (copy / "config.json").write_text('{"model_type"')
        with pytest.raises(Unavailable, match=r"config\.json is not JSON"):
            find(str(copy))

    def test_that_does_not_say_what_it_is_is_not_taken_for_moshi(self) -> None:
        with pytest.raises(Unavailable, match="no speech-to-text model"):
            check("x", {"stt_config": {"audio_delay_seconds": 0.5}})


class TestTheHub:
    """Its cache on this machine, as `hf download` leaves it; the network is cut."""

    @pytest.fixture(autouse=True)
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        return tmp_path

    @pytest.fixture
    def cached(self, cache: Path) -> Path:
        """The tiny model under the name and the revision of the 1B model."""
        folder = cache / "models--kyutai--stt-1b-en_fr-candle"
        (folder / "refs").mkdir(parents=True)
        return Path(shutil.copytree(TINY, folder / "snapshots" / REVISIONS[CANDLE]))

    def test_a_model_that_is_here_needs_no_network(self, cached: Path) -> None:
        files = find("kyutai/stt-1b-en_fr")
        assert files.lm == cached / "model.safetensors"
        assert files.settings()["model_type"] == "stt"

    def test_a_model_that_is_not_here_is_said_to_be_missing(self) -> None:
        """moshi would go on with Moshi 7B."""
        with pytest.raises(Unavailable, match="not on this machine, and the hub cannot be reached"):
            find("kyutai/stt-2.6b-en")

    def test_a_part_that_is_not_here_is_said_to_be_missing(self, cached: Path) -> None:
        (cached / "model.safetensors").unlink()
        with pytest.raises(Unavailable, match="not on this machine"):
            find("kyutai/stt-1b-en_fr")


class TestAnAnswerOfTheHub:
    """What it may answer, without asking it."""

    @pytest.mark.parametrize(
        ("error", "sentence"),
        [
            ("RepositoryNotFoundError", "no such repository"),
            ("GatedRepoError", "no such repository, or it is not open to you"),
            ("RevisionNotFoundError", "no revision"),
            ("EntryNotFoundError", "it holds no config.json"),
            ("HfHubHTTPError", r"could not be fetched \(HfHubHTTPError\); what has come is kept"),
        ],
    )
    def test_becomes_a_sentence(self, error: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
        from huggingface_hub import errors

        kind = getattr(errors, error)

        def refuse(*arguments: Any, **options: Any) -> str:
            raise kind.__new__(kind)

        monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
        with pytest.raises(Unavailable, match=sentence):
            find(CANDLE)

    def test_of_more_than_the_disk_holds_is_refused_before_it_is_fetched(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from huggingface_hub.file_download import DryRunFileInfo

        fetched = list[str]()

        def answer(repository: str, file: str, *, revision: str, dry_run: bool) -> str | DryRunFileInfo:
            if dry_run:
                return DryRunFileInfo(revision, 10**15, file, "", is_cached=False, will_download=True)
            fetched.append(file)
            return str(TINY / file)

        monkeypatch.setattr("huggingface_hub.hf_hub_download", answer)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        with pytest.raises(Unavailable, match=r"needs 4000000\.0 GB more"):
            find(CANDLE)
        assert fetched == ["config.json"]


class TestMemory:
    def test_a_row_of_the_large_models_takes_what_was_calculated(self) -> None:
        assert row_bytes(LARGE, None, 2) == 98_304_000 + 8_192_000
        assert row_bytes({"num_layers": 48, "context": 375, "dim": 2048}, None, 2) == 147_456_000 + 8_192_000

    def test_as_many_rows_as_fit_but_not_more_than_can_be_used(self) -> None:
        assert fitting_rows(0, 1_000, 100_000, wanted=0, most=50) == 50
        assert fitting_rows(0, 1_000, 20_000, wanted=0, most=50) == 17
        assert fitting_rows(0, 1_000, 100_000, wanted=70, most=50) == 70

    def test_too_many_callers_are_refused_with_the_number_that_fits(self) -> None:
        with pytest.raises(Unavailable, match=r"callers \(64\) take .* set --capacity 17"):
            fitting_rows(0, 1_000, 20_000, wanted=64, most=50)

    def test_a_model_without_room_for_anybody_is_refused(self) -> None:
        with pytest.raises(Unavailable, match=r"callers \(1\) take 2\.4 GB of memory, and 1\.0 GB are free$"):
            fitting_rows(2_000_000_000, 100_000_000, 1_000_000_000, wanted=0, most=50)

    def test_this_machine_has_some(self) -> None:
        assert free_memory() > 10_000_000
