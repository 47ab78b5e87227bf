"""One call to a running server, as a browser would make it: signaling, audio, events."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import numpy as np
import numpy.typing as npt

from media.caller import Caller, Speech

CONNECT = 10.0  # seconds for the server to accept the socket and to answer the offer


class CallFailed(Exception):
    """The server refused or ended the call; the message is the server's own sentence where it told one."""


class Call:
    """A live call. `events` yields what the server tells, decoded; `finish` asks for the last words."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, caller: Caller, speech: Speech) -> None:
        self._socket = socket
        self._caller = caller
        self.speech = speech
        self.session = ""
        self._trickling: asyncio.Task[None] | None = None
        self.refusal = ""

    async def connect(self) -> None:
        """Offer and take the answer; candidates are added as they come. Raises CallFailed."""
        self.session = (await self._receive("ready"))["session"]
        await self._socket.send_json({"type": "offer", "sdp": await self._caller.offer()})
        await self._caller.accept((await self._receive("answer"))["sdp"])
        self._trickling = asyncio.create_task(self._trickle())

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Everything the server says on the data channel, until the call is over. Raises CallFailed."""
        async for message in self._caller.messages():
            yield json.loads(message)
        if self.refusal:
            raise CallFailed(self.refusal)

    async def finish(self) -> None:
        """When everything was said, ask for the last words: they come, and then `ended`."""
        await self.speech.spoken.wait()
        await self._caller.opened.wait()  # a short recording is over before there is a channel
        self._caller.send('{"type":"finish"}')

    async def close(self) -> None:
        """Hang up."""
        if self._trickling:
            self._trickling.cancel()
            await asyncio.gather(self._trickling, return_exceptions=True)
        await self._caller.close()
        await self._socket.close()

    async def _receive(self, wanted: str) -> dict[str, Any]:
        patience = CONNECT
        while True:
            try:
                message = await self._socket.receive(patience)
            except TimeoutError:
                raise CallFailed(f"The server did not answer within {patience:.0f} seconds.") from None
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise CallFailed(self.refusal or "The server closed the connection.")
            fields: dict[str, Any] = json.loads(message.data)
            if fields["type"] == wanted:
                return fields
            if fields["type"] == "queued":
                patience = CONNECT + fields["wait"]
            if fields["type"] == "error":
                self.refusal = fields["message"]
                raise CallFailed(self.refusal)

    async def _trickle(self) -> None:
        try:
            while True:
                candidate = (await self._receive_forever())["candidate"]
                await self._caller.add_candidate(candidate)
        except CallFailed:
            await self._caller.close()

    async def _receive_forever(self) -> dict[str, Any]:
        while True:
            message = await self._socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise CallFailed("The server closed the connection.")
            fields: dict[str, Any] = json.loads(message.data)
            if fields["type"] == "candidate":
                return fields
            if fields["type"] == "error":
                self.refusal = fields["message"]


@asynccontextmanager
async def call(url: str, pcm: npt.NDArray[np.float32], *, pace: float = 1.0, key: str = "") -> AsyncIterator[Call]:
    """Call the server at `url` (http or https) and speak `pcm` (mono, 48 kHz). Raises CallFailed."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession(headers=headers) as session:
        try:
            async with asyncio.timeout(CONNECT):
                socket = await session.ws_connect(
                    f"{url.rstrip('/')}/v1/signal", protocols=("offhook",), max_msg_size=1 << 20
                )
        except aiohttp.WSServerHandshakeError as error:
            raise CallFailed(_refusal(error.status)) from None
        except TimeoutError:
            raise CallFailed(f"{url} did not answer within {CONNECT:.0f} seconds.") from None
        except (aiohttp.ClientError, ValueError):
            raise CallFailed(f"No server answers at {url}: start one with `offhook serve`, or set --url.") from None
        speech = Speech(pcm, pace)
        live = Call(socket, Caller(speech), speech)
        try:
            await live.connect()
            yield live
        finally:
            await live.close()


def _refusal(status: int) -> str:
    """What a refused handshake says: of the answer only the status can be read."""
    if status == 401:
        return "The server answered 401: it asks for a key, and the right one was not given (--key)."
    return f"The server answered {status} instead of taking the call."
