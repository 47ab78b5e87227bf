"""`offhook serve --engine moshi` and `offhook transcribe`, with the tiny model."""

import wave
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from engine.base import SAMPLE_RATE, s16_from_pcm
from tests.engine.digits import recite
from tests.offhook.server import Server, outcome

StartServer = Callable[..., Awaitable[Server]]
TINY = Path(__file__).parent.parent / "engine" / "tiny"
SAID = ["three", "one", "four", "nine", "zero"]


async def test_a_file_is_transcribed(start_server: StartServer, tmp_path: Path) -> None:
    path = tmp_path / "digits.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(s16_from_pcm(recite(SAID)))
    server = await start_server("--engine", "moshi", "--model", str(TINY), "--capacity", "2")
    code, out, err = await outcome("transcribe", str(path), "--url", server.url)
    assert (code, err) == (0, "")
    assert out.split() == SAID


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("--model", "kyutai/stt-1b-en_fr-trfs"),
            "is for Hugging Face's transformers: set --model kyutai/stt-1b-en_fr",
        ),
        (("--model", str(TINY.parent)), "holds no config.json"),
        (("--model", str(TINY), "--capacity", "1000000000"), "set --capacity"),
        (("--timestamps", "late"), "--timestamps 'late': set it to accurate or compatible"),
    ],
)
async def test_a_model_that_cannot_be_served_is_a_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    code, out, err = await outcome("serve", "--engine", "moshi", "--port", "0", *arguments)
    assert (code > 0, out) == (True, "")
    assert sentence in err.splitlines()[-1]
    assert "Traceback" not in err
