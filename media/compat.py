"""Every reach into aiortc's and aioice's private parts, and nothing else.

Written against aiortc 1.16.0 and aioice 0.13.0, which are pinned. Nothing is patched globally: each function hooks
one connection's own objects. `tests/media/test_compat.py` has a contract test for each, so that a new version of
either fails there and not in a call. What each does, why, and when it can go:

- `open_connection`: one peer connection on one transport, with no servers but ours. All of it is public API.
- `Gathering`: UDP ports from a range, chosen addresses, loopback; host candidates at once and those of servers
  later. aioice binds port 0 and waits up to 5 s for servers. Until aioice offers both (aioice#47, PR 112). With a bent
  network (media/relay.py) the sockets are behind relays.
- `GuardedProtocol`: a socket that takes datagrams only from who has proven to be the caller. aiortc ends a call at an
  empty datagram or one over 2 KiB, and aioice keeps without bound what comes before a call is connected, from anybody,
  and every address from which the caller asks.
  Until aiortc survives what cannot be read and aioice bounds its queue. It times ICE's checks too (`round_trip`),
  which aioice does not, and takes an answer to them that is late: aioice ends a call over 0.5 s of round trip. Until it
  keeps consent by any answer (RFC 7675 section 5.1).
- `take_packets`: RTP as the socket brings it, before the queue and the task that aioice and aiortc need for it, and
  before aiortc's jitter buffer and its decoder thread per call, while its receiver reports go on, with figures of our
  own: aiortc's forget the turns of the sequence. Both it and libsrtp forget all but the last senders. Until aiortc has
  a raw receiver.
- `answer_codecs`: payload types and parameters as the offer has them; aiortc's table knows fewer.
- `guard_association`: what an SCTP packet says of its own lengths is checked before aiortc believes it, and what it
  keeps is bounded. Until aiortc's reader ends, and survives, on any input.
- `mend_association`: data channels over a network that loses. aiortc waits 1 to 3 s before it sends again, and its INIT
  is not taken a second time. Until aiortc's timers can be set and its INIT has no tag.
- `guard_channels`: limits on data channels that aiortc does not enforce on receipt.
- `sever`: give back the sockets of a connection whose close does not return.
"""

import asyncio
import contextlib
import logging
import socket
import struct
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

import pylibsrtp
from aioice import ice as aioice
from aioice import stun
from aioice.candidate import Candidate as AioiceCandidate
from aioice.candidate import candidate_foundation, candidate_priority
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCRtpReceiver, RTCRtpTransceiver
from aiortc.rtcconfiguration import RTCBundlePolicy
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcrtpparameters import ParametersDict, RTCRtpCodecParameters, RTCRtpReceiveParameters
from aiortc.rtcsctptransport import (
    DATA_CHANNEL_OPEN,
    SCTP_RTO_INITIAL,
    WEBRTC_DCEP,
    Chunk,
    DataChunk,
    ForwardTsnChunk,
    InitChunk,
    RTCSctpTransport,
    SackChunk,
    serialize_packet,
)

from media import sctp as sctp_packets
from media.codecs import Format
from media.descriptors import scarce
from media.errors import NoPort
from media.ice import IceServer, Sockets
from media.reception import Reception
from media.relay import Carried, Network, Relay, total
from media.rtcp import SenderReport, sender_reports
from media.rtp import Arrival, parse

BEYOND_STUN = 4  # the first byte of what is no STUN, and
SRTP = range(128, 192)  # of what is RTP or RTCP (RFC 7983 section 7), of which
RTCP = range(192, 224)  # the second byte tells RTCP (RFC 5761 section 4)
LONGEST_DATAGRAM = 1_500  # bytes; an Ethernet frame, and the longest that pylibsrtp takes
MOST_UNREAD = 512  # datagrams that may wait: five seconds of a call, or a DTLS handshake many times over
MOST_PROVEN = 64  # addresses from which the caller may have proven itself
MOST_AHEAD = 512  # SCTP chunks after a lost one that are kept: half a megabyte, and commands are small
MOST_STREAMS = 32  # SSRCs whose SRTP state is kept, with every packet authenticated: those of audio, and reports
MOST_SENDERS = 8  # SSRCs that are remembered at once: more than 31 do not fit a receiver report, and are an attack
SMOOTHING = 1 / 4  # what a new round trip counts against those before: there is one every five seconds
RECEIVE_BUFFER = 256 * 1024  # bytes the kernel keeps for a socket while the event loop is busy
DESCRIPTORS_KEPT = 16  # that calls leave free: for a caller to be told that all lines are busy, and for /health

