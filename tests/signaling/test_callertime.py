import pytest

from signaling.callertime import CallerTime


def test_without_holes_both_clocks_agree() -> None:
    time = CallerTime()
    for index in range(100):
        time.feed(start=index * 0.08, seconds=0.08, now=10.0 + index * 0.08)
    assert time.at(3.2) == pytest.approx(3.2)
    assert time.end == pytest.approx(8.0)


def test_a_hole_moves_what_comes_after_it_and_nothing_before() -> None:
    time = CallerTime()
    time.feed(start=0.0, seconds=1.0, now=1.0)
    time.feed(start=3.0, seconds=1.0, now=4.0)
    time.feed(start=4.5, seconds=1.0, now=5.5)
    assert time.at(0.9) == pytest.approx(0.9)
    assert time.at(1.5) == pytest.approx(3.5)
    assert time.at(2.5) == pytest.approx(5.0)
    assert time.end == pytest.approx(5.5)


def test_a_hole_before_the_first_audio_counts() -> None:
    time = CallerTime()
    time.feed(start=2.0, seconds=1.0, now=3.0)
    assert time.at(0.5) == pytest.approx(2.5)


def test_rounding_is_no_hole() -> None:
    time = CallerTime()
    for index in range(1_000):
        time.feed(start=index * 0.08 + 0.0004 * (index % 2), seconds=0.08, now=index * 0.08)
    assert time.at(79.0) == pytest.approx(79.0, abs=0.002)


def test_latency_is_counted_from_the_fastest_packet() -> None:
    time = CallerTime()
    assert time.latency(0.0, now=5.0) is None
    time.feed(start=0.0, seconds=1.0, now=11.3)  # heard 0.3 s late
    time.feed(start=1.0, seconds=1.0, now=12.0)  # heard at once: second 0 was at 10.0
    assert time.latency(1.5, now=12.5) == pytest.approx(1.0)
    assert time.latency(9.0, now=12.5) == 0.0
