"""Ogg Opus as a socket brings it, to PCM: pages (RFC 3533) of Opus (RFC 7845); the Opus itself is left to voice.py.

The bytes come in pieces of any length, and a page is decoded as soon as it is whole. At most one page, one packet and
what was fed last are kept, whatever comes. A stream may be followed by another one (chaining).

What is done for a stream is bounded by the audio in it, which its reader takes at its own pace: pages and packets of
which no audio comes cost no less, and nobody else is served meanwhile.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from media.codecs import LONGEST_OPUS, OPUS, PCM, opus_samples
from media.errors import BadMedia
from media.voice import OpusDecoder, Voice

MAGIC = b"OggS"
HEADER = struct.Struct("<4sBBqLLLB")  # magic, version, flags, granule, serial, number, checksum, segments
CHECKSUM_AT = 22
CONTINUED, BEGINS, ENDS = 1, 2, 4  # flags
UNKNOWN = -1  # the granule of a page on which no packet ends

HEAD = struct.Struct("<8sBBHLhB")  # OpusHead, version, channels, pre-skip, rate, gain, mapping family
CLOCK = OPUS.clock_rate  # of granules and of the pre-skip
LONGEST_PACKET = 61_440  # bytes, RFC 7845 section 6
LONGEST_TAGS = 1 << 20  # bytes of comments: room for a cover
LONGEST_HOLE = 5 * CLOCK  # lost pages are concealed for at most so long, as in a call
PACKETS_AT_ONCE = 8  # decoded before they are handed on: at most 0.96 s
# Pages and packets of which no audio came: headers, comments, the longest pre-skip in the shortest packets.
MOST_IDLE = 1_000
IDLE_A_SECOND = 200  # and so many more for each second of audio, as in a chain of many short streams
# Encoders that announce a pre-skip of 80 ms and put nothing in front of the audio: opus-recorder, in every browser
# client of Kyutai's, and sphn. What they say first would be lost, and every time would be 80 ms early.
UNTRUE_PRE_SKIP = (b"RecorderJS", b"KyutaiMoshi")
LOOKAHEAD = 312  # samples that libopus really is behind

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class OggOpus:
    """One sender's Ogg Opus to mono PCM at `rate`. `decoder`: as in Voice. Raises BadMedia where it cannot read on, and
    is of no use after that. What is damaged inside a page that is whole, and pages that are missing, are concealed and
    counted in `damaged`."""

    def __init__(self, rate: int, decoder: OpusDecoder = "auto") -> None:
        self._rate = rate
        self._decoder = decoder
        self._pages = Pages()
        self._link: _Link | None = None
        self._damaged_before = 0  # in the links that have ended
        self._idle = 0  # pages and packets of which no audio came
        self._samples = 0  # given so far

    @property
    def damaged(self) -> int:
        """Packets that could not be decoded, and pages that were missing."""
        return self._damaged_before + (self._link.damaged if self._link is not None else 0)

    def feed(self, data: bytes) -> Iterator[PCM]:
        """The audio that is whole with these bytes, in pieces of less than a second. Each is decoded when it is asked
        for, since a few bytes may hold hours of silence, so it is to be read to its end before more is fed. Raises
        BadMedia on the way."""
        self._pages.feed(data)
        return self._decoded()

    def _decoded(self) -> Iterator[PCM]:
        while (page := self._pages.next()) is not None:
            before = self._samples
            for pcm in self._read(page):
                self._samples += pcm.size
                yield pcm
            if self._samples == before:
                self._count_idle(page)

    def _read(self, page: "Page") -> Iterator[PCM]:
        if page.flags & BEGINS:
            self._damaged_before = self.damaged
            self._link = _Link(page, self._decoder, self._rate)
            return iter(())
        if self._link is None or page.serial != self._link.serial:
            raise BadMedia("damaged", "The Ogg stream does not begin with its first page: send it from its start.")
        return self._link.read(page)

    def _count_idle(self, page: "Page") -> None:
        self._idle += 1 + page.packets
        if self._idle > MOST_IDLE + IDLE_A_SECOND * self._samples / self._rate:
            raise BadMedia("damaged", "The Ogg stream has many pages and hardly any audio: send it as it was encoded.")


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page. `granule`: samples at 48 kHz up to the end of the last packet that ends on it."""

    flags: int
    granule: int
    serial: int
    number: int
    lacing: bytes
    body: bytes

    @property
    def continued(self) -> bool:
        """Whether it begins in the middle of a packet."""
        return bool(self.flags & CONTINUED)

    @property
    def packets(self) -> int:
        """Those that end on it."""
        return len(self.lacing) - self.lacing.count(255)


