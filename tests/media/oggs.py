"""Ogg Opus made by hand, page by page, and recordings made by the encoders of the field."""

import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from media.ogg import BEGINS, ENDS, HEAD, HEADER, page_checksum
from tests.media.caller import opus_packets, tone

# Half a second of silence and half a second of tone, encoded 20 ms (80 ms) at a time: by opus-recorder 8.0.5 as
# Kyutai's pages set it up (24 kHz, two packets a page), and by sphn 0.2.1's OpusStreamWriter(24000).
RECORDINGS = Path(__file__).parent / "recordings"


def raw_page(
    lacing: bytes, body: bytes, number: int, granule: int, *, flags: int = 0, serial: int = 7, version: int = 0
) -> bytes:
    """One page as its lacing says."""
    blank = HEADER.pack(b"OggS", version, flags, granule, serial, number, 0, len(lacing)) + lacing + body
    return blank[:22] + struct.pack("<L", page_checksum(blank)) + blank[26:]


def page(packets: Sequence[bytes], number: int = 0, granule: int = 0, *, flags: int = 0, serial: int = 7) -> bytes:
    """One page with these whole packets."""
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    return raw_page(lacing, b"".join(packets), number, granule, flags=flags, serial=serial)


def head(
    *,
    channels: int = 1,
    pre_skip: int = 0,
    gain: int = 0,
    family: int = 0,
    version: int = 1,
    magic: bytes = b"OpusHead",
) -> bytes:
    return HEAD.pack(magic, version, channels, pre_skip, 48_000, gain, family)


def tags(vendor: bytes = b"hand") -> bytes:
    return b"OpusTags" + struct.pack("<L", len(vendor)) + vendor + bytes(4)


def pages(
    packets: Sequence[bytes], *, a_page: int = 5, serial: int = 7, first: bytes | None = None, vendor: bytes = b"hand"
) -> list[bytes]:
    """A whole stream of packets of 20 ms, so many on a page."""
    made = [page([first or head()], 0, flags=BEGINS, serial=serial), page([tags(vendor)], 1, serial=serial)]
    for start in range(0, len(packets), a_page):
        some = packets[start : start + a_page]
        flags = ENDS if start + a_page >= len(packets) else 0
        made.append(page(some, len(made), 960 * (start + len(some)), flags=flags, serial=serial))
    return made


def resealed(data: bytes) -> bytes:
    """The same bytes, with the right checksum wherever a whole page seems to stand."""
    out = bytearray(data)
    at = out.find(b"OggS")
    while at >= 0:
        lacing = out[at + HEADER.size :][: out[at + HEADER.size - 1]] if len(out) >= at + HEADER.size else b""
        end = at + HEADER.size + len(lacing) + sum(lacing)
        if at + HEADER.size < end <= len(out):
            out[at + 22 : at + 26] = struct.pack("<L", page_checksum(bytes(out[at:end])))
        at = out.find(b"OggS", at + 4)
    return bytes(out)


def stream(seconds: float = 1.0, hertz: float = 440.0) -> list[bytes]:
    """The pages of a tone."""
    return pages(opus_packets(tone(seconds, hertz)))


def by_ffmpeg(samples: npt.NDArray[np.int16], rate: int = 48_000, **options: str) -> bytes:
    """A whole stream of (channels, n) samples, as FFmpeg makes it."""
    file = io.BytesIO()
    layout = "stereo" if samples.shape[0] == 2 else "mono"
    with av.open(file, "w", format="ogg", options=options) as container:
        encoder = container.add_stream("libopus", rate=rate, layout=layout)
        interleaved = np.ascontiguousarray(samples.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(interleaved, format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        container.mux([*encoder.encode(frame), *encoder.encode(None)])
    return file.getvalue()


HEADERS = [page([head()], 0, flags=BEGINS), page([tags()], 1)]
