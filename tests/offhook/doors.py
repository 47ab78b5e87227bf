"""A client at every door of a server, and the last thing that each is told."""

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import aiohttp
import msgpack

from engine.base import PCM, s16_from_pcm
from engine.scripted import say
from tests.signaling.house import Voice

Message = str | bytes
SDP = {"Content-Type": "application/sdp"}


def moshi_audio(pcm: PCM) -> bytes:
    return cast(bytes, msgpack.packb({"type": "Audio", "pcm": pcm.tolist()}, use_single_float=True))


def in_base64(**fields: str) -> Callable[[PCM], str]:
    return lambda pcm: json.dumps({**fields, "audio": base64.b64encode(s16_from_pcm(pcm)).decode()})


@dataclass(frozen=True)
class Door:
    """How a socket is spoken to."""

    path: str
    audio: Callable[[PCM], Message]
    start: list[Message] = field(default_factory=list)


SOCKETS = [
    Door("/v1/stream", lambda pcm: pcm.astype("<f4").tobytes()),
    Door("/v1/transcribe", s16_from_pcm),
    Door("/api/asr-streaming", moshi_audio),
    Door("/", in_base64(type="Audio"), ['{"type":"StartSTT"}']),
    Door("/v1/realtime?intent=transcription", in_base64(type="input_audio_buffer.append")),
]


class Guest:
    """A client at one socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, door: Door) -> None:
        self.socket = socket
        self.door = door
        self.told: list[Any] = []

    @classmethod
    async def at(cls, http: aiohttp.ClientSession, url: str, door: Door, **options: Any) -> "Guest":
        guest = cls(await http.ws_connect(url + door.path, **options), door)
        await guest.send(*door.start)
        return guest

    async def send(self, *messages: Message) -> None:
        for message in messages:
            await (self.socket.send_str(message) if isinstance(message, str) else self.socket.send_bytes(message))

    async def say(self, *words: str) -> None:
        await self.send(self.door.audio(say(words)))

    async def next(self) -> Any:
        """The next message; None when the server has closed the socket."""
        message = await self.socket.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            self.told.append(json.loads(message.data))
        elif message.type is aiohttp.WSMsgType.BINARY:
            self.told.append(msgpack.unpackb(message.data))
        else:
            return None
        return self.told[-1]

    async def hears(self, word: str) -> None:
        """Read on until a message has the word."""
        while word not in str(message := await self.next()):
            assert message is not None, (self.door, self.told, self.socket.close_code)

    async def last(self) -> tuple[str, int | None]:
        """The last message before the server closes, and the code of its close frame."""
        while await self.next() is not None:
            pass
        return str(self.told[-1:]), self.socket.close_code


class Publisher(Voice):
    """A caller by WHIP, and who listens to it."""

    @classmethod
    async def at(cls, http: aiohttp.ClientSession, url: str, *words: str) -> "Publisher":
        publisher = cls(words, 1.0)
        async with http.post(f"{url}/whip", data=await publisher.caller.offer(), headers=SDP) as response:
            assert response.status == 201, response.status
            publisher.resource = url + response.headers["Location"]
            await publisher.caller.accept(await response.text())
        return publisher

    resource = ""


async def told_by_sse(http: aiohttp.ClientSession, url: str, type: str) -> Any:
    """The first server-sent event of this type."""
    async with http.get(url) as response:
        assert response.status == 200, response.status
        async for line in response.content:
            if line.startswith(b"data:") and (event := json.loads(line[5:]))["type"] == type:
                return event
    raise AssertionError("the transcript has ended")


async def within(seconds: float, *waits: Any) -> list[Any]:
    """All of them, in time."""
    async with asyncio.timeout(seconds):
        return list(await asyncio.gather(*waits))
