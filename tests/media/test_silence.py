"""When the wall clock has to supply silence, and how it is settled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.codecs import PCM
from media.silence import LAG, LONGEST_DEBT, STALL, Silence

RATE = 1_000
FRAME = 80
LOUD: PCM = np.full(20, 0.5, np.float32)  # a packet of 20 ms
FAINT: PCM = np.full(20, 0.001, np.float32)


def after(pcm: PCM, seconds: float = 0.02) -> Silence:
    """Audio was written at 10 s."""
    silence = Silence(RATE, FRAME)
    silence.speak(pcm, seconds, 10.0)
    return silence


def test_after_quiet_audio_silence_is_due_a_frame_and_a_little_later() -> None:
    silence = after(FAINT)
    assert silence.deadline == pytest.approx(10.0 + 0.08 + LAG)
    assert silence.lend(10.119) == 0
    assert silence.lend(10.121) == 1
    assert silence.lend(10.199) == 0
    assert silence.lend(10.201) == 1
    assert (silence.lent, silence.total) == (160, 160)


def test_where_packets_are_long_it_is_due_later() -> None:
    assert after(FAINT, 0.12).deadline == pytest.approx(10.0 + 0.08 + 0.24)


def test_who_breaks_off_in_mid_word_is_given_time_once() -> None:
    silence = after(LOUD)
    assert silence.lend(10.13) == 0
    assert silence.deadline == pytest.approx(10.0 + STALL)
    assert silence.lend(10.39) == 0
    assert silence.lend(10.41) == 4  # all of it at once
    assert silence.deadline == pytest.approx(10.0 + LAG + 5 * 0.08)
    assert silence.lend(10.45) == 1
    silence.speak(LOUD, 0.02, 11.0)
    assert silence.lend(11.39) == 0


def test_audio_in_the_meantime_is_waited_for_anew() -> None:
    silence = after(LOUD)
    silence.lend(10.13)
    silence.speak(FAINT, 0.02, 10.3)
    assert silence.deadline == pytest.approx(10.3 + 0.08 + LAG)


def test_who_shows_that_it_is_there_has_not_broken_off() -> None:
    silence = after(LOUD)
    silence.excuse()
    assert silence.lend(10.13) == 1
    silence.speak(LOUD, 0.02, 10.2)
    assert silence.lend(10.33) == 0


def test_the_senders_own_silence_puts_ours_off_and_owes_nothing() -> None:
    silence = after(LOUD)
    silence.pause(200)
    assert silence.lend(10.31) == 0
    assert silence.lend(10.33) == 1
    assert (silence.lent, silence.total) == (80, 280)


def test_after_a_loss_or_another_sender_it_counts_from_there() -> None:
    silence = after(FAINT)
    silence.lend(20.0)
    silence.resume(20.0)
    assert silence.deadline == pytest.approx(20.0 + 0.08 + LAG)


def test_a_gap_is_shorter_by_what_was_supplied_once() -> None:
    silence = after(FAINT)
    silence.lend(10.3)
    assert silence.lent == 240
    assert silence.repay(100) == 100
    assert silence.repay(200) == 140
    assert silence.repay(200) == 0


def test_of_quiet_audio_as_much_is_left_out_as_is_owed() -> None:
    silence = after(FAINT)
    silence.lend(10.15)
    assert silence.leave_out(LOUD) == 0
    assert [silence.leave_out(FAINT) for _ in range(5)] == [20, 20, 20, 20, 0]


def test_a_long_debt_is_forgiven_but_for_a_second() -> None:
    silence = after(FAINT)
    silence.lend(40.0)
    assert silence.leave_out(LOUD) == 0
    assert silence.lent == LONGEST_DEBT * RATE
    silence.forgive()
    assert silence.lent == 0


@given(st.lists(st.tuples(st.floats(0.0, 0.5), st.sampled_from(["audio", "key", "loss"]))))
def test_it_is_never_ahead_of_the_clock_and_never_further_behind_than_a_stall(steps: list[tuple[float, str]]) -> None:
    silence, now = after(LOUD), 10.0
    wrote, supplied = now, 0.0
    for waited, step in steps:
        now += waited
        supplied += silence.lend(now) * FRAME / RATE
        assert wrote + supplied <= now < wrote + supplied + max(STALL, LAG + FRAME / RATE) + 1e-6
        if step == "key":
            silence.excuse()
            continue
        if step == "audio":
            silence.speak(LOUD, 0.02, now)
        else:
            silence.resume(now)
        wrote, supplied = now, 0.0
