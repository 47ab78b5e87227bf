"""Decodes one file, in a process of its own: the far side of container.py.

It is started as `python -m media.container_child RATE SECONDS MEMORY CPU`. The file is its standard input. On its
standard output come records: first what is in the file, then audio, and at last how it ended or why it cannot go on.
Before it reads a byte it gives up what it does not need: memory, time, and every further file or socket. It imports as
little as it can, since a caller waits for it to start.
"""

import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterator
from typing import BinaryIO, TypedDict

import av
import av.filter
import av.subtitles.codeccontext  # PyAV would import them when a file has subtitles, and can open no file by then
import av.subtitles.stream
from av.stream import Discard

RECORD = struct.Struct("<cL")  # its kind, and the bytes that follow
ABOUT, AUDIO, END, REFUSED = b"i", b"a", b"e", b"r"  # JSON, float32, JSON, JSON

SLOWEST, FASTEST = 4_000, 192_000  # Hz
MOST_CHANNELS = 8
PIECE = 0.5  # seconds of audio in one record
GAP = 0.1  # seconds between two frames that are more than careless timestamps
LONGEST_GAP = 60.0  # seconds of silence for one gap
PADDING = 0.5  # seconds by which a file may be too long: encoders fill up what they begin with and end with
NICENESS = 10  # a live call comes before a file

SEND = "send flac, mp3, mp4, m4a, mpeg, mpga, ogg, wav, webm, aac, aiff or caf"
# FFmpeg's names. Nothing here opens other files, or the network: no playlists, no lists of files, no SDP.
FORMATS = ("wav", "w64", "flac", "mp3", "ogg", "matroska", "mov", "aac", "aiff", "caf", "au", "mpeg")
GUESS_LENGTH = {"mp3", "aac", "mpeg"}  # what FFmpeg tells of their length is taken from their first frames
UNTIMED = {"mp3", "aac"}  # FFmpeg makes up their times from the rate of the first frame, which others need not have
CODECS = (
    *("aac", "aac_latm", "ac3", "alac", "amrnb", "amrwb", "eac3", "flac", "gsm_ms", "libopencore_amrnb", "libopus"),
    *("libopencore_amrwb", "libspeex", "libvorbis", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "opus", "speex"),
    *("vorbis", "wavpack", "adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "pcm_alaw", "pcm_mulaw", "pcm_s8", "pcm_u8"),
    *(f"pcm_{kind}{end}" for kind in ("s16", "s24", "s32", "f32", "f64") for end in ("le", "be")),
)
OPTIONS = {
    "format_whitelist": ",".join(FORMATS),
    "codec_whitelist": ",".join(CODECS),  # also of what looks into the streams to see what they are
    "protocol_whitelist": "none",  # the file is handed over open
}
# How a file begins that is audio, though FFmpeg cannot open it; and how what is no audio does.
AUDIO_BEGINS = (
    b"RIFF",
    b"fLaC",
    b"OggS",
    b"\x1aE\xdf\xa3",
    b"ID3",
    b"FORM",
    b"caff",
    b".snd",
    b"\xff\xfb",
    b"\xff\xf1",
)
OTHERS_BEGIN = (
    (b"<", "a web page, not audio"),
    (b"#EXTM3U", "a playlist, not audio"),
    (b"v=0", "a session description, not audio"),
    (b"{", "JSON, not audio"),
    (b"PK\x03\x04", "a zip archive, not audio"),
    (b"%PDF", "a PDF, not audio"),
)


class Refused(Exception):
    """The file will not be decoded, or no further. Code and sentence as in BadMedia."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class About(TypedDict):
    """What is in a file. `duration`: seconds, where the file tells it."""

    container: str
    codec: str
    rate: int
    channels: int
    duration: float | None


def main() -> None:
    """The process, from its first line to its exit status."""
    rate, memory, cpu = int(sys.argv[1]), int(sys.argv[3]), int(sys.argv[4])
    out = os.fdopen(1, "wb")
    confine(memory, cpu)
    try:
        for kind, payload in records(File(0), rate, float(sys.argv[2])):
            _write(out, kind, payload)
    except Refused as error:
        _write(out, REFUSED, _json(code=error.code, message=str(error)))
    except MemoryError:
        message = "The file needs too much memory to decode: send it in another format."
        _write(out, REFUSED, _json(code="too_costly", message=message))


def confine(memory: int, cpu: int) -> None:
    """Give up all that is not needed, for good. `memory`: bytes; `cpu`: seconds."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)  # they may reach the whole group, and the parent drains first
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # nobody listens any more: end at once
    os.nice(NICENESS)
    _limit(resource.RLIMIT_CPU, cpu)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, 3)  # the three that are open: no file and no socket besides
    if sys.platform != "darwin":  # which has no such limit
        _limit(resource.RLIMIT_AS, memory)


