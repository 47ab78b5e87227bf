"""What every socket has in common, whatever is spoken on it. Here it is moshi-server's language."""

import asyncio
import logging
import os
import socket as sockets
import struct
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import aiohttp
import msgpack
import numpy as np
import pytest

from engine.base import LIVE_BACKLOG, PCM, Engine, Stats, Stream
from engine.errors import Unavailable
from engine.events import Word
from engine.scripted import say
from signaling import app, pace
from signaling.transports import websocket
from tests.signaling.doubles import Recorded
from tests.signaling.house import SOON, House, OpenHouse, until

PATH = "/api/asr-streaming"
SECOND: PCM = np.zeros(24_000, np.float32)
BINARY, TEXT, CONTINUATION, CLOSE, PING = 0x2, 0x1, 0x0, 0x8, 0x9


class Held(Recorded):
    """A stream that takes audio only while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.going = asyncio.Event()
        self.going.set()

    async def feed(self, pcm: PCM) -> None:
        await self.going.wait()
        await super().feed(pcm)


class Attended(Engine):
    """An engine whose streams are in the test's hands."""

    def __init__(self) -> None:
        self.streams: list[Held] = []

    async def start(self) -> None:
        pass

    async def open(self, *, backlog: float = LIVE_BACKLOG) -> Stream:
        self.streams.append(Held())
        return self.streams[-1]

    def stats(self) -> Stats:
        return Stats("ready", 16, sum(not stream.closed for stream in self.streams))

    async def transcribe_batch(self, clips: Sequence[PCM]) -> list[str]:
        raise NotImplementedError

    async def close(self) -> None:
        pass


@pytest.fixture
def engine() -> Attended:
    return Attended()


@pytest.fixture
async def attended(engine: Attended, open_house: OpenHouse) -> House:
    """A server with that engine."""
    return await open_house(engine=engine)


def pack(type: str, **fields: Any) -> bytes:
    return cast(bytes, msgpack.packb({"type": type, **fields}, use_single_float=True))


def audio(pcm: PCM) -> bytes:
    return pack("Audio", pcm=pcm.tolist())


def f32(pcm: PCM) -> bytes:
    return pack("Pcm", pcm=pcm.astype("<f4").tobytes())


async def dial(house: House, **options: Any) -> aiohttp.ClientWebSocketResponse:
    """A socket that has been told Ready."""
    socket: aiohttp.ClientWebSocketResponse = await house.http.ws_connect(house.url + PATH, **options)
    assert (await told(socket))["type"] == "Ready"
    return socket


