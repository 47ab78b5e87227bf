"""Bombs, and files that chance has bent. Those that somebody has made are in hostile.py."""

import asyncio
import random
import tempfile

from media.container import Limits, decoded
from media.errors import BadMedia
from tests.attacks.bent import FAULTS
from tests.media.caller import RATE, tone
from tests.media.files import encoded, long_ogg, of_unknown_length

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
