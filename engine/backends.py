"""One server of several: how it is, how many places it has, and how a place there is taken.

A server counts as up once it has answered with Ready (or "no free channels") on a WebSocket, which also shows that it
takes the key. From then on it is only asked for its places now and then. One that does not answer is left aside and
tried again, soon and then less often.
"""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterator

import aiohttp
from yarl import URL

from engine.backoff import delays
from engine.errors import Full, Unavailable
from engine.occupancy import Occupancy
from engine.plain import PlainStream
from engine.sockets import RemoteStream, Socket, hang_up, receive
from engine.streams import window_of
from engine.wire import MESSAGE_LIMIT, VERSION, Failure, Init, Ready, encode, error_of

PLACES_NAME = "modules_info"  # beside it: the list of what a moshi-server runs
PLACES_LIMIT = 1 << 16  # bytes of that list
SAID_LIMIT = 200  # characters of a server's reason for serving nobody
SLOTS_LIMIT = 1_000_000  # places that a server may claim
CONNECT_TIMEOUT = 3.0  # seconds for a TCP connection
ANSWER_TIMEOUT = 10.0  # seconds for a new caller's connection to get ready
ASK_TIMEOUT = 3.0  # seconds for a server to say how many places it has
ASK_EVERY = 5.0  # seconds between two such questions to a server that is up
TRY_AGAIN = (0.25, 2.0)  # seconds between attempts at one that is not: at first, and at most
HEARTBEAT = 10.0  # seconds between pings, moshi-server's own; without an answer the connection is lost after five more
UNASKED = "has not been asked yet"

logger = logging.getLogger(__name__)


class Backend:
    """A server at `url`, the `number`-th of those that there are. It counts as `up` or not, and `why` says why not."""

    def __init__(
        self, url: URL, session: aiohttp.ClientSession, number: int, places: int, chance: Callable[[], float]
    ) -> None:
        self.url = url
        self.up = False
        self.why = UNASKED
        self.occupancy = Occupancy(places)
        self.streams: set[RemoteStream] = set()
        self._session = session
        self._number = number
        self._chance = chance
        self._doubted = asyncio.Event()

    @property
    def name(self) -> str:
        """Host and port: what may be shown of its address."""
        return f"{self.url.host}:{self.url.port}"

    async def open(self, backlog: float) -> RemoteStream:
        """Take a place. Raises Full or Unavailable, and remembers it."""
        self.occupancy.take()
        try:
            stream = await self._connect(backlog)
        except BaseException as error:
            self.occupancy.leave()
            self._learn(error)
            raise
        self.streams.add(stream)
        if not self.up:
            self._is_up()
            self._doubted.set()  # to be told its places
        return stream

    async def probe(self) -> None:
        """Ask the server how it is; `up`, `why` and `occupancy` say it afterwards."""
        up = self.up
        try:
            await self._ask()
            if not up:
                await self._greet()  # afterwards, or it would be counted among its callers
        except Unavailable as error:
            self._is_aside(str(error))
        else:
            if not up:
                self._is_up()

    async def watch(self) -> None:
        """Ask it for ever: gently while it is up, soon when there is doubt, with back-off while it is not."""
        waits = self._attempts()
        while True:
            if self.up:
                waits = self._attempts()
            await self._doubt_or(ASK_EVERY if self.up else next(waits))
            await self.probe()

    async def close(self) -> None:
        """Close every stream."""
        await asyncio.gather(*(stream.close() for stream in self.streams))

    def left(self, stream: RemoteStream) -> None:
        """The stream is closed: its place is free."""
        self.streams.discard(stream)
        self.occupancy.leave()

    def lost(self) -> None:
        """A stream lost its connection: the server may be gone."""
        if self.up:
            self._doubted.set()

    def _learn(self, error: BaseException) -> None:
        match error:
            case Full():
                self.occupancy.refused()
                self._is_up()
            case Unavailable():
                self.lost()
                self._is_aside(str(error))
            case _:
                pass

    def _is_up(self) -> None:
        if not self.up:
            logger.info("remote engine %d is up", self._number)
        self.up, self.why = True, ""

    def _is_aside(self, why: str) -> None:
        if self.why != why:
            logger.error("remote engine %d %s", self._number, why)
        self.up, self.why = False, why

    def _attempts(self) -> Iterator[float]:
        return delays(*TRY_AGAIN, self._chance)

    async def _doubt_or(self, seconds: float) -> None:
        """Wait until something casts doubt on what is known, or for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._doubted.wait()
        except TimeoutError:
            pass
        self._doubted.clear()

    async def _greet(self) -> None:
        """See whether it would take a caller, or would if there were a place."""
        try:
            socket, _ = await self._dial()
        except Full:
            self.occupancy.refused()
        else:
            await hang_up(socket)

    async def _ask(self) -> None:
        """Ask for its places. A server that answers something else serves, but does not tell."""
        url = self.url.with_name(PLACES_NAME)
        try:
            async with asyncio.timeout(ASK_TIMEOUT), self._session.get(url) as response:
                if response.status >= 500:
                    raise Unavailable(f"answers with status {response.status}")
                told = places_of(await _body(response)) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(_silence(error)) from error
        if told is None:
            self.occupancy.untold()
        else:
            self.occupancy.told(*told)

    async def _connect(self, backlog: float) -> RemoteStream:
        socket, ready = await self._dial()
        if not ready.version:
            return PlainStream(self, socket, backlog)
        window = window_of(backlog)
        try:
            await socket.send_bytes(encode(Init(VERSION, backlog - window)))
        except BaseException as error:
            await hang_up(socket)
            if isinstance(error, aiohttp.ClientError | ConnectionError):
                raise Unavailable(_silence(error)) from error
            raise
        return RemoteStream(self, socket, window)

    async def _dial(self) -> tuple[Socket, Ready]:
        """A connection that the server has answered with Ready. Raises Full or Unavailable."""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                socket = await self._session.ws_connect(self.url, heartbeat=HEARTBEAT, max_msg_size=MESSAGE_LIMIT)
                try:
                    return socket, await _ready(socket)
                except BaseException:
                    await hang_up(socket)
                    raise
        except aiohttp.WSServerHandshakeError as error:
            raise _refusal(error.status) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(_silence(error)) from error


async def stay(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Sends a request, but not on to where its answer points: the key would go there too. Raises Unavailable."""
    response = await handler(request)
    if 300 <= response.status < 400:
        response.close()
        raise Unavailable(f"redirects (status {response.status}): give --remote-url the address that it points to")
    return response


