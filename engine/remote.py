"""An engine on another machine: any server that speaks moshi-server's WebSocket language, or ours.

A plain moshi-server knows audio and markers only. Everything else is made of those: a flush is silence, with the times
after it corrected; what `clear` forgets is not told until a marker behind it has come back; `finish` is a marker that
silence pushes through the model's delay.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Literal

import aiohttp
import numpy as np
from yarl import URL

from engine.base import FRAME_SAMPLES, LIVE_BACKLOG, PCM, Engine, EngineConfig, Stats, Stream, checked_pcm
from engine.clips import CLIP_BACKLOG, transcribe_clip
from engine.errors import EngineError, Full, Misuse, Unavailable
from engine.events import Event, Mark, Partial, Pause, Step, Word, WordEnd
from engine.slots import MARK_PATIENCE
from engine.streams import WireStream, window_of
from engine.timeline import Timeline
from engine.verbs import Audio, Clear, Finish, Flush, MarkAt, Verb
from engine.wire import MESSAGE_LIMIT, VERSION, Failure, Init, Ready, Reply, decode_reply, encode, error_of

PATH = "/api/asr-streaming"
CAPACITY = 64  # places of a server that does not tell: moshi-server's usual batch
ANSWER_TIMEOUT = 10.0  # seconds for the server to answer a request or a new connection
HEARTBEAT = 10.0  # seconds between pings, moshi-server's own
CLIPS_AT_ONCE = 4
DOSE = 8  # frames of silence that flush a delay of half a second; larger delays get more doses
DOSES = 60  # without an answer: 38 s of silence, what moshi-server's own clients send at the end
WARM_UP_STEPS = 12  # the pause probabilities mean nothing before
PAUSE_HEAD = 2  # the probability of a pause of two seconds, which moshi-server's clients go by
LOST = "the connection to the remote engine was lost"

logger = logging.getLogger(__name__)

Socket = aiohttp.ClientWebSocketResponse


class RemoteEngine(Engine):
    """A client of the server at `config.remote_url`, with the key `config.remote_key`."""

    def __init__(self, config: EngineConfig) -> None:
        self._url = _address(config.remote_url)
        self._headers = {"kyutai-api-key": config.remote_key} if config.remote_key else {}
        self._capacity = config.capacity
        self._state: Literal["new", "starting", "ready", "down", "closed"] = "new"
        self._session: aiohttp.ClientSession | None = None
        self._streams: set[RemoteStream] = set()
        self._taken = 0

    async def start(self) -> None:
        """Ask the server how many places it has. Raises Unavailable when it does not answer."""
        if self._state != "new":
            raise Misuse("an engine is started once")
        self._state = "starting"
        timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT)
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        try:
            self._capacity = self._capacity or await self._told_capacity(self._session) or CAPACITY
        except (aiohttp.ClientError, TimeoutError) as error:
            self._state = "down"
            raise Unavailable(f"the remote engine does not answer: {type(error).__name__}") from error
        self._state = "ready"

    async def open(self, *, backlog: float = LIVE_BACKLOG) -> Stream:
        """Take a place. Raises Full or Unavailable."""
        if self._state != "ready" or self._session is None:
            raise Unavailable(f"the remote engine is {self._state}")
        if self._taken >= self._capacity:
            raise Full
        self._taken += 1
        try:
            stream = await self._connect(self._session, backlog)
        except BaseException:
            self._taken -= 1
            raise
        self._streams.add(stream)
        if self._session.closed:  # the engine was closed meanwhile
            await stream.close()
            raise Unavailable("the remote engine is closed")
        return stream

    def stats(self) -> Stats:
        """The engine as it is now; of the places that others take the server says nothing."""
        return Stats(self._state, self._capacity, self._taken)

    async def transcribe_batch(self, clips: Sequence[PCM]) -> list[str]:
        """Whole clips to texts, through ordinary places."""
        turns = asyncio.Semaphore(min(CLIPS_AT_ONCE, max(1, self._capacity)))
        checked = [checked_pcm(clip) for clip in clips]
        return list(await asyncio.gather(*(self._transcribe(clip, turns) for clip in checked)))

    async def close(self) -> None:
        """Close every stream and the session. Closing twice is harmless."""
        self._state = "closed"
        for stream in list(self._streams):
            await stream.close()
        if self._session is not None:
            await self._session.close()

    def release(self, stream: "RemoteStream") -> None:
        """The stream is closed: its place is free for the next caller."""
        self._streams.discard(stream)
        self._taken -= 1

    async def _transcribe(self, clip: PCM, turns: asyncio.Semaphore) -> str:
        async with turns:
            return await transcribe_clip(await self.open(backlog=CLIP_BACKLOG), clip)

    async def _told_capacity(self, session: aiohttp.ClientSession) -> int:
        """The places that the server tells of; 0 when it does not."""
        async with session.get(self._url.with_path("/api/modules_info")) as response:
            if response.status != 200 or response.content_type != "application/json":
                return 0
            return _total_slots(await response.json())

    async def _connect(self, session: aiohttp.ClientSession, backlog: float) -> "RemoteStream":
        try:
            socket = await session.ws_connect(self._url, heartbeat=HEARTBEAT, max_msg_size=MESSAGE_LIMIT)
        except aiohttp.WSServerHandshakeError as error:
            why = "refuses the key" if error.status == 401 else f"answers with status {error.status}"
            raise Unavailable(f"the remote engine {why}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"the remote engine does not answer: {type(error).__name__}") from error
        try:
            return await self._greet(socket, backlog)
        except BaseException:
            await socket.close()
            raise

    async def _greet(self, socket: Socket, backlog: float) -> "RemoteStream":
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                reply = await _receive(socket)
        except TimeoutError:
            raise Unavailable("the remote engine does not get ready") from None
        match reply:
            case Ready(version=0):
                return PlainStream(self, socket, backlog)
            case Ready():
                window = window_of(backlog)
                await socket.send_bytes(encode(Init(VERSION, backlog - window)))
                return RemoteStream(self, socket, window)
            case Failure():
                raise error_of(reply)
            case _:
                raise Unavailable(LOST)


class RemoteStream(WireStream):
    """One caller's WebSocket to a server that speaks our language."""

    def __init__(self, engine: RemoteEngine, socket: Socket, backlog: float) -> None:
        super().__init__(backlog)
        self._engine = engine
        self._socket = socket
        self._verbs: asyncio.Queue[Verb] = asyncio.Queue()  # bounded by the backlog that `feed` waits for
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]

    def _send(self, verb: Verb) -> None:
        if not self._outbox.ended:
            self._verbs.put_nowait(verb)

    async def _release(self) -> None:
        self._engine.release(self)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._socket.close()

    async def _read(self) -> None:
        while self.hear(await _receive(self._socket), LOST):
            pass

    async def _write(self) -> None:
        while True:
            await self._put(encode(await self._verbs.get()))

    async def _put(self, data: bytes) -> None:
        try:
            await self._socket.send_bytes(data)
        except (aiohttp.ClientError, ConnectionError):
            self.end(Unavailable(LOST))


