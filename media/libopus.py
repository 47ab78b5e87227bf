"""Opus through libopus itself: straight to the rate that is wanted, with what FFmpeg keeps to itself.

An Opus packet may carry a coarse copy of the one before it (in-band FEC, LBRR: RFC 6716 section 2.1.7). libopus
decodes that copy, and conceals from the state of its decoder what no copy is there for. Senders that know no RED are
repaired by it.
"""

import ctypes
import functools
import sys
from pathlib import Path

import av
import numpy as np

from media.codecs import FADED, LONGEST_OPUS, PCM, Undecodable, fit, opus_samples
from media.errors import NoDecoder

RATES = (8_000, 12_000, 16_000, 24_000, 48_000)  # what libopus decodes to
SHORTEST = 400  # of a second: it conceals multiples of 2.5 ms
INVALID_PACKET = -4  # opus_defines.h
_NAMES = {"darwin": "libopus.0.dylib", "win32": "opus.dll"}


class LibopusDecoder:
    """One sender's decoder at `rate`, one of RATES. Raises NoDecoder when there is no libopus here."""

    def __init__(self, rate: int) -> None:
        if rate not in RATES:
            raise NoDecoder(f"libopus decodes to {', '.join(map(str, RATES))} Hz and not to {rate}")
        self._library = library = load()
        self._rate = rate
        # The decoder is bytes of ours, so that it goes with this object and nothing has to be given back.
        self._state = ctypes.create_string_buffer(library.opus_decoder_get_size(1))
        self._room = LONGEST_OPUS * rate // 48_000
        self._pcm: PCM = np.zeros(self._room, np.float32)
        self._address = self._pcm.ctypes.data
        self._hidden = 0  # samples concealed since the last packet
        self._reset()

    def decode(self, payload: bytes, wanted: int) -> PCM:
        """The audio of a payload that is not empty. Raises Undecodable."""
        pcm = self._run(payload, self._room, recover=False)
        self._hidden = 0
        return fit(pcm, wanted)

    def conceal(self, wanted: int) -> PCM:
        """What libopus expects to have come. After a while it is silence."""
        parts = [np.zeros(0, np.float32)]
        left = wanted
        while left >= (least := self._rate // SHORTEST) and self._hidden <= FADED * self._rate:
            part = self._run(None, min(left - left % least, self._room), recover=False)
            self._hidden += part.size
            left -= part.size
            parts.append(part)
        return fit(np.concatenate(parts), wanted)

    def recover(self, payload: bytes, wanted: int) -> tuple[PCM, int] | None:
        """The packet before this one from the copy in it, and in front of it what else was lost, concealed."""
        copied = opus_samples(payload) * self._rate // 48_000
        if wanted < copied or not has_copy(payload):
            return None
        before = self.conceal(wanted - copied)
        try:
            copy = self._run(payload, copied, recover=True)
        except Undecodable:  # it will be heard of again when it is decoded itself
            return np.concatenate((before, self.conceal(copied))), 0
        return np.concatenate((before, fit(copy, copied))), copied

    def _run(self, payload: bytes | None, room: int, *, recover: bool) -> PCM:
        size = 0 if payload is None else len(payload)
        samples = self._library.opus_decode_float(self._state, payload, size, self._address, room, recover)
        if samples < 0:
            if samples != INVALID_PACKET:  # which is refused before anything is changed
                self._reset()
            raise Undecodable(f"libopus error {samples}")  # opus_defines.h: -1 to -7
        return self._pcm[:samples].copy()

    def _reset(self) -> None:
        self._library.opus_decoder_init(self._state, self._rate, 1)


def load() -> ctypes.CDLL:
    """The system's libopus, or the one that PyAV brings along. Raises NoDecoder when there is neither."""
    library = _find()
    if library is None:
        raise NoDecoder("there is no libopus on this machine: install libopus0, or decode Opus with pyav")
    return library


@functools.cache  # looked for once: a call that begins is no time to search the disk, and least where there is none
def _find() -> ctypes.CDLL | None:
    for name in (_NAMES.get(sys.platform, "libopus.so.0"), *_beside_pyav()):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.opus_decode_float.argtypes = (
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_int32,
            ctypes.c_void_p,
            ctypes.c_int,
            ctypes.c_int,
        )
        return library
    return None


def _beside_pyav() -> list[str]:
    """Where PyAV's wheels keep the libraries that they bring along."""
    package = Path(av.__file__).parent
    folders = (package.parent / "av.libs", package / ".dylibs")
    return [str(path) for folder in folders for path in sorted(folder.glob("libopus*"))]


def has_copy(payload: bytes) -> bool:
    """Whether an Opus packet carries a copy of the one before it: one bit at the beginning of its first frame, after
    those that tell voice from silence (RFC 6716 sections 4.2.3 and 4.2.4). Never in CELT, which has none."""
    if len(payload) < 2 or payload[0] & 0x80:
        return False
    toc = payload[0]
    start = _first_frame(payload)
    if start >= len(payload):
        return False
    config = toc >> 3
    parts = max(1, config & 3) if config < 12 else 1  # SILK frames of at most 20 ms, each with a bit for its voice
    bits = payload[start]
    copied = bits >> (7 - parts) & 1
    if toc & 0x04:  # stereo: the side channel has its own
        copied |= bits >> (6 - 2 * parts) & 1
    return bool(copied)


def _first_frame(payload: bytes) -> int:
    """Where the first frame's bytes begin (RFC 6716 section 3.2). Frames beyond two are not looked for: those who
    pack so many send them for music."""
    code = payload[0] & 3
    if code < 2:
        return 1
    if code == 2:
        return 2 if payload[1] < 252 else 3
    return len(payload)
