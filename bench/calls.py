"""Do calls leave anything behind? Many calls in sequence to one server; its memory, threads and descriptors over them.

    python -m bench.calls [-n 200] [--engine moonshine]

Each call is what `offhook transcribe` makes: signaling, ICE, DTLS, Opus, words, the last words, hang-up. What stands
after the first 20 calls is the baseline: by then every cache and pool has its size.
"""

import argparse
import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import psutil
from tqdm import tqdm

from bench import save
from media.caller import RATE
from media.clip import read_clip
from offhook.call import call

WARM = 20  # calls before the baseline
SECONDS = 2.0  # of speech in each call
PACE = 4.0  # times real time


@contextlib.asynccontextmanager
async def server(engine: str, *settings: str) -> AsyncIterator[tuple[str, psutil.Process]]:
    """A real `offhook serve` on a free port, with these flags: its address and its process."""
    command = [
        sys.executable,
        "-m",
        "offhook.cli",
        "serve",
        "--engine",
        engine,
        "--port",
        "0",
        "--log-level",
        "warning",
        *settings,
    ]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    try:
        greeting = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        found = re.search(r"http://\S+", greeting)
        if not found:
            raise SystemExit(f"the server did not start: {greeting}")
        yield found[0], psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()


def footprint(process: psutil.Process) -> dict[str, float]:
    """Resident memory (MiB), threads and descriptors of the server and of its engine's process."""
    family = [process, *process.children(recursive=True)]
    return {
        "server_mib": round(family[0].memory_info().rss / 2**20, 1),
        "engine_mib": round(sum(member.memory_info().rss for member in family[1:]) / 2**20, 1),
        "threads": sum(member.num_threads() for member in family),
        "descriptors": sum(member.num_fds() for member in family),
    }


async def one_call(url: str, pcm: Any) -> int:
    """Call, speak, wait for the last words, hang up; the number of words."""
    words = 0
    async with call(url, pcm, pace=PACE) as live:
        finishing = asyncio.create_task(live.finish())
        async for event in live.events():
            words += event["type"] == "word"
            if event["type"] == "ended":
                break
        finishing.cancel()
    return words


async def settled(process: psutil.Process) -> dict[str, float]:
    """The footprint once the last call's sockets are closed: the lowest descriptor count seen within a second."""
    best = footprint(process)
    for _ in range(10):
        await asyncio.sleep(0.1)
        best = min(best, footprint(process), key=lambda figures: figures["descriptors"])
    return best


async def run(total: int, engine: str) -> dict[str, Any]:
    """The figures after the warm-up and after every further tenth of the calls."""
    clip = Path(str(files("moonshine_voice"))) / "assets" / "beckett.wav"
    pcm = read_clip(clip, RATE)[: int(SECONDS * RATE)]
    marks = {WARM, *range(WARM, total + 1, max(1, total // 10)), total}
    rows = []
    async with server(engine) as (url, process):
        for number in tqdm(range(1, total + 1), desc="calls", unit="call", disable=not sys.stderr.isatty()):
            words = await one_call(url, pcm)
            if not words and engine == "moonshine":
                raise SystemExit(f"call {number} brought no words")
            if number in marks:
                rows.append({"calls": number, **await settled(process)})
    return {"engine": engine, "calls": total, "rows": rows}


def main() -> int:
    """Print the table, save it, and fail when threads or descriptors grew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("-n", type=int, default=200, help="calls [default: 200]")
    parser.add_argument("--engine", default="moonshine", help="[default: moonshine]")
    arguments = parser.parse_args()
    figures = asyncio.run(run(arguments.n, arguments.engine))
    columns = list(figures["rows"][0])
    print("  ".join(f"{column:>12}" for column in columns))
    for row in figures["rows"]:
        print("  ".join(f"{row[column]:>12}" for column in columns))
    first, last = figures["rows"][0], figures["rows"][-1]
    print(f"saved {os.path.relpath(save('calls', figures))}")
    return int(last["threads"] > first["threads"] or last["descriptors"] > first["descriptors"])


if __name__ == "__main__":
    sys.exit(main())
