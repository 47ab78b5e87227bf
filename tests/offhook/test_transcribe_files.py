"""`offhook transcribe` without a server: recordings in, texts out, and what becomes of bad ones."""

import asyncio
import errno
import fcntl
import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from engine.base import SAMPLE_RATE
from engine.moonshine import assets
from engine.scripted import say
from offhook import cli
from tests.media.files import encoded, long_ogg, silent_film, wav
from tests.offhook.server import or_killed, outcome, spawn

SCRIPTED = ("--engine", "scripted", "--no-engine-process")
WORDS = ["alpha", "bravo", "charlie"]
WITHIN = 50.0  # seconds for a process to do its work, on a machine with much else to do

Capture = pytest.CaptureFixture[str]


def speech(words: Sequence[str]) -> bytes:
    """These words as a WAV file, with a pause behind them."""
    return wav((np.concatenate((say(words), np.zeros(SAMPLE_RATE))) * 32_767).astype("<i2"), rate=SAMPLE_RATE)


def transcribe(*arguments: str | Path) -> int:
    """Run the command here, with the engine that hears tones; the exit code."""
    return cli.main(["transcribe", *SCRIPTED, *map(str, arguments)])


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., list[str]]:
    """Makes files with these names, each saying the words that its number in WORDS begins with."""

    def make(*names: str) -> list[str]:
        paths = [tmp_path / name for name in names]
        for number, path in enumerate(paths):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(speech(WORDS[number:]))
        return list(map(str, paths))

    return make


Files = Callable[..., list[str]]


def test_one_file_is_told_on_standard_output_and_nothing_else(files: Files, capsys: Capture) -> None:
    assert transcribe(*files("a.wav")) == 0
    assert capsys.readouterr() == ("alpha bravo charlie\n", "")


def test_several_texts_stand_under_their_names_in_the_order_that_was_given(files: Files, capsys: Capture) -> None:
    paths = files("z.wav", "a.wav", "m.wav")
    assert transcribe(*paths) == 0
    out, err = capsys.readouterr()
    texts = ("alpha bravo charlie", "bravo charlie", "charlie")
    assert out == "\n".join(f"==> {path} <==\n{text}\n" for path, text in zip(paths, texts, strict=True))
    told = ("0:03, 3 words", "0:02, 2 words", "0:02, 1 word")
    assert sorted(err.splitlines()) == sorted(
        f"{path}: {what}: standard output" for path, what in zip(paths, told, strict=True)
    )


def test_a_directory_is_made_and_gets_a_file_for_each(files: Files, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "new" / "out"
    assert transcribe(*files("a.wav", "b.wav", "c.wav"), "-o", out) == 0
    assert {path.name: path.read_text() for path in out.iterdir()} == {
        "a.txt": "alpha bravo charlie\n",
        "b.txt": "bravo charlie\n",
        "c.txt": "charlie\n",
    }
    assert capsys.readouterr().err.count("\n") == 3


def test_nothing_is_told_when_quiet_is_asked_for(files: Files, tmp_path: Path, capsys: Capture) -> None:
    assert transcribe(*files("a.wav"), "-o", tmp_path / "out", "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_subtitles_and_json_tell_the_times(files: Files, tmp_path: Path) -> None:
    (path,) = files("a.wav")
    for form in ("srt", "vtt", "json"):
        assert transcribe(path, "-o", tmp_path, "--format", form, "--quiet") == 0
    srt, vtt = (tmp_path / "a.srt").read_text(), (tmp_path / "a.vtt").read_text()
    assert re.fullmatch(r"1\n00:00:00,\d{3} --> 00:00:01,\d{3}\nalpha bravo charlie\n\n", srt)
    assert re.fullmatch(r"WEBVTT\n\n00:00:00\.\d{3} --> 00:00:01\.\d{3}\nalpha bravo charlie\n\n", vtt)
    transcript = json.loads((tmp_path / "a.json").read_text())
    assert (transcript["file"], transcript["text"]) == (path, "alpha bravo charlie")
    assert transcript["duration"] == pytest.approx(3 * 0.56 + 1, abs=0.001)
    assert [word["word"] for word in transcript["words"]] == WORDS
    assert all(word["start"] < word["end"] <= transcript["duration"] for word in transcript["words"])
    (segment,) = transcript["segments"]
    assert (segment["start"], segment["end"]) == (transcript["words"][0]["start"], transcript["words"][-1]["end"])


def test_several_transcripts_as_json_are_a_line_each(files: Files, capsys: Capture) -> None:
    assert transcribe(*files("a.wav", "b.wav"), "--format", "json", "--quiet") == 0
    assert [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()] == [
        "alpha bravo charlie",
        "bravo charlie",
    ]


def test_the_name_of_a_file_says_nothing_about_what_is_in_it(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "talk.wav"
    samples = (np.repeat(say(WORDS), 2) * 32_767).astype(np.int16)
    path.write_bytes(encoded("webm", "libopus", samples))
    assert transcribe(path) == 0
    assert capsys.readouterr().out.split() == WORDS


def test_standard_input_is_a_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(speech(WORDS))))
    assert transcribe("-", "-o", tmp_path) == 0
    assert (tmp_path / "stdin.txt").read_text() == "alpha bravo charlie\n"


def test_silence_is_an_empty_text(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "silence.wav"
    path.write_bytes(wav(np.zeros(240, "<i2"), rate=SAMPLE_RATE))  # 0.01 s
    assert transcribe(path) == 0
    assert capsys.readouterr() == ("", "")


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "The file is empty: send a file of audio."),
    "not audio": (lambda: b"not audio at all", "The file is in no format that is known here: send flac"),
    "a page": (lambda: b"<!doctype html>", "The file is a web page, not audio: send flac"),
    "no sound": (silent_film, "There is no audio in the file: send flac"),
    "no sample": (lambda: wav(np.zeros(0, "<i2")), "No audio in the file can be decoded: send flac"),
    "cut off": (lambda: encoded("mp4", "aac")[:200], "The file is cut off or damaged: send all of it"),
}


