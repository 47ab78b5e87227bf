import pytest
from hypothesis import given
from hypothesis import strategies as st

from media import red
from media.red import MOST_BLOCKS, Block, parse, unwrap
from media.rtp import Arrival
from tests.media.redundancy import LONGEST_OFFSET, wrap

blocks = st.builds(
    Block,
    payload_type=st.integers(0, 127),
    offset=st.integers(1, LONGEST_OFFSET - 1),
    payload=st.binary(min_size=1, max_size=1_023),
)
newest = st.builds(Block, payload_type=st.integers(0, 127), offset=st.just(0), payload=st.binary(max_size=1_200))
# What Chromium sends: the packet of 20 ms before, 3 bytes here, then the present one.
CHROMIUM = bytes.fromhex("ef0f0003") + bytes([111]) + b"old" + b"newest"


def test_chromiums_payload_is_the_packet_before_and_the_present_one() -> None:
    assert parse(CHROMIUM) == [Block(111, 960, b"old"), Block(111, 0, b"newest")]


def test_a_repeated_packet_is_counted_back() -> None:
    arrival = Arrival(7, 63, 0, 100, CHROMIUM)
    assert unwrap(arrival) == [
        Arrival(7, 111, 65_535, (100 - 960) % 2**32, b"old"),
        Arrival(7, 111, 0, 100, b"newest"),
    ]


def test_an_empty_repetition_takes_its_place_in_the_counting() -> None:
    payload = wrap([Block(111, 1_920, b"a"), Block(111, 960, b""), Block(111, 0, b"b")])
    assert [packet.sequence_number for packet in unwrap(Arrival(7, 63, 10, 5_000, payload))] == [8, 10]


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (b"", "no primary"),
        (b"\xef\x0f\x00", "truncated block header"),
        (b"\xef\x0f\x00\x03", "no primary"),
        (b"\xef\x0f\x00\x03\x6fol", "truncated block"),
        (b"\xef\x0f\x00\x00" * MOST_BLOCKS + b"\x6f", "too many"),
    ],
)
def test_what_cannot_be_read_is_named(payload: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        parse(payload)


@given(st.lists(blocks, max_size=MOST_BLOCKS - 1), newest)
def test_what_is_wrapped_is_read_again(older: list[Block], last: Block) -> None:
    assert parse(wrap([*older, last])) == [*older, last]


@given(st.lists(blocks, max_size=MOST_BLOCKS - 1), newest)
def test_the_newest_alone_is_the_last_of_all(older: list[Block], last: Block) -> None:
    arrival = Arrival(7, 63, 10, 5_000, wrap([*older, last]))
    assert red.newest(arrival) == unwrap(arrival)[-1]


@given(st.binary(max_size=200))
def test_any_bytes_are_blocks_or_a_fault(payload: bytes) -> None:
    try:
        found = parse(payload)
    except ValueError:
        return
    assert found[-1].offset == 0
    assert red.newest(Arrival(7, 63, 10, 5_000, payload)).payload == found[-1].payload
    assert sum(len(block.payload) for block in found) < len(payload)
