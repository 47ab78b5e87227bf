from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.events import Partial, Word, WordEnd
from engine.words import FRAME_SECONDS, LONGEST, PAD, WORD_START, Said, Timing, Words

HALF = Timing.of(0.5)
PIECES = {10: " six", 11: " eig", 12: "ht", 13: " no", 14: "w", 15: " \ufffd"}
SIX, EIG, HT, NO, W, BROKEN = PIECES
DEAF = HALF.deaf


def decode(tokens: Sequence[int]) -> str:
    return "".join(PIECES[token] for token in tokens).removeprefix(" ")


def words(timing: Timing = HALF) -> Words:
    """Words whose model has warmed up."""
    found = Words(decode, timing)
    for _ in range(timing.deaf):
        found.hear(PAD)
    return found


def said(heard: Words, *tokens: int) -> list[Said]:
    return [event for token in tokens for event in heard.hear(token)]


def at(token: int) -> float:
    """The time of the so-manieth token after the warm-up."""
    return HALF.at(DEAF + token)


def test_a_word_is_settled_by_the_padding_behind_it() -> None:
    assert said(words(), PAD, WORD_START, EIG, HT, PAD) == [
        Partial("eig"),
        Partial("eight"),
        Word("eight", at(1)),
        Partial(""),
    ]


def test_a_word_ends_when_the_next_one_starts() -> None:
    events = said(words(), WORD_START, SIX, PAD, WORD_START, SIX, PAD)
    assert [event for event in events if not isinstance(event, Partial)] == [
        Word("six", at(0)),
        WordEnd(at(3)),
        Word("six", at(3)),
    ]


def test_a_word_start_settles_the_word_before_it() -> None:
    events = said(words(), WORD_START, SIX, WORD_START, SIX)
    assert events == [Partial("six"), Word("six", at(0)), Partial(""), WordEnd(at(2)), Partial("six")]


def test_a_word_that_a_model_never_ends_is_ended() -> None:
    heard = words()
    told = [event.text for event in said(heard, *[HT] * 2 * LONGEST) if isinstance(event, Word)]
    assert told == ["ht" * LONGEST] * 2


def test_the_last_word_ends_with_the_padding_that_lasts() -> None:
    heard = words()
    assert said(heard, WORD_START, SIX, PAD, PAD)[-1] == Partial("")
    assert heard.speaking
    assert said(heard, PAD) == [WordEnd(at(2))]
    assert (heard.speaking, heard.ended) == (False, at(2))
    assert said(heard, PAD, PAD, WORD_START) == [], "it ends once"


def test_words_without_padding_between_them_are_told_apart() -> None:
    events = said(words(), WORD_START, SIX, NO, W, PAD)
    assert [event for event in events if not isinstance(event, Partial)] == [
        Word("six", at(0)),
        WordEnd(at(1)),
        Word("now", at(1)),
    ]
    assert [event.text for event in events if isinstance(event, Partial)] == ["six", "no", "now", ""]


def test_a_word_without_a_word_start_begins_a_frame_before_its_first_piece() -> None:
    assert Word("six", at(3)) in said(words(), PAD, PAD, PAD, PAD, SIX, PAD)


def test_what_a_model_says_before_it_can_have_heard_anything_is_ignored() -> None:
    assert said(Words(decode, HALF), *[SIX] * DEAF) == []


def test_a_character_that_is_not_complete_is_not_shown() -> None:
    assert said(words(), WORD_START, BROKEN) == []


def test_no_time_is_before_the_beginning() -> None:
    assert HALF.at(0) == 0.0


@pytest.mark.parametrize(
    ("delay", "server_delay"),
    [(0.5, 6), (2.5, 32)],
)
def test_compatible_times_are_those_of_moshi_server(delay: float, server_delay: int) -> None:
    """It counts n steps, the frame that it keeps back included, and says (n - asr_delay_in_tokens) / 12.5."""
    timing = Timing.of(delay, "compatible")
    frame = 100
    n = frame + 2
    assert timing.at(frame) == pytest.approx((n - server_delay) / 12.5)
    assert timing.deaf == server_delay - 2


def test_accurate_times_are_the_delay_before_the_position() -> None:
    assert HALF.at(99) == pytest.approx(100 * FRAME_SECONDS - 0.5)


def test_after_a_rewind_words_are_not_told_twice() -> None:
    heard = words()
    told = said(heard, WORD_START, SIX, PAD, WORD_START, NO, W, PAD, PAD, PAD, PAD)
    assert [event.text for event in told if isinstance(event, Word)] == ["six", "now"]
    heard.rewind(10)
    again = said(heard, WORD_START, SIX, PAD, WORD_START, NO, W, PAD, PAD, WORD_START, EIG, HT, PAD)
    assert [event for event in again if not isinstance(event, Partial)] == [Word("eight", at(8))]
    assert [event.text for event in again if isinstance(event, Partial)] == ["eig", "eight", ""]


def test_a_word_that_is_dropped_leaves_no_tail() -> None:
    heard = words()
    said(heard, WORD_START, EIG)
    assert heard.drop() == [Partial("")]
    assert heard.drop() == []
    assert said(heard, PAD) == []


@given(st.lists(st.sampled_from([PAD, WORD_START, *PIECES]), max_size=60))
def test_times_never_go_back_and_every_end_has_its_word(tokens: list[int]) -> None:
    events = said(words(), *tokens, PAD, PAD, PAD)
    times = [
        event.start if isinstance(event, Word) else event.stop for event in events if not isinstance(event, Partial)
    ]
    assert times == sorted(times)
    kinds = [type(event) for event in events if not isinstance(event, Partial)]
    assert kinds == [Word, WordEnd] * (len(kinds) // 2)
    tails = [event.text for event in events if isinstance(event, Partial)]
    assert not tails or tails[-1] == ""
