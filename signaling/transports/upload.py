"""Files to transcripts: what every door that takes a file shares.

    who = caller(request)
    async with uploads.receive(request, who) as body, uploads.transcribe(body.file, who, "name of the door") as upload:
        async for entry in upload.events():
            ...

A file is received whole, then decoded in a process of its own while an ordinary session hears it, faster than it was
spoken. Live callers go first: in the engine, because so much audio may wait (BULK_BACKLOG), and at its doors, because
files never take more than half of its places. A client that goes away ends all of it at once.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import BinaryIO

from aiohttp import web

from engine.base import SAMPLE_RATE
from engine.errors import EngineError, Full, Unavailable
from engine.events import Pause, Word, WordEnd
from media.container import About, Decoded, Limits, decoded
from media.errors import BadMedia, NoProcess
from signaling.auth import Caller
from signaling.body import Body, received
from signaling.commands import Audio, Command, Finish
from signaling.config import Config
from signaling.dialects.base import Message
from signaling.errors import BadFile, Draining, TooMany
from signaling.events import Ended, Entry
from signaling.limits import RateLimit
from signaling.session import Session
from signaling.switchboard import Switchboard, Terms
from signaling.transports.base import Item, Transport

BACKLOG = 60.0  # seconds of audio that may wait for the engine: more than BULK_BACKLOG, which makes it a file's
MEGABYTE = 1 << 20
MOST_RECEIVED = 32  # files that are being received at once
WAIT = 10.0  # seconds that a file waits until another one is done


class Uploads:
    """Takes files in and has them transcribed, so many at once."""

    def __init__(self, switchboard: Switchboard, config: Config) -> None:
        self._switchboard = switchboard
        self._size = config.max_file_size * MEGABYTE
        self._limits = Limits(seconds=config.max_duration)
        self._longest = config.max_session + config.max_duration  # even a file that live callers keep back ends
        self._most = config.files
        self._rate = RateLimit(config.files_per_minute)
        self._receiving = 0
        self._running = 0
        self._left = asyncio.Condition()
        self._clock = asyncio.get_running_loop().time

    @contextlib.asynccontextmanager
    async def receive(self, request: web.Request, who: Caller) -> AsyncIterator[Body]:
        """The file that a request brings, while the context lasts: kept on disk, without a name, and gone after it.

        What cannot be served is refused before it is read. Raises Full, Draining, TooMany, and what
        signaling.body.received does.
        """
        self._admit(who)
        self._receiving += 1
        try:
            async with received(request, self._size, self._check_open) as body:
                yield body
        finally:
            self._receiving -= 1

    @contextlib.asynccontextmanager
    async def transcribe(self, file: BinaryIO, who: Caller, door: str) -> "AsyncIterator[Upload]":
        """A session that hears the file, while the context lasts. `door`: its name, for lists and figures.

        Raises BadFile for what is no audio, NoProcess or Full when too much is being done, and what Switchboard.open
        does; all of them before anything is heard.
        """
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self._turn(who))
            audio = await stack.enter_async_context(_opened(file, self._limits))
            terms = Terms(door=door, longest=self._longest, backlog=BACKLOG)
            session = await self._switchboard.open(who, terms)
            transport = FileTransport(audio)
            session.join(transport, Unspoken())
            with _calling(who, lambda: session.end("lost")):
                try:
                    yield Upload(session, transport)
                finally:
                    session.end("bye")
                    await session.over.wait()

    def _admit(self, who: Caller) -> None:
        self._check_open()
        if wait := self._rate.take(who.key or who.address, self._clock()):
            raise TooMany("Too many files from this key or address.", retry_after=max(1, round(wait)))
        if self._receiving >= MOST_RECEIVED or not (self._switchboard.free or self._switchboard.patience):
            raise Full

    def _check_open(self) -> None:
        if self._switchboard.draining:
            raise _draining()

    @property
    def _places(self) -> int:
        """Files that may be transcribed at once, as the engine is now."""
        return min(self._most, max(1, self._switchboard.engine.stats().capacity // 2))

    @contextlib.asynccontextmanager
    async def _turn(self, who: Caller) -> AsyncIterator[None]:
        """While one of so many files. Raises NoProcess when no other one is done in time."""
        try:
            async with asyncio.timeout(WAIT) as waiting, self._left:
                with _calling(who, partial(_give_up, waiting)):
                    await self._left.wait_for(lambda: self._running < self._places)
                self._running += 1
        except TimeoutError:
            raise NoProcess("as many files are being transcribed as may be") from None
        try:
            yield
        finally:
            self._running -= 1
            async with self._left:
                self._left.notify()


class Upload:
    """One file that is being transcribed. `about`: what it says of itself."""

    def __init__(self, session: Session, transport: "FileTransport") -> None:
        self._session = session
        self._transport = transport
        self._told = 0.0

    @property
    def id(self) -> str:
        """The session's."""
        return self._session.id

    @property
    def about(self) -> About:
        """What the file says of itself; `duration` is None where it does not tell it, and may be wrong."""
        return self._transport.about

    @property
    def decoded(self) -> float:
        """Seconds of audio that were decoded so far: in the end, the file's true duration."""
        return self._transport.samples / SAMPLE_RATE

    @property
    def heard(self) -> float:
        """Seconds of audio that were transcribed so far, at least: for a progress bar, against `about.duration`."""
        if self._session.state == "ended":
            return self.decoded
        return max(self._told, self.decoded - BACKLOG)

    async def events(self) -> AsyncGenerator[Entry, None]:
        """What is heard, in order, as it is heard: words and their ends, pauses, and where the engine tells them
        partials. To be iterated over once, and to its end.

        When the file could not be heard to its end, what was heard comes first, and then the error: BadFile where the
        file is to blame; Unavailable, Draining, Full where it took too long; ConnectionError when the client has gone.
        """
        async with contextlib.aclosing(self._session.log.read()) as entries:
            async for entry in entries:
                match entry.event:
                    case Ended(reason):
                        _check_end(reason, self._transport.fault)
                    case Word(start=at) | WordEnd(stop=at) | Pause(at=at):
                        self._told = max(self._told, at)
                        yield entry
                    case _:
                        yield entry


