"""Offhook: the frames of a `Peer`, with the Opus decoder that the last argument names."""

import asyncio
import sys

from bench.media.receivers.serve import FRAME, RATE, Answer, Call, Ear, main
from media.frames import Frame
from media.peer import Peer, PeerSettings


class OffhookCall:
    def __init__(self, peer: Peer, ear: Ear) -> None:
        self._peer = peer
        self._reading = asyncio.create_task(self._read(ear))

    async def finish(self) -> None:
        await self._peer.finish()

    async def close(self) -> None:
        await self._peer.close()
        await self._reading

    async def _read(self, ear: Ear) -> None:
        async for item in self._peer.frames():
            if isinstance(item, Frame):
                ear.hear(item.pcm)


def answering(settings: PeerSettings) -> Answer:
    """Peers with these settings."""

    async def answer(offer: str, ear: Ear) -> tuple[str, Call]:
        peer = Peer(settings, rate=RATE, frame_samples=FRAME)
        sdp = await peer.answer(offer)
        return sdp, OffhookCall(peer, ear)

    return answer


if __name__ == "__main__":
    main(lambda: answering(PeerSettings(decoder="pyav" if sys.argv[-1] == "pyav" else "libopus")))
