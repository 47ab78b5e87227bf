"""Audio and events on one WebSocket, for every wire language that has a socket of its own.

A dialect and a path are the only difference between such doors. A new one is a dialect (signaling/dialects/) and one
line in `socket_doors` of signaling/app.py:

    Door("/v1/stream", "stream", lambda request: Token.asked(request.query), idle=10.0)

Who may not come in is told so before the upgrade (401, 403), and so is a query that the dialect cannot read. Where all
places are taken, the socket opens, tells it in its own language, and closes: that is what clients of the field know.

Backpressure is not reading: while the engine has as much audio as may wait, or audio comes far faster than anybody
speaks, nothing more is read, and the caller's own sending comes to a stop. It is neither idle nor dead meanwhile. What
lies unread on the way there is bounded too, so that a ping behind it is answered before a client takes the server for
dead.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from dataclasses import dataclass

from aiohttp import WebSocketError, WSCloseCode, WSMessage, WSMsgType, web

from media.errors import SlowReader
from signaling.auth import Caller
from signaling.commands import Finish, Parting
from signaling.connections import UNREAD, bound
from signaling.dialects.base import Dialect, Message
from signaling.errors import ENDINGS, INTERNAL, BadMessage, SignalingError, TooLarge, sentence, wire_error
from signaling.http import caller, protocols, upgrade_required
from signaling.session import Session, Ticket
from signaling.switchboard import Switchboard, Terms
from signaling.transports.base import Gone, Item, Transport
from signaling.transports.lingering import Lingering

log = logging.getLogger("offhook.socket")

PROTOCOL = "offhook"  # the subprotocol of pages that show their token as another one
SESSION_HEADER = "Offhook-Session"  # of the upgrade: where listeners find the transcript
BACKLOG = 10.0  # seconds of audio that may wait for the engine
FASTEST = 4.0  # times real time that audio is taken, but for the first seconds (signaling/pace.py)
MESSAGE_LIMIT = 1 << 20  # bytes of one message
PING = 10.0  # seconds without a word from either side, after which we ping: moshi-server's
DEAD = 20.0  # seconds without any frame, after which the line counts as cut: moshi-server's
SEND_DEADLINE = 20.0  # seconds for a caller to make room for a message
PARTING = 0.5  # seconds to leave in: a round trip, and more
PARTINGS = 20  # times that, while what a caller has sent is still to be read, with its close frame behind
CLOSE_DEADLINE = 2.0  # seconds for it to answer our close frame


@dataclass(frozen=True, slots=True)
class Door:
    """One path and what is spoken there. `dialect` makes a connection's language from its request, and may refuse it
    with a SignalingError; `idle`: seconds without audio from the caller; `backlog`: seconds of audio that may wait
    for the engine; `message_limit`: bytes; `subprotocols`: those that may be named in the answer."""

    path: str
    name: str
    dialect: Callable[[web.Request], Dialect]
    idle: float
    backlog: float = BACKLOG
    message_limit: int = MESSAGE_LIMIT
    subprotocols: tuple[str, ...] = (PROTOCOL,)

    @property
    def terms(self) -> Terms:
        """Of the sessions that begin here."""
        return Terms(door=self.name, idle=self.idle, backlog=self.backlog, fastest=FASTEST)


class SocketDoor:
    """Serves one Door."""

    def __init__(self, switchboard: Switchboard, door: Door) -> None:
        self._switchboard = switchboard
        self._door = door

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Check the caller, upgrade, take a place, and carry the session until it is over."""
        who = caller(request)
        dialect = self._door.dialect(request)
        ticket = Ticket.new()
        line = Line(dialect, self._door.message_limit, protocols(request, *self._door.subprotocols), who.left)
        line.headers[SESSION_HEADER] = ticket.id
        if not line.can_prepare(request).ok:
            return upgrade_required(request)
        await line.prepare(request)
        if below := request.transport:
            await self._serve(line, below, dialect, who, ticket)
        return line

    async def _serve(
        self, line: "Line", below: asyncio.Transport, dialect: Dialect, who: Caller, ticket: Ticket
    ) -> None:
        bound(below)
        try:
            session = await self._switchboard.open(who, self._door.terms, ticket)
        except Exception as error:  # the outermost place: told by the table, and logged when it is ours
            await self._refuse(line, below, dialect, error)
            return
        session.join(SocketTransport(line, below, session), dialect)
        await session.over.wait()

    async def _refuse(self, line: "Line", below: asyncio.Transport, dialect: Dialect, error: Exception) -> None:
        known = wire_error(error)
        if known is INTERNAL:
            log.error("failed door=%s", self._door.name, exc_info=error)
        self._switchboard.metrics.refused(error)
        with contextlib.suppress(ConnectionError):
            for message in dialect.error(known.code, sentence(error)):
                await line.say(message)
        await hang_up(line, below, known.close, known.code)


