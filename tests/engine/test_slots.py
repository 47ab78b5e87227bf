"""Who sits where, and what waits there."""

from collections.abc import Sequence

import numpy as np
import pytest

from engine.base import PCM
from engine.errors import Full
from engine.events import Event, Mark, Partial, Pause, Step, Word, WordEnd
from engine.slots import MARK_PATIENCE, Behind, ModelEvent, Places, Slot
from engine.verbs import Audio, Clear, Finish, Flush, MarkAt, Verb

FRAME = 2_400  # samples: a tenth of a second, so that times are easily read
DELAY = 3


def test_places_are_given_back_and_given_again() -> None:
    places = Places(2)
    assert (places.take(), places.take()) == (0, 1)
    with pytest.raises(Full):
        places.take()
    places.release(1)
    assert places.taken == 1
    assert places.take() == 1


def test_a_double_release_is_an_assertion() -> None:
    places = Places(2)
    row = places.take()
    places.release(row)
    with pytest.raises(AssertionError, match="twice"):
        places.release(row)


def slot() -> Slot:
    return Slot(0, FRAME, DELAY)


def audio(samples: int, level: float = 0.5) -> Audio:
    return Audio(np.full(samples, level, dtype=np.float32))


def next_frame(slot: Slot, now: float) -> PCM | None:
    """What the model would hear next."""
    if slot.deadline is not None and slot.deadline <= now:
        slot.expire()
    return slot.take(now) if slot.turn(now) is not None else None


def frames(slot: Slot, now: float = 0.0) -> list[PCM]:
    """Every frame that the slot has now, heard by a model that says nothing."""
    heard = []
    while (frame := next_frame(slot, now)) is not None:
        heard.append(frame.copy())
        slot.hear(())
    return heard


def told(slot: Slot, *said: Sequence[ModelEvent]) -> list[Event]:
    """What is told while a model says `said`, step by step."""
    for events in said:
        assert next_frame(slot, 0.0) is not None
        slot.hear(events)
    return [rounded(event) for event in slot.news()]


def rounded(event: Event) -> Event:
    """The event with its time to the millisecond."""
    match event:
        case Word(text, start):
            return Word(text, round(start, 3))
        case WordEnd(stop):
            return WordEnd(round(stop, 3))
        case Pause(at):
            return Pause(round(at, 3))
        case _:
            return event


def test_audio_is_cut_into_frames_and_the_rest_waits() -> None:
    seat = slot()
    ramp = np.arange(2 * FRAME + 100, dtype=np.float32) / np.float32(100_000)
    for start in range(0, len(ramp), 700):
        seat.add(Audio(ramp[start : start + 700]), 0.0)
    heard = frames(seat)
    assert np.array_equal(np.concatenate(heard), ramp[: 2 * FRAME])
    assert (seat.fed, seat.consumed, seat.steps) == (len(ramp), 2 * FRAME, 2)


def test_a_flush_is_silence_for_the_delay_behind_a_padded_frame() -> None:
    seat = slot()
    seat.add(audio(FRAME + 100), 0.0)
    seat.add(Flush(), 0.0)
    heard = frames(seat)
    assert [float(frame.max()) for frame in heard] == [0.5, 0.5, 0.0, 0.0, 0.0]
    assert heard[1].nonzero()[0].tolist() == list(range(100))
    assert seat.consumed == seat.fed == FRAME + 100


def test_after_a_flush_the_part_of_a_frame_before_it_is_heard_again() -> None:
    seat = slot()
    for verb in (audio(FRAME + 100), Flush(), audio(FRAME, 0.25)):
        seat.add(verb, 0.0)
    last = frames(seat)[-1]
    assert last[:100].tolist() == [0.5] * 100
    assert last[100:].tolist() == [0.25] * (FRAME - 100)
    assert seat.consumed == 2 * FRAME
    assert seat.waiting == 100


def states(seat: Slot, *verbs: Verb) -> list[str]:
    """What is done to the model's state before each frame."""
    for verb in verbs:
        seat.add(verb, 0.0)
    done = []
    while next_frame(seat, 0.0) is not None:
        done.append(" ".join(name for name in ("restore", "fresh", "save") if getattr(seat, name)))
        seat.hear(())
    return done


