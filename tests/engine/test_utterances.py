"""Flags of voice to utterances: how they open, close, tire and are cut."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from engine.utterances import HANG, LONGEST, LOOK_BEHIND, SHORTEST_HANG, TIRING, Utterance, Utterances, hang


def closed_by(flags: Iterable[bool], utterances: Utterances | None = None) -> list[Utterance]:
    utterances = utterances or Utterances()
    return [closed for flag in flags if (closed := utterances.push(flag))]


def spoken(*lengths: int) -> list[bool]:
    """Runs of silence and voice in turn, silence first."""
    return [bool(turn % 2) for turn, length in enumerate(lengths) for _ in range(length)]


def test_silence_opens_nothing() -> None:
    utterances = Utterances()
    assert closed_by([False] * 1000, utterances) == []
    assert utterances.open is None


def test_a_click_opens_nothing() -> None:
    utterances = Utterances()
    closed_by(spoken(50, 2, 50), utterances)
    assert utterances.open is None


def test_voice_opens_an_utterance_that_reaches_back_before_it() -> None:
    utterances = Utterances()
    closed_by(spoken(50, 3), utterances)
    assert utterances.open == Utterance(50 - LOOK_BEHIND, 53, 50, 53, False)


def test_silence_counts_from_the_last_voice_of_an_utterance_and_a_click_does_not_end_it() -> None:
    utterances = Utterances()
    lengths = []
    for run in (spoken(20), spoken(0, 10), spoken(5), spoken(0, 1), spoken(HANG), spoken(30, 2, 8), spoken(0, 3)):
        closed_by(run, utterances)
        lengths.append(utterances.silence)
    assert lengths == [20, 0, 5, 0, HANG, HANG + 40, 0]


def test_it_cannot_reach_back_before_the_stream_began() -> None:
    utterances = Utterances()
    closed_by(spoken(0, 3), utterances)
    assert utterances.open == Utterance(0, 3, 0, 3, False)


def test_silence_closes_it() -> None:
    assert closed_by(spoken(50, 20, HANG)) == [Utterance(50 - LOOK_BEHIND, 70 + HANG, 50, 70, True)]


def test_a_breath_does_not_close_it() -> None:
    [only] = closed_by(spoken(50, 20, HANG - 1, 20, HANG))
    assert (only.voiced_from, only.voiced_to) == (50, 90 + HANG - 1)


def test_two_utterances_share_no_audio() -> None:
    first, second = closed_by(spoken(50, 20, HANG + 1, 20, HANG))
    assert first.stop <= second.start


def test_long_speech_closes_at_a_shorter_silence() -> None:
    [only] = closed_by(spoken(0, LONGEST - 10, SHORTEST_HANG + 1))
    assert only.paused
    assert hang(TIRING) == HANG
    assert hang(LONGEST) == SHORTEST_HANG


def test_speech_without_end_is_cut_without_a_pause_and_goes_on() -> None:
    utterances = Utterances()
    first, second = closed_by([True] * (2 * LONGEST), utterances)
    assert not first.paused
    assert first.stop == second.start == LONGEST
    assert utterances.open is not None


def test_closing_silence_gives_nothing() -> None:
    assert Utterances().close(paused=True) is None


def test_what_was_told_stands_before_voice_that_has_not_opened_yet() -> None:
    utterances = Utterances()
    closed_by(spoken(50, 2), utterances)
    assert utterances.told == 50
    closed_by(spoken(10), utterances)
    assert utterances.told == 62


@given(st.lists(st.booleans(), max_size=1500))
def test_utterances_are_in_order_bounded_and_hold_their_voice(flags: list[bool]) -> None:
    end = 0
    for utterance in closed_by(flags):
        assert end <= utterance.start <= utterance.voiced_from <= utterance.voiced_to <= utterance.stop
        assert utterance.stop - utterance.start <= LONGEST
        end = utterance.stop


@given(st.lists(st.booleans(), max_size=300))
def test_audio_that_is_needed_later_is_never_given_up(flags: list[bool]) -> None:
    utterances = Utterances()
    given_up = 0
    for flag in flags:
        closed = utterances.push(flag)
        for utterance in filter(None, (closed, utterances.open)):
            assert utterance.start >= given_up
        given_up = max(given_up, utterances.needed)
