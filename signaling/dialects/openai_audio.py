"""What a client of OpenAI's appends, as audio: PCM at one of several rates, G.711, or Ogg Opus.

Ogg Opus is known by its first bytes and needs no setting, since OpenAI has none for it (Kyutai's Unmute sends it so). A
message may hold minutes, so it is decoded a slice at a time, as the slices are asked for.
"""

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from engine.base import SAMPLE_RATE
from media.codecs import CODECS
from media.errors import MediaError
from media.ogg import MAGIC
from media.resample import Resampler
from media.voice import OpusDecoder, Voice
from signaling.commands import Audio
from signaling.dialects.openai_session import Format
from signaling.dialects.sound import Sound, check_whole

SLICE = 0.2  # seconds of audio that are decoded at once
G711 = {"audio/pcmu": CODECS["pcmu", 8_000], "audio/pcma": CODECS["pcma", 8_000]}

Decode = Callable[[bytes], Iterable[Audio]]


class Ear:
    """The audio of one connection, which goes on through changes of its format. `opus`: what decodes Opus."""

    def __init__(self, format: Format, opus: OpusDecoder = "auto") -> None:
        self._opus = opus
        self._sound = Sound(opus)
        self._format = format
        self._decode: Decode | None = None  # once the first bytes have come

    @property
    def seconds(self) -> float:
        """How much there was so far."""
        return self._sound.samples / SAMPLE_RATE

    def tune(self, format: Format) -> None:
        """From now on audio comes in this format."""
        if format != self._format:
            self._format = format
            self._restart()

    def hear(self, data: bytes) -> Iterator[Audio]:
        """The audio in a message. Raises BadAudio or MediaError; what comes after that is taken for a new beginning."""
        if data and self._decode is None:
            self._decode = self._sound.opus if data.startswith(MAGIC) else self._decoder()
        try:
            yield from self._decode(data) if self._decode else ()
        except MediaError:
            self._restart()
            raise

    def _restart(self) -> None:
        heard, self._sound, self._decode = self._sound.samples, Sound(self._opus), None
        self._sound.samples = heard

    def _decoder(self) -> Decode:
        if codec := G711.get(self._format.type):
            return self._telephone(Voice(codec, SAMPLE_RATE))
        if self._format.rate == SAMPLE_RATE:
            return self._sixteen_bit
        return self._resampled(self._format.rate)

    def _sixteen_bit(self, data: bytes) -> Iterator[Audio]:
        check_whole(data)  # before a part of it is heard
        return self._sliced(data, 2, SAMPLE_RATE * 2, self._sound.s16)

    def _telephone(self, voice: Voice) -> Decode:
        def decode(data: bytes) -> Iterable[Audio]:
            return self._sound.floats(voice.decode(data, len(data)))

        return lambda data: self._sliced(data, 1, voice.codec.clock_rate, decode)

    def _resampled(self, rate: int) -> Decode:
        resampler = Resampler(rate, SAMPLE_RATE, 1 / 32_768)
        unit = 2 * rate // math.gcd(rate, SAMPLE_RATE)  # bytes that become whole samples
        rest = b""  # of the message before

        def push(data: bytes) -> Iterable[Audio]:
            return self._sound.floats(resampler.push(np.frombuffer(data, "<i2")))

        def decode(data: bytes) -> Iterator[Audio]:
            nonlocal rest
            check_whole(data)
            data = rest + data
            end = len(data) // unit * unit
            rest = data[end:]
            return self._sliced(data[:end], unit, rate * 2, push)

        return decode

    @staticmethod
    def _sliced(data: bytes, unit: int, rate: int, decode: Decode) -> Iterator[Audio]:
        """`data` in slices of so many whole `unit`s of bytes. `rate`: bytes a second."""
        size = max(1, round(rate * SLICE / unit)) * unit
        for at in range(0, len(data), size):
            yield from decode(data[at : at + size])