class PlainStream(RemoteStream):
    """One caller's WebSocket to a moshi-server."""

    def __init__(self, engine: RemoteEngine, socket: Socket, backlog: float) -> None:
        self._timeline = Timeline()
        self._ids = count(1)
        self._markers: dict[int, MarkAt | Flush | Clear | Finish] = {}  # sent, and not yet back
        self._forgetting = 0  # clears that are not back: what is told until then was forgotten
        self._doses = 0  # of silence since the last audio
        self._fed = 0  # samples of the caller's audio that were sent
        self._steps = 0
        self._spoken_until: float | None = None
        super().__init__(engine, socket, backlog)

    def hear(self, reply: Reply | None, lost: str) -> bool:
        """A reply of a moshi-server, in the caller's time; see WireStream."""
        match reply:
            case Mark(id):
                self._passed(self._markers.pop(id, None))
                return not self._outbox.ended
            case Step():
                return super().hear(self._counted(reply), lost)
            case Word() | WordEnd() | Partial() | Pause() if self._forgetting:
                return True
            case Word() | WordEnd():
                return super().hear(self._placed(reply), lost)
            case _:
                return super().hear(reply, lost)

    async def _write(self) -> None:
        while True:
            try:
                async with asyncio.timeout(MARK_PATIENCE if self._markers else None):
                    verb = await self._verbs.get()
            except TimeoutError:
                await self._push()
            else:
                await self._say(verb)

    async def _say(self, verb: Verb) -> None:
        if isinstance(verb, Audio):
            await self._put_audio(verb.pcm)
            return
        id = next(self._ids)
        self._markers[id] = verb
        self._forgetting += isinstance(verb, Clear)
        await self._put(encode(MarkAt(id), plain=True))
        if isinstance(verb, Flush | Finish):
            await self._push()

    async def _put_audio(self, pcm: PCM) -> None:
        self._doses = 0
        self._timeline.hear(len(pcm))
        self._fed += len(pcm)
        for start in range(0, len(pcm), FRAME_SAMPLES):  # a moshi-server takes one message a step
            await self._put(encode(Audio(pcm[start : start + FRAME_SAMPLES]), plain=True))
        if not self._steps:  # a model without pause heads sends no steps: nothing tells how far it is
            self.consumed(self._fed)

    async def _push(self) -> None:
        """Push what waits through the model's delay, with silence."""
        self._doses += 1
        if self._doses > DOSES:
            self.end(Unavailable("the remote engine does not answer its markers"))
            return
        self._timeline.hear(0, DOSE * FRAME_SAMPLES)
        silence = encode(Audio(np.zeros(FRAME_SAMPLES, dtype=np.float32)), plain=True)
        for _ in range(DOSE):
            await self._put(silence)

    def _passed(self, verb: Verb | None) -> None:
        match verb:
            case MarkAt(id):
                self.tell(Mark(id))
            case Clear():
                self._forgetting -= 1
            case Finish():
                self.end()
            case _:
                pass

    def _counted(self, step: Step) -> Step:
        """The step by the stream's own count: a moshi-server counts for all its streams together."""
        self._steps += 1
        self.consumed(self._steps * FRAME_SAMPLES)
        paused = len(step.pauses) > PAUSE_HEAD and step.pauses[PAUSE_HEAD] > 0.5 and self._steps > WARM_UP_STEPS
        if paused and self._spoken_until is not None and not self._forgetting:
            self.tell(Pause(self._spoken_until))
            self._spoken_until = None
        return replace(step, index=self._steps)

    def _placed(self, event: Word | WordEnd) -> Event:
        placed: Word | WordEnd
        match event:
            case Word(start=start):
                self._spoken_until = self._timeline.at(start)
                placed = replace(event, start=self._spoken_until)
            case WordEnd(stop):
                self._spoken_until = self._timeline.at(stop)
                placed = WordEnd(self._spoken_until)
        return placed


async def _receive(socket: Socket) -> Reply | None:
    """The server's next message; None once the connection is lost, or for what is no message."""
    message = await socket.receive()
    if message.type is not aiohttp.WSMsgType.BINARY:
        return None
    try:
        return decode_reply(message.data)
    except EngineError as error:
        logger.error("the remote engine does not keep to the language: %s", error)
        return None


def _address(url: str) -> URL:
    """The WebSocket's address; of a bare server address, moshi-server's. Raises Misuse."""
    address = URL(url)
    if address.scheme not in ("http", "https", "ws", "wss") or not address.host:
        raise Misuse("the remote engine's address must be like ws://host:8080/api/asr-streaming")
    return address.with_path(PATH) if address.path in ("", "/") else address


def _total_slots(modules: object) -> int:
    """The places of every batched module, as moshi-server lists them (with the number as text); 0 without a list."""
    totals = (
        [module.get("total_slots") for module in modules if isinstance(module, dict)]
        if isinstance(modules, list)
        else []
    )
    return sum(int(total) for total in totals if isinstance(total, str | int) and str(total).isdecimal())
