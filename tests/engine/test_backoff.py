"""Waits between attempts."""

from itertools import islice

from engine.backoff import delays


def test_waits_double_up_to_a_most() -> None:
    assert list(islice(delays(0.25, 2.0, lambda: 0.0), 6)) == [0.25, 0.5, 1.0, 2.0, 2.0, 2.0]


def test_chance_shortens_them_by_up_to_a_half() -> None:
    chances = iter([0.0, 0.5, 1.0])
    assert list(islice(delays(1.0, 8.0, lambda: next(chances)), 3)) == [1.0, 1.5, 2.0]


def test_they_go_on_for_ever() -> None:
    assert next(islice(delays(0.2, 2.0, lambda: 0.0), 10_000, None)) == 2.0
