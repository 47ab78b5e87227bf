"""Every live session, and who may begin another. The only owner of sessions."""

import asyncio
import logging
from collections import Counter, OrderedDict
from dataclasses import dataclass, replace

from engine.base import LIVE_BACKLOG, Engine, Stream
from signaling.auth import Caller, same
from signaling.config import Config, is_loopback
from signaling.errors import Draining, TooMany, UnknownSession
from signaling.eventlog import EventLog
from signaling.limits import RateLimit
from signaling.metrics import Metrics
from signaling.session import Limits, Session, Ticket

log = logging.getLogger("offhook.switchboard")

REJOINS = 30  # fresh peers a minute for one session: each costs sockets and a handshake
ENDED_KEPT = 60.0  # seconds for which an ended session's transcript can still be read
ENDED_AT_MOST = 256  # ended sessions kept at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a door says of the sessions that it begins. `door`: its name, for lists and figures; `idle`: seconds without
    anything from the caller, as configured where None; `backlog`: seconds of audio that may wait for the engine."""

    door: str
    idle: float | None = None
    backlog: float = LIVE_BACKLOG


class Switchboard:
    """Admits, finds and drains sessions. Lives on one event loop."""

    def __init__(self, engine: Engine, config: Config, metrics: Metrics) -> None:
        self.engine = engine
        self.metrics = metrics
        self.draining = False
        self._limits = Limits(
            idle=config.idle_timeout,
            speech=config.speech_timeout,
            longest=config.max_session,
            grace=config.resume_grace,
            connect=config.connect_timeout,
            drain=config.drain_timeout,
        )
        self._clock = asyncio.get_running_loop().time
        self._offers = RateLimit(config.offers_per_minute)
        self._rejoins = RateLimit(REJOINS)
        self._per_address_limit = config.sessions_per_address
        self._per_address: Counter[str] = Counter()
        self._live: dict[str, Session] = {}
        self._ended: OrderedDict[str, EventLog] = OrderedDict()
        self._tasks: set[asyncio.Task[str]] = set()

    @property
    def live(self) -> int:
        """Sessions that have not ended."""
        return len(self._live)

    async def open(self, caller: Caller, terms: Terms, ticket: Ticket | None = None) -> Session:
        """A new session with a place in the engine. Raises Draining, TooMany, engine.errors.Full or Unavailable."""
        self._check_open()
        limited = not caller.key and not is_loopback(caller.address)
        if limited:
            self._admit(caller.address)
        self._per_address[caller.address] += 1  # before the first await, so that nobody slips in beside the limit
        try:
            limits = self._limits if terms.idle is None else replace(self._limits, idle=terms.idle)
            session = Session(ticket or Ticket.new(), await self._place(terms.backlog), limits, self.metrics)
        except BaseException:
            self._leave(caller.address)
            raise
        self._live[session.id] = session
        task = asyncio.create_task(session.run())
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._gone(session, caller, task))
        log.info("opened session=%s door=%s live=%d", session.ref, terms.door, self.live)
        return session

    def transcript(self, id: str) -> EventLog:
        """The log of the session with this id, live or ended less than ENDED_KEPT ago. Raises UnknownSession."""
        if id in self._live:
            return self._live[id].log
        if id in self._ended:
            return self._ended[id]
        raise UnknownSession("There is no session with this id, or it has ended.")

    def resume(self, id: str, token: str) -> Session:
        """The live session with this id, if `token` is its own. Raises UnknownSession."""
        session = self._live.get(id)
        if session is None or not same(session.token, token):
            raise UnknownSession("There is no live session with this id and token; begin a new one.")
        return session

    def admit_rejoin(self, session: Session) -> None:
        """A fresh peer for a session. Raises TooMany when they come faster than any network changes."""
        if wait := self._rejoins.take(session.id, self._clock()):
            raise TooMany("Too many offers for this session.", retry_after=max(1, round(wait)))

    async def drain(self) -> None:
        """Take no more sessions; let those that live say their last words; return once all have ended."""
        if not self.draining:
            log.info("draining live=%d", self.live)
        self.draining = True
        await asyncio.gather(*(session.drain() for session in list(self._live.values())))
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _place(self, backlog: float) -> Stream:
        stream = await self.engine.open(backlog=backlog)
        try:
            self._check_open()  # the end may have begun meanwhile, and it waits only for those that it has seen
        except Draining:
            await stream.close()
            raise
        return stream

    def hang_up(self) -> None:
        """End every session now."""
        self.draining = True
        for session in list(self._live.values()):
            session.end("drain")

    def _check_open(self) -> None:
        if self.draining:
            raise Draining("The server is about to end and takes no new calls.", retry_after=5)

    def _leave(self, address: str) -> None:
        self._per_address[address] -= 1
        if not self._per_address[address]:
            del self._per_address[address]

    def _admit(self, address: str) -> None:
        if wait := self._offers.take(address, self._clock()):
            raise TooMany("Too many offers from this address.", retry_after=max(1, round(wait)))
        if self._per_address_limit and self._per_address[address] >= self._per_address_limit:
            raise TooMany("Too many live sessions from this address.", retry_after=30)

    def _gone(self, session: Session, caller: Caller, task: "asyncio.Task[str]") -> None:
        self._tasks.discard(task)
        del self._live[session.id]
        self._leave(caller.address)
        self._keep_ended(session)
        if not task.cancelled() and (error := task.exception()):
            log.error("failed session=%s", session.ref, exc_info=error)

    def _keep_ended(self, session: Session) -> None:
        self._ended[session.id] = session.log  # and nothing else: peers and decoders are heavy
        if len(self._ended) > ENDED_AT_MOST:
            self._ended.popitem(last=False)
        asyncio.get_running_loop().call_later(ENDED_KEPT, self._ended.pop, session.id, None)