def _limit(kind: int, most: int) -> None:
    _, highest = resource.getrlimit(kind)
    if highest != resource.RLIM_INFINITY:
        most = min(most, highest)  # whoever started the server has set a lower one
    resource.setrlimit(kind, (most, most))


def records(file: "File", rate: int, seconds: float) -> Iterator[tuple[bytes, bytes]]:
    """All that there is to say about the file, record by record. Raises Refused and MemoryError."""
    with _opened(file) as container:
        stream = container.streams.best("audio")
        if not isinstance(stream, av.AudioStream):
            raise Refused("no_audio", f"There is no audio in the file: {SEND}.")
        codec: av.AudioCodecContext | None = stream.codec_context
        if codec is None or codec.name not in CODECS:
            name = "The audio's codec" if codec is None else codec.name
            raise Refused("unsupported", f"{name} is not decoded here: {SEND}.")
        about = _about(container, stream)
        _check(about, seconds)
        yield ABOUT, _json(**about)
        decoding = Decoding(container, stream, rate)
        most = left = int((seconds + PADDING) * rate)
        for payload in decoding.pieces():
            left -= len(payload) // 4
            if left < 0:
                raise _too_long(seconds)
            yield AUDIO, payload
        if left == most:
            raise Refused("no_audio", f"No audio in the file can be decoded: {SEND}.")
        yield END, _json(damaged=decoding.damaged)


class File:
    """An open file, read from its beginning, whoever else reads it. What PyAV wants of a file, and without a name."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at = 0

    def read(self, size: int) -> bytes:
        """The next bytes."""
        data = os.pread(self._descriptor, size, self._at)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go on elsewhere."""
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: os.fstat(self._descriptor).st_size}
        self._at = max(0, bases[whence] + offset)
        return self._at

    def tell(self) -> int:
        """Where it reads next."""
        return self._at

    def beginning(self) -> bytes:
        """The first bytes."""
        return os.pread(self._descriptor, 64, 0)


class Decoding:
    """The audio of one stream. `damaged`: packets that could not be decoded."""

    def __init__(self, container: "av.container.InputContainer", stream: av.AudioStream, rate: int) -> None:
        for other in container.streams:
            if other is not stream:
                other.discard = Discard.all
        stream.codec_context.thread_count = 1
        self.damaged = 0
        self._packets = container.demux(stream)
        self._context = stream.codec_context
        self._rate = rate
        self._timed = container.format.name not in UNTIMED
        start: int | None = container.start_time
        self._end = None if start is None else start / av.time_base  # of the last frame, seconds

    def pieces(self) -> Iterator[bytes]:
        """Mono float32 at the rate, with silence where the timestamps leave a gap."""
        mixer: Mixer | None = None
        for frame in self._frames():
            gap = self._gap_before(frame)
            if mixer is not None and (gap or not mixer.takes(frame)):
                yield from mixer.push(None)
                mixer = None
            yield from _silence(round(gap * self._rate), self._rate)
            mixer = mixer or Mixer(frame, self._rate)
            yield from mixer.push(frame)
        if mixer is not None:
            yield from mixer.push(None)

    def _frames(self) -> Iterator[av.AudioFrame]:
        while True:
            try:
                packet = next(self._packets, None)
            except av.FFmpegError as error:  # the rest cannot be read, as in a file that is cut off
                self._damage(error)
                packet = None
            yield from self._decode(packet)
            if packet is None or packet.size == 0:
                return

    def _decode(self, packet: "av.Packet[av.AudioStream] | None") -> Iterator[av.AudioFrame]:
        try:
            yield from self._context.decode(packet)
        except av.EOFError:
            return  # it was told twice that this was the last packet
        except av.FFmpegError as error:
            self._damage(error)

    def _damage(self, error: av.FFmpegError) -> None:
        if isinstance(error, MemoryError):
            raise error
        self.damaged += 1

    def _gap_before(self, frame: av.AudioFrame) -> float:
        """Seconds between the end of the last frame and this one, where they are more than a careless timestamp."""
        if not self._timed:
            return 0.0
        end, pts, unit = self._end, frame.pts, frame.time_base
        start = end if pts is None or unit is None else float(pts * unit)
        self._end = None if start is None else start + frame.samples / frame.sample_rate
        gap = 0.0 if start is None or end is None else start - end
        return min(gap, LONGEST_GAP) if gap > GAP else 0.0