def test_the_model_is_saved_before_the_silence_and_restored_before_the_audio() -> None:
    silence = [""] * (DELAY - 1)
    assert states(slot(), audio(FRAME), Flush(), audio(FRAME)) == ["fresh", "save", *silence, "restore"]
    assert states(slot(), audio(FRAME), Flush(), audio(1), Flush(), audio(FRAME)) == [
        *("fresh", "save", *silence),
        *("restore save", "", *silence),
        "restore",
    ]


def test_a_new_row_is_reset_again_instead_of_restored() -> None:
    """What was there to save is the last caller's."""
    assert states(slot(), audio(1), Flush(), audio(FRAME)) == ["fresh", "", "", "", "fresh"]


def test_nothing_is_saved_when_nothing_can_follow() -> None:
    assert states(slot(), audio(FRAME), Finish()) == ["fresh", "", "", ""]
    assert states(slot(), audio(FRAME), Flush(), Clear(), audio(FRAME)) == ["fresh"]


def test_a_second_flush_has_nothing_to_do() -> None:
    seat = slot()
    for verb in (audio(FRAME), Flush(), Flush()):
        seat.add(verb, 0.0)
    assert len(frames(seat)) == 1 + DELAY
    seat.add(Flush(), 0.0)
    assert frames(seat) == []


def test_a_time_inside_silence_that_was_made_up_is_that_of_the_last_sample() -> None:
    seat = slot()
    for verb in (audio(FRAME), Flush()):
        seat.add(verb, 0.0)
    said: list[ModelEvent] = [Word("late", 0.05), WordEnd(0.25), Pause(0.3)]
    assert told(seat, *[()] * DELAY, said) == [Word("late", 0.05), WordEnd(0.1), Pause(0.1)]


def test_after_a_flush_times_are_as_if_it_had_never_been() -> None:
    seat = slot()
    for verb in (audio(FRAME), Flush(), audio(2 * FRAME)):
        seat.add(verb, 0.0)
    after: list[ModelEvent] = [Word("after", 0.15), WordEnd(0.2)]
    assert told(seat, *[()] * (1 + DELAY), after) == [Word("after", 0.15), WordEnd(0.2)]


def test_what_a_flush_has_told_is_not_told_again() -> None:
    seat = slot()
    for verb in (audio(4 * FRAME), Flush(), audio(FRAME)):
        seat.add(verb, 0.0)
    tail: list[ModelEvent] = [Partial("one")]
    flushed: list[ModelEvent] = [Word("one", 0.2), Partial(""), WordEnd(0.4)]
    again: list[ModelEvent] = [Word("one", 0.2), Partial("two"), WordEnd(0.35), Word("two", 0.45)]
    assert told(seat, (), (), (), tail, (), (), flushed) == [*tail, *flushed]
    assert told(seat, again) == [Partial("two"), Word("two", 0.45)]


def test_a_step_carries_the_streams_own_count_and_backlog() -> None:
    seat = slot()
    seat.add(audio(3 * FRAME), 0.0)
    assert told(seat, (), [Step(99, (0.5, 0.1), 0.0)]) == [Step(2, (0.5, 0.1), 0.1)]


def test_a_mark_is_told_once_the_audio_before_it_has_been() -> None:
    seat = slot()
    for verb in (audio(FRAME), MarkAt(5), audio(FRAME * (DELAY + 1))):
        seat.add(verb, 0.0)
    assert told(seat, *[()] * DELAY) == []
    assert told(seat, [Word("last", 0.0)]) == [Word("last", 0.0), Mark(5)]


def test_a_mark_inside_a_frame_waits_for_that_frame() -> None:
    seat = slot()
    for verb in (audio(FRAME + 100), MarkAt(5), audio(FRAME * (DELAY + 1))):
        seat.add(verb, 0.0)
    assert told(seat, *[()] * (DELAY + 1)) == []
    assert told(seat, ()) == [Mark(5)]


def test_a_mark_before_any_audio_is_told_at_once() -> None:
    seat = slot()
    seat.add(MarkAt(1), 0.0)
    assert next_frame(seat, 0.0) is None
    assert seat.changed
    assert seat.news() == [Mark(1)]


