"""A server in moshi-server's exact shape, on the scripted engine: what RemoteEngine is tested against.

`ours` makes it offer our own language beside it, as another Offhook does.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from engine.base import FRAME_SAMPLES, Engine, EngineConfig, Stream
from engine.errors import EngineError, Full
from engine.events import Mark, Step, Word, WordEnd
from engine.scripted import DELAY, scripted_engine
from engine.verbs import Audio, Clear, Finish, Flush, MarkAt, Verb
from engine.wire import Failure, Fed, Finished, Init, Ready, Reply, decode_request, encode, failure_of

KEY = "public_token"


class MoshiServer:
    """The handlers, and what they saw."""

    def __init__(self, engine: Engine, *, ours: bool) -> None:
        self._engine = engine
        self._ours = ours
        self.sockets: list[web.WebSocketResponse] = []

    def app(self) -> web.Application:
        """The two routes that a client of a moshi-server uses."""
        app = web.Application()
        app.router.add_get("/api/asr-streaming", self._stream)
        app.router.add_get("/api/modules_info", self._modules)
        return app

    async def _modules(self, _: web.Request) -> web.Response:
        stats = self._engine.stats()
        module = {"type": "batched_asr", "used_slots": str(stats.live), "total_slots": str(stats.capacity)}
        return web.json_response([{"type": "lm"}, module])

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("kyutai-api-key") != KEY:
            return web.Response(status=401)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        try:
            stream = await self._engine.open(backlog=3600.0)
        except Full as error:
            await _send(socket, Failure(str(error)), plain=True)
            return socket
        await _send(socket, Ready(), plain=not self._ours)
        conversation = _ours(socket, stream) if self._ours else _plain(socket, stream)
        try:
            await conversation
        finally:
            await stream.close()
        return socket


@asynccontextmanager
async def moshi_server(capacity: int, *, ours: bool) -> AsyncIterator[tuple[str, MoshiServer]]:
    """A running server: its WebSocket's address, and itself."""
    engine = scripted_engine(EngineConfig("scripted", capacity=capacity))
    await engine.start()
    handlers = MoshiServer(engine, ours=ours)
    try:
        async with TestServer(handlers.app()) as server:
            yield f"ws://127.0.0.1:{server.port}/api/asr-streaming", handlers
    finally:
        await engine.close()


async def _ours(socket: web.WebSocketResponse, stream: Stream) -> None:
    telling = asyncio.create_task(_tell(socket, stream))
    fed = 0
    try:
        async for message in socket:
            match decode_request(message.data):
                case Audio(pcm):
                    await stream.feed(pcm)
                    fed += len(pcm)
                    await _send(socket, Fed(fed))
                case Init(version):
                    assert version > 0
                case request:
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


async def _plain(socket: web.WebSocketResponse, stream: Stream) -> None:
    """moshi-server: a marker comes back after the delay of the audio behind it, and nothing flushes by itself."""
    markers: deque[tuple[int, int]] = deque()
    telling = asyncio.create_task(_tell_plain(socket, stream, markers))
    fed = 0
    try:
        async for message in socket:
            assert message.type is WSMsgType.BINARY
            match decode_request(message.data):
                case Audio(pcm):
                    await stream.feed(pcm)
                    fed += len(pcm)
                case MarkAt(id):
                    markers.append((id, -(-fed // FRAME_SAMPLES) + DELAY))
                case request:
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
