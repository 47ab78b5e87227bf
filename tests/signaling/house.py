"""A whole server on a real port of this machine, and callers with real sockets and real WebRTC."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import aiohttp
import av
import numpy as np
import numpy.typing as npt
import psutil
from aiohttp.web_protocol import RequestHandler
from prometheus_client.parser import text_string_to_metric_families

from engine import load
from engine.base import Engine, EngineConfig
from engine.scripted import say
from media.caller import Caller, Speech
from signaling.app import create_app
from signaling.config import Config
from signaling.connections import Runner
from signaling.http import SWITCHBOARD
from signaling.switchboard import Switchboard

SOON = 5.0  # seconds within which whatever a test waits for must have happened
Event = dict[str, Any]


class House:
    """A running server with the engine that hears tones. Everything that it opened is closed by `close`."""

    def __init__(self, config: Config, engine: Engine, runner: Runner, client: aiohttp.ClientSession) -> None:
        self.config = config
        self.engine = engine
        self.http = client
        self._runner = runner
        self._browsers: list[Browser] = []

    @classmethod
    async def open(cls, engine: Engine | None = None, **settings: Any) -> "House":
        """Start the engine and the server, on a free port."""
        config = Config(**{"engine": "scripted", "port": 0, **settings})
        if engine is None:
            engine = load(EngineConfig("scripted", capacity=config.capacity))
        await engine.start()
        runner = Runner(create_app(config, engine))
        await runner.setup()
        await runner.listen("127.0.0.1", 0)
        return cls(config, engine, runner, aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)))

    @property
    def switchboard(self) -> Switchboard:
        app = self._runner.app
        return app[SWITCHBOARD]

    @property
    def handlers(self) -> list[RequestHandler]:
        """One for each open TCP connection of a caller."""
        assert self._runner.server is not None
        return self._runner.server.connections

    @property
    def connections(self) -> int:
        return len(self.handlers)

    @property
    def port(self) -> int:
        return int(self._runner.addresses[0][1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def figure(self, name: str, **labels: str) -> float:
        """One of the figures that Prometheus is told; 0 where it has not been counted yet."""
        families = text_string_to_metric_families(self.switchboard.metrics.text().decode())
        samples = (sample for family in families for sample in family.samples)
        return next((sample.value for sample in samples if sample.name == name and sample.labels == labels), 0.0)

    async def health(self) -> Event:
        async with self.http.get(f"{self.url}/health") as response:
            body: Event = await response.json()
        return body

    async def dial(self, **options: Any) -> "Browser":
        """A signaling socket that has been greeted."""
        socket = await self.http.ws_connect(f"{self.url}/v1/signal", **{"protocols": ("offhook",), **options})
        browser = Browser(socket)
        self._browsers.append(browser)
        return browser

    async def call(self, *words: str) -> "tuple[Browser, Voice]":
        """A caller who is connected and is saying `words`."""
        browser = await self.dial()
        voice = await browser.speak(words)
        await voice.told("ready")
        return browser, voice

    async def close(self) -> None:
        for browser in self._browsers:
            await browser.close()
        await self.http.close()
        self.switchboard.hang_up()
        await self._runner.cleanup()
        await self.engine.close()


OpenHouse = Callable[..., Awaitable[House]]


class Inbox:
    """What was received, in order, and a bounded wait for what is yet to come."""

    def __init__(self) -> None:
        self.all: list[Event] = []
        self._changed = asyncio.Event()

    def put(self, event: Event) -> None:
        self.all.append(event)
        self._changed.set()

    async def told(self, type: str, within: float = SOON, **fields: Any) -> Event:
        """The first event of this type, with these fields."""
        async with asyncio.timeout(within):
            seen = 0
            while True:
                for event in self.all[seen:]:
                    if event["type"] == type and fields.items() <= event.items():
                        return event
                seen = len(self.all)
                self._changed.clear()
                await self._changed.wait()

    def of(self, type: str) -> list[Event]:
        return [event for event in self.all if event["type"] == type]


class HeldSpeech(Speech):
    """A recording that can be stopped for a while. Nothing is sent then, and the sender's clock stands still."""

    def __init__(self, pcm: npt.NDArray[np.float32], pace: float) -> None:
        super().__init__(pcm, pace)
        self._stopped_at = 0.0
        self._going = asyncio.Event()
        self._going.set()

    def stop_for_now(self) -> None:
        self._stopped_at = asyncio.get_running_loop().time()
        self._going.clear()

    def go_on(self) -> None:
        self._began += asyncio.get_running_loop().time() - self._stopped_at
        self._going.set()

    async def recv(self) -> av.AudioFrame:
        await self._going.wait()
        return await super().recv()


