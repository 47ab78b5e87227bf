"""Files that nobody should send: made here, by name. What becomes of each is in hostile.txt."""

import gzip
import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable

import numpy as np

from tests.media.caller import tone
from tests.media.files import FLOAT, encoded, long_ogg, of_unknown_length, silent_film, wav
from tests.media.oggs import by_ffmpeg, head, page, tags

NONE = np.zeros(0, np.int16)


def nested() -> bytes:
    """Boxes of an mp4 within one another, ten thousand deep."""
    boxes = b"".join((8 * (10_000 - depth)).to_bytes(4, "big") + b"moov" for depth in range(10_000))
    return b"\x00\x00\x00\x10ftypisom\x00\x00\x00\x00" + boxes


def big_cover() -> bytes:
    """An mp3 that begins with a tag that claims 256 MB."""
    return b"ID3\x04\x00\x00\x7f\x7f\x7f\x7fAPIC" + encoded("mp3", "libmp3lame")


def big_table() -> bytes:
    """An mp4 whose table of samples claims four billion entries."""
    data = encoded("mp4", "aac")
    at = data.index(b"stsz") + 12
    return data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :]


def elsewhere() -> bytes:
    """An mp4 whose audio is said to be in another file."""
    data = encoded("mp4", "aac")
    at = data.index(b"url ")
    return data[:at] + b"url \x00\x00\x00\x00/etc/hostname\x00" + data[at + 8 :]


def encrypted() -> bytes:
    """An mp4 with common encryption, and without its key."""
    key = {"encryption_key": "76a6c65c5ea762046bd749a2e632ccbb", "encryption_kid": "a7e61c373e219033c21091fa607bf3b8"}
    return encoded("mp4", "aac", options={"encryption_scheme": "cenc-aes-ctr", **key})


def bought() -> bytes:
    """An m4a as a shop sold them, with a scheme of its own."""
    data = encoded("mp4", "aac", np.random.default_rng(2).integers(-9_000, 9_000, 48_000, np.int16))
    at = data.index(b"mdat") + 4
    size = int.from_bytes(data[at - 8 : at - 4], "big") - 8
    return (data[:at] + np.random.default_rng(3).bytes(size) + data[at + size :]).replace(b"mp4a", b"drms")


def hours(seconds: int) -> bytes:
    """A FLAC file of a second that says it is this long: 36 bits of its STREAMINFO (RFC 9639 section 8.2)."""
    data = bytearray(encoded("flac", "flac", np.zeros(48_000, np.int16)))
    kept = int.from_bytes(data[21:26], "big") & ~(2**36 - 1)
    data[21:26] = (kept | seconds * 48_000).to_bytes(5, "big")
    return bytes(data)


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("talk.wav", bytes(10_000_000))
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../../talk.wav"))
    return file.getvalue()


def header(**fields: int) -> bytes:
    """A WAV file with one of these fields of its form as they should not be."""
    data = bytearray(wav(tone(0.1)))
    for name, value in fields.items():
        at, form = {"codec": (20, "<H"), "channels": (22, "<H"), "rate": (24, "<L"), "bits": (34, "<H")}[name]
        struct.pack_into(form, data, at, value)
    return bytes(data)


HOSTILE: dict[str, Callable[[], bytes]] = {
    # no file
    "nothing": lambda: b"",
    "one byte": lambda: b"x",
    "zeros": lambda: bytes(50_000),
    "noise": lambda: np.random.default_rng(1).bytes(50_000),
    # no audio
    "a web page": lambda: b"<!doctype html><title>404</title>" * 50,
    "a drawing": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>" * 20,
    "JSON": lambda: json.dumps({"audio": "x" * 500}).encode(),
    "a PDF": lambda: b"%PDF-1.7\n" + bytes(500),
    "a session description": lambda: b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nm=audio 40000 RTP/AVP 0\r\n",
    "a playlist": lambda: b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "a list of files": lambda: b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    "subtitles": lambda: b"WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n",
    "a text of a phone": lambda: "Grüße".encode("utf-16") * 100,
    "a zip bomb": zipped,
    "a tar archive": tarred,
    "a gzipped recording": lambda: gzip.compress(wav(tone(0.5)), mtime=0),
    "a program": lambda: b"\x7fELF\x02\x01\x01" + bytes(500),
    "a picture": lambda: b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x10\x00\x00\x00\x10\x00\x08\x06" * 20,
    "notes for a synthesizer": lambda: b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x00`MTrk\x00\x00\x00\x04\x00\xff/\x00",
    "a film without sound": silent_film,
    # no audio in it
    "a WAV without samples": lambda: wav(NONE),
    "one sample": lambda: wav(np.zeros(1, np.int16)),
    "an Ogg of headers": lambda: page([head()], 0, flags=2) + page([tags()], 1, flags=4),
    "a tag and nothing else": lambda: b"ID3\x04\x00\x00\x00\x00\x00\x0aTIT2\x00\x00\x00\x00\x00\x00",
    # cut off
    "a truncated mp4": lambda: encoded("mp4", "aac")[:8_000],
    "a truncated webm": lambda: encoded("webm", "libopus")[:60],
    "a truncated flac": lambda: encoded("flac", "flac")[:20],
    "half an mp3": lambda: (data := encoded("mp3", "libmp3lame"))[: len(data) // 2],
    "half an Ogg": lambda: (data := encoded("ogg", "libopus"))[: len(data) // 2],
    "half a gigabyte that is not there": lambda: wav(tone(0.1), size=1 << 29),
    # a form that nobody has
    "no channel": lambda: header(channels=0),
    "9 channels": lambda: wav(np.zeros((9_000, 9), np.int16)),
    "65535 channels": lambda: header(channels=65_535),
    "8 channels at 192 kHz": lambda: wav(np.zeros((40_000, 8), np.int16), rate=192_000),
    "0 Hz": lambda: header(rate=0),
    "1 Hz": lambda: wav(np.zeros(90_000, np.int16), rate=1),
    "384 kHz": lambda: wav(np.zeros(90_000, np.int16), rate=384_000),
    "four billion Hz": lambda: header(rate=0xFFFFFFFF),
    "no bit": lambda: header(bits=0),
    "an unknown codec": lambda: header(codec=0xBEEF),
    "no numbers": lambda: wav(np.full(9_000, np.nan, np.float32), kind=FLOAT),
    "10 ms": lambda: wav(tone(0.01)),
    # encrypted
    "an encrypted mp4": encrypted,
    "bought music": bought,
    # too much
    "six hours, as it says": lambda: hours(6 * 3_600),
    "two hours of Ogg": lambda: long_ogg(7_200),
    "a bomb that does not tell its length": lambda: of_unknown_length(
        encoded("flac", "flac", np.zeros(60 * 48_000, np.int16))
    ),
    "a deep mp4": nested,
    "a tag without an end": big_cover,
    "a table without an end": big_table,
    "a thousand recordings in a row": lambda: by_ffmpeg(tone(0.02)[None]) * 1_000,
    "a rate that changes all the time": lambda: b"".join(
        encoded("adts", "aac", tone(0.1, rate=rate), rate=rate) for rate in (8_000, 48_000, 16_000, 44_100) * 10
    ),
    # something else, too
    "a reference to another file": elsewhere,
    "a page that is a WAV": lambda: wav(np.frombuffer(b"<script>alert(1)</script> " * 500, np.int16)),
}