def places_of(body: bytes) -> tuple[int, int] | None:
    """Used and total places of every batched module, as moshi-server lists them (as text); None where none are told."""
    try:
        modules = json.loads(body)
    except (ValueError, RecursionError):
        return None
    listed = modules if isinstance(modules, list) else []
    told = [module for module in listed if isinstance(module, dict) and "total_slots" in module]
    slots = [(_slots(module.get("used_slots")), _slots(module["total_slots"])) for module in told]
    return (sum(used for used, _ in slots), sum(total for _, total in slots)) if slots else None


def _slots(told: object) -> int:
    text = str(told)
    return min(int(text), SLOTS_LIMIT) if text.isdecimal() and len(text) < 20 else 0


async def _ready(socket: Socket) -> Ready:
    match await receive(socket):
        case Ready() as ready:
            return ready
        case Failure() as failure:
            error = error_of(failure)
            raise error if isinstance(error, Full) else Unavailable(f"says {str(error)[:SAID_LIMIT]!r}")
        case _:
            raise Unavailable("ends the connection instead of getting ready")


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The body, as far as it may be long."""
    body = bytearray()
    async for piece in response.content.iter_chunked(PLACES_LIMIT):
        body += piece
        if len(body) > PLACES_LIMIT:
            break
    return bytes(body)


def _refusal(status: int) -> Full | Unavailable:
    if status == 429:
        return Full()
    if status in (401, 403):
        return Unavailable(f"refuses the key (status {status}): check --remote-key")
    return Unavailable(f"answers with status {status}")


def _silence(error: BaseException) -> str:
    """Why nothing came of it, but never in the error's own words, which may hold the address."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "does not answer (its name leads nowhere)"
    if isinstance(error, TimeoutError):
        return "does not answer (nothing came in time)"
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    code = cause.errno if isinstance(cause, OSError) else None
    return f"does not answer ({os.strerror(code) if code else type(error).__name__})"
