"""A client of servers elsewhere: what the contract cannot see from outside."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import numpy as np
import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from engine.base import EngineConfig, Stats, Stream
from engine.errors import Full, Misuse, Unavailable
from engine.events import Partial, Pause, Step, Word
from engine.remote import CAPACITY, PATIENCE, RemoteEngine, Surroundings
from engine.scripted import say
from engine.verbs import Audio
from engine.wire import Failure, Ready, encode
from tests.engine.moshi_server import KEY, MoshiServer, moshi_server

SOON = 10.0
SECOND = np.zeros(24_000, dtype=np.float32)

StartServer = Callable[..., Awaitable[MoshiServer]]
StartEngine = Callable[..., Awaitable[RemoteEngine]]
Speak = Callable[[web.WebSocketResponse], Awaitable[None]]


@pytest.fixture(params=[False, True], ids=["moshi-server", "offhook"])
def ours(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
async def serve(ours: bool) -> AsyncIterator[StartServer]:
    """Starts servers with so many places."""
    async with AsyncExitStack() as stack:
        yield lambda capacity: stack.enter_async_context(moshi_server(capacity, ours=ours))


@pytest.fixture
async def connect() -> AsyncIterator[StartEngine]:
    """Starts engines that are clients of the addresses given."""
    engines: list[RemoteEngine] = []

    async def start(
        *urls: str, key: str = KEY, capacity: int = 0, surroundings: Surroundings | None = None
    ) -> RemoteEngine:
        config = EngineConfig("remote", capacity=capacity, remote_urls=urls, remote_key=key)
        engines.append(RemoteEngine(config, surroundings))
        await engines[-1].start()
        return engines[-1]

    yield start
    for engine in engines:
        await engine.close()


class FakeTime:
    """Waits that take no time, and are noted. A test may do something in each."""

    def __init__(self, meanwhile: Callable[[], Awaitable[None]] | None = None) -> None:
        self.waits: list[float] = []
        self._meanwhile = meanwhile

    @property
    def surroundings(self) -> Surroundings:
        return Surroundings(sleep=self._sleep, now=lambda: sum(self.waits), chance=lambda: 0.0)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        if self._meanwhile:
            await self._meanwhile()


async def until(engine: RemoteEngine, holds: Callable[[Stats], bool]) -> Stats:
    """Wait until the figures are as they should be: nothing else tells of it."""
    async with asyncio.timeout(SOON):
        while not holds(engine.stats()):  # noqa: ASYNC110 - the contract has no event for it
            await asyncio.sleep(0.01)
    return engine.stats()


async def hears(stream: Stream) -> None:
    """Assert that a stream turns audio into words; close it."""
    await stream.feed(say(["alpha", "bravo"]))
    stream.finish()
    async with asyncio.timeout(SOON):
        assert [event.text async for event in stream if isinstance(event, Word)] == ["alpha", "bravo"]
    await stream.close()


# Its places


async def test_the_capacity_is_what_the_servers_tell(serve: StartServer, connect: StartEngine) -> None:
    engine = await connect((await serve(2)).url, (await serve(3)).url)
    assert engine.stats() == Stats("ready", 5, 0)


async def test_callers_go_where_most_places_are_free(serve: StartServer, connect: StartEngine) -> None:
    large, small = await serve(4), await serve(2)
    engine = await connect(small.url, large.url)
    taken = []
    for _ in range(6):
        await engine.open()
        taken.append((large.live, small.live))
    assert taken == [(1, 0), (2, 0), (2, 1), (3, 1), (3, 2), (4, 2)]
    assert engine.stats() == Stats("ready", 6, 6)


async def test_what_others_take_is_not_free(serve: StartServer, connect: StartEngine) -> None:
    shared, own = await serve(3), await serve(2)
    other = await connect(shared.url)
    for _ in range(2):
        await other.open()
    engine = await connect(shared.url, own.url)
    assert engine.stats() == Stats("ready", 5, 2)
    await engine.open()
    assert (shared.live, own.live) == (2, 1)


async def test_what_others_take_later_is_learnt(
    serve: StartServer, connect: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.backends.ASK_EVERY", 0.01)
    server = await serve(3)
    engine, other = await connect(server.url), await connect(server.url)
    stream = await other.open()
    await until(engine, lambda stats: stats.live == 1)
    await stream.close()
    await until(engine, lambda stats: stats.live == 0)


async def test_a_server_that_is_full_after_all_is_passed_over(serve: StartServer, connect: StartEngine) -> None:
    first, second = await serve(2), await serve(1)
    engine, other = await connect(first.url, second.url), await connect(first.url)
    for _ in range(2):
        await other.open()
    await engine.open()
    assert second.live == 1
    assert engine.stats().free == 0


async def test_a_full_house_is_tried_again_and_then_full(serve: StartServer, connect: StartEngine) -> None:
    server, time = await serve(2), FakeTime()
    engine, other = await connect(server.url, surroundings=time.surroundings), await connect(server.url)
    for _ in range(2):
        await other.open()
    with pytest.raises(Full, match=r"^no free channels$"):
        await engine.open()
    assert time.waits == [0.2, 0.4, 0.8, 1.6, 2.0]
    assert sum(time.waits) <= PATIENCE
    assert engine.stats() == Stats("ready", 2, 2)


async def test_a_place_that_comes_free_meanwhile_is_taken(serve: StartServer, connect: StartEngine) -> None:
    server = await serve(1)
    other = await connect(server.url)
    stream = await other.open()
    time = FakeTime(stream.close)
    engine = await connect(server.url, surroundings=time.surroundings)
    await hears(await engine.open())
    assert time.waits


async def test_a_house_that_is_full_of_our_own_is_full_at_once(serve: StartServer, connect: StartEngine) -> None:
    server, time = await serve(2), FakeTime()
    engine = await connect(server.url, surroundings=time.surroundings)
    streams = [await engine.open() for _ in range(2)]
    with pytest.raises(Full):
        await engine.open()
    assert time.waits == []
    await streams[0].close()
    await hears(await engine.open())


async def test_a_configured_capacity_is_the_limit(serve: StartServer, connect: StartEngine) -> None:
    first, second, time = await serve(2), await serve(2), FakeTime()
    engine = await connect(first.url, second.url, capacity=3, surroundings=time.surroundings)
    assert engine.stats() == Stats("ready", 3, 0)
    for _ in range(3):
        await engine.open()
    with pytest.raises(Full):
        await engine.open()
    assert engine.stats() == Stats("ready", 3, 3)
    assert first.live + second.live == 3


async def test_a_closed_engine_does_not_go_on_trying(serve: StartServer, connect: StartEngine) -> None:
    server = await serve(1)
    await (await connect(server.url)).open()

    async def close() -> None:
        await engine.close()

    time = FakeTime(close)
    engine = await connect(server.url, surroundings=time.surroundings)
    with pytest.raises(Unavailable, match="closed"):
        await engine.open()
    assert len(time.waits) == 1


async def test_a_batch_is_spread_over_the_servers(serve: StartServer, connect: StartEngine) -> None:
    first, second = await serve(2), await serve(2)
    engine = await connect(first.url, second.url)
    clips = [say([word]) for word in ("alpha", "bravo", "charlie", "delta")]
    assert await engine.transcribe_batch(clips) == ["alpha", "bravo", "charlie", "delta"]
    assert any(isinstance(request, Audio) for request in first.requests)
    assert any(isinstance(request, Audio) for request in second.requests)


# Its servers' deaths


async def test_a_servers_death_is_told_to_its_streams_at_once(serve: StartServer, connect: StartEngine) -> None:
    server = await serve(3)
    engine = await connect(server.url)
    streams = [await engine.open() for _ in range(3)]
    reading = [asyncio.create_task(anext(stream)) for stream in streams]
    await server.crash()
    for stream, task in zip(streams, reading, strict=True):
        with pytest.raises(Unavailable, match="lost"):
            await asyncio.wait_for(task, 1.0)
        with pytest.raises(Unavailable, match="lost"):
            await stream.feed(SECOND)
        stream.flush()
        await stream.close()
    stats = await until(engine, lambda stats: stats.state == "down")
    assert stats == Stats("down", 0, 0)
    with pytest.raises(Unavailable, match="does not answer"):
        await engine.open()
    await server.start()
    await until(engine, lambda stats: stats == Stats("ready", 3, 0))
    await hears(await engine.open())


async def test_a_server_that_is_back_serves_before_it_was_asked(
    serve: StartServer, connect: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.backends.TRY_AGAIN", (60.0, 60.0))
    server = await serve(2)
    engine = await connect(server.url)
    await server.crash()
    with pytest.raises(Unavailable):
        await engine.open()
    assert engine.stats().state == "down"
    await server.start()
    await hears(await engine.open())
    assert engine.stats() == Stats("ready", 2, 0)


async def test_one_servers_death_is_nothing_to_the_others(serve: StartServer, connect: StartEngine) -> None:
    dying, living = await serve(3), await serve(2)
    engine = await connect(dying.url, living.url)
    lost, _, kept = [await engine.open() for _ in range(3)]
    assert living.live == 1
    await dying.crash()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(anext(lost), 1.0)
    await hears(kept)
    await hears(await engine.open())
    assert await until(engine, lambda stats: stats.capacity == 2) == Stats("ready", 2, 2)  # the lost ones, not closed
    await dying.start()
    await until(engine, lambda stats: stats.capacity == 5)


async def test_a_lost_connection_ends_its_stream_alone(serve: StartServer, connect: StartEngine) -> None:
    server = await serve(2)
    engine = await connect(server.url)
    lost, kept = await engine.open(), await engine.open()
    await server.sockets[-2].close()
    with pytest.raises(Unavailable, match="lost"):
        await asyncio.wait_for(anext(lost), SOON)
    await hears(kept)
    await lost.close()
    assert engine.stats() == Stats("ready", 2, 0)


async def test_nothing_is_left_of_servers_that_died(serve: StartServer, connect: StartEngine) -> None:
    server = await serve(3)
    engine = await connect(server.url)

    async def live_and_die() -> None:
        streams = [await engine.open() for _ in range(3)]
        await server.crash()
        for stream in streams:
            with pytest.raises(Unavailable):
                await asyncio.wait_for(anext(stream), 1.0)
            await stream.close()
        await server.start()
        await until(engine, lambda stats: stats == Stats("ready", 3, 0))

    process = psutil.Process()
    await live_and_die()
    gc.collect()
    before = (len(asyncio.all_tasks()), process.num_fds())
    for _ in range(3):
        await live_and_die()
    gc.collect()
    after = (len(asyncio.all_tasks()), process.num_fds())
    assert all(now <= then + 2 for now, then in zip(after, before, strict=True))  # a question may be on its way


async def test_it_starts_with_one_server_of_two_and_takes_the_other_later(
    serve: StartServer, connect: StartEngine
) -> None:
    there, away = await serve(1), await serve(2)
    await away.crash()
    engine = await connect(away.url, there.url)
    assert engine.stats() == Stats("ready", 1, 0)
    await away.start()
    await until(engine, lambda stats: stats == Stats("ready", 3, 0))


async def test_no_server_at_all_is_unavailable_and_each_is_named(
    connect: StartEngine, unused_tcp_port_factory: Callable[[], int]
) -> None:
    first, second = unused_tcp_port_factory(), unused_tcp_port_factory()
    with pytest.raises(Unavailable, match="does not answer") as caught:
        await connect(f"ws://secret@127.0.0.1:{first}", f"ws://127.0.0.1:{second}?auth_id=secret", key="secret")
    assert f"127.0.0.1:{first} does not answer (Connection refused)" in str(caught.value)
    assert f"127.0.0.1:{second} does not answer" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_an_engine_that_cannot_start_is_down(unused_tcp_port: int) -> None:
    engine = RemoteEngine(EngineConfig("remote", remote_urls=(f"ws://127.0.0.1:{unused_tcp_port}",)))
    with pytest.raises(Unavailable):
        await engine.start()
    assert engine.stats().state == "down"
    with pytest.raises(Unavailable, match="down"):
        await engine.open()
    await engine.close()


# Its key


async def test_a_wrong_key_is_told_at_the_start(serve: StartServer, connect: StartEngine) -> None:
    server = await serve(1)
    with pytest.raises(Unavailable, match=r"refuses the key .* --remote-key"):
        await connect(server.url, key="wrong")


async def test_a_key_that_is_refused_later_is_told_too(serve: StartServer, connect: StartEngine) -> None:
    server = await serve(1)
    engine = await connect(server.url)
    server.key = "another"
    with pytest.raises(Unavailable, match="refuses the key"):
        await engine.open()
    assert engine.stats().state == "down"
    server.key = KEY
    await until(engine, lambda stats: stats.state == "ready")
    await hears(await engine.open())


# What it hears


async def test_steps_are_counted_for_the_stream_alone(serve: StartServer, connect: StartEngine) -> None:
    engine = await connect((await serve(1)).url)
    stream = await engine.open()
    await stream.feed(SECOND)
    stream.finish()
    steps = [event async for event in stream if isinstance(event, Step)]
    assert [step.index for step in steps] == list(range(1, len(steps) + 1))
    assert len(steps) >= 13
    assert all(len(step.pauses) == 4 for step in steps)


async def test_a_moshi_servers_pauses_are_taken_from_its_steps(connect: StartEngine) -> None:
    async with moshi_server(1, ours=False) as server:
        stream = await (await connect(server.url)).open(backlog=60.0)
        await stream.feed(np.concatenate([say(["alpha", "bravo"]), np.zeros(4 * 24_000, np.float32)]))
        stream.finish()
        pauses = [event async for event in stream if isinstance(event, Pause)]
        assert [round(pause.at, 2) for pause in pauses] == [0.88]


async def test_our_own_servers_tails_come_through(connect: StartEngine) -> None:
    async with moshi_server(1, ours=True) as server:
        stream = await (await connect(server.url)).open()
        await stream.feed(say(["alpha", "bravo"]))
        stream.finish()
        tails = [event.text async for event in stream if isinstance(event, Partial)]
        assert tails[0] == "alpha"
        assert tails[-1] == ""


async def test_a_caller_on_hold_keeps_the_place(
    serve: StartServer, connect: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("sockets", "plain"):
        monkeypatch.setattr(f"engine.{module}.QUIET", 0.02)
    server = await serve(1)
    stream = await (await connect(server.url)).open()
    async with asyncio.timeout(SOON), server.changed:
        await server.changed.wait_for(
            lambda: sum(isinstance(request, Audio) and len(request.pcm) == 0 for request in server.requests) >= 3
        )
    await hears(stream)


# Servers of other kinds


@pytest.fixture
async def speaking(connect: StartEngine) -> AsyncIterator[Callable[[Speak], Awaitable[RemoteEngine]]]:
    """Starts an engine at a server that does something of its own with each socket, but the first."""
    async with AsyncExitStack() as stack:

        async def start(speak: Speak) -> RemoteEngine:
            sockets = 0

            async def handle(request: web.Request) -> web.WebSocketResponse:
                nonlocal sockets
                sockets += 1
                socket = web.WebSocketResponse(autoping=False)
                await socket.prepare(request)
                if sockets == 1:
                    await socket.send_bytes(encode(Ready(version=1)))
                    await socket.receive()
                else:
                    await speak(socket)
                return socket

            app = web.Application()
            app.router.add_get("/api/asr-streaming", handle)
            server = await stack.enter_async_context(TestServer(app, shutdown_timeout=0.0))
            return await connect(str(server.make_url("/")))

        yield start


Speaking = Callable[[Speak], Awaitable[RemoteEngine]]


async def test_a_server_that_tells_nothing_is_taken_for_a_usual_one(speaking: Speaking, connect: StartEngine) -> None:
    async def deaf(socket: web.WebSocketResponse) -> None:
        await socket.send_bytes(encode(Ready()))
        await socket.receive()

    engine = await speaking(deaf)
    assert engine.stats() == Stats("ready", CAPACITY, 0)
    await engine.open()
    assert engine.stats() == Stats("ready", CAPACITY, 1)


async def test_more_callers_than_an_http_client_usually_allows(speaking: Speaking) -> None:
    async def ready(socket: web.WebSocketResponse) -> None:
        await socket.send_bytes(encode(Ready()))
        await socket.receive()

    engine = await speaking(ready)
    engine._backends[0].occupancy.told(0, 200)
    streams = await asyncio.gather(*(engine.open() for _ in range(110)))
    assert engine.stats().live == 110
    await asyncio.gather(*(stream.close() for stream in streams))


@pytest.mark.parametrize("message", ["no free channels", "no free channels, try again later"])
async def test_a_full_server_may_say_more_than_moshi_servers_words(
    message: str, speaking: Speaking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.remote.PATIENCE", 0.0)

    async def full(socket: web.WebSocketResponse) -> None:
        await socket.send_bytes(encode(Failure(message), plain=True))

    engine = await speaking(full)
    with pytest.raises(Full):
        await engine.open()
    assert engine.stats() == Stats("ready", CAPACITY, CAPACITY)


@pytest.mark.parametrize("code", ["unavailable", "misuse", "something_new"])
async def test_a_server_that_serves_nobody_is_left_aside(code: str, speaking: Speaking) -> None:
    async def refuse(socket: web.WebSocketResponse) -> None:
        await socket.send_bytes(encode(Failure("not today", code)))

    engine = await speaking(refuse)
    with pytest.raises(Unavailable, match="not today"):
        await engine.open()
    assert engine.stats() == Stats("down", 0, 0)


@pytest.mark.parametrize("junk", [b"\xc1", encode(Ready())[:-1], "text"])
async def test_a_server_that_speaks_something_else_is_unavailable(junk: bytes | str, speaking: Speaking) -> None:
    async def speak(socket: web.WebSocketResponse) -> None:
        await (socket.send_str(junk) if isinstance(junk, str) else socket.send_bytes(junk))
        await socket.receive()

    engine = await speaking(speak)
    with pytest.raises(Unavailable, match="instead of getting ready"):
        await engine.open()
    assert engine.stats().live == 0


async def test_a_server_that_stands_still_is_noticed(speaking: Speaking, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has lost its power, or its network: nothing comes from it, no end either."""
    monkeypatch.setattr("engine.backends.HEARTBEAT", 0.05)
    monkeypatch.setattr("engine.sockets.CLOSE_TIMEOUT", 0.05)

    async def freeze(socket: web.WebSocketResponse) -> None:
        await socket.send_bytes(encode(Ready()))
        while not socket.closed:
            await socket.receive()  # pings among it, which nobody answers

    engine = await speaking(freeze)
    stream = await engine.open()
    with pytest.raises(Unavailable, match="lost"):
        await asyncio.wait_for(anext(stream), SOON)
    await stream.close()


