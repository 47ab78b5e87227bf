"""One caller more than there are places, at every door: what each is told."""

import asyncio
import json
from dataclasses import dataclass

import aiohttp
import msgpack
import numpy as np

from media.caller import Caller, Speech

SOCKETS = ("/v1/stream", "/v1/transcribe", "/api/asr-streaming", "/")
BUSY = ("no free channels", "All lines are busy")  # the words of moshi-server and Yap, and everybody else's
CLOSE = 1013
SOON = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a door said, and with which status or close code."""

    door: str
    told: str
    code: int | None

    @property
    def is_busy(self) -> bool:
        """Whether that means that all places are taken."""
        return self.code in (CLOSE, 503) and any(words in self.told for words in BUSY)


async def offer() -> str:
    """What a WebRTC caller would send. No connection is made with it, since it is refused."""
    caller = Caller(Speech(np.zeros(960, np.float32)))
    try:
        return await caller.offer()
    finally:
        await caller.close()


async def knock(http: aiohttp.ClientSession, url: str, sdp: str) -> list[Refusal]:
    """Try every door."""
    async with asyncio.timeout(SOON):
        refusals = [await _socket(http, url, path) for path in SOCKETS]
        return [*refusals, await _whip(http, url, sdp), await _signal(http, url, sdp)]


async def _socket(http: aiohttp.ClientSession, url: str, path: str) -> Refusal:
    async with http.ws_connect(url + path) as socket:
        message = await socket.receive()
        told = msgpack.unpackb(message.data) if isinstance(message.data, bytes) else message.data
        while not socket.closed:
            await socket.receive()
        return Refusal(path, str(told), socket.close_code)


async def _whip(http: aiohttp.ClientSession, url: str, sdp: str) -> Refusal:
    async with http.post(f"{url}/whip", data=sdp, headers={"Content-Type": "application/sdp"}) as response:
        return Refusal("/whip", (await response.json())["detail"], response.status)


async def _signal(http: aiohttp.ClientSession, url: str, sdp: str) -> Refusal:
    async with http.ws_connect(f"{url}/v1/signal", protocols=("offhook",)) as socket:
        told = json.loads((await socket.receive()).data)
        if told["type"] == "ready":
            await socket.send_json({"type": "offer", "sdp": sdp})
            told = json.loads((await socket.receive()).data)
        while not socket.closed:
            await socket.receive()
        return Refusal("/v1/signal", told.get("message", told["type"]), socket.close_code)
