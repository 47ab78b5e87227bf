"""A client of moshi-server: what the contract cannot see from outside."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from engine.base import EngineConfig
from engine.errors import Full, Misuse, Unavailable
from engine.events import Partial, Pause, Step, Word
from engine.remote import CAPACITY, RemoteEngine
from engine.scripted import say
from engine.wire import Ready, encode
from tests.engine.moshi_server import KEY, MoshiServer, moshi_server

PATIENCE = 10.0
SECOND = np.zeros(24_000, dtype=np.float32)


@pytest.fixture(params=[False, True], ids=["moshi-server", "offhook"])
async def served(request: pytest.FixtureRequest) -> AsyncIterator[tuple[RemoteEngine, MoshiServer, str]]:
    async with moshi_server(2, ours=request.param) as (url, server):
        engine = RemoteEngine(EngineConfig("remote", remote_url=url, remote_key=KEY))
        await engine.start()
        yield engine, server, url
        await engine.close()


async def test_the_capacity_is_what_the_server_tells(served: tuple[RemoteEngine, MoshiServer, str]) -> None:
    assert served[0].stats().capacity == 2


async def test_a_full_server_is_full_although_places_seem_free(served: tuple[RemoteEngine, MoshiServer, str]) -> None:
    engine, _, url = served
    other = RemoteEngine(EngineConfig("remote", remote_url=url, remote_key=KEY))
    await other.start()
    for _ in range(2):
        await other.open()
    with pytest.raises(Full):
        await engine.open()
    assert engine.stats().live == 0
    await other.close()


async def test_a_lost_connection_ends_its_stream_alone(served: tuple[RemoteEngine, MoshiServer, str]) -> None:
    engine, server, _ = served
    lost, kept = await engine.open(), await engine.open()
    await server.sockets[0].close()
    with pytest.raises(Unavailable, match="lost"):
        await asyncio.wait_for(anext(lost), PATIENCE)
    with pytest.raises(Unavailable, match="lost"):
        await lost.feed(SECOND)
    await kept.feed(say(["alpha"]))
    kept.finish()
    assert [event.text async for event in kept if isinstance(event, Word)] == ["alpha"]
    await lost.close()


async def test_a_wrong_key_is_refused(served: tuple[RemoteEngine, MoshiServer, str]) -> None:
    engine = RemoteEngine(EngineConfig("remote", remote_url=served[2], remote_key="wrong"))
    await engine.start()
    with pytest.raises(Unavailable, match="refuses the key"):
        await engine.open()
    await engine.close()


async def test_steps_are_counted_for_the_stream_alone(served: tuple[RemoteEngine, MoshiServer, str]) -> None:
    engine, _, _ = served
    stream = await engine.open()
    await stream.feed(SECOND)
    stream.finish()
    steps = [event async for event in stream if isinstance(event, Step)]
    assert [step.index for step in steps] == list(range(1, len(steps) + 1))
    assert len(steps) >= 13
    assert all(len(step.pauses) == 4 for step in steps)


async def test_a_moshi_servers_pauses_are_taken_from_its_steps() -> None:
    async with moshi_server(1, ours=False) as (url, _):
        engine = RemoteEngine(EngineConfig("remote", remote_url=url, remote_key=KEY))
        await engine.start()
        stream = await engine.open(backlog=60.0)
        await stream.feed(np.concatenate([say(["alpha", "bravo"]), np.zeros(4 * 24_000, np.float32)]))
        stream.finish()
        pauses = [event async for event in stream if isinstance(event, Pause)]
        assert [round(pause.at, 2) for pause in pauses] == [0.88]
        await engine.close()


async def test_our_own_servers_tails_come_through() -> None:
    async with moshi_server(1, ours=True) as (url, _):
        engine = RemoteEngine(EngineConfig("remote", remote_url=url, remote_key=KEY))
        await engine.start()
        stream = await engine.open()
        await stream.feed(say(["alpha", "bravo"]))
        stream.finish()
        tails = [event.text async for event in stream if isinstance(event, Partial)]
        assert tails[0] == "alpha"
        assert tails[-1] == ""
        await engine.close()


async def test_a_server_that_is_not_there_is_unavailable(unused_tcp_port: int) -> None:
    engine = RemoteEngine(EngineConfig("remote", remote_url=f"http://127.0.0.1:{unused_tcp_port}"))
    with pytest.raises(Unavailable, match="does not answer"):
        await engine.start()
    assert engine.stats().state == "down"
    await engine.close()


async def test_a_server_that_tells_nothing_is_taken_for_a_usual_one() -> None:
    async with TestServer(web.Application()) as server:
        engine = RemoteEngine(EngineConfig("remote", remote_url=str(server.make_url("/"))))
        await engine.start()
        assert engine.stats().capacity == CAPACITY
        with pytest.raises(Unavailable, match="status 404"):
            await engine.open()
        await engine.close()


async def test_a_configured_capacity_counts() -> None:
    async with TestServer(web.Application()) as server:
        engine = RemoteEngine(EngineConfig("remote", capacity=5, remote_url=str(server.make_url("/"))))
        await engine.start()
        assert engine.stats().capacity == 5
        await engine.close()


@pytest.mark.parametrize("junk", [b"\xc1", encode(Ready())[:-1], "text"])
async def test_a_server_that_speaks_something_else_is_unavailable(junk: bytes | str) -> None:
    async def speak(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if isinstance(junk, str):
            await socket.send_str(junk)
        else:
            await socket.send_bytes(junk)
        await socket.receive()
        return socket

    app = web.Application()
    app.router.add_get("/api/asr-streaming", speak)
    async with TestServer(app) as server:
        engine = RemoteEngine(EngineConfig("remote", remote_url=str(server.make_url("/"))))
        await engine.start()
        with pytest.raises(Unavailable):
            await engine.open()
        assert engine.stats().live == 0
        await engine.close()


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://host/", "http://"])
def test_an_address_that_is_none_is_misuse(url: str) -> None:
    with pytest.raises(Misuse, match="address"):
        RemoteEngine(EngineConfig("remote", remote_url=url))
