"""The embedded engine on the recordings of its wheel: errors, cost, latency, memory.

python -m bench.moonshine accuracy   what the update interval and the words held back do to errors and cost
python -m bench.moonshine latency    seconds to the first words, and from a word's end to its being settled
python -m bench.moonshine load       N callers at once in real time: how late they are heard (N from the warm-up)
python -m bench.moonshine memory     an hour of audio through one stream: what stays in memory
"""

import argparse
import asyncio
import itertools
import statistics
import time
import wave
from collections.abc import Callable

import jiwer
import numpy as np
import psutil

from engine.agreement import normalised
from engine.base import FRAME_SAMPLES, PCM, SAMPLE_RATE, EngineConfig, Stream, pcm_from_s16
from engine.events import Event, Partial, Word, WordEnd
from engine.listening import Listener
from engine.moonshine import MoonshineEars, MoonshineEngine, assets, load_ears, one_thread_each

CLIPS = ("beckett", "two_cities", "endgame_nagg_nell")
REFERENCES = {
    "beckett": "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better.",
    "two_cities": "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of "
    "foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the "
    "season of Darkness, it was the spring of hope, it was the winter of despair, we had everything before us, we had "
    "nothing before us, we were all going direct to Heaven, we were all going direct the other way - in short, the "
    "period was so far like the present period, that some of its noisiest authorities insisted on its being received, "
    "for good or for evil, in the superlative degree of comparison only.",
}


def recording(name: str) -> PCM:
    """A recording of the wheel, brought to 24 kHz."""
    with wave.open(str(assets() / f"{name}.wav")) as file:
        rate = file.getframerate()
        pcm = pcm_from_s16(file.readframes(file.getnframes()))
    positions = np.arange(int(len(pcm) * SAMPLE_RATE / rate)) * rate / SAMPLE_RATE
    resampled: PCM = np.interp(positions, np.arange(len(pcm)), pcm).astype(np.float32)
    return resampled


def plain(text: str) -> str:
    """The text as it is compared: without case and punctuation."""
    return " ".join(word for word in map(normalised, text.split()) if word.isalnum())


def listened(ears: MoonshineEars, pcm: PCM, interval: float, held_back: int, phase: float) -> tuple[str, float]:
    """The words of a live stream and the seconds they took; the first update comes after `phase` seconds of audio."""
    began = time.perf_counter()
    listener = Listener(ears, held_back)
    events: list[Event] = []
    edges = [0, *range(round(phase * SAMPLE_RATE), len(pcm), round(interval * SAMPLE_RATE)), len(pcm)]
    for start, stop in itertools.pairwise(edges):
        events += listener.hear(pcm[start:stop]) + listener.revise()
    events += listener.finish()
    return " ".join(event.text for event in events if isinstance(event, Word)), time.perf_counter() - began


def whole(ears: MoonshineEars, pcm: PCM) -> str:
    """The words of the file, as `transcribe_batch` hears them: each utterance once."""
    listener = Listener(ears)
    events = listener.hear(pcm) + listener.finish()
    return " ".join(event.text for event in events if isinstance(event, Word))


def accuracy() -> None:
    """Word error rates against the file run and the reference, over four phases of the update clock."""
    one_thread_each()
    [ears] = load_ears(1)
    print("clip                interval  held  WER to file (worst)  WER to text (worst)  of real time")
    for name in CLIPS:
        pcm = recording(name)
        file = plain(whole(ears, pcm))
        print(f"{name:18}      file     -                    -  {error(name, file):19.3f}")
        for interval, held_back in itertools.product((0.3, 0.5, 0.8), (0, 1, 2)):
            runs = [listened(ears, pcm, interval, held_back, phase / 4 * interval + 0.05) for phase in range(4)]
            texts = [plain(text) for text, _ in runs]
            to_file = [float(jiwer.wer(file, text)) for text in texts]
            to_text = [error(name, text) for text in texts]
            cost = statistics.mean(seconds for _, seconds in runs) / (len(pcm) / SAMPLE_RATE)
            print(
                f"{name:18}  {interval:8}  {held_back:4}  {statistics.mean(to_file):11.3f} ({max(to_file):.3f})"
                f"  {statistics.mean(to_text):11.3f} ({max(to_text):.3f})  {cost:12.3f}"
            )