def test_a_mark_without_audio_behind_it_flushes_when_its_patience_ends() -> None:
    seat = slot()
    seat.add(audio(FRAME), 10.0)
    seat.add(MarkAt(1), 10.0)
    assert len(frames(seat, 10.0)) == 1
    assert seat.deadline == 10.0 + MARK_PATIENCE
    assert frames(seat, 10.0 + MARK_PATIENCE - 0.01) == []
    assert len(frames(seat, 10.0 + MARK_PATIENCE)) == DELAY
    assert seat.news() == [Mark(1)]
    assert seat.deadline is None


def test_audio_behind_a_mark_renews_its_patience() -> None:
    seat = slot()
    seat.add(audio(FRAME), 0.0)
    seat.add(MarkAt(1), 0.0)
    seat.add(audio(10), 0.15)
    assert len(frames(seat, 0.15)) == 1
    assert seat.deadline == 0.15 + MARK_PATIENCE


def test_finish_pads_drains_and_ends() -> None:
    seat = slot()
    seat.add(audio(FRAME + 1), 0.0)
    seat.add(MarkAt(1), 0.0)
    seat.add(Finish(), 0.0)
    assert len(frames(seat)) == 2 + DELAY
    assert seat.ended
    assert seat.news() == [Mark(1)]
    assert seat.consumed == seat.fed
    assert next_frame(seat, 99.0) is None


def test_finish_without_audio_ends_without_a_step() -> None:
    seat = slot()
    seat.add(Finish(), 0.0)
    assert frames(seat) == []
    assert seat.ended
    assert seat.changed


def test_clear_forgets_what_waits_and_counts_it_as_consumed() -> None:
    seat = slot()
    seat.add(audio(5 * FRAME + 7), 0.0)
    assert next_frame(seat, 0.0) is not None
    seat.hear(())
    seat.add(Clear(), 0.0)
    assert seat.fresh
    assert frames(seat) == []
    assert seat.consumed == seat.fed == 5 * FRAME + 7


def test_after_clear_times_go_on() -> None:
    seat = slot()
    for verb in (audio(20 * FRAME), Clear(), audio(FRAME)):
        seat.add(verb, 0.0)
    assert told(seat, [Word("next", 0.05)]) == [Word("next", 2.05)]


def test_clear_withdraws_the_tail_and_answers_every_mark() -> None:
    seat = slot()
    for verb in (audio(FRAME), MarkAt(1), audio(FRAME), MarkAt(2)):
        seat.add(verb, 0.0)
    assert told(seat, [Partial("tail")], ()) == [Partial("tail")]
    seat.add(Clear(), 0.0)
    assert seat.news() == [Partial(""), Mark(1), Mark(2)]


def test_after_clear_nothing_is_left_to_drain() -> None:
    seat = slot()
    for verb in (audio(FRAME), Clear(), Finish()):
        seat.add(verb, 0.0)
    assert frames(seat) == []
    assert seat.ended


def test_a_mark_and_the_end_wait_for_a_model_that_is_behind() -> None:
    slow = slot()
    for verb in (audio(FRAME), MarkAt(1), Finish()):
        slow.add(verb, 0.0)
    while slow.turn(0.0) is not None:
        slow.take(0.0)
        slow.hear([Behind()] if slow.steps < 8 else ())
        assert (Mark(1) in slow.news()) == (slow.steps == 9)
    assert slow.ended
    assert slow.steps == 9 > 1 + DELAY


def test_what_a_flush_has_told_is_not_told_again_by_a_model_that_is_behind() -> None:
    slow = slot()
    slow.add(audio(FRAME), 0.0)
    slow.add(Flush(), 0.0)
    assert told(slow, [], [Word("one", 0.0)]) == [Word("one", 0.0)]
    frames(slow)
    slow.add(audio(9 * FRAME), 0.0)
    said: list[Sequence[ModelEvent]] = [[Behind()]] * 7 + [[Word("one", 0.0)]]
    assert [event for event in told(slow, *said) if isinstance(event, Word)] == []
