from collections.abc import Sequence

import pytest

from engine.pause import HEAD, HIGH, HOLD, LOW, NUMBER_HOLD, QUIET, WARM_UP, Endpoint, is_number

DELAY = 7


def heads(probability: float) -> Sequence[float]:
    return tuple(probability if head == HEAD else 0.0 for head in range(4))


def endpoint(word: str = "bye", delay: int = DELAY) -> Endpoint:
    """Past the warm-up, with a word said."""
    found = Endpoint(delay)
    for _ in range(WARM_UP):
        found.hear(heads(0.0))
    found.hear(heads(0.0), word=word)
    return found


def frames_until_end(found: Endpoint, probability: float, most: int = 60) -> int | None:
    """The so-manieth frame of this probability in which the utterance ends."""
    return next((frame for frame in range(1, most) if found.hear(heads(probability))), None)


def test_an_utterance_ends_once_its_words_have_had_time_to_come() -> None:
    assert frames_until_end(endpoint(), HIGH + 0.1) == DELAY


def test_it_ends_once() -> None:
    found = endpoint()
    frames_until_end(found, 1.0)
    assert frames_until_end(found, 1.0) is None
    found.hear(heads(0.0), word="again")
    assert frames_until_end(found, 1.0) == DELAY


def test_nothing_ends_before_a_word() -> None:
    found = Endpoint(DELAY)
    assert frames_until_end(found, 1.0) is None
    assert found.hear(heads(1.0), word="late"), "a word that was still on its way"


def test_a_spike_ends_nothing() -> None:
    found = endpoint(delay=0)
    for _ in range(10):
        assert not any(found.hear(heads(1.0)) for _ in range(HOLD - 1))
        assert not found.hear(heads(LOW - 0.1))


def test_between_the_thresholds_nothing_changes() -> None:
    found = endpoint()
    assert frames_until_end(found, HIGH - 0.1) is None
    assert not found.hear(heads(1.0))
    assert frames_until_end(found, HIGH - 0.1) == DELAY - 1


def test_a_number_is_given_more_time() -> None:
    assert frames_until_end(endpoint("seven"), 1.0) == NUMBER_HOLD
    found = endpoint("bye")
    found.hear(heads(0.0), word="four")
    assert frames_until_end(found, 1.0) == NUMBER_HOLD


def test_the_probabilities_of_the_beginning_mean_nothing() -> None:
    found = Endpoint(0)
    assert not any(found.hear(heads(1.0), word="hi") for _ in range(WARM_UP))


def test_a_word_being_formed_is_waited_for() -> None:
    found = endpoint()
    assert not any(found.hear(heads(1.0), speaking=True) for _ in range(40))
    assert found.hear(heads(1.0))


def test_without_heads_a_second_without_words_ends_an_utterance() -> None:
    found = Endpoint(DELAY)
    found.hear((), word="hi", speaking=True)
    found.hear((), speaking=True)
    assert [found.hear(()) for _ in range(QUIET + 5)].index(True) == QUIET - 1


@pytest.mark.parametrize("word", ["7", "seven", "Seven,", "vingt-deux", "1985.", "0", "A380", "oh"])
def test_parts_of_numbers(word: str) -> None:
    assert is_number(word)


@pytest.mark.parametrize("word", ["bye", "someone", "", "-", "sixth"])
def test_other_words(word: str) -> None:
    assert not is_number(word)
