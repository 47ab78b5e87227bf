"""A sound in which every moment can be recognised: a tone that rises steadily, so that its pitch tells the time.

Receivers lose audio without saying so. What a frame holds is therefore read from the frame itself, in the same way for
each of them.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from media.codecs import PCM

LOWEST = 300.0  # Hz
RISE = 400.0  # Hz a second: 8 Hz a packet, of which the reading is off by less than one
LONGEST = 20.0  # seconds; the pitch is 8.3 kHz then
ALGORITHM = 0.0065  # seconds by which Opus puts out later what went in (RFC 6716 section 4: the encoder's look-ahead)

TAIL = 480  # samples at 24 kHz: the last 20 ms of a frame are read
PACKET = 0.02
AUDIBLE = 1.0  # the height of a spectral line; the tone itself has 30
_BINS = 8_192
_WINDOW = np.hanning(TAIL)


def ruler(seconds: float, rate: int = 48_000) -> npt.NDArray[np.int16]:
    """The sound, at a quarter of full scale."""
    assert seconds <= LONGEST
    time = np.arange(round(seconds * rate)) / rate
    return (np.sin(2 * np.pi * (LOWEST + RISE / 2 * time) * time) * 8_192).astype(np.int16)


def packets(pcm: PCM, frame: int, rate: int = 24_000) -> list[int]:
    """The last packet that each whole frame of `pcm` holds, by its number; -1 where it holds nothing that was sent."""
    return [_last_packet(tail, rate) for tail in _tails(pcm, frame)]


def _tails(pcm: PCM, frame: int) -> Iterator[PCM]:
    for stop in range(frame, pcm.size + 1, frame):
        yield pcm[stop - TAIL : stop]


def _last_packet(tail: PCM, rate: int) -> int:
    spectrum = np.abs(np.fft.rfft(tail * _WINDOW, _BINS))
    peak = int(spectrum[1:-1].argmax()) + 1
    if spectrum[peak] < AUDIBLE:
        return -1
    pitch = (peak + _offset(spectrum[peak - 1 : peak + 2])) * rate / _BINS
    middle = (pitch - LOWEST) / RISE
    return round((middle + TAIL / rate / 2 + ALGORITHM) / PACKET) - 1


def _offset(around: npt.NDArray[np.float64]) -> float:
    """Where between three bins the peak really is: the vertex of the parabola through their logarithms."""
    left, middle, right = np.log(np.maximum(around, 1e-12))
    return float((left - right) / (2 * (left - 2 * middle + right)))
