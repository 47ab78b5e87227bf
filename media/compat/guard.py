"""A socket that takes datagrams only from who has proven to be the caller.

aiortc ends a call at an empty datagram or one over 2 KiB, and aioice keeps without bound what comes before a call is
connected, from anybody, and every address from which the caller asks. Until aiortc survives what cannot be read and
aioice bounds its queue.

It times ICE's checks too, which aioice does not, and takes an answer to them that is late: aioice ends a call over
0.5 s of round trip. Until it keeps consent by any answer (RFC 7675 section 5.1).
"""

import asyncio
import struct
from typing import Any

from aioice import ice as aioice
from aioice import stun

from media.compat.demux import is_stun
from media.relay import Relay

LONGEST_DATAGRAM = 1_500  # bytes; an Ethernet frame, and the longest that pylibsrtp takes
MOST_UNREAD = 512  # datagrams that may wait: five seconds of a call, or a DTLS handshake many times over
MOST_PROVEN = 64  # addresses from which the caller may have proven itself
SMOOTHING = 1 / 4  # what a new round trip counts against those before: there is one every five seconds


class GuardedProtocol(aioice.StunProtocol):
    """Takes STUN from anybody, since ICE authenticates it, and everything else only from an address that has passed
    an ICE check, in either direction. `refused` counts the rest, which reaches nobody."""

    def __init__(self, receiver: aioice.Connection) -> None:
        super().__init__(receiver)
        self.refused = 0
        self.relay: Relay | None = None  # what callers reach us through, on a bent network
        self.round_trips: dict[tuple[str, int], float] = {}  # seconds, smoothed, to each address that was checked
        self._overdue: tuple[bytes, bytes, float] | None = None  # the last check without an answer: its id, key, time,
        self._late: tuple[stun.Message, tuple[str, int]] | None = None  # and the answer that came after all
        self._clock = asyncio.get_running_loop().time
        self._proven: set[tuple[str, int]] = set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed, and so is the way to it."""
        super().connection_lost(exc)
        if self.relay is not None:
            self.relay.close()

    async def close(self) -> None:
        """Close the socket; what was sent last is still carried."""
        await super().close()
        if self.relay is not None:
            await self.relay.closed()

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """What aioice's protocol does, for the datagrams that are acceptable; media is not first tried as STUN."""
        if not isinstance(data, bytes) or not self._acceptable(data, (addr[0], addr[1])):
            self.refused += 1
        elif is_stun(data):
            super().datagram_received(data, addr)
        else:
            self.receiver.data_received(data, self.local_candidate.component)

    async def request(
        self,
        request: stun.Message,
        addr: tuple[str, int],
        integrity_key: bytes | None = None,
        retransmissions: int | None = None,
    ) -> tuple[stun.Message, tuple[str, int]]:
        """What aioice's protocol does, with ICE's checks timed: they go on for as long as the call does (RFC 7675).

        One that was sent again is not counted, since nothing tells which of the two was answered. An answer to the
        last check of the caller's consent that came too late for aioice, which waits 0.5 s, is one all the same: it
        stands in for the next that is missed, unless one in time has come between."""
        is_consent = integrity_key is not None and retransmissions == 0
        began = self._clock()
        try:
            answer = await super().request(request, addr, integrity_key, retransmissions)
        except stun.TransactionTimeout:
            if integrity_key is None or not is_consent:
                raise
            self._overdue = request.transaction_id, integrity_key, began
            late, self._late = self._late, None
            if late is None:
                raise
            return late
        if is_consent:
            self._overdue = self._late = None
        elapsed = self._clock() - began
        if integrity_key is not None and elapsed < stun.RETRY_RTO:
            self._time(addr, elapsed)
        return answer

    def _hear_late(self, message: stun.Message, address: tuple[str, int]) -> None:
        """An answer of the caller's that nobody waits for any more."""
        if self._overdue is None or self._overdue[0] != message.transaction_id:
            return
        _, key, began = self._overdue
        if message.message_class is stun.Class.RESPONSE and message.check_message_integrity(key):
            self._overdue = None
            self._late = message, address
            self._time(address, self._clock() - began)

    def _time(self, address: tuple[str, int], elapsed: float) -> None:
        before = self.round_trips.get(address)
        if before is not None:
            self.round_trips[address] = before + SMOOTHING * (elapsed - before)
        elif len(self.round_trips) < MOST_PROVEN:
            self.round_trips[address] = elapsed

    def send_stun(self, message: stun.Message, addr: tuple[str, int]) -> None:
        """A success response is sent to who knew our password, and to nobody else (RFC 8489 section 9.1.3)."""
        if message.message_class is stun.Class.RESPONSE and len(self._proven) < MOST_PROVEN:
            self._proven.add(addr)
        super().send_stun(message, addr)

    def _acceptable(self, data: bytes, address: tuple[str, int]) -> bool:
        if not 0 < len(data) <= LONGEST_DATAGRAM:
            return False
        if is_stun(data):
            message = _stun(data)
            if message is None:
                return False
            self._hear_late(message, address)
            return self._has_room(message, address)
        return self._is_proven(address) and self.receiver._queue.qsize() < MOST_UNREAD

    def _has_room(self, message: stun.Message, address: tuple[str, int]) -> bool:
        """Whether a check may have its address checked in turn: the caller can sign them from as many as it likes."""
        if message.message_class is not stun.Class.REQUEST:
            return True
        known = self.receiver._remote_candidates
        if any((candidate._network_host, candidate.port) == address for candidate in known):
            return len(self.receiver._early_checks) < MOST_PROVEN
        return len(known) + len(self.receiver._early_checks) < MOST_PROVEN and _names_priority(message)

    def _is_proven(self, address: tuple[str, int]) -> bool:
        return address in self._proven or any(
            pair.remote_addr == address and pair.state is aioice.CandidatePair.State.SUCCEEDED
            for pair in self.receiver._check_list
        )


def _stun(data: bytes) -> stun.Message | None:
    """As aioice will read it; None for what it cannot read, and would pass on as the caller's data."""
    try:
        return stun.parse_message(data)
    except (ValueError, struct.error):  # the latter for an attribute that is shorter than its kind
        return None


def _names_priority(message: stun.Message) -> bool:
    """Whether a signed check has what RFC 8445 section 7.1.1 demands, and aioice takes for granted; what is not
    signed it refuses by itself, with an answer."""
    return "PRIORITY" in message.attributes or "MESSAGE-INTEGRITY" not in message.attributes
