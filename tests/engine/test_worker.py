"""What waits for a worker and when it is due; then the thread itself, with ears that need no model."""

import math
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from engine.base import PCM
from engine.events import Event, Mark, Partial, Pause, Step, Word
from engine.verbs import Audio, Clear, Finish, Flush, MarkAt
from engine.worker import FILE_PIECE, INTERVAL, LONGEST_INTERVAL, NICENESS, QUIET, Close, Open, Place, Worker
from tests.engine.fake_ears import WORDS, FakeEars, hush, said


@pytest.fixture
def ears() -> FakeEars:
    return FakeEars()


@pytest.fixture
def place(ears: FakeEars) -> Place:
    return Place(ears, live=True)


def test_nothing_is_due_without_audio(place: Place) -> None:
    assert place.due(0.0) == math.inf


def test_a_little_audio_is_due_an_interval_after_it_came(place: Place) -> None:
    place.feed(hush(0.08), 10.0)
    place.feed(hush(0.08), 10.1)
    assert place.due(0.0) == 10.0 + INTERVAL


def test_an_interval_of_audio_is_due_at_once(place: Place) -> None:
    place.feed(hush(INTERVAL), 10.0)
    assert place.due(0.0) == 10.0


@pytest.mark.parametrize(("load", "interval"), [(0.0, 0.5), (0.7, 1.0), (7.0, LONGEST_INTERVAL)])
def test_updates_come_less_often_under_load_up_to_a_limit(place: Place, load: float, interval: float) -> None:
    place.feed(hush(0.08), 10.0)
    assert place.due(load) == pytest.approx(10.0 + interval)


def test_a_stream_that_has_grown_dear_is_updated_less_often(place: Place) -> None:
    place.feed(hush(0.08), 10.0)
    place.cost = 0.3
    assert place.due(0.3) == pytest.approx(11.0)


def test_a_verb_waits_for_the_audio_before_it_only(place: Place) -> None:
    place.feed(said(1, 2), 0.0)
    place.ask(Finish())
    place.feed(said(3), 0.0)
    events = place.update(0.0)
    assert [event.text for event in events if isinstance(event, Word)] == ["one", "two"]
    assert place.finished


def test_a_long_piece_is_heard_in_parts(place: Place) -> None:
    place.feed(hush(12), 0.0)
    place.ask(Finish())
    steps = [len(place.update(0.0)), place.finished, len(place.update(0.0)), place.finished]
    assert steps == [62, False, 63, False]
    place.update(0.0)
    assert place.finished
    assert place.consumed == 12 * 24_000


def test_what_is_not_live_is_heard_in_shorter_parts(ears: FakeEars) -> None:
    place = Place(ears, live=False)
    place.feed(hush(12), 0.0)
    place.update(0.0)
    assert place.consumed == 24_000


def test_clear_counts_the_audio_that_waits_as_consumed(place: Place) -> None:
    place.feed(said(1, 2, 3), 0.0)
    place.clear()
    assert place.consumed == 28_800
    assert place.due(0.0) == math.inf


def test_a_mark_with_no_audio_behind_it_flushes(place: Place) -> None:
    place.feed(said(1, 2, 3), 0.0)
    place.mark(7, 0.0)
    place.update(0.01)
    assert place.due(0.0) == QUIET
    events = place.update(QUIET)
    assert [event.text for event in events if isinstance(event, Word)] == ["one", "two", "three"]
    assert events[-1] == Mark(7)
    assert place.due(0.0) == math.inf


def test_audio_behind_a_mark_puts_its_flush_off(place: Place) -> None:
    place.feed(said(1, 2, 3), 0.0)
    place.mark(7, 0.0)
    place.update(0.01)
    place.feed(said(4), 0.1)
    assert place.due(0.0) == pytest.approx(0.1 + QUIET)


def test_a_stream_that_is_not_live_is_only_told_whole_utterances(ears: FakeEars) -> None:
    place = Place(ears, live=False, steps=False)
    place.feed(np.concatenate((said(1, 2, 3, 4), hush(1))), 0.0)
    events = [event for _ in range(3) for event in place.update(0.0)]
    assert [event.text for event in events if isinstance(event, Word)] == ["one", "two", "three", "four"]
    assert not any(isinstance(event, (Step, Partial)) for event in events)
    assert ears.calls == 1


def test_a_step_tells_how_much_waits_behind_it(place: Place) -> None:
    place.feed(hush(6), 0.0)
    backlogs = [event.backlog for event in place.update(0.0) if isinstance(event, Step)]
    assert (backlogs[0], backlogs[-1]) == pytest.approx((5.92, 1.04))


def test_a_late_stream_catches_up_before_its_utterance_is_heard_again(place: Place, ears: FakeEars) -> None:
    place.feed(said(1, 2, 3, 4, 5), 0.0)
    place.update(0.0)
    assert ears.calls == 0
    place.feed(said(6), 1.0)
    assert [event.text for event in place.update(1.0) if isinstance(event, Partial)] == ["one two three four five six"]


@dataclass(frozen=True, slots=True)
class Delivery:
    epoch: int
    events: Sequence[Event]
    consumed: int
    ended: bool


