"""Frames counted, and what silence says of pauses."""

import pytest

from engine.base import FRAME_SAMPLES
from engine.steps import Steps, probabilities


def test_every_whole_frame_is_one_step_however_the_audio_comes() -> None:
    steps = Steps()
    told = [step for position in range(0, 10 * FRAME_SAMPLES + 1, 768) for step in steps.hear(position, 0.0, position)]
    told += steps.hear(10 * FRAME_SAMPLES, 0.0, 10 * FRAME_SAMPLES)
    assert [step.index for step in told] == list(range(1, 11))
    assert steps.hear(11 * FRAME_SAMPLES - 1, 0.0, 0) == []


def test_the_backlog_is_the_audio_behind_the_frame() -> None:
    told = Steps().hear(2 * FRAME_SAMPLES, 0.0, 5 * FRAME_SAMPLES)
    assert [step.backlog for step in told] == pytest.approx([0.32, 0.24])


def test_after_a_restart_the_numbers_go_on_and_a_broken_frame_is_forgotten() -> None:
    steps = Steps()
    steps.hear(2 * FRAME_SAMPLES, 0.0, 0)
    steps.restart(100_000)
    assert steps.hear(100_000 + FRAME_SAMPLES - 1, 0.0, 200_000) == []
    assert [step.index for step in steps.hear(100_000 + FRAME_SAMPLES, 0.0, 200_000)] == [3]


def test_a_pause_is_likelier_the_longer_it_has_lasted_and_a_shorter_one_before_a_longer() -> None:
    assert probabilities(0.0) == (0.0, 0.0, 0.0, 0.0)
    assert probabilities(0.6) == pytest.approx((1.0, 1.0, 0.6, 0.4))
    assert probabilities(60.0) == (1.0, 1.0, 1.0, 1.0)
