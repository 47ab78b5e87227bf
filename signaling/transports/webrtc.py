"""The browser's door: a WebSocket for signaling; the audio and the events go through a Peer.

The socket lives as long as the call. A close frame or a `bye` ends the call; a socket that is lost without one, or
closed with the code 4000, leaves it held, and the next socket that shows the resume token goes on with it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from media.errors import BadCandidate, BadOffer, NeverConnected
from media.peer import Peer
from media.sdp import check_offer
from signaling.auth import Caller
from signaling.dialects.native import Native, dumps
from signaling.errors import ENDINGS, INTERNAL, UnknownSession, retry_after, sentence, wire_error
from signaling.http import caller, protocols, upgrade_required
from signaling.negotiation import AddCandidate, Begin, Goodbye, Negotiation, Rejoin, Resume
from signaling.session import Session, Ticket
from signaling.switchboard import Switchboard, Terms
from signaling.transports.lingering import Lingering
from signaling.transports.peer import Peers, PeerTransport

log = logging.getLogger("offhook.signal")

PROTOCOL = "offhook"
BACK_SOON = 4000  # the close code of a client that will resume its session on another socket
FRAME_LIMIT = 1024 * 1024  # bytes that aiohttp takes at all; Negotiation's own limit answers before it
SEND_DEADLINE = 5.0  # seconds for a caller to take a message, or to answer a close frame
PING = 20.0  # seconds between pings; a socket that does not answer within half of it is lost
SEEN_OFF = 2.0  # seconds for a caller whose frame broke the rules to hang up
BROKEN = (WSCloseCode.PROTOCOL_ERROR, WSCloseCode.INVALID_TEXT, WSCloseCode.MESSAGE_TOO_BIG)
EARLY_MOST = 64  # candidates kept that come before there is an answer: twice what a peer uses
EARLY_SIZE = 1024  # characters of one; a real one has a hundred or two
NATIVE = Native()
TERMS = Terms(door="signal")


class SignalLine(Lingering):
    """The WebSocket below a SignalSocket. Where a frame breaks the rules aiohttp closes it itself, without a reason."""

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True) -> bool:
        self.lingering = self.lingering or (not message and not self.closed and code in BROKEN)
        return await super().close(code=code, message=message, drain=drain)

    async def see_off(self, below: asyncio.Transport) -> None:
        """Let a caller whose frame broke the rules read that it did."""
        try:
            async with asyncio.timeout(SEEN_OFF):
                await self.linger(below)
        except TimeoutError:
            below.abort()


class SignalSocket:
    """One signaling WebSocket: what it says, turned into peers on a session."""

    def __init__(
        self, socket: web.WebSocketResponse, below: asyncio.Transport, door: "SignalDoor", caller: Caller
    ) -> None:
        self._socket = socket
        self._below = below
        self._door = door
        self._caller = caller
        self._negotiation = Negotiation()
        self._ticket = Ticket.new()
        self._session: Session | None = None
        self._peer: Peer | None = None
        self._beginning: asyncio.Task[None] | None = None  # from the offer to the answer, a wait in line among it
        self._early: list[Mapping[str, Any] | None] = []  # candidates that came meanwhile
        self._seen = 0  # the last event that the client says it has seen
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve the socket until either side is done with it."""
        try:
            await self._send_ready(self._ticket)
            await self._converse()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._left()

    async def _converse(self) -> None:
        """Obey message after message; a caller who does not offer in time is let go."""
        try:
            async with asyncio.timeout(self._door.connect_timeout) as patience:
                async for message in self._socket:
                    if message.type is WSMsgType.ERROR or not await self._answer(message.data):
                        return
                    if self._peer or self._beginning:
                        patience.reschedule(None)
                    await asyncio.sleep(0)  # whoever floods takes turns with everybody else
        except TimeoutError:
            await self._refuse(NeverConnected("No offer came in time."))

    async def _answer(self, message: str | bytes) -> bool:
        """Obey one message, or say why not. False when that was the last."""
        try:
            await self._obey(message)
        except BadCandidate as error:
            await self._send_error(error)
        except BadOffer as error:
            if self._peer is None:
                await self._refuse(error)
                return False
            await self._send_error(error)  # a restart that fails leaves the call as it was
        except Exception as error:  # the outermost place: told by the table, and logged when it is ours
            await self._refuse(error)
            return False
        return not self._socket.closed

    async def _obey(self, message: str | bytes) -> None:
        match self._negotiation.receive(message):
            case Begin(sdp):
                check_offer(sdp)  # before a place is taken
                self._beginning = self._spawn(self._begin_or_refuse(sdp))
            case Rejoin(sdp, seq):
                self._seen = self._seen if seq is None else seq
                await self._rejoin(sdp)
            case AddCandidate(candidate):
                await self._add(candidate)
            case Resume(session, token, seq):
                self._seen = seq
                self._adopt(self._door.switchboard.resume(session, token))
                await self._send_ready(Ticket(session, token))
            case Goodbye():
                await self._close(WSCloseCode.OK)

    async def _add(self, candidate: Mapping[str, Any] | None) -> None:
        if self._peer:
            await self._peer.add_candidate(candidate)
        elif candidate and len(str(candidate)) > EARLY_SIZE:
            raise BadCandidate(f"a candidate that comes before the answer may have {EARLY_SIZE} characters")
        elif len(self._early) < EARLY_MOST:
            self._early.append(candidate)

    async def _begin_or_refuse(self, sdp: str) -> None:
        try:
            await self._begin(sdp)
        except Exception as error:  # told by the table, and logged when it is ours
            await self._refuse(error)

    async def _begin(self, sdp: str) -> None:
        session = await self._door.switchboard.open(self._caller, TERMS, self._ticket, self._tell_position)
        self._adopt(session)
        try:
            await self._connect(session, sdp)
        except BadOffer:
            session.end("bad_offer")
            raise

    def _tell_position(self, position: int) -> None:
        wait = self._door.switchboard.patience
        self._spawn(self._send({"type": "queued", "position": position, "wait": wait}))

    async def _rejoin(self, sdp: str) -> None:
        if self._beginning:
            await asyncio.wait((self._beginning,))
        if self._socket.closed:
            return
        if self._session is None:
            raise UnknownSession("The session goes on elsewhere, or has ended; begin a new one.")
        self._door.switchboard.admit_rejoin(self._session)
        answer = self._peer.reoffer(sdp) if self._peer else None
        if answer is None:
            await self._connect(self._session, sdp)
        else:
            await self._send({"type": "answer", "sdp": answer})

    async def _connect(self, session: Session, sdp: str) -> None:
        """Answer an offer with a fresh peer and let the session be spoken to through it."""
        peer = self._door.new_peer()
        try:
            answer = await peer.answer(sdp)
            session.join(PeerTransport(peer, self._send), NATIVE, self._seen)
        except BaseException:
            await peer.close()
            raise
        self._peer = peer
        await self._send({"type": "answer", "sdp": answer})
        self._spawn(self._trickle(peer))
        await self._add_early(peer)

    async def _add_early(self, peer: Peer) -> None:
        early, self._early = self._early, []
        for candidate in early:
            try:
                await peer.add_candidate(candidate)
            except BadCandidate as error:
                await self._send_error(error)

    async def _trickle(self, peer: Peer) -> None:
        async for candidate in peer.candidates():
            await self._send({"type": "candidate", "candidate": candidate})

    def _adopt(self, session: Session) -> None:
        self._session = session
        self._door.hand_over(session, self)
        self._spawn(self._outlive(session))

    def let_go(self) -> None:
        """The session has been resumed on another socket: whatever becomes of this one does not matter to it."""
        self._session = None
        self._spawn(self._close(WSCloseCode.OK, "resumed elsewhere"))

    async def _outlive(self, session: Session) -> None:
        """When the session is over, say why and close the socket: not before, or a caller would miss its last words."""
        await session.over.wait()
        if self._session is not session:
            return
        reason = session.ended.result()
        error = ENDINGS.get(reason)
        if error:
            await self._send({"type": "error", "code": error.code, "message": error.title + "."})
        await self._close(error.close if error else WSCloseCode.OK, reason)

    def _left(self) -> None:
        """The socket is gone: a close frame was a goodbye, anything else may come back."""
        if self._session is None:
            return
        self._door.forget(self._session, self)
        if self._socket.close_code in (None, WSCloseCode.ABNORMAL_CLOSURE, BACK_SOON):
            self._session.hold()
        else:
            self._session.end("bye")

    async def _refuse(self, error: Exception) -> None:
        if wire_error(error) is INTERNAL:
            log.error("failed session=%s", self._session.ref if self._session else "-", exc_info=error)
        session, self._session = self._session, None  # the end is told here, with the error that led to it
        if session is None:
            self._door.switchboard.metrics.refused(error)
        else:
            self._door.forget(session, self)
            if session.state != "draining":  # it is ending already, and its last words are on their way
                session.end(wire_error(error).code)
        await self._send_error(error)
        await self._close(wire_error(error).close, wire_error(error).code)

    async def _send_error(self, error: Exception) -> None:
        fields: dict[str, Any] = {"type": "error", "code": wire_error(error).code, "message": sentence(error)}
        if (wait := retry_after(error)) is not None:
            fields["retry_after"] = wait
        await self._send(fields)

    async def _send_ready(self, ticket: Ticket) -> None:
        servers = self._door.ice_servers(ticket.id)
        await self._send({"type": "ready", "session": ticket.id, "resume_token": ticket.token, "ice_servers": servers})

    async def _send(self, fields: Mapping[str, Any]) -> None:
        """Say something. That the socket is gone is for the reading side to find out; one that is stuck is cut off."""
        if self._socket.closed:
            return
        with contextlib.suppress(ConnectionError):
            await self._within_deadline(self._socket.send_str(dumps(fields)))

    async def _close(self, code: int, reason: str = "") -> None:
        await self._within_deadline(self._socket.close(code=code, message=reason.encode()))

    async def _within_deadline(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            async with asyncio.timeout(SEND_DEADLINE):
                await work
        except TimeoutError:
            self._below.abort()

    def _spawn(self, part: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(part)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class SignalDoor:
    """`WS /v1/signal`."""

    def __init__(self, switchboard: Switchboard, peers: Peers, connect_timeout: float) -> None:
        self.switchboard = switchboard
        self.connect_timeout = connect_timeout
        self._peers = peers
        self._sockets: dict[str, SignalSocket] = {}  # by session: the one through which it is signaled

    def new_peer(self) -> Peer:
        """A peer that has not answered yet."""
        return self._peers.new()

    def ice_servers(self, session: str) -> list[dict[str, object]]:
        """The STUN and TURN servers for one session."""
        return self._peers.ice_servers(session)

    def hand_over(self, session: Session, socket: SignalSocket) -> None:
        """`socket` is now the one that speaks for the session."""
        if previous := self._sockets.get(session.id):
            previous.let_go()
        self._sockets[session.id] = socket

    def forget(self, session: Session, socket: SignalSocket) -> None:
        """`socket` does not speak for the session any more."""
        if self._sockets.get(session.id) is socket:
            del self._sockets[session.id]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Check the caller, upgrade, and serve the socket until it is gone."""
        who = caller(request)
        socket = SignalLine(
            who.left, protocols=protocols(request, PROTOCOL), heartbeat=PING, max_msg_size=FRAME_LIMIT, compress=False
        )
        if not socket.can_prepare(request).ok:
            return upgrade_required(request)
        await socket.prepare(request)
        if below := request.transport:
            await SignalSocket(socket, below, self, who).run()
            await socket.see_off(below)
        return socket
