"""Recordings that may be heard again for a while: so many, of so many bytes together, each for so long.

A recording is kept on the disk in a file without a name, which is nothing but its open descriptor: the disk has it back
once the descriptor is closed, however the server ends. The oldest goes when a new one needs its room.
"""

import logging
import os
import secrets
import uuid
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from signaling.auth import Caller
from signaling.errors import UnknownSession

log = logging.getLogger("offhook.store")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One file that is kept. `owner`: the name of the key that it came with; `expires`: by the clock of `keep`."""

    id: str
    etag: str
    content_type: str
    size: int  # bytes
    owner: str
    expires: float
    descriptor: int

    def may_be_heard_by(self, who: Caller) -> bool:
        """Where there are no keys, by everyone who knows the id, which cannot be guessed. A token says itself which
        recording it is for."""
        return not who.key or who.operator or who.grant is not None or who.key == self.owner

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor to read it by, which stays good when the recording goes. Raises OSError."""
        descriptor = os.dup(self.descriptor)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


class Store:
    """Keeps recordings. Times `now` are seconds of any one clock. `count`: at most, 0 keeps none; `size`: bytes of all
    together; `seconds`: for which each is kept."""

    def __init__(self, count: int, size: int, seconds: float) -> None:
        self._count = count
        self._size = size
        self._seconds = seconds
        self._kept: OrderedDict[str, Recording] = OrderedDict()
        self._held = 0  # bytes

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def deadline(self) -> float | None:
        """When the oldest recording is to go (see `expire`); None: there is none."""
        return next((recording.expires for recording in self._kept.values()), None)

    def keep(self, file: BinaryIO, size: int, content_type: str, owner: str, now: float) -> Recording | None:
        """Keep an open file of so many bytes, which stays the caller's; None where it cannot be kept."""
        if not self._count or size > self._size:
            return None
        self._make_room(size)
        try:
            descriptor = os.dup(file.fileno())
        except OSError as error:
            log.warning("a recording is not kept: %s", error.strerror)
            return None
        recording = Recording(
            id=str(uuid.uuid4()),
            etag=f'"{secrets.token_hex(8)}"',
            content_type=content_type,
            size=size,
            owner=owner,
            expires=now + self._seconds,
            descriptor=descriptor,
        )
        self._kept[recording.id] = recording
        self._held += size
        return recording

    def find(self, id: str, who: Caller, now: float) -> Recording:
        """The recording with this id. Raises UnknownSession, whether it is none or another's."""
        recording = self._kept.get(id)
        if recording is None or recording.expires <= now or not recording.may_be_heard_by(who):
            raise UnknownSession("Audio session not found or expired")
        return recording

    def expire(self, now: float) -> None:
        """Let go what has been kept for long enough."""
        while (deadline := self.deadline) is not None and deadline <= now:
            self._drop_oldest()

    def close(self) -> None:
        """Let go everything."""
        while self._kept:
            self._drop_oldest()

    def _make_room(self, size: int) -> None:
        while len(self._kept) >= self._count or self._held + size > self._size:
            self._drop_oldest()
            log.info("let go of a recording early, for a new one: %d are kept", len(self))

    def _drop_oldest(self) -> None:
        _, recording = self._kept.popitem(last=False)
        self._held -= recording.size
        os.close(recording.descriptor)
