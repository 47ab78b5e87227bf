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
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import BinaryIO

from aiohttp import web

from engine.base import SAMPLE_RATE
from engine.errors import EngineError, Full, Unavailable
from engine.events import Pause, Word, WordEnd
from media.container import About, Decoded, Limits, decoded
from media.errors import BadMedia
from signaling.auth import Caller
from signaling.body import Body, received
from signaling.config import Config
from signaling.errors import BUSY_RETRY_AFTER, BadFile, Draining, TooMany
from signaling.events import Ended, Entry
from signaling.limits import RateLimit, Shares
from signaling.queue import Queue
from signaling.session import Session
from signaling.switchboard import Switchboard, Terms
from signaling.transports.recording import FileTransport, Unspoken

BACKLOG = 60.0  # seconds of audio that may wait for the engine: more than BULK_BACKLOG, which makes it a file's
MEGABYTE = 1 << 20
HOUR = 3_600.0  # seconds of audio, which media.container's limits are made for
MOST_HERE = 32  # files that are being received, wait, or are being transcribed
MOST_OF_ONE = 16  # of these, from one key, or from one address without a key
WAIT = 10.0  # seconds that a file waits until another one is done


class Uploads:
    """Takes files in and has them transcribed, so many at once."""

    def __init__(self, switchboard: Switchboard, config: Config) -> None:
        self._switchboard = switchboard
        self._size = config.max_file_size * MEGABYTE
        self._limits = _limits(config.max_duration)
        self._longest = config.max_session + config.max_duration  # even a file that live callers keep back ends
        self._most = config.files
        self._rate = RateLimit(config.files_per_minute)
        self._here = Shares()
        self._running = 0
        self._line = Queue(WAIT, MOST_HERE, lambda outcome: None)
        self._clock = asyncio.get_running_loop().time

    @contextlib.asynccontextmanager
    async def receive(self, request: web.Request, who: Caller) -> AsyncIterator[Body]:
        """The file that a request brings, while the context lasts: kept on disk, without a name, and gone after it.

        What cannot be served is refused before it is read. Raises Full, Draining, TooMany, and what
        signaling.body.received does.
        """
        self._admit(who)
        asker = [_asker(who)]
        self._here.take(asker)
        try:
            async with received(request, self._size, self._check_open) as body:
                yield body
        finally:
            self._here.give_back(asker)

    @contextlib.asynccontextmanager
    async def transcribe(self, file: BinaryIO, who: Caller, door: str) -> "AsyncIterator[Upload]":
        """A session that hears the file, while the context lasts. `door`: its name, for lists and figures.

        Raises BadFile for what is no audio, NoProcess or Full when too much is being done, ConnectionError when the
        client has gone, and what Switchboard.open does; all of them before anything is heard.
        """
        async with contextlib.AsyncExitStack() as stack:
            await self._line.place(self._begin, _asker(who), left=who.left)
            stack.callback(self._end)
            async with _present(who):
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
        if wait := self._rate.take(_asker(who), self._clock()):
            raise TooMany("Too many files from this key or address.", retry_after=max(1, round(wait)))
        if self._here.of(_asker(who)) >= MOST_OF_ONE:
            text = f"This key or address has sent {MOST_OF_ONE} files that are not done yet: wait for one of them."
            raise TooMany(text, retry_after=BUSY_RETRY_AFTER)
        if self._here.total >= MOST_HERE or not (self._switchboard.free or self._switchboard.patience):
            raise Full

    def _check_open(self) -> None:
        if self._switchboard.draining:
            raise _draining()

    @property
    def _places(self) -> int:
        """Files that may be transcribed at once, as the engine is now."""
        return min(self._most, max(1, self._switchboard.engine.stats().capacity // 2))

    async def _begin(self) -> None:
        """One more is being transcribed. Raises Full or Draining."""
        self._check_open()
        if self._running >= self._places:
            raise Full
        self._running += 1

    def _end(self) -> None:
        self._running -= 1
        self._line.freed()


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


@contextlib.asynccontextmanager
async def _opened(file: BinaryIO, limits: Limits) -> AsyncIterator[Decoded]:
    """See media.container.decoded. Raises BadFile."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            audio = await stack.enter_async_context(decoded(file, SAMPLE_RATE, limits))
        except BadMedia as error:
            raise BadFile(error.code, str(error)) from None
        yield audio


@contextlib.asynccontextmanager
async def _present(who: Caller) -> AsyncIterator[None]:
    """Raises ConnectionResetError in what is done meanwhile, once the client has gone."""
    try:
        async with asyncio.timeout(None) as patience:
            with _calling(who, lambda: patience.reschedule(-math.inf)):
                yield
    except TimeoutError:
        if not patience.expired():
            raise
        raise ConnectionResetError("the client has gone") from None


@contextlib.contextmanager
def _calling(who: Caller, call: Callable[[], None]) -> Iterator[None]:
    """`call`, should the client go away meanwhile."""
    meanwhile = True

    def gone(_: "asyncio.Future[None]") -> None:
        if meanwhile:  # it may have been on its way here when it was not asked for any more
            call()

    if who.left:
        who.left.add_done_callback(gone)
    try:
        yield
    finally:
        meanwhile = False
        if who.left:
            who.left.remove_done_callback(gone)


def _asker(who: Caller) -> str:
    """Who is counted together."""
    return who.key or who.address


def _limits(seconds: float) -> Limits:
    """What decoding a file may take that may have so many seconds."""
    of_an_hour, hours = Limits(), max(1.0, seconds / HOUR)
    return Limits(seconds=seconds, cpu=math.ceil(of_an_hour.cpu * hours), wait=of_an_hour.wait * hours)


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
