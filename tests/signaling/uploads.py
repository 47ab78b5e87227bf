"""Files as callers post them, and an engine that listens only when a test lets it."""

import asyncio
import io
from collections.abc import Sequence
from typing import Any

import aiohttp
import numpy as np
import numpy.typing as npt
import psutil

from engine.base import LIVE_BACKLOG, PCM, Engine, Stats, Stream
from engine.errors import Full
from engine.scripted import say
from tests.media.files import encoded, wav
from tests.signaling.doubles import Recorded
from tests.signaling.house import Footprint, House, until

PATH = "/api/asr-streaming"


def speech(*words: str, rate: int = 24_000) -> npt.NDArray[np.int16]:
    """Words as 16-bit samples."""
    pcm = np.repeat(say(words), rate // 24_000)
    return (pcm * 32_767).astype(np.int16)


def spoken(*words: str) -> bytes:
    """Words in a wav file."""
    return wav(speech(*words), rate=24_000)


def spoken_in_ogg(*words: str) -> bytes:
    return encoded("ogg", "libopus", speech(*words, rate=48_000))


async def post(house: House, data: Any, **options: Any) -> tuple[int, Any, Any]:
    """Send a file: the answer's status, headers, and JSON."""
    data = io.BytesIO(data) if isinstance(data, bytes) else data
    async with house.http.post(house.url + PATH, data=data, **options) as response:
        return response.status, response.headers, await response.json()


def form(*files: bytes, **fields: str) -> aiohttp.FormData:
    """A form with these files, each of which claims to be somewhere else."""
    data = aiohttp.FormData()
    for name, value in fields.items():
        data.add_field(name, value)
    for file in files:
        data.add_field("file", io.BytesIO(file), filename="../../../etc/passwd", content_type="text/html")
    return data


def words(answer: Sequence[dict[str, Any]]) -> list[str]:
    return [message["text"] for message in answer if message["type"] == "Word"]


class Left:
    """What a server has, to see that nothing more of it is left."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._before = Footprint()
        self._connections = house.connections
        self._processes = len(psutil.Process().children())

    async def nothing(self) -> None:
        """Wait until no process, descriptor or place is left. (A temporary file without a name is a descriptor.)"""
        await until(self._is_clean)

    def _is_clean(self) -> bool:
        extra = max(0, self._house.connections - self._connections)
        now = Footprint()
        return (
            len(psutil.Process().children()) <= self._processes
            and self._house.switchboard.live == 0
            and self._house.engine.stats().live == 0
            and now.descriptors <= self._before.descriptors + 2 * extra  # both ends of a connection are here
        )


class Reluctant(Recorded):
    """A stream that takes audio only while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.going = asyncio.Event()

    async def feed(self, pcm: PCM) -> None:
        await self.going.wait()
        await super().feed(pcm)

    def finish(self) -> None:
        super().finish()
        self.outbox.end()


class Ears(Engine):
    """An engine with reluctant streams."""

    def __init__(self, capacity: int = 16) -> None:
        self.streams: list[Reluctant] = []
        self.backlogs: list[float] = []
        self._capacity = capacity
        self._opened = asyncio.Event()

    async def start(self) -> None:
        pass

    async def open(self, *, backlog: float = LIVE_BACKLOG) -> Stream:
        if not self.stats().free:
            raise Full
        self.streams.append(Reluctant())
        self.backlogs.append(backlog)
        self._opened.set()
        return self.streams[-1]

    def stats(self) -> Stats:
        return Stats("ready", self._capacity, sum(not stream.closed for stream in self.streams))

    async def transcribe_batch(self, clips: Sequence[PCM]) -> list[str]:
        raise NotImplementedError

    async def close(self) -> None:
        pass

    async def stream(self, number: int = 0) -> Reluctant:
        """The stream of a caller, once it has come."""
        async with asyncio.timeout(5):
            while len(self.streams) <= number:
                self._opened.clear()
                await self._opened.wait()
        return self.streams[number]
