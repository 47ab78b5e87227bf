"""One caller from open to close. The session outlives its transports: that is what makes a lost connection harmless.

    new ──join──▶ live ──lost──▶ held ──join──▶ live
     │             │  └─finish─▶ draining ◀─finish─┘
     └─────────────┴───────end───▶ ended ◀─────────── (whatever the state)

Two tasks make up `run`: one carries the engine's events into the log, one keeps the deadlines. Each transport adds two
more in `join`: one carries what the caller sends into the engine, one carries the log to the caller.
"""

import asyncio
import contextlib
import logging
import math
import secrets
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.base import SAMPLE_RATE, Stream
from engine.errors import EngineError, Unavailable
from engine.events import Event as EngineEvent
from engine.events import Mark, Partial, Pause, Step, Word, WordEnd
from media.errors import MediaError, NeverConnected, SlowReader
from media.events import Digit, Missed, Quality
from signaling.asked import Asked
from signaling.callertime import CallerTime
from signaling.commands import Audio, Clear, Command, Finish, Flush, MarkAt, Say
from signaling.dialects.base import Dialect, Message
from signaling.errors import SignalingError, UnknownSession, sentence, wire_error
from signaling.eventlog import EventLog
from signaling.events import Ended
from signaling.metrics import Metrics, Tally
from signaling.pace import Pace
from signaling.transports.base import Gone, HungUp, Lost, Transport

log = logging.getLogger("offhook.session")

State = Literal["new", "live", "held", "draining", "ended"]
Verb = Literal["join", "lost", "finish", "end"]

TABLE: dict[tuple[State, Verb], State] = {
    ("new", "join"): "live",
    ("live", "join"): "live",
    ("held", "join"): "live",
    ("live", "lost"): "held",
    ("new", "finish"): "draining",
    ("live", "finish"): "draining",
    ("held", "finish"): "draining",
    ("new", "end"): "ended",
    ("live", "end"): "ended",
    ("held", "end"): "ended",
    ("draining", "end"): "ended",
}

ANNOUNCED = 60.0  # seconds before the longest session ends
TELL_LAST = 2.0  # seconds for handing the last events over once the session has ended
HANG_UP_GRACE = 2.0  # seconds for a new connection to follow one that the caller has closed
RESUMED_HOLE = 0.25  # seconds missed while no transport was there, from which on the caller is told


@dataclass(frozen=True, slots=True)
class Ticket:
    """What names a session, and what proves that it is the caller's own. Both have at least 128 random bits."""

    id: str
    token: str

    @classmethod
    def new(cls) -> "Ticket":
        return cls(secrets.token_urlsafe(16), secrets.token_urlsafe(32))


@dataclass(frozen=True, slots=True)
class Limits:
    """A session's times, in seconds; `fastest`: the pace of the audio that is taken, times real time."""

    idle: float = 30.0  # without packets
    speech: float = 0.0  # without words; 0 is no limit
    longest: float = 3600.0
    grace: float = 15.0
    connect: float = 15.0
    drain: float = 20.0
    fastest: float = math.inf


@dataclass(frozen=True, slots=True)
class Deadline:
    """What a session does when nothing else happens until `when`, by the event loop's clock."""

    when: float
    verb: Literal["announce", "finish", "end"]
    reason: str = ""