class Inbox:
    """A stream's half on the other thread: what was delivered, in order."""

    def __init__(self) -> None:
        self._deliveries: queue.SimpleQueue[Delivery] = queue.SimpleQueue()

    def deliver(self, epoch: int, events: Sequence[Event], consumed: int, ended: bool) -> None:
        self._deliveries.put(Delivery(epoch, events, consumed, ended))

    def next(self) -> Delivery:
        return self._deliveries.get(timeout=10)

    def until_the_end(self) -> list[Event]:
        events: list[Event] = []
        while not (delivery := self.next()).ended:
            events += delivery.events
        return events + list(delivery.events)


def at_once(call: Callable[..., None], /, *args: object) -> None:
    call(*args)


@pytest.fixture
def reasons() -> queue.SimpleQueue[str]:
    return queue.SimpleQueue()


@pytest.fixture
def worker(ears: FakeEars, reasons: queue.SimpleQueue[str]) -> Iterator[Worker]:
    worker = Worker(0, ears, at_once, reasons.put)
    worker.start()
    yield worker
    ears.may_go_on.set()
    worker.stop()


def test_a_stream_is_heard_to_its_end(worker: Worker) -> None:
    inbox = Inbox()
    for command in (Open(True), Audio(said(1, 2)), MarkAt(3), Audio(hush(1)), Finish()):
        worker.ask(inbox, command)
    events = inbox.until_the_end()
    assert [event.text for event in events if isinstance(event, Word)] == ["one", "two"]
    assert [type(event) for event in events if not isinstance(event, Step)][-2:] == [Pause, Mark]
    assert [event.index for event in events if isinstance(event, Step)] == list(range(1, 23))


def test_streams_of_one_worker_hear_nothing_of_each_other(worker: Worker) -> None:
    inboxes = [Inbox() for _ in range(9)]
    for inbox in inboxes:
        worker.ask(inbox, Open(True))
    for _ in range(3):
        for number, inbox in enumerate(inboxes, start=1):
            worker.ask(inbox, Audio(said(number)))
    for inbox in inboxes:
        worker.ask(inbox, Finish())
    told = [{event.text for event in inbox.until_the_end() if isinstance(event, Word)} for inbox in inboxes]
    assert told == [{word} for word in WORDS[1:]]


def test_what_was_said_before_a_clear_bears_the_older_epoch(worker: Worker, ears: FakeEars) -> None:
    inbox = Inbox()
    ears.may_go_on.clear()
    worker.ask(inbox, Open(True))
    worker.ask(inbox, Audio(said(1, 2, 3)))
    worker.ask(inbox, Flush())
    worker.ask(inbox, Clear())
    ears.may_go_on.set()
    epochs = {inbox.next().epoch}
    worker.ask(inbox, Finish())
    while not (delivery := inbox.next()).ended:
        epochs.add(delivery.epoch)
    assert delivery.epoch == 1
    assert not any(isinstance(event, Word) for event in delivery.events)


def test_a_closed_stream_is_forgotten(worker: Worker) -> None:
    closed, open_ = Inbox(), Inbox()
    for command in (Open(True), Close(), Audio(said(1)), Finish()):
        worker.ask(closed, command)
    for command in (Open(True), Audio(said(2)), Finish()):
        worker.ask(open_, command)
    open_.until_the_end()
    with pytest.raises(queue.Empty):
        closed._deliveries.get_nowait()


def test_a_worker_that_dies_says_why(
    worker: Worker, ears: FakeEars, reasons: queue.SimpleQueue[str], caplog: pytest.LogCaptureFixture
) -> None:
    ears.error = RuntimeError("out of luck")
    inbox = Inbox()
    for command in (Open(True), Audio(said(1, 2, 3)), Finish()):
        worker.ask(inbox, command)
    assert reasons.get(timeout=10) == "the engine died: RuntimeError"
    assert "out of luck" in caplog.text


class Priorities(FakeEars):
    """Notes how far the thread that it listens in steps back."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[int] = []

    def voice(self, pcm: PCM) -> list[bool]:
        self.noted.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return super().voice(pcm)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux only")
@pytest.mark.parametrize(("for_files", "more"), [(True, NICENESS), (False, 0)])
def test_the_thread_of_files_steps_back_and_no_other_does(for_files: bool, more: int) -> None:
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    ears, inbox = Priorities(), Inbox()
    worker = Worker(0, ears, at_once, lambda reason: None, for_files=for_files)
    worker.start()
    for command in (Open(False), Audio(said(1)), Finish()):
        worker.ask(inbox, command)
    inbox.until_the_end()
    worker.stop()
    assert set(ears.noted) == {min(19, before + more)}
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_a_file_is_heard_in_the_same_pieces_however_it_comes(ears: FakeEars) -> None:
    place = Place(ears, live=False)
    place.feed(said(1, 2), 10.0)
    assert place.due(0.0) == math.inf
    place.feed(said(3, 4, 5), 11.0)
    assert place.due(0.0) == 10.0
    place.update(11.0)
    assert place.consumed == FILE_PIECE
    place.feed(said(6), 12.0)
    assert place.due(0.0) <= 12.0
    place.update(12.0)
    assert place.consumed == 2 * FILE_PIECE
    place.ask(Finish())
    assert place.due(0.0) == -math.inf
