"""The engine's own process: what becomes of it, and of its streams, when it dies."""

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from engine.base import CHUNK_SAMPLES, SAMPLE_RATE, EngineConfig, Stats
from engine.errors import Unavailable
from engine.events import Event, Mark
from engine.process import Child, ProcessEngine, _backoff
from engine.scripted import say

CHUNK = np.zeros(CHUNK_SAMPLES, dtype=np.float32)
PATIENCE = 15.0
SCRIPTED = EngineConfig("scripted", capacity=3)


@pytest.fixture
async def engine() -> AsyncIterator[ProcessEngine]:
    engine = ProcessEngine(SCRIPTED)
    await engine.start()
    yield engine
    await engine.close()


def child_of(engine: ProcessEngine) -> psutil.Process:
    assert engine.pid is not None
    return psutil.Process(engine.pid)


async def ended(pid: int) -> None:
    """Wait for the end of a process, whoever reaps it."""
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    descriptor = os.pidfd_open(pid)
    loop.add_reader(descriptor, gone.set)
    try:
        await asyncio.wait_for(gone.wait(), PATIENCE)
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def until(engine: ProcessEngine, holds: Callable[[Stats], bool]) -> Stats:
    """Wait until the figures are as they should be; an engine tells of a restart only there."""
    async with asyncio.timeout(PATIENCE):
        while not holds(engine.stats()):  # noqa: ASYNC110 - the contract has no event for it
            await asyncio.sleep(0.01)
    return engine.stats()


async def back(engine: ProcessEngine, restarts: int) -> Stats:
    """Wait until the engine has been started again."""
    return await until(engine, lambda stats: stats.state == "ready" and stats.restarts >= restarts)


async def test_a_killed_child_is_told_to_every_stream_at_once(engine: ProcessEngine) -> None:
    streams = [await engine.open(backlog=60.0) for _ in range(3)]
    reading = [asyncio.create_task(anext(stream)) for stream in streams]
    child_of(engine).kill()
    for task in reading:
        with pytest.raises(Unavailable, match="died"):
            await asyncio.wait_for(task, 1.0)
    for stream in streams:
        with pytest.raises(Unavailable, match="died"):
            await stream.feed(CHUNK)
        stream.flush()
        await stream.close()
    assert engine.stats().free == 0


async def test_a_killed_child_is_replaced(engine: ProcessEngine) -> None:
    old = child_of(engine)
    directory = Path(old.cmdline()[-1]).parent
    stream = await engine.open()
    old.kill()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(anext(stream), 1.0)
    assert engine.stats().state in ("down", "starting")
    with pytest.raises(Unavailable):
        await engine.open()
    await stream.close()
    stats = await back(engine, restarts=1)
    assert (stats.capacity, stats.live, stats.restarts) == (3, 0, 1)
    assert engine.pid != old.pid
    assert not directory.exists()
    assert await engine.transcribe_batch([say(["alpha", "bravo"])]) == ["alpha bravo"]


