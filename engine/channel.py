"""Messages over a byte stream between two processes of this machine, each behind its length."""

import asyncio
import contextlib
import socket
import struct
from typing import Self

from engine.wire import MESSAGE_LIMIT, WireError

_LENGTH = struct.Struct(">I")


class Channel:
    """One end of a connection. Both ends send whenever they like; `receive` has one reader."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, path: str) -> Self:
        """A connection to the Unix socket at `path`. Raises OSError."""
        return cls(*await asyncio.open_unix_connection(path))

    @classmethod
    async def adopt(cls, end: socket.socket) -> Self:
        """The channel over a connected socket, which it owns from now on."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def send(self, data: bytes) -> None:
        """Send a message; to a peer that is gone nothing happens, which `receive` tells."""
        if not self._writer.is_closing():
            self._writer.write(_LENGTH.pack(len(data)) + data)

    async def drain(self) -> None:
        """Wait until the peer has taken most of what was sent."""
        with contextlib.suppress(ConnectionError):  # the peer is gone: `receive` tells
            await self._writer.drain()

    async def receive(self) -> bytes | None:
        """The next message; None once the peer is gone. Raises WireError for one that is too long."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            if length > MESSAGE_LIMIT:
                raise WireError(f"a message of {length} bytes; the limit is {MESSAGE_LIMIT}")
            return await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def close(self) -> None:
        """Send what is still to be sent, then hang up."""
        self._writer.close()

    async def abort(self) -> None:
        """Hang up now; what was not sent is lost."""
        self._writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()
