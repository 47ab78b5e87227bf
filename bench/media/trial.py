"""One receiver's process, called by many: what came out of it, when, and what it cost."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

from bench.media import wire
from bench.media.generator import Script, Speaker, play
from media.codecs import PCM

ROOT = Path(__file__).parent.parent.parent
PEERS = ROOT / ".venv-peers"  # made by `make bench-media`
CONNECT = 30.0  # seconds
AT_ONCE = 8  # calls that connect at the same time

# The module of each receiver with its arguments, and its interpreter.
RECEIVERS = {
    "offhook": ("offhook libopus", Path(sys.executable)),
    "offhook-pyav": ("offhook pyav", Path(sys.executable)),
    "stock": ("stock", Path(sys.executable)),
    "fastrtc": ("fastrtc", PEERS / "fastrtc" / "bin" / "python"),
    "pipecat": ("pipecat", PEERS / "pipecat" / "bin" / "python"),
}


@dataclass(frozen=True, slots=True)
class Usage:
    """A receiver's process so far."""

    cpu: float  # seconds, of all threads
    memory: int  # bytes
    threads: int
    samples: int  # that came out, of all calls


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """One call: when its packets were sent, when each 80 ms came out, and the audio where it was kept."""

    offered: float
    left: list[float]
    times: list[float]
    samples: int
    pcm: PCM


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is told once a receiver has heard everything."""

    calls: list[Heard]
    usage: Usage
    lateness: list[float]  # seconds by which the callers themselves were late with each packet


def cores() -> tuple[int, int]:
    """The callers' core and the receiver's: two different ones where there are two."""
    available = sorted(os.sched_getaffinity(0))
    return available[0], available[-1]


class Receiver:
    """The process, and the callers that it has answered."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.speakers: list[Speaker] = []
        self._reader = reader
        self._writer = writer
        self._lateness: list[float] = []

    async def connect(self, count: int, *, keep: bool) -> list[Speaker]:
        """So many more calls, ready to speak; the audio of those with `keep` comes back."""
        fresh = [Speaker() for _ in range(count)]
        self.speakers += fresh
        for start in range(0, count, AT_ONCE):
            some = fresh[start : start + AT_ONCE]
            for speaker in some:
                reply, _ = await self._ask({"do": "answer", "sdp": await speaker.offer(), "keep": keep})
                await speaker.accept(reply["sdp"])
            async with asyncio.timeout(CONNECT):
                await asyncio.gather(*(speaker.connected.wait() for speaker in some))
        return fresh

    async def play(self, scripts: Sequence[Script]) -> None:
        """Have the callers speak, each its own script."""
        self._lateness += await play(self.speakers, scripts)

    async def usage(self) -> Usage:
        """What the process has used so far."""
        reply, _ = await self._ask({"do": "usage"})
        return _usage(reply)

    async def finish(self) -> Outcome:
        """Wait until everything is out, and take it."""
        reply, body = await self._ask({"do": "finish"})
        audio = np.frombuffer(body, np.float32)
        calls = []
        for speaker, told in zip(self.speakers, reply["calls"], strict=True):
            calls.append(Heard(speaker.offered, speaker.left, told["times"], told["samples"], audio[: told["kept"]]))
            audio = audio[told["kept"] :]
        return Outcome(calls, _usage(reply), self._lateness)

    async def close(self) -> None:
        await asyncio.gather(*(speaker.close() for speaker in self.speakers))
        self._writer.close()

    async def _ask(self, message: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        await wire.write(self._writer, message)
        return await wire.read(self._reader)


def _usage(reply: dict[str, Any]) -> Usage:
    return Usage(reply["cpu"], reply["memory"], reply["threads"], reply["samples"])


@asynccontextmanager
async def receiving(name: str) -> AsyncIterator[Receiver]:
    """A receiver's process on its core, with ourselves on another one. Raises RuntimeError with what it said should it
    fail."""
    callers, core = cores()
    ours, theirs = socket.socketpair()
    with TemporaryFile() as said:
        with theirs:
            process = await _start(name, theirs.fileno(), core, said)
        os.sched_setaffinity(0, {callers})
        receiver = Receiver(*await asyncio.open_connection(sock=ours, limit=wire.LONGEST_LINE))
        try:
            yield receiver
        finally:
            await receiver.close()
            failed = await process.wait()
            os.sched_setaffinity(0, {callers, core})
            if failed:
                said.seek(0)
                raise RuntimeError(f"the receiver {name} failed:\n{said.read().decode(errors='replace')}")


async def _start(name: str, descriptor: int, core: int, said: IO[bytes]) -> asyncio.subprocess.Process:
    module, python = RECEIVERS[name]
    module, *arguments = module.split()
    command = [str(python), "-m", f"bench.media.receivers.{module}", str(descriptor), str(core), *arguments]
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, pass_fds=[descriptor], stderr=said)
