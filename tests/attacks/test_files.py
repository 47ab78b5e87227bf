"""Files that are made to be too much, or to be something else than they seem."""

import asyncio
import random
import tempfile
from collections.abc import Callable

import pytest

from media.container import Limits, decoded
from media.errors import BadMedia
from tests.attacks.bent import FAULTS
from tests.media.caller import RATE, tone
from tests.media.files import encoded, long_ogg, of_unknown_length, wav
from tests.media.oggs import by_ffmpeg

CORPUS_OF = ("wav", "mp3", "mp4", "webm", "ogg", "flac", "adts", "aiff", "caf")
CODECS = {"wav": "pcm_s16le", "mp3": "libmp3lame", "webm": "libopus", "ogg": "libopus", "flac": "flac"}
BENT = 30  # files bent by chance, two at a time


async def outcome(data: bytes, limits: Limits | None = None) -> str:
    """The seconds that were heard of a file, or the code that it was refused with."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        try:
            async with asyncio.timeout(20), decoded(file, RATE, limits) as audio:
                return f"{sum([pcm.size async for pcm in audio]) / RATE:.1f}"
        except BadMedia as error:
            return error.code


def nested() -> bytes:
    """Boxes of an mp4 within one another, ten thousand deep."""
    boxes = b"".join((8 * (10_000 - depth)).to_bytes(4, "big") + b"moov" for depth in range(10_000))
    return b"\x00\x00\x00\x10ftypisom\x00\x00\x00\x00" + boxes


def big_cover() -> bytes:
    """An mp3 that begins with a tag that claims 256 MB."""
    return b"ID3\x04\x00\x00\x7f\x7f\x7f\x7fAPIC" + encoded("mp3", "libmp3lame")


def big_table() -> bytes:
    """An mp4 whose table of samples claims four billion entries."""
    data = encoded("mp4", "aac")
    at = data.index(b"stsz") + 12
    return data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :]


def elsewhere() -> bytes:
    """An mp4 whose audio is said to be in another file."""
    data = encoded("mp4", "aac")
    at = data.index(b"url ")
    return data[:at] + b"url \x00\x00\x00\x00/etc/hostname\x00" + data[at + 8 :]


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a deep mp4": nested,
    "a tag without an end": big_cover,
    "a table without an end": big_table,
    "a reference to another file": elsewhere,
    "a thousand recordings in a row": lambda: by_ffmpeg(tone(0.02)[None]) * 1_000,
    "a rate that changes all the time": lambda: b"".join(
        encoded("adts", "aac", tone(0.1, rate=rate), rate=rate) for rate in (8_000, 48_000, 16_000, 44_100) * 10
    ),
    "half a gigabyte that is not there": lambda: wav(tone(0.1), size=1 << 29),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_file_is_heard_or_refused(name: str) -> None:
    heard = await outcome(HOSTILE[name]())
    assert heard in ("damaged", "no_audio", "too_costly", "unsupported", "unknown_format") or float(heard) < 60


async def test_bombs_are_refused_two_at_a_time() -> None:
    """Hours of silence in a few kilobytes: told at once where the file tells it, and at the limit where it does not."""
    silence = of_unknown_length(encoded("flac", "flac", tone(60.0) * 0))
    two = [*(outcome(long_ogg(7_200)) for _ in range(2))]
    assert set(await asyncio.gather(*two)) == {"too_long"}
    two = [*(outcome(silence, Limits(seconds=30)) for _ in range(2))]
    assert set(await asyncio.gather(*two)) == {"too_long"}


def bent_file(chance: random.Random, files: list[bytes]) -> bytes:
    data = bytearray(chance.choice(files))
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        chance.choice(FAULTS)(chance, data, files)
    return bytes(data)


async def test_files_bent_by_chance_are_heard_or_refused() -> None:
    files = [encoded(kind, CODECS.get(kind, "pcm_s16be" if kind in ("aiff", "caf") else "aac")) for kind in CORPUS_OF]
    chance = random.Random(6)
    turns = asyncio.Semaphore(2)

    async def judge(data: bytes) -> str:
        async with turns:
            return await outcome(data)

    outcomes = await asyncio.gather(*(judge(bent_file(chance, files)) for _ in range(BENT)))
    assert {"damaged", "unknown_format"} & set(outcomes)
    assert any(heard[0].isdigit() for heard in outcomes)
