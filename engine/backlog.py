"""How much audio waits in a stream, and who waits for it to shrink. It lives on the event loop."""

import asyncio


class Backlog:
    """Counts samples fed and consumed; `room` waits while more than `limit` samples are between the two."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._fed = 0
        self._consumed = 0
        self._room = asyncio.Event()
        self._room.set()
        self._released = False

    @property
    def waiting(self) -> int:
        """Samples fed and not yet consumed."""
        return self._fed - self._consumed

    async def room(self) -> None:
        """Return once the backlog is within its limit, or `release` was called."""
        await self._room.wait()

    def add(self, samples: int) -> None:
        """Audio was fed."""
        self._fed += samples
        self._update()

    def consumed(self, total: int) -> None:
        """The engine has consumed `total` samples since the stream began (audio that `clear` forgot included)."""
        self._consumed = max(self._consumed, min(total, self._fed))
        self._update()

    def release(self) -> None:
        """Let everyone through: the stream has ended."""
        self._released = True
        self._update()

    def _update(self) -> None:
        if self._released or self.waiting <= self._limit:
            self._room.set()
        else:
            self._room.clear()