def test_bad_files_are_a_sentence_each_and_the_others_are_done(files: Files, tmp_path: Path, capsys: Capture) -> None:
    bad = {tmp_path / name: sentence for name, (_, sentence) in BAD.items()}
    for path, (make, _) in zip(bad, BAD.values(), strict=True):
        path.write_bytes(make())
    unopened = {
        tmp_path / "missing": "there is no such file",
        tmp_path: "this is a directory",
        tmp_path / "pipe": "This is not a regular file",
        tmp_path / "long" / ("x" * 300): "this file cannot be read (File name too long)",
    }
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "long").mkdir()
    assert transcribe(*files("good.wav"), *bad, *unopened, "-o", tmp_path / "out") == 1
    err = capsys.readouterr().err.splitlines()
    for path, sentence in {**bad, **unopened}.items():
        assert [line for line in err if line.startswith(f"offhook: {path}: {sentence}")], (path, err)
    assert len(err) == len(bad) + len(unopened) + 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.txt"]


def test_a_file_that_may_not_be_read_is_a_sentence(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # who tests as root may read anything
    (path,) = files("a.wav")
    assert transcribe(path) == 1
    assert capsys.readouterr().err.startswith(f"offhook: {path}: this file may not be read: ask for")


def test_a_file_that_is_cut_off_is_told_as_far_as_it_goes_with_a_warning(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "a.flac"
    samples = (np.repeat(say([*WORDS, "delta", "echo", "foxtrot"]), 2) * 32_767).astype(np.int16)
    whole = encoded("flac", "flac", samples)
    path.write_bytes(whole[: len(whole) // 2])
    assert transcribe(path) == 0
    out, err = capsys.readouterr()
    assert out.split()[:2] == WORDS[:2]
    assert err.startswith(f"offhook: {path}: ")
    assert "copy it again" in err
    assert err.count("\n") == 1


def test_what_is_there_is_replaced_only_when_that_is_said(files: Files, tmp_path: Path, capsys: Capture) -> None:
    paths = files("a.wav", "b.wav")
    (tmp_path / "a.txt").write_text("of somebody else")
    assert transcribe(*paths, "-o", tmp_path) == 1
    err = capsys.readouterr().err
    assert f"offhook: {paths[0]}: {tmp_path / 'a.txt'} is there already: say --force to replace it" in err
    assert (tmp_path / "a.txt").read_text() == "of somebody else"
    assert (tmp_path / "b.txt").read_text() == "bravo charlie\n"
    assert transcribe(*paths, "-o", tmp_path, "--force") == 0
    assert (tmp_path / "a.txt").read_text() == "alpha bravo charlie\n"


def test_an_input_is_never_replaced(files: Files, tmp_path: Path, capsys: Capture) -> None:
    (path,) = files("a.txt")
    assert transcribe(path, "-o", tmp_path, "--force") == 1
    assert "is one of the recordings: set another -o" in capsys.readouterr().err
    assert Path(path).read_bytes() == speech(WORDS)


def test_files_of_the_same_name_are_numbered(files: Files, tmp_path: Path) -> None:
    assert transcribe(*files("x/talk.wav", "y/TALK.wav", "talk.mp3"), "-o", tmp_path / "out", "--quiet") == 0
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {
        "talk.txt": "alpha bravo charlie\n",
        "TALK-2.txt": "bravo charlie\n",
        "talk-3.txt": "charlie\n",
    }


def test_a_directory_that_can_hold_no_files_is_told_before_anything_is_done(
    files: Files, tmp_path: Path, capsys: Capture
) -> None:
    (path,) = files("a.wav")
    assert transcribe(path, "-o", path) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"offhook: {path} can hold no files (File exists): set -o to a directory\n")


def test_a_full_disk_is_a_sentence_and_leaves_nothing_half_done(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert transcribe(*files("a.wav"), "-o", tmp_path / "out") == 1
    assert "a.txt cannot be written (No space left on device): make room" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("a", "b", "--format", "srt"), "subtitles of several files cannot go into one: set -o DIR"),
        (("-", "-"), "- is standard input, which can be read once"),
        (("a", "--engine", "nonsense"), "there is no engine 'nonsense': set --engine to"),
        (("a", "--engine", "remote"), "--engine remote needs --remote-url"),
    ],
)
def test_wrong_use_is_a_sentence(arguments: Sequence[str], sentence: str, capsys: Capture) -> None:
    assert transcribe(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"offhook: {sentence}")
    assert err.count("\n") == 1


def test_a_terminal_is_no_recording(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    terminal, other = pty.openpty()
    with os.fdopen(terminal, "rb"), os.fdopen(other) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert transcribe("-") == 2
    assert "offhook transcribe - < FILE" in capsys.readouterr().err


def test_settings_of_servers_are_not_looked_at(files: Files, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("OFFHOOK_HOST", "0.0.0.0")  # which a server would refuse without keys
    assert transcribe(*files("a.wav")) == 0
    assert capsys.readouterr().err == ""


def test_an_engine_that_cannot_start_is_one_sentence(files: Files, capsys: Capture) -> None:
    remote = ("--engine", "remote", "--remote-url", "ws://127.0.0.1:9")
    assert cli.main(["transcribe", *files("a.wav", "b.wav"), *remote]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("offhook: the remote engine 127.0.0.1:9 does not answer")
    assert err.count("\n") == 1


def test_without_a_file_that_can_be_opened_no_engine_is_started(tmp_path: Path, capsys: Capture) -> None:
    remote = ("--engine", "remote", "--remote-url", "ws://127.0.0.1:9")
    assert cli.main(["transcribe", str(tmp_path / "missing"), *remote]) == 1
    assert "remote engine" not in capsys.readouterr().err


async def test_ctrl_c_leaves_the_files_that_are_finished_whole(files: Files, tmp_path: Path) -> None:
    (tmp_path / "hours.ogg").write_bytes(long_ogg(36_000))
    out = tmp_path / "out"
    paths = (*files("a.wav"), str(tmp_path / "hours.ogg"))
    process = await spawn("transcribe", *paths, "-o", str(out), "--engine", "scripted", "--files", "1")
    assert process.stderr is not None
    async with or_killed(process):
        first = await asyncio.wait_for(process.stderr.readline(), WITHIN)
        assert first.endswith(b"a.txt\n")
        os.killpg(process.pid, signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), WITHIN)
    assert process.returncode == 130
    assert err.decode() == "offhook: interrupted: 1 of 2 done\n"
    assert {path.name: path.read_text() for path in out.iterdir()} == {"a.txt": "alpha bravo charlie\n"}


@pytest.mark.parametrize("full", [True, False])
async def test_a_standard_output_that_takes_nothing_is_a_sentence(full: bool, files: Files) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(os.open("/dev/full", os.O_WRONLY) if full else writer, "wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "offhook.cli", "transcribe", *SCRIPTED, *files("a.wav")),
            stdout=out,
            stderr=subprocess.PIPE,
        )
        async with or_killed(process):
            _, err = await asyncio.wait_for(process.communicate(), WITHIN)
    if full:
        os.close(writer)
    assert process.returncode == 1
    reason = "No space left on device" if full else "Broken pipe"
    assert f"standard output cannot be written ({reason}): nothing more is told there" in err.decode()
    assert err.count(b"\n") == 1


@pytest.mark.parametrize("quiet", [True, False])
async def test_on_a_terminal_a_bar_tells_how_far_it_is_and_what_is_left(
    quiet: bool, files: Files, tmp_path: Path
) -> None:
    terminal, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    options = ["-o", str(tmp_path / "out"), *(["--quiet"] if quiet else [])]
    with os.fdopen(terminal, "rb", buffering=0) as screen, os.fdopen(other, "wb") as err:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "offhook.cli", "transcribe", *SCRIPTED, *files("a.wav", "b.wav"), *options),
            stderr=err,
        )
        err.close()
        shown = await asyncio.to_thread(everything, screen)
        assert await asyncio.wait_for(process.wait(), WITHIN) == 0
    if quiet:
        assert shown == ""
    else:
        assert re.search(r"\d+% \|.*\| \d\d:\d\d, \d\d:\d\d left, \d:\d\d of \d:\d\d, [01] of 2 files", shown)
    assert "a.wav" not in shown


def everything(screen: io.FileIO) -> str:
    """What was written to a terminal until its last writer has gone."""
    pieces: list[bytes] = []
    try:
        while piece := screen.read(1 << 16):
            pieces.append(piece)
    except OSError as error:
        assert error.errno == errno.EIO  # noqa: PT017 - how Linux tells that the last writer has gone
    return b"".join(pieces).decode()


async def test_moonshine_hears_a_file() -> None:
    code, out, err = await outcome("transcribe", str(assets() / "beckett.wav"), "--format", "json")
    assert (code, err) == (0, "")
    transcript = json.loads(out)
    assert "Ever tried" in transcript["text"]
    assert transcript["language"] == "en"
    assert transcript["duration"] == pytest.approx(9.96, abs=0.01)
