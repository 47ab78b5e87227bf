"""The hand-off from an engine to the one reader of a stream. It lives on the event loop."""

import asyncio
from collections import deque

from engine.base import EVENTS_KEPT
from engine.errors import EngineError, Overrun
from engine.events import Event, Partial


class Outbox:
    """A bounded queue of events that ends once: quietly, or with the error that the reader is to see.

    A Partial that nobody has read is replaced by the next one. A reader who leaves more than `limit` events unread
    gets what was kept, then Overrun. Once it has `ended`, `error` says why, if not quietly.
    """

    def __init__(self, limit: int = EVENTS_KEPT) -> None:
        self._limit = limit
        self._events: deque[Event] = deque()
        self._changed = asyncio.Event()
        self.error: EngineError | None = None
        self.ended = False

    def put(self, event: Event) -> None:
        """Add an event; after the end it is too late and nothing happens."""
        if self.ended:
            return
        if isinstance(event, Partial) and self._events and isinstance(self._events[-1], Partial):
            self._events[-1] = event
        elif len(self._events) >= self._limit:
            self.end(Overrun(f"{self._limit} events wait for the stream's reader"))
        else:
            self._events.append(event)
            self._changed.set()

    def end(self, error: EngineError | None = None) -> None:
        """No more events. What waits is still read, then `error` is raised, if any. The first end counts."""
        if not self.ended:
            self.ended = True
            self.error = error
            self._changed.set()

    async def get(self) -> Event:
        """The next event. Raises StopAsyncIteration after the last, or the error the outbox ended with."""
        while not self._events:
            if self.ended:
                raise self.error or StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._events.popleft()