class Pages:
    """Bytes of any length to whole pages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Add the next bytes."""
        self._buffer += data

    def next(self) -> Page | None:
        """The next page, or None while it is not whole. Raises BadMedia."""
        buffer = self._buffer
        if not MAGIC.startswith(buffer[: len(MAGIC)]):
            raise BadMedia("unknown_format", "This is not an Ogg stream: send Opus in Ogg, from its first page on.")
        if len(buffer) < HEADER.size:
            return None
        _, version, flags, granule, serial, number, checksum, segments = HEADER.unpack_from(buffer)
        if version != 0:
            raise BadMedia("unsupported", f"Ogg version {version} is not known: send version 0.")
        start = HEADER.size + segments
        lacing = bytes(buffer[HEADER.size : start])
        end = start + sum(lacing)
        if len(lacing) < segments or len(buffer) < end:
            return None
        whole = bytes(buffer[:end])
        if checksum != page_checksum(whole):
            raise BadMedia("damaged", "The checksum of an Ogg page is wrong: send the bytes as the encoder gives them.")
        del buffer[:end]
        return Page(flags, granule, serial, number, lacing, whole[start:])


def page_checksum(page: bytes) -> int:
    """The checksum that belongs into a page (RFC 3533 section 6, item 7): zlib's polynomial, with the bits of every
    byte the other way round, and without its inversions."""
    blank = page[:CHECKSUM_AT] + bytes(4) + page[CHECKSUM_AT + 4 :]
    mirrored = zlib.crc32(blank.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_REVERSED), "big")


@dataclass(frozen=True, slots=True)
class Head:
    """What is used of an OpusHead packet (RFC 7845 section 5.1)."""

    pre_skip: int  # samples at 48 kHz
    gain: float  # a factor

    @classmethod
    def parse(cls, packet: bytes) -> Self:
        """Raises BadMedia."""
        if not packet.startswith(b"OpusHead"):
            raise BadMedia("unsupported", f"The Ogg stream holds {_codec_of(packet)}: send Opus.")
        if len(packet) < HEAD.size:
            raise BadMedia("damaged", "The OpusHead packet is cut off: send the bytes as the encoder gives them.")
        _, version, channels, pre_skip, _, gain, family = HEAD.unpack_from(packet)
        if version >> 4:  # only the upper half says that what follows has another form
            raise BadMedia("unsupported", f"Version {version} of OpusHead is not known: send version 1.")
        if family != 0 or channels not in (1, 2):
            raise BadMedia("unsupported", f"{channels} channels of mapping family {family}: send mono or stereo Opus.")
        return cls(pre_skip, 10 ** (gain / 256 / 20))


def _codec_of(packet: bytes) -> str:
    """The name of what begins with this packet and is not Opus."""
    names = {b"\x01vorbis": "Vorbis", b"\x7fFLAC": "FLAC", b"Speex": "Speex", b"\x80theora": "Theora video"}
    return next((name for magic, name in names.items() if packet.startswith(magic)), "something other than Opus")


class Packets:
    """Pages in order to the packets on them. `longest`: bytes that a packet may have. `lost`: packets without their
    beginning or their end."""

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self.lost = 0
        self._part = bytearray()  # of a packet that goes on on the next page
        self._goes_on = False

    def ended_on(self, page: Page) -> list[bytes]:
        """The packets that end on the page. Raises BadMedia."""
        fragments = list(_fragments(page))
        if page.continued and not self._goes_on:
            self.lost += len(fragments[:1])
            del fragments[:1]
        elif self._goes_on and not page.continued:
            self.forget()
        packets = []
        for fragment, ends in fragments:
            self._add(fragment)
            self._goes_on = not ends
            if ends:
                packets.append(bytes(self._part))
                self._part.clear()
        return packets

    def forget(self) -> None:
        """The rest of an unfinished packet will not come."""
        self.lost += self._goes_on
        self._goes_on = False
        self._part.clear()

    def _add(self, fragment: bytes) -> None:
        if len(self._part) + len(fragment) > self.longest:
            raise BadMedia(
                "damaged", f"No packet of Opus in Ogg has more than {self.longest} bytes: send smaller ones."
            )
        self._part += fragment


def _fragments(page: Page) -> Iterator[tuple[bytes, bool]]:
    """The parts of packets on a page, and whether each of them is the packet's last (RFC 3533 section 5)."""
    start = end = 0
    for size in page.lacing:
        end += size
        if size < 255:
            yield page.body[start:end], True
            start = end
    if page.lacing[-1:] == b"\xff":
        yield page.body[start:end], False


