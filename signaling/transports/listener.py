"""A session's transcript for those who only listen: server-sent events (the WHATWG's EventSource format)."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator

from aiohttp import web

from media.errors import SlowReader
from signaling.dialects.native import Native
from signaling.errors import BadMessage, TooMany
from signaling.eventlog import EventLog
from signaling.http import viewer
from signaling.switchboard import Switchboard

KEEP_ALIVE = 15.0  # seconds between comments when nothing is said, so that proxies keep the connection
MOST_READERS = 32  # of one session at a time
WRITE_DEADLINE = 20.0  # seconds for a reader to take what was written
NATIVE = Native()


class ListenerDoor:
    """`GET /v1/sessions/{id}/events` for a session of any transport, and a WHIP resource's `/events`."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._readers: Counter[str] = Counter()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The transcript so far, then events as they come, until the session ends. Raises UnknownSession or TooMany."""
        session = request.match_info["id"]
        viewer(request, session)
        transcript = self._switchboard.transcript(session)
        with self._counted(session):
            return await listen(request, transcript)

    @contextlib.contextmanager
    def _counted(self, session: str) -> Iterator[None]:
        if self._readers[session] >= MOST_READERS:
            raise TooMany(f"{MOST_READERS} readers follow this session already.", retry_after=30)
        self._readers[session] += 1
        try:
            yield
        finally:
            self._readers[session] -= 1
            if not self._readers[session]:
                del self._readers[session]


async def listen(request: web.Request, transcript: EventLog) -> web.StreamResponse:
    """Write a session's events after Last-Event-ID; a reader who does not read is let go."""
    after = _last_event_id(request)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    events = transcript.read(after)
    waiting = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            done, _ = await asyncio.wait((waiting,), timeout=KEEP_ALIVE)
            if not done:
                await _write(response, ": still here\n\n")
                continue
            if (entry := waiting.result()) is None:
                return response
            for message in NATIVE.encode(entry):
                await _write(response, f"id: {entry.seq}\ndata: {message!s}\n\n")
            waiting = asyncio.ensure_future(anext(events, None))
    except (SlowReader, ConnectionError):
        if request.transport:
            request.transport.abort()
        return response
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await events.aclose()


async def _write(response: web.StreamResponse, text: str) -> None:
    try:
        async with asyncio.timeout(WRITE_DEADLINE):
            await response.write(text.encode())
    except TimeoutError:
        raise SlowReader(f"nothing was read for {WRITE_DEADLINE:.0f} s") from None


def _last_event_id(request: web.Request) -> int:
    value = request.headers.get("Last-Event-ID", "0")
    if not value.isascii() or not value.isdigit():
        raise BadMessage("Last-Event-ID must be the number of the last event seen.")
    return int(value[:18])
