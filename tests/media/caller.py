"""The other side of a peer in tests: a stock aiortc client that sends audio of its own making, packet by packet."""

import asyncio
import struct
from collections.abc import Iterable
from fractions import Fraction
from types import TracebackType
from typing import Self

import av
import numpy as np
import numpy.typing as npt
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription

from media.ice import Sockets
from media.peer import Peer, PeerSettings

RATE = 24_000
FRAME = 1_920
OPUS = 96  # the payload type that aiortc offers
SETTINGS = PeerSettings(sockets=Sockets())


def tone(seconds: float, hertz: float = 440.0, rate: int = 48_000) -> npt.NDArray[np.int16]:
    """A steady tone at a quarter of full scale."""
    time = np.arange(int(seconds * rate)) / rate
    return (np.sin(2 * np.pi * hertz * time) * 8_192).astype(np.int16)


def opus_packets(samples: npt.NDArray[np.int16], packet: int = 960) -> list[bytes]:
    """Mono s16 at 48 kHz as Opus packets of `packet` samples."""
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = 48_000, "mono", "s16", 32_000
    encoder.options = {"frame_duration": str(packet // 48)}
    packets: list[bytes] = []
    for start in range(0, len(samples) - packet + 1, packet):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + packet], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
        packets += [bytes(encoded) for encoded in encoder.encode(frame)]
    return packets


def rtp(seq: int, timestamp: int, payload: bytes, *, payload_type: int = OPUS, ssrc: int = 1234) -> bytes:
    """One RTP packet."""
    return struct.pack("!BBHII", 0x80, payload_type, seq & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


class Caller:
    """A client connection and its data channel, closed at the end of the `async with`."""

    def __init__(self, label: str = "events") -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.connection.addTransceiver("audio", direction="sendonly")
        self.channel: RTCDataChannel = self.connection.createDataChannel(label)
        self.messages: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.channel.on("message", self.messages.put_nowait)
        self._connected = asyncio.Event()
        self._open = asyncio.Event()
        self.channel.on("open", self._open.set)
        self.connection.on("connectionstatechange", self._state_changed)

    async def offer(self) -> str:
        """An offer with every candidate in it."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def accept(self, answer: str) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def call(self, peer: Peer) -> None:
        """Offer, take the answer, and wait until both sides are connected and the channel is open."""
        await self.accept(await peer.answer(await self.offer()))
        await peer.connected()
        await self.connected()

    async def connected(self) -> None:
        """Wait until this side is connected and its channel open."""
        await self._connected.wait()
        await self._open.wait()

    async def send(self, packet: bytes) -> None:
        """Send one RTP packet through this connection's SRTP."""
        await self.connection.getTransceivers()[0].sender.transport._send_rtp(packet)

    async def play(self, packets: Iterable[bytes], *, start: int = 0, pace: float = 0.0) -> None:
        """Send Opus packets of 20 ms in order, `pace` seconds apart."""
        for index, payload in enumerate(packets, start):
            await self.send(rtp(index, index * 960, payload))
            await asyncio.sleep(pace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.connection.close()

    def _state_changed(self) -> None:
        if self.connection.connectionState == "connected":
            self._connected.set()


def new_peer(settings: PeerSettings = SETTINGS) -> Peer:
    """A peer with the rate and frame size that the engines want."""
    return Peer(settings, rate=RATE, frame_samples=FRAME)
