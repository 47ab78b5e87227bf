"""Ten seconds of junk at every port of a server: its memory does not grow, and the call that stands goes on (G4)."""

import asyncio
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import psutil

from media.candidates import Candidate, parse
from tests.attacks.line import HEARD_WITHIN
from tests.media.offers import FFMPEG
from tests.offhook.server import Server
from tests.signaling.house import until

SECONDS = 10.0
MOST_GROWTH = 16 * 2**20  # bytes
WARM_UP = 1.0  # seconds of junk after which every buffer has its size
JUNK = (
    b"\x80" + bytes(1_199),
    b"\x16\xfe\xfd" + bytes(1_197),
    b"",
    struct.pack("!HHI", 1, 0, 0x2112A442) + os.urandom(12),  # a check that nobody has signed
    struct.pack("!HHI", 0x101, 0, 0x2112A442) + os.urandom(12),  # an answer that nobody has asked for
)


def ports(answer: str) -> list[Candidate]:
    lines = [line.strip() for line in answer.splitlines() if line.startswith("a=candidate")]
    return [candidate for line in set(lines) if ":" not in (candidate := parse(line)).address]


class Flood:
    """A thread that sends junk to many ports as fast as it can."""

    def __init__(self, targets: list[Candidate]) -> None:
        self.sent = 0
        self._targets = [(target.address, target.port) for target in targets]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join()

    def _run(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while not self._over.is_set():
                for junk in JUNK:
                    for target in self._targets:
                        sock.sendto(junk, target)
                        self.sent += 1


async def test_a_flood_fills_no_memory_and_ends_no_call() -> None:
    server = await Server.start()
    try:
        browser, voice = await server.call(*["alpha", "bravo", "charlie", "delta"] * 8)
        targets = ports(browser.of("answer")[0]["sdp"]) + ports(await pending(server))
        process = psutil.Process(server.process.pid)
        flood = Flood(targets)
        with flood.going_on():
            await asyncio.sleep(WARM_UP)
            before, sent, told = process.memory_info().rss, flood.sent, len(voice.words)
            await asyncio.sleep(SECONDS)
            after = process.memory_info().rss
            assert len(voice.words) > told
            told = len(voice.words)
        assert flood.sent - sent > 10_000
        assert after - before < MOST_GROWTH
        await until(lambda: len(voice.words) > told, within=HEARD_WITHIN)
    finally:
        await server.close()


async def pending(server: Server) -> str:
    """The answer to an offer behind which nobody will ever connect."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{server.url}/whip", data=FFMPEG, headers={"Content-Type": "application/sdp"}) as response,
    ):
        assert response.status == 201
        return await response.text()
