"""Every live session, and who may begin another. The only owner of sessions."""

import asyncio
import logging
import math
from collections import Counter, OrderedDict
from dataclasses import dataclass, replace
from typing import NoReturn

from engine.base import BULK_BACKLOG, LIVE_BACKLOG, Engine, Stream
from signaling.auth import Caller, may_follow, same
from signaling.config import Config, is_loopback
from signaling.errors import BUSY_RETRY_AFTER, AllInUse, Draining, TooMany, Unauthorized, UnknownSession
from signaling.eventlog import EventLog
from signaling.limits import RateLimit, Shares
from signaling.metrics import Metrics
from signaling.queue import Queue, Told
from signaling.session import Limits, Session, Ticket

log = logging.getLogger("offhook.switchboard")

REJOINS = 30  # fresh peers a minute for one session: each costs sockets and a handshake
ENDED_KEPT = 60.0  # seconds for which an ended session's transcript can still be read
ENDED_AT_MOST = 256  # ended sessions kept at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a door says of the sessions that it begins. `door`: its name, for lists and figures; `idle`: seconds without
    anything from the caller, and `longest`: of the whole session, both as configured where None; `backlog`: seconds of
    audio that may wait for the engine; `fastest`: times real time that audio is taken."""

    door: str
    idle: float | None = None
    longest: float | None = None
    backlog: float = LIVE_BACKLOG
    fastest: float = math.inf


@dataclass(frozen=True, slots=True)
class Call:
    """A session, and who has begun it when and where. `began`: by the event loop's clock."""

    session: Session
    caller: Caller
    door: str
    began: float


