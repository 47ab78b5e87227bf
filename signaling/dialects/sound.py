"""What the bytes of a message are as audio: float32 or 16-bit samples, Ogg Opus, or an array that was decoded already.

Samples that no recognizer should hear are refused with a sentence that says what to do: a NaN would live on in a
model's memory, and integers that are taken for floats are noise at full scale.
"""

from collections.abc import Iterator

import numpy as np

from engine.base import PCM, SAMPLE_RATE, pcm_from_s16
from media.ogg import OggOpus
from media.voice import OpusDecoder
from signaling.commands import Audio
from signaling.errors import BadAudio

LOUDEST = 8.0  # times full scale: filters and resamplers overshoot by far less, 16-bit integers are far beyond
AS_S16 = "16-bit samples are sent with ?format=s16."
AS_FLOATS = "16-bit samples are divided by 32768 before they are sent."


class Sound:
    """The audio of one connection, which begins with its first sample. Made for each connection.

    Every method takes one message and gives the audio in it: nothing for an empty message. Each raises BadAudio.
    `samples`: how many there were so far. `decoder`: what decodes Opus.
    """

    def __init__(self, decoder: OpusDecoder = "auto") -> None:
        self.samples = 0
        self._decoder = decoder
        self._ogg: OggOpus | None = None

    def float32(self, data: bytes) -> list[Audio]:
        """Little-endian float32 samples."""
        if len(data) % 4:
            raise BadAudio(f"Float32 audio comes in multiples of 4 bytes, and this message has {len(data)}. {AS_S16}")
        return self.floats(np.frombuffer(data, dtype="<f4").astype(np.float32), remedy=AS_S16)

    def s16(self, data: bytes) -> list[Audio]:
        """Little-endian 16-bit samples."""
        check_whole(data)
        return self._next(pcm_from_s16(data))

    def opus(self, data: bytes) -> Iterator[Audio]:
        """Pages of Ogg Opus, in pieces of any length. The audio is decoded as it is asked for: a few bytes may hold
        hours of silence. Raises media.errors.BadMedia."""
        self._ogg = self._ogg or OggOpus(SAMPLE_RATE, self._decoder)
        for pcm in self._ogg.feed(data):
            yield from self.floats(pcm)

    def floats(self, pcm: PCM, remedy: str = AS_FLOATS) -> list[Audio]:
        """Samples that were decoded already; slightly beyond [-1, 1] they are clipped. `remedy`: what the sender of
        something else is told to do."""
        peak = float(np.abs(pcm).max(initial=0.0))
        if not np.isfinite(peak):
            raise BadAudio(f"The audio has samples that are NaN or infinite. {remedy}")
        if peak > LOUDEST:
            raise BadAudio(f"The audio has samples far beyond [-1, 1]: {peak:.3g}. {remedy}")
        return self._next(pcm if peak <= 1.0 else np.clip(pcm, -1.0, 1.0))

    def _next(self, pcm: PCM) -> list[Audio]:
        if not pcm.size:
            return []
        start, self.samples = self.samples / SAMPLE_RATE, self.samples + len(pcm)
        return [Audio(pcm, start)]


def check_whole(data: bytes) -> None:
    """That a message does not end inside a 16-bit sample."""
    if len(data) % 2:
        raise BadAudio(f"16-bit audio has an even number of bytes, and this message has {len(data)}.")
