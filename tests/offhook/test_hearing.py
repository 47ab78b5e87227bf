"""Files through an engine whose places are taken, that dies, and files that fail in the middle."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from engine.base import BULK_BACKLOG, PCM, SAMPLE_RATE, Engine, Stats, Stream
from engine.errors import EngineError, Full, Unavailable
from engine.events import Word
from media.container import Limits
from media.errors import BadMedia
from offhook import hearing
from offhook.hearing import Hearing
from offhook.progress import Progress, Track
from tests.media.files import encoded, wav
from tests.signaling.doubles import Recorded


class Scarce(Engine):
    """Has as many places as `free`, each with a stream in the test's hands."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.asked = 0
        self.refused = asyncio.Event()
        self.backlogs: list[float] = []
        self.streams: asyncio.Queue[Recorded] = asyncio.Queue()

    async def start(self) -> None:
        pass

    async def open(self, *, backlog: float = 0.0) -> Stream:
        self.asked += 1
        if not self.free:
            self.refused.set()
            raise Full
        self.free -= 1
        self.backlogs.append(backlog)
        stream = Recorded()
        self.streams.put_nowait(stream)
        return stream

    def stats(self) -> Stats:
        return Stats("ready", 1, 0)

    async def transcribe_batch(self, clips: Sequence[PCM]) -> list[str]:
        raise NotImplementedError

    async def close(self) -> None:
        pass


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(np.zeros(SAMPLE_RATE, "<i2"), rate=SAMPLE_RATE))
    return path


@pytest.fixture
def track() -> Track:
    return Progress(bar=False, lines=False).add("a.wav", 1)


async def hear(ears: Hearing, file: Path, track: Track) -> list[object]:
    return [event async for event in ears.events(file, track)]


async def test_a_file_is_fed_to_its_end_and_its_words_come(file: Path, track: Track) -> None:
    engine = Scarce(1)
    hearing_it = asyncio.create_task(hear(Hearing(engine), file, track))
    stream = await engine.streams.get()
    stream.outbox.put(Word("hello", 0.5))
    await stream.asked("finish")
    stream.outbox.end()
    assert await hearing_it == [Word("hello", 0.5)]
    assert (track.position, track.duration, track.lost, stream.samples) == (1.0, 1.0, "", SAMPLE_RATE)
    assert stream.closed


@pytest.mark.parametrize("shared", [True, False])
async def test_files_give_way_to_live_callers_where_there_are_any(shared: bool, file: Path, track: Track) -> None:
    engine = Scarce(1)
    hearing_it = asyncio.create_task(hear(Hearing(engine, shared=shared), file, track))
    (await engine.streams.get()).outbox.end()
    await hearing_it
    assert (engine.backlogs[0] > BULK_BACKLOG) == shared


async def test_a_file_waits_for_the_place_of_another(file: Path, track: Track) -> None:
    engine = Scarce(1)
    ears = Hearing(engine)
    first = asyncio.create_task(hear(ears, file, track))
    stream = await engine.streams.get()
    second = asyncio.create_task(hear(ears, file, track))
    await engine.refused.wait()
    engine.free = 1
    stream.outbox.end()
    (await engine.streams.get()).outbox.end()
    await asyncio.gather(first, second)


async def test_a_place_that_others_have_is_asked_for_again_but_not_for_ever(
    file: Path, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "TRY_AGAIN", (0.001, 0.001))
    engine = Scarce(0)
    with pytest.raises(Full):
        await hear(Hearing(engine), file, track)
    assert engine.asked == hearing.ATTEMPTS + 1


async def test_an_engine_that_dies_ends_the_file(file: Path, track: Track) -> None:
    engine = Scarce(1)
    hearing_it = asyncio.create_task(hear(Hearing(engine), file, track))
    stream = await engine.streams.get()
    stream.die(Unavailable("the engine process died"))
    with pytest.raises(EngineError, match="died"):
        await hearing_it
    assert stream.closed


async def test_a_file_that_cannot_be_decoded_to_its_end_gives_its_place_back(
    track: Track, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "LIMITS", Limits(seconds=0.5))
    path = tmp_path / "a.mp3"
    path.write_bytes(encoded("mp3", "libmp3lame", np.zeros(5 * 48_000, np.int16)))
    engine = Scarce(1)
    with pytest.raises(BadMedia, match="longer than"):
        await hear(Hearing(engine), path, track)
    assert (await engine.streams.get()).closed
