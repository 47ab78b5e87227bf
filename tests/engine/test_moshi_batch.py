"""The model in the batch: flushes at any moment, on the tiny checkpoint that hears digits."""

import random
from pathlib import Path

import jiwer
import numpy as np
import pytest
import torch

from engine.base import FRAME_SAMPLES, PCM, SAMPLE_RATE
from engine.batch import Batch
from engine.checkpoint import find
from engine.events import Event, Mark, Word
from engine.moshi import RATION, MoshiModel, SpeechSettings, load_networks
from engine.net import Net
from engine.slots import Slot
from engine.verbs import Audio, Finish, Flush, MarkAt, Verb
from tests.engine.digits import babble
from tests.engine.stalls import HEARD, busy, silence

ROWS = 6
SECONDS = 8.0
LEAD, PERIOD = 0.4, 0.52  # seconds: how `busy` speaks


@pytest.fixture(scope="module")
def model() -> MoshiModel:
    """Without fresh starts, which come at other moments where there are flushes, and tip a word now and then."""
    torch.set_num_threads(1)
    files = find(str(Path(__file__).parent / "tiny"))
    mimi, lm, tokenizer = load_networks(files, "cpu", torch.float32)
    return MoshiModel(Net(mimi, lm, ROWS), tokenizer.decode, SpeechSettings.of(files).delay, refreshing=False)


def told(model: MoshiModel, streams: list[PCM], flushes: float) -> tuple[list[list[Word]], int]:
    """The words of each stream, fed in pieces of 20 to 100 ms with a flush behind so many of them; and how many."""
    chance = random.Random(1)
    model.resize(ROWS)
    batch = Batch(model)
    slots = [Slot(row, model.frame_size, model.delay) for row in range(ROWS)]
    events: dict[Slot, list[Event]] = {slot: [] for slot in slots}
    rest, count = dict(zip(slots, streams, strict=True)), 0
    for slot in slots:
        batch.join(slot)
    while not all(slot.ended for slot in slots):
        for slot, pcm in rest.items():
            samples = chance.choice((480, 1_920, 2_400))
            if len(pcm):
                batch.add(slot, Audio(pcm[:samples]), 0.0)
                if chance.random() < flushes:
                    batch.add(slot, Flush(), 0.0)
                    count += 1
                if len(pcm) <= samples:
                    batch.add(slot, Finish(), 0.0)
            rest[slot] = pcm[samples:]
        for news in batch.tick(0.0):
            events[news.slot].extend(news.events)
    return [[event for event in heard if isinstance(event, Word)] for heard in events.values()], count


def texts(streams: list[list[Word]]) -> list[str]:
    return [" ".join(word.text for word in words) for words in streams]


def test_flushes_lose_no_word_and_tell_none_twice(model: MoshiModel) -> None:
    """A word that a flush cuts in two may be misheard; what is told is never taken back."""
    rng = np.random.default_rng(5)
    streams = [babble(rng, SECONDS)[0] for _ in range(ROWS)]
    undisturbed, _ = told(model, streams, 0.0)
    flushed, count = told(model, streams, 0.1)
    assert count > 50
    errors = jiwer.process_words(texts(undisturbed), texts(flushed))
    assert (errors.insertions, errors.deletions) == (0, 0)
    assert errors.substitutions <= 0.05 * sum(map(len, undisturbed))
    for before, after in zip(undisturbed, flushed, strict=True):
        for one, other in zip(before, after, strict=True):
            assert other.start == pytest.approx(one.start, abs=0.25)


class TestWhileARowReadsAgain:
    """It has stalled, and is 90 frames behind: more than it can read in the steps of a flush."""

    @pytest.fixture
    def behind(self, model: MoshiModel, monkeypatch: pytest.MonkeyPatch) -> "Stalled":
        model.resize(2)
        stalled = Stalled(model)
        stalled.feed(HEARD)
        silence(model, monkeypatch)
        while not model._rows[0].behind:
            stalled.feed(1)
        stalled.speak_on(1)
        assert model._rows[0].behind > 2 * model.delay
        return stalled

    def test_who_finishes_gets_the_last_words(self, behind: "Stalled") -> None:
        behind.ask(Finish())
        assert behind.words == behind.spoken
        assert behind.slot.ended

    def test_a_mark_comes_behind_the_words_before_it(self, behind: "Stalled") -> None:
        behind.ask(MarkAt(7), Flush())
        assert behind.events[-1] == Mark(7)
        assert behind.words == behind.spoken

    def test_slow_steps_leave_it_less_time(self, behind: "Stalled", model: MoshiModel) -> None:
        """A frame in three steps; a flush that this makes longer than any other is still undone."""
        behind.slow_down()
        frames = model._rows[0].behind
        behind.feed(30)
        assert model._rows[0].behind == frames - 30 // RATION
        behind.speak_on(1)
        behind.ask(Flush())
        assert not model._rows[0].behind
        behind.speak_on(5)
        behind.ask(Finish())
        assert behind.words == behind.spoken

    @pytest.mark.parametrize("frames", [1, 40])
    def test_a_flush_leaves_no_trace(self, behind: "Stalled", frames: int) -> None:
        behind.ask(Flush())
        behind.speak_on(frames)
        behind.ask(Flush())
        behind.speak_on(10)
        behind.ask(Finish())
        assert behind.words == behind.spoken


class Stalled:
    """The caller who is not heard, in the first of two rows."""

    def __init__(self, model: MoshiModel) -> None:
        self.slot = Slot(0, model.frame_size, model.delay)
        self.events: list[Event] = []
        self._batch = Batch(model)
        self._batch.join(self.slot)
        self._pcm, self._said = busy(20.0)
        self._fed = 0

    @property
    def words(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Word)]

    @property
    def spoken(self) -> list[str]:
        """The words that have been said so far."""
        return self._said[: round((self._fed / SAMPLE_RATE - LEAD) / PERIOD + 0.2)]

    def speak_on(self, frames: int) -> None:
        """So many frames or more, up to a gap between two words."""
        self.feed(frames)
        while not 0.32 < (self._fed / SAMPLE_RATE - LEAD) % PERIOD < 0.5:
            self.feed(1)

    def slow_down(self) -> None:
        """From now on steps take nearly as long as a frame."""
        for _ in range(100):
            self._batch.pace.took(0.06, 1, 0.0)

    def feed(self, frames: int) -> None:
        pcm = self._pcm[self._fed : self._fed + frames * FRAME_SAMPLES]
        self._fed += len(pcm)
        self.ask(Audio(pcm))

    def ask(self, *verbs: Verb) -> None:
        for verb in verbs:
            self._batch.add(self.slot, verb, 0.0)
        while self._batch.due(0.0) == 0.0:
            for news in self._batch.tick(0.0):
                self.events += news.events
