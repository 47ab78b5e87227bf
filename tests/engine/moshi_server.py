"""A server in moshi-server's exact shape, on the scripted engine: what RemoteEngine is tested against.

`ours` makes it offer our own language beside it, as another Offhook does.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from aiohttp import WSMsgType, web

from engine.base import FRAME_SAMPLES, Engine, EngineConfig, Stream
from engine.errors import EngineError, Full
from engine.events import Mark, Step, Word, WordEnd
from engine.scripted import DELAY, scripted_engine
from engine.verbs import Audio, Clear, Finish, Flush, MarkAt, Verb
from engine.wire import Failure, Fed, Finished, Init, Ready, Reply, Request, decode_request, encode, failure_of

KEY = "public_token"


class MoshiServer:
    """A server, and what it saw. A `busy` moshi-server has other callers too, so its markers come back at once."""

    def __init__(self, capacity: int, *, ours: bool, busy: bool = False) -> None:
        self.key = KEY
        self.full = "no free channels"
        self.port = 0
        self.sockets: list[web.WebSocketResponse] = []  # all that there were
        self.requests: list[Request] = []
        self.changed = asyncio.Condition()
        self._capacity = capacity
        self._ours = ours
        self._delay = 0 if busy else DELAY
        self._engine: Engine
        self._runner: web.AppRunner

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/api/asr-streaming"

    @property
    def live(self) -> int:
        """Callers that it has now."""
        return self._engine.stats().live

    async def start(self) -> None:
        """Serve: the first time on a free port, later on the same one."""
        self._engine = scripted_engine(EngineConfig("scripted", capacity=self._capacity))
        await self._engine.start()
        app = web.Application()
        app.router.add_get("/api/asr-streaming", self._stream)
        app.router.add_get("/api/modules_info", self._modules)
        self._runner = web.AppRunner(app, shutdown_timeout=0.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def crash(self) -> None:
        """Be gone, as a killed process is: nobody gets a close frame."""
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            if isinstance(connection.transport, asyncio.Transport):
                connection.transport.abort()
        await self._runner.cleanup()
        await self._engine.close()

    async def heard(self, request: Request) -> None:
        """Note what a client sent."""
        async with self.changed:
            self.requests.append(request)
            self.changed.notify_all()

    async def _modules(self, _: web.Request) -> web.Response:
        stats = self._engine.stats()
        module = {"type": "batched_asr", "used_slots": str(stats.live), "total_slots": str(stats.capacity)}
        return web.json_response([{"type": "lm"}, module])

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("kyutai-api-key") != self.key:
            return web.Response(status=401)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        try:
            stream = await self._engine.open(backlog=3600.0)
        except Full:
            await _send(socket, Failure(self.full), plain=True)
            return socket
        try:
            await _send(socket, Ready(), plain=not self._ours)
            await (_ours(self, socket, stream) if self._ours else _plain(self, socket, stream, self._delay))
        finally:
            await stream.close()
        return socket


@asynccontextmanager
async def moshi_server(capacity: int, *, ours: bool, busy: bool = False) -> AsyncIterator[MoshiServer]:
    """A running server."""
    server = MoshiServer(capacity, ours=ours, busy=busy)
    await server.start()
    try:
        yield server
    finally:
        await server.crash()


async def _ours(server: MoshiServer, socket: web.WebSocketResponse, stream: Stream) -> None:
    telling = asyncio.create_task(_tell(socket, stream))
    fed = 0
    try:
        async for message in socket:
            request = decode_request(message.data)
            await server.heard(request)
            match request:
                case Audio(pcm):
                    await stream.feed(pcm)
                    fed += len(pcm)
                    await _send(socket, Fed(fed))
                case Init(version):
                    assert version > 0
                case _:
                    _ask(stream, request)
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


async def _tell(socket: web.WebSocketResponse, stream: Stream) -> None:
    try:
        async for event in stream:
            await _send(socket, event)
        await _send(socket, Finished())
    except EngineError as error:
        await _send(socket, failure_of(error))


def _ask(stream: Stream, request: object) -> None:
    match request:
        case MarkAt(id):
            stream.mark(id)
        case Flush():
            stream.flush()
        case Clear():
            stream.clear()
        case Finish():
            stream.finish()
        case _:
            raise AssertionError(f"not a verb of our language: {request}")


async def _plain(server: MoshiServer, socket: web.WebSocketResponse, stream: Stream, delay: int) -> None:
    """moshi-server: a marker comes back after the delay of the audio behind it, and nothing flushes by itself."""
    markers: deque[tuple[int, int]] = deque()
    telling = asyncio.create_task(_tell_plain(socket, stream, markers))
    fed = 0
    try:
        async for message in socket:
            assert message.type is WSMsgType.BINARY
            request = decode_request(message.data)
            await server.heard(request)
            match request:
                case Audio(pcm):
                    await stream.feed(pcm)
                    fed += len(pcm)
                case MarkAt(id):
                    markers.append((id, -(-fed // FRAME_SAMPLES) + delay))
                case _:
                    raise AssertionError(f"a moshi-server does not know {request}")
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


async def _tell_plain(socket: web.WebSocketResponse, stream: Stream, markers: deque[tuple[int, int]]) -> None:
    async for event in stream:
        if isinstance(event, Step):
            await _send(socket, replace(event, index=event.index + 1_000), plain=True)  # counted for all its streams
            while markers and markers[0][1] <= event.index:
                await _send(socket, Mark(markers.popleft()[0]), plain=True)
        elif isinstance(event, Word | WordEnd):
            await _send(socket, event, plain=True)


async def _send(socket: web.WebSocketResponse, message: Reply | Verb, *, plain: bool = False) -> None:
    if not socket.closed:
        await socket.send_bytes(encode(message, plain=plain))
