"""Payloads to PCM: the table of codecs, their decoders through PyAV, and what is said where a packet is missing."""

from collections.abc import Callable
from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt

PCM = npt.NDArray[np.float32]  # (n,) float32, mono, at the rate that was asked for

LONGEST_OPUS = 5_760  # samples at 48 kHz: 120 ms, RFC 6716 section 3.2
HISTORY = 0.020  # seconds of audio that a concealment repeats
FADE = 0.150  # seconds in which it falls by 20 dB
FADED = 0.450  # seconds after which it is 60 dB down, and nothing is left to repeat


@dataclass(frozen=True, slots=True)
class Codec:
    """How one codec is decoded. `samples` tells the audio in a payload, at the RTP clock; 0 for one that is invalid."""

    decoder: str  # FFmpeg's name
    clock_rate: int
    sample_rate: int  # what the decoder puts out; G.722's RTP clock is half of it (RFC 3551 section 4.5.2)
    samples: Callable[[bytes], int]


def opus_samples(payload: bytes) -> int:
    """The audio in an Opus packet, in samples at 48 kHz, from its table of contents (RFC 6716 section 3.1)."""
    if not payload:
        return 0
    toc = payload[0]
    config = toc >> 3
    if config < 12:  # SILK
        frame = (480, 960, 1_920, 2_880)[config & 3]
    elif config < 16:  # hybrid
        frame = (480, 960)[config & 1]
    else:  # CELT
        frame = (120, 240, 480, 960)[config & 3]
    samples = frame * _opus_frames(payload)
    return samples if samples <= LONGEST_OPUS else 0


def _opus_frames(payload: bytes) -> int:
    code = payload[0] & 3
    if code == 3:  # any number of frames, told by the next byte
        return payload[1] & 0x3F if len(payload) > 1 else 0
    return 1 if code == 0 else 2


CODECS: dict[tuple[str, int], Codec] = {  # a new codec is one line
    ("opus", 48_000): Codec("libopus", 48_000, 48_000, opus_samples),
    ("pcmu", 8_000): Codec("pcm_mulaw", 8_000, 8_000, len),
    ("pcma", 8_000): Codec("pcm_alaw", 8_000, 8_000, len),
    ("g722", 8_000): Codec("g722", 8_000, 16_000, len),
}


def find(name: str, clock_rate: int) -> Codec | None:
    """The codec of an `a=rtpmap` line, whatever its case; None when it is not one of ours."""
    return CODECS.get((name.lower(), clock_rate))


@dataclass(frozen=True, slots=True)
class Format:
    """A payload type and the codec that it was negotiated for."""

    payload_type: int
    name: str  # as in the offer, whatever its case
    clock_rate: int
    channels: int = 1
    repeats: int | None = None  # the payload type that this one wraps with redundancy (RFC 2198)

    @property
    def codec(self) -> Codec | None:
        """The codec, when it is one of ours."""
        return find(self.name, self.clock_rate)

    @property
    def tells_digits(self) -> bool:
        """Whether it is keys of a telephone (RFC 4733)."""
        return self.name.lower() == "telephone-event"

    @property
    def is_noise(self) -> bool:
        """Whether it is comfort noise (RFC 3389): a note that the speaker is silent."""
        return self.name.lower() == "cn"


class Voice:
    """One sender's payloads to PCM at `rate`. Garbage makes it count, and never deaf."""

    def __init__(self, codec: Codec, rate: int) -> None:
        self.codec = codec
        self.failures = 0  # payloads that could not be decoded; the decoder was replaced each time
        self._rate = rate
        self._decoder = _open(codec)
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
        self._history: PCM = np.zeros(0, np.float32)
        self._hidden = 0  # samples concealed since the last packet

    def decode(self, payload: bytes, samples: int) -> PCM:
        """A payload that is not empty and holds `samples` at the codec's clock, as so much time at the output rate."""
        wanted = samples * self._rate // self.codec.clock_rate
        try:
            decoded = self._decoder.decode(av.Packet(payload))
        except av.FFmpegError:
            # A decoder that has failed may stay failed (libopus ends for good at an empty packet): take a new one.
            self.failures += 1
            self._decoder = _open(self.codec)
            return self.conceal(wanted)
        parts = [out.to_ndarray()[0] for frame in decoded for out in self._resampler.resample(frame)]
        pcm = _fit(np.concatenate(parts) if parts else np.zeros(0, np.float32), wanted)
        self._history = pcm[-int(HISTORY * self._rate) :]
        self._hidden = 0
        return pcm

    def conceal(self, wanted: int) -> PCM:
        """`wanted` samples in place of lost ones: the last 20 ms again and again, fading, since a recognizer takes a
        hard silence for the end of a word."""
        if not self._history.size or self._hidden > FADED * self._rate:
            return np.zeros(wanted, np.float32)
        at = np.arange(self._hidden, self._hidden + wanted)
        self._hidden += wanted
        fade = np.power(10.0, -at / (FADE * self._rate), dtype=np.float64)
        return (self._history[at % self._history.size] * fade).astype(np.float32)


def _open(codec: Codec) -> av.AudioCodecContext:
    decoder = av.CodecContext.create(codec.decoder, "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate = codec.sample_rate
    decoder.layout = "mono"  # before the first packet: libopus then mixes down by itself
    return decoder


def _fit(pcm: PCM, wanted: int) -> PCM:
    """Exactly as much audio as the packet's clock says.

    The resampler keeps its first 16 samples back for good; zeros in front of the first packet make up for them, so
    that every later frame is complete with the packet that completes it instead of one packet later.
    """
    if pcm.size >= wanted:
        return pcm[:wanted]
    return np.concatenate((np.zeros(wanted - pcm.size, np.float32), pcm))
