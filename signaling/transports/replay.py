"""`GET /api/audio/{id}`: a file, for whoever has sent it, for a while; with ranges, so that a player can seek in it.

A stranger's file is only ever played: its type is what it was decoded as, nobody looks whether it may be something else
(nosniff), and if it is, nothing in it runs (a sandbox, by its Content-Security-Policy).
"""

import asyncio
import contextlib
import os
import re
import secrets
from collections.abc import Iterator, Sequence

from aiohttp import web

from media.errors import SlowReader
from signaling.auth import Auth, Caller, Grant
from signaling.body import NO_ROOM_RETRY_AFTER, Body
from signaling.config import Config
from signaling.errors import BadMessage, NoRoom, TooMany
from signaling.http import caller, problem, unix_time
from signaling.limits import Shares
from signaling.ranges import Span, Unsatisfiable, span
from signaling.store import Recording, Store
from signaling.transports.listener import Pen
from signaling.transports.upload import MEGABYTE

PATH = "/api/audio"
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
PIECE = 1 << 16  # bytes that are read at once
MOST = 32  # recordings that are sent at once
MOST_OF_ONE = 16  # of these, to one key, or to one address without a key
DEADLINE = 120.0  # seconds in which a player takes something; one that is cut off asks for the rest when it needs it
RETRY_AFTER = 5  # seconds
TYPES = {  # by the first of FFmpeg's names for the container
    "aac": "audio/aac",
    "aiff": "audio/aiff",
    "au": "audio/basic",
    "caf": "audio/x-caf",
    "flac": "audio/flac",
    "matroska": "audio/webm",
    "mov": "audio/mp4",
    "mp3": "audio/mpeg",
    "mpeg": "video/mpeg",
    "ogg": "audio/ogg",
    "w64": "audio/x-w64",
    "wav": "audio/wav",
}
HEADERS = {
    "Accept-Ranges": "bytes",
    "Cache-Control": "no-store",
    "Content-Disposition": "inline",
    "Content-Security-Policy": "default-src 'none'; media-src 'self'; sandbox",
}


class Replay:
    """The door, and what is kept for it."""

    def __init__(self, config: Config, auth: Auth) -> None:
        self._store = Store(config.kept_files, config.kept_size * MEGABYTE, config.kept_time)
        self._lifetime = config.kept_time
        self._auth = auth
        self._clock = asyncio.get_running_loop().time
        self._timer: asyncio.TimerHandle | None = None
        self._sent = Shares()  # at once

    def keep(self, body: Body, container: str, who: Caller) -> tuple[str, str] | None:
        """Keep what `who` has sent: its id, and the URL that it is played from. None where it cannot be kept.
        `container`: as FFmpeg calls it."""
        content_type = TYPES.get(container.partition(",")[0], "application/octet-stream")
        kept = self._store.keep(body.file, body.size, content_type, who.key, self._clock())
        self._expire()
        return (kept.id, self._url(kept, who)) if kept else None

    def routes(self) -> list[web.RouteDef]:
        """For the application's router."""
        return [web.get(f"{PATH}/{{id}}", self.handle)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """A recording, or a part of it. Raises BadMessage, UnknownSession, TooMany or NoRoom."""
        who, id = caller(request), request.match_info["id"]
        if not ID.fullmatch(id):
            raise BadMessage("Invalid session ID format")
        recording = self._store.find(id, who, self._clock())
        try:
            part = _part(request, recording)
        except Unsatisfiable:
            headers = {"Content-Range": f"bytes */{recording.size}"}
            return problem(416, "bad_range", "Range not satisfiable", "The range is behind the end.", headers)
        with self._sending([who.key or who.address]), _opened(recording) as descriptor:
            return await _send(request, recording, part, descriptor)

    async def close(self, app: web.Application) -> None:
        """Let go everything (on_cleanup)."""
        if self._timer:
            self._timer.cancel()
        self._store.close()

    def _expire(self) -> None:
        """Let go what is old: now, and when the next one is."""
        if self._timer:
            self._timer.cancel()
        self._store.expire(self._clock())
        deadline = self._store.deadline
        self._timer = None if deadline is None else asyncio.get_running_loop().call_at(deadline, self._expire)

    def _url(self, recording: Recording, who: Caller) -> str:
        """A player cannot show a key, so where there are keys it is given a token for this recording only."""
        path = f"{PATH}/{recording.id}"
        if not who.key:
            return path
        expires = int(unix_time() + self._lifetime)
        grant = Grant(id=secrets.token_urlsafe(9), key=who.key, endpoint=path, expires=expires)
        return f"{path}?token={self._auth.issue(grant)}"

    @contextlib.contextmanager
    def _sending(self, to: Sequence[str]) -> Iterator[None]:
        if self._sent.total >= MOST or any(self._sent.of(each) >= MOST_OF_ONE for each in to):
            raise TooMany("Too many recordings are being played from this server already.", retry_after=RETRY_AFTER)
        self._sent.take(to)
        try:
            yield
        finally:
            self._sent.give_back(to)


async def _send(request: web.Request, recording: Recording, part: Span | None, descriptor: int) -> web.StreamResponse:
    response = web.StreamResponse(status=200 if part is None else 206, headers={**HEADERS, "ETag": recording.etag})
    if part is None:
        part = Span(0, recording.size)
    else:
        response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{recording.size}"
    response.content_type, response.content_length = recording.content_type, len(part)
    await response.prepare(request)
    if request.method != "HEAD":
        await _write(Pen(response, DEADLINE), descriptor, part, request.transport)
    return response


async def _write(pen: Pen, descriptor: int, part: Span, transport: asyncio.Transport | None) -> None:
    try:
        for start in range(part.start, part.stop, PIECE):
            length = min(PIECE, part.stop - start)
            await pen.write(await asyncio.to_thread(os.pread, descriptor, length, start))
    except SlowReader:
        if transport is not None:
            transport.abort()
    except ConnectionError:
        pass  # players leave as soon as they have what they want


def _part(request: web.Request, recording: Recording) -> Span | None:
    """What is asked for; None: all of it. Raises Unsatisfiable."""
    if request.method == "HEAD":
        return None  # RFC 9110 section 14.2: ranges are for GET
    return span(request.headers.get("Range"), request.headers.get("If-Range"), recording.etag, recording.size)


@contextlib.contextmanager
def _opened(recording: Recording) -> Iterator[int]:
    with contextlib.ExitStack() as stack:
        try:
            descriptor = stack.enter_context(recording.opened())
        except OSError as error:
            text = "The server cannot open the recording now; please try again later."
            raise NoRoom(text, retry_after=NO_ROOM_RETRY_AFTER) from error
        yield descriptor