@pytest.mark.parametrize("capacity", [0, 2])
async def test_the_capacity_is_measured_once_unless_a_start_fails(
    capacity: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    launch = Child.launch

    async def launched(config: EngineConfig, timeout: float) -> Child:
        asked.append(config.capacity)
        if len(asked) == 3:
            raise Unavailable("no room")
        return await launch(replace(config, capacity=2), timeout)

    monkeypatch.setattr(Child, "launch", launched)
    engine = ProcessEngine(EngineConfig("scripted", capacity=capacity))
    await engine.start()
    try:
        for restarts in (1, 3):
            child_of(engine).kill()
            await back(engine, restarts)
        assert asked == [capacity, 2, 2, capacity]
    finally:
        await engine.close()


async def test_a_batch_fails_with_its_child(engine: ProcessEngine) -> None:
    child = child_of(engine)
    child.suspend()
    batch = asyncio.create_task(engine.transcribe_batch([CHUNK]))
    await asyncio.sleep(0)
    child.kill()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(batch, PATIENCE)


async def test_a_child_that_stands_still_makes_feed_wait(engine: ProcessEngine) -> None:
    """And nothing is lost when it goes on."""
    stream = await engine.open(backlog=2.0)
    child = child_of(engine)
    child.suspend()
    fed = 0
    with pytest.raises(TimeoutError):  # noqa: PT012 - it is one of these that waits
        for _ in range(100):
            await asyncio.wait_for(stream.feed(CHUNK), 0.3)
            fed += CHUNK_SAMPLES
    assert fed <= 3 * SAMPLE_RATE
    child.resume()
    await asyncio.wait_for(stream.feed(CHUNK), PATIENCE)
    stream.mark(1)
    told: list[Event] = []
    async with asyncio.timeout(PATIENCE):
        async for event in stream:
            told.append(event)
            if event == Mark(1):
                break
    assert told[-1] == Mark(1)
    await stream.close()


async def test_closing_a_stream_does_not_wait_for_a_child_that_stands_still(engine: ProcessEngine) -> None:
    streams = [await engine.open() for _ in range(3)]
    child = child_of(engine)
    child.suspend()
    for stream in streams:
        await asyncio.wait_for(stream.close(), 1.0)
    assert engine.stats().free == 3
    child.resume()
    for _ in range(3):
        await engine.open()


async def test_a_child_that_stands_still_is_stuck_until_it_goes_on(engine: ProcessEngine) -> None:
    stream = await engine.open()
    child = child_of(engine)
    child.suspend()
    began = asyncio.get_running_loop().time()
    stats = await until(engine, lambda stats: stats.state == "stuck")
    assert asyncio.get_running_loop().time() - began < 6.0
    assert (stats.capacity, stats.live, stats.free, stats.restarts) == (3, 1, 0, 0)
    for refused in (engine.open(), engine.transcribe_batch([CHUNK])):
        with pytest.raises(Unavailable, match="stuck"):
            await refused
    child.resume()
    stats = await until(engine, lambda stats: stats.state == "ready")
    assert (stats.free, stats.restarts) == (2, 0)
    stream.mark(1)
    assert await asyncio.wait_for(anext(stream), PATIENCE) == Mark(1)


async def test_a_child_that_stays_stuck_is_killed_and_replaced(
    engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.process.END_TIMEOUT", 0.1)
    monkeypatch.setattr("engine.pulse.HOPELESS", 5)
    stream = await engine.open()
    child = child_of(engine)
    child.suspend()
    with pytest.raises(Unavailable, match="stuck"):
        await asyncio.wait_for(anext(stream), PATIENCE)
    await stream.close()
    stats = await back(engine, restarts=1)
    assert stats.live == 0
    assert not child.is_running()
    assert await engine.transcribe_batch([say(["alpha"])]) == ["alpha"]


async def test_how_hard_the_child_works_is_told(engine: ProcessEngine) -> None:
    assert await engine.transcribe_batch([say(["alpha"])]) == ["alpha"]
    load = (await until(engine, lambda stats: stats.load.step_p50 > 0)).load
    assert load.step_p50 <= load.step_p99
    assert 0 < load.fill <= 1


async def test_close_ends_the_child_and_removes_its_directory(engine: ProcessEngine) -> None:
    child = child_of(engine)
    directory = Path(child.cmdline()[-1]).parent
    assert directory.stat().st_mode & 0o777 == 0o700
    await engine.close()
    assert not directory.exists()
    assert not child.is_running()
    assert engine.stats().state == "closed"


async def test_a_child_that_stands_still_is_killed_at_close(
    engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.process.END_TIMEOUT", 0.1)
    child = child_of(engine)
    child.suspend()
    await asyncio.wait_for(engine.close(), PATIENCE)
    assert not child.is_running()


async def test_signals_to_the_group_leave_the_child_to_its_parent(engine: ProcessEngine) -> None:
    child = child_of(engine)
    for signum in (signal.SIGINT, signal.SIGTERM):
        child.send_signal(signum)
    assert await engine.transcribe_batch([say(["golf"])]) == ["golf"]
    assert engine.stats().restarts == 0


async def test_a_child_that_cannot_start_says_why() -> None:
    engine = ProcessEngine(EngineConfig("remote"))
    with pytest.raises(Unavailable, match="needs an address"):
        await engine.start()
    assert engine.stats().state == "down"
    with pytest.raises(Unavailable, match="needs an address"):
        await engine.open()
    await engine.close()


async def test_a_child_that_takes_too_long_is_given_up() -> None:
    engine = ProcessEngine(SCRIPTED, start_timeout=0.0)
    with pytest.raises(Unavailable, match="not ready within"):
        await engine.start()
    await engine.close()


async def test_a_child_that_dies_before_it_is_ready_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    engine = ProcessEngine(SCRIPTED)
    with pytest.raises(Unavailable, match="ended with status 1"):
        await engine.start()
    await engine.close()


async def test_a_child_that_cannot_come_back_is_tried_again_and_again(
    engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/bin/false")
        child_of(engine).kill()
        stats = await until(engine, lambda stats: stats.restarts == 2)
        assert stats.state in ("down", "starting")
        assert engine.pid is None
    await back(engine, restarts=2)


async def test_a_child_for_which_there_is_no_room_is_tried_again_and_again(
    engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("engine.process.socket.socketpair", full)
        child_of(engine).kill()
        await until(engine, lambda stats: stats.restarts == 2)
        with pytest.raises(Unavailable, match="Too many open files"):
            await engine.open()
    await back(engine, restarts=3)


def test_restarts_begin_at_once_and_then_take_their_time() -> None:
    waits = list(itertools.islice(_backoff(), 20))
    assert waits[0] == 0.0
    assert waits == sorted(waits)
    assert 5.0 < waits[-1] < 10.0  # an engine that can start is back within ten seconds


async def test_a_child_does_not_outlive_its_parent() -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT),
        stdout=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
        cwd=os.getcwd(),
    )
    assert parent.stdout is not None
    line = await asyncio.wait_for(parent.stdout.readline(), PATIENCE)
    directory = Path(psutil.Process(int(line)).cmdline()[-1]).parent
    assert directory.exists()
    leaving = asyncio.create_task(ended(int(line)))
    parent.kill()
    await parent.wait()
    await leaving
    assert not directory.exists()


PARENT = """
import asyncio
from engine.base import EngineConfig
from engine.process import ProcessEngine

async def main():
    engine = ProcessEngine(EngineConfig("scripted"))
    await engine.start()
    print(engine.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
