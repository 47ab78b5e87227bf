"""Gather, step, scatter."""

from collections.abc import Sequence

import numpy as np
import pytest

from engine.base import PCM
from engine.batch import Batch, Mask
from engine.errors import Misuse
from engine.events import Word
from engine.slots import ModelEvent, Slot
from engine.verbs import Audio, Clear, Finish, Flush, MarkAt
from tests.engine.models import Rewindable

FRAME = 4
DELAY = 2


class Levels(Rewindable):
    """A model that says the level of the frame it hears, and keeps what it was given."""

    sample_rate = 24_000
    frame_size = FRAME
    batch_size = 3
    delay = DELAY

    def __init__(self) -> None:
        self.steps: list[tuple[list[int], list[int]]] = []  # (active rows, reset rows)

    def step(self, pcm: PCM, active: Mask, reset: Mask) -> Sequence[Sequence[ModelEvent]]:
        self.steps.append((np.flatnonzero(active).tolist(), np.flatnonzero(reset).tolist()))
        return [
            [Word(f"{frame.max():.1f}", 0.0)] if is_active else [] for frame, is_active in zip(pcm, active, strict=True)
        ]


class Room:
    """A batch with some slots in it."""

    def __init__(self, count: int) -> None:
        self.model = Levels()
        self.batch = Batch(self.model)
        self.slots = [self.seat(row) for row in range(count)]

    def seat(self, row: int) -> Slot:
        slot = Slot(row, FRAME, DELAY)
        self.batch.join(slot)
        return slot

    def say(self, slot: Slot, frames: int, level: float) -> None:
        self.batch.add(slot, Audio(np.full(frames * FRAME, level, dtype=np.float32)), 0.0)

    def tick(self) -> dict[Slot, list[str]]:
        return {
            told.slot: [event.text for event in told.events if isinstance(event, Word)] for told in self.batch.tick(0.0)
        }


def test_one_step_hears_one_frame_of_each_slot_that_has_one() -> None:
    room = Room(3)
    first, _, third = room.slots
    room.say(first, 2, 0.1)
    room.say(third, 1, 0.3)
    assert room.tick() == {first: ["0.1"], third: ["0.3"]}
    assert room.tick() == {first: ["0.1"]}
    assert room.tick() == {}
    assert [active for active, _ in room.model.steps] == [[0, 2], [0]]


def test_nothing_to_hear_is_no_step() -> None:
    room = Room(2)
    assert room.tick() == {}
    assert room.model.steps == []


def test_a_row_is_reset_before_its_first_frame_only() -> None:
    room = Room(2)
    first, second = room.slots
    room.say(first, 2, 0.1)
    room.tick()
    room.say(second, 1, 0.2)
    room.tick()
    assert [reset for _, reset in room.model.steps] == [[0], [1]]


def test_clear_resets_the_row() -> None:
    room = Room(1)
    (slot,) = room.slots
    room.say(slot, 1, 0.1)
    room.tick()
    room.batch.add(slot, Clear(), 0.0)
    room.tick()
    room.say(slot, 1, 0.1)
    room.tick()
    assert [reset for _, reset in room.model.steps] == [[0], [0]]


def test_a_new_caller_in_the_same_row_is_another_slot() -> None:
    room = Room(1)
    (old,) = room.slots
    room.say(old, 5, 0.1)
    room.tick()
    room.batch.leave(old)
    new = room.seat(0)
    room.say(new, 1, 0.2)
    assert room.tick() == {new: ["0.2"]}
    assert room.model.steps[-1] == ([0], [0])
    assert room.tick() == {}


def test_two_in_one_row_is_an_assertion() -> None:
    with pytest.raises(AssertionError, match="taken"):
        Room(1).seat(0)


def test_a_finished_slot_is_told_to_have_ended_once() -> None:
    room = Room(1)
    (slot,) = room.slots
    room.say(slot, 1, 0.1)
    room.batch.add(slot, Finish(), 0.0)
    told = [told for _ in range(6) for told in room.batch.tick(0.0)]
    assert [news.ended for news in told] == [False] * DELAY + [True]
    assert told[-1].consumed == FRAME


def test_a_flush_of_one_slot_delays_no_other() -> None:
    room = Room(2)
    first, second = room.slots
    room.say(first, 1, 0.1)
    room.batch.add(first, Flush(), 0.0)
    room.say(second, 3, 0.2)
    for _ in range(3):
        assert second in room.tick()


def test_without_frames_a_tick_is_due_when_the_earliest_mark_loses_its_patience() -> None:
    room = Room(2)
    assert room.batch.due(0.0) is None
    for now, slot in enumerate(room.slots):
        room.say(slot, 1, 0.1)
        room.batch.add(slot, MarkAt(1), float(now))
    while room.tick():
        assert len(room.model.steps) == 1
    assert room.batch.due(0.1) == pytest.approx(0.2)


def test_a_model_of_another_rate_is_misuse() -> None:
    model = Levels()
    model.sample_rate = 16_000
    with pytest.raises(Misuse, match="16000"):
        Batch(model)
