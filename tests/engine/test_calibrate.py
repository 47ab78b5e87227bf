"""How many callers are let in: as many as the measured steps allow."""

import logging
from collections.abc import Callable, Sequence

import pytest

from engine.base import FRAME_SAMPLES, PCM, SAMPLE_RATE
from engine.batch import Mask
from engine.calibrate import LIMIT, calibrate
from engine.slots import ModelEvent
from tests.engine.models import Rewindable


class Timed(Rewindable):
    """A model with a clock of its own, on which a step takes what `seconds` says of its rows."""

    sample_rate = SAMPLE_RATE
    frame_size = FRAME_SAMPLES
    delay = 1

    def __init__(self, batch_size: int, seconds: Callable[[int], float]) -> None:
        self.batch_size = batch_size
        self.now = 0.0
        self.sizes: list[int] = []
        self._seconds = seconds

    def step(self, pcm: PCM, active: Mask, reset: Mask) -> Sequence[Sequence[ModelEvent]]:
        assert pcm.shape == (self.batch_size, FRAME_SAMPLES)
        assert active.all()
        self.now += self._seconds(self.batch_size)
        return [()] * self.batch_size

    def resize(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.sizes.append(batch_size)


def measured(model: Timed) -> int:
    return calibrate(model, lambda: model.now)


def test_all_rows_are_used_where_they_are_fast_enough() -> None:
    model = Timed(48, lambda rows: 0.99 * rows * LIMIT / 48)
    assert measured(model) == model.batch_size == 48
    assert model.sizes == [1, 2, 4, 8, 16, 32, 48, 48]


def test_otherwise_as_many_as_are_fast_enough() -> None:
    model = Timed(512, lambda rows: rows * LIMIT / 50)
    assert measured(model) == model.batch_size == 48
    assert max(model.sizes) == 64


def test_a_machine_that_is_too_slow_for_one_serves_one_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    model = Timed(8, lambda _: 1.0)
    with caplog.at_level(logging.INFO):
        assert measured(model) == model.batch_size == 1
    assert "too slow" in caplog.text
    assert model.now < 20.0  # and it does not measure for ever what is clear


def test_the_log_tells_of_the_progress(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        measured(Timed(2, lambda _: 0.01))
    assert [record.getMessage() for record in caplog.records] == [
        "measuring: a step of 1 callers takes at most 10.0 ms of 56",
        "measuring: a step of 2 callers takes at most 10.0 ms of 56",
        "measured: 2 callers at once",
    ]
