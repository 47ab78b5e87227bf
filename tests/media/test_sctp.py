"""SCTP packets that must not be read, and those that must."""

import struct
from collections.abc import Callable
from typing import Any

import pytest
from aiortc import rtcsctptransport as aiortc
from hypothesis import given
from hypothesis import strategies as st

from media.sctp import FARTHEST_GAP, check

HEADER = bytes(12)
CHUNKS = aiortc.CHUNK_CLASSES


def chunk(kind: int, body: bytes) -> bytes:
    """One chunk with the length that it has."""
    return struct.pack("!BBH", kind, 0, 4 + len(body)) + body + bytes(-len(body) % 4)


def sack(*gaps: tuple[int, int], duplicates: int = 0) -> bytes:
    blocks = b"".join(struct.pack("!HH", *gap) for gap in gaps) + bytes(4 * duplicates)
    return chunk(3, struct.pack("!LLHH", 1, 1, len(gaps), duplicates) + blocks)


def parameter(kind: int, length: int, value: bytes = b"") -> bytes:
    return struct.pack("!HH", kind, length) + value


REFUSED = {
    "nothing": b"",
    "half a header": HEADER,
    "a chunk that is longer than the packet": struct.pack("!BBH", 4, 0, 400) + bytes(8),
    "a chunk that is shorter than its header": struct.pack("!BBH", 4, 0, 3) + bytes(8),
    "data without data": chunk(0, bytes(12)),
    "an init without an end": chunk(1, bytes(15)),
    "an init with company": chunk(1, bytes(16)) + chunk(4, b""),
    "a heartbeat that never ends": chunk(4, parameter(1, 0)),
    "an init that never ends": chunk(1, bytes(16) + parameter(1, 0)),
    "an abort that never ends": chunk(6, parameter(1, 3)),
    "an error that is longer than it is": chunk(9, parameter(1, 9)),
    "a reset without its numbers": chunk(130, parameter(13, 15, bytes(11))),
    "an acknowledgement without an end": chunk(3, bytes(11)),
    "an acknowledgement without its blocks": chunk(3, struct.pack("!LLHH", 1, 1, 2, 0) + bytes(4)),
    "an acknowledgement of everything, often": sack(*[(0, 65_535)] * 290),
    "an acknowledgement of much, twice": sack((1, FARTHEST_GAP), (1, 1)),
    "an acknowledgement backward": sack((3, 2)),
    "a shutdown without its number": chunk(7, b"\x00"),
    "a leap ahead without its number": chunk(192, bytes(2)),
    "a leap ahead with half a stream": chunk(192, bytes(6)),
}
TAKEN: dict[str, Callable[[], aiortc.Chunk]] = {
    "init": lambda: aiortc.InitChunk(0, bytes(16) + parameter(0xC000, 4) + parameter(0x8008, 6, b"\xc0\x82")),
    "cookie": lambda: aiortc.CookieEchoChunk(0, bytes(24)),
    "heartbeat": lambda: aiortc.HeartbeatChunk(0, parameter(1, 12, bytes(8))),
    "reset": lambda: aiortc.ReconfigChunk(0, parameter(13, 18, bytes(14))),
    "forward": lambda: aiortc.ForwardTsnChunk(0, bytes(8)),
    "shutdown": lambda: aiortc.ShutdownChunk(0, bytes(4)),
    "abort": aiortc.AbortChunk,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_not_end_or_cannot_be_read_is_refused(name: str) -> None:
    packet = REFUSED[name] if len(REFUSED[name]) in (0, len(HEADER)) else HEADER + REFUSED[name]
    with pytest.raises(ValueError, match="SCTP"):
        check(packet)


@pytest.mark.parametrize("name", TAKEN)
def test_what_a_client_says_is_taken(name: str) -> None:
    check(aiortc.serialize_packet(5_000, 5_000, 1, TAKEN[name]()))


def test_acknowledgements_and_several_chunks_are_taken() -> None:
    check(HEADER + sack((2, 3), (5, 5), duplicates=2) + chunk(0, bytes(13)) + chunk(99, b"unknown"))


@given(st.binary(max_size=200), st.sampled_from([0, 1, 2, 3, 4, 6, 7, 9, 130, 192]))
def test_aiortc_reads_to_the_end_what_is_taken(body: bytes, kind: int) -> None:
    packet = HEADER + chunk(kind, body)
    try:
        check(packet)
    except ValueError:
        return
    for kind_of_chunk in CHUNKS:
        if kind_of_chunk.type == kind:
            read: Any = kind_of_chunk
            read(0, body)