class FileTransport(Transport):
    """A file as a session sees it: a caller who speaks as fast as one listens, and reads nothing."""

    def __init__(self, audio: Decoded) -> None:
        self.samples = 0
        self.fault: BadFile | None = None  # why the rest could not be decoded
        self._audio = audio

    @property
    def about(self) -> About:
        """What the file says of itself."""
        return self._audio.about

    @property
    def heard(self) -> float:
        return math.inf  # it is never idle: what it waits for is the engine

    @property
    def figures(self) -> Mapping[str, float]:
        return {"decoded_seconds": self.samples / SAMPLE_RATE, "damaged": self._audio.damaged}

    async def items(self) -> AsyncGenerator[Item, None]:
        try:
            async for pcm in self._audio:
                yield Audio(pcm, self.samples / SAMPLE_RATE)
                self.samples += len(pcm)
        except BadMedia as error:
            self.fault = BadFile(error.code, str(error))
        yield Finish()

    async def send(self, message: Message) -> None:
        """The doors read the session's log."""

    async def finish(self) -> None:
        """Its end is its own."""

    async def announce(self, seconds: float) -> None:
        """Nobody would hear it."""

    async def close(self, reason: str = "") -> None:
        """The process that decodes belongs to whoever began it."""


class Unspoken:
    """The language of a caller who is told nothing."""

    steps = False
    strict = False

    def ready(self, session: str) -> Sequence[Message]:
        return []

    def decode(self, message: Message) -> Iterable[Command]:
        return []

    def encode(self, entry: Entry) -> Sequence[Message]:
        return []

    def error(self, code: str, text: str) -> Sequence[Message]:
        return []


@contextlib.asynccontextmanager
async def _opened(file: BinaryIO, limits: Limits) -> AsyncIterator[Decoded]:
    """See media.container.decoded. Raises BadFile."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            audio = await stack.enter_async_context(decoded(file, SAMPLE_RATE, limits))
        except BadMedia as error:
            raise BadFile(error.code, str(error)) from None
        yield audio


@contextlib.contextmanager
def _calling(who: Caller, call: Callable[[], None]) -> Iterator[None]:
    """`call`, should the client go away meanwhile."""

    def gone(_: "asyncio.Future[None]") -> None:
        call()

    if who.left:
        who.left.add_done_callback(gone)
    try:
        yield
    finally:
        if who.left:
            who.left.remove_done_callback(gone)


def _give_up(waiting: asyncio.Timeout) -> None:
    if not waiting.expired():
        waiting.reschedule(-math.inf)


def _check_end(reason: str, fault: BadFile | None) -> None:
    """Raises what cut the file short, if anything did."""
    match reason:
        case "finished" if fault:
            raise fault
        case "finished":
            return
        case "drain":
            raise _draining()
        case "engine_down":
            raise Unavailable("The recognizer stopped while it heard the file; please send it again.")
        case "max_session":
            raise Full
        case "lost" | "bye":
            raise ConnectionResetError("the client has gone")
        case _:
            raise EngineError(f"the session of a file ended: {reason}")


def _draining() -> Draining:
    return Draining("The server is about to end and takes no more files.", retry_after=5)
