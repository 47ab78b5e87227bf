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
        self.rewinds: list[tuple[str, int, list[int]]] = []  # (which, steps before it, rows)

    def save(self, rows: Mask) -> None:
        self.rewinds.append(("save", len(self.steps), np.flatnonzero(rows).tolist()))

    def restore(self, rows: Mask) -> None:
        self.rewinds.append(("restore", len(self.steps), np.flatnonzero(rows).tolist()))

    def step(self, pcm: PCM, active: Mask, reset: Mask) -> Sequence[Sequence[ModelEvent]]:
        self.steps.append((np.flatnonzero(active).tolist(), np.flatnonzero(reset).tolist()))
        return [
            [Word(f"{frame.max():.1f}", 0.0)] if is_active else [] for frame, is_active in zip(pcm, active, strict=True)
        ]


class Room:
    """A batch with some slots in it. A frame lasts FRAME / 24 000 seconds."""

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

    def say_at(self, now: float, slot: Slot, frames: int = 1) -> None:
        self.batch.add(slot, Audio(np.full(frames * FRAME, 0.5, dtype=np.float32)), now)

    def took(self, seconds: float) -> None:
        """Every step so far has taken so long."""
        for _ in range(100):
            self.batch.pace.took(seconds, 1, 0.0)

    def tick(self, now: float = 0.0) -> dict[Slot, list[str]]:
        return {
            told.slot: [event.text for event in told.events if isinstance(event, Word)] for told in self.batch.tick(now)
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


def test_a_flush_saves_the_row_and_what_follows_restores_it() -> None:
    room = Room(2)
    first, second = room.slots
    for slot in room.slots:
        room.say(slot, 1, 0.1)
    room.tick()
    room.batch.add(second, Flush(), 0.0)
    room.say(second, 1, 0.2)
    room.say(first, 4, 0.1)
    while room.tick():
        pass
    assert room.model.rewinds == [("save", 1, [1]), ("restore", 1 + DELAY, [1])]


def test_one_flush_may_end_where_the_next_begins() -> None:
    room = Room(1)
    (slot,) = room.slots
    room.say(slot, 1, 0.1)
    room.batch.add(slot, Flush(), 0.0)
    room.batch.add(slot, Audio(np.zeros(1, dtype=np.float32)), 0.0)
    room.batch.add(slot, Flush(), 0.0)
    while room.tick():
        pass
    assert room.model.rewinds == [("save", 1, [0]), ("restore", 1 + DELAY, [0]), ("save", 1 + DELAY, [0])]


PERIOD = FRAME / 24_000  # seconds of a frame
STEP = PERIOD / 4  # a step that others are worth waiting for


def test_a_step_waits_for_who_is_about_to_come() -> None:
    room = Room(2)
    room.took(STEP)
    first, second = room.slots
    for slot, now in ((first, 0.0), (second, STEP / 2)):
        room.say_at(now, slot)
    assert set(room.tick(STEP / 2)) == {first, second}
    room.say_at(PERIOD, first)
    due = room.batch.due(PERIOD)
    assert due == pytest.approx(PERIOD + room.batch.pace.gather)
    assert room.tick(PERIOD) == {}
    room.say_at(PERIOD + STEP / 2, second)
    assert room.batch.due(PERIOD + STEP / 2) == PERIOD + STEP / 2
    assert set(room.tick(PERIOD + STEP / 2)) == {first, second}


def test_a_step_waits_for_nobody_longer_than_its_window() -> None:
    room = Room(2)
    room.took(STEP)
    for slot in room.slots:
        room.say_at(0.0, slot)
    room.tick(0.0)
    room.say_at(PERIOD, room.slots[0])
    due = room.batch.due(PERIOD)
    assert due is not None
    assert set(room.tick(due)) == {room.slots[0]}


@pytest.mark.parametrize("reason", ["alone", "left", "not expected", "catching up", "flush", "file"])
def test_a_step_does_not_wait(reason: str) -> None:
    room = Room(1 if reason == "alone" else 2)
    room.took(STEP)
    first, second = room.slots[0], room.slots[-1]
    for slot in room.slots:
        room.say_at(0.0, slot)
    room.tick(0.0)
    now = PERIOD
    match reason:
        case "left":
            room.say_at(now, first)
            room.batch.leave(second)
        case "not expected":
            now = PERIOD / 2
            room.say_at(now, first)
        case "catching up":
            room.say_at(now, first, 2)
        case "flush":
            room.batch.add(first, Flush(), now)
        case "file":
            file = Slot(2, FRAME, DELAY, bulk=True)
            room.batch.join(file)
            room.say_at(now, file)
        case "alone":
            room.say_at(now, first)
    assert room.batch.due(now) == now
    assert len(room.tick(now)) == 1


def test_news_do_not_wait_for_the_step() -> None:
    room = Room(2)
    room.took(STEP)
    for slot in room.slots:
        room.say_at(0.0, slot)
    room.tick(0.0)
    room.say_at(PERIOD, room.slots[0])
    room.batch.add(room.slots[0], Clear(), PERIOD)
    room.say_at(PERIOD, room.slots[0])
    steps = len(room.model.steps)
    assert room.batch.due(PERIOD) == PERIOD
    assert [told.slot for told in room.batch.tick(PERIOD)] == [room.slots[0]]
    assert len(room.model.steps) == steps


class Crowd(Room):
    """Eight live callers of whom the steps take too long, so that two of them may catch up in a step; and a file."""

    def __init__(self) -> None:
        self.model = Levels()
        self.model.batch_size = 9
        self.batch = Batch(self.model)
        self.slots = [self.seat(row) for row in range(8)]
        self.file = Slot(8, FRAME, DELAY, bulk=True)
        self.batch.join(self.file)
        self.took(0.06)


LATE = 11_520 // FRAME + 10  # frames that wait for one who is late


def test_when_steps_are_slow_live_callers_go_before_those_who_are_late_and_files() -> None:
    crowd = Crowd()
    live, late = crowd.slots[:3], crowd.slots[3:]
    for slot in (crowd.file, *late):
        crowd.say_at(0.0, slot, 5 * LATE)
    crowd.tick(0.0)
    served: list[set[Slot]] = []
    now = 0.0
    for _ in range(6):
        for slot in live:
            crowd.say_at(now, slot)
        now += PERIOD / 8
        served.append(set(crowd.tick(now)))
    for step in served:
        assert set(live) <= step
        assert len(step - set(live)) == 2
        assert crowd.file not in step
    assert set.union(*served) == {*live, *late}


def test_who_is_late_still_has_a_frame_for_each_that_is_spoken() -> None:
    """Rationing is for catching up: nobody falls further behind by it."""
    crowd = Crowd()
    for slot in (crowd.file, *crowd.slots):
        crowd.say_at(0.0, slot, 10 * LATE)
    steps, between = 16, 0.625 * PERIOD
    for number in range(steps):
        crowd.tick(number * between)
    assert min(slot.steps for slot in crowd.slots) >= int(steps * between / PERIOD)


def test_the_model_is_told_whether_steps_are_slow() -> None:
    crowd = Crowd()
    for seconds, slow in ((0.06, True), (0.02, False)):
        crowd.took(seconds)
        crowd.say_at(0.0, crowd.slots[0])
        crowd.tick(1.0)
        assert crowd.model.hurried is slow


def test_a_file_is_heard_when_nobody_else_is_late() -> None:
    crowd = Crowd()
    crowd.say_at(0.0, crowd.file, 5)
    for slot in crowd.slots:
        crowd.say_at(0.0, slot)
    assert set(crowd.tick(0.0)) == {*crowd.slots, crowd.file}


def test_words_that_wait_in_the_delay_come_before_those_who_are_late() -> None:
    crowd = Crowd()
    ending, *late = crowd.slots
    for slot in crowd.slots:
        crowd.say_at(0.0, slot)
    crowd.tick(0.0)
    for slot in late:
        crowd.say_at(0.0, slot, 5 * LATE)
    crowd.batch.add(ending, Finish(), 0.0)
    for number in range(DELAY):
        assert ending in crowd.tick(number * PERIOD / 8)
