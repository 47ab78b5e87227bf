import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.reception import Reception

RATE = 48_000
PACKET = 960


def received(numbers: list[int], *, first: int = 0) -> Reception:
    """The packets with these numbers, each 20 ms after the one before."""
    reception = Reception()
    for index, number in enumerate(numbers):
        reception.add((first + number) % 65_536, (number * PACKET) % 2**32, RATE, index * 0.02)
    return reception


def test_what_is_missing_is_lost() -> None:
    reception = received([0, 1, 3, 4, 7])
    assert (reception.expected, reception.lost, reception.highest) == (8, 3, 7)


def test_what_comes_late_is_not_lost() -> None:
    assert received([0, 2, 1, 4, 3]).lost == 0


def test_turns_of_the_sequence_are_counted() -> None:
    reception = received(list(range(70_000)), first=65_000)
    assert (reception.lost, reception.highest) == (0, 65_000 + 69_999)


def test_the_fraction_is_that_of_the_time_since_it_was_last_asked() -> None:
    reception = received([0, 1, 2, 4, 5, 6, 7, 9])
    assert reception.take_fraction_lost() == pytest.approx(0.2)
    assert reception.take_fraction_lost() == 0.0
    reception.add(10, 0, RATE, 1.0)
    assert reception.take_fraction_lost() == 0.0
    reception.add(14, 0, RATE, 1.0)
    assert reception.take_fraction_lost() == pytest.approx(0.75)


def test_what_comes_twice_hides_no_more_than_itself() -> None:
    reception = received([0, 0, 0, 1])
    assert reception.lost == -2
    assert reception.take_fraction_lost() == 0.0


def test_one_packet_from_elsewhere_counts_for_nothing_and_two_in_a_row_start_anew() -> None:
    reception = received([0, 1, 2])
    reception.add(30_000, 0, RATE, 1.0)
    assert (reception.expected, reception.lost) == (3, 0)
    reception.add(30_001, 0, RATE, 1.0)
    assert (reception.expected, reception.lost, reception.highest) == (1, 0, 30_001)


def test_packets_at_an_even_pace_have_no_jitter_also_over_a_wrap_and_a_silence() -> None:
    reception = Reception()
    for index in [*range(50), *range(70, 100)]:
        reception.add(index, (2**32 - 20 * PACKET + index * PACKET) % 2**32, RATE, index * 0.02)
    assert reception.jitter == pytest.approx(0.0, abs=1e-6)


def test_jitter_is_how_unevenly_they_come() -> None:
    reception, chance = Reception(), random.Random(1)
    for index in range(1_000):
        reception.add(index, index * PACKET, RATE, index * 0.02 + chance.uniform(0.0, 0.030))
    assert reception.jitter == pytest.approx(0.010, abs=0.004)  # the mean difference of two of them


def test_a_clock_that_leaps_and_another_codec_are_no_jitter() -> None:
    reception = received(list(range(10)))
    reception.add(10, 2**31, RATE, 0.2)
    reception.add(11, 2**31 + PACKET, RATE, 0.22)
    reception.add(12, 77, 8_000, 0.24)
    reception.add(13, 77 + 160, 8_000, 0.26)
    assert reception.jitter == pytest.approx(0.0, abs=1e-6)
    assert reception.clock_rate == 8_000


def test_a_timestamp_that_tells_nothing_only_takes_its_place() -> None:
    reception = received([0, 1])
    reception.add(2, 12_345, None, 0.05)
    reception.add(4, 4 * PACKET, RATE, 0.08)
    assert reception.lost == 1
    assert reception.clock_rate == RATE


def test_what_comes_between_two_packets_of_audio_is_no_jitter() -> None:
    reception = received(list(range(10)))
    for number in range(10, 14):
        reception.add(number, 9 * PACKET, None, number * 0.05)  # a key that is pressed: no audio meanwhile
    reception.add(14, 50 * PACKET, RATE, 50 * 0.02)
    reception.add(40_000, 50 * PACKET, RATE, 1.01)  # and one from elsewhere in the sequence
    reception.add(15, 51 * PACKET, RATE, 51 * 0.02)
    assert reception.jitter == pytest.approx(0.0, abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), st.sampled_from([None, 8_000, RATE]))))
def test_any_packets_leave_figures_that_fit_a_report(packets: list[tuple[int, int, int | None]]) -> None:
    reception = Reception()
    for index, (sequence_number, timestamp, clock_rate) in enumerate(packets):
        reception.add(sequence_number, timestamp, clock_rate, index * 0.02)
    assert 0.0 <= reception.take_fraction_lost() < 1.0
    assert 0.0 <= reception.jitter < 2.0
    assert reception.lost <= reception.expected
