"""What every receiver's process has in common: it answers offers, and tells what came out, when, and at what cost.

Only the standard library and NumPy are used here, since each peer has an environment of its own.
"""

import asyncio
import gc
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bench.media import wire

RATE = 24_000
FRAME = 1_920  # samples: 80 ms
CALM = 0.5  # seconds without a frame after which nothing more is expected
LONGEST_CALM = 20.0

PCM = npt.NDArray[np.float32]


class Ear:
    """Where a call's audio comes out: counts it, and notes when each 80 ms of it were whole."""

    def __init__(self, heard: asyncio.Event, *, keep: bool) -> None:
        self.samples = 0
        self.times: list[float] = []
        self._heard = heard
        self._kept: list[PCM] | None = [] if keep else None

    def hear(self, pcm: PCM) -> None:
        """Take any number of samples, (n,) float32 at 24 kHz."""
        self.samples += pcm.size
        if self.samples // FRAME > len(self.times):
            now = time.monotonic()
            self.times += [now] * (self.samples // FRAME - len(self.times))
            self._heard.set()
        if self._kept is not None:
            self._kept.append(pcm)

    def kept(self) -> PCM:
        """Everything so far; nothing when it is not kept."""
        return np.concatenate(self._kept) if self._kept else np.zeros(0, np.float32)


class Call(Protocol):
    """One call of a receiver's."""

    async def finish(self) -> None:
        """The caller has said everything: end as soon as all of it is out, where the receiver can be told so."""
        ...

    async def close(self) -> None: ...


Answer = Callable[[str, Ear], Awaitable[tuple[str, Call]]]  # an offer -> an answer, and the call that it begins


class Desk:
    """Does what the bench asks for."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._calls: list[Call] = []
        self._ears: list[Ear] = []
        self._heard = asyncio.Event()  # by any ear
        self._spent = 0.0  # seconds of processor time on telling the usage

    async def do(self, message: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """The reply to one message, and its bytes."""
        match message["do"]:
            case "answer":
                return await self._take(message["sdp"], keep=message["keep"]), b""
            case "usage":
                return self._usage(), b""
            case "finish":
                return await self._finish()
            case other:
                raise ValueError(f"nobody can {other}")

    async def close(self) -> None:
        """Hang up every call."""
        await asyncio.gather(*(call.close() for call in self._calls))

    async def _take(self, offer: str, *, keep: bool) -> dict[str, Any]:
        ear = Ear(self._heard, keep=keep)
        self._ears.append(ear)
        sdp, call = await self._answer(offer, ear)
        self._calls.append(call)
        return {"sdp": sdp}

    def _usage(self) -> dict[str, Any]:
        """Processor time is every thread's, without what is spent here: so much is nothing of the receiver's."""
        cpu = time.process_time() - self._spent
        gc.collect()
        fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        self._spent = time.process_time() - cpu
        return {
            "cpu": cpu,
            "memory": int(fields["VmRSS"].split()[0]) * 1024,
            "threads": int(fields["Threads"]),
            "samples": sum(ear.samples for ear in self._ears),
        }

    async def _finish(self) -> tuple[dict[str, Any], bytes]:
        await asyncio.gather(*(call.finish() for call in self._calls))
        await self._calmed()
        usage = self._usage()
        audio = [ear.kept() for ear in self._ears]
        calls = [
            {"times": ear.times, "samples": ear.samples, "kept": pcm.size}
            for ear, pcm in zip(self._ears, audio, strict=True)
        ]
        return {"calls": calls, **usage}, b"".join(pcm.tobytes() for pcm in audio)

    async def _calmed(self) -> None:
        """Wait until nothing has come out for a while; a receiver that has fallen behind may need long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_CALM):
                while await self._hears_more():
                    self._heard.clear()

    async def _hears_more(self) -> bool:
        try:
            async with asyncio.timeout(CALM):
                return await self._heard.wait()
        except TimeoutError:
            return False


async def serve(answer: Answer, descriptor: int) -> None:
    """Do what is asked for on the socket until it is closed, then hang up."""
    desk = Desk(answer)
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor), limit=wire.LONGEST_LINE)
    try:
        while True:
            message, _ = await wire.read(reader)
            await wire.write(writer, *await desk.do(message))
    except (EOFError, ConnectionError):
        await desk.close()
    finally:
        writer.close()


def main(answer: Callable[[], Answer]) -> None:
    """Run a receiver: the first arguments are its socket's descriptor and its core. `answer` is called on the loop."""
    descriptor, core = int(sys.argv[1]), int(sys.argv[2])
    os.sched_setaffinity(0, {core})

    async def run() -> None:
        await serve(answer(), descriptor)

    asyncio.run(run())
