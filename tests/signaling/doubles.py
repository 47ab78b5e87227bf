"""A stream and a transport that do what a test tells them, with the real ones' shape."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import numpy as np

from engine.base import PCM, Stream
from engine.errors import EngineError
from engine.events import Event
from engine.outbox import Outbox
from media.events import Missed, Quality
from signaling.commands import Audio, Finish
from signaling.dialects.base import Message
from signaling.transports.base import HungUp, Item, Lost, Transport

FRAME = 1_920
SECONDS = FRAME / 24_000


class Recorded(Stream):
    """Remembers what it was given, and says what the test puts into `outbox`."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.given: list[str | int] = []
        self.samples = 0
        self.closed = False
        self._changed = asyncio.Event()

    async def feed(self, pcm: PCM) -> None:
        self.samples += len(pcm)
        self._changed.set()

    def mark(self, id: int) -> None:
        self._note(id)

    def flush(self) -> None:
        self._note("flush")

    def clear(self) -> None:
        self._note("clear")

    def finish(self) -> None:
        self._note("finish")

    async def close(self) -> None:
        self.closed = True
        self.outbox.end()

    async def __anext__(self) -> Event:
        return await self.outbox.get()

    def die(self, error: EngineError) -> None:
        self.outbox.end(error)

    async def heard(self, samples: int) -> None:
        """Wait until so many samples were fed."""
        await self._until(lambda: self.samples >= samples)

    async def asked(self, verb: str | int) -> None:
        """Wait until this verb, or the mark with this id, was given."""
        await self._until(lambda: verb in self.given)

    def _note(self, verb: str | int) -> None:
        self.given.append(verb)
        self._changed.set()

    async def _until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(2):
            while not true():
                self._changed.clear()
                await self._changed.wait()


class Line(Transport):
    """A caller in a test's hands: `say` and `audio` bring items, `hang_up` and `vanish` end them."""

    def __init__(self) -> None:
        self.told: list[Message] = []
        self.announced: list[float] = []
        self.closed = asyncio.Event()
        self.reason = ""
        self.stuck = False
        self._items: asyncio.Queue[Item | Exception | None] = asyncio.Queue()
        self._heard = asyncio.get_running_loop().time()
        self._changed = asyncio.Event()

    @property
    def heard(self) -> float:
        return self._heard

    async def items(self) -> AsyncGenerator[Item, None]:
        while (item := await self._items.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    async def send(self, message: Message) -> None:
        if self.stuck:
            await asyncio.Future()
        self.told.append(message)
        self._changed.set()

    async def finish(self) -> None:
        self._items.put_nowait(Finish())
        self._items.put_nowait(None)

    async def announce(self, seconds: float) -> None:
        self.announced.append(seconds)
        self._changed.set()

    async def close(self, reason: str = "") -> None:
        self._items.put_nowait(None)
        self.reason = reason
        self.closed.set()

    def say(self, message: Message) -> None:
        self._items.put_nowait(message)

    def audio(self, index: int, spoken: float | None = None) -> None:
        self._heard = asyncio.get_running_loop().time()
        self._items.put_nowait(Audio(np.zeros(FRAME, np.float32), index * SECONDS, spoken))

    def miss(self, start: float, stop: float) -> None:
        self._items.put_nowait(Missed(start, stop))

    def measure(self, quality: Quality) -> None:
        self._items.put_nowait(quality)

    def hang_up(self) -> None:
        self._items.put_nowait(None)

    def close_media(self) -> None:
        self._items.put_nowait(HungUp())

    def vanish(self) -> None:
        self.fail(Lost())

    def fail(self, error: Exception) -> None:
        """The items end with this error."""
        self._items.put_nowait(error)

    async def wait_for(self, text: str) -> Message:
        """The first message told that holds `text`."""
        async with asyncio.timeout(2):
            while True:
                if found := [message for message in self.told if text in str(message)]:
                    return found[0]
                self._changed.clear()
                await self._changed.wait()
