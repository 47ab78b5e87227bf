"""A UDP relay that stands for a network: it loses, delays, reorders and doubles what it carries.

    caller ◀──▶ the relay's address ─ impaired both ways ─ one socket for each caller's address ◀──▶ target

The target sees each caller as somebody behind a NAT. No task belongs to a packet: what is under way waits in one heap,
with one timer.
"""

import asyncio
import heapq
import itertools
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from media.impair import Impairment, Path

MOST_WAITING = 1_024  # datagrams under way at once: ten seconds of a call both ways
MOST_CALLERS = 16  # addresses that a call may come from: each has a socket here
LONGEST = 65_535  # bytes of a datagram
AT_ONCE = 64  # datagrams read before others get their turn
BEHIND = 0.010  # seconds after its time from which on a datagram counts as late
BUFFER = 256 * 1024  # bytes that the kernel keeps for a socket meanwhile

Address = tuple[Any, ...]  # as sockets have it: two fields for IPv4, four for IPv6


@dataclass(frozen=True, slots=True)
class Carried:
    """What a relay did so far, in datagrams, both directions together."""

    forwarded: int = 0  # duplicates too
    lost: int = 0  # as the network wanted it
    late: int = 0  # forwarded, but more than 10 ms after their time: this machine was too slow
    refused: int = 0  # no room, or nobody there to take them


class Network:
    """One bent network, for as many calls as there are: its outages hit them all at once, everything else is drawn for
    each relay from the seed, in the order in which they are opened."""

    def __init__(self, impairment: Impairment, seed: int = 0) -> None:
        """The network comes up now. Must be called on the event loop."""
        self._impairment = impairment
        self._random = Random(seed)
        self._began = asyncio.get_running_loop().time()

    def relay(self, listen: Address, target: Address) -> "Relay":
        """A relay from `listen` (port 0: any) to `target`. Raises OSError when it cannot listen there."""
        return Relay(listen, target, self._impairment, self._random.getrandbits(64), self._began)


class Relay:
    """From now until `close`."""

    def __init__(self, listen: Address, target: Address, impairment: Impairment, seed: int, began: float) -> None:
        """Raises OSError when it cannot listen there."""
        self._loop = asyncio.get_running_loop()
        self._target = target
        self._inward = Path(impairment, f"{seed} inward", began)
        self._outward = Path(impairment, f"{seed} outward", began)
        self._callers: dict[Address, socket.socket] = {}
        self._waiting: list[tuple[float, int, bytes, Address | None, socket.socket]] = []
        self._number = itertools.count()  # those of the same moment leave in the order in which they came
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._closed = asyncio.Event()
        self._counts: Counter[str] = Counter()
        self._outside = _bound(listen)
        self._loop.add_reader(self._outside, self._hear, self._outside, self._from_caller)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._outside.getsockname()[:2]
        return host, port

    @property
    def carried(self) -> Carried:
        """What it did so far."""
        return Carried(**self._counts)

    def close(self) -> None:
        """Take nothing more, let what is on its way to the caller arrive, then give the sockets back."""
        if self._closing:
            return
        for caller, upstream in self._callers.items():
            self._hear(upstream, self._to(caller))  # a goodbye may lie in the kernel yet
        self._closing = True
        for sock in (self._outside, *self._callers.values()):
            self._loop.remove_reader(sock)
        self._waiting = [entry for entry in self._waiting if entry[-1] is self._outside]
        heapq.heapify(self._waiting)
        self._deliver()

    async def closed(self) -> None:
        """Wait for the end of a close: as long as the network takes for what is under way."""
        await self._closed.wait()

    # What comes

    def _hear(self, sock: socket.socket, take: Callable[[bytes, Address], None]) -> None:
        for _ in range(AT_ONCE):
            try:
                data, sender = sock.recvfrom(LONGEST)
            except OSError:  # nothing more, or word that an earlier one found nobody
                return
            take(data, sender)

    def _from_caller(self, data: bytes, sender: Address) -> None:
        upstream = self._callers.get(sender) or self._welcome(sender)
        if upstream is None:
            self._counts["refused"] += 1
        else:
            self._carry(self._inward, data, None, upstream)

    def _to(self, caller: Address) -> Callable[[bytes, Address], None]:
        return lambda data, _: self._carry(self._outward, data, caller, self._outside)

    def _welcome(self, caller: Address) -> socket.socket | None:
        """The socket by which the target knows this caller."""
        if len(self._callers) >= MOST_CALLERS:
            return None
        try:
            upstream = _connected(self._target)
        except OSError:
            return None
        self._callers[caller] = upstream
        self._loop.add_reader(upstream, self._hear, upstream, self._to(caller))
        return upstream

    # What leaves

    def _carry(self, path: Path, data: bytes, to: Address | None, by: socket.socket) -> None:
        now = self._loop.time()
        arrivals = path.deliveries(now)
        if not arrivals:
            self._counts["lost"] += 1
        for arrival in arrivals:
            if arrival <= now:
                self._send(data, to, by)
            elif len(self._waiting) < MOST_WAITING:
                heapq.heappush(self._waiting, (arrival, next(self._number), data, to, by))
            else:
                self._counts["refused"] += 1
        self._set_timer()

    def _deliver(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._waiting and self._waiting[0][0] <= now:
            due, _, data, to, by = heapq.heappop(self._waiting)
            self._counts["late"] += now > due + BEHIND
            self._send(data, to, by)
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None and (not self._waiting or self._timer.when() > self._waiting[0][0]):
            self._timer.cancel()
            self._timer = None
        if self._waiting and self._timer is None:
            self._timer = self._loop.call_at(self._waiting[0][0], self._deliver)
        if self._closing and not self._waiting:
            self._give_back()

    def _send(self, data: bytes, to: Address | None, by: socket.socket) -> None:
        try:
            by.send(data) if to is None else by.sendto(data, to)
        except OSError:  # a full buffer, or nobody there any more
            self._counts["refused"] += 1
        else:
            self._counts["forwarded"] += 1

    def _give_back(self) -> None:
        for sock in (self._outside, *self._callers.values()):
            sock.close()
        self._callers.clear()
        self._closed.set()


def total(relays: Iterable[Relay]) -> Carried:
    """What several relays did together."""
    counts: Counter[str] = Counter()
    for relay in relays:
        counts.update(asdict(relay.carried))
    return Carried(**counts)


def _connected(target: Address) -> socket.socket:
    """A UDP socket on which nobody but `target` is heard. Raises OSError."""
    sock = _bound((target[0], 0))
    try:
        sock.connect(target)
    except OSError:
        sock.close()
        raise
    return sock


def _bound(address: Address) -> socket.socket:
    """A UDP socket at this address. Raises OSError."""
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock
