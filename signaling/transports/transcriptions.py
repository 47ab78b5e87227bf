"""`POST /v1/audio/transcriptions`: a file as OpenAI's clients send it, and its transcript in the format that they ask
for, whole or as it is heard; and their `POST /v1/audio/translations`, which is refused.

Any model's name is taken: what hears the file is this server's engine. A file that breaks off is refused, so that no
half of a transcript passes for all of it; a stream has told its words by then, and ends with the error.
"""

import contextlib

from aiohttp import web

from signaling import openai_errors
from signaling.body import uninvited
from signaling.dialects.openai_file import CONTENT_TYPES, FileTeller, write
from signaling.dialects.openai_form import Asked
from signaling.errors import BadFile, BadMessage, sentence, wire_error
from signaling.http import METRICS, caller
from signaling.transcription import Recorder
from signaling.transports.telling import stream
from signaling.transports.upload import Upload, Uploads

PATH = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"
DOOR = "openai-file"


class TranscriptionsDoor:
    """The doors for files of OpenAI's clients. `language`: the one that the engine hears, if it hears but one."""

    def __init__(self, uploads: Uploads, language: str | None = None) -> None:
        self._uploads = uploads
        self._language = language

    def routes(self) -> list[web.RouteDef]:
        """For the application's router."""
        return [
            web.post(PATH, self.handle, expect_handler=uninvited),
            web.post(TRANSLATIONS, refuse, expect_handler=uninvited),
        ]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The transcript of the form's file, or a refusal in OpenAI's shape."""
        who = caller(request)
        if request.content_type != "multipart/form-data":
            raise web.HTTPUnsupportedMediaType(text="Send the file as a form (multipart/form-data), in its part file.")
        try:
            async with contextlib.AsyncExitStack() as place:
                body = await place.enter_async_context(self._uploads.receive(request, who))
                asked = Asked.read(body.fields, self._language)
                upload = await place.enter_async_context(self._uploads.transcribe(body.file, who, DOOR))
                if not asked.stream:
                    return await whole(upload, asked)
                return await stream(request, upload, FileTeller(asked, lambda: upload.decoded), place, asked.headers)
        except BadFile as error:
            request.app[METRICS].refused(error)
            known = wire_error(error)
            return openai_errors.answer(known.status, known.code, sentence(error), param="file")


async def refuse(request: web.Request) -> web.StreamResponse:
    """Raises BadMessage for who may come in, and what `caller` does for others."""
    caller(request)
    raise BadMessage(f"This server transcribes, and does not translate: send the file to {PATH}.")


async def whole(upload: Upload, asked: Asked) -> web.Response:
    """The transcript, once all was heard. Raises what kept the file from being heard to its end."""
    said = Recorder()
    async for entry in upload.events():
        said.hear(entry.event, upload.decoded)
    text = write(asked, said.transcript(upload.decoded))
    response = web.Response(text=text, content_type=CONTENT_TYPES[asked.format], charset="utf-8", headers=asked.headers)
    response.headers["Cache-Control"] = "no-store"
    return response
