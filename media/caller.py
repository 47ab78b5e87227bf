"""The other end of a Peer: a WebRTC caller that speaks a recording. The commands, tests and measurements use it."""

import asyncio
from collections.abc import AsyncIterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from aiortc.sdp import candidate_from_sdp

from media import compat

RATE = 48_000  # Hz, as Opus has it
FRAME = 960  # samples: 20 ms


class Speech(MediaStreamTrack):
    """A recording, sent at `pace` times real time. When it is over, nothing more is sent and `spoken` is set."""

    kind = "audio"

    def __init__(self, pcm: npt.NDArray[np.float32], pace: float = 1.0) -> None:
        """`pcm`: mono float32 at 48 kHz."""
        super().__init__()
        padding = -len(pcm) % FRAME
        self._pcm = np.clip(np.rint(np.pad(pcm, (0, padding)) * 32_767), -32_768, 32_767).astype(np.int16)
        self._pace = pace
        self._sent = 0
        self._began = 0.0
        self.spoken = asyncio.Event()

    @property
    def position(self) -> float:
        """Seconds of the recording that have been sent."""
        return self._sent / RATE

    async def recv(self) -> av.AudioFrame:
        """The next 20 ms, when it is time for them."""
        loop = asyncio.get_running_loop()
        if not self._sent:
            self._began = loop.time()
        if self._sent >= len(self._pcm):
            self.spoken.set()
            await asyncio.Future()  # until the sender is stopped
        await asyncio.sleep(self._began + self.position / self._pace - loop.time())
        frame = av.AudioFrame.from_ndarray(self._pcm[None, self._sent : self._sent + FRAME], "s16", "mono")
        frame.sample_rate = RATE
        frame.pts = self._sent
        frame.time_base = Fraction(1, RATE)
        self._sent += FRAME
        return frame


class Caller:
    """Offers audio and a data channel named `events`; what comes on the channel is read from `messages`."""

    def __init__(self, track: MediaStreamTrack, label: str = "events") -> None:
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._connection.addTrack(track)
        self._messages: asyncio.Queue[str | None] = asyncio.Queue()
        self._channel: RTCDataChannel = self._connection.createDataChannel(label)
        assert self._connection.sctp is not None
        compat.mend_association(self._connection.sctp)
        self.opened = asyncio.Event()  # the channel, so that `send` may be used
        self._channel.on("open", self.opened.set)
        self._channel.on("message", self._messages.put_nowait)
        self._channel.on("close", lambda: self._messages.put_nowait(None))
        self._connection.on("connectionstatechange", self._state_changed)
        self._closing: asyncio.Task[None] | None = None

    async def offer(self) -> str:
        """The SDP to send, with every candidate in it."""
        await self._connection.setLocalDescription(await self._connection.createOffer())
        return str(self._connection.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        """Take the other side's SDP; media flows once it is connected."""
        await self._connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def add_candidate(self, candidate: dict[str, Any] | None) -> None:
        """One of the other side's candidates as browsers write it; None after the last."""
        if candidate is None:
            await self._connection.addIceCandidate(None)
            return
        parsed = candidate_from_sdp(candidate["candidate"].removeprefix("candidate:"))
        parsed.sdpMid, parsed.sdpMLineIndex = candidate.get("sdpMid"), candidate.get("sdpMLineIndex")
        await self._connection.addIceCandidate(parsed)

    async def messages(self) -> AsyncIterator[str]:
        """What the other side says on the channel, until the connection is closed."""
        while (message := await self._messages.get()) is not None:
            yield message

    def send(self, message: str) -> None:
        """Say something on the channel, which must be open."""
        self._channel.send(message)

    async def close(self) -> None:
        """Hang up. Closing twice is harmless, also while the first is under way and gets cancelled."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._connection.close())
            self._messages.put_nowait(None)
        await asyncio.shield(self._closing)

    def _state_changed(self) -> None:
        if self._connection.connectionState in ("failed", "closed"):
            self._messages.put_nowait(None)
