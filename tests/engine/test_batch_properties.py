"""Whatever callers do, each is told the words that a model of its own would say, once and in order."""

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base import FRAME_SAMPLES, PCM, SAMPLE_RATE
from engine.batch import Batch
from engine.events import Event, Mark, Partial, Pause, Step, Word, WordEnd
from engine.scripted import DELAY, WORDS, ScriptedModel, say
from engine.slots import Slot
from engine.verbs import Audio, Clear, Finish, Flush, MarkAt, Verb

ROWS = 3
UNIT = FRAME_SAMPLES // 6  # samples: no frame has a quarter of a tone, where rounding decides whether it is heard
GAPS = tuple(units * UNIT / SAMPLE_RATE for units in (0, 8, 18, 120))  # seconds
SILENCE: PCM = np.zeros((DELAY + 1) * FRAME_SAMPLES, dtype=np.float32)

# (who, what, how much): `feed` so many units of what the caller has to say, or let a quarter of that time pass.
ACTIONS = ("feed", "feed", "feed", "feed", "flush", "mark", "clear", "finish", "leave", "tick", "tick", "tick", "slow")
PLANS = st.lists(st.tuples(st.integers(0, ROWS - 1), st.sampled_from(ACTIONS), st.integers(0, 24)), max_size=120)
SPEECH = st.lists(st.lists(st.sampled_from(WORDS), min_size=12, max_size=12), min_size=ROWS, max_size=ROWS)


def reference(pcm: PCM) -> list[Word]:
    """What a model of one row says of the audio and the silence behind it."""
    model = ScriptedModel(1)
    pcm = np.concatenate([pcm, np.zeros(-len(pcm) % FRAME_SAMPLES, np.float32), SILENCE])
    active, reset = np.ones(1, dtype=np.bool_), np.ones(1, dtype=np.bool_)
    words: list[Word] = []
    for frame in pcm.reshape(-1, 1, FRAME_SAMPLES):
        words += [event for event in model.step(frame, active, reset)[0] if isinstance(event, Word)]
        reset[:] = False
    return words


@dataclass
class Caller:
    """One who speaks, and what was told."""

    slot: Slot
    speech: PCM
    position: int = 0
    since: int = 0  # the position of the last clear
    finished: bool = False
    marks: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    checked: int = 0  # events that were checked before the last clear

    def check(self, *, whole: bool) -> None:
        """What was told since the last clear is right; with `whole`, nothing is missing."""
        events = self.events[self.checked :]
        words = [event for event in events if isinstance(event, Word)]
        expected = reference(self.speech[self.since : self.position])
        offset = self.since / SAMPLE_RATE
        assert len(words) <= len(expected)
        for word, due in zip(words, expected, strict=False):
            assert word.text == due.text
            assert word.start == pytest.approx(offset + due.start)
        if whole:
            assert len(words) == len(expected)
        self._check_tails(events, [word.text for word in expected])
        self._check_ends(events)

    def _check_tails(self, events: list[Event], expected: list[str]) -> None:
        told: list[str] = []
        for event in events:
            if isinstance(event, Word):
                told.append(event.text)
            elif isinstance(event, Partial):
                shown = [*told, *event.text.split()]
                assert shown == expected[: len(shown)]

    def _check_ends(self, events: list[Event]) -> None:
        """Every word has one end at most, behind its start; every utterance one pause."""
        marks_of_words = [event for event in events if isinstance(event, Word | WordEnd)]
        for before, event in itertools.pairwise([WordEnd(0.0), *marks_of_words]):
            if isinstance(event, WordEnd):
                assert isinstance(before, Word)
                assert event.stop > before.start
        kinds = [type(event) for event in events if isinstance(event, Word | Pause)]
        assert (Pause, Pause) not in itertools.pairwise(kinds)
        times = [event.stop for event in marks_of_words if isinstance(event, WordEnd)]
        assert times == sorted(times)


