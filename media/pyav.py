"""Every codec of the table through PyAV, which is FFmpeg."""

import av
import numpy as np

from media.codecs import FADED, PCM, Codec, Undecodable, fit
from media.resample import Resampler

HISTORY = 0.020  # seconds of audio that a concealment repeats
FADE = 0.150  # seconds in which it falls by 20 dB
SCALE = 1 / 32_768  # FFmpeg decodes these codecs to 16 bits


class PyAVDecoder:
    """One sender's decoder at `rate`. FFmpeg keeps the copies of lost packets in Opus to itself, so there is nothing to
    recover; a loss is concealed by repeating what was heard last."""

    def __init__(self, codec: Codec, rate: int) -> None:
        self._codec = codec
        self._rate = rate
        self._context = _open(codec)
        self._resampler = Resampler(codec.sample_rate, rate, SCALE)
        self._last: PCM = np.zeros(0, np.float32)
        self._hidden = 0  # samples concealed since the last packet

    def decode(self, payload: bytes, wanted: int) -> PCM:
        """The audio of a payload that is not empty. Raises Undecodable."""
        try:
            frames = self._context.decode(av.Packet(payload))
        except av.FFmpegError as error:
            # A decoder that has failed may stay failed (libopus ends for good at an empty packet): take a new one.
            self._context = _open(self._codec)
            raise Undecodable(str(error)) from error
        parts = [self._resampled(frame) for frame in frames]
        pcm = parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.float32), *parts])
        self._last = pcm = fit(pcm, wanted)
        self._hidden = 0
        return pcm

    def conceal(self, wanted: int) -> PCM:
        """The last 20 ms again and again, fading."""
        history = self._last[-int(HISTORY * self._rate) :]
        if not history.size or self._hidden > FADED * self._rate:
            return np.zeros(wanted, np.float32)
        at = np.arange(self._hidden, self._hidden + wanted)
        self._hidden += wanted
        fade = np.power(10.0, -at / (FADE * self._rate), dtype=np.float64)
        return (history[at % history.size] * fade).astype(np.float32)

    def recover(self, payload: bytes, wanted: int) -> tuple[PCM, int] | None:
        """Nothing."""
        return None

    def _resampled(self, frame: av.AudioFrame) -> PCM:
        return self._resampler.push(np.frombuffer(memoryview(frame.planes[0]), np.int16, frame.samples))


def _open(codec: Codec) -> av.AudioCodecContext:
    context = av.CodecContext.create(codec.ffmpeg, "r")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate = codec.sample_rate
    context.layout = "mono"  # before the first packet: libopus then mixes down by itself
    return context
