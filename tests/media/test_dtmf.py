"""Event packets in, one digit a press out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.dtmf import KEYS, LONGEST_SILENCE, MOST_AT_ONCE, NEARLY_FULL, QUICKEST, Event, Keypad, parse
from media.events import Digit

RATE = 8_000
STEP = 160  # ticks in 20 ms


class Handset:
    """Presses keys as a sender does: a packet each 20 ms, the last one three times."""

    def __init__(self, rate: int = RATE) -> None:
        self.keypad = Keypad()
        self.rate = rate
        self.now = 50.0
        self.position = 3.0
        self.told: list[Digit] = []

    def send(
        self, code: int, timestamp: int, duration: int, *, ended: bool = False, begun: float | None = None
    ) -> None:
        event = Event(code, ended, duration)
        self.told += self.keypad.put(
            event, timestamp, rate=self.rate, position=self.position, begun=begun, now=self.now
        )
        self.now += 0.02

    def press(self, code: int, timestamp: int, ticks: int = 5 * STEP, *, lost: frozenset[int] = frozenset()) -> None:
        """`lost`: which of the packets never come."""
        reports = [(duration, False) for duration in range(STEP, ticks, STEP)] + 3 * [(ticks, True)]
        for index, (duration, ended) in enumerate(reports):
            if index not in lost:
                self.send(code, timestamp, duration, ended=ended)

    def digits(self) -> str:
        return "".join(digit.digit for digit in self.told)


def test_chromiums_packets_are_read() -> None:
    assert parse(bytes.fromhex("018a03c0")) == Event(1, True, 960)
    assert parse(bytes.fromhex("0b0a00a0")) == Event(11, False, 160)
    assert parse(bytes.fromhex("03ffffff") + b"more") == Event(3, True, 65_535)  # reserved bit, volume, a second event


def test_a_flood_of_presses_is_told_as_fast_as_telephones_press() -> None:
    keypad = Keypad()
    told = 0
    for index in range(1_000):  # in half a second
        event = Event(index % 10, True, STEP)
        told += len(keypad.put(event, index, rate=RATE, position=1.0, begun=None, now=50.0 + index / 2_000))
    assert told == MOST_AT_ONCE + round(0.5 / QUICKEST)
    assert keypad.dropped == 1_000 - told


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x01\x80\x00"])
def test_a_short_payload_is_named(payload: bytes) -> None:
    with pytest.raises(ValueError, match="shorter"):
        parse(payload)


def test_every_key_is_told_once_however_many_packets() -> None:
    handset = Handset()
    for code in range(16):
        handset.press(code, 10_000 * code)
    assert handset.digits() == KEYS
    assert {digit.duration for digit in handset.told} == {0.1}


def test_what_is_no_key_is_ignored() -> None:
    handset = Handset()
    for code in (16, 32, 255):
        handset.press(code, 0)
    assert handset.told == []
    assert handset.keypad.deadline is None


@pytest.mark.parametrize("lost", [{0}, {0, 1, 2, 3}, {4, 5}, {5, 6}, {1, 3, 5}, {0, 1, 2, 3, 4, 5}])
def test_lost_starts_and_ends_change_nothing(lost: set[int]) -> None:
    handset = Handset()
    handset.press(7, 1_000, lost=frozenset(lost))
    handset.press(8, 9_000)
    assert handset.digits() == "78"
    assert handset.told[0].duration == 0.1


def test_without_any_end_a_press_is_over_when_the_next_one_begins() -> None:
    handset = Handset()
    handset.press(1, 1_000, lost=frozenset({4, 5, 6}))
    assert handset.told == []
    handset.press(1, 3_000)
    assert handset.digits() == "11"
    assert [digit.duration for digit in handset.told] == [0.08, 0.1]


def test_without_any_end_a_press_is_over_after_a_while() -> None:
    handset = Handset()
    handset.press(1, 1_000, lost=frozenset({4, 5, 6}))
    assert handset.keypad.deadline == pytest.approx(handset.now - 0.02 + LONGEST_SILENCE)
    assert [digit.digit for digit in handset.keypad.flush()] == ["1"]
    assert handset.keypad.deadline is None
    handset.press(1, 1_000)  # the ends come after all
    assert handset.told == []


def test_ends_that_come_before_the_packets_before_them_tell_the_whole_press() -> None:
    handset = Handset()
    for duration, ended in ((160, False), (800, True), (320, False), (800, True), (480, False)):
        handset.send(4, 1_000, duration, ended=ended)
    assert handset.told == [Digit("4", handset.told[0].at, 0.1)]


@pytest.mark.parametrize("last", [0xFFFF, NEARLY_FULL])  # with and without losses at the end of a segment
def test_a_press_longer_than_its_counter_is_one(last: int) -> None:
    handset = Handset()
    timestamp = 1_000
    for _ in range(3):
        for duration in (160, 30_000, last):
            handset.send(9, timestamp, duration)
        timestamp += 0xFFFF
    handset.send(9, timestamp, 800, ended=True)
    (digit,) = handset.told
    assert digit.duration == pytest.approx((3 * last + 800) / RATE)


def test_a_press_began_where_its_timestamp_says_and_never_later_than_now() -> None:
    handset = Handset()
    handset.send(1, 1_000, 400, ended=True, begun=2.98)
    handset.send(2, 2_000, 400, ended=True, begun=3.4)
    assert [digit.at for digit in handset.told] == [2.98, 3.0]


@pytest.mark.parametrize("begun", [None, -4.0, 900.0, 1.5])
def test_a_timestamp_that_points_elsewhere_is_not_believed(begun: float | None) -> None:
    handset = Handset()
    handset.send(1, 1_000, 400, ended=True, begun=begun)
    assert handset.told == [Digit("1", 2.95, 0.05)]


def test_a_press_before_any_audio_is_at_its_beginning() -> None:
    handset = Handset()
    handset.position = 0.0
    handset.send(1, 1_000, 400, ended=True)
    assert handset.told == [Digit("1", 0.0, 0.05)]


presses = st.lists(
    st.tuples(
        st.integers(0, 20),
        st.integers(STEP, 20 * STEP),
        st.sets(st.integers(0, 21), max_size=21).map(frozenset),
    ),
    max_size=12,
)


@given(presses)
def test_every_press_of_which_anything_came_is_told_once_and_in_order(
    keys: list[tuple[int, int, frozenset[int]]],
) -> None:
    handset = Handset()
    expected = ""
    for index, (code, ticks, lost) in enumerate(keys):
        sent = len(range(STEP, ticks, STEP)) + 3
        came = any(number not in lost for number in range(sent))
        expected += KEYS[code] if code < len(KEYS) and came else ""
        handset.press(code, 40_000 * index, ticks, lost=lost)
    handset.told += handset.keypad.flush()
    assert handset.digits() == expected


@given(
    st.lists(st.tuples(st.binary(max_size=8), st.integers(-(2**40), 2**40), st.floats(-1e9, 1e9), st.floats(0, 1e6)))
)
def test_any_packets_give_digits_within_the_audio(packets: list[tuple[bytes, int, float, float]]) -> None:
    keypad = Keypad()
    for payload, timestamp, begun, position in packets:
        try:
            event = parse(payload)
        except ValueError:
            continue
        for digit in keypad.put(event, timestamp, rate=RATE, position=position, begun=begun, now=0.0):
            assert digit.digit in KEYS
            assert digit.at >= 0
            assert digit.duration >= 0
