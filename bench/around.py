"""What the engine costs around its model: the batch, its thread, and the delivery to 64 callers.

    python -m bench.around [--seconds 10]

The model is a pretender: it pauses, as one that waits for a GPU does, and says what talkative callers would make it
say. `bench.engine` measures the real one. The figures go to results/around.json.
"""

import argparse
import asyncio
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import numpy as np

from bench import save
from engine.base import FRAME_SAMPLES, LIVE_BACKLOG, PCM, SAMPLE_RATE, Stream, Upkeep
from engine.batch import Batch, Mask
from engine.events import Partial, Step, Word, WordEnd
from engine.host import Host
from engine.loop import BatchedEngine
from engine.process import ProcessEngine, ProcessStream
from engine.slots import ModelEvent, Slot
from engine.verbs import Audio

FRAME_SECONDS = FRAME_SAMPLES / SAMPLE_RATE
CALLERS = 64
MUST_STEP = 2.0  # ms around the model's step
MUST_DELAY = 5.0  # ms of the event loop's delay at p99
TICK = 0.005  # seconds between two looks at the event loop's delay
PLACES = ("engine in a thread", "engine in a process: here", "engine in a process: there")
PAUSES = (0.0, 0.02, 0.05)  # seconds of the pretender's step


class Pretender:
    """A model that pauses, as one that waits for a GPU does, and says what talkative callers would make it say."""

    sample_rate = SAMPLE_RATE
    frame_size = FRAME_SAMPLES
    delay = 6
    hurried = False
    upkeep = Upkeep()

    def __init__(self, batch_size: int, pause: float) -> None:
        self.batch_size = batch_size
        self.seconds: list[float] = []  # of each step
        self._pause = pause
        self._steps = 0

    def step(self, pcm: PCM, active: Mask, reset: Mask) -> Sequence[Sequence[ModelEvent]]:
        """A pause, and then a Step for everybody, a tail for half, a word for one in five: three words a second."""
        began = time.perf_counter()
        if self._pause:
            time.sleep(self._pause)
        self._steps += 1
        said = [self._said(row) for row in range(self.batch_size)]
        self.seconds.append(time.perf_counter() - began)
        return said

    def save(self, rows: Mask) -> None:
        """Nothing is to be kept."""

    def restore(self, rows: Mask) -> None:
        """Nothing was."""

    def resize(self, batch_size: int) -> None:
        """Hold so many rows."""
        self.batch_size = batch_size

    def _said(self, row: int) -> list[ModelEvent]:
        at = self._steps * FRAME_SECONDS
        events: list[ModelEvent] = [Step(0, (0.1, 0.1, 0.1, 0.1), 0.0)]
        match (self._steps + row) % 4:
            case 0:
                events = [Word("word", at), Partial(""), *events]
            case 2:
                events = [Partial("wor"), WordEnd(at), *events]
        return events


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Median, p99 and worst, in milliseconds."""
    return {
        "p50": round(float(np.median(seconds)) * 1e3, 3),
        "p99": round(float(np.quantile(seconds, 0.99)) * 1e3, 3),
        "worst": round(max(seconds) * 1e3, 3),
    }


def batch_alone(callers: int, steps: int) -> dict[str, float]:
    """What a tick takes around the model's step, in one thread that does nothing else."""
    model = Pretender(callers, 0.0)
    batch = Batch(model)
    slots = [Slot(row, FRAME_SAMPLES, model.delay) for row in range(callers)]
    for slot in slots:
        batch.join(slot)
    frame: PCM = np.zeros(FRAME_SAMPLES, dtype=np.float32)
    around = []
    for _ in range(steps):
        for slot in slots:
            batch.add(slot, Audio(frame), 0.0)
        began = time.perf_counter()
        batch.tick(0.0)
        around.append(time.perf_counter() - began - model.seconds[-1])
    return quantiles(around)


class Delay:
    """How late the event loop calls what was to be called: looked at every few milliseconds.

    `own` is the part in which this process was at work, in whatever thread; in the rest others had the processor.
    """

    def __init__(self) -> None:
        self._seconds: list[float] = []
        self._own: list[float] = []
        self._loop = asyncio.get_running_loop()
        self._busy = time.process_time()
        self._due = self._loop.time() + TICK
        self._timer = self._loop.call_at(self._due, self._look)

    def stop(self) -> dict[str, dict[str, float]]:
        """The figures so far."""
        self._timer.cancel()
        return {"own": quantiles(self._own), "all": quantiles(self._seconds)}

    def _look(self) -> None:
        now, busy = self._loop.time(), time.process_time()
        self._seconds.append(now - self._due)
        self._own.append(min(now - self._due, busy - self._busy))
        self._busy = busy
        self._due = max(self._due + TICK, now)
        self._timer = self._loop.call_at(self._due, self._look)


async def talk(open: Callable[[], Awaitable[Stream]], callers: int, seconds: float) -> int:
    """So many callers speak in real time, each at a moment of its own in the 80 ms; how many events were told."""
    streams = [await open() for _ in range(callers)]
    began = asyncio.get_running_loop().time()
    told = await asyncio.gather(
        *(_call(stream, began + number / callers * FRAME_SECONDS, seconds) for number, stream in enumerate(streams))
    )
    for stream in streams:
        await stream.close()
    return sum(told)


