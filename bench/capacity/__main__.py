"""Refuse one more rather than slow those who are there: is it so? A real server, as many callers as it declares.

    python -m bench.capacity [--minutes 10] [--soak 10] [--sessions N]

1. One caller alone, before and after everything else: how late words are.
2. All places taken for so many minutes, in sessions that last as long, while one more caller knocks at every door.
3. Four fifths of the places, with sessions that come and go: what grows?

Everybody speaks the recordings of Moonshine's wheel in real time, in the languages of three doors. The words are
compared with those of the file, and with the server's own log of each session: nothing may be lost on the way.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import aiohttp
import psutil

from bench import save
from bench.calls import server
from bench.capacity.knocks import Refusal, knock, offer
from bench.capacity.machine import Cores, Watch, between, bucket
from bench.capacity.speakers import TONGUES, Script, Take, chain, speak
from bench.capacity.words import Expected, compare, summary
from bench.moonshine import CLIPS, recording
from engine.events import Word, WordEnd
from engine.listening import Listener
from engine.moonshine import load_ears, one_thread_each

SLOWER = 1.2  # times one caller's latency
LATE = 0.01  # of the loop's ticks may be later than 50 ms
GROWTH = 1.0  # MiB a minute
FLAT = 0.5  # descriptors, threads or tasks a minute
KNOCK_EVERY = 2.0  # seconds
SOAK = 0.8  # of the places
STAGGER = 0.37  # seconds between the first words of two callers

Figures = dict[str, Any]


def file_run() -> list[Script]:
    """The recordings, with the words of a recognizer that has each of them whole."""
    one_thread_each()
    [ears] = load_ears(1)
    scripts = []
    for name in CLIPS:
        pcm = recording(name)
        listener = Listener(ears)
        events = listener.hear(pcm) + listener.finish()
        texts = [event.text for event in events if isinstance(event, Word)]
        stops = [event.stop for event in events if isinstance(event, WordEnd)]
        scripts.append(Script(pcm, [Expected(text, stop) for text, stop in zip(texts, stops, strict=True)]))
    ears.close()
    return scripts


class Bench:
    """One run against one server."""

    def __init__(self, http: aiohttp.ClientSession, url: str, process: psutil.Process, clips: Sequence[Script]) -> None:
        self._http, self._url, self._process, self._clips = http, url, process, clips

    async def capacity(self) -> int:
        """The places that the server declares."""
        async with self._http.get(f"{self._url}/health") as response:
            places: int = (await response.json())["capacity"]
        return places

    async def alone(self, number: int) -> Take:
        """One caller, each recording once."""
        return await self._speak(number, chain(self._clips, number, sum(clip.seconds for clip in self._clips)))

    async def full(self, sessions: int, seconds: float, *, knocking: bool) -> Figures:
        """That many callers for so long; where that fills the house, another one knocks meanwhile."""
        knocks: list[Refusal] = []
        watch = Watch(self._http, self._url, self._process)
        cores, before = Cores(self._process), bucket(await watch.metrics(), "offhook_loop_lag_seconds")
        asking = asyncio.create_task(self._knock(sessions, knocks)) if knocking else None
        calls = [asyncio.create_task(self._later(number, seconds)) for number in range(sessions)]
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        if asking:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        used, lag = cores.figures(), between(before, bucket(await watch.metrics(), "offhook_loop_lag_seconds"))
        return {
            "sessions": sessions,
            "seconds": seconds,
            **judged(await asyncio.gather(*calls)),
            "loop_lag": lag,
            "cores": used,
            "knocks": len(knocks),
            "let_in": sum(not each.is_busy for each in knocks),
            "refusals": {each.door: f"{each.code} {each.told}" for each in knocks},
        }

    async def churn(self, callers: int, seconds: float) -> Figures:
        """That many callers at once for so long, one recording a session; what the server holds meanwhile."""
        until = time.monotonic() + seconds
        watch = Watch(self._http, self._url, self._process)
        watching = asyncio.create_task(watch.run())
        takes = await asyncio.gather(*(self._again(number, until) for number in range(callers)))
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        sessions = [take for each in takes for take in each]
        return {
            "callers": callers,
            "sessions": len(sessions),
            "seconds": seconds,
            **judged(sessions),
            "slopes_per_minute": watch.slopes(),
            "rows": watch.rows,
        }

    async def _speak(self, number: int, script: Script) -> Take:
        return await speak(self._http, self._url, TONGUES[number % len(TONGUES)], script)

    async def _later(self, number: int, seconds: float) -> Take:
        await asyncio.sleep(number * STAGGER)
        return await self._speak(number, chain(self._clips, number, seconds))

    async def _again(self, number: int, until: float) -> list[Take]:
        await asyncio.sleep(number * STAGGER)
        takes: list[Take] = []
        while time.monotonic() < until:
            takes.append(await self._speak(number + len(takes), self._clips[(number + len(takes)) % len(self._clips)]))
        return takes

    async def _knock(self, sessions: int, knocks: list[Refusal]) -> None:
        await asyncio.sleep(sessions * STAGGER + 1)
        sdp = await offer()
        while True:
            knocks += await knock(self._http, self._url, sdp)
            await asyncio.sleep(KNOCK_EVERY)


def judged(takes: Sequence[Take]) -> Figures:
    """What all sessions' words say together."""
    late = sorted(late for take in takes for late in take.late)
    return {
        **summary([compare(take.script.words, take.heard, take.sent) for take in takes]),
        "not_finished": sum(take.code != 1000 for take in takes),
        "lost_on_the_way": sum(take.lost for take in takes),
        "callers_late_p95": round(late[int(len(late) * 0.95)], 4),
    }