# Seconds before a chunk counts as lost: at first, and at least once the round trip is known. RFC 9260 says 1 and 1, for
# the internet of files; words are late by then. These are libwebrtc's, above the 0.2 s that an answer may be held back.
FIRST_RETRANSMISSION = 0.5
SOONEST_RETRANSMISSION = 0.4

OPUS_PARAMETERS: ParametersDict = {"minptime": 10, "useinbandfec": 1}  # RFC 7587 section 6.1: send us redundancy

# What aiortc's reader of SCTP raises where a packet does not fit the state that it is in.
UNREADABLE = (AssertionError, AttributeError, LookupError, TypeError, ValueError, struct.error)

log = logging.getLogger(__name__)


# Peer connections


def open_connection(servers: Iterable[IceServer]) -> tuple[RTCPeerConnection, RTCRtpTransceiver]:
    """A peer connection that receives one audio track, over one transport for everything. Never aiortc's default
    servers, which are somebody else's."""
    configuration = RTCConfiguration(
        iceServers=[
            RTCIceServer(list(server.urls), server.username or None, server.credential or None) for server in servers
        ],
        bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
    )
    connection = RTCPeerConnection(configuration)
    return connection, connection.addTransceiver("audio", direction="recvonly")


def ice_connection(transceiver: RTCRtpTransceiver) -> aioice.Connection:
    """aioice's half of the transport."""
    return transceiver.receiver.transport.transport._connection


def answer_codecs(transceiver: RTCRtpTransceiver, formats: Iterable[Format]) -> None:
    """Between the offer and the answer: answer with these formats, under the payload types of the offer."""
    transceiver._codecs = [
        RTCRtpCodecParameters(
            mimeType=f"audio/{format.name}",
            clockRate=format.clock_rate,
            channels=format.channels,
            payloadType=format.payload_type,
            parameters=_parameters(format),
        )
        for format in formats
    ]


def _parameters(format: Format) -> ParametersDict:
    if format.repeats is not None:
        return {f"{format.repeats}/{format.repeats}": None}  # RFC 2198 section 5: the packet, and the one before it
    if format.tells_digits:
        return {"0-15": None}  # RFC 4733 section 2.4.1: the sixteen keys
    return dict(OPUS_PARAMETERS) if format.name.lower() == "opus" else {}


def consent_expired(connection: aioice.Connection) -> bool:
    """Whether aioice closed by itself, as it does when its consent checks (RFC 7675) were not answered. True only
    until somebody else has closed it too, so ask when the end is first heard of."""
    return connection._closing


def round_trip(connection: aioice.Connection) -> float | None:
    """Seconds to the caller and back, by ICE's own checks; None while unknown."""
    pair = next(iter(connection._nominated.values()), None)
    if pair is None or not isinstance(pair.protocol, GuardedProtocol):
        return None
    return pair.protocol.round_trips.get(pair.remote_addr)


def refused(connection: aioice.Connection) -> int:
    """Datagrams that the guards of a connection's open sockets have kept out."""
    return sum(protocol.refused for protocol in connection._protocols if isinstance(protocol, GuardedProtocol))


def sever(connection: aioice.Connection) -> None:
    """Give the sockets back at once, without any goodbye."""
    for protocol in connection._protocols:
        protocol.transport.abort()


# Candidates of ours


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
        elif data[0] < BEYOND_STUN:
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
        last check of the caller's consent that came too late for aioice, which waits 0.5 s, is one all the same."""
        began = self._clock()
        try:
            answer = await super().request(request, addr, integrity_key, retransmissions)
        except stun.TransactionTimeout:
            if integrity_key is None or retransmissions != 0:
                raise
            self._overdue = request.transaction_id, integrity_key, began
            late, self._late = self._late, None
            if late is None:
                raise
            return late
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
        if data[0] < BEYOND_STUN:
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


async def _ignore(candidate: AioiceCandidate | None) -> None:
    """A caller's candidate, on a network that has only the one way."""


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


# Packets


