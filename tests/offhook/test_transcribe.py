"""`offhook transcribe --url`: a file, a real call, and the words on standard output."""

import asyncio
import json
import socket
import wave
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.base import SAMPLE_RATE, s16_from_pcm
from engine.scripted import say
from media.caller import FRAME
from offhook import call, cli
from tests.offhook.server import Server, outcome

StartServer = Callable[..., Awaitable[Server]]


@pytest.fixture
def recording(tmp_path: Path) -> str:
    """Three words as a WAV file."""
    path = tmp_path / "three words.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(s16_from_pcm(say(["lima", "mike", "november"])))
    return str(path)


async def test_a_file_is_told_word_by_word(start_server: StartServer, recording: str) -> None:
    server = await start_server("--keys", "a-key-of-somebody")
    code, out, err = await outcome("transcribe", recording, "--url", server.url, "--key", "a-key-of-somebody")
    assert (code, err) == (0, "")
    assert out.split() == ["lima", "mike", "november"]


async def test_events_can_be_had_as_json_and_the_file_sent_faster(start_server: StartServer, recording: str) -> None:
    server = await start_server()
    code, out, err = await outcome("transcribe", recording, "--url", server.url, "--json", "--rtf", "3")
    assert (code, err) == (0, "")
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["text"] for event in events if event["type"] == "word"] == ["lima", "mike", "november"]
    assert [events[0]["type"], events[-1]["type"]] == ["ready", "ended"]


async def test_a_server_that_refuses_is_a_sentence(start_server: StartServer, recording: str) -> None:
    server = await start_server("--keys", "a-key-of-somebody")
    code, out, err = await outcome("transcribe", recording, "--url", server.url, "--key", "wrong-key")
    assert (code, out) == (1, "")
    assert err.startswith(f"offhook: {recording}: The server answered 401")
    assert "--key" in err
    assert err.count("\n") == 1


def test_a_server_that_says_nothing_is_a_sentence(
    recording: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(call, "CONNECT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert cli.main(["transcribe", recording, "--url", f"http://127.0.0.1:{port}"]) == 1
    assert "did not answer" in capsys.readouterr().err


async def test_the_last_words_of_a_recording_that_is_over_before_the_call_are_asked_for(
    start_server: StartServer,
) -> None:
    server = await start_server()
    async with call.call(server.url, np.zeros(FRAME, np.float32)) as live:
        live.speech.spoken.set()
        async with asyncio.timeout(10):
            _, ended = await asyncio.gather(live.finish(), last_of(live))
    assert (ended["type"], ended["reason"]) == ("ended", "finished")


async def last_of(live: call.Call) -> dict[str, Any]:
    """The last event that the server tells."""
    event: dict[str, Any] = {}
    async for event in live.events():
        if event["type"] == "ended":
            break
    return event


def test_no_server_is_a_sentence(recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert cli.main(["transcribe", recording, "--url", f"http://127.0.0.1:{port}"]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"offhook: {recording}: No server answers at http://127.0.0.1:{port}")


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp://127.0.0.1/"])
def test_what_is_no_address_is_a_sentence(recording: str, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["transcribe", recording, "--url", url]) == 1
    assert capsys.readouterr().err.startswith("offhook: ")


async def test_transcripts_of_calls_are_written_as_any_others(
    start_server: StartServer, recording: str, tmp_path: Path
) -> None:
    server = await start_server()
    options = ("--url", server.url, "--rtf", "3", "-o", str(tmp_path / "out"), "--format", "json")
    code, out, err = await outcome("transcribe", recording, str(tmp_path / "nowhere.wav"), *options)
    assert (code, out) == (1, "")
    assert "nowhere.wav: there is no such file" in err
    transcript = json.loads((tmp_path / "out" / "three words.json").read_text())
    assert transcript["text"] == "lima mike november"
    assert [word["word"] for word in transcript["words"]] == ["lima", "mike", "november"]
    assert "language" not in transcript  # which engine the server has is not known


@pytest.mark.parametrize("speed", ["0", "-1", "nan"])
def test_a_speed_that_is_none_is_wrong_use(recording: str, speed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["transcribe", recording, f"--rtf={speed}"]) == 2
    assert "--rtf" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--rtf", "2"), "--rtf"),
        (("--key", "a-key-of-somebody"), "--key"),
        (("--json",), "--json"),
        (("--url", "http://127.0.0.1:9", "--engine", "scripted"), "--engine"),
        (("--url", "http://127.0.0.1:9", "--json", "--format", "srt"), "--json"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_use(
    recording: str, options: tuple[str, ...], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["transcribe", recording, *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"offhook: {named} ")
    assert err.count("\n") == 1
