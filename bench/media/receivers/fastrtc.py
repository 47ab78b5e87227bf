"""FastRTC: an `AsyncStreamHandler` behind `Stream.offer`, in its receive-only mode.

The handler asks for 24 kHz, and its `emit` never has anything to say, which is the cheapest that it can do.
"""

import asyncio
from collections import deque
from typing import Any

import numpy as np
from fastrtc import AsyncStreamHandler, Stream
from fastrtc.stream import Body

from bench.media.receivers.serve import RATE, Answer, Call, Ear, main

MOST_CALLS = 1_000


class Hearing(AsyncStreamHandler):  # type: ignore[misc]  # FastRTC is not installed where types are checked
    """FastRTC copies its handler for each caller: the copy takes the next ear."""

    def __init__(self, ears: deque[Ear]) -> None:
        super().__init__(input_sample_rate=RATE)
        self._ears = ears
        self._ear: Ear | None = None

    def copy(self) -> "Hearing":
        taken = Hearing(self._ears)
        taken._ear = self._ears.popleft()
        return taken

    async def start_up(self) -> None: ...

    async def receive(self, frame: tuple[int, Any]) -> None:
        assert self._ear is not None
        self._ear.hear(frame[1][0].astype(np.float32) * np.float32(1 / 32_768))

    async def emit(self) -> None:
        await asyncio.Event().wait()

    async def shutdown(self) -> None: ...


class FastRtcCall:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def finish(self) -> None:
        """There is no way to say so."""

    async def close(self) -> None:
        await self._connection.close()


def answering() -> Answer:
    """One `Stream` for all callers."""
    ears: deque[Ear] = deque()
    stream = Stream(
        Hearing(ears),
        modality="audio",
        mode="send",
        concurrency_limit=MOST_CALLS,
        server_rtc_configuration={"iceServers": []},
        verbose=False,
    )

    async def answer(offer: str, ear: Ear) -> tuple[str, Call]:
        ears.append(ear)
        name = str(id(ear))
        answered = await stream.offer(Body(sdp=offer, type="offer", webrtc_id=name))
        return answered["sdp"], FastRtcCall(stream.pcs[name])

    return answer


if __name__ == "__main__":
    main(answering)
