"""An engine in a supervised process of its own, so that a crash, a long step or the GIL cannot touch live media.

The child (child.py) is spoken to over Unix sockets: one control connection, whose end tells each side at once that the
other is gone, and one connection for each stream or clip, to a socket in a directory of the child's own. On the control
connection the child tells once a second how it is: while it is silent, or says that its engine is stuck, nobody new is
let in. A child that dies, or stays stuck, is started again, at once the first time, then with back-off; its streams
raise Unavailable.
"""

import asyncio
import contextlib
import json
import logging
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import chain, repeat
from pathlib import Path
from typing import Literal, Self, TypeVar

from engine.base import CHUNK_SAMPLES, LIVE_BACKLOG, PCM, Engine, EngineConfig, Stats, Stream, checked_pcm
from engine.channel import Channel
from engine.errors import EngineError, Full, Misuse, Unavailable
from engine.pulse import BEAT, HOPELESS, Pulse
from engine.streams import WireStream, window_of
from engine.verbs import Audio, Finish, Verb
from engine.wire import Failure, Fed, Init, Ready, Reply, Text, decode_reply, encode, error_of

START_TIMEOUT = 60.0  # seconds without a sign of life from a child that loads and warms up
LOAD_LIMIT = 1_800.0  # seconds that it may take in all, of which a download may be the most
OPEN_TIMEOUT = 10.0  # seconds for a child to answer a new connection
END_TIMEOUT = 3.0  # seconds for a child to end by itself before it is killed
STEADY = 60.0  # seconds of life after which a death is again the first one
BACKOFF = (0.0, 0.5, 1.0, 2.0, 4.0)  # seconds before a new attempt, the last one doubled from then on
CLIPS_AT_ONCE = 4  # clips that are on the way to the child
LOST = "the engine process died"
STUCK = "the engine process is stuck"
CLIP_PIECE = 10 * CHUNK_SAMPLES  # samples of a clip in one message

logger = logging.getLogger(__name__)

_Reply = TypeVar("_Reply", Ready, Fed, Text)


