"""Packets read from datagrams, and counters that no longer wrap."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.rtp import Arrival, Widener, parse


def header(first: int = 0x80, second: int = 111) -> bytes:
    return struct.pack("!BBHII", first, second, 7, 960, 42)


def test_a_plain_packet_is_read() -> None:
    assert parse(header(second=0x80 | 111) + b"voice") == Arrival(42, 111, 7, 960, b"voice")


def test_sources_extension_and_padding_are_left_out() -> None:
    sources = bytes(8)
    extension = b"\xbe\xde\x00\x01" + bytes(4)
    assert parse(header(0x80 | 0x20 | 0x10 | 2) + sources + extension + b"voice" + b"\x00\x00\x03").payload == b"voice"


@pytest.mark.parametrize(
    ("datagram", "fault"),
    [
        (b"", "shorter"),
        (header()[:11], "shorter"),
        (header(0x40), "version"),
        (header(0x82) + bytes(4), "CSRC"),
        (header(0x90) + bytes(3), "extension header"),
        (header(0x90) + b"\xbe\xde\x00\x02" + bytes(4), "truncated extension"),
        (header(0xA0) + b"\x00", "padding"),
        (header(0xA0) + b"\x09", "padding"),
    ],
)
def test_a_broken_packet_is_named(datagram: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        parse(datagram)


@given(st.binary(max_size=64))
def test_any_bytes_are_a_packet_or_a_value_error(datagram: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert len(parse(datagram).payload) <= len(datagram) - 12


@given(st.integers(0, 2**40), st.lists(st.integers(-30_000, 30_000), max_size=50), st.sampled_from([16, 32]))
def test_a_wide_counter_moves_as_the_true_one(start: int, moves: list[int], bits: int) -> None:
    true, widener = start, Widener(bits)
    offset = true - widener.widen(true % 2**bits)
    for move in moves:
        true += move
        assert widener.peek(true % 2**bits) + offset == true
        assert widener.widen(true % 2**bits) + offset == true
