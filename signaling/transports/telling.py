"""Telling whoever has sent a file what is heard in it, while it is heard: what the doors that stream have in common.

A file is never slowed by its reader: what is not read yet waits here, and once the file was heard its place is free.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

from aiohttp import web

from engine.errors import EngineError
from media.errors import SlowReader
from signaling.errors import SignalingError, wire_error
from signaling.events import Entry
from signaling.http import METRICS
from signaling.transports.listener import HEADERS, Pen
from signaling.transports.mouth import Mouth
from signaling.transports.upload import Upload

EVERY = 0.5  # seconds between two looks at how far the file is

log = logging.getLogger("offhook.telling")


class Teller(Protocol):
    """One file in a door's language; texts may be empty. `idle`: a sign of life."""

    content_type: str
    idle: str

    def open(self) -> str:
        """How it begins."""

    def tell(self, entry: Entry | None) -> str:
        """How an event is told; None: for a while there was none."""

    def close(self) -> str:
        """How it ends that all was heard."""

    def fail(self, error: Exception) -> str:
        """How it ends that no more can be heard."""


async def stream(
    request: web.Request,
    upload: Upload,
    teller: Teller,
    place: contextlib.AsyncExitStack,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """The answer to a file, written while it is heard. `place`: what the file takes up, given back when it was heard,
    since the next one need not wait until this one's last words are read."""
    response = web.StreamResponse(headers={**HEADERS, **(headers or {})})
    response.content_type, response.charset = teller.content_type, "utf-8"
    await response.prepare(request)
    mouth = Mouth(Pen(response), teller.idle, asyncio.get_running_loop().time)
    try:
        await _say(request, upload, teller, mouth)
        await place.aclose()
        await mouth.finish()
    except SlowReader as error:
        _let_go(request, upload, error)
    except ConnectionError:
        pass  # it has gone by itself
    finally:
        await mouth.close()
    return response


async def _say(request: web.Request, upload: Upload, teller: Teller, mouth: Mouth) -> None:
    """Raises SlowReader, and ConnectionError when the client has gone."""
    mouth.say(teller.open())
    try:
        async with contextlib.aclosing(ticking(upload.events(), EVERY)) as entries:
            async for entry in entries:
                mouth.say(teller.tell(entry))
    except (SignalingError, EngineError) as error:
        log.info("broke off session=%s code=%s", upload.id[:8], wire_error(error).code)
        request.app[METRICS].refused(error)
        mouth.say(teller.fail(error))
    else:
        mouth.say(teller.close())


async def ticking(events: AsyncGenerator[Entry, None], every: float) -> AsyncGenerator[Entry | None, None]:
    """The events as they come, and None after `every` seconds without one."""
    waiting = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            done, _ = await asyncio.wait((waiting,), timeout=every)
            if not done:
                yield None
            elif (entry := waiting.result()) is None:
                return
            else:
                yield entry
                waiting = asyncio.ensure_future(anext(events, None))
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await events.aclose()


def _let_go(request: web.Request, upload: Upload, error: SlowReader) -> None:
    log.info("let go of a reader session=%s: %s", upload.id[:8], error)
    request.app[METRICS].let_go()
    if request.transport is not None:
        request.transport.abort()
