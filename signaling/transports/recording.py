"""A file as a session sees it: a caller who speaks as fast as one listens, and reads nothing."""

import math
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

from engine.base import SAMPLE_RATE
from media.container import About, Decoded
from media.errors import BadMedia
from signaling.commands import Audio, Command, Finish
from signaling.dialects.base import Message
from signaling.errors import BadFile
from signaling.events import Entry
from signaling.transports.base import Item, Transport


class FileTransport(Transport):
    """The audio of a file."""

    def __init__(self, audio: Decoded) -> None:
        self.samples = 0
        self.fault: BadFile | None = None  # why the rest could not be decoded
        self._audio = audio

    @property
    def about(self) -> About:
        """What the file says of itself."""
        return self._audio.about

    @property
    def heard(self) -> float:
        return math.inf  # it is never idle: what it waits for is the engine

    @property
    def figures(self) -> Mapping[str, float]:
        return {"decoded_seconds": self.samples / SAMPLE_RATE, "damaged": self._audio.damaged}

    async def items(self) -> AsyncGenerator[Item, None]:
        try:
            async for pcm in self._audio:
                yield Audio(pcm, self.samples / SAMPLE_RATE)
                self.samples += len(pcm)
        except BadMedia as error:
            self.fault = BadFile(error.code, str(error))
        yield Finish()

    async def send(self, message: Message) -> None:
        """The doors read the session's log."""

    async def finish(self) -> None:
        """Its end is its own."""

    async def announce(self, seconds: float) -> None:
        """Nobody would hear it."""

    async def close(self, reason: str = "") -> None:
        """The process that decodes belongs to whoever began it."""


class Unspoken:
    """The language of a caller who is told nothing."""

    steps = False
    strict = False

    def ready(self, session: str) -> Sequence[Message]:
        return []

    def decode(self, message: Message) -> Iterable[Command]:
        return []

    def encode(self, entry: Entry) -> Sequence[Message]:
        return []

    def error(self, code: str, text: str) -> Sequence[Message]:
        return []
