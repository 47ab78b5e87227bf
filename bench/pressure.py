"""What clients that do not play fair cost a server: its memory, and the words of one who does, beside them.

    python -m bench.pressure [--clients 12] [--seconds 30]

Two crowds, one after another, at the sockets of three languages of a server whose engine is faster than any client:
some send speech as fast as it is taken and never read a word; some do the same and read. One caller speaks in real time
meanwhile.
"""

import argparse
import asyncio
import os
import sys
from typing import Any

import aiohttp
import psutil

from bench import save
from bench.calls import footprint, server
from bench.capacity.speakers import TONGUES, Script, Tongue, send, speak
from bench.capacity.words import Expected, compare, summary
from engine.base import FRAME_SAMPLES, SAMPLE_RATE
from engine.scripted import WORDS, say

GROWTH = 4.0  # MiB that a client may cost server and engine together: 10 s of audio that wait are one, in each copy
SAID = say([*WORDS] * 2)
WORD = 0.56  # seconds, with the silence behind it
SETTLE = 8.0  # seconds for the server to close what is over
ANY_SPEED = 5.0  # seconds after which a client is slowed down
FASTEST = 4.0  # times real time that is read from then on
ON_THE_WAY = 30.0  # seconds of audio that the kernels may hold beside that

Figures = dict[str, Any]


def fair(seconds: float) -> Script:
    """What the fair caller says."""
    words = [WORDS[number % len(WORDS)] for number in range(int(seconds / WORD))]
    return Script(say(words), [Expected(word, number * WORD + 0.32) for number, word in enumerate(words)])


class Crowd:
    """Clients that send as fast as it is taken. `sent`: seconds of audio since ANY_SPEED was over, for each."""

    def __init__(self, http: aiohttp.ClientSession, url: str, seconds: float, *, reads: bool) -> None:
        self.sent: list[float] = []
        self._http, self._url, self._seconds, self._reads = http, url, seconds, reads

    async def run(self, clients: int) -> None:
        """All of them, for so long."""
        await asyncio.gather(*(self._client(TONGUES[number % len(TONGUES)]) for number in range(clients)))

    async def _client(self, tongue: Tongue) -> None:
        messages = [tongue.audio(SAID[start : start + FRAME_SAMPLES]) for start in range(0, len(SAID), FRAME_SAMPLES)]
        clock = asyncio.get_running_loop().time
        async with self._http.ws_connect(self._url + tongue.path) as socket:
            reading = asyncio.create_task(exhaust(socket)) if self._reads else None
            sent, slowed_at = 0, clock() + ANY_SPEED
            try:
                async with asyncio.timeout(self._seconds):
                    for message in tongue.start:
                        await send(socket, message)
                    for number in range(1 << 62):
                        await send(socket, messages[number % len(messages)])
                        await asyncio.sleep(0)  # or a client that finds room would keep the others from sending
                        sent += clock() > slowed_at
            except (TimeoutError, ConnectionError):
                self.sent.append(sent * FRAME_SAMPLES / SAMPLE_RATE)
            if reading:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)


async def exhaust(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Read everything, and look at nothing."""
    async for _ in socket:
        pass


async def peak(process: psutil.Process, most: list[float]) -> None:
    """Keep in `most` how much the server and its engine have held at most, in MiB, until this is cancelled."""
    while True:
        held = footprint(process)
        most[:] = [max(most[0], held["server_mib"]), max(most[1], held["engine_mib"])]
        await asyncio.sleep(0.2)


async def measure(
    http: aiohttp.ClientSession, url: str, process: psutil.Process, clients: int, seconds: float, *, reads: bool
) -> Figures:
    """One crowd, and one who plays fair."""
    before, script = footprint(process), fair(seconds)
    most = [before["server_mib"], before["engine_mib"]]
    watching = asyncio.create_task(peak(process, most))
    crowd = Crowd(http, url, seconds, reads=reads)
    take, _ = await asyncio.gather(speak(http, url, TONGUES[0], script), crowd.run(clients))
    await asyncio.sleep(SETTLE)
    watching.cancel()
    after = footprint(process)
    return {
        "reads": reads,
        "clients": clients,
        "seconds": seconds,
        "times_real_time": round(max(0.0, max(crowd.sent) - ON_THE_WAY) / (seconds - ANY_SPEED), 2),
        "server_mib_of_each": round((most[0] - before["server_mib"]) / clients, 3),
        "engine_mib_of_each": round((most[1] - before["engine_mib"]) / clients, 3),
        "descriptors_left": after["descriptors"] - before["descriptors"],
        "fair_caller": summary([compare(script.words, take.heard, take.sent)]),
    }


def missed(figures: Figures) -> list[str]:
    """The bounds that one crowd broke, as sentences."""
    goals = {
        "a client cost too much memory": figures["server_mib_of_each"] + figures["engine_mib_of_each"] <= GROWTH,
        "a client was not slowed down": figures["times_real_time"] <= FASTEST,
        "descriptors were left": figures["descriptors_left"] <= 0,
        "a fair caller lost words": figures["fair_caller"]["missing_to_file"] == 0,
    }
    return [sentence for sentence, reached in goals.items() if not reached]


async def run(clients: int, seconds: float) -> list[Figures]:
    """A small crowd first, so that what any first session costs is not counted; then both."""
    limits = aiohttp.ClientTimeout(None, sock_connect=10)
    async with (
        server("scripted") as (url, process),
        aiohttp.ClientSession(timeout=limits, connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        await measure(http, url, process, len(TONGUES), 2 * ANY_SPEED, reads=True)
        return [await measure(http, url, process, clients, seconds, reads=reads) for reads in (True, False)]


def main() -> int:
    """Print the figures, keep them; the number of bounds that were broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=12, help="in each crowd, at most 15 [default: 12]")
    parser.add_argument("--seconds", type=float, default=30.0, help="that each crowd lasts [default: 30]")
    arguments = parser.parse_args()
    rows = asyncio.run(run(arguments.clients, arguments.seconds))
    broken = [sentence for row in rows for sentence in missed(row)]
    for row in rows:
        print("  ".join(f"{name}={figure}" for name, figure in row.items()))
    for sentence in broken:
        print(f"MISSED: {sentence}")
    print(f"saved {os.path.relpath(save('pressure', {'rows': rows, 'missed': broken}))}")
    return len(broken)


if __name__ == "__main__":
    sys.exit(main())
