"""A request's body as a file, received within bounds of size and time.

It is kept in a file without a name, so that nothing is left of it however the server ends. What the client calls the
file is not looked at. The body is the file itself, or a form (RFC 7578) whose part `file` it is.
"""

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, TypeVar, cast

from aiohttp import BodyPartReader, HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError

from signaling import http
from signaling.errors import BadFile, BadMessage, NoLength, NoRoom, TooLarge, TooSlow

PART = "file"
PIECE = 1 << 16  # bytes read at once
MOST_FIELDS = 100  # of a form, beside the file
FIELDS_LIMIT = 1 << 20  # bytes of all of them together
FORM_EXTRA = FIELDS_LIMIT + (1 << 16)  # bytes by which a form may be larger than its file
NO_ROOM_RETRY_AFTER = 30  # seconds
LONGEST = 3_600.0  # seconds in which a body is here, however evenly it comes: it takes up room meanwhile

log = logging.getLogger("offhook.body")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Body:
    """What was received: the open file, its bytes, and the other fields of the form, each with its values in order."""

    file: BinaryIO
    size: int
    fields: Mapping[str, Sequence[str]]


async def uninvited(request: web.Request) -> None:
    """The `expect_handler` of a route whose body `received` reads: the client is told to go on once it may, so that one
    that asks beforehand (RFC 9110 section 10.1.1) sends nothing in vain."""
    if request.headers.get("Expect", "").lower() != "100-continue":
        raise web.HTTPExpectationFailed(text="Only 100-continue can be expected here.")


@contextlib.asynccontextmanager
async def received(request: web.Request, limit: int, check: Callable[[], None] = lambda: None) -> AsyncIterator[Body]:
    """The file that a request brings, of at most `limit` bytes, while the context lasts. `check` is called while it
    comes, and may raise. Raises TooLarge, NoLength, TooSlow, BadMessage, BadFile for an empty one, NoRoom, and
    ConnectionError when the client has gone."""
    is_form = request.content_type.startswith("multipart/")
    most = limit + FORM_EXTRA if is_form else limit
    if request.content_length is None and not request.body_exists:
        raise NoLength("Send the file as the request's body, with its Content-Length.")
    if (request.content_length or 0) > most:
        raise _too_large(limit)
    check()
    async with _temporary_file() as file:
        intake = Intake(request, file, limit, check)
        await _invite(request)
        await (intake.form() if is_form else intake.raw())
        yield Body(file, intake.size, intake.fields)


class Intake:
    """Takes one body in."""

    def __init__(self, request: web.Request, file: BinaryIO, limit: int, check: Callable[[], None]) -> None:
        self.size = 0  # bytes of the file
        self.fields: dict[str, list[str]] = {}
        self._request = request
        self._file = file
        self._limit = limit
        self._check = check
        self._came = 0  # bytes of the body
        self._patience = http.BODY_PATIENCE  # seconds that the client has left
        self._until = asyncio.get_running_loop().time() + LONGEST
        self._found = False
        self._fields_size = 0

    async def raw(self) -> None:
        """The body is the file."""
        while piece := await self._timed(self._request.content.readany()):
            await self._keep(piece)
        await self._finish()

    async def form(self) -> None:
        """The file is a part of the body."""
        try:
            await self._parts()
        except (ValueError, RuntimeError):  # aiohttp's, of whatever it cannot read
            raise BadMessage("The form cannot be read: it is cut off, or not as RFC 7578 has it.") from None
        if not self._found:
            raise BadMessage(f'The form has no part "{PART}": send the file as that.')
        await self._finish()

    async def _parts(self) -> None:
        reader = await self._request.multipart()
        while (part := await self._timed(reader.next())) is not None:
            if not isinstance(part, BodyPartReader) or not part.name:
                raise BadMessage("Every part of a form is a field with a name.")
            if part.name != PART:
                await self._field(part.name, part)
            elif self._found:
                raise BadMessage(f'The form has several parts "{PART}": send one file at a time.')
            else:
                self._found = True
                while not part.at_eof():
                    await self._keep(await self._timed(part.read_chunk(PIECE)))

    async def _field(self, name: str, part: BodyPartReader) -> None:
        value = bytearray()
        while not part.at_eof():
            value += await self._timed(part.read_chunk(PIECE))
            if self._fields_size + len(name) + len(value) > FIELDS_LIMIT:
                raise TooLarge(f"The fields of a form may have {FIELDS_LIMIT} bytes together.")
        self._fields_size += len(name) + len(value)
        if sum(map(len, self.fields.values())) >= MOST_FIELDS:
            raise TooLarge(f"A form may have {MOST_FIELDS} fields.")
        self.fields.setdefault(name, []).append(value.decode("utf-8", "replace"))

    async def _keep(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > self._limit:
            raise _too_large(self._limit)
        with _of_the_disk():
            await asyncio.to_thread(self._file.write, piece)

    async def _finish(self) -> None:
        if not self.size:
            raise BadFile("empty", "The file is empty: send a file of audio.")
        with _of_the_disk():
            await asyncio.to_thread(self._file.flush)

    async def _timed(self, reading: Awaitable[T]) -> T:
        """What is read, if the client has kept the pace: a burst earns it no more than the patience it began with."""
        loop, content = asyncio.get_running_loop(), self._request.content
        began = loop.time()
        try:
            async with asyncio.timeout_at(min(began + self._patience, self._until)):
                read = await reading
        except TimeoutError:
            pace = f"{http.BODY_RATE} bytes a second or faster, all of it within {LONGEST:.0f} seconds"
            raise TooSlow(f"The body must come at {pace}.") from None
        except HttpProcessingError:
            raise BadMessage("The body cannot be read: its chunks, or the parts of its form, are broken.") from None
        came, self._came = content.total_bytes - self._came, content.total_bytes
        left = self._patience - (loop.time() - began) + came / http.BODY_RATE
        self._patience = min(http.BODY_PATIENCE, left)
        if self._came > self._limit + FORM_EXTRA:
            raise _too_large(self._limit)
        self._check()
        return read


@contextlib.asynccontextmanager
async def _temporary_file() -> AsyncIterator[BinaryIO]:
    with _of_the_disk():
        file = cast(BinaryIO, await asyncio.to_thread(tempfile.TemporaryFile))
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):  # of what could not be written, which has been told
            file.close()


@contextlib.contextmanager
def _of_the_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        log.warning("no room for a file: %s", error.strerror)
        raise NoRoom(
            "The server has no room for a file now; please try again later.", retry_after=NO_ROOM_RETRY_AFTER
        ) from error


async def _invite(request: web.Request) -> None:
    """Tell a client that waits for it to send the body, as aiohttp's own handler would before anything was checked."""
    if "Expect" in request.headers and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The file may have {limit} bytes: send a part of it, or compress it.")
