"""Data channels that a caller cannot misuse, over networks that lose.

- `guard_association`: what an SCTP packet says of its own lengths is checked before aiortc believes it, and what it
  keeps is bounded. Until aiortc's reader ends, and survives, on any input.
- `mend_association`: aiortc waits 1 to 3 s before it sends again, and its INIT is not taken a second time. Until its
  timers can be set and its INIT has no tag.
- `guard_channels`: limits on what comes. Until aiortc enforces its own on receipt.
- `watch_acknowledged`, `unacknowledged`: how far the other side has read. aiortc's `bufferedAmount` leaves out what is
  sent and not acknowledged. Until it counts that, as browsers' does.
"""

import logging
import struct
from collections.abc import Callable
from typing import Any, cast

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

MOST_AHEAD = 512  # SCTP chunks after a lost one that are kept: half a megabyte, and commands are small
# Seconds before a chunk counts as lost: at first, and at least once the round trip is known. RFC 9260 says 1 and 1, for
# the internet of files; words are late by then. These are libwebrtc's, above the 0.2 s that an answer may be held back.
FIRST_RETRANSMISSION = 0.5
SOONEST_RETRANSMISSION = 0.4
# What aiortc's reader of SCTP raises where a packet does not fit the state that it is in.
UNREADABLE = (AssertionError, AttributeError, LookupError, TypeError, ValueError, struct.error)

log = logging.getLogger(__name__)


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
