"""Mono audio from one rate to another: a windowed sinc, block by block, as one matrix product.

The whole packet comes out with the packet itself; nothing is held back for the next one. What that costs is a constant
delay, 1 ms from 48 kHz and 3 ms from 8 kHz, in place of which the first packet begins with that much silence. FFmpeg's
resampler, as PyAV offers it, takes three times as long for a packet (14 µs, 5 µs here) and lets more alias through.
"""

import functools
import math

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

CROSSINGS = 24  # zero crossings of the sinc on each side, at the lower of the two rates
ROLL_OFF = 0.93  # where the filter is half as loud, as a part of the lower rate's band
BETA = 7.0  # of the Kaiser window: 75 dB
BLOCK = 0.002  # seconds in one row of the product

Samples = npt.NDArray[np.float32]


class Resampler:
    """`source` Hz to `target` Hz. `scale`: what every sample is multiplied by on the way."""

    def __init__(self, source: int, target: int, scale: float = 1.0) -> None:
        self._matrix, self._step, self._past_size = _matrix(source, target, scale)
        self._source = source
        self._target = target
        self._size = 0
        self._buffer: Samples = np.zeros(self._past_size, np.float32)
        self._make_room(0)

    def push(self, samples: npt.NDArray[np.int16] | Samples) -> Samples:
        """As much time at the target's rate, rounded down to whole samples."""
        size, past = samples.size, self._past_size
        if size != self._size:
            self._make_room(size)
        buffer = self._buffer
        buffer[past : past + size] = samples
        out: Samples = (self._windows @ self._matrix).ravel()
        buffer[:past] = buffer[size : size + past].copy()
        return out[: size * self._target // self._source]

    def _make_room(self, size: int) -> None:
        """For packets of another size than before: they have one size for most of a call."""
        blocks = -(-size // self._step)
        buffer: Samples = np.zeros(self._past_size + blocks * self._step, np.float32)
        buffer[: self._past_size] = self._buffer[: self._past_size]
        self._size, self._buffer = size, buffer
        row = self._past_size + self._step
        self._windows = as_strided(buffer, (blocks, row), (4 * self._step, 4), writeable=False)  # (blocks, row)


@functools.lru_cache(maxsize=8)  # the same for every call, and never written to
def _matrix(source: int, target: int, scale: float) -> tuple[Samples, int, int]:
    """What turns the samples of one block and those before it into the block's output (row, outputs); the samples in a
    block; how many before it count."""
    if source == target:
        return np.full((1, 1), scale, np.float32), 1, 0
    common = math.gcd(source, target)
    repeats = max(1, round(BLOCK * common))
    step, outputs = source // common * repeats, target // common * repeats
    lower = min(1.0, target / source)
    reach = math.ceil(CROSSINGS / lower)
    past = 2 * reach
    # How far each sample is from the middle of each output's filter, which lies `reach` samples back.
    distance = np.arange(-past, step)[:, None] - (np.arange(outputs) * source / target)[None, :] + reach
    window = np.where(np.abs(distance) <= reach, np.i0(BETA * np.sqrt(np.maximum(0, 1 - (distance / reach) ** 2))), 0)
    taps = np.sinc(distance * lower * ROLL_OFF) * window
    matrix: Samples = (taps / taps.sum(axis=0) * scale).astype(np.float32)
    matrix.flags.writeable = False
    return matrix, step, past
