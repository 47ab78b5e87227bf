"""One caller's WebSocket to a server that speaks our language."""

import asyncio
import contextlib
import logging
from typing import Protocol

import aiohttp
import numpy as np

from engine.errors import EngineError, Unavailable
from engine.streams import WireStream
from engine.verbs import Audio, Verb
from engine.wire import Reply, decode_reply, encode

QUIET = 30.0  # seconds without audio after which a sign of life is sent: servers let go who sends none for 120 s
CLOSE_TIMEOUT = 1.0  # seconds for the server to answer a close frame
LOST = "the connection to the remote engine was lost"

logger = logging.getLogger(__name__)

Socket = aiohttp.ClientWebSocketResponse


class Home(Protocol):
    """Whose stream it is."""

    def left(self, stream: "RemoteStream") -> None:
        """The stream is closed: its place is free."""
        ...

    def lost(self) -> None:
        """A stream lost its connection, which may say something about the server."""
        ...


class RemoteStream(WireStream):
    """One caller's place at a server that speaks our language."""

    def __init__(self, home: Home, socket: Socket, backlog: float) -> None:
        super().__init__(backlog)
        self._home = home
        self._socket = socket
        self._verbs: asyncio.Queue[Verb] = asyncio.Queue()  # bounded by the backlog that `feed` waits for
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]

    def _send(self, verb: Verb) -> None:
        if not self._outbox.ended:
            self._verbs.put_nowait(verb)

    async def _release(self) -> None:
        self._home.left(self)
        reading, writing = self._tasks
        writing.cancel()
        await hang_up(self._socket)  # while it is read: aiohttp does not wait for the answer once a read was cancelled
        reading.cancel()
        await asyncio.gather(reading, writing, return_exceptions=True)

    async def _read(self) -> None:
        while self.hear(reply := await receive(self._socket), LOST):
            pass
        if reply is None and not self._closed:
            self._home.lost()

    async def _write(self) -> None:
        while True:
            try:
                async with asyncio.timeout(QUIET):
                    verb = await self._verbs.get()
            except TimeoutError:
                verb = Audio(np.zeros(0, dtype=np.float32))  # the caller is on hold and keeps the place
            await self._put(encode(verb))

    async def _put(self, data: bytes) -> None:
        try:
            await self._socket.send_bytes(data)
        except (aiohttp.ClientError, ConnectionError):
            self.end(Unavailable(LOST))


async def receive(socket: Socket) -> Reply | None:
    """The server's next message; None once the connection is lost, or for what is no message."""
    message = await socket.receive()
    if message.type is not aiohttp.WSMsgType.BINARY:
        return None
    try:
        return decode_reply(message.data)
    except EngineError as error:
        logger.error("a remote engine does not keep to the language: %s", error)
        return None


async def hang_up(socket: Socket) -> None:
    """Close a socket; the server may be dead, so it is not waited for long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await socket.close()
