"""Whole clips through a stream: what `transcribe_batch` is made of where an engine has no better way."""

import asyncio

from engine.base import CHUNK_SAMPLES, PCM, Stream
from engine.events import Word

CLIP_BACKLOG = 60.0  # seconds of a clip that may wait in the engine


async def transcribe_clip(stream: Stream, clip: PCM) -> str:
    """The words of `clip`, joined with spaces. Closes the stream. Raises what the stream raises."""
    feeding = asyncio.create_task(_feed(stream, clip))
    try:
        words = [event.text async for event in stream if isinstance(event, Word)]
        await feeding
        return " ".join(words)
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)  # its error, if any, is also the iteration's
        await stream.close()


async def _feed(stream: Stream, clip: PCM) -> None:
    for start in range(0, len(clip), CHUNK_SAMPLES):
        await stream.feed(clip[start : start + CHUNK_SAMPLES])
    stream.finish()
