"""One sender's payloads of one codec to PCM, whatever comes. The one place that chooses among decoders."""

from typing import Literal

import numpy as np

from media.codecs import OPUS, PCM, Codec, Decoder, Undecodable
from media.errors import NoDecoder
from media.libopus import LibopusDecoder
from media.pyav import PyAVDecoder

OpusDecoder = Literal["auto", "libopus", "pyav"]  # auto: libopus itself, called directly, or PyAV where there is none


class Voice:
    """Garbage makes it count, and never deaf. Lengths of time are in samples of the codec's RTP clock where they come
    from packets, and of the output where they are `wanted`."""

    def __init__(self, codec: Codec, rate: int, opus: OpusDecoder = "auto") -> None:
        self.codec = codec
        self.failures = 0  # payloads that could not be decoded
        self._rate = rate
        self._decoder = _decoder(codec, rate, opus)
        self._silent = True  # silence was written since the last packet

    def decode(self, payload: bytes, samples: int) -> PCM:
        """A payload that is not empty and holds `samples`, as so much time at the output rate."""
        wanted = samples * self._rate // self.codec.clock_rate
        try:
            pcm = self._decoder.decode(payload, wanted)
        except Undecodable:
            self.failures += 1
            return self.conceal(wanted)
        self._silent = False
        return pcm

    def conceal(self, wanted: int) -> PCM:
        """`wanted` samples in place of lost ones."""
        return np.zeros(wanted, np.float32) if self._silent else self._decoder.conceal(wanted)

    def recover(self, payload: bytes, wanted: int) -> tuple[PCM, int] | None:
        """`wanted` lost samples directly before a payload, and how many of them are from the copy in it; None where
        there is no copy."""
        return self._decoder.recover(payload, wanted)

    def hush(self) -> None:
        """Silence follows what was decoded last: what is lost after it is not to sound like what was before it."""
        self._silent = True


def _decoder(codec: Codec, rate: int, opus: OpusDecoder) -> Decoder:
    if codec is OPUS and opus != "pyav":
        try:
            return LibopusDecoder(rate)
        except NoDecoder:
            if opus == "libopus":
                raise
    return PyAVDecoder(codec, rate)