class World:
    """A batch, a clock that is told, and a caller in each row."""

    def __init__(self, speeches: list[list[str]], gap: float) -> None:
        self.batch = Batch(ScriptedModel(ROWS))
        self.now = 0.0
        self._speeches = [say(words, gap) for words in speeches]
        self.callers = [self._join(row) for row in range(ROWS)]

    def _join(self, row: int) -> Caller:
        caller = Caller(Slot(row, FRAME_SAMPLES, DELAY), self._speeches[row])
        self.batch.join(caller.slot)
        return caller

    def act(self, row: int, action: str, amount: int) -> None:
        caller = self.callers[row]
        match action:
            case "leave":
                caller.check(whole=caller.slot.ended)
                self.batch.leave(caller.slot)
                self.callers[row] = self._join(row)
            case "tick":
                self.now += amount * UNIT / 4 / SAMPLE_RATE
                self.tick()
            case "slow":
                self.batch.pace.took(amount * UNIT / SAMPLE_RATE, 1, self.now)
            case _ if not caller.finished:
                self._ask(caller, action, amount)

    def _ask(self, caller: Caller, action: str, amount: int) -> None:
        verb: Verb
        match action:
            case "feed":
                verb = Audio(caller.speech[caller.position : caller.position + amount * UNIT])
                caller.position += len(verb.pcm)
            case "flush":
                verb = Flush()
            case "mark":
                caller.marks.append(len(caller.marks))
                verb = MarkAt(caller.marks[-1])
            case "clear":
                caller.check(whole=False)
                verb = Clear()
            case _:
                caller.finished = True
                verb = Finish()
        self.batch.add(caller.slot, verb, self.now)
        if action == "clear":
            caller.since, caller.checked = caller.position, len(caller.events)

    def tick(self) -> None:
        callers = {caller.slot: caller for caller in self.callers}
        for told in self.batch.tick(self.now):
            assert not callers[told.slot].slot.ended or told.ended
            callers[told.slot].events.extend(told.events)

    def end(self) -> None:
        """Everybody finishes, and hears the rest."""
        for caller in self.callers:
            if not caller.finished:
                self.batch.add(caller.slot, Finish(), self.now)
        while (due := self.batch.due(self.now)) is not None:
            self.now = max(self.now, due) + 0.001
            self.tick()


@settings(max_examples=300, deadline=None)
@given(SPEECH, st.sampled_from(GAPS), PLANS)
def test_everybody_is_told_their_own_words_once_and_in_order(
    speeches: list[list[str]], gap: float, plan: list[tuple[int, str, int]]
) -> None:
    world = World(speeches, gap)
    for step in plan:
        world.act(*step)
    world.end()
    for caller in world.callers:
        caller.check(whole=True)
        slot = caller.slot
        assert slot.ended
        assert slot.consumed == slot.fed == caller.position
        assert [event.id for event in caller.events if isinstance(event, Mark)] == caller.marks
        steps = [event.index for event in caller.events if isinstance(event, Step)]
        assert steps == list(range(1, slot.steps + 1))
        tails = [event.text for event in caller.events if isinstance(event, Partial)]
        assert not tails or tails[-1] == ""


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 18), min_size=1, max_size=30), st.sampled_from(GAPS))
def test_a_flush_after_every_piece_changes_no_word(pieces: list[int], gap: float) -> None:
    world = World([list(WORDS[:12])] * ROWS, gap)
    caller = world.callers[0]
    for units in pieces:
        world.act(0, "feed", units)
        world.act(0, "flush", 0)
        world.act(0, "tick", units)
    world.end()
    caller.check(whole=True)


def test_the_words_before_a_mark_are_told_before_it() -> None:
    world = World([list(WORDS[:12])] * ROWS, 0.24)
    for number in range(12):
        world.act(0, "feed", 42)
        world.act(0, "mark", 0)
        for _ in range(number % 4):
            world.act(0, "tick", 1)
    world.end()
    events = [event for event in world.callers[0].events if isinstance(event, Word | Mark)]
    for number, word in enumerate(WORDS[:12]):
        texts = [event.text for event in events[: events.index(Mark(number))] if isinstance(event, Word)]
        assert word in texts
