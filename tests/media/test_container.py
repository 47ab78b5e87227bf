"""Files from strangers to PCM, in a process of their own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import psutil
import pytest

from media.codecs import PCM
from media.container import About, Limits, decoded
from media.container_child import ABOUT, AUDIO, END, PIECE, File, Refused, records
from media.errors import BadMedia, NoProcess
from tests.media.caller import RATE, tone
from tests.media.files import FLOAT, encoded, long_ogg, of_unknown_length, silent_film, wav
from tests.media.oggs import by_ffmpeg

SOON = 10.0  # seconds within which whatever a test waits for must have happened


class Decoding:
    """What the process would say of these bytes, said by this one: it is quicker."""

    def __init__(self, data: bytes, seconds: float = 3_600, rate: int = RATE) -> None:
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            said = list(records(File(file.fileno()), rate, seconds))
        assert [said[0][0], said[-1][0]] == [ABOUT, END]
        assert {kind for kind, _ in said[1:-1]} == {AUDIO}
        self.about = About(**json.loads(said[0][1]))
        self.damaged = json.loads(said[-1][1])["damaged"]
        self.sizes = [len(payload) // 4 for _, payload in said[1:-1]]
        self.pcm: PCM = np.frombuffer(b"".join(payload for _, payload in said[1:-1]), np.float32)


def pitch(pcm: PCM) -> float:
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(pcm.size)))
    return float(spectrum.argmax()) * RATE / pcm.size


KINDS = {
    "wav": ("wav", "pcm_s16le"),
    "wav of 24 bits": ("wav", "pcm_s24le"),
    "flac": ("flac", "flac"),
    "mp3": ("mp3", "libmp3lame"),
    "mpeg": ("mpeg", "mp2"),
    "m4a": ("ipod", "aac"),
    "mp4": ("mp4", "aac"),
    "aac": ("adts", "aac"),
    "ogg": ("ogg", "libopus"),
    "webm": ("webm", "libopus"),
    "matroska": ("matroska", "flac"),
    "aiff": ("aiff", "pcm_s16be"),
    "caf": ("caf", "pcm_s16be"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_of_the_field_is_heard(kind: str) -> None:
    decoding = Decoding(encoded(*KINDS[kind]))
    assert decoding.pcm.size == pytest.approx(RATE, abs=0.05 * RATE)
    assert pitch(decoding.pcm) == pytest.approx(440, abs=2)
    assert decoding.pcm.std() == pytest.approx(0.25 / np.sqrt(2), rel=0.1)
    assert (decoding.about.rate, decoding.about.channels, decoding.damaged) == (48_000, 1, 0)
    assert decoding.about.duration == pytest.approx(1, abs=0.05)
    assert max(decoding.sizes) <= PIECE * RATE


def test_vorbis_is_heard() -> None:
    assert pitch(Decoding(encoded("ogg", "vorbis", layout="stereo")).pcm) == pytest.approx(440, abs=2)


def test_what_a_browser_records_does_not_tell_its_length() -> None:
    decoding = Decoding(encoded("webm", "libopus", options={"live": "1"}))
    assert decoding.about == About("matroska,webm", "opus", 48_000, 1, None)
    assert decoding.pcm.size == RATE


def test_the_sound_of_a_film_is_heard() -> None:
    assert Decoding(encoded("mp4", "aac", video=True)).pcm.size == pytest.approx(RATE, abs=0.03 * RATE)


@pytest.mark.parametrize("channels", range(1, 9))
def test_every_channel_is_heard_and_none_is_louder(channels: int) -> None:
    samples = np.zeros((48_000, channels), np.int16)
    for channel in range(channels):
        samples[:, channel] = tone(1.0, 200 + 200 * channel)
    pcm = Decoding(wav(samples)).pcm
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(pcm.size))) * 4 / pcm.size
    levels = [float(spectrum[200 + 200 * channel]) for channel in range(channels)]
    assert levels == pytest.approx([0.25 / channels] * channels, rel=0.02)


@pytest.mark.parametrize("rate", [4_000, 8_000, 44_100, 192_000])
def test_any_rate_from_a_telephones_to_a_studios_is_heard(rate: int) -> None:
    pcm = Decoding(wav(tone(1.0, rate=rate), rate=rate)).pcm
    assert pcm.size == pytest.approx(RATE, abs=RATE * 0.01)
    assert pitch(pcm) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_recorder_that_never_wrote_its_length_is_heard(size: int) -> None:
    decoding = Decoding(wav(tone(1.0), size=size))
    assert (decoding.pcm.size, decoding.about.duration) == (RATE, 1.0)


def test_the_form_may_change_in_the_middle() -> None:
    one = encoded("adts", "aac", tone(0.5))
    other = encoded("adts", "aac", tone(0.5, rate=24_000), rate=24_000, layout="stereo")
    decoding = Decoding(one + other)
    assert decoding.pcm.size == pytest.approx(RATE, abs=0.1 * RATE)
    assert pitch(decoding.pcm[-RATE // 3 :]) == pytest.approx(440, abs=3)


def test_frames_that_have_no_times_leave_no_gaps_however_their_rate_changes() -> None:
    pieces = [encoded("adts", "aac", tone(0.5, rate=rate), rate=rate) for rate in (8_000, 48_000)] * 4
    apart = sum(Decoding(piece).pcm.size for piece in pieces)
    assert Decoding(b"".join(pieces)).pcm.size == pytest.approx(apart, rel=0.02)


def test_a_recording_may_follow_another() -> None:
    one, other = by_ffmpeg(tone(0.5)[None]), by_ffmpeg(tone(0.5)[None])
    assert Decoding(one + other).pcm.size == pytest.approx(RATE, abs=0.03 * RATE)


def test_a_pause_in_the_recording_is_silence_so_that_times_stay_right() -> None:
    pcm = Decoding(encoded("webm", "libopus", pause=2.0)).pcm
    assert pcm.size == pytest.approx(3 * RATE, abs=0.05 * RATE)
    assert np.abs(pcm[int(0.7 * RATE) : int(2.3 * RATE)]).max() < 0.01


def test_a_clock_that_leaps_makes_no_hours_of_silence() -> None:
    assert Decoding(encoded("webm", "libopus", pause=7_200.0, options={"live": "1"})).pcm.size == pytest.approx(
        61 * RATE, rel=0.01
    )


@pytest.mark.parametrize("kind", ["wav", "mp3", "flac", "ogg", "webm", "aac"])
def test_what_is_cut_off_is_heard_as_far_as_it_goes(kind: str) -> None:
    data = encoded(*KINDS[kind], samples=tone(2.0))
    decoding = Decoding(data[: len(data) // 2])
    assert 0.3 * 2 * RATE < decoding.pcm.size < 0.7 * 2 * RATE
    assert pitch(decoding.pcm) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("kind", ["mp3", "ogg", "webm", "aac"])
def test_damage_in_the_middle_costs_a_moment(kind: str) -> None:
    data = bytearray(encoded(*KINDS[kind], samples=tone(3.0)))
    middle = len(data) // 2
    data[middle : middle + 40] = b"\xa5" * 40
    decoding = Decoding(bytes(data))
    assert decoding.pcm.size == pytest.approx(3 * RATE, rel=0.4)
    assert pitch(decoding.pcm[: RATE // 2]) == pytest.approx(440, abs=3)
    assert pitch(decoding.pcm[-RATE // 2 :]) == pytest.approx(440, abs=3)


SDP = b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
REFUSED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "text": ("unknown_format", lambda: b"once upon a time " * 50),
    "zeros": ("unknown_format", lambda: bytes(5_000)),
    "HTML": ("unknown_format", lambda: b"<!doctype html><title>404</title>" * 50),
    "an SDP": ("unknown_format", lambda: SDP),
    "a playlist": ("unknown_format", lambda: b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n"),
    "a list of files": ("unknown_format", lambda: b"ffconcat version 1.0\nfile /etc/hostname\n"),
    "DASH": ("unknown_format", lambda: b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>'),
    "a zip": ("unknown_format", lambda: b"PK\x03\x04" + bytes(500)),
    "MPEG-TS": ("unknown_format", lambda: encoded("mpegts", "aac")),
    "an mp4 that lost its end": ("damaged", lambda: encoded("mp4", "aac")[:8_000]),
    "a header and no more": ("damaged", lambda: encoded("webm", "libopus")[:60]),
    "a WAV without samples": ("no_audio", lambda: wav(np.zeros(0, np.int16))),
    "a silent film": ("no_audio", silent_film),
    "WAV at 1 Hz": ("unsupported", lambda: wav(np.zeros(50_000, np.int16), rate=1)),
    "WAV at 3999 Hz": ("unsupported", lambda: wav(np.zeros(50_000, np.int16), rate=3_999)),
    "WAV at 384 kHz": ("unsupported", lambda: wav(np.zeros(50_000, np.int16), rate=384_000)),
    "nine channels": ("unsupported", lambda: wav(np.zeros((50_000, 9), np.int16))),
    "no channel": ("no_audio", lambda: wav(np.zeros(50_000, np.int16), channels=0)),
    "a codec that is not for speech": ("unsupported", lambda: encoded("matroska", "tta")),
    "an unknown codec": ("unsupported", lambda: encoded("matroska", "tta").replace(b"A_TTA1", b"A_TTA9")),
}


@pytest.mark.parametrize(("code", "make"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_served_is_refused_with_a_sentence(code: str, make: Callable[[], bytes]) -> None:
    data = make()
    with pytest.raises(Refused, match=r": (send|record) .+\.$") as refused:
        Decoding(data)
    assert refused.value.code == code


def silence(container: str, codec: str, **options: str) -> bytes:
    """Twenty seconds of it."""
    return encoded(container, codec, np.zeros(20 * 48_000, np.int16), options=options)


BOMBS: dict[str, Callable[[], bytes]] = {
    "Ogg that tells its length": lambda: long_ogg(7_200),
    "FLAC that tells its length": lambda: silence("flac", "flac"),
    "FLAC that does not": lambda: of_unknown_length(silence("flac", "flac")),
    "MP3 that does not": lambda: silence("mp3", "libmp3lame", write_xing="0"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_more_audio_than_is_allowed_is_refused(name: str) -> None:
    bomb = BOMBS[name]()
    with pytest.raises(Refused, match="longer than 10 seconds: send it in parts") as refused:
        Decoding(bomb, seconds=10)
    assert refused.value.code == "too_long"


def test_as_much_as_is_allowed_is_heard() -> None:
    assert Decoding(wav(tone(2.0)), seconds=2).pcm.size == 2 * RATE
    assert Decoding(encoded("adts", "aac", tone(2.0)), seconds=2).pcm.size > 2 * RATE  # with its padding


# From here on it is a real process.


@pytest.fixture
def file() -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        yield file


async def heard(source: Path | BinaryIO, limits: Limits | None = None) -> PCM:
    async with asyncio.timeout(SOON), decoded(source, RATE, limits) as audio:
        return np.concatenate([pcm async for pcm in audio])


def children() -> list[psutil.Process]:
    return psutil.Process().children()


@pytest.fixture(autouse=True)
async def no_process_is_left() -> AsyncIterator[None]:
    before = set(children())
    yield
    assert set(children()) <= before


async def test_an_open_file_is_read_from_its_beginning_and_stays_open(file: BinaryIO) -> None:
    file.write(wav(tone(1.0)))  # not flushed, and at its end
    async with decoded(file, RATE) as audio:
        assert audio.about == About("wav", "pcm_s16le", 48_000, 1, 1.0)
        pieces = [pcm async for pcm in audio]
        assert [pcm async for pcm in audio] == []
    assert sum(pcm.size for pcm in pieces) == RATE
    assert {pcm.dtype for pcm in pieces} == {np.dtype(np.float32)}
    assert file.tell() == len(wav(tone(1.0)))
    first, second = await asyncio.gather(heard(file), heard(file))
    np.testing.assert_array_equal(first, second)


async def test_a_name_means_nothing(tmp_path: Path) -> None:
    path = tmp_path / "-i concat:a.m3u8|b.sdp"
    path.write_bytes(wav(tone(0.5)))
    assert (await heard(path)).size == RATE // 2


async def test_what_is_no_number_is_silence_and_what_is_too_loud_is_clipped(file: BinaryIO) -> None:
    samples = np.full(48_000, 1e20, np.float32)
    samples[:100] = np.nan
    samples[100:200] = np.inf
    file.write(wav(samples, kind=FLOAT))
    pcm = await heard(file)
    assert np.isfinite(pcm).all()
    assert (pcm.min(), pcm.max()) == (pytest.approx(-1, abs=1), 1)


async def test_a_sentence_crosses_from_the_process(file: BinaryIO) -> None:
    file.write(SDP)
    with pytest.raises(BadMedia, match="a session description, not audio: send flac, mp3, ") as refused:
        await heard(file)
    assert refused.value.code == "unknown_format"


async def test_nothing_at_all_needs_no_process(file: BinaryIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere")
    with pytest.raises(BadMedia, match="is empty: send"):
        await heard(file)


async def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadMedia, match="not a regular file"):
        await heard(tmp_path / "pipe")


async def test_the_process_runs_no_further_ahead_than_the_socket_holds(file: BinaryIO) -> None:
    file.write(long_ogg(3_600))
    async with asyncio.timeout(SOON), decoded(file, RATE) as audio:
        await anext(audio)
        (child,) = children()
        while child.status() != psutil.STATUS_SLEEPING:  # noqa: ASYNC110 (nobody tells; it never does while it decodes)
            await asyncio.sleep(0.01)
        assert child.io_counters().write_chars < 4 * RATE * 10  # ten seconds, of an hour


async def test_it_ends_with_its_listener(file: BinaryIO) -> None:
    file.write(long_ogg(3_600))
    async with decoded(file, RATE) as audio:
        await anext(audio)
    assert children() == []


async def test_it_ends_when_its_listener_is_cancelled(file: BinaryIO) -> None:
    file.write(long_ogg(3_600))
    listening = asyncio.Event()

    async def listen() -> None:
        async with decoded(file, RATE) as audio:
            async for _ in audio:
                listening.set()
                await asyncio.sleep(SOON)

    task = asyncio.create_task(listen())
    await asyncio.wait_for(listening.wait(), SOON)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert children() == []


@pytest.mark.parametrize(
    "limits",
    [Limits(memory=1 << 26), Limits(cpu=1, seconds=1e6), Limits(wait=0.001)],
    ids=["memory", "processor", "patience"],
)
async def test_a_file_that_takes_too_much_is_given_up(file: BinaryIO, limits: Limits) -> None:
    file.write(long_ogg(30_000))
    with pytest.raises(BadMedia, match="send it in another format") as refused:
        await heard(file, limits)
    assert refused.value.code == "too_costly"


async def test_a_file_that_crashes_the_decoder_is_told_so(file: BinaryIO, caplog: pytest.LogCaptureFixture) -> None:
    file.write(long_ogg(3_600))
    async with decoded(file, RATE) as audio:
        await anext(audio)
        children()[0].send_signal(signal.SIGSEGV)
        with pytest.raises(BadMedia, match="damaged: record it again"):
            [_ async for _ in audio]
    assert "ended with status -11" in caplog.text


async def test_two_bombs_do_not_keep_a_third_file_waiting(file: BinaryIO) -> None:
    with tempfile.TemporaryFile() as bomb:
        bomb.write(BOMBS["FLAC that does not"]())
        file.write(wav(tone(1.0)))
        two = asyncio.gather(*(heard(bomb, Limits(seconds=10)) for _ in range(2)), return_exceptions=True)
        assert (await heard(file)).size == RATE
        assert [str(error) for error in await two] == ["The audio is longer than 10 seconds: send it in parts."] * 2


async def test_no_process_for_now_is_our_fault(file: BinaryIO, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write(wav(tone(0.1)))
    monkeypatch.setattr(sys, "executable", "/nowhere")
    with pytest.raises(NoProcess, match="No such file"):
        await heard(file)


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=SOON).stdout


def test_the_process_can_open_nothing_more() -> None:
    confined = "from media.container_child import confine\nimport socket\nconfine(1 << 30, 60)\ntry:\n {}\n"
    for reach in ("open('/etc/hostname')", "socket.socket()"):
        assert run(confined.format(reach) + "except OSError as error: print(error.strerror)") == "Too many open files\n"


def test_the_process_imports_little() -> None:
    """A caller waits for it to start."""
    assert run("import sys, media.container_child\nprint({'numpy', 'asyncio'} & set(sys.modules))") == "set()\n"


SERVER = """
import asyncio, sys, tempfile, psutil
from media.container import decoded

async def serve():
    with tempfile.TemporaryFile(dir=sys.argv[1]) as file:
        file.write(open(sys.argv[2], "rb").read())
        async with decoded(file, 24_000) as audio:
            await anext(audio)
            print(psutil.Process().children()[0].pid, flush=True)
            await asyncio.Event().wait()

asyncio.run(serve())
"""


def test_nothing_is_left_of_a_server_that_is_killed(tmp_path: Path) -> None:
    upload, spool = tmp_path / "upload", tmp_path / "spool"
    upload.write_bytes(long_ogg(3_600))
    spool.mkdir()
    command = [sys.executable, "-c", SERVER, str(spool), str(upload)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        child = psutil.Process(int(server.stdout.readline()))
        assert child.is_running()
        server.kill()
    psutil.wait_procs([child], timeout=SOON)
    assert not child.is_running()
    assert list(spool.iterdir()) == []
