"""`POST /api/asr-streaming`: a file as moshi-server's clients post it, and its words as one JSON array.

What moshi-server does not do: the body may be as large as any file here, all channels are heard, every word has its
EndWord, and a refusal has the status that fits. A file that breaks off gives the words up to there, and then an Error.
"""

import logging

from aiohttp import web

from engine.errors import EngineError, Full
from media.errors import NoProcess
from signaling.dialects.moshi_file import MoshiFile
from signaling.errors import BUSY_RETRY_AFTER, SignalingError, sentence, wire_error
from signaling.http import METRICS, caller, problem
from signaling.transports.upload import Upload, Uploads

DOOR = "moshi-file"

log = logging.getLogger("offhook.asr_file")


class AsrFileDoor:
    """The door for a whole file."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads

    async def handle(self, request: web.Request) -> web.Response:
        """The words of the file that is the body, or a refusal as everywhere. A full house has moshi-server's words."""
        who = caller(request)
        try:
            async with (
                self._uploads.receive(request, who) as body,
                self._uploads.transcribe(body.file, who, DOOR) as upload,
            ):
                text = await transcript(upload)
        except (Full, NoProcess) as error:
            request.app[METRICS].refused(error)
            return problem(503, "busy", str(Full()), sentence(error), {"Retry-After": str(BUSY_RETRY_AFTER)})
        return web.Response(text=text, content_type="application/json", headers={"Cache-Control": "no-store"})


async def transcript(upload: Upload) -> str:
    """The array. Raises what kept the file from being heard, if that is before the first word."""
    said = MoshiFile()
    try:
        async for entry in upload.events():
            said.hear(entry.event, upload.decoded)
    except (SignalingError, EngineError) as error:
        if said.empty:
            raise
        log.info("broke off session=%s code=%s", upload.id[:8], wire_error(error).code)
        return said.close(upload.decoded, sentence(error))
    return said.close(upload.decoded)
