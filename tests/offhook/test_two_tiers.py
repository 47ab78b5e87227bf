"""Two servers: one has the calls, and behind it one or several have the engine."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import psutil
import pytest

from tests.offhook.server import Server, outcome
from tests.signaling.house import Event, Voice, until

StartServer = Callable[..., Awaitable[Server]]

KEY = "a-key-between-tiers"
SOON = 5.0  # seconds: what should take a moment, on a machine with much else to do


def port_of(server: Server) -> str:
    return server.url.rpartition(":")[2]


async def front_of(start_server: StartServer, *backends: Server) -> Server:
    """A server whose engine is at the others."""
    urls = ",".join(f"ws://127.0.0.1:{port_of(backend)}" for backend in backends)
    return await start_server("--engine", "remote", "--remote-url", urls, "--remote-key", KEY)


async def kill(server: Server) -> None:
    """`kill -9` of the server and its engine."""
    server.signal(signal.SIGKILL, group=True)
    await server.process.wait()


async def healthy(server: Server, within: float = SOON, status: int = 200, **figures: object) -> Event:
    """Wait until a server's health is answered with this status and says this; nothing tells of it."""
    async with asyncio.timeout(within):
        while True:
            told, health = await server.health()
            if told == status and figures.items() <= health.items():
                return health
            await asyncio.sleep(0.02)


async def heard(server: Server, *words: str) -> Voice:
    """A caller who has said the words, and was told them."""
    _, voice = await server.call(*words)
    for word in words:
        await voice.told("word", text=word)
    return voice


def held(server: Server) -> tuple[int, int]:
    """Descriptors and threads of a server."""
    process = psutil.Process(server.process.pid)
    return process.num_fds(), process.num_threads()


async def test_everything_that_the_engine_tells_comes_through_both_tiers(start_server: StartServer) -> None:
    backend = await start_server("--keys", KEY, "--capacity", "3")
    front = await front_of(start_server, backend)
    assert (await healthy(front))["capacity"] == 3
    _, voice = await front.call("alpha", "bravo", "charlie")
    await voice.told("partial", text="charlie")
    await voice.said()
    voice.send(type="mark", id=7)
    await voice.told("mark", id=7)
    await voice.told("pause", within=2 * SOON)
    assert voice.words == ["alpha", "bravo", "charlie"]
    starts, ends = [
        [event[name] for event in voice.of(type)] for type, name in (("word", "start"), ("word_end", "stop"))
    ]
    spoken = [first + 0.56 * index for index in range(3) for first in starts[:1]]
    assert starts == pytest.approx(spoken, abs=0.1)
    assert [end - start for start, end in zip(starts, ends, strict=True)] == pytest.approx([0.32] * 3, abs=0.1)
    assert voice.of("pause")[0]["at"] == pytest.approx(ends[-1], abs=0.1)
    kinds = [event["type"] for event in voice.all]
    assert kinds.index("mark") > len(kinds) - 1 - kinds[::-1].index("word")
    assert (await healthy(backend))["live"] == 1


async def test_a_full_backend_is_a_busy_front_until_a_caller_leaves(start_server: StartServer) -> None:
    backend = await start_server("--keys", KEY, "--capacity", "1")
    front = await front_of(start_server, backend)
    browser, voice = await front.call("alpha")
    await voice.told("word", text="alpha")
    second = await front.dial()
    await second.told("ready")
    await second.send(type="offer", sdp=await second.voice(["bravo"]).caller.offer())
    assert (await second.told("error"))["code"] == "busy"
    await browser.send(type="bye")
    await healthy(backend, live=0, free=1)
    await heard(front, "bravo")


async def test_a_killed_backend_is_told_to_every_caller_and_new_ones_are_served_once_it_is_back(
    start_server: StartServer,
) -> None:
    backend = await start_server("--keys", KEY)
    front = await front_of(start_server, backend)
    calls = [await front.call("alpha", "bravo")]
    await healthy(front, live=1)
    before = held(front)
    calls += [await front.call("alpha", "bravo") for _ in range(2)]
    for _, voice in calls:
        await voice.told("word", text="alpha")
    await kill(backend)
    for browser, voice in calls:
        assert (await voice.told("ended", within=SOON))["reason"] == "engine_down"
        assert (await browser.told("error", within=SOON))["code"] == "engine_down"
    await healthy(front, status=503, live=0, free=0, capacity=0)
    again = await start_server("--keys", KEY, "--port", port_of(backend))
    await heard(front, "charlie")
    assert (await healthy(front))["engine"]["state"] == "ready"
    assert (await healthy(again))["live"] == 1
    await until(lambda: all(now <= then + 1 for now, then in zip(held(front), before, strict=True)))  # + a question


async def test_a_killed_backend_is_nothing_to_the_callers_of_another(start_server: StartServer) -> None:
    dying, living = [await start_server("--keys", KEY, "--capacity", capacity) for capacity in ("3", "2")]
    front = await front_of(start_server, dying, living)
    assert (await healthy(front))["capacity"] == 5
    calls = [await front.call("alpha", "bravo", "charlie", "delta") for _ in range(3)]
    assert ((await dying.health())[1]["live"], (await living.health())[1]["live"]) == (2, 1)
    await kill(dying)
    for _, voice in calls[:2]:
        assert (await voice.told("ended", within=SOON))["reason"] == "engine_down"
    await calls[2][1].told("word", text="delta")
    await heard(front, "echo")
    assert (await healthy(front, capacity=2))["free"] == 0


async def test_a_killed_engine_behind_the_backend_is_told_and_replaced(start_server: StartServer) -> None:
    backend = await start_server("--keys", KEY)
    front = await front_of(start_server, backend)
    _, voice = await front.call("alpha", "bravo")
    await voice.told("word", text="alpha")
    backend.engine.kill()
    assert (await voice.told("ended", within=SOON))["reason"] == "engine_down"
    await healthy(backend, within=2 * SOON)
    await healthy(front)
    await heard(front, "charlie")


async def test_a_killed_front_leaves_no_caller_behind(start_server: StartServer) -> None:
    backend = await start_server("--keys", KEY)
    front = await front_of(start_server, backend)
    await heard(front, "alpha")
    assert (await healthy(backend))["live"] == 1
    await kill(front)
    await healthy(backend, live=0)


async def test_a_wrong_key_is_a_sentence_and_nothing_starts(start_server: StartServer) -> None:
    backend = await start_server("--keys", KEY)
    url = f"ws://127.0.0.1:{port_of(backend)}"
    code, out, err = await outcome("serve", "--engine", "remote", "--remote-url", url, "--remote-key", "another-key")
    assert (code, out) == (1, "")
    assert f"offhook: the remote engine 127.0.0.1:{port_of(backend)} refuses the key (status 401)" in err
    assert "another-key" not in err
    assert "Traceback" not in err
