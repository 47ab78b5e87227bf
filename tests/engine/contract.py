"""What every engine promises, whatever it is made of. test_contract.py lists the engines and runs this on each."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import jiwer
import numpy as np
import pytest

from engine.base import FRAME_SAMPLES, PCM, SAMPLE_RATE, Engine, Stream
from engine.errors import Full, Misuse, Unavailable
from engine.events import Event, Mark, Step, Word, WordEnd

PATIENCE = 40.0  # seconds for what should come at once, on a machine with much else to do


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Speech, and the words in it."""

    pcm: PCM
    words: tuple[str, ...]

    @property
    def seconds(self) -> float:
        return len(self.pcm) / SAMPLE_RATE


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """An engine under test: how it is run with a number of places, what to say to it, how well it must hear."""

    running: Callable[[int], AbstractAsyncContextManager[Engine]]
    clips: Callable[[], Sequence[Clip]]  # at least three that share no word
    tolerance: float = 0.0  # word error rate
    streams: int = 10  # callers at once


class EngineContract:
    """The promises. A subclass provides the fixture `case`."""

    @pytest.fixture
    async def engine(self, case: Case) -> AsyncIterator[Engine]:
        async with case.running(case.streams) as engine:
            yield engine

    async def test_words_come_in_order_with_their_times(self, engine: Engine, case: Case) -> None:
        clip = joined(case.clips())
        stream = await engine.open(backlog=60.0)
        events = await said(stream, clip)
        words = [event for event in events if isinstance(event, Word)]
        starts = [word.start for word in words]
        hears(case, clip, words)
        assert starts == sorted(starts)
        assert all(0.0 <= start <= clip.seconds for start in starts)
        ends = [event.stop for event in events if isinstance(event, WordEnd)]
        assert ends == sorted(ends)
        assert all(0.0 <= end <= clip.seconds + 0.1 for end in ends)

    async def test_every_word_has_its_end_before_a_mark_or_the_end(self, engine: Engine, case: Case) -> None:
        first, second, *_ = case.clips()
        stream = await engine.open(backlog=60.0)
        await stream.feed(first.pcm)
        stream.mark(1)
        before = await until_mark(stream, 1)
        after = await said(stream, second)
        for events in (before, after):
            told = [type(event) for event in events if isinstance(event, Word | WordEnd)]
            assert told == [Word, WordEnd] * (len(told) // 2)
            assert told

    async def test_a_word_that_a_mark_cuts_or_clear_forgets_has_its_end_too(self, engine: Engine, case: Case) -> None:
        clip = joined(case.clips())
        stream = await engine.open(backlog=60.0)
        reading = asyncio.create_task(rest(stream))
        for number, start in enumerate(range(0, len(clip.pcm), 5 * FRAME_SAMPLES)):
            await stream.feed(clip.pcm[start : start + 5 * FRAME_SAMPLES])
            stream.mark(number)
            if number % 8 == 7:
                stream.clear()
        stream.finish()
        kept = [type(event) for event in await reading if isinstance(event, Word | WordEnd | Mark)]
        assert Word in kept
        assert all(after is WordEnd for kind, after in itertools.pairwise([*kept, Mark]) if kind is Word)
        assert kept.count(Word) == kept.count(WordEnd)
        await stream.close()

    async def test_steps_count_the_frames_of_the_audio(self, engine: Engine, case: Case) -> None:
        """Those of silence that an engine feeds itself may be counted too."""
        clip = case.clips()[0]
        stream = await engine.open(backlog=60.0)
        steps = [event for event in await said(stream, clip) if isinstance(event, Step)]
        assert [step.index for step in steps] == list(range(1, len(steps) + 1))
        assert len(steps) >= len(clip.pcm) // FRAME_SAMPLES
        assert {len(step.pauses) for step in steps} == {4}
        assert all(0.0 <= pause <= 1.0 for step in steps for pause in step.pauses)

    async def test_words_come_while_audio_is_fed(self, engine: Engine, case: Case) -> None:
        """Nothing but audio is needed: the first word does not wait for the end."""
        clip = joined(case.clips())
        stream = await engine.open(backlog=60.0)
        await stream.feed(clip.pcm)
        first = await anext(event async for event in stream if isinstance(event, Word))
        assert first.text
        await stream.close()

    async def test_finish_drains_then_ends(self, engine: Engine, case: Case) -> None:
        clip = case.clips()[0]
        stream = await engine.open(backlog=60.0)
        hears(case, clip, await said(stream, clip))
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    async def test_finish_without_audio_ends_at_once(self, engine: Engine) -> None:
        stream = await engine.open()
        stream.finish()
        assert [event for event in await rest(stream) if isinstance(event, Word)] == []

    async def test_flush_tells_what_waits_and_leaves_times_alone(self, engine: Engine, case: Case) -> None:
        first, second, *_ = case.clips()
        stream = await engine.open(backlog=60.0)
        await stream.feed(first.pcm)
        stream.flush()
        stream.mark(1)
        hears(case, first, await until_mark(stream, 1))
        later = [event for event in await said(stream, second) if isinstance(event, Word)]
        hears(case, second, later)
        assert all(first.seconds - 0.1 <= word.start <= first.seconds + second.seconds for word in later)

    async def test_clear_forgets_and_times_go_on(self, engine: Engine, case: Case) -> None:
        first, second, *_ = case.clips()
        stream = await engine.open(backlog=60.0)
        await stream.feed(first.pcm)
        stream.clear()
        stream.mark(1)
        await until_mark(stream, 1)
        later = [event for event in await said(stream, second) if isinstance(event, Word)]
        hears(case, second, later)
        assert all(first.seconds - 0.1 <= word.start <= first.seconds + second.seconds for word in later)

    async def test_a_mark_follows_the_words_before_it_without_more_audio(self, engine: Engine, case: Case) -> None:
        clip = case.clips()[0]
        stream = await engine.open(backlog=60.0)
        await stream.feed(clip.pcm)
        stream.mark(7)
        hears(case, clip, await until_mark(stream, 7))
        await stream.close()

    async def test_marks_keep_their_order(self, engine: Engine, case: Case) -> None:
        clip = case.clips()[0]
        stream = await engine.open(backlog=60.0)
        stream.mark(1)
        await stream.feed(clip.pcm)
        stream.mark(2)
        stream.mark(3)
        stream.finish()
        marks = [event for event in await rest(stream) if isinstance(event, Mark)]
        assert marks == [Mark(1), Mark(2), Mark(3)]

    async def test_close_ends_the_iteration(self, engine: Engine, case: Case) -> None:
        stream = await engine.open(backlog=60.0)
        await stream.feed(case.clips()[0].pcm)
        reading = asyncio.create_task(rest(stream))
        await stream.close()
        await asyncio.wait_for(reading, PATIENCE)
        await stream.close()

    async def test_close_frees_the_place_at_once(self, case: Case) -> None:
        async with case.running(1) as engine:
            for clip in case.clips()[:3]:
                stream = await engine.open(backlog=60.0)
                await stream.feed(clip.pcm)
                await stream.close()
                assert engine.stats().live == 0
            clip = case.clips()[0]
            hears(case, clip, await said(await engine.open(backlog=60.0), clip))

    async def test_a_full_house_says_so_in_moshi_servers_words(self, case: Case) -> None:
        async with case.running(2) as engine:
            stats = engine.stats()
            assert (stats.state, stats.capacity, stats.free) == ("ready", 2, 2)
            streams = [await engine.open() for _ in range(2)]
            assert engine.stats().free == 0
            with pytest.raises(Full, match=r"^no free channels$"):
                await engine.open()
            await streams[0].close()
            await (await engine.open()).close()

    async def test_callers_hear_no_word_of_each_other(self, engine: Engine, case: Case) -> None:
        clips = [case.clips()[index % len(case.clips())] for index in range(case.streams)]
        streams = [await engine.open() for _ in clips]
        told = await asyncio.gather(*map(paced, streams, clips))
        for clip, events in zip(clips, told, strict=True):
            hears(case, clip, events)

    async def test_a_place_remembers_nothing_of_its_last_caller(self, case: Case) -> None:
        first, second, *_ = case.clips()
        async with case.running(1) as engine:
            left = await engine.open(backlog=60.0)
            await left.feed(first.pcm)
            await left.close()
            words = [word for word in await said(await engine.open(backlog=60.0), second) if isinstance(word, Word)]
            hears(case, second, words)
            assert words[0].start <= second.seconds

    async def test_a_batch_of_clips_keeps_its_order(self, case: Case) -> None:
        clips = [*case.clips(), *case.clips()]
        async with case.running(2) as engine:
            texts = await asyncio.wait_for(engine.transcribe_batch([clip.pcm for clip in clips]), 2 * PATIENCE)
            for clip, text in zip(clips, texts, strict=True):
                assert error_rate(clip.words, text.split()) <= case.tolerance
            assert await engine.transcribe_batch([]) == []
            assert await engine.transcribe_batch([np.zeros(0, dtype=np.float32)]) == [""]
            assert engine.stats().live == 0

    async def test_a_small_backlog_loses_nothing(self, engine: Engine, case: Case) -> None:
        clip = joined(case.clips())
        stream = await engine.open(backlog=0.5)
        hears(case, clip, await asyncio.wait_for(paced(stream, clip), 2 * PATIENCE))

    @pytest.mark.parametrize(
        "audio", [np.zeros((2, 10), np.float32), np.zeros(10, np.float64), np.zeros(10, np.int16), [0.0]]
    )
    async def test_audio_of_another_kind_is_misuse(self, engine: Engine, audio: PCM) -> None:
        stream = await engine.open()
        with pytest.raises(Misuse):
            await stream.feed(audio)
        with pytest.raises(Misuse):
            await engine.transcribe_batch([audio])
        await stream.close()

    async def test_poison_in_the_audio_harms_nobody(self, case: Case) -> None:
        clip = case.clips()[0]
        async with case.running(1) as engine:
            poisoned = await engine.open(backlog=60.0)
            await poisoned.feed(np.array([np.nan, np.inf, -np.inf, 1e38] * FRAME_SAMPLES, np.float32))
            poisoned.finish()
            await rest(poisoned)
            await poisoned.close()
            hears(case, clip, await said(await engine.open(backlog=60.0), clip))

    async def test_verbs_after_the_end_are_misuse(self, engine: Engine) -> None:
        silence = np.zeros(FRAME_SAMPLES, dtype=np.float32)
        finished, closed = await engine.open(), await engine.open()
        finished.finish()
        await closed.close()
        for stream in (finished, closed):
            for verb in (stream.flush, stream.clear, stream.finish, lambda stream=stream: stream.mark(1)):
                with pytest.raises(Misuse):
                    verb()
            with pytest.raises(Misuse):
                await stream.feed(silence)
        await finished.close()

    async def test_closing_the_engine_ends_every_stream(self, case: Case) -> None:
        async with case.running(2) as engine:
            stream = await engine.open()
            reading = asyncio.create_task(rest(stream))
            await engine.close()
            await asyncio.wait_for(reading, PATIENCE)
            await stream.close()
            assert engine.stats().state == "closed"
            with pytest.raises(Unavailable):
                await engine.open()
            await engine.close()

    async def test_an_engine_starts_once(self, engine: Engine) -> None:
        with pytest.raises(Misuse):
            await engine.start()


def joined(clips: Sequence[Clip]) -> Clip:
    """The clips, one after another."""
    return Clip(np.concatenate([clip.pcm for clip in clips]), tuple(word for clip in clips for word in clip.words))


async def said(stream: Stream, clip: Clip) -> list[Event]:
    """Everything told of the clip, fed in one piece and then finished; the stream is closed."""
    await stream.feed(clip.pcm)
    stream.finish()
    events = await rest(stream)
    await stream.close()
    return events


async def paced(stream: Stream, clip: Clip) -> list[Event]:
    """Everything told of the clip, fed a frame at a time while it is read."""
    reading = asyncio.create_task(rest(stream))
    for start in range(0, len(clip.pcm), FRAME_SAMPLES):
        await stream.feed(clip.pcm[start : start + FRAME_SAMPLES])
    stream.finish()
    events = await reading
    await stream.close()
    return events


async def rest(stream: Stream) -> list[Event]:
    """What is still told, up to the end."""
    async with asyncio.timeout(PATIENCE):
        return [event async for event in stream]


async def until_mark(stream: Stream, id: int) -> list[Event]:
    """What is told before `Mark(id)`."""
    events: list[Event] = []
    async with asyncio.timeout(PATIENCE):
        async for event in stream:
            if event == Mark(id):
                return events
            events.append(event)
    raise AssertionError(f"the stream ended before mark {id}")


def hears(case: Case, clip: Clip, events: Sequence[Event]) -> None:
    """Assert that the words told are the clip's, as well as this engine hears."""
    words = [event.text for event in events if isinstance(event, Word)]
    assert error_rate(clip.words, words) <= case.tolerance, (clip.words, words)


def error_rate(reference: Sequence[str], words: Sequence[str]) -> float:
    """The word error rate, blind to case and punctuation."""
    return float(jiwer.wer(_plain(reference), _plain(words)))


def _plain(words: Sequence[str]) -> str:
    return " ".join("".join(letter for letter in word.lower() if letter.isalnum()) for word in words)