class Voice(Inbox):
    """One peer connection that speaks, and what it is told on its data channel."""

    def __init__(self, words: Sequence[str], pace: float) -> None:
        super().__init__()
        self.speech = HeldSpeech(spoken(words), pace)
        self.caller = Caller(self.speech)
        self._reading = asyncio.create_task(self._read())

    @property
    def words(self) -> list[str]:
        return [event["text"] for event in self.of("word")]

    @property
    def seqs(self) -> list[int]:
        return [event["seq"] for event in self.all if event.get("seq")]

    async def said(self) -> None:
        """Wait until everything has been sent."""
        async with asyncio.timeout(SOON + len(self.speech._pcm) / 48_000):
            await self.speech.spoken.wait()

    def send(self, **fields: Any) -> None:
        self.caller.send(json.dumps(fields))

    async def close(self) -> None:
        await self.caller.close()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        async for message in self.caller.messages():
            self.put(json.loads(message))


class Browser(Inbox):
    """A signaling socket and the peers that were made through it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        super().__init__()
        self.socket = socket
        self.voices: list[Voice] = []
        self._reading = asyncio.create_task(self._read())

    async def send(self, **fields: Any) -> None:
        await self.socket.send_json(fields)

    async def speak(self, words: Sequence[str], kind: str = "offer", pace: float = 1.0, **fields: Any) -> Voice:
        """Offer a fresh peer that says `words`, and take the answer."""
        await self.told("ready")
        voice = self.voice(words, pace)
        answers = len(self.of("answer"))
        await self.send(type=kind, sdp=await voice.caller.offer(), **fields)
        await self.accept(voice, answers)
        return voice

    def voice(self, words: Sequence[str], pace: float = 1.0) -> Voice:
        """A fresh peer that will say `words`; it has not offered yet."""
        self.voices.append(Voice(words, pace))
        return self.voices[-1]

    async def accept(self, voice: Voice, answers: int = 0) -> None:
        """Take the answer that comes after so many."""
        await until(lambda: len(self.of("answer")) > answers or self.of("error") != [])
        await voice.caller.accept(self.of("answer")[answers]["sdp"])

    async def renegotiate(self, voice: Voice, direction: str) -> None:
        """Offer the same connection again with its audio in this direction, and take the answer."""
        voice.caller._connection.getTransceivers()[0].direction = direction
        answers = len(self.of("answer"))
        await self.send(type="offer", sdp=await voice.caller.offer())
        await self.accept(voice, answers)

    async def closed(self, within: float = SOON) -> int | None:
        """Wait for the server to close the socket; its code."""
        await asyncio.wait_for(asyncio.shield(self._reading), within)
        return self.socket.close_code

    def lose(self) -> None:
        """The socket is gone, without a close frame."""
        transport = self.socket._response.connection and self.socket._response.connection.transport
        assert isinstance(transport, asyncio.Transport)
        transport.abort()

    async def close(self) -> None:
        for voice in self.voices:
            await voice.close()
        await self.socket.close()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        async for message in self.socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self.put(json.loads(message.data))


class Footprint:
    """What a process holds: descriptors, threads, tasks."""

    def __init__(self) -> None:
        process = psutil.Process()
        self.descriptors, self.threads = process.num_fds(), process.num_threads()
        self.tasks = len(asyncio.all_tasks())

    def __iter__(self) -> Iterator[int]:
        return iter((self.descriptors, self.threads, self.tasks))

    def within(self, other: "Footprint", more: int = 0) -> bool:
        """Whether this is no more than the other one, but for so many of each."""
        return all(mine <= theirs + more for mine, theirs in zip(self, other, strict=True))


def spoken(words: Sequence[str]) -> npt.NDArray[np.float32]:
    """The sound of words at 48 kHz."""
    return np.repeat(say(words), 2)


async def until(happened: Callable[[], bool], within: float = SOON) -> None:
    """Wait for what gives no sign of its own: counters, descriptors, states."""
    async with asyncio.timeout(within):
        while not happened():  # noqa: ASYNC110 (nothing sets an event when a descriptor is given back)
            await asyncio.sleep(0.01)