class _Statistics:
    """A sender's Reception under the names that aiortc's receiver reports ask for, kept inside a report's fields: what
    does not fit would kill the task that sends the reports, and with it the connection's close."""

    def __init__(self) -> None:
        self.reception = Reception()

    @property
    def max_seq(self) -> int:
        return self.reception.highest & 0xFFFFFFFF

    @property
    def fraction_lost(self) -> int:
        return int(256 * self.reception.take_fraction_lost())

    @property
    def packets_lost(self) -> int:
        return max(-(1 << 23), min(self.reception.lost, (1 << 23) - 1))

    @property
    def jitter(self) -> int:
        return min(int(self.reception.jitter * self.reception.clock_rate), 0xFFFFFFFF)


def take_packets(
    receiver: RTCRtpReceiver,
    formats: Iterable[Format],
    on_packet: Callable[[Arrival], None],
    on_report: Callable[[SenderReport], None],
    on_activity: Callable[[], None],
) -> None:
    """Hand every RTP packet to `on_packet` as it comes, every sender report to `on_report`, and call `on_activity` for
    all RTP and RTCP.

    The receiver starts no decoder and no thread; it still sends its receiver reports, without which a browser's
    encoder spends nothing on redundancy. They tell what came, before any repair.
    """
    taker = _Taker(receiver, formats, on_packet, on_report, on_activity)
    cast(Any, receiver).receive = taker.start
    outside = cast(Any, receiver.transport)
    outside._handle_rtp_data = taker.take_rtp_later
    outside._handle_rtcp_data = taker.take_rtcp
    cast(Any, receiver.transport.transport._connection).data_received = taker.take_datagram
    _bound_srtp(receiver.transport)


class _Taker:
    """What `take_packets` puts in the place of aiortc's own."""

    def __init__(
        self,
        receiver: RTCRtpReceiver,
        formats: Iterable[Format],
        on_packet: Callable[[Arrival], None],
        on_report: Callable[[SenderReport], None],
        on_activity: Callable[[], None],
    ) -> None:
        formats = tuple(formats)
        self._receiver = cast(Any, receiver)
        self._on_packet = on_packet
        self._on_report = on_report
        self._on_activity = on_activity
        self._clock = asyncio.get_running_loop().time
        self._transport = cast(Any, receiver.transport)
        self._queue = receiver.transport.transport._connection.data_received
        self._handle_rtcp = receiver.transport._handle_rtcp_data
        self._statistics: dict[int, _Statistics] = self._receiver._RTCRtpReceiver__remote_streams
        self._negotiated = {format.payload_type for format in formats}
        self._clock_rates = {  # of audio: telephone events may say one rate and count at another
            format.payload_type: format.clock_rate for format in formats if format.codec or format.repeats is not None
        }

    async def start(self, parameters: RTCRtpReceiveParameters) -> None:
        """In place of `receive`: only what the router and the receiver reports need."""
        receiver = self._receiver
        if not receiver._RTCRtpReceiver__started:
            receiver.transport._register_rtp_receiver(receiver, parameters)
            receiver._RTCRtpReceiver__rtcp_task = asyncio.ensure_future(receiver._run_rtcp())
            receiver._RTCRtpReceiver__started = True

    def take_datagram(self, data: bytes, component: int) -> None:
        """Before aioice's queue, and the task of aiortc's that reads it: together they cost more than a packet's
        decoding. Without keys yet, and for all that is no RTP, that is still the way."""
        srtp = self._transport._rx_srtp
        if srtp is None or data[0] not in SRTP or len(data) < 2 or data[1] in RTCP:
            self._queue(data, component)
            return
        try:
            clear = srtp.unprotect(data)
        except pylibsrtp.Error:  # not authentic, or a replay
            return
        self._take_rtp(clear)

    async def take_rtp_later(self, data: bytes, arrival_time_ms: int) -> None:
        """In place of the transport's `_handle_rtp_data`, for what came before there were keys."""
        self._take_rtp(data)

    def _take_rtp(self, data: bytes) -> None:
        try:
            arrival = parse(data)
        except ValueError:
            return
        known = self._statistics.get(arrival.ssrc)
        if known is None:
            if arrival.payload_type not in self._negotiated:
                return
            known = self._meet(arrival.ssrc)
        clock_rate = self._clock_rates.get(arrival.payload_type)
        known.reception.add(arrival.sequence_number, arrival.timestamp, clock_rate, self._clock())
        self._on_activity()
        self._on_packet(arrival)

    async def take_rtcp(self, data: bytes) -> None:
        """Before the transport's `_handle_rtcp_data`."""
        self._on_activity()
        try:
            reports = sender_reports(data)
        except ValueError:
            return
        for report in reports:
            self._on_report(report)
        with contextlib.suppress(struct.error):  # an estimate (REMB) that names fewer senders than it says
            await self._handle_rtcp(data)

    def _meet(self, ssrc: int) -> _Statistics:
        if len(self._statistics) >= MOST_SENDERS:
            _forget(self._receiver, next(iter(self._statistics)))  # should it speak again, it is new again
        known = self._statistics[ssrc] = _Statistics()
        self._receiver.transport._rtp_router.ssrc_table[ssrc] = self._receiver  # its sender reports come here
        return known


