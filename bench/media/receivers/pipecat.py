"""Pipecat: a `SmallWebRTCTransport` at the head of a pipeline, and a processor behind it that takes the audio."""

import asyncio
from typing import Any

import numpy as np
from loguru import logger
from pipecat.frames.frames import Frame, InputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport
from pipecat.workers.runner import WorkerRunner

from bench.media.receivers.serve import RATE, Answer, Call, Ear, main


class Hearing(FrameProcessor):  # type: ignore[misc]  # Pipecat is not installed where types are checked
    """Takes the audio where a recognizer would."""

    def __init__(self, ear: Ear) -> None:
        super().__init__()
        self._ear = ear

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            self._ear.hear(np.frombuffer(frame.audio, np.int16).astype(np.float32) * np.float32(1 / 32_768))
        else:
            await self.push_frame(frame, direction)


class PipecatCall:
    def __init__(self, connection: Any, ear: Ear) -> None:
        transport = SmallWebRTCTransport(connection, TransportParams(audio_in_enabled=True))
        self._worker = PipelineWorker(
            Pipeline([transport.input(), Hearing(ear)]), params=PipelineParams(audio_in_sample_rate=RATE)
        )
        self._running = asyncio.create_task(self._run())

    async def finish(self) -> None:
        """There is no way to say so that would leave the audio under way alone."""

    async def close(self) -> None:
        await self._worker.cancel()
        await self._running

    async def _run(self) -> None:
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self._worker)
        await runner.run()


async def answer(offer: str, ear: Ear) -> tuple[str, Call]:
    """A connection, and its pipeline."""
    connection = SmallWebRTCConnection()
    await connection.initialize(offer, "offer")
    return connection.get_answer()["sdp"], PipecatCall(connection, ear)


def answering() -> Answer:
    """Without its log: at Pipecat's default level that would be counted as its cost."""
    logger.remove()
    return answer


if __name__ == "__main__":
    main(answering)