async def _call(stream: Stream, began: float, seconds: float) -> int:
    reading = asyncio.create_task(_count(stream))
    frame: PCM = np.zeros(FRAME_SAMPLES, dtype=np.float32)
    loop = asyncio.get_running_loop()
    for number in range(round(seconds / FRAME_SECONDS)):
        await asyncio.sleep(began + number * FRAME_SECONDS - loop.time())
        await stream.feed(frame)
    stream.finish()
    return await reading


async def _count(stream: Stream) -> int:
    return len([event async for event in stream])


async def quiet(seconds: float) -> dict[str, dict[str, float]]:
    """The event loop's delay when there is nothing to do: what the machine itself adds."""
    delay = Delay()
    await asyncio.sleep(seconds)
    return delay.stop()


async def in_thread(pause: float, seconds: float) -> dict[str, Any]:
    """The engine's thread beside the event loop that feeds it and reads from it."""
    model = Pretender(CALLERS, pause)
    engine = BatchedEngine(lambda: model, CALLERS)
    await engine.start()
    delay, before = Delay(), time.thread_time()
    await talk(engine.open, CALLERS, seconds)
    busy, load = time.thread_time() - before, engine.stats().load
    await engine.close()
    return {
        "delay_ms": delay.stop(),
        "loop_busy": round(busy / seconds, 3),
        "steps": len(model.seconds),
        "callers_a_step": round(load.fill * CALLERS, 1),
        "step_ms": {"p50": round(load.step_p50 * 1e3, 2), "p99": round(load.step_p99 * 1e3, 2)},
        "model_ms": quantiles(model.seconds),
    }


async def in_process(pause: float, seconds: float) -> dict[str, Any]:
    """The engine in a process of its own: the delays of both event loops."""
    path = str(Path(tempfile.mkdtemp(), "engine"))
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_host, args=(path, pause, theirs))
    child.start()
    await asyncio.to_thread(ours.recv)
    desk = cast(ProcessEngine, _Desk())
    delay, before = Delay(), time.thread_time()
    await talk(lambda: ProcessStream.open(desk, path, LIVE_BACKLOG), CALLERS, seconds)
    busy = time.thread_time() - before
    ours.send("end")
    told: dict[str, Any] = await asyncio.to_thread(ours.recv)
    child.join()
    return {"delay_ms": delay.stop(), "loop_busy": round(busy / seconds, 3), "child": told}


class _Desk:
    """The part of a ProcessEngine that its streams need."""

    def release(self, stream: ProcessStream) -> None:
        """The stream is closed."""


def _host(path: str, pause: float, parent: Connection) -> None:
    asyncio.run(_serve(path, pause, parent))


async def _serve(path: str, pause: float, parent: Connection) -> None:
    """What engine/child.py does, with the pretender."""
    model = Pretender(CALLERS, pause)
    engine = BatchedEngine(lambda: model, CALLERS)
    await engine.start()
    server = await asyncio.start_unix_server(Host(engine).serve, path)
    parent.send("ready")
    delay, before, began = Delay(), time.thread_time(), time.monotonic()
    await asyncio.to_thread(parent.recv)
    busy = (time.thread_time() - before) / (time.monotonic() - began)
    parent.send({"delay_ms": delay.stop(), "loop_busy": round(busy, 3), "steps": len(model.seconds)})
    server.close()
    await engine.close()


def main() -> int:
    """Measure, print, save; the number of bounds that were missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long the callers speak in each run")
    seconds = parser.parse_args().seconds
    alone = {callers: batch_alone(callers, 500) for callers in (1, 16, CALLERS, 256)}
    for callers, figures in alone.items():
        print(f"{callers:4} callers in one step: {figures['p50']:.2f} ms around the model's (p99 {figures['p99']:.2f})")
    missed = _judge("around a step of 64", alone[CALLERS]["p50"], MUST_STEP)
    idle = asyncio.run(quiet(seconds / 2))
    print(f"\nThe event loop's delay, nothing to do: p99 {idle['all']['p99']:.1f} ms")
    runs = {}
    for pause in PAUSES:
        thread, process = asyncio.run(in_thread(pause, seconds)), asyncio.run(in_process(pause, seconds))
        runs[f"{pause * 1e3:.0f}"] = {"thread": thread, "process": process}
        print(f"\n64 callers, a model of {pause * 1e3:.0f} ms: {thread['callers_a_step']} callers a step")
        delays = (thread["delay_ms"], process["delay_ms"], process["child"]["delay_ms"])
        for place, delay in zip(PLACES, delays, strict=True):
            missed += _judge(place, delay["own"]["p99"], MUST_DELAY, f"(with others' work: {delay['all']['p99']:.1f})")
    print(
        f"\n{save('around', {'around_a_step_ms': alone, 'idle_delay_ms': idle, 'callers': CALLERS, 'model_ms': runs})}"
    )
    return missed


def _judge(what: str, milliseconds: float, bound: float, beside: str = "") -> int:
    missed = milliseconds > bound
    print(f"  {what:28} {milliseconds:6.2f} ms   must: {bound:.0f}{'   MISSED' if missed else ''}   {beside}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