def error(name: str, text: str) -> float:
    """Word error rate against the reference, or nan where none is known."""
    return float(jiwer.wer(plain(REFERENCES[name]), text)) if name in REFERENCES else float("nan")


async def call(engine: MoonshineEngine, pcm: PCM) -> list[tuple[float, Event]]:
    """A call in real time: each event with the seconds of the call at which it came."""
    stream = await engine.open()
    began = time.monotonic()

    async def speak() -> None:
        for start in range(0, len(pcm), FRAME_SAMPLES):
            await asyncio.sleep(began + (start + FRAME_SAMPLES) / SAMPLE_RATE - time.monotonic())
            await stream.feed(pcm[start : start + FRAME_SAMPLES])
        stream.finish()

    speaking = asyncio.create_task(speak())
    events = [(time.monotonic() - began, event) async for event in stream]
    await speaking
    await stream.close()
    return events


def delays(events: list[tuple[float, Event]]) -> list[float]:
    """Seconds from the (estimated) end of each word to its being told."""
    return [at - event.stop for at, event in events if isinstance(event, WordEnd)]


def first(events: list[tuple[float, Event]], kind: type[Event]) -> float:
    """When the first event of a kind came."""
    return next(at for at, event in events if isinstance(event, kind))


async def latency() -> None:
    """One caller."""
    engine = MoonshineEngine(EngineConfig("moonshine"))
    await engine.start()
    for name in CLIPS:
        events = await call(engine, recording(name))
        begins = next(event.start for _, event in events if isinstance(event, Word))
        late = sorted(delays(events))
        print(
            f"{name:18}  speech at {begins:.2f} s  first tail {first(events, Partial):.2f} s  first settled word "
            f"{first(events, Word):.2f} s  settled after p50 {statistics.median(late):.2f} s  "
            f"p95 {late[int(len(late) * 0.95)]:.2f} s"
        )
    await engine.close()


async def load() -> None:
    """As many callers as there are places, all on the clip that never pauses for long."""
    engine = MoonshineEngine(EngineConfig("moonshine"))
    await engine.start()
    pcm = recording("two_cities")
    calls = await asyncio.gather(*(call(engine, pcm) for _ in range(engine.stats().capacity)))
    late = sorted(delay for events in calls for delay in delays(events))
    print(
        f"{len(calls)} callers: words settled after p50 {statistics.median(late):.2f} s  "
        f"p95 {late[int(len(late) * 0.95)]:.2f} s  worst {late[-1]:.2f} s; the calls of {len(pcm) / SAMPLE_RATE:.1f} s "
        f"ended at {max(events[-1][0] for events in calls):.1f} s"
    )
    await engine.close()


async def memory() -> None:
    """An hour of speech through one stream, as fast as it goes."""
    engine = MoonshineEngine(EngineConfig("moonshine", capacity=1, workers=1))
    await engine.start()
    stream = await engine.open(backlog=5.0)
    reading = asyncio.create_task(_exhaust(stream))
    clip = recording("beckett")
    for number in range(round(3600 * SAMPLE_RATE / len(clip))):
        await stream.feed(clip)
        if number % 60 == 0:
            held = psutil.Process().memory_info().rss / 2**20
            print(f"{number * len(clip) / SAMPLE_RATE:6.0f} s of audio: {held:.0f} MiB", flush=True)
    stream.finish()
    await reading
    await engine.close()


async def _exhaust(stream: Stream) -> None:
    async for _ in stream:
        pass


COMMANDS: dict[str, Callable[[], None]] = {
    "accuracy": accuracy,
    "latency": lambda: asyncio.run(latency()),
    "load": lambda: asyncio.run(load()),
    "memory": lambda: asyncio.run(memory()),
}


def main() -> None:
    """Run one measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measurement", choices=COMMANDS)
    COMMANDS[parser.parse_args().measurement]()


if __name__ == "__main__":
    main()
