"""Files, sent to a real server: do the formats matter, how fast is an hour, and what does it do to a caller who speaks?

    python -m bench.files formats            one recording in seven formats: errors against its text
    python -m bench.files hour [--minutes M] how many times real time, and the memory of server, engine and decoder
    python -m bench.files beside             how late a caller's words are, alone and beside a long file, in turns

The files go to `POST /api/transcribe`. Figures go to results/files.json, each part to its own place there.
"""

import argparse
import asyncio
import json
import sys
import time
from statistics import mean, median
from typing import Any

import aiohttp
import jiwer
import numpy as np
import psutil
from tqdm import tqdm

from bench import RESULTS, save
from bench.calls import server
from bench.capacity.__main__ import file_run
from bench.capacity.speakers import TONGUES, chain, speak
from bench.capacity.words import compare
from bench.moonshine import REFERENCES, plain, recording
from tests.media.files import encoded

RECORDING = "two_cities"
RATE = 48_000
FORMATS = {
    "wav": ("wav", "pcm_s16le", "mono"),
    "mp3": ("mp3", "mp3", "mono"),
    "m4a": ("mp4", "aac", "mono"),
    "flac": ("flac", "flac", "mono"),
    "ogg": ("ogg", "vorbis", "stereo"),  # FFmpeg's own encoder knows no other
    "opus": ("ogg", "libopus", "mono"),
    "webm": ("webm", "libopus", "mono"),
}
MUST_EQUAL = 0.02  # of the wav's word error rate
MUST_PACE = 5.0  # times real time
MUST_MEMORY = 700.0  # MiB of server, engine and decoder
MUST_GROW = 1.2  # times a caller's latency without the file
EVERY = 0.5  # seconds between two looks at the memory
TURNS = 4
LONG = 40.0  # minutes of the file beside a caller: more than is heard while the caller speaks

Figures = dict[str, Any]
CLIENT = aiohttp.ClientTimeout(total=3600)


def spoken() -> "np.ndarray[Any, np.dtype[np.int16]]":
    """The recording at 48 kHz."""
    pcm = recording(RECORDING).repeat(2)  # from 24 kHz; what that adds is above all speech
    return (pcm * 32_767).astype(np.int16)


def file_of(format: str, minutes: float = 0.0) -> bytes:
    """The recording in this format, once or over and over for so long."""
    samples = spoken()
    if minutes:
        samples = np.resize(samples, int(minutes * 60 * RATE) // 960 * 960)
    container, codec, layout = FORMATS[format]
    return encoded(container, codec, samples, rate=RATE, layout=layout)


async def transcribed(http: aiohttp.ClientSession, url: str, data: bytes) -> Figures:
    """The server's answer."""
    form = aiohttp.FormData()
    form.add_field("file", data, filename="recording")
    async with http.post(f"{url}/api/transcribe", data=form) as response:
        if response.status != 200:
            raise SystemExit(f"{response.status}: {await response.text()}")
        answer: Figures = await response.json()
    return answer


async def formats(_: argparse.Namespace) -> tuple[Figures, list[str]]:
    """Errors in each format."""
    rates = {}
    async with server("moonshine") as (url, _process), aiohttp.ClientSession(timeout=CLIENT) as http:
        for format in tqdm(FORMATS, desc="formats", disable=not sys.stderr.isatty()):
            text = (await transcribed(http, url, file_of(format)))["text"]
            rates[format] = round(float(jiwer.wer(plain(REFERENCES[RECORDING]), plain(text))), 4)
    far = [name for name, rate in rates.items() if abs(rate - rates["wav"]) > MUST_EQUAL]
    return {"wer": rates}, [f"{name} is further than {MUST_EQUAL} from the wav" for name in far]


async def watch(process: psutil.Process, peaks: dict[str, float]) -> None:
    """The highest memory (MiB, proportional) of the server and of all that belong to it, until cancelled."""
    while True:
        sizes = [proportional(member) for member in [process, *process.children(recursive=True)]]
        peaks["server"] = max(peaks["server"], sizes[0])
        peaks["all"] = max(peaks["all"], sum(sizes))
        await asyncio.sleep(EVERY)


def proportional(process: psutil.Process) -> float:
    """Resident memory, what is shared divided among those who share it."""
    try:
        return float(process.memory_full_info().pss) / 2**20
    except psutil.NoSuchProcess:
        return 0.0


async def hour(options: argparse.Namespace) -> tuple[Figures, list[str]]:
    """One long file on a server that does nothing else."""
    data = file_of("opus", options.minutes)
    peaks = {"server": 0.0, "all": 0.0}
    async with server("moonshine") as (url, process), aiohttp.ClientSession(timeout=CLIENT) as http:
        watching = asyncio.create_task(watch(process, peaks))
        began = time.monotonic()
        answer = await transcribed(http, url, data)
        pace = options.minutes * 60 / (time.monotonic() - began)
        watching.cancel()
    figures = {
        "minutes": options.minutes,
        "words": len(answer["text"].split()),
        "times_real_time": round(pace, 1),
        "peak_mib": {name: round(size) for name, size in peaks.items()},
    }
    reached = {
        f"slower than {MUST_PACE:g} times real time": pace > MUST_PACE,
        f"more than {MUST_MEMORY:g} MiB": peaks["all"] < MUST_MEMORY,
    }
    return figures, [sentence for sentence, holds in reached.items() if not holds]


async def beside(_: argparse.Namespace) -> tuple[Figures, list[str]]:
    """A caller alone and beside a file, in turns, since the machine's own moods are slower than that."""
    script = chain(file_run(), 0, 40.0)
    data = await asyncio.to_thread(file_of, "opus", LONG)
    latencies: dict[str, list[float]] = {"alone": [], "beside": []}
    async with server("moonshine") as (url, _process), aiohttp.ClientSession(timeout=CLIENT) as http:
        for turn in tqdm(["alone", "beside"] * TURNS, desc="turns", disable=not sys.stderr.isatty()):
            sending = asyncio.create_task(transcribed(http, url, data)) if turn == "beside" else None
            take = await speak(http, url, TONGUES[1], script)
            latencies[turn] += compare(take.script.words, take.heard, take.sent).latencies
            if sending:
                if sending.done():
                    raise SystemExit("the file was heard before the caller had spoken: make it longer")
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
    figures: Figures = {
        turn: {"words": len(all), "mean": round(mean(all), 3), "p50": round(median(all), 3)}
        for turn, all in latencies.items()
    }
    figures["grows"] = round(figures["beside"]["mean"] / figures["alone"]["mean"], 3)
    return figures, [f"a caller's words came {figures['grows']} times as late"] if figures["grows"] > MUST_GROW else []


PARTS = {"formats": formats, "hour": hour, "beside": beside}


def main() -> int:
    """Measure one part or all, print, save; the number of bounds that were missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=PARTS, help="[default: all of them]")
    parser.add_argument("--minutes", type=float, default=60.0, help="of the long file [default: 60]")
    options = parser.parse_args()
    path = RESULTS / "files.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    results = {name: kept[name] for name in PARTS if name in kept}
    failures: list[str] = []
    for name in [options.part] if options.part else PARTS:
        results[name], missed = asyncio.run(PARTS[name](options))
        print(f"{name}: {json.dumps(results[name])}", *(f"  MISSED: {sentence}" for sentence in missed), sep="\n")
        failures += missed
    print(save("files", results))
    return len(failures)


if __name__ == "__main__":
    sys.exit(main())
