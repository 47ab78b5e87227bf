import pytest

from bench.step.roofline import H200, L40S, SHEETS, Costs, Device
from bench.step.table import Curve, Figures, Point, Verdict, estimate, largest_estimate, next_to_try, render, verdicts
from tests.gpu.full_size import lm_config

COSTS = Costs.of(lm_config("stt-1b"), None, 2)
FULL: Figures = {"no_memory": "out of memory"}


def took(ms: float, p99: float | None = None) -> Figures:
    return {"steps": 500, "p50": ms, "p99": ms if p99 is None else p99, "worst": ms, "memory_gb": 3.0}


def curve(*points: Point, device: Device = H200) -> Curve:
    return Curve(COSTS, device, list(points))


def verdict(of: Curve, callers: int) -> Verdict:
    return next(one for one in verdicts(of) if one.what.startswith(f"{callers} callers"))


def test_64_callers_take_at_most_half_of_moshis_step() -> None:
    assert verdict(curve(Point(64, took(10), took(20))), 64).kept
    assert not verdict(curve(Point(64, took(11), took(20))), 64).kept


def test_more_callers_are_held_to_the_slowest_steps() -> None:
    assert not verdict(curve(Point(256, took(20, 26))), 256).kept
    assert verdict(curve(Point(256, took(20, 25))), 256).kept
    assert verdict(curve(Point(512, took(30, 40))), 512).kept


def test_a_goal_between_two_measurements_is_held_to_the_larger() -> None:
    goal = verdict(curve(Point(512, took(30)), Point(1024, took(50, 61))), 1000)
    assert (goal.kind, goal.measured, goal.kept) == ("goal", 61, False)


def test_what_does_not_fit_is_not_kept() -> None:
    assert not verdict(curve(Point(512, FULL)), 512).kept


def test_what_was_not_tried_is_not_judged() -> None:
    assert not list(verdicts(curve(Point(8, took(5), took(9)), Point(64, took(5)))))


def test_another_gpu_is_held_to_its_own_roofline() -> None:
    slower = verdict(curve(Point(256, took(100)), device=L40S), 256)
    assert slower.bound == pytest.approx(25 * 4.8 / 0.864, rel=0.1)
    assert slower.kept


def test_the_largest_in_real_time_is_one_that_was_measured() -> None:
    assert curve(Point(64, took(10)), Point(512, took(60, 79)), Point(1024, took(70, 81))).largest == 512
    assert curve(Point(64, took(90))).largest is None


def test_the_largest_is_looked_for_between_the_last_that_keeps_up_and_the_first_that_does_not() -> None:
    assert next_to_try([Point(512, took(60)), Point(1024, took(90))]) == 768
    assert next_to_try([Point(512, took(60)), Point(1024, FULL)]) == 768
    assert next_to_try([Point(512, took(60)), Point(544, took(90))]) is None


def test_the_largest_is_looked_for_beyond_the_table_when_all_keep_up() -> None:
    assert next_to_try([Point(512, took(30)), Point(1024, took(60))]) == 2048


def test_nothing_is_looked_for_where_nobody_keeps_up() -> None:
    assert next_to_try([Point(1, took(300))]) is None


def test_an_l40s_is_guessed_between_what_stays_and_what_grows() -> None:
    """Twice the roofline here: the part above it stays, or is as large a share there."""
    here = curve(*(Point(rows, took(2 * curve().roofline(rows))) for rows in (64, 256)))
    there = curve(device=L40S).roofline(64)
    guess = estimate(here, 64)
    assert guess is not None
    assert guess.p50 == pytest.approx((there + here.roofline(64), 2 * there), abs=0.1)


def test_a_guess_between_two_measurements_is_on_the_line() -> None:
    guess = estimate(curve(Point(128, took(10)), Point(256, took(20))), 192)
    here, there = curve().roofline(192), curve(device=L40S).roofline(192)
    assert guess is not None
    assert guess.p99[0] == pytest.approx(there + 15 - here, abs=0.1)


def test_nothing_is_guessed_beyond_what_was_measured() -> None:
    assert estimate(curve(Point(64, took(10))), 192) is None


def test_an_l40s_has_no_more_callers_than_its_memory() -> None:
    fast = curve(*(Point(rows, took(curve().roofline(rows))) for rows in (1, 1024)))
    assert largest_estimate(fast, row_bytes=200e6, weights=2e9) == (205, 205)


def test_what_is_kept_says_how_far_from_the_roofline_it_is() -> None:
    told = curve(Point(64, took(9), FULL)).document()[0]
    assert told["offhook"]["over_roofline"] == pytest.approx(9 / told["roofline_ms"], abs=0.01)
    assert told["moshi"] == FULL


def test_the_table_says_what_does_not_fit() -> None:
    line = render(curve(Point(1024, took(50, 60), FULL))).splitlines()[-1]
    assert "does not fit" in line
    assert "60.0" in line


def test_a_data_sheet_is_found_by_the_name_that_the_driver_gives() -> None:
    assert SHEETS["NVIDIA H200"].bandwidth == pytest.approx(0.75 * 4.8e12)
