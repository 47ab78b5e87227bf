"""An engine served over channels: one connection for each stream or clip. The far side of process.py's streams."""

import asyncio
from collections.abc import Iterable
from typing import Any, assert_never

import numpy as np

from engine.base import PCM, SAMPLE_RATE, Engine, Stream
from engine.channel import Channel
from engine.errors import EngineError, Full, Misuse, Unavailable
from engine.verbs import Audio, Clear, Finish, Flush, MarkAt, Verb
from engine.wire import WINDOW, Fed, Finished, Init, Ready, Reply, Request, Text, decode_request, encode, failure_of

CLIP_LIMIT = 3_600 * SAMPLE_RATE  # samples of the longest clip
VERBS_LIMIT = 1_000  # verbs that may wait behind audio
SEAT_TIMEOUT = 5.0  # seconds for a place that its last caller has left to be free here too


class Host:
    """Serves an engine to the process's parent. `died` is set once the engine can no longer serve."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._vacated = asyncio.Event()
        self.died: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its Init to its end."""
        channel = Channel(reader, writer)
        try:
            match await _receive(channel):
                case Init(job="clip"):
                    await self._clip(channel)
                case Init(backlog=backlog):
                    await self._stream(channel, backlog)
                case None:
                    pass
                case _:
                    raise Misuse("a connection begins with Init")
        except EngineError as error:
            self._tell_failure(channel, error)
        finally:
            channel.close()

    async def _stream(self, channel: Channel, backlog: float) -> None:
        stream = await self._open(backlog)
        verbs = Inbox()
        tasks = [
            asyncio.create_task(self._tell(stream, channel)),
            asyncio.create_task(self._obey(stream, verbs, channel)),
        ]
        try:
            _send(channel, Ready())
            while (request := await _receive(channel)) is not None:
                verbs.put(_verb(request))
        finally:
            await _cancel(tasks)
            await stream.close()
            self._vacated.set()

    async def _open(self, backlog: float) -> Stream:
        """A place. The parent counts them, so one that seems taken is being left: wait for that, but not for ever."""
        try:
            async with asyncio.timeout(SEAT_TIMEOUT):
                return await self._open_when_vacated(backlog)
        except TimeoutError:
            raise Full from None

    async def _open_when_vacated(self, backlog: float) -> Stream:
        while True:
            try:
                return await self._engine.open(backlog=backlog)
            except Full:
                if not self._engine.stats().admitting:
                    raise
                self._vacated.clear()
                await self._vacated.wait()

    async def _tell(self, stream: Stream, channel: Channel) -> None:
        try:
            async for event in stream:
                _send(channel, event)
                await channel.drain()
            _send(channel, Finished())
        except EngineError as error:
            self._tell_failure(channel, error)

    async def _obey(self, stream: Stream, verbs: "Inbox", channel: Channel) -> None:
        fed = 0
        try:
            while True:
                verb = await verbs.get()
                await _ask(stream, verb)
                if isinstance(verb, Audio):
                    fed += len(verb.pcm)
                    _send(channel, Fed(fed))
        except EngineError as error:
            self._tell_failure(channel, error)

    async def _clip(self, channel: Channel) -> None:
        _send(channel, Ready())
        clip = await _receive_clip(channel)
        transcribing = asyncio.create_task(self._engine.transcribe_batch([clip]))
        hanging_up = asyncio.create_task(_hung_up(channel))
        try:
            await asyncio.wait((transcribing, hanging_up), return_when=asyncio.FIRST_COMPLETED)
            if transcribing.done():
                _send(channel, Text(transcribing.result()[0]))
        finally:
            await _cancel([transcribing, hanging_up])

    def _tell_failure(self, channel: Channel, error: EngineError) -> None:
        _send(channel, failure_of(error))
        if isinstance(error, Unavailable) and not self.died.done():
            self.died.set_result(str(error))


class Inbox:
    """The verbs that a stream has not yet been asked. A peer that overruns its window breaks the contract."""

    def __init__(self) -> None:
        self._verbs: asyncio.Queue[Verb] = asyncio.Queue(VERBS_LIMIT)
        self._samples = 0

    def put(self, verb: Verb) -> None:
        """Add a verb. Raises Misuse when too much waits."""
        self._samples += len(verb.pcm) if isinstance(verb, Audio) else 0
        if self._verbs.full() or self._samples > 2 * WINDOW:
            raise Misuse("more was sent than there is room for")
        self._verbs.put_nowait(verb)

    async def get(self) -> Verb:
        """The next verb."""
        verb = await self._verbs.get()
        self._samples -= len(verb.pcm) if isinstance(verb, Audio) else 0
        return verb


async def _ask(stream: Stream, verb: Verb) -> None:
    match verb:
        case Audio(pcm):
            await stream.feed(pcm)
        case MarkAt(id):
            stream.mark(id)
        case Flush():
            stream.flush()
        case Clear():
            stream.clear()
        case Finish():
            stream.finish()
        case _:
            assert_never(verb)


async def _receive_clip(channel: Channel) -> PCM:
    """The clip's audio, up to Finish. Raises Misuse when the peer hangs up before, or sends more than an hour."""
    pieces: list[PCM] = []
    samples = 0
    while not isinstance(request := await _receive(channel), Finish):
        if not isinstance(request, Audio):
            raise Misuse("a clip is audio, then Finish")
        pieces.append(request.pcm)
        samples += len(request.pcm)
        if samples > CLIP_LIMIT:
            raise Misuse(f"a clip may last {CLIP_LIMIT // SAMPLE_RATE} seconds")
        _send(channel, Fed(samples))
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.float32)


async def _hung_up(channel: Channel) -> None:
    """Return once the peer hangs up, which is all that it may do."""
    while await channel.receive() is not None:
        pass


async def _receive(channel: Channel) -> Request | None:
    data = await channel.receive()
    return None if data is None else decode_request(data)


def _send(channel: Channel, message: Reply) -> None:
    channel.send(encode(message))


def _verb(request: Request) -> Verb:
    if isinstance(request, Audio | MarkAt | Flush | Clear | Finish):
        return request
    raise Misuse(f"a stream has no {type(request).__name__}")


async def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