def missed(figures: Figures) -> list[str]:
    """The goals that were not reached, as sentences."""
    alone, full, soak = figures["alone"], figures["full"], figures["soak"]
    grown = soak["slopes_per_minute"]
    goals = {
        "a caller too many was let in": full["let_in"] == 0,
        "no caller too many has knocked": full["knocks"] > 0 or full["sessions"] < figures["capacity"],
        "words were lost on the way": full["lost_on_the_way"] == soak["lost_on_the_way"] == 0,
        "sessions did not end as they should": full["not_finished"] == soak["not_finished"] == 0,
        "words came too late (p50)": full["latency_p50"] <= SLOWER * alone["latency_p50"],
        "words came too late (p95)": full["latency_p95"] <= SLOWER * alone["latency_p95"],
        "the event loop was late": full["loop_lag"]["above_50_ms"] <= LATE,
        "memory grew": grown["server_mib"] + grown["engine_mib"] < GROWTH,
        "descriptors, threads or tasks grew": max(grown[name] for name in ("descriptors", "threads", "tasks")) < FLAT,
    }
    return [sentence for sentence, reached in goals.items() if not reached]


async def run(minutes: float, soak: float, sessions: int) -> Figures:
    """All three measurements."""
    clips = file_run()
    limits = aiohttp.ClientTimeout(None, sock_connect=10)
    async with (
        server("moonshine") as (url, process),
        aiohttp.ClientSession(timeout=limits, connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        bench = Bench(http, url, process, clips)
        places = await bench.capacity()
        callers = sessions or places
        figures: Figures = {"capacity": places, "load_before": os.getloadavg()[0]}
        before = await bench.alone(0)
        tell("alone, before", judged([before]))
        figures["full"] = await bench.full(callers, 60 * minutes, knocking=callers == places)
        tell("full", figures["full"])
        after = await bench.alone(1)
        figures["alone"] = judged([before, after])
        tell("alone", figures["alone"])
        figures["soak"] = await bench.churn(max(1, int(SOAK * callers)), 60 * soak)
        tell("soak", {name: figure for name, figure in figures["soak"].items() if name != "rows"})
    return figures


def tell(name: str, figures: Figures) -> None:
    """One part's figures."""
    print(f"{name}: " + "  ".join(f"{key}={figure}" for key, figure in figures.items()), flush=True)


def main() -> int:
    """Print the figures, keep those of a whole run; the number of goals that were missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="with all places taken [default: 10]")
    parser.add_argument("--soak", type=float, default=10.0, help="minutes with sessions that come and go [default: 10]")
    parser.add_argument(
        "--sessions", type=int, default=0, help="callers at once [default: as many as there are places]"
    )
    arguments = parser.parse_args()
    figures = asyncio.run(run(arguments.minutes, arguments.soak, arguments.sessions))
    figures["missed"] = missed(figures)
    for sentence in figures["missed"]:
        print(f"MISSED: {sentence}")
    if not arguments.sessions:
        print(f"saved {os.path.relpath(save('capacity', figures))}")
    return len(figures["missed"])


if __name__ == "__main__":
    sys.exit(main())