class Line(Lingering):
    """aiohttp's WebSocket, but for this: where aiohttp closes it because a frame breaks the rules, the caller is told
    so first, in its own language."""

    def __init__(
        self,
        dialect: Dialect,
        message_limit: int,
        subprotocols: Iterable[str],
        left: "asyncio.Future[None] | None" = None,
    ) -> None:
        super().__init__(
            left,
            autoclose=False,  # who sees our close frame finds its place free
            autoping=False,
            compress=False,  # a few bytes could become many
            max_msg_size=message_limit + 1,  # aiohttp refuses a message of just this size
            protocols=subprotocols,
            timeout=2 * CLOSE_DEADLINE,  # never reached: see hang_up
            writer_limit=UNREAD,
        )
        self._dialect = dialect
        self._message_limit = message_limit

    async def say(self, message: Message) -> None:
        """Send one message. Raises ConnectionError when the line is cut."""
        await (self.send_str(message) if isinstance(message, str) else self.send_bytes(message))

    def fault(self, code: int) -> SignalingError | None:
        """What a close code of aiohttp's own says that the caller did wrong."""
        match code:
            case WSCloseCode.MESSAGE_TOO_BIG:
                return TooLarge(f"A message may have {self._message_limit} bytes.")
            case WSCloseCode.PROTOCOL_ERROR:
                return BadMessage("A frame is not as RFC 6455 has it.")
            case WSCloseCode.INVALID_TEXT:
                return BadMessage("A text message is not UTF-8.")
        return None

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True) -> bool:
        """Close with a code; see aiohttp. It calls this itself, without a message, for what it cannot read."""
        error = None if message or self.closed else self.fault(code)
        if error is None:
            return await super().close(code=code, message=message, drain=drain)
        known = wire_error(error)
        with contextlib.suppress(ConnectionError):
            for told in self._dialect.error(known.code, sentence(error)):
                await self.say(told)
        self.lingering = True
        return await super().close(code=code, message=known.code.encode(), drain=drain)


