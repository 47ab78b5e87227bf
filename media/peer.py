"""One caller's peer connection: an offer in, an answer out; then frames and messages in, messages out."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiortc import RTCIceCandidate, RTCPeerConnection, RTCRtpTransceiver, RTCSessionDescription

from media import candidates, compat
from media.candidates import Candidate
from media.channel import Channel, DataChannel
from media.errors import BadCandidate, NeverConnected
from media.frames import FrameQueue
from media.ice import IceServer, Sockets
from media.quality import Meter
from media.relay import Carried
from media.rtcp import SenderReport
from media.rtp import Arrival
from media.sdp import LONGEST_MESSAGE, MOST_CANDIDATES, Offer, check_offer
from media.stats import TrackStats
from media.track import BACKLOG, Track
from media.voice import OpusDecoder

CONNECT_TIMEOUT = 15.0  # seconds from the answer to a connection
CLOSE_TIMEOUT = 5.0  # seconds that a close may take before it is abandoned
GATHER_TIMEOUT = 1.0  # seconds that a complete answer waits for STUN and TURN servers
QUALITY_EVERY = 2.0  # seconds between two measurements of the line
MOST_CHANNELS = 4

Ending = Literal["hung_up", "lost", "never_connected", "closed"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """What every peer of a server has in common."""

    sockets: Sockets = field(default_factory=Sockets)
    servers: tuple[IceServer, ...] = ()  # asked by us for our own candidates; one STUN and one TURN server are used
    channel: str = "events"  # the label of the data channel that the caller creates
    connect_timeout: float = CONNECT_TIMEOUT
    backlog: float = BACKLOG  # seconds of audio that may wait for the reader
    decoder: OpusDecoder = "auto"  # what decodes Opus


class Peer:
    """From `answer` to `close`. Audio comes out as frames of `frame_samples` float32 samples at `rate`, mono.

    A peer answers the offers of one connection: the first, and those that hold and resume it (`reoffer`); a new
    connection takes a new peer. However it ends (see `lost`), the audio that came
    is still read, and then the iterations end.
    """

    def __init__(self, settings: PeerSettings, *, rate: int, frame_samples: int) -> None:
        self.abandoned = False  # the close took too long and was left to itself
        self._settings = settings
        self._rate = rate
        self._frame_samples = frame_samples
        self._loop = asyncio.get_running_loop()
        self._connection: RTCPeerConnection | None = None
        self._transceiver: RTCRtpTransceiver | None = None
        self._gathering: compat.Gathering | None = None
        self._offer: Offer | None = None
        self._track: Track | None = None
        self._channel = Channel(settings.channel, self._in_flight)
        self._told: list[str] = []  # our candidates
        self._trickle: asyncio.Queue[str | None] = asyncio.Queue()  # those that the answer does not hold; then None
        self._trickling = False
        self._taken = 0  # candidates of the caller's
        self._meter = Meter()
        self._measuring: asyncio.TimerHandle | None = None
        self._refused = 0  # datagrams, by sockets that are closed
        self._heard = self._loop.time()
        self._on_hold = False
        self._revision = 0  # answers that were given after the first
        self._changed = asyncio.Event()
        self._connected = False
        self._ending: Ending | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None

    # Negotiation

    async def answer(self, sdp: str, *, video: bool = True) -> str:
        """Answer an offer at once, with our host candidates; those of STUN and TURN servers come by `candidates`.

        `video=False` refuses an offer of video instead of rejecting its video. Raises BadOffer (NotSdp,
        OfferTooLarge, UnsupportedOffer) or NoPort; the peer is closed then.
        """
        assert self._connection is None, "a peer answers one offer"
        self._offer = offer = check_offer(sdp, video=video, loopback=self._settings.sockets.loopback)
        try:
            await self._negotiate(offer)
        except BaseException:
            await self.close()
            raise
        self._patience = self._loop.call_later(self._settings.connect_timeout, self._end, "never_connected")
        self._trickling = True  # what we were told so far is in the answer
        if self._gathered:
            self._trickle.put_nowait(None)
        return self._complete()

    async def gathered_answer(self, sdp: str, *, video: bool = True, wait: float = GATHER_TIMEOUT) -> str:
        """Like `answer`, but wait up to `wait` seconds for STUN and TURN servers: for callers that do not trickle."""
        await self.answer(sdp, video=video)
        assert self._gathering is not None
        try:
            async with asyncio.timeout(wait):
                await self._gathering.done.wait()
        except TimeoutError:
            log.info("ICE servers did not answer within %.1f s", wait)
        return self._complete()

    def reoffer(self, sdp: str) -> str | None:
        """Answer another offer of the same connection: one that puts the audio on hold, or sends it again (RFC 3264
        section 8.4). None when it is of another connection, or this one is over. Raises BadOffer, also when it changes
        more than that; the peer stays as it was then.

        Only the words of the answer change: what is not sent needs no receiver to be stopped.
        """
        offer = check_offer(sdp, loopback=self._settings.sockets.loopback, hold=True)
        if self._ending is not None or self._offer is None or not offer.continues(self._offer):
            return None
        offer.check_change(self._offer)
        self._offer = offer
        self._on_hold = offer.on_hold
        self._revision += 1
        self._touch()
        return self._complete()

    async def candidates(self) -> AsyncIterator[dict[str, object] | None]:
        """Our candidates that the answer does not hold, as a browser's `RTCIceCandidateInit`; None after the last."""
        while (text := await self._trickle.get()) is not None:
            assert self._offer is not None
            yield {"candidate": text, "sdpMid": self._offer.mid, "sdpMLineIndex": self._offer.audio}
        yield None

    async def add_candidate(self, candidate: Mapping[str, Any] | None) -> None:
        """Take a candidate of the caller's (`RTCIceCandidateInit`). Raises BadCandidate for one that cannot be read.

        One that is of no use (TCP, a hidden name, a forbidden address, beyond 32) is ignored. So is the end of
        candidates: a caller behind a NAT may be known only from its own checks, and the time to connect is limited.
        """
        if candidate is None or self._ending is not None:
            return
        text = candidate.get("candidate")
        if not isinstance(text, str) or self._offer is None:
            raise BadCandidate("a candidate is an object with a string 'candidate', after an offer")
        if not text or candidate.get("usernameFragment") not in (None, "", self._offer.ufrag):
            return  # the end of one section's candidates; a candidate of another negotiation
        parsed = candidates.parse(text)
        if self._taken >= MOST_CANDIDATES or not candidates.usable(parsed, loopback=self._settings.sockets.loopback):
            return
        self._taken += 1
        await self._add(parsed)

    # The call

    async def connected(self) -> None:
        """Wait for the connection. Raises NeverConnected when it fails or takes too long; the peer is closed then."""
        while not self._connected and self._ending is None:
            self._changed.clear()
            await self._changed.wait()
        if not self._connected:
            await self.close()
            raise NeverConnected(f"no connection within {self._settings.connect_timeout:.0f} s")

    async def lost(self) -> Ending:
        """Wait for the end and tell which: the caller `hung_up` (a DTLS close), was `lost` (no more answers to ICE's
        checks, after 30 s), has `never_connected`, or the peer was `closed` here."""
        while self._ending is None:
            self._changed.clear()
            await self._changed.wait()
        return self._ending

    def frames(self) -> FrameQueue:
        """The caller's audio, once: `Frame`, and between them what happened (media/events.py). Ends with the call."""
        return aiter(self._answered())

    def messages(self) -> Channel:
        """What the caller sends on the data channel, once. Ends with the call."""
        return self._channel

    def send(self, message: str) -> None:
        """Send on the data channel; kept until it opens. Raises SlowReader when a megabyte waits already."""
        self._channel.send(message)

    @property
    def has_channel(self) -> bool:
        """Whether the offer has data channels at all; without them nothing should be sent."""
        return self._offer is not None and self._offer.data is not None

    @property
    def waiting(self) -> int:
        """Bytes sent that the caller has not acknowledged: how slow a reader it is."""
        return self._channel.waiting

    async def drained(self) -> None:
        """Wait until the caller has acknowledged everything that was sent, or the connection is over."""
        await self._channel.drained()

    @property
    def heard(self) -> float:
        """When the last media packet came, or the peer was made: the event loop's time. Silence is not idleness, and
        neither is hold: it is now for as long as that lasts."""
        return self._loop.time() if self._on_hold else self._heard

    @property
    def stats(self) -> TrackStats:
        """The audio's figures so far."""
        return self._track.stats if self._track is not None else TrackStats()

    @property
    def round_trip(self) -> float | None:
        """Seconds to the caller and back; None before the first check was answered."""
        return compat.round_trip(compat.ice_connection(self._transceiver)) if self._transceiver is not None else None

    @property
    def refused(self) -> int:
        """Datagrams that came from who was not the caller, or could not be the caller's."""
        open_sockets = compat.refused(compat.ice_connection(self._transceiver)) if self._transceiver is not None else 0
        return max(self._refused, open_sockets)

    @property
    def carried(self) -> Carried | None:
        """What a bent network (`Sockets.network`) did to the call's datagrams; None without one."""
        return self._gathering.carried if self._gathering is not None else None

    # The end

    async def finish(self) -> None:
        """No more audio: take what is still under way, then the frames end. The channel stays."""
        await self._answered().drain()

    async def close(self) -> None:
        """End the connection and give everything back, within 5 s; what takes longer is abandoned (`abandoned`).
        Closing twice is harmless."""
        self._end("closed")
        assert self._closing is not None
        await asyncio.shield(self._closing)

    # Inside

    def _answered(self) -> Track:
        assert self._track is not None, "no offer was answered yet"
        return self._track

    async def _negotiate(self, offer: Offer) -> None:
        self._connection, self._transceiver = compat.open_connection(self._settings.servers)
        connection, transceiver = self._connection, self._transceiver
        ice = compat.ice_connection(transceiver)
        self._gathering = compat.Gathering(ice, self._settings.sockets, self._tell)
        self._track = Track(
            offer.formats,
            rate=self._rate,
            frame_samples=self._frame_samples,
            backlog=self._settings.backlog,
            decoder=self._settings.decoder,
        )
        self._taken = len(offer.candidates)
        compat.take_packets(transceiver.receiver, offer.formats, self._receive, self._report, self._touch)
        connection.on("connectionstatechange", self._state_changed)
        connection.on("datachannel", self._channel_opened)
        await connection.setRemoteDescription(RTCSessionDescription(offer.plain(), "offer"))
        compat.answer_codecs(transceiver, offer.formats)
        if connection.sctp is not None:
            compat.guard_channels(connection.sctp, most=MOST_CHANNELS, longest=LONGEST_MESSAGE)
            compat.mend_association(connection.sctp)
            compat.watch_acknowledged(connection.sctp, self._channel.progress)
        await connection.setLocalDescription(await connection.createAnswer())

    def _complete(self) -> str:
        assert self._connection is not None
        assert self._offer is not None
        answer = self._connection.localDescription.sdp
        return self._offer.complete(answer, self._told, gathered=self._gathered, revision=self._revision)

    @property
    def _gathered(self) -> bool:
        return self._gathering is not None and self._gathering.done.is_set()

    async def _add(self, candidate: Candidate) -> None:
        assert self._connection is not None
        assert self._offer is not None
        await self._connection.addIceCandidate(
            RTCIceCandidate(
                component=candidate.component,
                foundation=candidate.foundation,
                ip=candidate.address,
                port=candidate.port,
                priority=candidate.priority,
                protocol=candidate.transport,
                type=candidate.type,
                sdpMid=self._offer.mid,
            )
        )

    def _tell(self, candidate: str | None) -> None:
        if candidate is not None:
            self._told.append(candidate)
        if self._trickling:
            self._trickle.put_nowait(candidate)

    def _receive(self, arrival: Arrival) -> None:
        self._answered().receive(arrival)

    def _report(self, report: SenderReport) -> None:
        self._answered().report(report, self._loop.time(), self.round_trip)

    def _measure(self) -> None:
        """Tell how the line was, and again; while no packets come there is nothing to tell."""
        assert self._transceiver is not None
        track = self._answered()
        quality = self._meter.measure(track.stats, compat.jitter(self._transceiver.receiver), self.round_trip)
        if quality is not None:
            track.tell(quality)
        self._measuring = self._loop.call_later(QUALITY_EVERY, self._measure)

    def _touch(self) -> None:
        self._heard = self._loop.time()

    def _in_flight(self) -> int:
        sctp = self._connection.sctp if self._connection is not None else None
        return compat.unacknowledged(sctp) if sctp is not None else 0

    def _channel_opened(self, channel: DataChannel) -> None:
        self._channel.offer(channel)

    def _state_changed(self) -> None:
        assert self._connection is not None
        state = self._connection.connectionState
        if state == "connected" and not self._connected:
            self._connected = True
            self._touch()
            if self._patience is not None:
                self._patience.cancel()
            self._measuring = self._loop.call_later(QUALITY_EVERY, self._measure)
            self._changed.set()
        elif state in ("failed", "closed"):
            self._end(self._why() if self._connected else "never_connected")

    def _why(self) -> Ending:
        # When consent expires, DTLS ends with ICE, and which of the two aiortc tells of first is a matter of chance.
        assert self._transceiver is not None
        return "lost" if compat.consent_expired(compat.ice_connection(self._transceiver)) else "hung_up"

    def _end(self, ending: Ending) -> None:
        """The one way into the end: the first reason counts, what came is released, the connection closes."""
        if self._ending is not None:
            return
        self._ending = ending
        for timer in (self._patience, self._measuring):
            if timer is not None:
                timer.cancel()
        if self._track is not None:
            self._track.end()
        self._channel.end()
        self._changed.set()
        self._closing = self._loop.create_task(self._close())

    async def _close(self) -> None:
        if self._gathering is not None:
            await self._gathering.close()
        if self._connection is None or self._transceiver is None:
            return
        self._refused = self.refused  # they go with their sockets
        closing = asyncio.ensure_future(self._connection.close())
        await asyncio.wait([closing], timeout=CLOSE_TIMEOUT)
        if closing.done():
            closing.result()  # what went wrong is ours, and is not hidden
            return
        self.abandoned = True
        log.warning("a connection did not close within %.0f s and was abandoned", CLOSE_TIMEOUT)
        closing.cancel()
        compat.sever(compat.ice_connection(self._transceiver))
