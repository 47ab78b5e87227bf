"""Uploaded files to PCM, each decoded in a process of its own (container_child.py) that is killed when nobody listens.

What FFmpeg is given comes from strangers, and a small file may hold hours, so it is not decoded in the process that
carries calls. The file is handed over open and its name is never used. The audio comes back through a socket, and the
process runs no further ahead of its listener than the few seconds that fit into it.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import stat
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from signal import SIGKILL, SIGXCPU
from typing import BinaryIO, Self

import numpy as np

from media.codecs import PCM
from media.container_child import AUDIO, RECORD, REFUSED
from media.errors import BadMedia, NoProcess

AHEAD = 1 << 16  # bytes: how much the reader holds before it stops reading (twice this), and the socket
LONGEST_RECORD = 1 << 20  # bytes

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What decoding one file may take."""

    seconds: float = 3_600.0  # of audio in it
    memory: int = 1 << 30  # bytes of address space
    cpu: int = 60  # seconds of one core: ten times what an hour of any format takes
    wait: float = 120.0  # seconds that its reader waits for it, all in all


@dataclass(frozen=True, slots=True)
class About:
    """What a file says of itself. `container` and `codec` are FFmpeg's names; `duration` is in seconds, None where the
    file does not tell it, as one that a browser has recorded."""

    container: str
    codec: str
    rate: int
    channels: int
    duration: float | None


class Decoded:
    """The audio of a file, to be iterated over once. `damaged`: packets that could not be decoded, known at the end."""

    def __init__(self, about: About, child: "_Child") -> None:
        self.about = about
        self.damaged = 0
        self._child = child
        self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PCM:
        """The next piece, of half a second or less. Raises BadMedia where the rest is too much or cannot be decoded."""
        if self._over:
            raise StopAsyncIteration
        kind, payload = await self._child.record()
        if kind == AUDIO:
            pcm: PCM = np.nan_to_num(np.frombuffer(payload, "<f4"), nan=0.0, posinf=1.0, neginf=-1.0)
            return pcm.clip(-1.0, 1.0, out=pcm)
        self._over, self.damaged = True, json.loads(payload)["damaged"]
        raise StopAsyncIteration


@contextlib.asynccontextmanager
async def decoded(
    source: str | os.PathLike[str] | BinaryIO, rate: int, limits: Limits | None = None
) -> AsyncIterator[Decoded]:
    """The audio of a file as mono float32 in [-1, 1] at `rate`, while the context lasts. An open file is read from its
    beginning, and stays the caller's: `tempfile.TemporaryFile()` for what is uploaded, which leaves nothing behind
    however the server ends. Raises BadMedia for what cannot be decoded, NoProcess where no process can be started, and
    OSError for a path that cannot be opened."""
    limits = limits or Limits()
    with contextlib.ExitStack() as stack:
        if isinstance(source, (str, os.PathLike)):
            source = stack.enter_context(await asyncio.to_thread(_open, source))
        _check(source)
        child = await _Child.start(source, rate, limits)
    try:
        _, about = await child.record()
        yield Decoded(About(**json.loads(about)), child)
    finally:
        await child.end()


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # a pipe would keep it


def _check(file: BinaryIO) -> None:
    """Raises BadMedia for what need not be looked into."""
    file.flush()  # what was written to it may still be on the way
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise BadMedia("unknown_format", "This is not a regular file: send a file of audio.")
    if not status.st_size:
        raise BadMedia("empty", "The file is empty: send a file of audio.")


class _Child:
    """The process that decodes one file, and the socket that the audio comes through."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        patience: float,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._patience = patience  # seconds that are left to wait for it

    @classmethod
    async def start(cls, file: BinaryIO, rate: int, limits: Limits) -> Self:
        """Raises NoProcess."""
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise NoProcess(f"no file can be decoded now: {error.strerror}") from error
        with theirs:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, AHEAD)
            reader, writer = await asyncio.open_connection(sock=ours, limit=AHEAD)
            try:
                process = await _spawn(file, theirs, rate, limits)
            except BaseException:
                writer.close()
                raise
        return cls(process, reader, writer, limits.wait)

    async def record(self) -> tuple[bytes, bytes]:
        """The next thing that it says: its kind, and the bytes. Raises BadMedia when it says why it cannot, or ends."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            async with asyncio.timeout(self._patience):
                kind, payload = await self._read()
        except TimeoutError:
            raise BadMedia("too_costly", "The file takes too long to decode: send it in another format.") from None
        self._patience -= loop.time() - begun
        if kind == REFUSED:
            raise BadMedia(**json.loads(payload))
        return kind, payload

    async def end(self) -> None:
        """End it at once, whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            if self._process.returncode is None:  # Process.kill may take the status from who waits for it (gh-127049)
                os.kill(self._process.pid, SIGKILL)
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        await self._process.wait()

    async def _read(self) -> tuple[bytes, bytes]:
        try:
            kind, size = RECORD.unpack(await self._reader.readexactly(RECORD.size))
            if size <= LONGEST_RECORD:
                return kind, await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # it has ended, and how says why
        raise _fault(await self._process.wait())


async def _spawn(file: BinaryIO, out: socket.socket, rate: int, limits: Limits) -> asyncio.subprocess.Process:
    arguments = (rate, limits.seconds, limits.memory, limits.cpu)
    try:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "media.container_child", *map(str, arguments)),
            stdin=file,
            stdout=out.fileno(),
        )
    except OSError as error:
        raise NoProcess(f"no file can be decoded now: {error.strerror}") from error


def _fault(status: int) -> BadMedia:
    """Why a process has ended without a word, by its exit status."""
    if status in (-SIGXCPU, -SIGKILL):
        return BadMedia("too_costly", "The file takes too much to decode: send it in another format.")
    logger.warning("the process that decodes a file ended with status %d", status)
    return BadMedia("damaged", "The file is damaged: record it again, or send it in another format.")
