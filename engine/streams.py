"""What every stream does alike: check the verbs, wait for room, hand events to the one reader."""

from abc import abstractmethod

from engine.backlog import Backlog
from engine.base import CHUNK_SAMPLES, PCM, SAMPLE_RATE, Stats, Stream, checked_pcm
from engine.ends import Ends
from engine.errors import EngineError, Misuse, Unavailable
from engine.events import Event
from engine.outbox import Outbox
from engine.verbs import Audio, Clear, Finish, Flush, MarkAt, Verb
from engine.wire import WINDOW, Failure, Fed, Finished, Ready, Reply, Text, error_of


class BufferedStream(Stream):
    """A stream whose engine is elsewhere: verbs are sent there, and what it tells waits here for the reader.

    `backlog`: seconds of audio that may be on the way before `feed` waits. A subclass says how a verb is sent and how
    the place is given back.
    """

    def __init__(self, backlog: float) -> None:
        self._backlog = Backlog(int(backlog * SAMPLE_RATE))
        self._outbox = Outbox()
        self._ends = Ends()
        self._given = 0  # samples that were fed
        self._finished = False
        self._closed = False

    @property
    def waiting(self) -> int:
        """Samples that were fed and not yet heard."""
        return self._backlog.waiting

    async def feed(self, pcm: PCM) -> None:
        """Add audio, in pieces of at most 480 ms; before each, wait while more than the backlog waits.

        Cancelled while it waits, it has not added the piece.
        """
        self._check()
        pcm = checked_pcm(pcm).copy()  # it is heard later, when the caller may have reused the buffer
        for start in range(0, len(pcm), CHUNK_SAMPLES):
            await self._add(pcm[start : start + CHUNK_SAMPLES])

    def mark(self, id: int) -> None:
        """Ask for `Mark(id)` once what was fed so far has been told."""
        self._ask(MarkAt(id))

    def flush(self) -> None:
        """Say the words that are still inside the model's delay."""
        self._ask(Flush())

    def clear(self) -> None:
        """Forget; times go on."""
        self._ask(Clear())

    def finish(self) -> None:
        """No more audio: drain, then end."""
        self._ask(Finish())
        self._finished = True

    async def close(self) -> None:
        """Free the place at once."""
        if not self._closed:
            self._closed = True
            self.end()
            await self._release()

    async def __anext__(self) -> Event:
        return await self._outbox.get()

    def tell(self, event: Event) -> None:
        """An event for the reader."""
        for each in self._ends.hear(event, self._given / SAMPLE_RATE):
            self._outbox.put(each)
        if self._outbox.ended:
            self._backlog.release()

    def consumed(self, total: int) -> None:
        """The engine has taken in `total` samples since the stream began."""
        self._backlog.consumed(total)

    def end(self, error: EngineError | None = None) -> None:
        """Nothing more will be told: quietly, or because of `error`."""
        if error is None and self._finished:
            for each in self._ends.close(self._given / SAMPLE_RATE):
                self._outbox.put(each)
        self._outbox.end(error)
        self._backlog.release()

    @abstractmethod
    def _send(self, verb: Verb) -> None:
        """Send a verb to the engine; harmless when the engine is gone."""

    @abstractmethod
    async def _release(self) -> None:
        """Give the place back; called once."""

    async def _add(self, pcm: PCM) -> None:
        await self._backlog.room()
        self._check()
        if self._outbox.error is not None:
            raise self._outbox.error
        self._backlog.add(len(pcm))
        self._given += len(pcm)
        self._send(Audio(pcm))

    def _ask(self, verb: Verb) -> None:
        self._check()
        self._send(verb)

    def _check(self) -> None:
        if self._closed:
            raise Misuse("the stream is closed")
        if self._finished:
            raise Misuse("the stream is finished: no more audio or verbs")


class WireStream(BufferedStream):
    """A stream of an engine on the far side of a connection, in our own language.

    Of the backlog, a window lies on the way there, unanswered by Fed; the rest waits in the far side's own stream.
    """

    def hear(self, reply: Reply | None, lost: str) -> bool:
        """Take a reply, or None for a connection that is `lost`. False once nothing more will be told."""
        match reply:
            case Fed(samples):
                self.consumed(samples)
            case Finished():
                self.end()
            case Failure():
                self.end(error_of(reply))
            case None | Ready() | Text() | Stats():
                self.end(Unavailable(lost))
            case _:
                self.tell(reply)
        return not self._outbox.ended


def window_of(backlog: float) -> float:
    """The part of a backlog, in seconds, that may be on the way to the far side."""
    return min(WINDOW / SAMPLE_RATE, backlog / 2)
