"""What does a call do while there is no network at all? A server, a caller, and a relay between them that goes dark.

    python -m bench.outages [SECONDS ...]

For each outage: whether the call survived it, how soon the words went on, or when it ended and with how much of its
transcript still to be read. The caller is aiortc's, and does not try again by itself as the page does.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import numpy as np

from bench import save
from engine import load
from engine.base import EngineConfig
from engine.scripted import WORDS, say
from media.impair import PRESETS, Impairment, Outage
from offhook.call import Call, call
from signaling.app import create_app
from signaling.config import Config
from signaling.connections import Runner
from signaling.http import SWITCHBOARD

LIGHT = 6.0  # seconds of network before it goes dark
AFTER = 5.0  # seconds of speech after the outage
OUTAGES = (1.0, 20.0, 40.0)
NAME = "measured"

Told = tuple[float, str]  # when, and the event's type


@dataclass(frozen=True, slots=True)
class Line:
    """A running server and when its network will be dark, by time.monotonic."""

    url: str
    dark: float
    light: float


@contextlib.asynccontextmanager
async def line(lasts: float) -> AsyncIterator[Line]:
    """A server on a network that works for six seconds, is dark for `lasts`, and works again for a minute."""
    PRESETS[NAME] = Impairment(outage=Outage(every=LIGHT + lasts, lasts=lasts))
    engine = load(EngineConfig("scripted"))
    await engine.start()
    began = time.monotonic()
    app = create_app(Config(engine="scripted", impair=NAME), engine)
    runner = Runner(app)
    await runner.setup()
    await runner.listen("127.0.0.1", 0)
    try:
        yield Line(f"http://127.0.0.1:{runner.addresses[0][1]}", began + LIGHT, began + LIGHT + lasts)
    finally:
        app[SWITCHBOARD].hang_up()
        await runner.cleanup()
        await engine.close()


async def measure(lasts: float) -> dict[str, Any]:
    """One call through one outage."""
    words = list(WORDS) * int(2 + (LIGHT + lasts + AFTER) / 14)
    async with line(lasts) as there, call(there.url, np.repeat(say(words), 2)) as live, aiohttp.ClientSession() as http:
        events = f"{there.url}/v1/sessions/{live.session}/events"
        told: list[Told] = []
        logged: list[Told] = []
        async with asyncio.TaskGroup() as readers:
            tasks = [readers.create_task(listen(live, told)), readers.create_task(follow(http, events, logged))]
            await asyncio.sleep(there.light + AFTER - time.monotonic())
            for task in tasks:
                task.cancel()
        again: list[Told] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await follow(http, events, again)
    return figures(lasts, there, told, logged, len(again))


def figures(lasts: float, there: Line, told: list[Told], logged: list[Told], readable: int) -> dict[str, Any]:
    """What happened, in numbers. Times are seconds."""
    heard_after = [at - there.light for at, kind in told if kind == "word" and at > there.light]
    ended = [at - there.dark for at, kind in logged if kind == "ended"]
    return {
        "outage": lasts,
        "survived": not ended,
        "first_word_after_it": round(heard_after[0], 2) if heard_after else None,
        "ended_after_it_began": round(ended[0], 1) if ended else None,
        "events_readable_at_the_end": readable,
    }


async def listen(live: Call, told: list[Told]) -> None:
    """What the caller hears on its data channel."""
    async for event in live.events():
        told.append((time.monotonic(), event["type"]))


async def follow(http: aiohttp.ClientSession, url: str, logged: list[Told]) -> None:
    """What the server's log of the session says, by a way that does not go dark."""
    async with http.get(url, timeout=aiohttp.ClientTimeout(None)) as response:
        response.raise_for_status()
        async for raw in response.content:
            if raw.startswith(b"data:"):
                logged.append((time.monotonic(), json.loads(raw[5:])["type"]))


def main() -> int:
    """Print the figures, save them, and fail where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("outages", nargs="*", type=float, default=OUTAGES, help="seconds each lasts [default: 1 20 40]")
    rows = [asyncio.run(measure(lasts)) for lasts in parser.parse_args().outages]
    for row in rows:
        print("  ".join(f"{name}={value}" for name, value in row.items()), flush=True)
    print(f"saved {os.path.relpath(save('outages', {'rows': rows}))}")
    return sum(not reached(row) for row in rows)


def reached(row: dict[str, Any]) -> bool:
    """A second: words go on within 1.5 s. Under 30 s: the call survives. Longer: it ends in 25 to 40 s, readable."""
    if row["outage"] <= 1:
        return row["first_word_after_it"] is not None and row["first_word_after_it"] < 1.5
    if row["outage"] < 30:
        return bool(row["survived"])
    return not row["survived"] and 25 <= row["ended_after_it_began"] <= 40 and row["events_readable_at_the_end"] > 0


if __name__ == "__main__":
    sys.exit(main())
