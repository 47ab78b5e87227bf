"""What the times of the steps lead to."""

import pytest

from engine.base import Load
from engine.pace import FRAME_SECONDS, GATHER, Pace


def after(*times: float, rows: int = 2) -> Pace:
    pace = Pace(4)
    for number, seconds in enumerate(times):
        pace.took(seconds, rows, number * FRAME_SECONDS)
    return pace


def test_before_the_first_step_nothing_waits_and_all_are_let_in() -> None:
    pace = after()
    assert (pace.gather, pace.slow, pace.admits(0.0)) == (0.0, False, True)
    assert pace.load(0.5) == Load(backlog=0.5)


def test_nobody_waits_longer_than_a_step_takes_or_than_there_is_time() -> None:
    assert after(*[0.004] * 100).gather == pytest.approx(0.004, rel=0.01)
    assert after(*[0.03] * 100).gather == GATHER
    assert after(*[0.075] * 100).gather == pytest.approx(0.005, rel=0.01)
    assert after(*[0.2] * 100).gather == 0.0


def test_one_long_step_is_no_trend() -> None:
    assert after(*[0.02] * 50, 9.0).admits(50 * FRAME_SECONDS)
    assert not after(*[0.02] * 50, *[0.2] * 5).admits(55 * FRAME_SECONDS)


def test_who_has_shut_opens_again_when_it_is_well_below() -> None:
    pace = after(*[0.072] * 100)
    now = 100 * FRAME_SECONDS
    assert not pace.admits(now)
    for _ in range(100):
        pace.took(0.063, 4, now)
    assert not pace.admits(now)
    for _ in range(100):
        pace.took(0.056, 4, now)
    assert pace.admits(now)


def test_an_engine_without_callers_lets_them_in_whatever_was() -> None:
    pace = after(*[0.2] * 10)
    assert not pace.admits(0.8)
    assert pace.admits(2.0)


def test_the_figures_are_of_the_recent_steps() -> None:
    pace = after(*[0.5] * 1_000, *[0.01] * 506, *[0.09] * 6, rows=3)
    load = pace.load(1.5)
    assert (load.step_p50, load.step_p99, load.fill, load.backlog) == (0.01, 0.09, 0.75, 1.5)


def test_every_step_is_counted_by_how_long_it_took() -> None:
    load = after(0.01, 0.02, 0.0201, 0.08, 0.081, 9.0).load(0.0)
    assert load.step_counts == (2, 1, 0, 0, 0, 0, 1, 2)
    assert load.step_sum == pytest.approx(9.2111)