async def told(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """The next message that is no Step."""
    while True:
        message = await socket.receive(SOON)
        assert message.type is aiohttp.WSMsgType.BINARY, (message, socket.close_code)
        fields: dict[str, Any] = msgpack.unpackb(message.data)
        if fields["type"] != "Step":
            return fields


async def closed(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """The code with which the server closes."""
    while (await socket.receive(SOON)).type is aiohttp.WSMsgType.BINARY:
        pass
    return socket.close_code


async def ended(house: House, reason: str) -> None:
    await until(lambda: house.switchboard.live == 0)
    assert house.figure("offhook_sessions_ended_total", reason=reason) == 1


class Wire:
    """A client that writes its frames by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def dial(cls, house: House, receive_buffer: int = 0) -> "Wire":
        """A socket that has been upgraded, with this much room for what it does not read."""
        below = sockets.socket()
        below.setblocking(False)
        if receive_buffer:
            below.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(below, ("127.0.0.1", house.port))
        wire = cls(*await asyncio.open_connection(sock=below, limit=2**14))
        wire.writer.write(
            f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert b" 101 " in await wire.reader.readuntil(b"\r\n\r\n")
        return wire

    def frame(self, opcode: int, payload: bytes, *, fin: bool = True, length: int | None = None) -> None:
        """One frame; `length`: what its header says, where that is not true."""
        mask, length = os.urandom(4), len(payload) if length is None else length
        if length >= 1 << 16:
            size = bytes([0x80 | 127]) + struct.pack("!Q", length)
        elif length >= 126:
            size = bytes([0x80 | 126]) + struct.pack("!H", length)
        else:
            size = bytes([0x80 | length])
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        self.writer.write(bytes([fin << 7 | opcode]) + size + mask + masked)

    async def read(self) -> tuple[int, bytes]:
        """The next frame: its opcode and payload."""
        async with asyncio.timeout(SOON):
            first, length = await self.reader.readexactly(2)
            if length == 126:
                [length] = struct.unpack("!H", await self.reader.readexactly(2))
            return first & 0xF, await self.reader.readexactly(length)

    async def read_all(self) -> list[tuple[int, bytes]]:
        """Every frame up to the close frame, after which it hangs up like every client."""
        frames = [await self.read()]
        while frames[-1][0] != CLOSE:
            frames.append(await self.read())
        self.close()
        return frames

    def close(self) -> None:
        self.writer.close()


@pytest.fixture
async def wires() -> AsyncIterator[list[Wire]]:
    """Whatever a test puts in here is closed."""
    opened: list[Wire] = []
    yield opened
    for wire in opened:
        wire.writer.transport.abort()


# In


async def test_a_request_that_is_no_upgrade_is_told_so(house: House) -> None:
    async with house.http.get(house.url + PATH) as response:
        assert response.status == 426
        assert (await response.json())["code"] == "upgrade_required"


async def test_who_may_not_come_in_learns_it_before_the_upgrade(open_house: OpenHouse) -> None:
    house = await open_house(keys=("a-secret",))
    for headers, status in (
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Origin": "https://other.test"}, 403),
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await house.http.ws_connect(house.url + PATH, headers=headers)
        assert refused.value.status == status
    await (await dial(house, headers={"Authorization": "Bearer a-secret"})).close()


async def test_the_upgrade_says_where_listeners_find_the_transcript(house: House) -> None:
    async with house.http.ws_connect(house.url + PATH) as socket:
        session = socket._response.headers["Offhook-Session"]
        await told(socket)
        async with house.http.get(f"{house.url}/v1/sessions/{session}/events") as events:
            assert events.status == 200
            await socket.send_bytes(audio(say(["alpha"])))
            await socket.send_bytes(pack("Marker", id=1))
            async with asyncio.timeout(SOON):
                while b'"text":"alpha"' not in await events.content.readline():
                    pass


async def test_a_full_house_opens_says_so_and_closes(open_house: OpenHouse) -> None:
    house = await open_house(capacity=1)
    first = await dial(house)
    second = await house.http.ws_connect(house.url + PATH)
    assert await told(second) == {"type": "Error", "message": "no free channels"}
    assert await closed(second) == 1013
    assert house.figure("offhook_refused_total", code="busy") == 1
    await first.close()
    await until(lambda: house.engine.stats().free == 1)
    await (await dial(house)).close()


async def test_a_fault_of_ours_while_a_place_is_taken_is_told_without_its_text(
    attended: House, engine: Attended, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(**_: object) -> Stream:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(engine, "open", fail)
    socket = await attended.http.ws_connect(attended.url + PATH)
    assert await told(socket) == {"type": "Error", "message": "Something went wrong here."}
    assert await closed(socket) == 1011
    assert "failed door=moshi" in caplog.text


# Out


async def test_a_close_frame_ends_the_session_at_once(house: House) -> None:
    socket = await dial(house)
    await socket.close()
    await ended(house, "bye")


@pytest.mark.parametrize("how", ["abort", "close"])
async def test_a_socket_that_is_lost_ends_the_session_at_once(house: House, wires: list[Wire], how: str) -> None:
    wire = await Wire.dial(house)
    wires.append(wire)
    await wire.read()
    wire.writer.transport.abort() if how == "abort" else wire.close()
    await ended(house, "lost")


async def test_a_socket_that_is_cut_in_a_frame_ends_quietly(
    house: House, wires: list[Wire], caplog: pytest.LogCaptureFixture
) -> None:
    wire = await Wire.dial(house)
    wires.append(wire)
    wire.frame(BINARY, audio(SECOND)[:5_000], length=120_000)
    await wire.writer.drain()
    wire.close()
    await ended(house, "lost")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_caller_who_leaves_before_the_last_words_frees_its_place(attended: House, engine: Attended) -> None:
    socket = await dial(attended)
    await socket.send_bytes(pack("Flush"))
    await engine.streams[0].asked("finish")
    await socket.close()
    await until(lambda: engine.streams[0].closed)
    await ended(attended, "bye")


async def test_a_caller_who_is_lost_before_the_last_words_frees_its_place(
    attended: House, engine: Attended, wires: list[Wire]
) -> None:
    wire = await Wire.dial(attended)
    wires.append(wire)
    wire.frame(BINARY, pack("Flush"))
    await engine.streams[0].asked("finish")
    wire.writer.transport.abort()
    await until(lambda: engine.streams[0].closed)
    await ended(attended, "lost")


async def test_a_caller_who_waits_for_the_last_words_is_answered_and_told_them(
    attended: House, engine: Attended, wires: list[Wire]
) -> None:
    wire = await Wire.dial(attended)
    wires.append(wire)
    await wire.read()
    wire.frame(BINARY, pack("Flush"))
    await engine.streams[0].asked("finish")
    wire.frame(PING, b"still there?")
    assert await wire.read() == (0xA, b"still there?")
    engine.streams[0].outbox.put(Word("last", 0.0))
    engine.streams[0].outbox.end()
    frames = await wire.read_all()
    told = [msgpack.unpackb(payload)["type"] for opcode, payload in frames if opcode == BINARY]
    assert told == ["Word", "EndWord", "Marker"]
    assert frames[-1] == (CLOSE, struct.pack("!H", 1000) + b"finished")


@pytest.mark.parametrize(
    ("fault", "said", "code"),
    [
        (Unavailable("died"), "The recognizer is not running.", 1013),
        (ZeroDivisionError("secret"), "Something went wrong here.", 1011),
    ],
)
async def test_a_session_that_fails_says_so_and_closes_with_its_code(
    attended: House, engine: Attended, fault: Exception, said: str, code: int
) -> None:
    socket = await dial(attended)
    await until(lambda: bool(engine.streams))
    engine.streams[0].outbox.end(cast(Any, fault))
    assert await told(socket) == {"type": "Error", "message": said}
    assert await closed(socket) == code


async def test_a_server_that_ends_says_so_after_the_last_words(house: House) -> None:
    socket = await dial(house)
    await socket.send_bytes(audio(say(["alpha"], gap=0.0)))
    await socket.send_bytes(pack("Init", offhook=1, backlog=1.0, job="stream"))
    while (await told(socket))["type"] != "Partial":
        pass
    draining = asyncio.create_task(house.switchboard.drain())
    kinds: list[str] = []
    while not kinds or kinds[-1] != "Error":
        kinds.append((await told(socket))["type"])
    assert [kind for kind in kinds if kind != "Partial"] == ["Word", "EndWord", "Error"]
    assert await closed(socket) == 1013
    await draining


# Bad frames


async def test_a_message_over_the_limit_is_refused_by_its_header(house: House, wires: list[Wire]) -> None:
    wire = await Wire.dial(house)
    wires.append(wire)
    await wire.read()
    wire.frame(BINARY, bytes(100), length=websocket.MESSAGE_LIMIT + 1)
    error, close = await wire.read_all()
    assert msgpack.unpackb(error[1]) == {"type": "Error", "message": "A message may have 1048576 bytes."}
    assert close == (CLOSE, struct.pack("!H", 1009) + b"too_large")
    await ended(house, "too_large")


async def test_a_message_that_never_ends_is_refused_at_the_limit(house: House, wires: list[Wire]) -> None:
    wire = await Wire.dial(house)
    wires.append(wire)
    await wire.read()
    part = bytes(32_000)
    wire.frame(BINARY, part, fin=False)
    for _ in range(websocket.MESSAGE_LIMIT // len(part)):
        wire.frame(CONTINUATION, part, fin=False)
    assert (await wire.read_all())[-1] == (CLOSE, struct.pack("!H", 1009) + b"too_large")
    await ended(house, "too_large")


async def test_a_message_just_at_the_limit_is_read(house: House) -> None:
    socket = await dial(house)
    filler = websocket.MESSAGE_LIMIT - len(pack("Marker", id=3, filler=b""))
    message = pack("Marker", id=3, filler=bytes(filler - 3))  # whose length takes 3 bytes more
    assert len(message) == websocket.MESSAGE_LIMIT
    await socket.send_bytes(message)
    assert await told(socket) == {"type": "Marker", "id": 3}
    await socket.close()


@pytest.mark.parametrize(
    ("opcode", "payload", "code"), [(TEXT, b"\xff\xfe", 1007), (0x3, b"", 1002), (CONTINUATION, b"", 1002)]
)
async def test_a_frame_that_breaks_the_rules_is_answered(
    house: House, wires: list[Wire], opcode: int, payload: bytes, code: int
) -> None:
    wire = await Wire.dial(house)
    wires.append(wire)
    await wire.read()
    wire.frame(opcode, payload)
    error, close = await wire.read_all()
    assert msgpack.unpackb(error[1])["type"] == "Error"
    assert close == (CLOSE, struct.pack("!H", code) + b"bad_message")
    await ended(house, "bad_message")


# Pace


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pings and patience in parts of a second, which a test that answers keeps on a busy machine too."""
    monkeypatch.setattr(websocket, "PING", 0.2)
    monkeypatch.setattr(websocket, "DEAD", 1.5)


@pytest.mark.usefixtures("hasty")
async def test_a_quiet_line_is_pinged_and_lives_while_it_answers(house: House, wires: list[Wire]) -> None:
    wire = await Wire.dial(house)
    wires.append(wire)
    await wire.read()
    for _ in range(16):  # far longer than a dead line would live
        assert await wire.read() == (PING, b"")
        wire.frame(0xA, b"")
    assert house.switchboard.live == 1


@pytest.mark.usefixtures("hasty")
async def test_a_line_that_does_not_answer_is_cut(house: House, wires: list[Wire]) -> None:
    wire = await Wire.dial(house)
    wires.append(wire)
    await wire.read()
    async with asyncio.timeout(SOON):
        while await wire.reader.read(100):
            pass
    await ended(house, "lost")


@pytest.mark.usefixtures("hasty")
async def test_a_caller_who_answers_pings_and_says_nothing_is_idle(
    open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "MOSHI_IDLE", 0.5)
    house = await open_house()
    socket = await dial(house)
    assert await told(socket) == {"type": "Error", "message": "The session has ended: idle."}
    assert await closed(socket) == 1000
    await ended(house, "idle")


@pytest.mark.usefixtures("hasty")
async def test_audio_faster_than_it_is_heard_waits_on_the_way_and_nobody_is_taken_for_dead_or_idle(
    engine: Attended, open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch, wires: list[Wire]
) -> None:
    monkeypatch.setattr(app, "MOSHI_IDLE", 0.5)
    house = await open_house(engine=engine)
    wire = await Wire.dial(house)
    wires.append(wire)
    await wire.read()
    stream = engine.streams[0]
    stream.going.clear()
    below = wire.writer.get_extra_info("socket")
    below.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, 64 * 1024)
    wire.writer.transport.set_write_buffer_limits(0)
    sent = 0

    async def speak() -> None:
        nonlocal sent
        for _ in range(60):
            wire.frame(BINARY, f32(SECOND))
            await wire.writer.drain()
            sent += 1

    speaking = asyncio.create_task(speak())
    for _ in range(16):  # of the server's pings: twice as long as the patience of either clock
        assert (await wire.read())[0] == PING
    assert sent < 20  # seconds: 96,000 bytes each
    assert house.switchboard.live == 1
    stream.going.set()
    await speaking
    await stream.heard(60 * 24_000)
    assert house.switchboard.live == 1


async def test_what_is_not_read_is_a_few_seconds_of_audio_on_one_machine_too(
    attended: House, engine: Attended, wires: list[Wire]
) -> None:
    wire = await Wire.dial(attended)
    wires.append(wire)
    engine.streams[0].going.clear()
    wire.writer.transport.set_write_buffer_limits(0)
    sent: list[int] = []

    async def flood() -> None:
        while True:
            wire.frame(BINARY, f32(SECOND))
            await wire.writer.drain()
            sent.append(1)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(flood(), 0.5)
    assert len(sent) < 15  # seconds; a ping behind them is answered within the 20 s that clients wait


async def test_a_minute_of_audio_at_once_loses_nothing(house: House) -> None:
    socket = await dial(house)
    words = ["alpha", "bravo", "charlie", "delta"] * 27
    pcm = say(words)
    reading = asyncio.create_task(words_until_marker(socket))
    for start in range(0, len(pcm), 11_520):
        await socket.send_bytes(f32(pcm[start : start + 11_520]))
    await socket.send_bytes(pack("Marker", id=1))
    assert await reading == words
    await socket.close()


async def words_until_marker(socket: aiohttp.ClientWebSocketResponse) -> list[str]:
    words = []
    while (message := await told(socket))["type"] != "Marker":
        words += [message["text"]] if message["type"] == "Word" else []
    return words


async def test_a_caller_who_never_reads_is_let_go(
    attended: House, engine: Attended, wires: list[Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "SEND_DEADLINE", 0.3)
    other = await dial(attended)
    wires.append(await Wire.dial(attended, receive_buffer=4096))
    await until(lambda: len(engine.streams) == 2)
    outbox, told_of = engine.streams[1].outbox, 0
    async with asyncio.timeout(SOON):
        while not outbox.ended:
            outbox.put(Word("a" * 1_000, float(told_of)))
            told_of += 1
            await asyncio.sleep(0)
    await until(lambda: engine.streams[1].closed)
    assert attended.figure("offhook_sessions_ended_total", reason="slow_reader") == 1
    engine.streams[0].outbox.put(Word("undisturbed", 0.0))
    assert (await told(other))["text"] == "undisturbed"
    await other.close()


async def test_a_caller_who_reads_too_late_is_let_go_with_a_code(
    attended: House, engine: Attended, wires: list[Wire]
) -> None:
    wire = await Wire.dial(attended, receive_buffer=4096)
    wires.append(wire)
    await wire.read()
    for number in range(2_500):
        engine.streams[0].outbox.put(Word("a" * 1_000, float(number)))
        await asyncio.sleep(0)
    await until(lambda: wire.reader._buffer != b"")  # type: ignore[attr-defined] # what it has before it reads
    frames = await wire.read_all()
    assert frames[-1] == (CLOSE, struct.pack("!H", 1013) + b"slow_reader")
    assert len(frames) < 2_000
    wire.frame(CLOSE, b"")
    await ended(attended, "slow_reader")


async def test_audio_far_faster_than_speech_is_read_at_its_pace_however_fast_the_engine_is(
    attended: House, engine: Attended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "PATIENCE", 0.0)
    socket, other = await dial(attended), await dial(attended)
    clock = asyncio.get_running_loop().time
    began = clock()
    for _ in range(20):
        await socket.send_bytes(f32(SECOND[:4_800]))  # 0.2 s
        await other.send_bytes(f32(SECOND[:100]))
    await engine.streams[1].heard(20 * 100)
    assert engine.streams[0].samples < 20 * 4_800
    await engine.streams[0].heard(20 * 4_800)
    assert 4.0 / (clock() - began) < 5  # times real time
    for each in (socket, other):
        await each.close()


async def test_who_sends_everything_but_audio_is_idle(open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MOSHI_IDLE", 0.3)
    house = await open_house()
    socket = await dial(house)
    code = asyncio.create_task(closed(socket))
    async with asyncio.timeout(SOON):
        while not code.done():
            await socket.send_bytes(pack("Marker", id=1) + b"")
            await asyncio.wait((code,), timeout=0.05)
    assert code.result() == 1000
    await ended(house, "idle")
