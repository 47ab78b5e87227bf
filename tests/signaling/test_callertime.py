import random

import pytest

from signaling.callertime import REACH, WINDOW, CallerTime


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
    assert (time.end, time.fed) == pytest.approx((5.5, 3.0))


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


def test_latency_is_counted_from_when_it_was_spoken_where_that_is_known() -> None:
    time = CallerTime()
    for index in range(10):
        time.feed(start=float(index), seconds=1.0, now=21.3 + index, spoken=20.0 + index)  # 0.3 s on the way
    assert time.latency(9.5, now=31.5) == pytest.approx(2.0)
    assert time.latency(7.0, now=31.5) == pytest.approx(4.5)
    assert time.latency(9.5, now=29.0) == 0.0


def test_what_was_spoken_long_before_or_after_falls_back_to_what_was_heard() -> None:
    time = CallerTime()
    time.feed(start=0.0, seconds=1.0, now=21.3, spoken=20.0)
    for index in range(1, 30):
        time.feed(start=float(index), seconds=1.0, now=21.3 + index)
    assert time.latency(5.0, now=31.3) == pytest.approx(6.3)
    assert time.latency(29.0, now=51.3) == pytest.approx(2.0)


@pytest.mark.parametrize("spoken", [0.0, 1e9])
def test_a_moment_that_cannot_be_is_not_believed(spoken: float) -> None:
    time = CallerTime()
    time.feed(start=0.0, seconds=1.0, now=100.0, spoken=spoken)
    assert time.latency(0.0, now=101.5) == pytest.approx(2.5)
    assert abs(100.0 - spoken) > REACH


@pytest.mark.parametrize("drift", [0.0002, -0.0002])
@pytest.mark.parametrize("reported", [True, False])
def test_after_an_hour_of_drift_latency_is_still_right(drift: float, reported: bool) -> None:
    time, chance, worst = CallerTime(), random.Random(1), 0.0
    for index in range(int(3_600 / 0.08)):
        moment = 50.0 + index * 0.08 / (1 + drift)  # when the frame's first sample was spoken, by our clock
        now = moment + 0.08 / (1 + drift) + 0.040 + chance.expovariate(200)
        time.feed(index * 0.08, 0.08, now, moment if reported else None)
        if index % 50 == 49:
            latency = time.latency(index * 0.08, now + 1.0)
            assert latency is not None
            worst = max(worst, abs(latency - (now + 1.0 - moment) + (0.0 if reported else 0.040)))
    assert worst < 0.001 + (0.0 if reported else 2 * WINDOW * abs(drift))


def test_the_window_of_what_was_heard_is_bounded() -> None:
    time = CallerTime()
    for index in range(100_000):
        time.feed(index * 0.08, 0.08, index * 0.081)  # each a little later than the one before: the worst case
    assert len(time._heard._rising) <= WINDOW / 0.081 + 1


def test_a_recording_sent_faster_than_it_was_spoken_has_no_latency() -> None:
    time = CallerTime()
    time.feed(0.0, 1.0, now=10.0)
    time.feed(1.0, 1.0, now=10.1)
    assert time.latency(0.5, now=10.5) is not None
    time.feed(2.0, 1.0, now=10.2)
    time.feed(3.0, 1.0, now=10.3)
    assert time.latency(0.5, now=10.5) is None