class ProcessEngine(Engine):
    """The engine that `config` names, in a process of its own. `pid` is the child's, while there is one."""

    def __init__(self, config: EngineConfig, *, start_timeout: float = START_TIMEOUT) -> None:
        self._config = config
        self._start_timeout = start_timeout
        self._state: Literal["new", "starting", "ready", "down", "closed"] = "new"
        self._why = "the engine has not been started"
        self._child: Child | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._streams: set[ProcessStream] = set()
        self._capacity = self._taken = self._restarts = 0
        self._measured = 0  # the capacity that a child has found, which the next one need not measure again

    @property
    def pid(self) -> int | None:
        """The id of the process that serves now."""
        return self._child.pid if self._child is not None and self._state == "ready" else None

    async def start(self) -> None:
        """Start the child. Raises Unavailable with the child's reason, or when it takes too long."""
        if self._state != "new":
            raise Misuse("an engine is started once")
        try:
            child = await self._launch()
        except Unavailable as error:
            self._state, self._why = "down", str(error)
            raise
        self._keeper = asyncio.create_task(self._keep(child))

    async def open(self, *, backlog: float = LIVE_BACKLOG) -> Stream:
        """Take a place. `backlog`: seconds of audio that `feed` lets wait. Raises Full or Unavailable."""
        child = self._ready_child()
        if self._taken >= self._capacity or not child.stats.admitting:
            raise Full
        self._taken += 1
        try:
            stream = await ProcessStream.open(self, child.path, backlog)
        except BaseException:
            self._taken -= 1
            raise
        self._streams.add(stream)
        if self._state != "ready" or self._child is not child:  # it died, or the engine was closed, meanwhile
            await stream.close()
            raise Unavailable(self._why)
        return stream

    def stats(self) -> Stats:
        """The engine as it is now; how hard it works is at most some seconds old."""
        stats = Stats(self._state, self._capacity, self._taken, self._restarts)
        if self._state != "ready" or self._child is None:
            return stats
        child = self._child.stats
        state: Literal["stuck", "ready"] = "stuck" if self._child.stuck else "ready"
        return replace(stats, state=state, admitting=child.admitting, load=child.load, upkeep=child.upkeep)

    async def transcribe_batch(self, clips: Sequence[PCM]) -> list[str]:
        """Whole clips to texts, in the child's own way."""
        path = self._ready_child().path
        turns = asyncio.Semaphore(CLIPS_AT_ONCE)
        checked = [checked_pcm(clip) for clip in clips]
        return list(await asyncio.gather(*(_transcribe(path, clip, turns) for clip in checked)))

    async def close(self) -> None:
        """Close every stream and end the child. Closing twice is harmless."""
        self._state, self._why = "closed", "the engine is closed"
        for stream in list(self._streams):
            await stream.close()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._child is not None:
            await self._child.end()  # also one that is dead already and was being replaced

    def release(self, stream: "ProcessStream") -> None:
        """The stream is closed: its place is free for the next caller."""
        self._streams.discard(stream)
        self._taken -= 1

    def _ready_child(self) -> "Child":
        if self._state != "ready" or self._child is None:
            raise Unavailable(self._why)
        if self._child.stuck:
            raise Unavailable(STUCK)
        return self._child

    async def _launch(self) -> "Child":
        self._state, self._why = "starting", "the engine is starting"
        config = replace(self._config, capacity=self._config.capacity or self._measured)
        child = await Child.launch(config, self._start_timeout)
        self._child = child
        self._capacity = self._measured = child.stats.capacity
        self._state = "ready"
        logger.info("the engine process is ready: pid %d, capacity %d", child.pid, self._capacity)
        return child

    async def _keep(self, child: "Child") -> None:
        """Watch over the child for ever: when it is gone, tell every stream, and start another."""
        waits = _backoff()
        while True:
            born = asyncio.get_running_loop().time()
            self._lose(await child.gone())
            await child.end()
            if asyncio.get_running_loop().time() - born > STEADY:
                waits = _backoff()
            child = await self._another(waits)

    async def _another(self, waits: Iterator[float]) -> "Child":
        while True:
            await asyncio.sleep(next(waits))
            self._restarts += 1
            try:
                return await self._launch()
            except Unavailable as error:
                logger.error("the engine process cannot start: %s", error)
                self._state, self._why = "down", str(error)
                self._measured = 0  # there may be no room for as many as there was

    def _lose(self, why: str) -> None:
        logger.error("the engine process is gone: %s", why)
        self._state, self._why = "down", why
        for stream in self._streams:
            stream.end(Unavailable(why))


class Child:
    """One life of the engine's process."""

    def __init__(self, process: asyncio.subprocess.Process, control: Channel, path: str) -> None:
        self.pid = process.pid
        self.path = path
        self._pulse = Pulse()
        self._process = process
        self._control = control

    @property
    def stats(self) -> Stats:
        """How its engine was when it last said so."""
        return self._pulse.stats

    @property
    def stuck(self) -> bool:
        """Whether it serves nobody at the moment."""
        return self._pulse.stuck

    @classmethod
    async def launch(cls, config: EngineConfig, timeout: float) -> Self:
        """A child that is ready and listens at its `path`. Raises Unavailable with the reason that it gave, or when it
        has been silent for `timeout` seconds."""
        try:
            path = str(Path(tempfile.mkdtemp(prefix="offhook-"), "engine"))  # in a directory of this user alone
            try:
                child = await cls._born(path)
            except BaseException:
                _remove(path)
                raise
        except OSError as error:  # no descriptor, process or room on the disk is left: there may be some later
            raise Unavailable(f"the engine process cannot be started: {error}") from error
        try:
            child._control.send(json.dumps(asdict(config)).encode())
            async with asyncio.timeout(LOAD_LIMIT):
                await child._ready(timeout)
        except TimeoutError:
            await child.end()
            raise Unavailable(f"the engine process was not ready within {LOAD_LIMIT:.0f} seconds, or silent") from None
        except BaseException:
            await child.end()
            raise
        return child

    @classmethod
    async def _born(cls, path: str) -> Self:
        ours, theirs = socket.socketpair()
        with theirs:
            control = await Channel.adopt(ours)
            try:
                return cls(await _spawn(theirs, path), control, path)
            except BaseException:
                await control.abort()
                raise

    async def gone(self) -> str:
        """Wait until the child can serve no more; why. Takes in meanwhile what it tells of itself."""
        listening = asyncio.create_task(self._listen())
        try:
            while not self._pulse.hopeless:
                await asyncio.wait((listening,), timeout=BEAT)
                if listening.done():
                    return listening.result()
                self._pulse.tick()
            return f"{STUCK} for {HOPELESS * BEAT:.0f} seconds"
        finally:
            listening.cancel()

    async def end(self) -> None:
        """End the child: it leaves when its control connection does, or is killed, also when the wait for it is
        cancelled. Ending twice is harmless."""
        _remove(self.path)
        await self._control.abort()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_TIMEOUT):
                    await self._process.wait()
        finally:
            if self._process.returncode is None:
                self._process.kill()
        await self._process.wait()

    async def _ready(self, patience: float) -> None:
        """Wait until it can be reached. Raises Unavailable with its reason, TimeoutError after so long a silence."""
        while self.stats.state != "ready":
            async with asyncio.timeout(patience):
                message = await _receive(self._control)
            match message:
                case Stats() as stats:
                    self._pulse.heard(stats)
                case Failure(text):
                    raise Unavailable(text)
                case _:
                    status = await self._process.wait()
                    raise Unavailable(f"the engine process ended with status {status} before it was ready")

    async def _listen(self) -> str:
        """Take in how the child is, until it can serve no more; why."""
        while True:
            match await _receive(self._control):
                case Stats() as stats:
                    self._pulse.heard(stats)
                case Failure(text):
                    return text
                case _:
                    return LOST


