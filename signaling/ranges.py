"""Which part of a file a request asks for (RFC 9110 section 14). Pure.

One range of bytes is served. What asks for several, or cannot be read, gets the whole file, as the RFC allows.
"""

import re
from dataclasses import dataclass

RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)


class Unsatisfiable(Exception):
    """The range lies behind the end of the file."""


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes from `start` up to but not including `stop`."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def span(asked: str | None, condition: str | None, etag: str, size: int) -> Span | None:
    """The part that is to be sent; None: the whole file. `asked` and `condition`: the request's Range and If-Range;
    `etag`: the file's, a strong one in quotes; `size`: its bytes. Raises Unsatisfiable."""
    match = RANGE.fullmatch(asked or "")
    if not match or (condition is not None and condition != etag):
        return None  # (a date in If-Range cannot match either: no Last-Modified is ever sent)
    first, last = match.groups()
    if first:
        return _from(int(first), int(last) if last else None, size)
    return _last(int(last), size) if last else None


def _from(first: int, last: int | None, size: int) -> Span | None:
    if last is not None and last < first:
        return None  # section 14.1.1: invalid, and then to be ignored
    if first >= size:
        raise Unsatisfiable
    return Span(first, size if last is None else min(last + 1, size))


def _last(length: int, size: int) -> Span:
    if not length or not size:
        raise Unsatisfiable
    return Span(max(0, size - length), size)