def jitter(receiver: RTCRtpReceiver) -> float:
    """The interarrival jitter of the sender that was heard last, in seconds; 0 before any was."""
    statistics: dict[int, _Statistics] = cast(Any, receiver)._RTCRtpReceiver__remote_streams
    receptions = (known.reception for known in statistics.values())
    newest = max(receptions, key=lambda reception: reception.heard, default=None)
    return newest.jitter if newest is not None else 0.0


def _forget(receiver: Any, ssrc: int) -> None:
    """Everything that is kept about one sender of a receiver's."""
    for record in (
        receiver._RTCRtpReceiver__remote_streams,
        receiver._RTCRtpReceiver__lsr,
        receiver._RTCRtpReceiver__lsr_time,
        receiver.transport._rtp_router.ssrc_table,
    ):
        record.pop(ssrc, None)


class _BoundedSrtp:
    """libsrtp's session for what comes in. Left alone it keeps every SSRC that a caller has ever used, and looks
    through all of them for every packet."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._heard: OrderedDict[bytes, None] = OrderedDict()
        self._last = b""

    def unprotect(self, packet: bytes) -> bytes:
        """One RTP packet, in the clear. Raises what libsrtp raises when it is not authentic."""
        clear: bytes = self._session.unprotect(packet)
        return self._remember(packet[8:12], clear)

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        """The same for RTCP."""
        clear: bytes = self._session.unprotect_rtcp(packet)
        return self._remember(packet[4:8], clear)

    def _remember(self, ssrc: bytes, clear: bytes) -> bytes:
        if ssrc == self._last:
            return clear
        self._last = ssrc
        self._heard[ssrc] = None
        self._heard.move_to_end(ssrc)
        if len(self._heard) > MOST_STREAMS:
            self._session.remove_stream(int.from_bytes(self._heard.popitem(last=False)[0]))
        return clear


def _bound_srtp(transport: RTCDtlsTransport) -> None:
    """Remember the last 32 senders only; one from before is new again, should it come back."""
    inside = cast(Any, transport)
    set_up = inside._setup_srtp

    def bounded() -> None:
        set_up()
        if inside._rx_srtp is not None:
            inside._rx_srtp = _BoundedSrtp(inside._rx_srtp)

    inside._setup_srtp = bounded


# Data channels


def guard_channels(sctp: RTCSctpTransport, *, most: int, longest: int) -> None:
    """Open at most `most` channels, and close one on which a message grows beyond `longest` bytes. The association is
    guarded too.

    A channel beyond the limit is not acknowledged and what comes on it is dropped. What cannot be read closes its
    channel too, where aiortc would end the whole connection. All channels together keep no more than a megabyte of
    unfinished messages.
    """
    inside = cast(Any, sctp)
    receive_message = sctp._data_channel_receive
    receive_chunk = sctp._receive_data_chunk

    async def guarded_message(stream_id: int, pp_id: int, data: bytes) -> None:
        opens = pp_id == WEBRTC_DCEP and data[:1] == bytes([DATA_CHANNEL_OPEN])
        if opens and (stream_id in sctp._data_channels or len(sctp._data_channels) >= most):
            return
        if len(data) > longest:
            _close_channel(sctp, stream_id)
            return
        try:
            await receive_message(stream_id, pp_id, data)
        except (AssertionError, UnicodeDecodeError, struct.error):
            _close_channel(sctp, stream_id)

    async def guarded_chunk(chunk: DataChunk) -> None:
        if chunk.stream_id not in sctp._inbound_streams and len(sctp._inbound_streams) >= 4 * most:
            sctp._mark_received(chunk.tsn)  # acknowledged, so that the other channels go on, and dropped
            inside._sack_needed = True
            return
        stream = sctp._get_inbound_stream(chunk.stream_id)
        await receive_chunk(chunk)
        # Several whole messages may wait for one that is lost; far more than one message's worth is a flood.
        if sum(len(part.user_data) for part in stream.reassembly) > 4 * longest:
            stream.reassembly.clear()
            _close_channel(sctp, chunk.stream_id)

    guard_association(sctp)
    inside._data_channel_receive = guarded_message
    inside._receive_data_chunk = guarded_chunk


def guard_association(sctp: RTCSctpTransport) -> None:
    """Drop the packets that aiortc's reader would not survive, and keep no more of the others than a caller needs."""
    inside = cast(Any, sctp)
    receive_packet = sctp._handle_data
    receive_chunk = sctp._receive_chunk

    async def guarded_packet(data: bytes) -> None:
        try:
            sctp_packets.check(data)
            await receive_packet(data)
        except UNREADABLE as error:  # the caller's own doing, and one packet less
            log.debug("an SCTP packet was dropped: %s", type(error).__name__)

    async def guarded_chunk(chunk: Chunk) -> None:
        if isinstance(chunk, DataChunk) and not _is_near(sctp, chunk):
            return  # not acknowledged: who means it sends it again
        if isinstance(chunk, ForwardTsnChunk):
            chunk.streams = [stream for stream in chunk.streams if stream[0] in sctp._inbound_streams]
        await receive_chunk(chunk)

    inside._handle_data = guarded_packet
    inside._receive_chunk = guarded_chunk