def _remove(path: str) -> None:
    """Remove a child's socket and its directory, if the child has not done so."""
    shutil.rmtree(Path(path).parent, ignore_errors=True)


async def _spawn(control: socket.socket, path: str) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", "engine.child", str(control.fileno()), path)
    return await asyncio.create_subprocess_exec(
        *command,
        pass_fds=[control.fileno()],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=2,  # what a library prints belongs with the log
    )


class ProcessStream(WireStream):
    """One caller's connection to the child."""

    def __init__(self, engine: ProcessEngine, channel: Channel, window: float) -> None:
        super().__init__(window)
        self._engine = engine
        self._channel = channel
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, engine: ProcessEngine, path: str, backlog: float) -> Self:
        """A stream of the child that listens at `path`."""
        window = window_of(backlog)
        return cls(engine, await _connect(path, Init(backlog=backlog - window)), window)

    def _send(self, verb: Verb) -> None:
        self._channel.send(encode(verb))

    async def _release(self) -> None:
        self._engine.release(self)
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._channel.abort()

    async def _read(self) -> None:
        while self.hear(await _receive(self._channel), LOST):
            pass


async def _connect(path: str, init: Init) -> Channel:
    """A connection that the child has answered with Ready. Raises what the child answers instead, or Unavailable."""
    try:
        async with asyncio.timeout(OPEN_TIMEOUT):
            channel = await Channel.connect(path)
            try:
                channel.send(encode(init))
                _expect(await _receive(channel), Ready)
            except BaseException:
                await channel.abort()
                raise
            return channel
    except (OSError, TimeoutError) as error:
        raise Unavailable("the engine process does not answer") from error


async def _transcribe(path: str, clip: PCM, turns: asyncio.Semaphore) -> str:
    async with turns:
        channel = await _connect(path, Init(job="clip"))
        try:
            for start in range(0, len(clip), CLIP_PIECE):
                channel.send(encode(Audio(clip[start : start + CLIP_PIECE])))
                _expect(await _receive(channel), Fed)
            channel.send(encode(Finish()))
            return _expect(await _receive(channel), Text).text
        finally:
            await channel.abort()


def _backoff() -> Iterator[float]:
    return chain(BACKOFF, repeat(2 * BACKOFF[-1]))


async def _receive(channel: Channel) -> Reply | None:
    """The child's next message; None once it is gone, or speaks what is no message."""
    try:
        data = await channel.receive()
        return None if data is None else decode_reply(data)
    except EngineError as error:
        logger.error("the engine process does not keep to the language: %s", error)
        return None


def _expect(reply: Reply | None, kind: type[_Reply]) -> _Reply:
    if isinstance(reply, kind):
        return reply
    raise error_of(reply) if isinstance(reply, Failure) else Unavailable(LOST)
