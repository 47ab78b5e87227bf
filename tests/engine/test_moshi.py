"""The model that is made of the networks, on the tiny checkpoint in `tiny/`, which hears digits."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, cycle
from pathlib import Path

import jiwer
import numpy as np
import pytest
import torch

from engine.base import FRAME_SAMPLES, PCM, EngineConfig
from engine.batch import Mask
from engine.checkpoint import find
from engine.errors import Misuse, Unavailable
from engine.events import Partial, Pause, Step, Word, WordEnd
from engine.moshi import MOST_REFRESHED, MoshiModel, SpeechSettings, load_model, load_networks
from engine.net import Heard, Net
from engine.slots import ModelEvent
from engine.words import FRAME_SECONDS, PAD, WORD_START
from tests.engine.digits import Spoken, babble, recite
from tests.engine.oracle import Caller, Networks, come_and_go, streaming
from tests.engine.stalls import HEARD, busy, silence

TINY = Path(__file__).parent / "tiny"
ROWS = 16
QUIET = np.zeros(FRAME_SAMPLES, np.float32)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Networks as small as these are slower with two."""
    torch.set_num_threads(1)


def model_of(rows: int = 3, *, refreshing: bool = True) -> MoshiModel:
    """The tiny model, which is loaded as a large one is."""
    files = find(str(TINY))
    mimi, lm, tokenizer = load_networks(files, "cpu", torch.float32)
    return MoshiModel(Net(mimi, lm, rows), tokenizer.decode, SpeechSettings.of(files).delay, refreshing=refreshing)


class Listeners:
    """Lets rows of a model hear streams and keeps what it said of each."""

    def __init__(self, model: MoshiModel) -> None:
        self.model = model
        self.events: list[list[ModelEvent]] = [[] for _ in range(model.batch_size)]
        self._fresh = np.ones(model.batch_size, dtype=np.bool_)

    def hear(self, streams: dict[int, PCM]) -> None:
        """Whole streams, at once, by their row."""
        for start in range(0, max(map(len, streams.values())), FRAME_SAMPLES):
            self.step({row: pcm[start : start + FRAME_SAMPLES] for row, pcm in streams.items() if start < len(pcm)})

    def step(self, frames: dict[int, PCM]) -> None:
        """A frame of some rows."""
        pcm = np.zeros((self.model.batch_size, FRAME_SAMPLES), np.float32)
        active = np.zeros(self.model.batch_size, dtype=np.bool_)
        for row, frame in frames.items():
            pcm[row], active[row] = np.pad(frame, (0, FRAME_SAMPLES - len(frame))), True
        for row, events in enumerate(self.model.step(pcm, active, active & self._fresh)):
            self.events[row] += events
        self._fresh &= ~active

    def drain(self, *rows: int) -> None:
        """The silence that a flush is."""
        for _ in range(self.model.delay):
            self.step(dict.fromkeys(rows, QUIET))

    def mask(self, *rows: int) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        found = np.zeros(self.model.batch_size, dtype=np.bool_)
        found[list(rows)] = True
        return found

    def words(self, row: int) -> list[str]:
        return [word.text for word in self.timed(row)]

    def timed(self, row: int) -> list[Word]:
        return [event for event in self.events[row] if isinstance(event, Word)]


def texts(said: Sequence[Spoken]) -> str:
    return " ".join(spoken.word for spoken in said)


@pytest.fixture(scope="module")
def crowd() -> tuple[Listeners, list[list[Spoken]]]:
    """Sixteen callers who speak for half a minute each, and what the model has said."""
    rng = np.random.default_rng(5)
    streams = [babble(rng, 30) for _ in range(ROWS)]
    listeners = Listeners(model_of(ROWS))
    listeners.hear(dict(enumerate(pcm for pcm, _ in streams)))
    listeners.drain(*range(ROWS))
    return listeners, [said for _, said in streams]


