"""The embedded engine with its real model, on recordings that ship in its wheel."""

import asyncio
import sys
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import jiwer
import numpy as np
import pytest

from engine.agreement import normalised
from engine.base import BULK_BACKLOG, FRAME_SAMPLES, PCM, SAMPLE_RATE, EngineConfig, Stream, pcm_from_s16
from engine.errors import Full, Misuse, Unavailable
from engine.events import Event, Mark, Partial, Pause, Step, Word
from engine.moonshine import Detector, MoonshineEars, MoonshineEngine, assets, rehearse
from tests.engine.contract import Case, Clip, EngineContract

BECKETT = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."
TIMEOUT = 30


def recording(name: str, start: float = 0.0, stop: float | None = None) -> PCM:
    """Seconds [start, stop) of a recording, brought to 24 kHz."""
    with wave.open(str(assets() / f"{name}.wav")) as file:
        rate = file.getframerate()
        pcm = pcm_from_s16(file.readframes(file.getnframes()))
    pcm = pcm[round(start * rate) : None if stop is None else round(stop * rate)]
    positions = np.arange(int(len(pcm) * SAMPLE_RATE / rate)) * rate / SAMPLE_RATE
    resampled: PCM = np.interp(positions, np.arange(len(pcm)), pcm).astype(np.float32)
    return resampled


def error_rate(reference: str, text: str) -> float:
    said, heard = (" ".join(normalised(word) for word in each.split()) for each in (reference, text))
    return float(jiwer.wer(said, heard))


def words(events: list[Event]) -> str:
    return " ".join(event.text for event in events if isinstance(event, Word))


async def rest(stream: Stream) -> list[Event]:
    """Every event up to the end."""
    async with asyncio.timeout(TIMEOUT):
        return [event async for event in stream]


async def until(stream: Stream, kind: type[Event]) -> list[Event]:
    """The events up to the first of a kind."""
    events: list[Event] = []
    async with asyncio.timeout(TIMEOUT):
        async for event in stream:
            events.append(event)
            if isinstance(event, kind):
                return events
    raise AssertionError(f"the stream ended without a {kind.__name__}")


async def spoken(engine: MoonshineEngine, pcm: PCM) -> list[Event]:
    """The events of a whole call, fed as fast as the engine takes it."""
    stream = await engine.open()
    reading = asyncio.create_task(rest(stream))
    for start in range(0, len(pcm), 1920):
        await stream.feed(pcm[start : start + 1920])
    stream.finish()
    events = await reading
    await stream.close()
    return events


@pytest.fixture(scope="module")
def beckett() -> PCM:
    return recording("beckett")


@pytest.fixture
async def engine() -> AsyncIterator[MoonshineEngine]:
    engine = MoonshineEngine(EngineConfig("moonshine", capacity=2, workers=2))
    await engine.start()
    yield engine
    await engine.close()


async def test_speech_becomes_words_utterances_and_pauses(engine: MoonshineEngine, beckett: PCM) -> None:
    events = await spoken(engine, beckett)
    assert error_rate(BECKETT, words(events)) <= 0.25
    assert sum(isinstance(event, Pause) for event in events) == 6
    starts = [event.start for event in events if isinstance(event, Word)]
    assert starts == sorted(starts)
    assert 0 <= starts[0] < 1 < starts[-1] < 10


