"""RTP as the socket brings it: before the queue and the task that aioice and aiortc need for it, and before aiortc's
jitter buffer and its decoder thread per call.

- `take_packets`: receiver reports go on, with figures of our own: aiortc's forget the turns of the sequence. Both it
  and libsrtp forget all but the last senders. Until aiortc has a raw receiver.
- `jitter`: the figure out of those reports. Until `take_packets` can go.
"""

import asyncio
import contextlib
import struct
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Any, cast

import pylibsrtp
from aiortc import RTCRtpReceiver
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters

from media.codecs import Format
from media.compat.demux import is_rtp
from media.reception import Reception
from media.rtcp import SenderReport, sender_reports
from media.rtp import Arrival, parse

MOST_EARLY = 128  # packets of media that are kept until there are keys: more than two seconds of a call
MOST_STREAMS = 32  # SSRCs whose SRTP state is kept, with every packet authenticated: those of audio, and reports
MOST_SENDERS = 8  # SSRCs that are remembered at once: more than 31 do not fit a receiver report, and are an attack


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
    outside._handle_rtcp_data = taker.take_rtcp
    cast(Any, receiver.transport.transport._connection).data_received = taker.take_datagram
    _bound_srtp(receiver.transport, taker.take_early)


def jitter(receiver: RTCRtpReceiver) -> float:
    """The interarrival jitter of the sender that was heard last, in seconds; 0 before any was."""
    statistics: dict[int, _Statistics] = cast(Any, receiver)._RTCRtpReceiver__remote_streams
    receptions = (known.reception for known in statistics.values())
    newest = max(receptions, key=lambda reception: reception.heard, default=None)
    return newest.jitter if newest is not None else 0.0


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
        self._early: deque[bytes] = deque(maxlen=MOST_EARLY)
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
        decoding. For all that is no RTP, that is still the way."""
        if not is_rtp(data):
            self._queue(data, component)
        elif self._transport._rx_srtp is None:
            self._early.append(data)  # the caller has keys, and our half of the handshake is still under way or lost
        else:
            self._take_srtp(data)

    def take_early(self) -> None:
        """There are keys now: what waited for them comes before anything else."""
        while self._early:
            self._take_srtp(self._early.popleft())

    def _take_srtp(self, data: bytes) -> None:
        try:
            clear = self._transport._rx_srtp.unprotect(data)
        except pylibsrtp.Error:  # not authentic, or a replay
            return
        self._take_rtp(clear)

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


def _bound_srtp(transport: RTCDtlsTransport, on_keys: Callable[[], None]) -> None:
    """Remember the last 32 senders only; one from before is new again, should it come back. `on_keys` is called once
    packets can be read."""
    inside = cast(Any, transport)
    set_up = inside._setup_srtp

    def bounded() -> None:
        set_up()
        if inside._rx_srtp is not None:
            inside._rx_srtp = _BoundedSrtp(inside._rx_srtp)
            on_keys()

    inside._setup_srtp = bounded
