"""Stock aiortc, as its users read it: `track.recv()`, and a resampler that cuts the frames."""

import asyncio

import av
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from bench.media.receivers.serve import FRAME, RATE, Answer, Call, Ear, main


class StockCall:
    def __init__(self, ear: Ear) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._ear = ear
        self._reading: list[asyncio.Task[None]] = []
        self.connection.on("track", lambda track: self._reading.append(asyncio.ensure_future(self._read(track))))

    async def finish(self) -> None:
        """There is no way to say so."""

    async def close(self) -> None:
        await self.connection.close()
        await asyncio.gather(*self._reading)

    async def _read(self, track: MediaStreamTrack) -> None:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE, frame_size=FRAME)
        try:
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.AudioFrame)
                for resampled in resampler.resample(frame):
                    self._ear.hear(resampled.to_ndarray()[0])
        except MediaStreamError:
            return


async def answer(offer: str, ear: Ear) -> tuple[str, Call]:
    """A connection with one reader."""
    call = StockCall(ear)
    await call.connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    await call.connection.setLocalDescription(await call.connection.createAnswer())
    return call.connection.localDescription.sdp, call


def answering() -> Answer:
    return answer


if __name__ == "__main__":
    main(answering)