async def test_a_client_that_goes_by_steps_ends_a_turn_once_all_its_words_came(
    engine: MoonshineEngine, beckett: PCM
) -> None:
    """The third probability above 0.6, from the 13th step on, as Kyutai's Unmute goes by it."""
    events = await spoken(engine, beckett)
    steps = [event for event in events if isinstance(event, Step)]
    assert [step.index for step in steps] == list(range(1, len(beckett) // FRAME_SAMPLES + 1))
    turns = [""]
    for event in events:
        if isinstance(event, Word):
            turns[-1] = f"{turns[-1]} {event.text}"
        elif isinstance(event, Step) and event.index > 12 and event.pauses[2] > 0.6 and turns[-1]:
            turns.append("")
    assert error_rate(BECKETT, " ".join(turns)) <= 0.25
    assert [len(turn.split()) for turn in turns if turn] == [2] * 6


async def test_a_stream_reads_like_the_file_at_once(engine: MoonshineEngine) -> None:
    clip = recording("two_cities", 0, 16)
    [whole] = await engine.transcribe_batch([clip])
    assert error_rate(whole, words(await spoken(engine, clip))) <= 0.05


async def test_a_file_is_heard_apart_and_told_no_tail(engine: MoonshineEngine, beckett: PCM) -> None:
    file = await engine.open(backlog=BULK_BACKLOG + 1)
    reading = asyncio.create_task(rest(file))
    await file.feed(beckett)
    file.finish()
    events = await reading
    assert error_rate(BECKETT, words(events)) <= 0.25
    assert not any(isinstance(event, Partial) for event in events)
    assert sum(isinstance(event, Pause) for event in events) == 6
    await file.close()


async def test_callers_hear_nothing_of_each_other(engine: MoonshineEngine, beckett: PCM) -> None:
    other = recording("endgame_nagg_nell", 0, 8)
    alone = [words(await spoken(engine, clip)) for clip in (beckett, other)]
    together = [words(events) for events in await asyncio.gather(*(spoken(engine, clip) for clip in (beckett, other)))]
    assert [error_rate(*pair) for pair in zip(alone, together, strict=True)] == [
        pytest.approx(0, abs=0.1),
        pytest.approx(0, abs=0.1),
    ]


async def test_a_batch_is_answered_in_order_and_takes_no_place(engine: MoonshineEngine, beckett: PCM) -> None:
    places = [await engine.open(), await engine.open()]
    texts = await engine.transcribe_batch([beckett, np.zeros(0, np.float32), beckett[: 3 * SAMPLE_RATE]])
    assert error_rate(BECKETT, texts[0]) <= 0.25
    assert texts[1] == ""
    assert error_rate("Ever tried. Ever failed.", texts[2]) <= 0.25
    for place in places:
        await place.close()


async def test_flush_says_what_was_heard_and_the_call_goes_on(engine: MoonshineEngine, beckett: PCM) -> None:
    stream = await engine.open()
    await stream.feed(beckett[: round(1.15 * SAMPLE_RATE)])
    stream.flush()
    stream.mark(1)
    assert words(await until(stream, Mark)) == "Ever tried."
    reading = asyncio.create_task(rest(stream))
    await stream.feed(beckett[round(1.15 * SAMPLE_RATE) : 3 * SAMPLE_RATE])
    stream.finish()
    assert words(await reading) == "Ever failed."
    await stream.close()


async def test_clear_forgets_and_times_go_on(engine: MoonshineEngine, beckett: PCM) -> None:
    stream = await engine.open()
    await stream.feed(beckett[:SAMPLE_RATE])
    stream.clear()
    reading = asyncio.create_task(rest(stream))
    await stream.feed(beckett[round(1.4 * SAMPLE_RATE) : 3 * SAMPLE_RATE])
    stream.finish()
    events = await reading
    assert words(events) == "Ever failed."
    assert next(event.start for event in events if isinstance(event, Word)) >= 1.0
    await stream.close()


async def test_close_ends_the_iteration_and_frees_the_place_at_once(engine: MoonshineEngine, beckett: PCM) -> None:
    streams = [await engine.open(), await engine.open()]
    with pytest.raises(Full):
        await engine.open()
    await streams[0].feed(beckett[:SAMPLE_RATE])
    await streams[0].close()
    await streams[0].close()
    assert engine.stats().free == 1
    assert not [event for event in await rest(streams[0]) if isinstance(event, Word | Partial)]
    await (await engine.open()).close()


async def test_a_stream_takes_no_more_after_its_end(engine: MoonshineEngine) -> None:
    stream = await engine.open()
    stream.finish()
    for verb in (stream.flush, stream.clear, stream.finish):
        with pytest.raises(Misuse):
            verb()
    with pytest.raises(Misuse):
        await stream.feed(np.zeros(1920, np.float32))
    assert await rest(stream) == []
    await stream.close()


async def test_closing_the_engine_ends_every_stream(engine: MoonshineEngine) -> None:
    stream = await engine.open()
    await engine.close()
    assert await rest(stream) == []
    with pytest.raises(Unavailable):
        await engine.open()
    with pytest.raises(Unavailable):
        await engine.transcribe_batch([])


async def test_an_engine_that_died_tells_every_caller(
    engine: MoonshineEngine, beckett: PCM, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, other = await engine.open(), await engine.open()
    monkeypatch.setattr(MoonshineEars, "words", lambda self, pcm: 1 / 0)
    await stream.feed(beckett[: 2 * SAMPLE_RATE])
    for each in (stream, other):
        with pytest.raises(Unavailable, match="died"):
            await rest(each)
    with pytest.raises(Unavailable):
        await stream.feed(beckett)
    assert engine.stats().state == "down"
    assert engine.stats().free == 0


async def test_a_missing_package_is_told_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moonshine_voice", None)
    engine = MoonshineEngine(EngineConfig("moonshine"))
    with pytest.raises(Unavailable, match="pip install moonshine-voice"):
        await engine.start()
    assert engine.stats().state == "down"
    await engine.close()


async def test_an_engine_is_not_there_before_it_started() -> None:
    engine = MoonshineEngine(EngineConfig("moonshine"))
    assert engine.stats().free == 0
    with pytest.raises(Unavailable):
        await engine.open()


def test_the_capacity_is_measured_and_at_least_one() -> None:
    ears = MoonshineEars(Detector())
    assert rehearse([ears]) >= 1
    ears.close()


def test_the_detector_hears_voice_where_it_is_and_forgets_what_another_said(beckett: PCM) -> None:
    detector = Detector()
    lead = np.zeros(16 * 768, np.float32)
    quiet = np.random.default_rng(1).normal(0, 0.002, 40 * 768).astype(np.float32)
    assert sum(detector.voice(beckett[: 40 * 768])) > 15
    assert sum(detector.voice(np.concatenate((lead, quiet)))[16:]) <= 1


def clips() -> Sequence[Clip]:
    """Three sentences that share no word, each with the silence behind it."""
    return [
        Clip(recording("beckett", 0, 1.55), ("Ever", "tried")),
        Clip(recording("beckett", 3.1, 4.6), ("No", "matter")),
        Clip(recording("endgame_nagg_nell", 17.2, 19.1), ("What", "are", "you", "talking", "about")),
    ]


@asynccontextmanager
async def running(capacity: int) -> AsyncIterator[MoonshineEngine]:
    engine = MoonshineEngine(EngineConfig("moonshine", capacity=capacity, workers=1))
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


class TestMoonshineContract(EngineContract):
    """What every engine promises."""

    @pytest.fixture
    def case(self) -> Case:
        return Case(running, clips, tolerance=0.25)