class _Link:
    """One stream of a chain, from its first page on. Lengths are in samples at 48 kHz, if nothing else is said."""

    def __init__(self, first: Page, decoder: OpusDecoder, rate: int) -> None:
        head = Head.parse(first.body)
        self.serial = first.serial
        self._number = first.number
        self._decoder = decoder
        self._opened: Voice | None = None  # once there is a packet: it costs more than a page that only begins a stream
        self._rate = rate
        self._gain = head.gain
        self._skip = self._at_rate(head.pre_skip)  # samples at the rate that are still to be left out
        self._packets = Packets(LONGEST_TAGS)
        self._tagged = False  # the comments came
        self._granule: int | None = None  # where the last page with audio ended
        self._usual = CLOCK // 50  # the length of the last packet that told it
        self._lost = 0  # pages, and packets without a byte

    @property
    def damaged(self) -> int:
        failures = self._opened.failures if self._opened else 0
        return failures + self._packets.lost + self._lost

    @property
    def _voice(self) -> Voice:
        self._opened = self._opened or Voice(OPUS, self._rate, self._decoder)
        return self._opened

    def read(self, page: Page) -> Iterator[PCM]:
        """The audio of the packets that end on the next page."""
        is_next = page.number == (self._number + 1) & 0xFFFFFFFF
        self._number = page.number
        if not is_next:
            self._lost += 1
            self._packets.forget()
        packets = self._audio(self._packets.ended_on(page))
        if packets:
            lengths = [self._length(packet) for packet in packets]
            start, self._granule = self._granule, self._end(page, sum(lengths))
            if start is not None and not is_next:
                yield from self._conceal(self._granule - sum(lengths) - start)
            yield from self._decode(packets, lengths, self._wanted(page, start or 0, sum(lengths)))

    def _audio(self, packets: list[bytes]) -> list[bytes]:
        """The packets without the one that holds the comments."""
        if self._tagged or not packets:
            return packets
        self._tagged = True
        self._packets.longest = LONGEST_PACKET
        if not packets[0].startswith(b"OpusTags"):
            return packets  # the page with the comments is missing
        vendor = packets[0][12:32]  # after the magic and the name's length
        if vendor.startswith(UNTRUE_PRE_SKIP):
            self._skip = min(self._skip, self._at_rate(LOOKAHEAD))
        return packets[1:]

    def _length(self, packet: bytes) -> int:
        """What the packet says, or as much as the one before it."""
        self._usual = opus_samples(packet) or self._usual
        return self._usual

    def _end(self, page: Page, length: int) -> int:
        return page.granule if page.granule != UNKNOWN else (self._granule or 0) + length

    def _wanted(self, page: Page, start: int, length: int) -> int:
        """How much of the page's audio counts: the end of the last one may be cut off (RFC 7845 section 4.5)."""
        if not page.flags & ENDS or page.granule == UNKNOWN:
            return length
        return min(length, max(0, page.granule - start))

    def _conceal(self, missing: int) -> Iterator[PCM]:
        """What stands for pages that are missing."""
        missing = min(missing, LONGEST_HOLE)
        for start in range(0, missing, LONGEST_OPUS):
            yield from self._kept(self._voice.conceal(self._at_rate(min(LONGEST_OPUS, missing - start))))

    def _decode(self, packets: list[bytes], lengths: list[int], wanted: int) -> Iterator[PCM]:
        left = self._at_rate(wanted)
        for start in range(0, len(packets), PACKETS_AT_ONCE):
            if left <= 0:
                return  # what is behind the end is not heard
            some = slice(start, start + PACKETS_AT_ONCE)
            pcm = np.concatenate([*map(self._packet, packets[some], lengths[some])])[:left]
            left -= pcm.size
            yield from self._kept(pcm)

    def _packet(self, packet: bytes, length: int) -> PCM:
        if packet:
            return self._voice.decode(packet, length)
        self._lost += 1
        return self._voice.conceal(self._at_rate(length))

    def _kept(self, pcm: PCM) -> Iterator[PCM]:
        """The audio after the pre-skip, as loud as the head says."""
        kept = pcm[self._skip :]
        self._skip -= pcm.size - kept.size
        if kept.size:
            yield kept if self._gain == 1 else np.clip(kept * np.float32(self._gain), -1, 1)

    def _at_rate(self, samples: int) -> int:
        return samples * self._rate // CLOCK
