"""The page's files, held in memory: serving one takes no descriptor and no thread, however many callers there are."""

import hashlib
from pathlib import Path

from aiohttp import web

import web as web_package

TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".ts": "text/plain",  # the registered type of this suffix is a film's
    ".svg": "image/svg+xml",
}


class PageFile:
    """One file, as it was when the server started."""

    def __init__(self, path: Path) -> None:
        self._content = path.read_bytes()
        self._type = TYPES[path.suffix]
        self._etag = hashlib.sha256(self._content).hexdigest()[:16]

    async def handle(self, request: web.Request) -> web.Response:
        """The file, or 304 for a browser that has it already."""
        # Any page may load the client: it is the calls that an origin must be allowed, and the client says so.
        headers = {"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*", "ETag": f'"{self._etag}"'}
        if any(tag.value == self._etag for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=self._content, content_type=self._type, charset="utf-8", headers=headers)


def page_files() -> dict[str, PageFile]:
    """The files by name: a fixed list, so that no path is ever made from a request."""
    folder = Path(web_package.__path__[0])
    return {path.name: PageFile(path) for path in sorted(folder.iterdir()) if path.suffix in TYPES}
