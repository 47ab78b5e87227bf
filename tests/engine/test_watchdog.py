import numpy as np

from engine.watchdog import WINDOW, Watchdog

SPEECH, SILENCE = 1e-2, 1e-6  # mean squares: -20 and -60 dBFS


def frames_until_stall(powers: list[float], word_every: int = 0) -> int | None:
    watchdog = Watchdog()
    for frame, power in enumerate(powers, 1):
        if watchdog.hear(power, word=bool(word_every) and frame % word_every == 0):
            return frame
    return None


def speech(frames: int) -> list[float]:
    """Three quarters of the frames are loud."""
    return [SPEECH if frame % 4 else SILENCE for frame in range(frames)]


def test_speech_without_words_is_a_stall() -> None:
    assert frames_until_stall(speech(200)) == WINDOW


def test_it_waits_anew_after_a_stall() -> None:
    watchdog = Watchdog()
    stalls = [frame for frame, power in enumerate(speech(2 * WINDOW), 1) if watchdog.hear(power, word=False)]
    assert stalls == [WINDOW, 2 * WINDOW]


def test_words_are_no_stall() -> None:
    assert frames_until_stall(speech(1_000), word_every=WINDOW - 1) is None


def test_silence_is_no_stall() -> None:
    assert frames_until_stall([SILENCE] * 500) is None
    assert frames_until_stall([0.0] * 500) is None


def test_faint_speech_over_silence_is_no_stall() -> None:
    assert frames_until_stall([3e-5 if frame % 4 else 1e-9 for frame in range(500)]) is None


def test_steady_noise_is_no_stall() -> None:
    noise = SPEECH * (1 + 0.3 * np.random.default_rng(0).standard_normal(1_000)).clip(0.2)
    assert frames_until_stall(noise.tolist()) is None


def test_music_that_begins_is_a_stall_once_at_most() -> None:
    """The floor rises to what is always there."""
    watchdog = Watchdog()
    powers = [SILENCE] * 50 + [SPEECH] * 1_000
    assert sum(watchdog.hear(power, word=False) for power in powers) <= 6
    assert not any(watchdog.hear(SPEECH, word=False) for _ in range(1_000))
