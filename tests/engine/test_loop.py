"""The batch in its thread: what the contract cannot see from outside."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from time import monotonic

import numpy as np
import pytest

from engine.base import CHUNK_SAMPLES, EVENTS_KEPT, FRAME_SAMPLES, PCM, SAMPLE_RATE, Stream, Upkeep
from engine.batch import Mask
from engine.errors import Full, Overrun, Unavailable
from engine.events import Event, Mark, Word
from engine.loop import BatchedEngine
from engine.slots import ModelEvent
from tests.engine.models import Rewindable

SILENCE = np.zeros(FRAME_SAMPLES, dtype=np.float32)
SECOND = np.zeros(SAMPLE_RATE, dtype=np.float32)
CHUNK = np.zeros(CHUNK_SAMPLES, dtype=np.float32)
PATIENCE = 10.0


class Gated(Rewindable):
    """A model that steps only while its gate is open, says one word a step, and fails when it is told to."""

    sample_rate = SAMPLE_RATE
    frame_size = FRAME_SAMPLES
    batch_size = 2
    delay = 1

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.in_step = threading.Event()
        self.error: Exception | None = None
        self.steps = 0
        self.thread = ""

    def step(self, pcm: PCM, active: Mask, reset: Mask) -> Sequence[Sequence[ModelEvent]]:
        self.thread = threading.current_thread().name
        self.in_step.set()
        assert self.gate.wait(PATIENCE)
        self.steps += 1
        if self.error is not None:
            raise self.error
        return [[Word("word", 0.0)] for _ in active]


@pytest.fixture
def model() -> Gated:
    return Gated()


@pytest.fixture
async def engine(model: Gated) -> AsyncIterator[BatchedEngine]:
    engine = BatchedEngine(lambda: model, capacity=2)
    await engine.start()
    yield engine
    model.gate.set()
    await engine.close()


async def test_feed_waits_while_more_than_the_backlog_waits(engine: BatchedEngine, model: Gated) -> None:
    stream = await engine.open(backlog=1.0)
    await stream.feed(SECOND)
    await stream.feed(SILENCE)  # at the limit there is still room
    waiting = asyncio.create_task(stream.feed(SILENCE))
    await asyncio.sleep(0)
    assert not waiting.done()
    model.gate.set()
    await asyncio.wait_for(waiting, PATIENCE)


async def test_a_long_piece_waits_too(engine: BatchedEngine) -> None:
    stream = await engine.open(backlog=1.0)
    feeding = asyncio.create_task(stream.feed(np.zeros(10 * SAMPLE_RATE, dtype=np.float32)))
    await asyncio.sleep(0)
    assert not feeding.done()
    feeding.cancel()


async def test_clear_makes_room_for_who_waits(engine: BatchedEngine, model: Gated) -> None:
    stream = await engine.open(backlog=0.1)
    await stream.feed(CHUNK)
    stream.clear()
    model.gate.set()
    await asyncio.wait_for(stream.feed(SILENCE), PATIENCE)


async def test_closing_lets_go_of_who_waits_to_feed(engine: BatchedEngine) -> None:
    stream = await engine.open(backlog=0.1)
    await stream.feed(CHUNK)
    waiting = asyncio.create_task(stream.feed(SILENCE))
    await asyncio.sleep(0)
    await stream.close()
    with pytest.raises(Exception, match="closed"):
        await asyncio.wait_for(waiting, PATIENCE)


async def test_a_step_that_ends_too_late_reaches_nobody(engine: BatchedEngine, model: Gated) -> None:
    """The place is free in the middle of a step, and its next caller does not hear the end of it."""
    old = await engine.open()
    await old.feed(SILENCE)
    await asyncio.to_thread(model.in_step.wait, PATIENCE)
    await old.close()
    assert engine.stats().live == 0
    new = await engine.open()
    new.mark(1)
    model.gate.set()
    assert await asyncio.wait_for(anext(new), PATIENCE) == Mark(1)
    with pytest.raises(StopAsyncIteration):
        await anext(old)


async def test_a_failing_step_tells_every_stream(engine: BatchedEngine, model: Gated) -> None:
    streams = [await engine.open(backlog=0.1) for _ in range(2)]
    for stream in streams:
        await stream.feed(CHUNK)
    feeding = asyncio.create_task(streams[0].feed(SILENCE))
    model.error = RuntimeError("out of memory")
    model.gate.set()
    for stream in streams:
        with pytest.raises(Unavailable, match="out of memory"):
            await asyncio.wait_for(anext(stream), PATIENCE)
    with pytest.raises(Unavailable):
        await feeding
    assert engine.stats().state == "down"
    assert engine.stats().free == 0
    with pytest.raises(Unavailable, match="out of memory"):
        await engine.open()
    for stream in streams:
        stream.flush()
        await stream.close()
    assert engine.stats().live == 0


async def test_a_step_that_does_not_end_is_stuck_until_it_does(
    engine: BatchedEngine, model: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.loop.STUCK_AFTER", 0.0)
    assert engine.stats().state == "ready"
    stream = await engine.open()
    await stream.feed(SILENCE)
    await asyncio.to_thread(model.in_step.wait, PATIENCE)
    assert engine.stats().state == "stuck"
    assert engine.stats().free == 0
    with pytest.raises(Unavailable, match="stuck"):
        await engine.open()
    model.gate.set()
    await asyncio.wait_for(anext(stream), PATIENCE)
    assert engine.stats().state == "ready"


async def test_while_steps_take_too_long_nobody_new_is_let_in(engine: BatchedEngine) -> None:
    """But clips are heard: they go last."""
    for _ in range(100):
        engine._pace.took(0.08, 1, monotonic())
    stats = engine.stats()
    assert (stats.state, stats.admitting, stats.free) == ("ready", False, 0)
    assert stats.load.step_p99 == 0.08
    with pytest.raises(Full):
        await engine.open()
    assert await engine.transcribe_batch([]) == []
    for _ in range(100):
        engine._pace.took(0.01, 1, monotonic())
    assert engine.stats().free == 2


async def test_the_figures_count_what_waits(engine: BatchedEngine) -> None:
    stream = await engine.open()
    await stream.feed(SECOND)
    assert engine.stats().load.backlog == 1.0


async def test_the_figures_tell_what_was_done_to_keep_the_model_well(
    engine: BatchedEngine, model: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "upkeep", Upkeep(3, 2, 1))
    assert engine.stats().upkeep == Upkeep(refreshes=3, stalls=2, losses=1)


async def test_without_a_capacity_it_is_measured() -> None:
    model = Gated()
    model.gate.set()
    engine = BatchedEngine(lambda: model)
    await engine.start()
    assert engine.stats().capacity == 2
    assert model.steps > 10
    await engine.close()


async def test_a_failure_ends_a_batch_that_waits_for_a_place(engine: BatchedEngine, model: Gated) -> None:
    live = [await engine.open() for _ in range(2)]
    batch = asyncio.create_task(engine.transcribe_batch([SECOND]))
    await live[0].feed(SILENCE)
    model.error = RuntimeError("broken")
    model.gate.set()
    with pytest.raises(Unavailable, match="broken"):
        await asyncio.wait_for(batch, PATIENCE)


async def test_a_batch_waits_for_a_place(engine: BatchedEngine, model: Gated) -> None:
    model.gate.set()
    live = [await engine.open() for _ in range(2)]
    batch = asyncio.create_task(engine.transcribe_batch([SILENCE]))
    await asyncio.sleep(0)
    assert not batch.done()
    await live[0].close()
    assert await asyncio.wait_for(batch, PATIENCE) == ["word word"]  # its frame and one of the delay


async def test_a_model_that_cannot_be_loaded_says_why() -> None:
    def load() -> Gated:
        raise FileNotFoundError("no weights here")

    engine = BatchedEngine(load)
    with pytest.raises(Unavailable, match="no weights here"):
        await engine.start()
    assert engine.stats().state == "down"
    await engine.close()


async def test_before_the_start_there_is_no_place(model: Gated) -> None:
    engine = BatchedEngine(lambda: model)
    with pytest.raises(Unavailable, match="not been started"):
        await engine.open()
    await engine.close()


async def test_the_capacity_is_the_smaller_of_batch_and_wish() -> None:
    for wish, capacity in ((2, 2), (1, 1), (9, 2)):
        engine = BatchedEngine(Gated, wish)
        await engine.start()
        assert engine.stats().capacity == capacity
        await engine.close()


async def test_the_model_lives_in_the_engines_thread_which_ends(engine: BatchedEngine, model: Gated) -> None:
    model.gate.set()
    stream = await engine.open()
    await stream.feed(SILENCE)
    await anext(stream)
    assert model.thread == "engine"
    await engine.close()
    assert "engine" not in [thread.name for thread in threading.enumerate()]


async def test_a_reader_who_lags_has_overrun(engine: BatchedEngine, model: Gated) -> None:
    model.gate.set()
    stream = await engine.open(backlog=0.0)  # what is fed has been heard before the next piece is taken
    with pytest.raises(Overrun):
        await asyncio.wait_for(stream.feed(np.zeros((EVENTS_KEPT + 10) * FRAME_SAMPLES, dtype=np.float32)), PATIENCE)
    kept: list[Event] = []
    with pytest.raises(Overrun):
        await _read_into(kept, stream)
    assert len(kept) == EVENTS_KEPT


async def _read_into(kept: list[Event], stream: Stream) -> None:
    async for event in stream:
        kept.append(event)


async def test_a_step_wakes_the_event_loop_once(
    engine: BatchedEngine, model: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    posts: list[str] = []
    post = loop.call_soon_threadsafe

    def counted(*args: object, **kwargs: object) -> object:
        if threading.current_thread().name == "engine":
            posts.append("")
        return post(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    streams = [await engine.open() for _ in range(2)]
    for stream in streams:
        await stream.feed(SECOND[: 5 * FRAME_SAMPLES])
    model.gate.set()
    for stream in streams:
        stream.mark(1)
        async for event in stream:
            if event == Mark(1):
                break
    assert len(posts) == model.steps
