"""Which words settle, and what becomes of them when a later hypothesis spells them differently."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.agreement import Agreement, common_prefix, continuation, normalised


def settle(*hypotheses: str, held_back: int = 1) -> list[str]:
    """The words that settle while the hypotheses come, the last of which is concluded."""
    agreement = Agreement(held_back)
    told: list[str] = []
    for hypothesis in hypotheses[:-1]:
        words = hypothesis.split()
        agreed = agreement.revise(words)
        told += words[agreed.first : agreed.stop]
    words = hypotheses[-1].split()
    agreed = agreement.conclude(words)
    return told + words[agreed.first : agreed.stop]


def test_a_word_settles_when_two_hypotheses_in_a_row_agree_on_it() -> None:
    agreement = Agreement()
    assert agreement.revise(["it", "was"]).stop == 0
    assert agreement.revise(["it", "was", "the"]).stop == 2


def test_the_last_word_is_held_back_since_its_audio_may_go_on() -> None:
    agreement = Agreement()
    agreement.revise(["it", "was", "fool"])
    agreed = agreement.revise(["it", "was", "fool"])
    assert (agreed.first, agreed.stop) == (0, 2)


def test_words_are_compared_without_case_and_punctuation_and_told_in_the_newest_spelling() -> None:
    assert settle("It was.", "it was, the", "it Was, the end.") == ["it", "was,", "the", "end."]


def test_a_changed_mind_about_an_unsettled_word_waits_for_the_next_hypothesis() -> None:
    agreement = Agreement()
    agreement.revise(["the", "sum", "of"])
    agreement.revise(["the", "some", "of", "its"])
    assert agreement.settled == 1


@pytest.mark.parametrize(
    "revision",
    ["we are all going home", "we all going home", "we were just all going home", "be were all going home"],
)
def test_a_revision_of_settled_words_neither_repeats_nor_loses_the_rest(revision: str) -> None:
    told = settle("we were all going", "we were all going", revision)
    assert told == ["we", "were", "all", "going", "home"]


def test_a_shorter_last_hypothesis_takes_nothing_back() -> None:
    assert settle("one two three four", "one two three four", "one") == ["one", "two", "three"]


def test_what_comes_after_a_conclusion_goes_on_behind_it() -> None:
    agreement = Agreement()
    agreement.conclude(["tell", "me", "hel"])
    agreed = agreement.conclude(["tell", "me", "hello", "there"])
    assert (agreed.first, agreed.stop) == (3, 4)


def test_repeated_words_are_told_as_often_as_they_were_said() -> None:
    assert settle("no no", "no no no", "no no no no", "no no no no") == ["no"] * 4


def test_punctuation_alone_is_still_a_word() -> None:
    assert normalised("--") == "--"
    assert normalised("Don't,") == "dont"


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_words_after_the_settled_ones_are_found(settled: list[str], more: list[str]) -> None:
    assert continuation(settled, settled + more) == len(settled)


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=6), min_size=1, max_size=8))
def test_a_growing_text_is_told_word_for_word(pieces: list[list[str]]) -> None:
    hypotheses = [" ".join(word for piece in pieces[: n + 1] for word in piece) for n in range(len(pieces))]
    assert settle(*hypotheses) == hypotheses[-1].split()


@given(st.lists(st.sampled_from("ab")), st.lists(st.sampled_from("ab")))
def test_a_common_prefix_is_common_and_longest(one: list[str], other: list[str]) -> None:
    count = common_prefix(one, other)
    assert one[:count] == other[:count]
    assert one[count : count + 1] != other[count : count + 1] or count == min(len(one), len(other))
