"""An engine served over channels, to a peer that breaks the rules."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import numpy as np
import pytest

from engine.base import CHUNK_SAMPLES, Engine, EngineConfig
from engine.channel import Channel
from engine.errors import Misuse
from engine.host import CLIP_LIMIT, VERBS_LIMIT, Host, Inbox
from engine.scripted import say, scripted_engine
from engine.verbs import Audio, Finish, Flush
from engine.wire import WINDOW, Failure, Fed, Finished, Init, OggOpus, Ready, Reply, Text, decode_reply, encode

Dial = Callable[[], Awaitable[Channel]]
PATIENCE = 10.0


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = scripted_engine(EngineConfig("scripted", capacity=1))
    await engine.start()
    yield engine
    await engine.close()


@pytest.fixture
async def dial(engine: Engine) -> AsyncIterator[Dial]:
    """Connects to a Host."""
    host = Host(engine)
    tasks: list[asyncio.Task[None]] = []
    channels: list[Channel] = []

    async def connect() -> Channel:
        here, there = socket.socketpair()
        tasks.append(asyncio.create_task(host.serve(*await asyncio.open_unix_connection(sock=there))))
        channels.append(await Channel.adopt(here))
        return channels[-1]

    yield connect
    for channel in channels:
        await channel.abort()
    await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)


async def reply(channel: Channel) -> Reply | None:
    """The next reply; None at the end of the connection."""
    data = await asyncio.wait_for(channel.receive(), PATIENCE)
    return None if data is None else decode_reply(data)


async def until(channel: Channel, kind: type[Reply]) -> Reply:
    """The first reply of a kind."""
    while not isinstance(answer := await reply(channel), kind):
        assert answer is not None
    return answer


async def test_a_connection_begins_with_init(dial: Dial) -> None:
    channel = await dial()
    channel.send(encode(Flush()))
    assert await reply(channel) == Failure("a connection begins with Init", "misuse")
    assert await reply(channel) is None


async def test_junk_is_answered_and_the_connection_ended(dial: Dial, engine: Engine) -> None:
    channel = await dial()
    channel.send(encode(Init()))
    assert await reply(channel) == Ready()
    channel.send(b"\xc1")
    answer = await until(channel, Failure)
    assert isinstance(answer, Failure)
    assert answer.code == "misuse"
    assert await reply(channel) is None
    assert engine.stats().live == 0


async def test_what_no_stream_knows_is_misuse(dial: Dial) -> None:
    channel = await dial()
    channel.send(encode(Init()))
    channel.send(encode(OggOpus(b"")))
    assert await until(channel, Failure) == Failure("a stream has no OggOpus", "misuse")


async def test_a_peer_that_overruns_its_window_is_let_go(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.host.WINDOW", 10)
    channel = await dial()
    channel.send(encode(Init()))
    channel.send(encode(Audio(np.zeros(21, np.float32))))
    assert await until(channel, Failure) == Failure("more was sent than there is room for", "misuse")
    assert await reply(channel) is None


async def test_an_inbox_holds_two_windows_and_counts_what_leaves() -> None:
    inbox, window = Inbox(), Audio(np.zeros(WINDOW, np.float32))
    inbox.put(window)
    inbox.put(window)
    with pytest.raises(Misuse):
        inbox.put(window)
    inbox = Inbox()
    for _ in range(5):
        inbox.put(window)
        assert await inbox.get() is window


def test_an_inbox_holds_so_many_verbs() -> None:
    inbox = Inbox()
    for _ in range(VERBS_LIMIT):
        inbox.put(Flush())
    with pytest.raises(Misuse):
        inbox.put(Flush())


async def test_a_verb_after_finish_is_misuse(dial: Dial) -> None:
    channel = await dial()
    channel.send(encode(Init()))
    channel.send(encode(Finish()))
    await until(channel, Finished)
    channel.send(encode(Flush()))
    answer = await until(channel, Failure)
    assert isinstance(answer, Failure)
    assert answer.code == "misuse"


async def test_audio_is_answered_with_fed(dial: Dial) -> None:
    channel = await dial()
    channel.send(encode(Init()))
    channel.send(encode(Audio(np.zeros(CHUNK_SAMPLES, np.float32))))
    assert await until(channel, Fed) == Fed(CHUNK_SAMPLES)


async def test_a_place_that_is_being_left_is_waited_for(dial: Dial) -> None:
    first, second = await dial(), await dial()
    first.send(encode(Init()))
    assert await reply(first) == Ready()
    second.send(encode(Init()))
    first.close()
    assert await reply(second) == Ready()


async def test_a_clip_is_audio_then_finish(dial: Dial) -> None:
    channel = await dial()
    channel.send(encode(Init(job="clip")))
    channel.send(encode(Audio(say(["alpha", "bravo"]))))
    channel.send(encode(Finish()))
    assert await until(channel, Text) == Text("alpha bravo")
    other = await dial()
    other.send(encode(Init(job="clip")))
    other.send(encode(Flush()))
    assert await until(other, Failure) == Failure("a clip is audio, then Finish", "misuse")


async def test_a_clip_has_a_longest_length(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    assert CLIP_LIMIT == 3_600 * 24_000
    monkeypatch.setattr("engine.host.CLIP_LIMIT", 24_000)
    channel = await dial()
    channel.send(encode(Init(job="clip")))
    channel.send(encode(Audio(np.zeros(24_001, np.float32))))
    assert await until(channel, Failure) == Failure("a clip may last 1 seconds", "misuse")


async def test_an_engine_that_can_serve_no_more_is_told(engine: Engine) -> None:
    host = Host(engine)
    await engine.close()
    here, there = socket.socketpair()
    serving = asyncio.create_task(host.serve(*await asyncio.open_unix_connection(sock=there)))
    channel = await Channel.adopt(here)
    channel.send(encode(Init()))
    assert await reply(channel) == Failure("the engine is closed", "unavailable")
    assert await host.died == "the engine is closed"
    await channel.abort()
    await serving
