"""A WebSocket whose caller learns what was wrong with its message, although it has not sent all of it yet."""

import asyncio
import contextlib
from typing import Any

from aiohttp import web


class Lingering(web.WebSocketResponse):
    """aiohttp's WebSocket. Once `lingering`, its connection is not cut with the close frame: cut off in the middle of
    its message, a caller would never read it. `left`: done once the connection is gone."""

    def __init__(self, left: "asyncio.Future[None] | None", **options: Any) -> None:
        super().__init__(**options)
        self.lingering = False
        self._left = left

    def _close_transport(self) -> None:
        """aiohttp calls this as soon as its close frame is on the way, where it has no use for an answer."""
        if not self.lingering:
            super()._close_transport()

    async def linger(self, below: asyncio.Transport) -> None:
        """Let the caller hang up. What it still sends is read and forgotten. To be bounded by whoever waits."""
        if not self.lingering:
            return
        self.lingering = False
        with contextlib.suppress(OSError):
            if self._left and below.can_write_eof():
                below.write_eof()
                await asyncio.shield(self._left)
        below.close()
