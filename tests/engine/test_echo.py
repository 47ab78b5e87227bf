"""What a flush has told is told once."""

from engine.echo import Echo
from engine.events import Partial, Pause, Word, WordEnd


def flushed(*told: Word | WordEnd | Pause) -> Echo:
    """After a flush that told this, once the model is back at the state before it."""
    echo = Echo()
    echo.begin()
    for event in told:
        assert is_new(echo, event)
    echo.rewind()
    return echo


def is_new(echo: Echo, event: Word | WordEnd | Pause) -> bool:
    match event:
        case Word():
            return echo.is_word_new(event)
        case WordEnd():
            return echo.is_end_new(event)
        case Pause():
            return echo.is_pause_new(event)


def test_without_a_flush_everything_is_new() -> None:
    echo = Echo()
    assert all(is_new(echo, event) for event in (Word("a", 1.0), Word("a", 1.0), WordEnd(0.5), Pause(1.0), Pause(1.0)))


def test_words_of_the_flush_are_swallowed_once_each() -> None:
    echo = flushed(Word("no", 1.0), Word("no", 1.3))
    assert not echo.is_word_new(Word("no", 1.0))
    assert not echo.is_word_new(Word("no", 1.3))
    assert echo.is_word_new(Word("no", 1.5))


def test_a_word_that_the_flush_had_cut_short_stays_as_it_was_told() -> None:
    echo = flushed(Word("four", 1.0))
    assert not echo.is_word_new(Word("fourteen", 1.02))
    assert echo.is_word_new(Word("two", 1.4))


def test_the_same_word_twice_is_told_twice_and_swallowed_twice() -> None:
    """However close together: what is said again is taken for the nearest of them."""
    echo = flushed(Word("no", 1.0), Word("no", 1.12))
    assert not echo.is_word_new(Word("no", 1.0))
    assert not echo.is_word_new(Word("no", 1.12))
    assert echo.is_word_new(Word("no", 1.5))
    assert not flushed(Word("no", 1.0), Word("no", 1.12)).is_word_new(Word("no", 1.12))


def test_a_word_that_was_cut_short_may_begin_a_frame_later_the_second_time() -> None:
    assert not flushed(Word("si", 4.22)).is_word_new(Word("six", 4.3))


def test_the_same_word_may_begin_a_little_later_the_second_time() -> None:
    assert not flushed(Word("four", 1.0)).is_word_new(Word("four", 1.2))
    assert flushed(Word("four", 1.0)).is_word_new(Word("five", 1.2))


def test_a_word_that_the_flush_could_not_tell_yet_is_new() -> None:
    echo = flushed(Word("one", 1.0))
    assert echo.is_word_new(Word("two", 1.3))


def test_a_word_has_one_end() -> None:
    echo = flushed(WordEnd(0.9), Word("one", 1.0), WordEnd(1.2), Word("two", 1.3))
    assert [is_new(echo, event) for event in (WordEnd(0.9), Word("one", 1.0), WordEnd(1.25), Word("two", 1.3))] == [
        False
    ] * 4
    assert echo.is_end_new(WordEnd(1.6))


def test_an_utterance_that_a_flush_has_ended_ends_once() -> None:
    echo = flushed(Word("one", 1.0), Pause(1.2))
    assert not echo.is_pause_new(Pause(1.3))
    assert not echo.is_pause_new(Pause(1.8))
    assert echo.is_word_new(Word("two", 2.0))
    assert echo.is_pause_new(Pause(2.2))


def test_the_tail_is_without_the_words_that_were_told() -> None:
    echo = flushed(Word("one", 1.0), Word("two", 1.3))
    assert echo.tail(Partial("one two thr")) == Partial("thr")
    echo.is_word_new(Word("one", 1.0))
    assert echo.tail(Partial("two three")) == Partial("three")
    echo.settle()
    assert echo.tail(Partial("two three")) == Partial("two three")


def test_a_second_flush_before_the_first_is_said_again() -> None:
    echo = flushed(Word("one", 1.0), Word("two", 1.3))
    assert not echo.is_word_new(Word("one", 1.0))
    echo.begin()
    assert not echo.is_word_new(Word("two", 1.3))
    assert echo.is_word_new(Word("three", 1.6))
    echo.settle()  # too early: the flush is not over
    echo.rewind()
    assert [echo.is_word_new(Word(text, start)) for text, start in (("two", 1.3), ("three", 1.6), ("four", 1.9))] == [
        False,
        False,
        True,
    ]


def test_a_word_that_goes_on_behind_the_flush_has_ended_all_the_same() -> None:
    echo = flushed(Word("one", 1.0), WordEnd(1.2))
    echo.settle()
    assert not echo.is_end_new(WordEnd(1.4))
    assert echo.is_word_new(Word("two", 1.5))
    assert echo.is_end_new(WordEnd(1.7))
