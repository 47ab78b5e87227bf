"""What the callers say: recordings cut into clips whose words are known, and Opus packets as browsers make them."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import av
import numpy as np
import numpy.typing as npt

from engine.moonshine import assets
from media.clip import read_clip

RATE = 48_000
PACKET = 960  # samples: 20 ms
CLOSING = 0.6  # seconds of silence behind a clip, so that its last word is not among the last packets of the call
BIT_RATE = 32_000  # what browsers give speech

Sender = Literal["plain", "fec"]


@dataclass(frozen=True, slots=True)
class Clip:
    """A stretch of a recording in the engine's wheel, from pause to pause, and the words spoken in it."""

    recording: str
    start: float  # seconds
    stop: float
    text: str


CLIPS = (
    Clip("beckett", 0.0, 4.6, "Ever tried. Ever failed. No matter."),
    Clip("beckett", 4.6, 9.96, "Try again. Fail again. Fail better."),
    Clip("two_cities", 0.9, 4.85, "It was the best of times, it was the worst of times,"),
    Clip("two_cities", 4.85, 8.55, "it was the age of wisdom, it was the age of foolishness,"),
    Clip("two_cities", 8.55, 13.15, "it was the epoch of belief, it was the epoch of incredulity,"),
    Clip("two_cities", 13.15, 17.15, "it was the season of Light, it was the season of Darkness,"),
    Clip("two_cities", 17.15, 20.9, "it was the spring of hope, it was the winter of despair,"),
    Clip("two_cities", 20.9, 24.35, "we had everything before us, we had nothing before us,"),
    Clip("two_cities", 24.35, 28.7, "we were all going direct to Heaven, we were all going direct the other way -"),
    Clip("two_cities", 28.7, 32.55, "in short, the period was so far like the present period,"),
    Clip(
        "two_cities",
        32.55,
        44.3,
        "that some of its noisiest authorities insisted on its being received, for good or for evil, in the "
        "superlative degree of comparison only.",
    ),
)


def clip_samples(clip: Clip) -> npt.NDArray[np.int16]:
    """The clip and a little silence, mono at 48 kHz."""
    whole = read_clip(assets() / f"{clip.recording}.wav", RATE)
    pcm = whole[int(clip.start * RATE) : int(clip.stop * RATE)]
    padded = np.concatenate((pcm, np.zeros(int(CLOSING * RATE), np.float32)))
    return np.clip(np.rint(padded * 32_767), -32_768, 32_767).astype(np.int16)


def encode(samples: npt.NDArray[np.int16], sender: Sender = "plain", application: str = "voip") -> Sequence[bytes]:
    """Mono s16 at 48 kHz as Opus packets of 20 ms; `fec` puts a coarse copy of each packet into the next one."""
    encoder = _encoder(sender, application)
    packets: list[bytes] = []
    for start in range(0, len(samples) - PACKET + 1, PACKET):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + PACKET], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets


def _encoder(sender: Sender, application: str) -> av.AudioCodecContext:
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = RATE, "mono", "s16", BIT_RATE
    redundancy = {"fec": "1", "packet_loss": "10"} if sender == "fec" else {}
    encoder.options = {"frame_duration": "20", "application": application, **redundancy}
    return encoder
