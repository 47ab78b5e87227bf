"""What tests of OpenAI's doors have in common: a socket that speaks its language, and events by their type."""

import asyncio
import base64
import json
from collections.abc import Iterator, Sequence
from typing import Any

import aiohttp
import numpy as np

from engine.base import PCM, s16_from_pcm
from engine.scripted import say
from tests.signaling.house import SOON, House

Event = dict[str, Any]

KEY = "a-good-key"
CHUNK = 1_920  # samples: 80 ms
QUIET: PCM = np.zeros(36_000, np.float32)  # 1.5 s, after which a turn is over
DELTA = "conversation.item.input_audio_transcription.delta"
COMPLETED = "conversation.item.input_audio_transcription.completed"
MANUAL = {"type": "transcription", "audio": {"input": {"turn_detection": None}}}


def chunks(words: Sequence[str], quiet: PCM = QUIET) -> Iterator[str]:
    """What somebody says, as appends hold it."""
    data = s16_from_pcm(np.concatenate((say(words), quiet)))
    for at in range(0, len(data), 2 * CHUNK):
        yield base64.b64encode(data[at : at + 2 * CHUNK]).decode()


class Talk:
    """A socket at /v1/realtime, and everything that it was told."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.told: list[Event] = []

    @classmethod
    async def at(cls, house: House, query: str = "?intent=transcription", **options: Any) -> "Talk":
        return cls(await house.http.ws_connect(f"{house.url}/v1/realtime{query}", **options))

    async def send(self, type: str, **fields: Any) -> None:
        await self.socket.send_json({"type": type, **fields})

    async def speak(self, *words: str, quiet: PCM = QUIET) -> None:
        for audio in chunks(words, quiet):
            await self.send("input_audio_buffer.append", audio=audio)

    async def next(self) -> Event | None:
        """The next event; None when the server has closed the socket."""
        message = await self.socket.receive(SOON)
        if message.type is not aiohttp.WSMsgType.TEXT:
            return None
        self.told.append(json.loads(message.data))
        return self.told[-1]

    async def until(self, type: str) -> Event:
        """Read on to an event of this type."""
        async with asyncio.timeout(SOON):
            while (event := await self.next()) is not None:
                if event["type"] == type:
                    return event
        raise AssertionError(f"closed with {self.socket.close_code}, told {self.told}")

    def of(self, type: str) -> list[Event]:
        return [event for event in self.told if event["type"] == type]