@dataclass(frozen=True, slots=True)
class Past:
    """What is kept of a session that has ended, and nothing else: peers and decoders are heavy."""

    log: EventLog
    caller: Caller


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
        self._shares = Shares()
        self._queue = Queue(config.queue_wait, config.queue_length, metrics.waited)
        self._live: dict[str, Call] = {}
        self._ended: OrderedDict[str, Past] = OrderedDict()
        self._tasks: set[asyncio.Task[str]] = set()

    def age(self, call: Call) -> float:
        """Seconds since it began."""
        return self._clock() - call.began

    @property
    def live(self) -> int:
        """Sessions that have not ended."""
        return len(self._live)

    @property
    def free(self) -> int:
        """Places that the next caller would get one of: none while others wait for one."""
        return 0 if self.draining or self.waiting else self.engine.stats().free

    @property
    def waiting(self) -> int:
        """Callers who wait for a place."""
        return len(self._queue)

    @property
    def patience(self) -> float:
        """Seconds for which a caller may wait for a place; 0: nobody waits."""
        return self._queue.patience

    async def open(
        self, caller: Caller, terms: Terms, ticket: Ticket | None = None, queued: Told = lambda position: None
    ) -> Session:
        """A new session with a place in the engine; one that is waited for, where the server lets callers wait, and
        then `queued` is told the position in line as it changes. Raises Draining, TooMany, AllInUse, Unauthorized for a
        token that is good only for what was begun with it, engine.errors.Full or Unavailable."""
        self._check_open()
        self._admit(caller)
        self.metrics.connected()
        self._shares.take(_shares(caller))  # before the first await, so that nobody slips in beside the limit
        try:
            stream = await self._queue.place(
                lambda: self._place(terms.backlog), caller.key or caller.address, queued, caller.left
            )
            session = Session(ticket or Ticket.new(), stream, self._limits_of(caller, terms), self.metrics)
        except BaseException:
            self._shares.give_back(_shares(caller))
            raise
        call = Call(session, caller, terms.door, self._clock())
        self._live[session.id] = call
        self.metrics.opened(caller.key, terms.door)
        task = asyncio.create_task(session.run())
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._gone(call, task))
        log.info("opened session=%s door=%s live=%d", session.ref, terms.door, self.live)
        return session

    def counts(self) -> Counter[tuple[str, str]]:
        """How many sessions live, by the name of the key and the door."""
        return Counter((call.caller.key, call.door) for call in self._live.values())

    def calls(self) -> list[Call]:
        """Those that live, in the order in which they began."""
        return list(self._live.values())

    def has_begun(self, token: str) -> bool:
        """Whether sessions live that the token with this id has begun."""
        return self._shares.of(f"token {token}") > 0

    def check_viewer(self, who: Caller, id: str) -> None:
        """Whether `who` may follow the session with this id. Raises UnknownSession, whether it is none or another's."""
        known = self._live.get(id) or self._ended.get(id)
        if known is None or not may_follow(who, id, known.caller):
            raise UnknownSession("There is no session with this id, it has ended, or it was begun with another key.")

    def transcript(self, id: str) -> EventLog:
        """The log of the session with this id, live or ended less than ENDED_KEPT ago. Raises UnknownSession."""
        if id in self._live:
            return self._live[id].session.log
        if id in self._ended:
            return self._ended[id].log
        raise UnknownSession("There is no session with this id, or it has ended.")

    def resume(self, id: str, token: str) -> Session:
        """The live session with this id, if `token` is its own. Raises UnknownSession."""
        call = self._live.get(id)
        if call is None or not same(call.session.token, token):
            raise UnknownSession("There is no live session with this id and token; begin a new one.")
        return call.session

    def admit_rejoin(self, session: Session) -> None:
        """A fresh peer for a session. Raises TooMany when they come faster than any network changes."""
        if wait := self._rejoins.take(session.id, self._clock()):
            raise TooMany("Too many offers for this session.", retry_after=max(1, round(wait)))

    async def drain(self) -> None:
        """Take no more sessions; let those that live say their last words; return once all have ended."""
        if not self.draining:
            log.info("draining live=%d waiting=%d", self.live, self.waiting)
        self._stop()
        await asyncio.gather(*(call.session.drain() for call in self.calls()))
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _place(self, backlog: float) -> Stream:
        self._check_open()  # it may have come into the line after that was dismissed
        stream = await self.engine.open(backlog=backlog)
        try:
            self._check_open()  # the end may have begun meanwhile, and it waits only for those that it has seen
        except Draining:
            await stream.close()
            raise
        return stream

    def hang_up(self) -> None:
        """End every session now."""
        self._stop()
        for call in self.calls():
            call.session.end("drain")

    def _stop(self) -> None:
        self.draining = True
        self._queue.dismiss(_draining())

    def _check_open(self) -> None:
        if self.draining:
            raise _draining()

    def _admit(self, caller: Caller) -> None:
        """Raises TooMany, AllInUse or Unauthorized."""
        if not caller.key and not is_loopback(caller.address):
            self._admit_address(caller.address)
        if caller.limit and self._shares.of(f"key {caller.key}") >= caller.limit:
            _refuse_all_in_use("This key", caller.limit)
        if (grant := caller.grant) is None:
            return
        if grant.lapsed:
            raise Unauthorized("The token has expired: it begins no more sessions.")
        if grant.sessions and self._shares.of(f"token {grant.id}") >= grant.sessions:
            _refuse_all_in_use("This token", grant.sessions)

    def _admit_address(self, address: str) -> None:
        if wait := self._offers.take(address, self._clock()):
            raise TooMany("Too many offers from this address.", retry_after=max(1, round(wait)))
        if self._per_address_limit and self._shares.of(f"address {address}") >= self._per_address_limit:
            raise TooMany("Too many live sessions from this address.", retry_after=30)

    def _limits_of(self, caller: Caller, terms: Terms) -> Limits:
        limits = replace(self._limits, fastest=terms.fastest)
        limits = limits if terms.idle is None else replace(limits, idle=terms.idle)
        limits = limits if terms.longest is None else replace(limits, longest=terms.longest)
        if terms.backlog > BULK_BACKLOG:
            limits = replace(limits, speech=0.0)  # a file is as quiet as it is
        if caller.grant and caller.grant.longest:
            limits = replace(limits, longest=min(limits.longest, caller.grant.longest))
        return limits

    def _gone(self, call: Call, task: "asyncio.Task[str]") -> None:
        self._tasks.discard(task)
        del self._live[call.session.id]
        self._shares.give_back(_shares(call.caller))
        self._queue.freed()
        self._keep_ended(call)
        if not task.cancelled() and (error := task.exception()):
            log.error("failed session=%s", call.session.ref, exc_info=error)

    def _keep_ended(self, call: Call) -> None:
        id = call.session.id
        self._ended[id] = Past(call.session.log, call.caller)
        if len(self._ended) > ENDED_AT_MOST:
            self._ended.popitem(last=False)
        asyncio.get_running_loop().call_later(ENDED_KEPT, self._ended.pop, id, None)


def _shares(caller: Caller) -> list[str]:
    """Whom a session of this caller's is counted to."""
    shares = [f"address {caller.address}"]
    if caller.key:
        shares.append(f"key {caller.key}")
    if caller.grant:
        shares.append(f"token {caller.grant.id}")
    return shares


def _draining() -> Draining:
    return Draining("The server is about to end and takes no new calls.", retry_after=5)


def _refuse_all_in_use(whose: str, limit: int) -> NoReturn:
    raise AllInUse(
        f"{whose} may have {limit} {'session' if limit == 1 else 'sessions'} at once.", retry_after=BUSY_RETRY_AFTER
    )
