"""Transcodio's doors for a file: `POST /api/transcribe` answers with all its words at once, and
`POST /api/transcribe/stream` tells them in server-sent events as they are heard. Their languages are those of
signaling/dialects/sse.py.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator

from aiohttp import web

from engine.errors import EngineError
from media.errors import SlowReader
from signaling.body import uninvited
from signaling.dialects.sse import CONTENT_TYPE, HEARD_EVERY, PING, UNDETERMINED, Asked, Telling, answer
from signaling.errors import SignalingError, sentence, wire_error
from signaling.events import Entry
from signaling.http import METRICS, caller
from signaling.transcription import Recorder
from signaling.transports.listener import HEADERS, Pen
from signaling.transports.mouth import Mouth
from signaling.transports.replay import Replay
from signaling.transports.upload import Upload, Uploads

PATH = "/api/transcribe"
STREAM_PATH = f"{PATH}/stream"
DOOR = "file"

log = logging.getLogger("offhook.files")


class FileDoor:
    """Both doors. `language`: of the words, a code of ISO 639; None where nobody knows."""

    def __init__(self, uploads: Uploads, replay: Replay, language: str | None) -> None:
        self._uploads = uploads
        self._replay = replay
        self._language = language or UNDETERMINED

    def routes(self) -> list[web.RouteDef]:
        """For the application's router."""
        return [
            web.post(PATH, self.handle, expect_handler=uninvited),
            web.post(STREAM_PATH, self.stream, expect_handler=uninvited),
        ]

    async def handle(self, request: web.Request) -> web.Response:
        """All words at once. Raises whatever kept the file from being heard to its end."""
        who = caller(request)
        async with (
            self._uploads.receive(request, who) as body,
            self._uploads.transcribe(body.file, who, DOOR) as upload,
        ):
            said = Recorder()
            async for entry in upload.events():
                said.hear(entry.event, upload.decoded)
            text = answer(said.transcript(upload.decoded), self._language, Asked.read(body.fields))
        return web.Response(text=text, content_type="application/json", headers={"Cache-Control": "no-store"})

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Words as they are heard. Raises what is known before the file is taken; what comes later is told."""
        who = caller(request)
        async with contextlib.AsyncExitStack() as file:
            body = await file.enter_async_context(self._uploads.receive(request, who))
            upload = await file.enter_async_context(self._uploads.transcribe(body.file, who, DOOR))
            response = web.StreamResponse(headers=HEADERS)
            response.content_type, response.charset = CONTENT_TYPE, "utf-8"
            await response.prepare(request)
            told = Told(response, Telling(self._language, Asked.read(body.fields)), upload)
            try:
                if await told.hear(request):
                    told.complete(self._replay.keep(body, upload.about.container, who))
                await file.aclose()  # the next file need not wait until this one's last words are read
                await told.mouth.finish()
            except SlowReader as error:
                _let_go(request, upload, error)
            except ConnectionError:
                pass  # it has gone by itself
            finally:
                await told.mouth.close()
        return response


class Told:
    """One file, as a client is told of it."""

    def __init__(self, response: web.StreamResponse, telling: Telling, upload: Upload) -> None:
        self._telling = telling
        self._upload = upload
        self._clock = asyncio.get_running_loop().time
        self.mouth = Mouth(Pen(response), PING, self._clock)

    async def hear(self, request: web.Request) -> bool:
        """Tell the words, and how far the file is; whether it could be heard to its end. Raises SlowReader, or
        ConnectionError when the client has gone."""
        self.mouth.say(self._telling.open(self._upload.about.duration, self._clock()))
        try:
            async with contextlib.aclosing(ticking(self._upload.events(), HEARD_EVERY)) as entries:
                async for entry in entries:
                    self._progress(entry)
        except (SignalingError, EngineError) as error:
            code = wire_error(error).code
            log.info("broke off session=%s code=%s", self._upload.id[:8], code)
            request.app[METRICS].refused(error)
            self.mouth.say(self._telling.fail(self._upload.decoded, code, sentence(error)))
            return False
        return True

    def complete(self, kept: tuple[str, str] | None) -> None:
        """All was heard. `kept`: the id and URL to hear the file by."""
        id, url = kept or (None, None)
        self.mouth.say(self._telling.complete(self._upload.decoded, id, url))

    def _progress(self, entry: Entry | None) -> None:
        upload = self._upload
        words = self._telling.progress(entry.event, upload.decoded) if entry else ""
        heard = self._telling.heard(upload.heard, upload.about.duration, self._clock())
        self.mouth.say(words + heard)


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
