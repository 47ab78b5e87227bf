"""Transcodio's doors for a file: `POST /api/transcribe` answers with all its words at once, and
`POST /api/transcribe/stream` tells them in server-sent events as they are heard. Their languages are those of
signaling/dialects/sse.py.
"""

import asyncio
import contextlib
from collections.abc import Callable

from aiohttp import web

from signaling.body import uninvited
from signaling.dialects.sse import CONTENT_TYPE, PING, UNDETERMINED, Asked, Telling, answer
from signaling.errors import sentence, wire_error
from signaling.events import Entry
from signaling.http import caller
from signaling.transcription import Recorder
from signaling.transports.replay import Replay
from signaling.transports.telling import stream
from signaling.transports.upload import Upload, Uploads

PATH = "/api/transcribe"
STREAM_PATH = f"{PATH}/stream"
DOOR = "file"


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
        async with contextlib.AsyncExitStack() as place:
            body = await place.enter_async_context(self._uploads.receive(request, who))
            upload = await place.enter_async_context(self._uploads.transcribe(body.file, who, DOOR))
            telling = Telling(self._language, Asked.read(body.fields))
            teller = FileTeller(telling, upload, lambda: self._replay.keep(body, upload.about.container, who))
            return await stream(request, upload, teller, place)


class FileTeller:
    """One file, as a client is told of it. `keep`: keeps it; the id and URL to hear it by, None if it is not kept."""

    content_type = CONTENT_TYPE
    idle = PING

    def __init__(self, telling: Telling, upload: Upload, keep: Callable[[], tuple[str, str] | None]) -> None:
        self._telling = telling
        self._upload = upload
        self._keep = keep
        self._clock = asyncio.get_running_loop().time

    def open(self) -> str:
        return self._telling.open(self._upload.about.duration, self._clock())

    def tell(self, entry: Entry | None) -> str:
        """An event, and how far the file is."""
        upload = self._upload
        words = self._telling.progress(entry.event, upload.decoded) if entry else ""
        return words + self._telling.heard(upload.heard, upload.about.duration, self._clock())

    def close(self) -> str:
        id, url = self._keep() or (None, None)
        return self._telling.complete(self._upload.decoded, id, url)

    def fail(self, error: Exception) -> str:
        return self._telling.fail(self._upload.decoded, wire_error(error).code, sentence(error))
