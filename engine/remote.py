"""An engine on other machines: any servers that speak moshi-server's WebSocket language, or ours.

A caller gets a place at the server with the most free ones. When all are full, the caller waits a little, in case a
place comes free; when a server is gone, its callers are told at once and new ones go to the others.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import aiohttp

from engine.address import address
from engine.backends import ANSWER_TIMEOUT, CONNECT_TIMEOUT, Backend, stay
from engine.backoff import delays
from engine.base import LIVE_BACKLOG, PCM, Engine, EngineConfig, Stats, Stream, checked_pcm
from engine.clips import CLIP_BACKLOG, transcribe_clip
from engine.errors import EngineError, Full, Misuse, Unavailable

CAPACITY = 64  # places of a server that does not tell: moshi-server's usual batch
PATIENCE = 5.0  # seconds that a caller waits for a place at most
TRY_AGAIN = (0.2, 2.0)  # seconds between two rounds of all servers: at first, and at most
CLIPS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is not the engine's own: how it waits, what time it is, in seconds, and chance, in [0, 1)."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], float] = lambda: asyncio.get_running_loop().time()
    chance: Callable[[], float] = random.random


class RemoteEngine(Engine):
    """A client of the servers at `config.remote_urls`, with the key `config.remote_key`. Raises Misuse for no address.

    `config.capacity` limits the places that are taken there in all.
    """

    def __init__(self, config: EngineConfig, surroundings: Surroundings | None = None) -> None:
        if not config.remote_urls:
            raise Misuse("a remote engine needs an address")
        self._urls = list(dict.fromkeys(address(url) for url in config.remote_urls))
        self._headers = {"kyutai-api-key": config.remote_key} if config.remote_key else {}
        self._limit = config.capacity
        self._around = surroundings or Surroundings()
        self._state: Literal["new", "starting", "ready", "down", "closed"] = "new"
        self._session: aiohttp.ClientSession | None = None
        self._backends: list[Backend] = []
        self._watches: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Ask every server how it is. Raises Unavailable when none of them serves."""
        if self._state != "new":
            raise Misuse("an engine is started once")
        self._state = "starting"
        self._session = session = aiohttp.ClientSession(
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT, sock_connect=CONNECT_TIMEOUT),
            connector=aiohttp.TCPConnector(limit=0),  # the servers have their own limits
            middlewares=(stay,),
        )
        places = self._limit or CAPACITY
        self._backends = [
            Backend(url, session, number, places, self._around.chance) for number, url in enumerate(self._urls, 1)
        ]
        await asyncio.gather(*(backend.probe() for backend in self._backends))
        if not self._up():
            self._state = "down"
            whys = (f"the remote engine {backend.name} {backend.why}" for backend in self._backends)
            raise Unavailable("; ".join(whys))
        self._watches = [asyncio.create_task(backend.watch()) for backend in self._backends]
        self._state = "ready"

    async def open(self, *, backlog: float = LIVE_BACKLOG) -> Stream:
        """Take a place, at the server with the most free ones. Raises Full after some patience, or Unavailable."""
        deadline = self._around.now() + PATIENCE
        for wait in delays(*TRY_AGAIN, self._around.chance):
            self._check_ready()
            self._check_room()
            try:
                stream = await self._place(backlog)
                break
            except Full:
                if self._around.now() + wait > deadline:
                    raise
            await self._around.sleep(wait)
        try:
            self._check_ready()
        except Unavailable:  # it was closed meanwhile
            await stream.close()
            raise
        return stream

    def stats(self) -> Stats:
        """The engine as it is now: the places of the servers that answer, and those that are taken, by others too."""
        ours = sum(backend.occupancy.ours for backend in self._backends)
        capacity = sum(backend.occupancy.total for backend in self._up())
        free = sum(backend.occupancy.free for backend in self._up())
        if self._limit:
            capacity, free = min(capacity, self._limit), min(free, max(0, self._limit - ours))
        state = "down" if self._state == "ready" and not self._up() else self._state
        return Stats(state, capacity, max(ours, capacity - free))

    async def transcribe_batch(self, clips: Sequence[PCM]) -> list[str]:
        """Whole clips to texts, through ordinary places."""
        turns = asyncio.Semaphore(min(CLIPS_AT_ONCE, max(1, self.stats().capacity)))
        checked = [checked_pcm(clip) for clip in clips]
        return list(await asyncio.gather(*(self._transcribe(clip, turns) for clip in checked)))

    async def close(self) -> None:
        """Close every stream and connection. Closing twice is harmless."""
        self._state = "closed"
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        await asyncio.gather(*(backend.close() for backend in self._backends))
        if self._session is not None:
            await self._session.close()

    def _up(self) -> list[Backend]:
        return [backend for backend in self._backends if backend.up]

    def _check_ready(self) -> None:
        if self._state != "ready":
            raise Unavailable(f"the remote engine is {self._state}")

    def _check_room(self) -> None:
        """Raises Full where only our own callers can make room, so that waiting for others is of no use."""
        ours = sum(backend.occupancy.ours for backend in self._backends)
        up = self._up()
        if (self._limit and ours >= self._limit) or (up and all(backend.occupancy.all_ours for backend in up)):
            raise Full

    async def _place(self, backlog: float) -> Stream:
        """A place at one of the servers that are up, or else of the others. Raises Full if any is full."""
        up = self._up()
        refusals: list[EngineError] = []
        for backend in (*sorted(up, key=_fullness), *(backend for backend in self._backends if backend not in up)):
            self._check_ready()
            if not backend.up and any(isinstance(refusal, Full) for refusal in refusals):
                break
            try:
                return await backend.open(backlog)
            except (Full, Unavailable) as refusal:
                refusals.append(refusal)
        raise min(refusals, key=lambda refusal: not isinstance(refusal, Full))

    async def _transcribe(self, clip: PCM, turns: asyncio.Semaphore) -> str:
        async with turns:
            return await transcribe_clip(await self.open(backlog=CLIP_BACKLOG), clip)


def _fullness(backend: Backend) -> int:
    return -backend.occupancy.free