class Mixer:
    """Frames of one form, mixed down, all channels alike, and resampled."""

    def __init__(self, like: av.AudioFrame, rate: int) -> None:
        """Raises Refused for a form that is not served."""
        channels = like.layout.nb_channels
        _check_form(like.sample_rate, channels)
        self._form = _form(like)
        self._graph = graph = av.filter.Graph()
        graph.link_nodes(
            graph.add_abuffer(
                sample_rate=like.sample_rate, format=like.format, layout=like.layout, time_base=like.time_base
            ),
            graph.add("pan", "mono|c0=" + "+".join(f"{1 / channels}*c{channel}" for channel in range(channels))),
            graph.add("aresample", str(rate)),
            graph.add("aformat", "sample_fmts=flt"),
            graph.add("asetnsamples", f"n={int(PIECE * rate)}:p=0"),
            graph.add("abuffersink"),
        ).configure()

    def takes(self, frame: av.AudioFrame) -> bool:
        """Whether the frame has the form that this one was made for."""
        return _form(frame) == self._form

    def push(self, frame: av.AudioFrame | None) -> Iterator[bytes]:
        """What is ready with this frame; with None, the rest."""
        self._graph.push(frame)
        while True:
            try:
                mixed = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(mixed, av.AudioFrame)
            yield bytes(memoryview(mixed.planes[0])[: 4 * mixed.samples])


def _form(frame: av.AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.format.name, frame.layout.name


def _silence(samples: int, rate: int) -> Iterator[bytes]:
    piece = int(PIECE * rate)
    for start in range(0, samples, piece):
        yield bytes(4 * min(piece, samples - start))


def _opened(file: File) -> "av.container.InputContainer":
    try:
        return av.open(file, "r", options=OPTIONS, metadata_errors="replace")
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError):
        raise _unreadable(file.beginning()) from None


def _unreadable(beginning: bytes) -> Refused:
    if beginning.startswith(AUDIO_BEGINS) or beginning[4:8] == b"ftyp":
        return Refused("damaged", "The file is cut off or damaged: send all of it, or record it again.")
    text = beginning.lstrip(b"\xef\xbb\xbf \t\r\n")
    kind = next((kind for magic, kind in OTHERS_BEGIN if text.startswith(magic)), "in no format that is known here")
    return Refused("unknown_format", f"The file is {kind}: {SEND}.")


def _about(container: "av.container.InputContainer", stream: av.AudioStream) -> About:
    duration: float | None = None
    if stream.duration is not None and stream.time_base is not None:
        duration = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        duration = container.duration / av.time_base
    context = stream.codec_context
    return About(
        container=container.format.name,
        codec=context.codec.canonical_name,
        rate=context.sample_rate,
        channels=context.layout.nb_channels,
        duration=duration,
    )


def _check(about: About, seconds: float) -> None:
    """Raises Refused for what is not to be decoded at all."""
    _check_form(about["rate"], about["channels"])
    duration = about["duration"]
    if duration is not None and duration > seconds + PADDING and about["container"] not in GUESS_LENGTH:
        raise _too_long(seconds)


def _check_form(rate: int, channels: int) -> None:
    if not SLOWEST <= rate <= FASTEST:
        raise Refused("unsupported", f"The audio has {rate} samples a second: send {SLOWEST} to {FASTEST}.")
    if not 1 <= channels <= MOST_CHANNELS:
        raise Refused("unsupported", f"The audio has {channels} channels: send 1 to {MOST_CHANNELS}.")


def _too_long(seconds: float) -> Refused:
    return Refused("too_long", f"The audio is longer than {seconds:g} seconds: send it in parts.")


def _json(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def _write(out: BinaryIO, kind: bytes, payload: bytes) -> None:
    out.write(RECORD.pack(kind, len(payload)) + payload)
    out.flush()


if __name__ == "__main__":
    main()
