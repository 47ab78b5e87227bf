import pytest

from signaling.pace import PATIENCE, Pace

FRAME = 0.08  # seconds


def taken(speed: float, seconds: float, fastest: float = 4.0) -> float:
    """Seconds of audio that are taken within `seconds` of a caller who sends at `speed` times real time."""
    pace, now, audio = Pace(fastest), 100.0, 0.0
    while now < 100.0 + seconds:
        audio += FRAME
        now += max(FRAME / speed, pace.hear(FRAME, now))
    return audio


@pytest.mark.parametrize("speed", [0.5, 1.0, 3.9])
def test_a_caller_who_keeps_to_the_pace_never_waits(speed: float) -> None:
    assert taken(speed, 60.0) == pytest.approx(speed * 60.0, abs=2 * FRAME)


@pytest.mark.parametrize("speed", [5.0, 50.0])
def test_any_speed_will_do_for_a_while_then_it_is_the_fastest_pace(speed: float) -> None:
    assert taken(speed, PATIENCE - 0.1) == pytest.approx(speed * (PATIENCE - 0.1), rel=0.01)
    assert taken(speed, 60.0) - taken(speed, 20.0) == pytest.approx(4.0 * 40.0, abs=1.0)


def test_a_caller_who_was_calm_may_catch_up_again() -> None:
    pace, now = Pace(4.0), 0.0
    while now < 2 * PATIENCE:
        now += FRAME / 50 + pace.hear(FRAME, now)
    assert pace.hear(FRAME, now) > 0
    now += 3.0
    assert [pace.hear(FRAME, now + number * FRAME / 50) for number in range(100)] == [0.0] * 100


def test_a_timer_that_rings_late_costs_the_caller_nothing() -> None:
    pace, now, audio = Pace(4.0), 0.0, 0.0
    while now < 40.0:
        audio += FRAME
        now += FRAME / 50 + (wait + 0.005 if (wait := pace.hear(FRAME, now)) else 0.0)
        if now < 10.0:
            audio = 0.0
    assert audio == pytest.approx(4.0 * 30.0, rel=0.02)


def test_without_a_fastest_pace_nobody_waits() -> None:
    assert taken(100.0, 10.0, fastest=float("inf")) == pytest.approx(1_000.0, rel=0.01)