class Session:
    """One caller's stream, log and state. Its reasons for ending:

    bye, finished, idle, no_speech, max_session, drain, lost, never_connected, engine_down, slow_reader, internal; or
    the code of the refusal (signaling/errors.py) that the caller's own message met.
    """

    def __init__(self, ticket: Ticket, stream: Stream, limits: Limits, metrics: Metrics) -> None:
        self.id = ticket.id
        self.token = ticket.token
        self.log = EventLog()
        self.state: State = "new"
        self.words = 0  # told so far
        self._stream = stream
        self._limits = limits
        self._metrics = metrics
        self._time = CallerTime()
        self._pace = Pace(limits.fastest)
        self._clock = asyncio.get_running_loop().time
        self._opened = self._since = self._spoke = self._heard = self._clock()
        self._transport: Transport | None = None
        self._grace = limits.grace
        self._base: float | None = None  # the caller's time at which the present transport's audio began
        self._asked = Asked()
        self._steps = False  # whether the present transport's language tells of the engine's steps
        self._finish_reason = "finished"
        self._announced = False
        self._changed = asyncio.Event()
        self._carriers: set[asyncio.Task[None]] = set()
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.over = asyncio.Event()  # ended, and the last events are told as far as the caller takes them

    @property
    def ref(self) -> str:
        """The id's first letters: enough for a log, too little to use."""
        return self.id[:8]

    # The life

    async def run(self) -> str:
        """Live until something ends the session; give everything back; return the reason."""
        tasks = [asyncio.create_task(self._transcribe()), asyncio.create_task(self._keep_time())]
        for task in tasks:
            task.add_done_callback(self._failed)
        try:
            reason = await self.ended
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._stream.close()
            if self._carriers:
                await asyncio.wait(self._carriers)
            self.over.set()
            self._transport = None  # the transcript is kept for a while; what carried it is not
        return reason

    def join(self, transport: Transport, dialect: Dialect, after: int = 0) -> None:
        """Carry `transport` from now on, telling it every event after the one numbered `after`.

        The transport before it, if any, is closed: a session is spoken to from one place only. Raises UnknownSession
        when the session is about to end or has ended; the transport is not touched then.
        """
        if (self.state, "join") not in TABLE:
            raise UnknownSession("The session is ending; begin a new one.")
        self._turn("join")
        previous, self._transport, self._base, self._steps = self._transport, transport, None, dialect.steps
        self._spawn(self._carry(transport, dialect, after))
        if previous:
            self._spawn(previous.close())

    def hold(self, most: float = math.inf) -> None:
        """The way to the caller was lost: wait for it to come back, for the grace and at most `most` seconds, with the
        words it has said so far told."""
        grace = min(self._limits.grace, most)
        if self.state == "held" and grace > self._grace:  # the socket, after the media that the caller had closed
            self._grace = grace
            self._changed.set()
        if (self.state, "lost") in TABLE:
            self._grace = grace
            self._turn("lost")
            self._stream.flush()

    def finish(self, reason: str = "finished") -> None:
        """No more audio: the last words, then the end, for `reason`."""
        if (self.state, "finish") in TABLE:
            self._finish_reason = reason
            self._turn("finish")
            self._stream.finish()

    async def drain(self) -> None:
        """The server is about to end: announce it and finish."""
        if self._transport:
            await self._transport.announce(self._limits.drain)
        self.finish("drain")

    def end(self, reason: str) -> None:
        """End now. Ending twice is harmless; the first reason counts."""
        if self.state != "ended":
            log.info("ending session=%s reason=%s events=%d", self.ref, reason, self.log.seq)
            self._turn("end")
            self._metrics.ended(reason, self._time.fed)
            self.log.append(Ended(reason))
            self.log.end()
            if not self.ended.done():  # cancelled: the loop that it lived on is ending
                self.ended.set_result(reason)

    # The engine's events

    async def _transcribe(self) -> None:
        async for event in self._stream:
            self._log(event)
        self.end(self._finish_reason)

    def _log(self, event: EngineEvent) -> None:
        if isinstance(event, Word) or (isinstance(event, Partial) and event.text):
            self._spoke = self._clock()
        match event:
            case Word(text, start):
                self.words += 1
                at = self._time.at(start)
                latency = self._time.latency(at, self._clock())
                self.log.append(Word(text, at), latency)
                self._metrics.word(latency)
            case WordEnd(stop):
                self.log.append(WordEnd(self._time.at(stop)))
            case Pause(at):
                self.log.append(Pause(self._time.at(at)))
            case Mark():
                self._asked.told(event)
                self.log.append(event)
            case Step() if not self._steps:
                pass  # twelve a second: they would wake every reader for nothing
            case _:
                self.log.append(event)

    # The caller

    async def _carry(self, transport: Transport, dialect: Dialect, after: int) -> None:
        tally = Tally(self._metrics)
        telling = asyncio.create_task(self._tell(transport, dialect, after))  # first: the greeting comes before answers
        listening = asyncio.create_task(self._listen(transport, dialect, tally))
        listening.add_done_callback(self._listened)
        try:
            await asyncio.wait((listening, telling, self.ended), return_when=asyncio.FIRST_COMPLETED)
            if self._transport is transport:
                await self._leave(listening, telling)
            if telling.done():
                self._failed(telling)  # if it failed: why the session ends is known before the transport is closed
        finally:
            for task in (listening, telling):
                task.cancel()
            await asyncio.gather(listening, telling, return_exceptions=True)
            await transport.close(self.ended.result() if self.ended.done() else "")
            tally.update(transport.figures)
            log.info("closed session=%s %s", self.ref, _shown(transport.figures))

    async def _leave(self, listening: "asyncio.Task[bool]", telling: "asyncio.Task[None]") -> None:
        """What the end of the present transport means, and the last events for a caller who still listens."""
        if listening.done() and self.state == "live":
            self._left(listening)
        if self.state == "draining":
            await asyncio.wait((telling, self.ended), return_when=asyncio.FIRST_COMPLETED)
        if self.state == "ended":
            await asyncio.wait((telling,), timeout=TELL_LAST)

    def _left(self, listening: "asyncio.Task[bool]") -> None:
        """The present transport's items have ended: by goodbye, by loss, or because no more audio comes."""
        error = listening.exception()
        if isinstance(error, NeverConnected) and self._time.end == 0.0:
            self.end("never_connected")
        elif isinstance(error, Gone):
            self.end("lost")
        elif isinstance(error, HungUp):
            self.hold(HANG_UP_GRACE)
        elif isinstance(error, (Lost, NeverConnected)):
            self.hold()
        elif error:
            self._failed(listening)
        elif listening.result():
            self.finish()
        else:
            self.end("bye")

    def _listened(self, listening: "asyncio.Task[bool]") -> None:
        """While the last words are awaited, the end of the audio changes nothing; a fault of ours is logged even so."""
        if self.state != "draining" or listening.cancelled():
            return
        error = listening.exception()
        if error and not isinstance(error, (Lost, NeverConnected, SlowReader, EngineError)):
            log.error("failed session=%s", self.ref, exc_info=error)

    async def _listen(self, transport: Transport, dialect: Dialect, tally: Tally) -> bool:
        """Obey the caller until its items end. True when it finished, False when it left."""
        async with contextlib.aclosing(transport.items()) as items:
            async for item in items:
                if transport is not self._transport:
                    break  # another one has taken over, and the caller's time is counted by its audio
                match item:
                    case Audio():
                        await self._hear(item)
                    case Missed(start, stop):
                        base = self._based(self._clock() - stop)
                        self.log.append(Missed(base + start, base + stop))
                    case Digit(digit, at, duration):
                        base = self._based(self._clock() - at - duration)
                        self.log.append(Digit(digit, base + at, duration))
                    case Quality():
                        self.log.append(item)
                        self._metrics.quality(item)
                        tally.update(transport.figures)
                    case Finish():
                        return True
                    case _:
                        await self._read(item, transport, dialect)
        return False

    async def _hear(self, audio: Audio) -> None:
        now, seconds = self._clock(), len(audio.pcm) / SAMPLE_RATE
        base = self._based(now - seconds - audio.start)
        self._time.feed(base + audio.start, seconds, now, audio.spoken)
        self._asked.heard(len(audio.pcm))
        await self._stream.feed(audio.pcm)
        if wait := self._pace.hear(seconds, self._clock()):
            await asyncio.sleep(wait)
        self._heard = self._clock()

    def _based(self, began: float) -> float:
        """The caller's time at which the present transport's audio began; that was at `began` by the clock."""
        if self._base is None:
            self._base = self._resumed(began)
        return self._base

    def _resumed(self, began: float) -> float:
        """The same, when a transport's first audio comes; what was missed since the last one's is told."""
        end = self._time.end
        at = self._time.passed(began)
        if at is None or at - end < RESUMED_HOLE:
            return end
        self.log.append(Missed(end, at))
        return at

    async def _read(self, message: Message, transport: Transport, dialect: Dialect) -> None:
        try:
            for command in dialect.decode(message):
                await self._obey(command, transport)
        except SlowReader:
            raise  # of an answer: the message was right
        except (SignalingError, MediaError) as error:
            code = wire_error(error).code
            for answer in dialect.error(code, sentence(error)):
                await transport.send(answer)
            if dialect.strict:
                self.end(code)

    async def _obey(self, command: Command, transport: Transport) -> None:
        match command:
            case Audio():
                await self._hear(command)
            case MarkAt() | Flush() | Clear():
                if self._asked.counts(command):
                    self._ask(command)
            case Finish():
                await transport.finish()
            case Say(message):
                await transport.send(message)

    def _ask(self, verb: MarkAt | Flush | Clear) -> None:
        match verb:
            case MarkAt(id):
                self._stream.mark(id)
            case Flush():
                self._stream.flush()
            case Clear():
                self._stream.clear()

    async def _tell(self, transport: Transport, dialect: Dialect, after: int) -> None:
        for message in dialect.ready(self.id):
            await transport.send(message)
        async for entry in self.log.read(after):
            for message in dialect.encode(entry):
                await transport.send(message)

    # Time

    async def _keep_time(self) -> None:
        while self.state != "ended":
            deadline = min(self._deadlines(), key=lambda deadline: deadline.when)
            if deadline.when <= self._clock():
                await self._meet(deadline)
                continue
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline.when):
                    await self._changed.wait()

    def _deadlines(self) -> list[Deadline]:
        """What happens when, if the state stays as it is."""
        limits, since = self._limits, self._since
        if self.state == "draining":
            return [Deadline(since + limits.drain, "end", self._finish_reason)]
        longest = self._opened + limits.longest
        deadlines = [Deadline(longest, "finish", "max_session")]
        if not self._announced:
            deadlines.append(Deadline(longest - ANNOUNCED, "announce"))
        if self.state == "new":
            deadlines.append(Deadline(since + limits.connect, "end", "never_connected"))
        if self.state == "held":
            deadlines.append(Deadline(since + self._grace, "end", "lost"))
        if self.state == "live" and self._transport:
            heard = self._transport.heard
            heard = self._heard if heard is None else heard
            deadlines.append(Deadline(max(heard, since) + limits.idle, "finish", "idle"))
        if self.state == "live" and limits.speech:
            deadlines.append(Deadline(max(self._spoke, since) + limits.speech, "finish", "no_speech"))
        return deadlines

    async def _meet(self, deadline: Deadline) -> None:
        match deadline.verb:
            case "end":
                self.end(deadline.reason)
            case "finish":
                self.finish(deadline.reason)
            case "announce":
                self._announced = True
                if self._transport and self._limits.longest > ANNOUNCED:
                    await self._transport.announce(ANNOUNCED)

    # The state

    def _turn(self, verb: Verb) -> None:
        self.state = TABLE[self.state, verb]
        self._since = self._clock()
        self._changed.set()
        log.info("%s session=%s", self.state, self.ref)

    def _spawn(self, part: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(part)
        self._carriers.add(task)
        task.add_done_callback(self._carriers.discard)
        task.add_done_callback(self._failed)

    def _failed(self, task: "asyncio.Task[Any]") -> None:
        """A part of the session ended with an error: that ends this session, and no other."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        match error:
            case Unavailable():
                self.end("engine_down")
            case SlowReader():
                self.end("slow_reader")
            case EngineError() if self.state == "ended":
                pass
            case _:
                log.error("failed session=%s", self.ref, exc_info=error)
                self.end("internal")


def _shown(figures: Mapping[str, float]) -> str:
    """A transport's figures for the log: those that are not 0."""
    return " ".join(f"{name}={figure:.5g}" for name, figure in figures.items() if figure)
