"""What goes wrong around a server: its engine dies or stands still, it has no descriptors or no disk. Every door is in
use meanwhile; each caller is told in its own language, nothing crashes, and afterwards all is as before."""

import asyncio
import contextlib
import io
import resource
import signal
import wave
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import numpy as np
import pytest

from engine.base import PCM, SAMPLE_RATE, s16_from_pcm
from engine.scripted import say
from tests.offhook.doors import SDP, SOCKETS, Guest, Publisher, told_by_sse, within
from tests.offhook.server import Server

StartServer = Callable[..., Awaitable[Server]]

TOLD = 3.0  # seconds for everybody to be told
BACK = 10.0  # seconds for the engine to be back
SILENCE: PCM = np.zeros(48_000, np.float32)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


async def healthy(server: Server, within: float, status: int = 200) -> None:
    """Wait until a server's health is answered with this status; nothing tells of it."""
    async with asyncio.timeout(within):
        while (await server.health())[0] != status:  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(0.05)


async def statuses(http: aiohttp.ClientSession, url: str) -> dict[str, int]:
    """How the other doors answer."""
    found = {}
    for path in ("/", "/metrics", "/api/build_info", "/api/modules_info", "/v1/sessions", "/ready", "/health"):
        async with http.get(url + path) as response:
            found[path] = response.status
    async with http.post(f"{url}/whip", data="v=0\r\n", headers=SDP) as response:
        found["/whip"] = response.status
    async with http.post(f"{url}/api/asr-streaming", data=b"RIFF") as response:
        found["file"] = response.status
    return found


def faults(found: dict[str, int]) -> dict[str, int]:
    """Those that blame the server for more than being busy."""
    return {path: status for path, status in found.items() if status >= 500 and status != 503}


async def is_heard_everywhere(http: aiohttp.ClientSession, server: Server) -> None:
    """A new caller at each door is told a word."""
    guests = [await Guest.at(http, server.url, door) for door in SOCKETS]
    for guest in guests:
        await guest.say("charlie", "delta")
        await guest.send(guest.door.audio(SILENCE))
    await within(TOLD, *(guest.hears("charlie") for guest in guests))
    for guest in guests:
        await guest.socket.close()


async def test_a_killed_engine_is_told_at_every_door_and_served_again_soon(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server()
    _, voice = await server.call("alpha", "bravo", "alpha", "bravo")
    publisher = await Publisher.at(http, server.url, "alpha", "bravo", "alpha", "bravo")
    guests = [await Guest.at(http, server.url, door) for door in SOCKETS]
    for guest in guests:
        await guest.say("alpha", "bravo")
    listening = asyncio.create_task(told_by_sse(http, f"{publisher.resource}/events", "ended"))
    await within(TOLD, voice.told("word"), publisher.told("word"), *(guest.hears("alpha") for guest in guests))
    server.engine.kill()
    ended, published, listened, *lasts = await within(
        TOLD, voice.told("ended"), publisher.told("ended"), listening, *(guest.last() for guest in guests)
    )
    assert {told["reason"] for told in (ended, published, listened)} == {"engine_down"}
    for door, (message, code) in zip(SOCKETS, lasts, strict=True):
        assert "recognizer" in message, (door.path, message)
        assert code == 1013
    assert not faults(await statuses(http, server.url))
    await healthy(server, BACK)
    await is_heard_everywhere(http, server)
    await publisher.close()


async def test_an_engine_that_stands_still_is_a_full_stop_for_new_callers_and_goes_on_with_the_old_ones(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server()
    _, voice = await server.call("alpha", "bravo", "charlie")
    await voice.told("word", text="alpha")
    voice.speech.stop_for_now()
    engine = server.engine
    engine.suspend()
    await healthy(server, BACK, status=503)
    found = await statuses(http, server.url)
    assert (found["/ready"], found["/health"], found["/metrics"]) == (503, 503, 200)
    assert not faults(found)
    refused = [await (await Guest.at(http, server.url, door)).last() for door in SOCKETS]
    assert {code for _, code in refused} == {1013}
    engine.resume()
    await healthy(server, BACK)
    assert server.engine.pid == engine.pid
    voice.speech.go_on()
    await voice.told("word", within=BACK, text="charlie")
    await is_heard_everywhere(http, server)


# Without descriptors


async def knock(http: aiohttp.ClientSession, url: str, go: asyncio.Event) -> str:
    """One of a crowd: what came of it. Who is let in stays until `go`."""
    try:
        guest = await Guest.at(http, url, SOCKETS[0])
    except aiohttp.WSServerHandshakeError as refusal:
        return str(refusal.status)
    except aiohttp.ClientConnectionError:
        return "closed"
    with contextlib.suppress(aiohttp.ClientConnectionError):  # it may be refused before it has said anything
        await guest.say("alpha")
        await guest.send(guest.door.audio(SILENCE))
    async with asyncio.timeout(TOLD):
        if "alpha" not in str(await guest.next()):
            return str((await guest.last())[1])
    await go.wait()
    await guest.socket.close()
    return "heard"


async def test_a_server_without_descriptors_refuses_and_goes_on(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server("--capacity", "100")
    complaints = asyncio.create_task(server.complaints())  # a log that nobody reads would hold the server up
    _, voice = await server.call("alpha", "bravo", "charlie")
    await voice.told("word", text="alpha")
    voice.speech.stop_for_now()
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (64, 64))
    go = asyncio.Event()
    crowd = [asyncio.create_task(knock(http, server.url, go)) for _ in range(100)]
    await asyncio.wait(crowd, timeout=1.0)
    voice.speech.go_on()
    await voice.told("word", text="charlie")
    go.set()
    found = Counter(await within(BACK, *crowd))
    assert found["heard"] > 0
    assert found.total() - found["heard"] == found["503"] + found["1013"]
    await is_heard_everywhere(http, server)
    assert (await server.health())[0] == 200
    server.signal(signal.SIGTERM)
    assert await server.exit(within=25.0) == 0
    assert "Traceback" not in await complaints


async def test_a_full_disk_is_told_to_who_sends_a_file_and_harms_nobody_else(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server()
    guest = await Guest.at(http, server.url, SOCKETS[0])
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
    for _ in range(2):
        status, problem = await send_file(http, server.url)
        assert (status, problem["code"]) == (503, "no_room")
    await guest.say("alpha")
    await guest.send(guest.door.audio(SILENCE))
    await within(TOLD, guest.hears("alpha"))
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    status, words = await send_file(http, server.url)
    assert (status, "alpha" in str(words)) == (200, True)


async def send_file(http: aiohttp.ClientSession, url: str) -> tuple[int, Any]:
    """A recording of a word, and what came of it."""
    async with http.post(f"{url}/api/asr-streaming", data=wav(say(["alpha", "bravo"]))) as response:
        return response.status, await response.json()


def wav(pcm: PCM) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(SAMPLE_RATE)
        written.writeframes(s16_from_pcm(pcm))
    return file.getvalue()
