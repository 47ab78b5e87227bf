"""The data channel on which a caller's events go out and its commands come in.

The caller creates it; what is sent before is kept until it opens. Both directions are bounded: what the caller does
not read stays countable (`waiting`), and a caller who sends faster than it is read loses the channel.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from media.errors import SlowReader

LONGEST_WAITING = 1_048_576  # bytes that may wait for the caller before `send` refuses
MOST_INBOUND = 64  # messages that may wait to be read here: commands are few and small


class DataChannel(Protocol):
    """The part of aiortc's data channel that is used."""

    @property
    def label(self) -> str: ...

    @property
    def readyState(self) -> str: ...  # noqa: N802 (aiortc's name)

    @property
    def bufferedAmount(self) -> int: ...  # noqa: N802 (aiortc's name)

    def send(self, data: bytes | str) -> None: ...

    def close(self) -> None: ...

    def on(self, event: str, f: Callable[..., Any]) -> Any: ...


class Channel(AsyncIterator[str | bytes]):
    """Messages in by iteration, out by `send`; `in_flight` tells the bytes that have left and are not acknowledged."""

    def __init__(self, label: str, in_flight: Callable[[], int]) -> None:
        self._label = label
        self._in_flight = in_flight
        self._channel: DataChannel | None = None
        self._before: deque[str] = deque()
        self._before_bytes = 0
        self._inbound: deque[str | bytes] = deque()
        self._changed = asyncio.Event()
        self._progress = asyncio.Event()
        self._ended = False

    @property
    def waiting(self) -> int:
        """Bytes that were sent and the caller has not acknowledged."""
        buffered = self._channel.bufferedAmount if self._channel is not None else 0
        return self._before_bytes + buffered + self._in_flight()

    def offer(self, channel: DataChannel) -> None:
        """A channel that the caller has created: used when it has our label and none is in use."""
        if self._ended or channel.label != self._label or self._usable():
            return
        self._channel = channel
        channel.on("message", self._received)
        while self._before:
            channel.send(self._before.popleft())
        self._before_bytes = 0

    def send(self, message: str) -> None:
        """Send, or keep until the channel opens. Raises SlowReader when too much waits already."""
        size = len(message.encode())
        if self.waiting + size > LONGEST_WAITING:
            raise SlowReader(f"{LONGEST_WAITING} bytes wait for the caller to read them")
        if self._ended:
            return
        if self._usable() and self._channel is not None:
            self._channel.send(message)
        elif self._channel is None:
            self._before.append(message)
            self._before_bytes += size

    async def drained(self) -> None:
        """Wait until the caller has acknowledged everything, or the connection is over."""
        while not self._ended and self.waiting:
            self._progress.clear()
            await self._progress.wait()

    def progress(self) -> None:
        """The other side has acknowledged something."""
        self._progress.set()

    def end(self) -> None:
        """No more messages, in either direction; what has come is still read."""
        self._ended = True
        self._changed.set()
        self._progress.set()

    async def __anext__(self) -> str | bytes:
        """The caller's next message; StopAsyncIteration after the last."""
        while not self._inbound:
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._inbound.popleft()

    def _usable(self) -> bool:
        return self._channel is not None and self._channel.readyState == "open"

    def _received(self, message: str | bytes) -> None:
        if len(self._inbound) >= MOST_INBOUND:
            if self._channel is not None:
                self._channel.close()
            return
        self._inbound.append(message)
        self._changed.set()
