"""One caller's audio to events, with ears that need no model."""

import numpy as np
import pytest

from engine.base import FRAME_SAMPLES, PCM, SAMPLE_RATE
from engine.events import Event, Mark, Partial, Pause, Step, Word, WordEnd
from engine.listening import HOP, LEAD, Listener, spread
from engine.steps import Steps
from tests.engine.fake_ears import FakeEars, hush, said

STEP = 12_000  # half a second


def listened(listener: Listener, pcm: PCM) -> list[Event]:
    """The events of audio that comes half a second at a time."""
    events: list[Event] = []
    for start in range(0, len(pcm), STEP):
        events += listener.hear(pcm[start : start + STEP])
        events += listener.revise()
    return events


def words(events: list[Event]) -> str:
    return " ".join(event.text for event in events if isinstance(event, Word))


def last_tail(events: list[Event]) -> str:
    return [event.text for event in events if isinstance(event, Partial)][-1]


@pytest.fixture
def ears() -> FakeEars:
    return FakeEars()


@pytest.fixture
def listener(ears: FakeEars) -> Listener:
    return Listener(ears)


def test_words_come_while_they_are_spoken(listener: Listener) -> None:
    events = listened(listener, said(1, 2, 3, 4, 5))
    assert words(events) == "one two three four"
    assert last_tail(events) == "five"


def test_every_word_comes_once_and_the_utterance_ends_with_a_pause(listener: Listener) -> None:
    events = listened(listener, np.concatenate((hush(1), said(1, 2, 3), hush(1), said(4, 5), hush(1))))
    assert words(events) == "one two three four five"
    assert [event.at for event in events if isinstance(event, Pause)] == pytest.approx([2.2, 4.0], abs=0.05)
    assert last_tail(events) == ""


def test_times_go_forward_within_the_voice(listener: Listener) -> None:
    events = listened(listener, np.concatenate((hush(1), said(1, 2, 3), hush(1))))
    times = [time for event in events for time in told_times(event)]
    assert times == sorted(times)
    assert times[0] >= 0.95
    assert times[-1] <= 2.25


def told_times(event: Event) -> list[float]:
    match event:
        case Word(start=time) | WordEnd(stop=time):
            return [time]
    return []


def test_each_word_is_followed_by_its_end(listener: Listener) -> None:
    events = [event for event in listened(listener, said(1, 2, 3, 4)) if isinstance(event, Word | WordEnd)]
    assert [type(event) for event in events] == [Word, WordEnd] * (len(events) // 2)


def test_a_partial_is_told_only_when_the_tail_changed(listener: Listener) -> None:
    events = listened(listener, np.concatenate((said(1, 2), hush(0.3))))
    assert listener.revise() == [] or last_tail(events) != ""
    assert not any(isinstance(event, Partial) for event in listener.revise())


def test_silence_costs_no_call(listener: Listener, ears: FakeEars) -> None:
    assert listened(listener, hush(60)) == []
    assert ears.calls == ears.looked == 0


def test_what_is_kept_and_asked_about_is_bounded(listener: Listener, ears: FakeEars) -> None:
    for _ in range(20):
        listened(listener, said(*range(1, 10)))
    assert ears.longest < 13
    assert len(listener._audio) < 14 * SAMPLE_RATE


def test_flush_tells_the_tail_and_what_follows_goes_on_behind_it(listener: Listener) -> None:
    events = listened(listener, said(1, 2, 3))
    events += listener.flush()
    assert words(events) == "one two three"
    events += listened(listener, np.concatenate((said(4, 5), hush(1))))
    assert words(events) == "one two three four five"


def test_flushing_silence_says_nothing(listener: Listener) -> None:
    listener.hear(hush(1))
    assert listener.flush() == []


def test_the_steps_of_a_pause_stand_behind_the_words_before_it(ears: FakeEars) -> None:
    listener = Listener(ears, steps=Steps())
    pcm = np.concatenate((hush(1.04), said(1, 2, 3), hush(1.04)))
    events = listened(listener, pcm)
    steps = [event for event in events if isinstance(event, Step)]
    assert [step.index for step in steps] == list(range(1, len(pcm) // FRAME_SAMPLES + 1))
    quiet = [step.pauses[2] > 0.5 for step in steps]
    turns = [index for index in range(1, len(quiet)) if quiet[index] != quiet[index - 1]]
    assert [turn * 0.08 for turn in turns] == pytest.approx([0.5, 1.04, 1.04 + 1.2 + 0.5], abs=0.17)
    assert words(events[: events.index(steps[turns[-1]])]) == "one two three"


def test_clear_counts_no_step_of_what_it_forgets(ears: FakeEars) -> None:
    listener = Listener(ears, steps=Steps())
    assert len(listened(listener, hush(1.0))) == 12
    listener.clear(5 * SAMPLE_RATE)
    told = [event for event in listener.hear(hush(0.16)) if isinstance(event, Step)]
    assert [step.index for step in told] == [13, 14]


def test_finish_tells_the_last_words_and_ends_the_utterance(listener: Listener) -> None:
    events = listened(listener, said(1, 2, 3)) + listener.finish()
    assert words(events) == "one two three"
    assert isinstance(events[-1], Pause)


def test_clear_forgets_the_words_and_times_go_on(listener: Listener) -> None:
    listened(listener, said(1, 2))
    assert listener.clear(5 * SAMPLE_RATE) == [Partial("")]
    events = listened(listener, np.concatenate((said(3, 4), hush(1))))
    assert words(events) == "three four"
    assert next(event.start for event in events if isinstance(event, Word)) == pytest.approx(5.0, abs=0.05)


def test_a_mark_in_silence_is_told_at_once(listener: Listener) -> None:
    listener.mark(7, SAMPLE_RATE)
    assert listener.hear(hush(1.5)) == [Mark(7)]


def test_a_mark_in_speech_waits_for_the_words_before_it(listener: Listener) -> None:
    events = listened(listener, said(1, 2, 3))
    listener.mark(7, 3 * 9_600)
    events += listened(listener, said(4, 5, 6, 7, 8))
    assert Mark(7) in events
    assert words(events[: events.index(Mark(7))]).startswith("one two three")


@pytest.mark.parametrize("verb", ["flush", "finish"])
def test_flush_and_finish_tell_every_mark(listener: Listener, verb: str) -> None:
    events = listened(listener, said(1, 2, 3))
    listener.mark(1, 28_800)
    listener.mark(2, 28_800)
    events += getattr(listener, verb)()
    assert [event for event in events if isinstance(event, Mark)] == [Mark(1), Mark(2)]
    assert words(events) == "one two three"


def test_clear_tells_every_mark(listener: Listener) -> None:
    listened(listener, said(1, 2, 3))
    listener.mark(1, 28_800)
    assert Mark(1) in listener.clear(28_800)
    assert not listener.marked


def test_letters_share_the_time_evenly() -> None:
    assert spread(["ab", "cd"], 0.0, 5.0) == [(0.0, 2.0), (3.0, 5.0)]
    assert spread([], 0.0, 5.0) == []


def test_the_detector_hears_silence_before_a_streams_first_audio() -> None:
    """Else it would begin with what it remembers of another stream."""

    class Curious(FakeEars):
        def __init__(self) -> None:
            super().__init__()
            self.first: PCM | None = None

        def voice(self, pcm: PCM) -> list[bool]:
            self.first = pcm if self.first is None else self.first
            return super().voice(pcm)

    ears = Curious()
    Listener(ears).hear(said(1, 2))
    assert ears.first is not None
    assert not ears.first[: LEAD * HOP].any()
    assert ears.first[LEAD * HOP :].all()
