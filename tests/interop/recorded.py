"""What the clients of the field send, and when: one sequence each, as data, and what plays it.

All of them are built on the library websockets, and so is this: its own pings, its queue of 16 messages, its closing.
docs/interop.md says which programs these are, and how they were run themselves.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import msgpack
import numpy as np
import websockets
from websockets.asyncio.client import ClientConnection

from engine.base import PCM, SAMPLE_RATE, s16_from_pcm

Message = str | bytes
Told = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Speech:
    """The clip, in messages of `chunk` samples, each of them as long after the last as it is long. Before the next one,
    `early` clients wait for a message's beginning, and others for its end; `least`: seconds between two."""

    chunk: int
    early: bool = False
    least: float = 0.0


@dataclass(frozen=True, slots=True)
class Silence:
    """So many messages of `samples` zeros, at once; with `paced`, in the clip's own pace."""

    samples: int
    times: int = 1
    paced: bool = False


@dataclass(frozen=True, slots=True)
class Settle:
    """Wait until nothing new has been told for `quiet` seconds, for `longest` at most."""

    quiet: float
    longest: float


Part = Speech | Silence | Settle | Message


@dataclass(frozen=True, slots=True)
class Sequence:
    """One client. `audio`: how it writes samples; `over`: after which message it reads no more; `greeting`: the seconds
    that it waits for a Ready; `text`: the words that a message tells; `options`: of websockets."""

    path: str
    audio: Callable[[PCM], Message]
    parts: tuple[Part, ...]
    over: Callable[[Told], bool]
    text: Callable[[Told], str]
    greeting: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


def pack(fields: Told) -> bytes:
    return cast(bytes, msgpack.packb(fields, use_single_float=True))


def msgpack_audio(pcm: PCM) -> bytes:
    return pack({"type": "Audio", "pcm": pcm.tolist()})


def float32(pcm: PCM) -> bytes:
    return pcm.astype("<f4").tobytes()


def word(told: Told) -> str:
    return f" {told['text']}" if told["type"] == "Word" else ""


def token(told: Told) -> str:
    return str(told.get("text", ""))


SECOND = SAMPLE_RATE
FRAME = 1_920
YAP_OPTIONS = {"compression": None, "max_size": None, "max_queue": None, "write_limit": 2**22, "close_timeout": 0.2}

KYUTAI = Sequence(  # delayed-streams-modeling, scripts/stt_from_file_rust_server.py
    "/api/asr-streaming",
    msgpack_audio,
    (
        *(Silence(SECOND), Speech(FRAME, early=True, least=0.001), Silence(SECOND, 5)),
        *(pack({"type": "Marker", "id": 0}), Silence(SECOND, 35)),
    ),
    lambda told: told["type"] == "Marker",
    word,
    headers={"kyutai-api-key": "public_token"},
)
YAP = Sequence(  # yap-stt-api, test/client.py; test/bench.py and test/warmup.py show the key in the URL
    "/api/asr-streaming",
    msgpack_audio,
    (Speech(FRAME), Settle(0.14, 0.6), Silence(FRAME), pack({"type": "Flush"})),
    lambda told: told["type"] in ("Marker", "Final", "Error"),
    word,
    greeting=0.2,
    headers={"kyutai-api-key": "public_token"},
    options=YAP_OPTIONS,
)
LATENCY = Sequence(  # kyutai_modal, scripts/latency_test.py; it waits for 5 s of quiet
    "/v1/stream",
    float32,
    (Speech(FRAME), Silence(FRAME, 25, paced=True), Settle(0.5, 10.0)),
    lambda told: told.get("status") == "complete",
    token,
)
STRESS = Sequence(  # kyutai_modal, scripts/ws_stress.py
    "/v1/stream?format=s16",
    s16_from_pcm,
    (Speech(11_520), b"EOS"),
    lambda told: told.get("final") is True or told.get("status") == "complete",
    lambda told: f" {token(told)}",
    options={"max_size": 2**24},
)


@dataclass(slots=True)
class Played:
    """What came of it. `code`: of the close frame; 1006 where its answer was not seen in time."""

    told: list[Told] = field(default_factory=list)
    text: str = ""
    code: int | None = None

    @property
    def words(self) -> list[str]:
        return self.text.split()

    def of(self, type: str) -> list[Told]:
        return [told for told in self.told if told.get("type") == type]


async def play(url: str, client: Sequence, clip: PCM, rtf: float, **options: Any) -> Played:
    """One session of this client, at `rtf` times real time. `options` go before its own."""
    played = Played()
    async with websockets.connect(
        url.replace("http", "ws", 1) + client.path,
        additional_headers=client.headers,
        proxy=None,
        **{**client.options, **options},
    ) as socket:
        player = Player(socket, client, played, rtf)
        receiving = asyncio.create_task(player.receive())
        try:
            await player.greeted()
            for part in client.parts:
                await player.send(part, clip)
            if not client.parts or not isinstance(client.parts[-1], Settle):
                await receiving
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
    played.code = socket.close_code
    return played


class Player:
    """One socket on the way."""

    def __init__(self, socket: ClientConnection, client: Sequence, played: Played, rtf: float) -> None:
        self._socket = socket
        self._client = client
        self._played = played
        self._rtf = rtf
        self._clock = asyncio.get_running_loop().time
        self._news = asyncio.Event()

    async def receive(self) -> None:
        with contextlib.suppress(websockets.ConnectionClosedError):  # the code says it
            async for message in self._socket:
                told = msgpack.unpackb(message) if isinstance(message, bytes) else json.loads(message)
                self._played.told.append(told)
                self._played.text += self._client.text(told)
                if told.get("type") != "Step":
                    self._news.set()
                if self._client.over(told):
                    return

    async def greeted(self) -> None:
        await self._within(self._client.greeting, self._news.wait())

    async def send(self, part: Part, clip: PCM) -> None:
        match part:
            case Speech(chunk):
                await self._speak(clip, chunk, part.early, part.least)
            case Silence(samples, times, True):
                await self._speak(np.zeros(samples * times, np.float32), samples, early=False, least=0.0)
            case Silence(samples, times):
                for _ in range(times):
                    await self._socket.send(self._client.audio(np.zeros(samples, np.float32)))
            case Settle():
                await self._within(part.longest, self._settle(part.quiet))
            case message:
                await self._socket.send(message)

    async def _speak(self, pcm: PCM, chunk: int, early: bool, least: float) -> None:
        began = self._clock()
        for start in range(0, len(pcm), chunk):
            piece = pcm[start : start + chunk]
            await self._socket.send(self._client.audio(piece))
            due = began + (start if early else start + len(piece)) / SAMPLE_RATE / self._rtf
            await asyncio.sleep(max(due - self._clock(), least))

    async def _settle(self, quiet: float) -> None:
        self._news.set()
        while self._news.is_set():
            self._news.clear()
            await self._within(quiet, self._news.wait())

    async def _within(self, seconds: float, coming: Awaitable[Any]) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(coming, seconds)
