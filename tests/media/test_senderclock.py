import random

import pytest

from media.senderclock import REACH, WINDOW, SenderClock

RATE = 48_000
NTP = 3_900_000_000.0  # the sender's wall clock when ours says 0
FIRST = 2**32 - 5 * RATE  # its RTP timestamp then: it wraps five seconds later


class Sender:
    """A sender that speaks and reports; its clocks run `drift` too fast."""

    def __init__(self, drift: float = 0.0, rate: int = RATE) -> None:
        self.clock = SenderClock(RATE)
        self._pace = 1 + drift
        self._rate = rate

    def timestamp(self, at: float) -> int:
        """The RTP timestamp of what is spoken at `at`, by our clock."""
        return (FIRST + round(at * self._pace * self._rate)) % 2**32

    def report(self, at: float, *, delay: float = 0.0, round_trip: float | None = None) -> None:
        """A report sent at `at` that takes `delay` to come."""
        self.clock.report(NTP + at * self._pace, self.timestamp(at), at + delay, round_trip)

    def spoken(self, at: float) -> float:
        spoken = self.clock.spoken(self.timestamp(at))
        assert spoken is not None
        return spoken


def test_one_report_alone_is_not_believed() -> None:
    sender = Sender()
    sender.report(1.0)
    assert sender.clock.spoken(sender.timestamp(1.0)) is None


def test_two_reports_tell_when_a_sample_was_spoken_before_and_after_them_and_over_a_wrap() -> None:
    sender = Sender()
    sender.report(1.0)
    sender.report(4.0)
    for at in (0.5, 4.0, 4.9, 5.1, 7.0):
        assert sender.spoken(at) == pytest.approx(at, abs=1e-4)


def test_half_of_the_round_trip_is_the_way_here() -> None:
    sender = Sender()
    sender.report(1.0, delay=0.1, round_trip=None)
    sender.report(6.0, delay=0.1, round_trip=0.2)
    assert sender.spoken(6.5) == pytest.approx(6.5, abs=1e-4)


def test_without_a_round_trip_the_way_is_not_known() -> None:
    sender = Sender()
    sender.report(1.0, delay=0.1)
    sender.report(6.0, delay=0.1)
    assert sender.spoken(6.5) == pytest.approx(6.6, abs=1e-4)


def test_the_fastest_report_counts_and_a_long_round_trip_does_not_shift_it() -> None:
    sender = Sender()
    sender.report(1.0, delay=0.4, round_trip=0.1)
    sender.report(6.0, delay=0.05, round_trip=0.8)
    sender.report(11.0, delay=0.3, round_trip=0.1)
    assert sender.spoken(12.0) == pytest.approx(12.0, abs=1e-4)


@pytest.mark.parametrize("drift", [0.0002, -0.0002])
def test_an_hour_of_drift_is_followed(drift: float) -> None:
    sender, chance = Sender(drift), random.Random(1)
    worst = 0.0
    for second in range(5, 3_600, 5):
        sender.report(second, delay=0.03 + chance.expovariate(50), round_trip=0.06 + chance.expovariate(50))
        if second > 10:
            worst = max(worst, abs(sender.spoken(second + 2.5) - second - 2.5))
    assert worst < 0.025  # of which 12 ms are the drift within the window
    assert 3_600 * abs(drift) > 0.7  # what it would be without the window


def test_a_sender_without_a_wall_clock_is_not_known() -> None:
    clock = SenderClock(RATE)
    for second in range(10):
        clock.report(0.0, second * RATE, float(second), None)
    assert clock.spoken(9 * RATE) is None


def test_a_sender_whose_timestamps_run_at_another_rate_is_not_known() -> None:
    sender = Sender(rate=8_000)
    for second in range(10):
        sender.report(second)
    assert sender.clock.spoken(sender.timestamp(9)) is None


def test_a_wall_clock_that_leaps_is_believed_again_when_two_reports_agree() -> None:
    sender = Sender()
    for second in (0, 5, 10):
        sender.report(second)
    for at, known in ((15, False), (20, True)):
        sender.clock.report(NTP + at + 3_600, sender.timestamp(at), at, None)
        assert (sender.clock.spoken(sender.timestamp(at)) is not None) == known
    assert sender.spoken(21.0) == pytest.approx(21.0, abs=1e-4)


def test_a_report_that_is_said_again_changes_nothing() -> None:
    sender = Sender()
    sender.report(1.0)
    sender.report(6.0)
    sender.report(6.0, delay=5.0)
    assert sender.spoken(7.0) == pytest.approx(7.0, abs=1e-4)


def test_far_from_the_last_report_nothing_is_known() -> None:
    sender = Sender()
    sender.report(1.0)
    sender.report(6.0)
    assert sender.clock.spoken(sender.timestamp(6 + REACH + 1)) is None
    assert sender.clock.spoken((sender.timestamp(6) + 2**31) % 2**32) is None


def test_a_flood_of_reports_is_not_kept() -> None:
    sender = Sender()
    for index in range(10_000):
        sender.report(index * 0.001)
    assert len(sender.clock._reports) == 64
    sender.report(10.0 + WINDOW)
    assert len(sender.clock._reports) == 1
