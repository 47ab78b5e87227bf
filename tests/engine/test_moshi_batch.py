"""The model in the batch: flushes at any moment, on the tiny checkpoint that hears digits."""

import random
from pathlib import Path

import jiwer
import numpy as np
import pytest
import torch

from engine.base import PCM, EngineConfig
from engine.batch import Batch
from engine.events import Event, Word
from engine.moshi import MoshiModel, load_model
from engine.slots import Slot
from engine.verbs import Audio, Finish, Flush
from tests.engine.digits import babble

ROWS = 6
SECONDS = 12.0


@pytest.fixture(scope="module")
def model() -> MoshiModel:
    torch.set_num_threads(1)
    return load_model(EngineConfig("moshi", capacity=ROWS, model=str(Path(__file__).parent / "tiny")))


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
