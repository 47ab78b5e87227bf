"""A session's transcript for those who only listen, over HTTP: the whole of it first, then more as it comes.

A reader never slows the call: it reads the session's log at its own pace, and one that does not keep up is let go.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Iterator

from aiohttp import web

from media.errors import SlowReader
from signaling.connections import bound_sending
from signaling.errors import BadMessage, TooMany, sentence, wire_error
from signaling.eventlog import EventLog
from signaling.events import Entry
from signaling.feeds import CaptionFeed, EventFeed, Feed
from signaling.http import METRICS, viewer
from signaling.switchboard import Switchboard

KEEP_ALIVE = 15.0  # seconds between signs of life when nothing is said, so that proxies keep the connection
MOST_READERS = 32  # of one session at a time
MOST_IN_ALL = 1_024  # of all sessions together
WRITE_DEADLINE = 20.0  # seconds for a reader to take what was written
PIECE = 1 << 16  # bytes that a reader is asked to take within one deadline
GOODBYE = 2.0  # seconds for a reader that is let go to take the reason
HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep events back until it has some kilobytes
}

Left = asyncio.Future[None] | None  # done once the reader's connection is gone, where that is known

log = logging.getLogger("offhook.listener")


class ListenerDoor:
    """The doors for whoever follows a session, of any transport."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._readers: Counter[str] = Counter()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events, after the last one that the reader has seen. Raises UnknownSession, TooMany or
        BadMessage."""
        session, transcript, left = self._found(request)
        after = _last_seen(request)
        if transcript.ended and after and after >= transcript.seq:
            return web.Response(status=204)  # which tells an EventSource not to come back
        with self._counted(session):
            return await follow(request, transcript, EventFeed(), after, left)

    async def captions(self, request: web.Request) -> web.StreamResponse:
        """WebVTT, from the session's beginning. Raises UnknownSession or TooMany."""
        session, transcript, left = self._found(request)
        with self._counted(session):
            return await follow(request, transcript, CaptionFeed(), 0, left)

    def _found(self, request: web.Request) -> tuple[str, EventLog, Left]:
        session = request.match_info["id"]
        who = viewer(request, session)
        return session, self._switchboard.transcript(session), who.left

    @contextlib.contextmanager
    def _counted(self, session: str) -> Iterator[None]:
        if self._readers[session] >= MOST_READERS:
            raise TooMany(f"{MOST_READERS} readers follow this session already.", retry_after=30)
        if self._readers.total() >= MOST_IN_ALL:
            raise TooMany("Too many readers follow sessions of this server already.", retry_after=30)
        self._readers[session] += 1
        try:
            yield
        finally:
            self._readers[session] -= 1
            if not self._readers[session]:
                del self._readers[session]


async def follow(request: web.Request, transcript: EventLog, feed: Feed, after: int, left: Left) -> web.StreamResponse:
    """Write a session's events after the one numbered `after`, until it ends; a reader who does not read is let go."""
    response = web.StreamResponse(headers=HEADERS)
    response.content_type, response.charset = feed.content_type, "utf-8"
    await response.prepare(request)
    if request.transport:
        bound_sending(request.transport)
    pen = Pen(response)
    try:
        await tell(pen, transcript.read(after), feed, left)
    except SlowReader as error:
        log.info("let go of a listener session=%s: %s", request.match_info["id"][:8], error)
        request.app[METRICS].let_go()
        await pen.finish(feed.fail(wire_error(error).code, sentence(error)), request.transport)
    except ConnectionError:
        pass  # it has gone by itself
    return response


async def tell(pen: "Pen", events: AsyncGenerator[Entry, None], feed: Feed, left: Left) -> None:
    """Write the events as they come, until they end or the reader has left; signs of life when none come. Raises
    SlowReader, ConnectionError, and what the events raise."""
    gone = {left} if left else set()
    waiting = asyncio.ensure_future(anext(events, None))
    try:
        await pen.write(feed.opening)
        while True:
            done, _ = await asyncio.wait({waiting} | gone, timeout=KEEP_ALIVE, return_when=asyncio.FIRST_COMPLETED)
            if done & gone:
                break
            if not done:
                await pen.write(feed.idle)
                continue
            if (entry := waiting.result()) is None:
                await pen.write(feed.close())
                break
            await pen.write(feed.tell(entry))
            waiting = asyncio.ensure_future(anext(events, None))
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await events.aclose()


class Pen:
    """Writes to one reader, with a deadline for it to read. `deadline`: seconds."""

    def __init__(self, response: web.StreamResponse, deadline: float | None = None) -> None:
        self._response = response
        self._deadline = WRITE_DEADLINE if deadline is None else deadline

    async def write(self, text: str | bytes) -> None:
        """Write and wait until there is room for more. Raises SlowReader, or ConnectionError once the reader left."""
        data = text.encode("utf-8", "replace") if isinstance(text, str) else text
        for start in range(0, len(data), PIECE):  # who reads all of an hour slowly is reading
            await self._piece(data[start : start + PIECE])

    async def finish(self, text: str, transport: asyncio.Transport | None) -> None:
        """The last words to a reader, as far as it takes them soon; then the connection ends."""
        if transport is None:
            return
        transport.set_write_buffer_limits(0)  # so that what is written has left for the reader before the end
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await self._response.write(text.encode())
                await self._response.write_eof()
        transport.abort()

    async def _piece(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(self._deadline):
                await self._response.write(data)
        except TimeoutError:
            raise SlowReader(f"nothing was read for {self._deadline:.0f} s") from None


def _last_seen(request: web.Request) -> int:
    """The number of the last event that the reader has seen: a new EventSource cannot send the header."""
    value = request.headers.get("Last-Event-ID") or request.query.get("last_event_id") or "0"
    if not value.isascii() or not value.isdigit():
        raise BadMessage("Last-Event-ID must be the number of the last event seen.")
    return int(value[:18])
