"""The recognizer of tones: what it hears, and when it says so."""

from collections.abc import Sequence

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base import FRAME_SAMPLES, PCM, SAMPLE_RATE
from engine.events import Partial, Pause, Step, Word, WordEnd
from engine.scripted import DELAY, QUIET_FRAMES, WORDS, ScriptedModel, pitch, say, tone
from engine.slots import ModelEvent

FRAME = FRAME_SAMPLES / SAMPLE_RATE
OPUS_RATE = 48_000


def silence(frames: float) -> PCM:
    return np.zeros(round(frames * FRAME_SAMPLES), dtype=np.float32)


def steps(*pieces: PCM) -> list[Sequence[ModelEvent]]:
    """What a fresh model says to the pieces one after another, step by step."""
    pcm = np.concatenate(pieces)
    model = ScriptedModel(batch_size=1)
    active, reset = np.ones(1, dtype=np.bool_), np.ones(1, dtype=np.bool_)
    said = []
    for start in range(0, len(pcm) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        said.append(model.step(pcm[None, start : start + FRAME_SAMPLES], active, reset)[0])
        reset[:] = False
    return said


def words(*pieces: PCM) -> list[str]:
    """The words heard in the pieces and the silence behind them."""
    return [event.text for events in steps(*pieces, silence(12)) for event in events if isinstance(event, Word)]


def test_every_word_has_a_pitch_of_its_own() -> None:
    assert len(set(WORDS)) == 26
    assert (pitch("alpha"), pitch("zulu")) == (400.0, 2_400.0)
    assert words(say(WORDS)) == list(WORDS)


@given(st.integers(0, FRAME_SAMPLES - 1), st.lists(st.sampled_from(WORDS), min_size=1, max_size=6))
def test_words_are_heard_wherever_the_frames_fall(offset: int, spoken: list[str]) -> None:
    assert words(np.zeros(offset, dtype=np.float32), say(spoken)) == spoken


def test_words_without_a_gap_are_told_apart() -> None:
    assert words(say(["alpha", "bravo", "alpha"], gap=0.0)) == ["alpha", "bravo", "alpha"]


@pytest.mark.parametrize(("amplitude", "heard"), [(0.9, True), (0.05, True), (0.02, True), (0.01, False), (0.0, False)])
def test_only_what_is_loud_enough_is_a_word(amplitude: float, heard: bool) -> None:
    assert words(tone("golf", amplitude=amplitude)) == (["golf"] if heard else [])


def test_noise_and_one_frame_of_a_tone_are_no_words() -> None:
    noise = np.random.default_rng(7).normal(0, 0.2, 36 * FRAME_SAMPLES).clip(-1, 1).astype(np.float32)
    assert words(noise, silence(2), tone("golf", FRAME), silence(2)) == []


def test_a_word_survives_noise() -> None:
    noise = np.random.default_rng(7).normal(0, 0.05, 3 * SAMPLE_RATE).astype(np.float32)
    noise[SAMPLE_RATE : SAMPLE_RATE + len(tone("golf"))] += tone("golf")
    assert words(noise) == ["golf"]


def test_a_word_is_told_the_delay_after_its_second_frame_and_its_tail_at_once() -> None:
    said = steps(silence(3), tone("golf", 4 * FRAME), silence(20))
    when = {type(event): (step, event) for step, events in enumerate(said) for event in events if event != Partial("")}
    assert when[Partial] == (4, Partial("golf"))
    assert when[Word] == (4 + DELAY, Word("golf", pytest.approx(3 * FRAME)))  # type: ignore[arg-type]  # about
    assert when[WordEnd] == (6 + DELAY, WordEnd(pytest.approx(7 * FRAME)))  # type: ignore[arg-type]  # about
    assert when[Pause] == (6 + QUIET_FRAMES, Pause(pytest.approx(7 * FRAME)))  # type: ignore[arg-type]  # about


def test_the_tail_holds_the_words_that_are_not_told_yet() -> None:
    said = steps(say(["alpha", "bravo"], gap=0.0), silence(12))
    tails = [event.text for events in said for event in events if isinstance(event, Partial)]
    assert tails == ["alpha", "alpha bravo", "bravo", ""]


def test_an_utterance_has_one_pause() -> None:
    said = steps(say(["alpha", "bravo"]), silence(30), say(["golf"]), silence(30))
    pauses = [event for events in said for event in events if isinstance(event, Pause)]
    assert len(pauses) == 2


def test_every_step_tells_the_pause_probabilities() -> None:
    said = steps(tone("golf", 4 * FRAME), silence(40))
    pauses = [event.pauses for events in said for event in events if isinstance(event, Step)]
    assert len(pauses) == 44
    assert pauses[3] == (0.0, 0.0, 0.0, 0.0)
    assert pauses[-1] == (1.0, 1.0, 1.0, 1.0)
    assert list(pauses[16]) == pytest.approx([1.0, 1.0, 0.52, 0.52 * 2 / 3])


@pytest.mark.parametrize("bit_rate", [16_000, 24_000, 32_000])
def test_words_survive_opus_and_resampling(bit_rate: int) -> None:
    assert words(through_opus(say(WORDS), bit_rate)) == list(WORDS)


def through_opus(pcm: PCM, bit_rate: int) -> PCM:
    """The audio as it comes out of a call: 48 kHz Opus in packets of 20 ms, then 24 kHz again."""
    encoder = av.AudioCodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = OPUS_RATE, "mono", "s16", bit_rate
    decoder = av.AudioCodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout = OPUS_RATE, "mono"
    up = av.AudioResampler("s16", "mono", OPUS_RATE, frame_size=OPUS_RATE // 50)
    down = av.AudioResampler("flt", "mono", SAMPLE_RATE)
    frame = av.AudioFrame.from_ndarray(pcm[None], format="flt", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    packets = [packet for piece in [*up.resample(frame), None] for packet in encoder.encode(piece)]
    decoded = [out for packet in packets for raw in decoder.decode(packet) for out in down.resample(raw)]
    return np.concatenate([out.to_ndarray()[0] for out in decoded]).astype(np.float32)


@pytest.mark.parametrize(("restored", "heard"), [(True, ["golf"]), (False, [])])
def test_silence_in_the_middle_of_a_word_is_lost_on_who_is_not_restored(restored: bool, heard: list[str]) -> None:
    model = ScriptedModel(batch_size=2)
    rows, reset = np.array([True, False]), np.array([True, False])
    half = tone("golf", 2 * FRAME)[:FRAME_SAMPLES]
    said: list[ModelEvent] = []
    model.step(np.stack([half, half]), rows, reset)
    reset[:] = False
    model.save(rows)
    for _ in range(DELAY):
        model.step(np.zeros((2, FRAME_SAMPLES), np.float32), rows, reset)
    if restored:
        model.restore(rows)
    for pcm in (half, *[silence(1)] * (DELAY + 1)):
        said += model.step(np.stack([pcm, pcm]), rows, reset)[0]
    words = [event for event in said if isinstance(event, Word)]
    assert [word.text for word in words] == heard
    assert all(word.start == 0.0 for word in words)
