"""The table of codecs, what was negotiated of it, and what a decoder of any of them does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

PCM = npt.NDArray[np.float32]  # (n,) float32, mono, at the rate that was asked for

LONGEST_OPUS = 5_760  # samples at 48 kHz: 120 ms, RFC 6716 section 3.2
FADED = 0.450  # seconds after which a concealment has faded to nothing


@dataclass(frozen=True, slots=True)
class Codec:
    """How one codec is decoded. `samples` tells the audio in a payload, at the RTP clock; 0 for one that is invalid."""

    ffmpeg: str  # the name of FFmpeg's decoder
    clock_rate: int
    sample_rate: int  # what the decoder puts out; G.722's RTP clock is half of it (RFC 3551 section 4.5.2)
    samples: Callable[[bytes], int]


class Undecodable(Exception):
    """A payload that its codec cannot read. The decoder goes on as if it had never come."""


class Decoder(Protocol):
    """One sender's payloads of one codec to PCM at one rate. `wanted` is always the output's length in samples."""

    def decode(self, payload: bytes, wanted: int) -> PCM:
        """The audio of a payload. Raises Undecodable."""

    def conceal(self, wanted: int) -> PCM:
        """What stands for audio that is lost: it goes on as before and fades, since a recognizer takes a hard silence
        for the end of a word."""

    def recover(self, payload: bytes, wanted: int) -> tuple[PCM, int] | None:
        """The lost audio directly before a payload that carries a copy of it, and how many samples at its end come from
        that copy: 0 where it cannot be read, and all is concealed. None where there is no copy. The payload itself is
        decoded after this."""


def fit(pcm: PCM, wanted: int) -> PCM:
    """Exactly as much audio as the packet's clock says, whatever its payload made of it."""
    if pcm.size == wanted:
        return pcm
    return np.concatenate((pcm[:wanted], np.zeros(max(0, wanted - pcm.size), np.float32)))


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


OPUS = Codec("libopus", 48_000, 48_000, opus_samples)  # the one codec that has a decoder of its own, beside FFmpeg's
CODECS: dict[tuple[str, int], Codec] = {  # a new codec is one line
    ("opus", 48_000): OPUS,
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
