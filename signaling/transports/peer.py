"""A Peer as a session sees it, and how peers are made from the configuration."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from typing import Any

from engine.base import FRAME_SAMPLES, SAMPLE_RATE
from media.errors import SlowReader
from media.frames import Frame
from media.ice import IceServer, Sockets
from media.impair import PRESETS
from media.peer import Peer, PeerSettings
from media.relay import Network
from signaling.commands import Audio, Finish
from signaling.config import Config
from signaling.dialects.base import Dialect, Message
from signaling.errors import wire_error
from signaling.session import Session
from signaling.transports.base import Gone, HungUp, Item, Lost, Transport
from signaling.transports.merge import merge

PACED = 256 * 1024  # bytes that may wait for the caller before telling it more waits too
READ_DEADLINE = 20.0  # seconds for the caller to read them
CHANNEL = "events"
FAREWELL = 1.0  # seconds for the last messages to reach the caller before its connection is closed

Announce = Callable[[Mapping[str, Any]], Coroutine[None, None, None]]


class Peers:
    """Makes peers, and tells callers which STUN and TURN servers to use."""

    def __init__(self, config: Config, unix_time: Callable[[], float]) -> None:
        self._servers = config.ice()
        self._unix_time = unix_time
        self._connect_timeout = config.connect_timeout
        self._decoder = config.opus_decoder
        self._sockets = Sockets(
            ports=config.udp_port_range(),
            public_address=config.public_address,
            network=Network(PRESETS[config.impair]) if config.impair else None,
        )

    def new(self, channel: str = CHANNEL) -> Peer:
        """A peer that brings audio as the engines want it. `channel`: the label of the data channel that the caller
        creates."""
        settings = PeerSettings(
            self._sockets, self._for("offhook"), channel, connect_timeout=self._connect_timeout, decoder=self._decoder
        )
        return Peer(settings, rate=SAMPLE_RATE, frame_samples=FRAME_SAMPLES)

    def ice_servers(self, session: str) -> list[dict[str, object]]:
        """As a browser's RTCPeerConnection is told of them."""
        return [server.as_json() for server in self._for(session)]

    def ice_links(self, session: str) -> list[str]:
        """As WHIP's Link headers tell of them."""
        return [link for server in self._for(session) for link in server.as_links()]

    def _for(self, user: str) -> tuple[IceServer, ...]:
        now = self._unix_time()
        return tuple(server.credentials(user, now) for server in self._servers)


class PeerTransport(Transport):
    """Audio from the peer's track, messages on its data channel."""

    def __init__(self, peer: Peer, announce: Announce | None = None) -> None:
        self._peer = peer
        self._announce = announce
        self._met = False
        self._finishing = False

    @property
    def heard(self) -> float:
        return self._peer.heard

    @property
    def figures(self) -> Mapping[str, float]:
        peer = self._peer
        counted = {**dataclasses.asdict(peer.stats), "refused": peer.refused, "abandoned": int(peer.abandoned)}
        if carried := peer.carried:
            counted |= {f"network_{name}": number for name, number in dataclasses.asdict(carried).items()}
        return counted

    async def items(self) -> AsyncGenerator[Item, None]:
        await self._peer.connected()
        self._met = True
        sources: tuple[AsyncIterator[Any], ...] = (self._peer.frames(), self._peer.messages())
        async with contextlib.aclosing(merge(*sources)) as merged:
            async for item in merged:
                yield Audio(item.pcm, item.start, item.spoken) if isinstance(item, Frame) else item
        if self._finishing:
            yield Finish()
            return
        hung_up = await self._peer.lost() == "hung_up"
        if self._announce:  # where there is a socket, goodbyes are said there, and who was lost comes back by it
            raise HungUp if hung_up else Lost
        if not hung_up:
            raise Gone

    async def send(self, message: Message) -> None:
        if not self._peer.has_channel:
            return
        if self._peer.waiting > PACED:
            await self._caught_up()
        self._peer.send(message if isinstance(message, str) else message.decode())

    async def _caught_up(self) -> None:
        """Wait for the reader: an hour's transcript, told again after a loss, is more than may wait at once."""
        try:
            async with asyncio.timeout(READ_DEADLINE):
                await self._peer.drained()
        except TimeoutError:
            raise SlowReader(f"events were not read for {READ_DEADLINE:.0f} s") from None

    async def finish(self) -> None:
        self._finishing = True
        await self._peer.finish()

    async def announce(self, seconds: float) -> None:
        if self._announce:
            await self._announce({"type": "closing", "in": seconds})

    async def close(self, reason: str = "") -> None:
        if self._met:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL):
                    await self._peer.drained()
        await self._peer.close()


async def begin(
    session: Session, peer: Peer, sdp: str, transport: PeerTransport, dialect: Dialect, *, video: bool = True
) -> str:
    """The whole answer to an offer; the session is carried by the peer from then on. Where there is none, both end, and
    the errors of `Peer.answer` are raised."""
    try:
        answer = await peer.gathered_answer(sdp, video=video)
        session.join(transport, dialect)
    except BaseException as error:
        session.end(wire_error(error).code)
        await peer.close()
        raise
    return answer