def _is_near(sctp: RTCSctpTransport, chunk: DataChunk) -> bool:
    """Whether a chunk comes little after what is here, or was here already; before an INIT nothing is."""
    received = sctp._last_received_tsn
    ahead = (chunk.tsn - received) % 2**32 if received is not None else MOST_AHEAD + 1
    return ahead <= MOST_AHEAD or ahead >= 2**31


def mend_association(sctp: RTCSctpTransport) -> None:
    """Before data channels begin: let them survive a network that loses, doubles and delays.

    A chunk counts as lost as soon as browsers take it for lost. What begins the association is sent again ever less
    often, since the other side's DTLS may not have ended yet, and aiortc gives up after eight times. An INIT that is
    sent again carries no tag (RFC 9260 section 8.5.1), or the other side would refuse it for good; one that comes again
    resets nothing (section 5.2.2).
    """
    inside = cast(Any, sctp)
    send_chunk, receive_chunk = sctp._send_chunk, sctp._receive_chunk
    update_rto, t1_expired = sctp._update_rto, sctp._t1_expired

    async def send(chunk: Chunk) -> None:
        if isinstance(chunk, InitChunk):
            await sctp.transport._send_data(serialize_packet(inside._local_port, inside._remote_port, 0, chunk))
        else:
            await send_chunk(chunk)

    async def receive(chunk: Chunk) -> None:
        established = inside._association_state is RTCSctpTransport.State.ESTABLISHED
        if not (established and isinstance(chunk, InitChunk)):
            await receive_chunk(chunk)

    def update(round_trip: float) -> None:
        update_rto(round_trip)
        inside._rto = max(SOONEST_RETRANSMISSION, inside._srtt + 4 * inside._rttvar)

    def expired() -> None:
        inside._rto = min(2 * inside._rto, SCTP_RTO_INITIAL)
        t1_expired()

    inside._rto = FIRST_RETRANSMISSION
    inside._send_chunk, inside._receive_chunk = send, receive
    inside._update_rto, inside._t1_expired = update, expired


def watch_acknowledged(sctp: RTCSctpTransport, on_progress: Callable[[], None]) -> None:
    """Call `on_progress` whenever the other side has acknowledged something."""
    receive_sack = sctp._receive_sack_chunk

    async def watched(chunk: SackChunk) -> None:
        await receive_sack(chunk)
        on_progress()

    cast(Any, sctp)._receive_sack_chunk = watched


def unacknowledged(sctp: RTCSctpTransport) -> int:
    """Bytes that left the channels and are not acknowledged yet."""
    return sum(len(chunk.user_data) for chunk in (*sctp._sent_queue, *sctp._outbound_queue))


def _close_channel(sctp: RTCSctpTransport, stream_id: int) -> None:
    channel = sctp._data_channels.get(stream_id)
    if channel is not None:
        channel.close()