@pytest.mark.timeout(300)  # the callers take a minute of a busy core
class TestSixteenCallersAtOnce:
    def test_are_transcribed(self, crowd: tuple[Listeners, list[list[Spoken]]]) -> None:
        """Seven times the context of the model, which starts anew in it many times."""
        listeners, said = crowd
        heard = [" ".join(listeners.words(row)) for row in range(ROWS)]
        assert jiwer.wer([texts(one) for one in said], heard) <= 0.05
        assert listeners.model.upkeep.refreshes > 10 * ROWS
        assert (listeners.model.upkeep.stalls, listeners.model.upkeep.losses) == (0, 0)

    def test_words_have_the_times_at_which_they_were_spoken(self, crowd: tuple[Listeners, list[list[Spoken]]]) -> None:
        listeners, said = crowd
        right = [row for row in range(ROWS) if " ".join(listeners.words(row)) == texts(said[row])]
        pairs = [pair for row in right for pair in zip(listeners.timed(row), said[row], strict=True)]
        errors = [word.start - spoken.start for word, spoken in pairs]
        assert len(errors) > 200
        assert abs(np.mean(errors)) < 0.02
        assert np.max(np.abs(errors)) < 0.25

    def test_every_word_ends_before_the_next_begins(self, crowd: tuple[Listeners, list[list[Spoken]]]) -> None:
        for events in crowd[0].events:
            kinds = [type(event) for event in events if isinstance(event, Word | WordEnd)]
            assert kinds == [Word, WordEnd] * (len(kinds) // 2)
            times = [e.start if isinstance(e, Word) else e.stop for e in events if isinstance(e, Word | WordEnd)]
            assert times == sorted(times)

    def test_each_step_tells_the_pause_probabilities(self, crowd: tuple[Listeners, list[list[Spoken]]]) -> None:
        listeners, _ = crowd
        steps = [event for event in listeners.events[0] if isinstance(event, Step)]
        assert len(steps) == 375 + listeners.model.delay
        assert {len(step.pauses) for step in steps} == {4}

    def test_nothing_is_left_in_the_tail(self, crowd: tuple[Listeners, list[list[Spoken]]]) -> None:
        for events in crowd[0].events:
            assert [event for event in events if isinstance(event, Partial)][-1] == Partial("")


def test_tokens_are_those_of_moshi_itself_one_stream_at_a_time() -> None:
    """Exactly, in double precision, for callers who come and go."""
    mimi, lm, _ = load_networks(find(str(TINY)), "cpu", torch.float64)
    networks = Networks(mimi.double(), lm)
    rng = np.random.default_rng(6)
    callers = [Caller(babble(rng, seconds)[0]) for seconds in (6, 3, 8, 4)]
    with streaming(networks, 3) as net:
        come_and_go(net.reset, net.step, 3, callers, rng)
    assert not [caller for caller in callers if caller.differs(networks.alone(caller.pcm), 1e-6)]
    assert len({token for caller in callers for token in caller.tokens}) > 15


def test_without_fresh_starts_the_words_are_the_same() -> None:
    pcm, said = babble(np.random.default_rng(8), 12)
    heard = []
    for refreshing in (True, False):
        listeners = Listeners(model_of(2, refreshing=refreshing))
        listeners.hear({0: pcm})
        listeners.drain(0)
        assert (listeners.model.upkeep.refreshes > 0) == refreshing
        heard.append(listeners.words(0))
    assert heard[0] == heard[1] == [spoken.word for spoken in said]


def test_an_utterance_ends_in_a_long_pause() -> None:
    listeners = Listeners(model_of())
    listeners.hear({0: np.concatenate([recite(["one", "two"]), np.zeros(4 * 24_000, np.float32), recite(["three"])])})
    listeners.drain(0)
    told = [event for event in listeners.events[0] if isinstance(event, Word | WordEnd | Pause)]
    assert [type(event) for event in told] == [Word, WordEnd, Word, WordEnd, Pause, Word, WordEnd]
    pause, end = told[4], told[3]
    assert isinstance(pause, Pause)
    assert isinstance(end, WordEnd)
    assert pause.at == end.stop


class TestAFlushInMidSession:
    words = ("four", "seven", "one", "nine", "two", "five")

    def said(self, *, flush_at: int | None, restoring: bool = True) -> tuple[list[Word], list[str]]:
        """All that is said in the end, and what the flush has told; `flush_at`: frames before it."""
        pcm = recite(self.words)
        listeners, told = Listeners(model_of()), list[str]()
        split = (flush_at or 0) * FRAME_SAMPLES
        if flush_at is not None:
            listeners.hear({1: pcm[:split]})
            listeners.model.save(listeners.mask(1))
            before = len(listeners.events[1])
            listeners.drain(1)
            told = listeners.words(1)
            if restoring:
                listeners.model.restore(listeners.mask(1))
                del listeners.events[1][before:]
        listeners.hear({1: pcm[split:], 0: pcm})
        listeners.drain(0, 1)
        assert listeners.words(0) == list(self.words), "the others are not disturbed"
        return listeners.timed(1), told

    @pytest.mark.parametrize("flush_at", [13, 22, 30])
    def test_tells_what_was_spoken_and_leaves_no_trace(self, flush_at: int) -> None:
        told, flushed = self.said(flush_at=flush_at)
        assert told == self.said(flush_at=None)[0]
        spoken = [at for at in range(len(self.words)) if 0.4 + 0.65 * at + 0.3 <= flush_at * FRAME_SECONDS]
        assert flushed == [self.words[at] for at in spoken]

    def test_leaves_one_where_nothing_is_restored(self) -> None:
        assert self.said(flush_at=22, restoring=False)[0] != self.said(flush_at=None)[0]

    def test_may_be_saved_again(self) -> None:
        listeners = Listeners(model_of())
        pcm = recite(self.words)
        for start in range(0, len(pcm), 13 * FRAME_SAMPLES):
            listeners.hear({1: pcm[start : start + 13 * FRAME_SAMPLES]})
            listeners.model.save(listeners.mask(1))
            mark = len(listeners.events[1])
            listeners.drain(1)
            listeners.model.restore(listeners.mask(1))
            del listeners.events[1][mark:]
        listeners.drain(1)
        assert listeners.words(1) == list(self.words)

    def test_is_not_undone_by_whom_it_was_not_saved_for(self) -> None:
        model = model_of()
        with pytest.raises(Misuse):
            model.restore(np.ones(3, dtype=np.bool_))

    def test_is_not_undone_after_too_long(self) -> None:
        listeners = Listeners(model_of())
        listeners.step({1: QUIET})
        listeners.model.save(listeners.mask(1))
        listeners.drain(1)
        listeners.drain(1)
        with pytest.raises(Misuse):
            listeners.model.restore(listeners.mask(1))


class TestAStall:
    def test_is_made_good_from_the_last_word(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A model that has fallen silent reads again what it has missed; nobody else notices."""
        model = model_of()
        pcm, said = busy(12.0)
        listeners = Listeners(model)
        listeners.hear({0: pcm[: HEARD * FRAME_SAMPLES], 1: pcm[: HEARD * FRAME_SAMPLES]})
        silence(model, monkeypatch)
        listeners.hear({0: pcm[HEARD * FRAME_SAMPLES :], 1: pcm[HEARD * FRAME_SAMPLES :]})
        listeners.drain(0, 1)
        assert model.upkeep.stalls == 1
        assert listeners.words(1) == said
        assert listeners.words(0) == said
        for late, word in zip(listeners.timed(0), listeners.timed(1), strict=True):
            assert late.start == pytest.approx(word.start, abs=2.1 * FRAME_SECONDS)

    def test_that_cannot_be_made_good_ends_in_a_fresh_start_and_then_in_peace(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Of which the log tells once."""
        model = model_of()
        silence(model, monkeypatch, for_ever=True)
        pcm, _ = busy(30.0)
        listeners = Listeners(model)
        listeners.hear({0: pcm})
        assert model.upkeep.stalls == 2
        assert model._rows[0].attempts == 4
        assert [record.message for record in caplog.records if "left alone" in record.message] == [
            "row 0 hears speech and still says nothing: it is left alone until it does"
        ]
        assert listeners.words(0) == []


def test_a_row_that_is_not_finite_starts_anew_and_its_time_goes_on() -> None:
    pcm = recite(["four", "seven", "one", "nine", "two", "five"])
    poisoned = pcm.copy()
    poisoned[24 * FRAME_SAMPLES] = np.nan  # in the silence after the third word
    listeners = Listeners(model_of())
    listeners.hear({0: pcm, 1: poisoned, 2: pcm})
    listeners.drain(0, 1, 2)
    assert listeners.model.upkeep.losses == 1
    assert listeners.words(0) == listeners.words(2) == ["four", "seven", "one", "nine", "two", "five"]
    assert listeners.timed(1)[-3:] == listeners.timed(0)[-3:]


def test_a_row_that_is_not_finite_while_it_reads_again_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of()
    listeners = Listeners(model)
    silence(model, monkeypatch)
    pcm, said = busy(16.0)
    stall = 75 * FRAME_SAMPLES
    listeners.hear({0: pcm[:stall], 1: pcm[:stall]})
    assert model._rows[0].behind
    catch_up = model._net.catch_up

    def spoiled(rows: Mask) -> Heard:
        for part in model._net._reading:  # the row's past, and nothing else
            if part.tensor.is_floating_point():
                part.row(0).fill_(np.nan)
        monkeypatch.setattr(model._net, "catch_up", catch_up)
        return catch_up(rows)

    monkeypatch.setattr(model._net, "catch_up", spoiled)
    listeners.step({0: QUIET, 1: QUIET})
    assert model.upkeep.losses == 1, "it is seen at once"
    listeners.hear({0: pcm[stall:], 1: pcm[stall:]})
    listeners.drain(0, 1)
    assert listeners.words(1) == said
    assert listeners.words(0)[-8:] == said[-8:]
    for word, right in zip(listeners.timed(0)[-8:], listeners.timed(1)[-8:], strict=True):
        assert word.start == pytest.approx(right.start, abs=1.1 * FRAME_SECONDS)


def test_networks_that_say_nothing_finite_of_anybody_are_given_up() -> None:
    """The engine's process ends by that, and another loads them again."""
    listeners = Listeners(model_of())
    spoiled = np.full(FRAME_SAMPLES, np.nan, np.float32)
    for _ in range(20):
        listeners.step({0: spoiled, 1: QUIET})
    with pytest.raises(ArithmeticError, match="not finite"):
        listeners.hear({0: np.tile(spoiled, 20), 1: np.tile(spoiled, 20)})


def test_a_reset_row_is_a_new_caller() -> None:
    listeners = Listeners(model_of())
    listeners.hear({0: recite(["four", "seven"])[: -10 * FRAME_SAMPLES]})
    again = Listeners(listeners.model)
    again.hear({0: recite(["one", "two"])})
    again.drain(0)
    assert again.words(0) == ["one", "two"]
    assert again.timed(0)[0].start == pytest.approx(0.4, abs=0.1)


def test_a_resized_model_hears() -> None:
    model = model_of()
    model.resize(2)
    listeners = Listeners(model)
    listeners.hear({1: recite(["one", "two"])})
    listeners.drain(1)
    assert listeners.words(1) == ["one", "two"]


def test_compatible_times_are_later_by_a_tenth_of_a_second() -> None:
    mimi, lm, tokenizer = load_networks(find(str(TINY)), "cpu", torch.float32)
    net, starts = Net(mimi, lm, 1), []
    for timestamps in ("accurate", "compatible"):
        listeners = Listeners(MoshiModel(net, tokenizer.decode, 0.5, timestamps=timestamps))
        listeners.hear({0: recite(["one", "two"])})
        listeners.drain(0)
        starts.append([word.start for word in listeners.timed(0)])
    assert np.subtract(starts[1], starts[0]) == pytest.approx([0.1, 0.1])


@dataclass
class Talkative:
    """Networks that say one word a second, for as long as one likes; `heads` tell of no pause."""

    frame_size: int = FRAME_SAMPLES
    context: int = 750
    batch_size: int = 1
    heads: int = 4

    def __post_init__(self) -> None:
        self._tokens: Iterator[int] = cycle(chain([WORD_START, 7], [PAD] * 11))
        self.refreshed: list[int] = []  # the steps in which a row was
        self.steps = 0

    def reset(self, rows: object) -> None:
        pass

    def refresh(self, row: int, frames: int) -> None:
        self.refreshed.append(self.steps)

    def step(self, pcm: PCM, active: object) -> Heard:
        self.steps += 1
        rows = self.batch_size
        return Heard([next(self._tokens)] * rows, [True] * rows, [(0.1,) * self.heads] * rows)


def test_times_go_on_for_hours_and_the_context_never_fills() -> None:
    net = Talkative()
    model = MoshiModel(net, lambda tokens: "word", 0.5)  # type: ignore[arg-type]  # a stand-in
    on, off = np.ones(1, dtype=np.bool_), np.zeros(1, dtype=np.bool_)
    said = [event for _ in range(2 * 45_000) for event in model.step(QUIET[None], on, off)[0]]
    starts = [event.start for event in said if isinstance(event, Word)]
    assert np.diff(starts) == pytest.approx(13 * FRAME_SECONDS)
    assert starts[-1] == pytest.approx(2 * 3_600, abs=2.0)
    assert max(np.diff([0, *net.refreshed])) < 0.65 * net.context
    assert model.upkeep.refreshes == len(net.refreshed)


def test_a_full_house_that_came_at_once_and_never_pauses_has_room_before_the_context_is_full() -> None:
    """A few rows in a step: many at once would hold everybody up."""
    net = Talkative(context=375, batch_size=256)
    net._tokens = chain([WORD_START], cycle([7]))
    model = MoshiModel(net, lambda tokens: "word", 2.5)  # type: ignore[arg-type]  # a stand-in
    everybody = np.ones(256, dtype=np.bool_)
    pcm = np.zeros((256, 1), np.float32)
    fullest = 0
    for _ in range(2 * net.context):
        model.step(pcm, everybody, ~everybody)
        fullest = max(fullest, *(row.read for row in model._rows))
    assert fullest < net.context
    assert max(Counter(net.refreshed).values()) == MOST_REFRESHED


def test_a_model_without_pause_heads_tells_no_steps_and_ends_utterances_by_silence() -> None:
    net = Talkative(heads=0)
    net._tokens = chain([PAD] * 10, [WORD_START, 7], cycle([PAD]))
    model = MoshiModel(net, lambda tokens: "word", 0.5)  # type: ignore[arg-type]  # a stand-in
    on, off = np.ones(1, dtype=np.bool_), np.zeros(1, dtype=np.bool_)
    said = [event for _ in range(60) for event in model.step(QUIET[None], on, off)[0]]
    assert [type(event) for event in said] == [Partial, Word, Partial, WordEnd, Pause]


class TestLoading:
    def test_makes_a_model_of_a_directory(self) -> None:
        model = load_model(EngineConfig("moshi", capacity=2, model=str(TINY)))
        assert (model.batch_size, model.delay, model.frame_size) == (2, 11, FRAME_SAMPLES)

    @pytest.mark.parametrize("missing", ["torch", "moshi", "huggingface_hub"])
    def test_says_how_to_install_what_is_missing(self, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, missing, None)
        with pytest.raises(Unavailable, match=rf"{missing} is missing.*`make run ENGINE=moshi` installs it"):
            load_model(EngineConfig("moshi", model=str(TINY)))

    def test_refuses_another_version_of_moshi(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("engine.moshi.version", lambda package: "0.3.0")
        with pytest.raises(Unavailable, match=r"moshi 0\.3\.0 is installed, the engine needs 0\.2\.13"):
            load_model(EngineConfig("moshi", model=str(TINY)))