async def test_a_place_at_a_server_that_stands_still_is_given_back_soon(
    speaking: Speaking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.sockets.CLOSE_TIMEOUT", 0.05)
    over = asyncio.Event()

    async def freeze(socket: web.WebSocketResponse) -> None:
        await socket.send_bytes(encode(Ready()))
        await over.wait()

    stream = await (await speaking(freeze)).open()
    await asyncio.wait_for(stream.close(), SOON / 2)  # aiohttp would wait longer for an answer
    over.set()


async def test_a_server_that_never_gets_ready_is_left_aside(
    speaking: Speaking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.backends.ANSWER_TIMEOUT", 0.05)
    monkeypatch.setattr("engine.sockets.CLOSE_TIMEOUT", 0.05)
    over = asyncio.Event()

    async def ponder(socket: web.WebSocketResponse) -> None:
        await over.wait()

    engine = await speaking(ponder)
    with pytest.raises(Unavailable, match="does not answer"):
        await engine.open()
    assert engine.stats() == Stats("down", 0, 0)
    over.set()


@pytest.mark.parametrize(
    ("status", "error", "why"),
    [(404, Unavailable, "status 404"), (503, Unavailable, "status 503"), (403, Unavailable, "refuses the key")],
)
async def test_a_refused_upgrade_is_said(status: int, error: type[Exception], why: str, connect: StartEngine) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/api/asr-streaming", refuse)
    async with TestServer(app) as server:
        with pytest.raises(error, match=why):
            await connect(str(server.make_url("/")))


@pytest.mark.parametrize("path", ["modules_info", "asr-streaming"])
async def test_nobody_else_is_shown_the_key_whatever_a_server_says(path: str, connect: StartEngine) -> None:
    shown: list[str | None] = []

    async def elsewhere(request: web.Request) -> web.Response:
        shown.append(request.headers.get("kyutai-api-key"))
        return web.json_response([])

    other = web.Application()
    other.router.add_get("/{path:.*}", elsewhere)
    async with TestServer(other) as stranger:

        async def lead_astray(_: web.Request) -> web.Response:
            raise web.HTTPFound(stranger.make_url("/"))

        app = web.Application()
        app.router.add_get(f"/api/{path}", lead_astray)
        async with TestServer(app) as server:
            with pytest.raises(Unavailable, match=r"redirects \(status 302\)"):
                await connect(str(server.make_url("/")))
    assert not shown


async def test_too_many_requests_are_a_full_house(connect: StartEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.remote.PATIENCE", 0.0)

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=429)

    app = web.Application()
    app.router.add_get("/api/asr-streaming", refuse)
    async with TestServer(app) as server:
        engine = await connect(str(server.make_url("/")))
        with pytest.raises(Full):
            await engine.open()


async def test_a_server_that_cannot_say_how_it_is_is_not_up(connect: StartEngine) -> None:
    """As a proxy answers for one that is gone."""

    async def broken(_: web.Request) -> web.Response:
        return web.Response(status=502)

    app = web.Application()
    app.router.add_get("/api/modules_info", broken)
    async with TestServer(app) as server:
        with pytest.raises(Unavailable, match="status 502"):
            await connect(str(server.make_url("/")))


async def test_a_long_list_of_places_is_not_read_to_its_end(connect: StartEngine, ours: bool) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b" " * 65_536)
        except (aiohttp.ClientError, ConnectionError):
            return response

    async with moshi_server(2, ours=ours) as real:
        app = web.Application()
        app.router.add_get("/api/modules_info", endless)
        app.router.add_get("/api/asr-streaming", real._stream)
        async with TestServer(app, shutdown_timeout=0.0) as server:
            engine = await connect(str(server.make_url("/")))
            assert engine.stats().capacity == CAPACITY


# Its configuration


@pytest.mark.parametrize("urls", [(), ("",), ("localhost:8080",), ("ws://gpu", "ftp://host/")])
def test_an_address_that_is_none_is_misuse(urls: tuple[str, ...]) -> None:
    with pytest.raises(Misuse, match="address"):
        RemoteEngine(EngineConfig("remote", remote_urls=urls))


async def test_an_address_said_twice_is_one_server(serve: StartServer, connect: StartEngine) -> None:
    server = await serve(2)
    engine = await connect(server.url, server.url.removesuffix("/api/asr-streaming"))
    assert engine.stats().capacity == 2
