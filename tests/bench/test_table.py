from typing import Any

from bench.media.table import Row, render, rows

FIGURES: dict[str, dict[str, Any]] = {
    "offhook": {
        "cost": {"sessions": 64, "cpu": 4.0, "cpu_red": 5.0, "busy": 0.3, "memory": 0.4, "threads": 0.0},
        "words": {"red": {"0": 0.1, "5": 0.12, "10": 0.13, "20": 0.2}},
    },
    "stock": {"cost": {"sessions": 64, "cpu": 10.0, "cpu_red": None, "busy": 0.6, "memory": 0.5, "threads": 1.0}},
}


def row(label: str) -> Row:
    return next(line for line in rows(FIGURES) if line.label.strip().startswith(label))


def test_a_cost_is_judged_beside_its_peer() -> None:
    assert row("CPU over stock").values == {"offhook": 0.4, "stock": 1.0}
    assert row("CPU over stock").verdict == "must"


def test_a_bound_that_is_not_reached_is_told() -> None:
    assert row("WER at 20 %").must == 0.13
    assert row("WER at 20 %").verdict == "MISSED"


def test_a_word_error_rate_may_be_two_points_above_clean_where_that_is_more() -> None:
    assert row("WER at 5 %").must == 0.12
    assert row("WER at 5 %").verdict == "goal"


def test_a_goal_that_is_reached_is_told() -> None:
    assert row("threads").verdict == "goal"


def test_what_was_not_measured_has_no_line() -> None:
    assert not any("latency" in line.label for line in rows(FIGURES))


def test_a_receiver_without_a_figure_has_an_empty_place() -> None:
    head, *lines = render(rows(FIGURES), ["offhook", "stock"]).splitlines()
    assert head.split() == ["offhook", "stock", "must", "goal"]
    assert "with a RED sender, ms" in lines[2]
    assert lines[2].split()[-1] == "5"
