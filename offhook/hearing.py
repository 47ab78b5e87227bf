"""A file and an engine of our own: no server. The file is decoded as uploads are, in a process of its own, and heard
as fast as the engine can."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice

from engine.backoff import delays
from engine.base import BULK_BACKLOG, FRAME_SAMPLES, SAMPLE_RATE, Engine, Stream
from engine.errors import Full
from engine.events import Event, Pause, Step, Word, WordEnd
from media.container import Decoded, Limits, decoded
from media.container_child import GUESS_LENGTH
from media.errors import MediaError
from offhook.progress import Track
from offhook.recordings import Source

LIMITS = Limits(seconds=7 * 86_400, cpu=3_600, wait=3_600)  # nobody else is kept waiting, and Ctrl-C ends it
SHARED_BACKLOG = 2 * BULK_BACKLOG  # seconds of audio that may wait for an engine that has callers too: they go first
TRY_AGAIN = (0.5, 8.0)  # seconds between two attempts to get a place that others have: at first, and at most
ATTEMPTS = 10  # about a minute in all
CUT_OFF = 1.0  # seconds less than a file says it has, from which on it looks cut off


class Hearing:
    """Files through the places of one engine. One that is `shared` has live callers, to whom files give way."""

    def __init__(self, engine: Engine, *, shared: bool = False) -> None:
        self._engine = engine
        self._backlog = SHARED_BACKLOG if shared else BULK_BACKLOG
        self._taken = 0
        self._left = asyncio.Event()

    async def events(self, source: Source, track: Track) -> AsyncGenerator[Event, None]:
        """The words and pauses of a file; `track` is told how far it is. Raises MediaError for what cannot be decoded,
        OSError for what cannot be opened, and EngineError."""
        async with decoded(source, SAMPLE_RATE, LIMITS) as audio, self._place() as stream:
            track.duration = audio.about.duration
            feeding = asyncio.create_task(_feed(stream, audio))
            try:
                async for event in stream:
                    track.reach(_position(event))
                    if isinstance(event, Word | WordEnd | Pause):
                        yield event
                seconds = await feeding
            finally:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)
            track.lost = lost(audio, seconds)
            track.end(seconds)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[Stream]:
        stream = await self._seat()
        self._taken += 1
        try:
            yield stream
        finally:
            await stream.close()
            self._taken -= 1
            self._left.set()

    async def _seat(self) -> Stream:
        """A place; one that is taken by another of our files is waited for, others' only so long. Raises Full."""
        waits = islice(delays(*TRY_AGAIN, random.random), ATTEMPTS)
        while True:
            try:
                return await self._engine.open(backlog=self._backlog)
            except Full:
                if self._taken:
                    self._left.clear()
                    await self._left.wait()
                elif (wait := next(waits, None)) is not None:
                    await asyncio.sleep(wait)
                else:
                    raise


def lost(audio: Decoded, seconds: float) -> str:
    """What of a file was not heard, though it has been read to its end; empty if nothing is missing."""
    if audio.damaged:
        return f"{audio.damaged} parts of it are damaged and were left out: if words are missing, copy it again"
    told = audio.about.duration
    if told is not None and told - seconds > CUT_OFF and audio.about.container not in GUESS_LENGTH:
        return f"it says that it has {told:.1f} s, and has {seconds:.1f} s: it looks cut off, so copy it again"
    return ""


async def _feed(stream: Stream, audio: Decoded) -> float:
    """Everything that can be decoded; its seconds. Raises MediaError, after which the stream is closed."""
    fed = 0
    try:
        async for pcm in audio:
            await stream.feed(pcm)
            fed += len(pcm)
    except MediaError:
        await stream.close()
        raise
    stream.finish()
    return fed / SAMPLE_RATE


def _position(event: Event) -> float:
    """How far the engine was, in seconds, when it told this: at least."""
    match event:
        case Step(index):
            return index * FRAME_SAMPLES / SAMPLE_RATE
        case Word(start=at) | WordEnd(at) | Pause(at):
            return at
        case _:
            return 0.0
