"""Files of audio as people have them, made by FFmpeg or by hand."""

import io
import struct
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from tests.media.caller import opus_packets, tone
from tests.media.oggs import head, page, tags

FLOAT = 3  # WAVE_FORMAT_IEEE_FLOAT


def encoded(
    container: str,
    codec: str,
    samples: npt.NDArray[np.int16] | None = None,
    *,
    rate: int = 48_000,
    layout: str = "mono",
    options: dict[str, str] | None = None,
    pause: float = 0.0,
    video: bool = False,
) -> bytes:
    """A second of tone, or these samples, the same in every channel. `pause`: seconds that the timestamps leave out in
    the middle."""
    samples = tone(1.0, rate=rate) if samples is None else samples
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options or {}) as output:
        picture = _pictures(output) if video else None
        stream: Any = output.add_stream(codec, rate=rate, layout=layout, options={"strict": "experimental"})
        half = samples.size // 2
        for start, part in ((0, samples[:half]), (half, samples[half:])):
            interleaved = np.repeat(part, stream.codec_context.layout.nb_channels)[None]
            frame = av.AudioFrame.from_ndarray(interleaved, format="s16", layout=layout)
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = start + int(pause * rate) * (start > 0)
            output.mux(stream.encode(frame))
        if picture is not None:
            _film(output, picture)
        output.mux(stream.encode(None))
    return file.getvalue()


def _pictures(output: "av.container.OutputContainer") -> Any:
    stream = output.add_stream("mpeg4", rate=25)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    return stream


def _film(output: "av.container.OutputContainer", stream: Any) -> None:
    for index in range(25):
        frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), index, np.uint8), format="rgb24")
        frame.pts = index
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


def silent_film() -> bytes:
    """A second of video without sound."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        _film(output, _pictures(output))
    return file.getvalue()


def wav(
    samples: npt.NDArray[Any],
    *,
    rate: int = 48_000,
    kind: int = 1,
    size: int | None = None,
    channels: int | None = None,
) -> bytes:
    """(n,) or (n, channels) samples. `size`: what the header says of it, where that is not true."""
    data = samples.tobytes()
    width = samples.itemsize
    channels = channels if channels is not None else 1 if samples.ndim == 1 else samples.shape[1]
    bytes_a_second = rate * channels * width & 0xFFFFFFFF
    form = struct.pack("<HHLLHH", kind, channels, rate, bytes_a_second, channels * width, 8 * width)
    size = len(data) if size is None else size
    riff = struct.pack("<4sL4s4sL", b"RIFF", size + 36 & 0xFFFFFFFF, b"WAVE", b"fmt ", len(form))
    return riff + form + struct.pack("<4sL", b"data", size) + data


def long_ogg(seconds: int) -> bytes:
    """So much silence in Ogg Opus: 25 bytes for a second of it."""
    packet = bytes([opus_packets(tone(0.02))[0][0] | 3, 6])  # six frames of 20 ms without a byte in them
    packets = [packet] * 250
    pages = [page([head()], 0, flags=2), page([tags()], 1)]
    pages += [page(packets, 2 + index, 1_440_000 * (index + 1)) for index in range(seconds // 30)]
    return b"".join(pages)


def of_unknown_length(flac: bytes) -> bytes:
    """A FLAC file that does not tell how long it is: 36 bits of its STREAMINFO (RFC 9639 section 8.2) are 0."""
    return flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:]
