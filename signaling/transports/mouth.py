"""Telling one HTTP reader things without waiting for it."""

import asyncio
from collections.abc import Callable

from signaling.transports.listener import KEEP_ALIVE, Pen


class Mouth:
    """Says things in order; what the reader has not taken yet waits here, and nobody else does. That is for what is
    short and has an end, such as a file's transcript: it is not bounded but by the reader's deadline (see Pen).

    Each method raises SlowReader or ConnectionError once the reader is late or gone. `idle`: a sign of life.
    """

    def __init__(self, pen: Pen, idle: str, clock: Callable[[], float]) -> None:
        self._pen = pen
        self._idle = idle
        self._clock = clock
        self._unsaid = ""
        self._spoke = clock()
        self._writing: asyncio.Task[None] | None = None

    def say(self, text: str) -> None:
        """Say this, or, where it is empty, give a sign of life if nothing was said for long."""
        if self._writing and self._writing.done():
            self._writing.result()
            self._writing = None
        now = self._clock()
        if not text and now - self._spoke < KEEP_ALIVE:
            return
        self._spoke = now
        self._unsaid += text or self._idle
        self._writing = self._writing or asyncio.create_task(self._write())

    async def finish(self) -> None:
        """Wait until all of it is taken."""
        if self._writing:
            await self._writing

    async def close(self) -> None:
        """Say no more."""
        if self._writing:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _write(self) -> None:
        while self._unsaid:
            text, self._unsaid = self._unsaid, ""
            await self._pen.write(text)