class SocketTransport(Transport):
    """One socket as a session sees it."""

    def __init__(self, line: Line, below: asyncio.Transport, session: Session) -> None:
        self._line = line
        self._below = below
        self._session = session
        self._clock = asyncio.get_running_loop().time
        self._said = self._pinged = self._seen = self._clock()  # our last word and ping, its last frame
        self._behind = False  # the session is busy with what was read last: nobody looks for more
        self._held = False  # nothing is read meanwhile
        self._finishing = False
        self._over = asyncio.Event()  # nothing more can be read
        self._stuck = False  # the caller takes nothing any more, and no close frame either
        self._tasks = [asyncio.create_task(self._watch())]

    @property
    def heard(self) -> float | None:
        return self._clock() if self._behind else None

    async def items(self) -> AsyncGenerator[Item, None]:
        try:
            async with contextlib.aclosing(self._messages()) as messages:
                async for message in messages:
                    yield message
                    if self._finishing:
                        yield Finish()
                        return
        finally:
            if not self._over.is_set():
                self._tasks.append(asyncio.create_task(self._outlast()))

    async def send(self, message: Message) -> None:
        if self._over.is_set():
            return  # whoever has sent a close frame waits for ours
        self._said = self._clock()
        try:
            async with asyncio.timeout(SEND_DEADLINE):
                await self._line.say(message)
        except TimeoutError:
            self._stuck = True
            raise SlowReader(f"events were not read for {SEND_DEADLINE:.0f} s") from None
        except ConnectionError:
            return  # for the reading side to find out
        if isinstance(message, Parting):
            await self._part()

    async def _part(self) -> None:
        for _ in range(PARTINGS):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), PARTING)
            if not self._held:
                return

    async def finish(self) -> None:
        self._finishing = True

    async def announce(self, seconds: float) -> None:
        """No language of a socket has a word for it."""

    async def close(self, reason: str = "") -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._stuck:
            self._below.abort()
        known = ENDINGS.get(reason)
        await hang_up(self._line, self._below, known.close if known else WSCloseCode.OK, reason)

    async def _messages(self) -> AsyncGenerator[Message, None]:
        """What the caller says, until its close frame. Raises Gone."""
        while not self._over.is_set():
            message = await self._receive()
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    with self._taking():
                        yield message.data
                    await asyncio.sleep(0)  # whoever floods takes turns with everybody else
                case WSMsgType.PING:
                    with contextlib.suppress(ConnectionError):
                        await self._line.pong(message.data)
                case WSMsgType.PONG:
                    pass
                case kind:
                    self._over.set()
                    if kind is not WSMsgType.CLOSE:
                        self._blame(message)
                        raise Gone

    @contextlib.contextmanager
    def _taking(self) -> Iterator[None]:
        """Until the session has taken a message, nothing more is read, and the caller is neither idle nor dead."""
        self._behind = True
        holding = asyncio.get_running_loop().call_soon(self._hold)  # unless it takes the message at once
        try:
            yield
        finally:
            self._behind = False
            self._seen = self._clock()
            holding.cancel()
            if self._held:
                self._held = False
                self._below.resume_reading()

    def _hold(self) -> None:
        """aiohttp alone would read another 512 KiB first: many seconds of audio, with pings behind it."""
        if self._below.is_reading():
            self._held = True
            self._below.pause_reading()

    async def _receive(self) -> WSMessage:
        if self._below.is_closing():
            self._over.set()
            raise Gone
        message = await self._line.receive()
        self._seen = self._clock()
        return message

    def _blame(self, message: WSMessage) -> None:
        """Whose fault it is that aiohttp closed the socket, if it did: that is why the session ends."""
        if isinstance(message.data, WebSocketError) and (error := self._line.fault(message.data.code)):
            self._session.end(wire_error(error).code)

    async def _outlast(self) -> None:
        """While the last words are awaited, pings are answered, and a caller that leaves frees its place."""
        reason = "bye"
        try:
            async with contextlib.aclosing(self._messages()) as messages:
                async for _ in messages:
                    pass
        except Gone:
            reason = "lost"
        self._session.end(reason)

    async def _watch(self) -> None:
        """Ping when neither side says anything; cut a line on which no frame comes."""
        while True:
            now = self._clock()
            seen = now if self._behind else self._seen
            ping_at = max(min(self._said, seen), self._pinged) + PING
            if now >= seen + DEAD:
                self._below.abort()
                return
            if now >= ping_at:
                self._pinged = now
                await self._ping()
            else:
                await asyncio.sleep(min(ping_at, seen + DEAD) - now)

    async def _ping(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(PING):
                await self._line.ping()


async def hang_up(line: Line, below: asyncio.Transport, code: int, reason: str) -> None:
    """Close in good order, or cut the line if the caller does not answer in time. Harmless when repeated."""
    try:
        async with asyncio.timeout(CLOSE_DEADLINE):
            await line.close(code=code, message=reason.encode())
            await line.linger(below)
    except TimeoutError:
        below.abort()
