"""Candidates of ours: UDP ports from a range, chosen addresses, loopback; host candidates at once, those of servers
later. With a bent network (media/relay.py) the sockets are behind relays.

aioice binds port 0 and waits up to 5 s for servers. Until it offers both (aioice#47, PR 112).
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

from aioice import ice as aioice
from aioice.candidate import Candidate as AioiceCandidate
from aioice.candidate import candidate_foundation, candidate_priority

from media.compat.guard import LONGEST_DATAGRAM, GuardedProtocol
from media.descriptors import scarce
from media.errors import NoPort
from media.ice import Sockets
from media.relay import Carried, Network, Relay, total

RECEIVE_BUFFER = 256 * 1024  # bytes the kernel keeps for a socket while the event loop is busy
DESCRIPTORS_KEPT = 16  # that calls leave free: for a caller to be told that all lines are busy, and for /health
log = logging.getLogger(__name__)


class Gathering:
    """Gathers one connection's candidates, in place of aioice's own way.

    `told` hears of every candidate as text (`candidate:…`), host candidates before `gather` returns, and of None once
    no more will come; `done` is set then. With a bent network the candidates are its relays', and those of the caller
    are not used: it is known from its own checks, or ICE would find a way around the relay.
    """

    def __init__(self, connection: aioice.Connection, sockets: Sockets, told: Callable[[str | None], None]) -> None:
        self.done = asyncio.Event()
        self._connection = connection
        self._sockets = sockets
        self._told = told
        self._asking: asyncio.Task[None] | None = None
        self._relays: list[Relay] = []
        self._expected = connection._remote_candidates_expected
        hooked = cast(Any, connection)
        hooked.gather_candidates = self.gather
        hooked._remote_candidates_expected = self._more_expected
        if sockets.network is not None:
            hooked.add_remote_candidate = _ignore

    @property
    def carried(self) -> Carried | None:
        """What a bent network did to the datagrams, or None where there is none."""
        return total(self._relays) if self._sockets.network is not None else None

    async def gather(self) -> None:
        """Bind the sockets and tell of them; ask the servers in the background. Raises NoPort."""
        connection = self._connection
        connection._local_candidates_start = True
        for address in self._addresses():
            protocol = await self._bind(address)
            if protocol is not None:
                connection._protocols.append(protocol)
                self._add(protocol.local_candidate)
        if not connection._protocols:
            raise NoPort("no UDP port could be bound on any address")
        connection._local_candidates_end = True  # connect() may begin, whatever servers do
        if self._sockets.network is not None or (connection.stun_server is None and connection.turn_server is None):
            self._finish()
        else:
            self._asking = asyncio.create_task(self._ask_servers())

    async def close(self) -> None:
        """Stop asking servers."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        self._finish()

    def _finish(self) -> None:
        if not self.done.is_set():
            self.done.set()
            self._told(None)

    def _more_expected(self) -> bool:
        """A relayed candidate may still save the call, so connecting must not give up before."""
        return not self.done.is_set() or self._expected()

    def _addresses(self) -> list[str]:
        if self._sockets.addresses:
            return list(self._sockets.addresses)
        found = aioice.get_host_addresses(use_ipv4=True, use_ipv6=True)
        return [*found, "127.0.0.1"] if self._sockets.loopback else found

    async def _bind(self, address: str) -> aioice.StunProtocol | None:
        network, ports = self._sockets.network, self._sockets.port_choices()
        if network is None:
            return await self._listen(address, ports)
        protocol = await self._listen(address, [0])
        return protocol and self._put_behind(network, protocol, ports)

    def _put_behind(
        self, network: Network, protocol: "GuardedProtocol", ports: Iterable[int]
    ) -> "GuardedProtocol | None":
        candidate = protocol.local_candidate
        for port in ports:
            try:
                relay = network.relay((candidate.host, port), (candidate.host, candidate.port))
            except OSError:
                continue
            self._relays.append(relay)
            protocol.relay = relay
            protocol.local_candidate = _host_candidate(*relay.address)
            return protocol
        protocol.transport.abort()
        return None

    async def _listen(self, address: str, ports: Iterable[int]) -> "GuardedProtocol | None":
        loop = asyncio.get_running_loop()
        for port in ports:
            try:
                transport, protocol = await loop.create_datagram_endpoint(
                    lambda: GuardedProtocol(self._connection), local_addr=(address, port)
                )
            except OSError:
                continue
            if scarce(transport.get_extra_info("socket").fileno(), DESCRIPTORS_KEPT):
                transport.abort()
                return None
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            # asyncio makes room for 256 KiB before every datagram, which takes ten times as long as reading it.
            cast(Any, transport).max_size = LONGEST_DATAGRAM + 1  # one that is longer shows that it is
            protocol.local_candidate = _host_candidate(*transport.get_extra_info("sockname")[:2])
            return protocol
        return None

    async def _ask_servers(self) -> None:
        try:
            for outcome in await asyncio.gather(*self._questions(), return_exceptions=True):
                if isinstance(outcome, Exception):  # one candidate less, and no reason to give up the call
                    log.info("an ICE server gave no candidate: %s", type(outcome).__name__)
        finally:
            self._finish()

    def _questions(self) -> Iterable[Awaitable[None]]:
        connection = self._connection
        if connection.stun_server is not None:
            for protocol in list(connection._protocols):
                if ":" not in protocol.local_candidate.host:
                    yield self._ask_stun(protocol, connection.stun_server)
        if connection.turn_server is not None:
            yield self._ask_turn(connection.turn_server)

    async def _ask_stun(self, protocol: aioice.StunProtocol, server: tuple[str, int]) -> None:
        candidate, _ = await aioice.server_reflexive_candidate(protocol, server)
        self._add(candidate)

    async def _ask_turn(self, server: tuple[str, int]) -> None:
        connection = self._connection
        candidate, protocol = await aioice.relayed_candidate(
            component=1,
            hide_related_address=True,
            protocol_factory=lambda: GuardedProtocol(connection),
            turn_server=server,
            turn_username=connection.turn_username,
            turn_password=connection.turn_password,
            turn_ssl=connection.turn_ssl,
            turn_transport=connection.turn_transport,
        )
        connection._protocols.append(protocol)
        for remote in connection._remote_candidates:
            connection._pair_remote_candidate(remote)
        connection.sort_check_list()
        self._add(candidate)

    def _add(self, candidate: AioiceCandidate) -> None:
        self._connection._local_candidates.append(candidate)
        self._told(f"candidate:{self._as_told(candidate).to_sdp()}")

    def _as_told(self, candidate: AioiceCandidate) -> AioiceCandidate:
        public = self._sockets.public_address
        if not public or candidate.type != "host" or (":" in public) != (":" in candidate.host):
            return candidate
        return _host_candidate(public, candidate.port)


async def _ignore(candidate: AioiceCandidate | None) -> None:
    """A caller's candidate, on a network that has only the one way."""


def _host_candidate(address: str, port: int) -> AioiceCandidate:
    return AioiceCandidate(
        foundation=candidate_foundation("host", "udp", address),
        component=1,
        transport="udp",
        priority=candidate_priority(1, "host"),
        host=address,
        port=port,
        type="host",
    )
