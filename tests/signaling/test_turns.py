import pytest

from signaling.turns import TABLE, Began, Over, Turns


def test_a_turn_begins_with_a_voice_and_is_over_when_its_pause_has_lasted() -> None:
    turns = Turns(silence=0.5, padding=0.3)
    assert turns.voice(1.0) == Began(0.7)
    assert turns.voice(1.4) is None
    turns.pause(1.6)
    assert turns.listen(2.0) is None
    assert turns.listen(2.1) == Over(0.7, 2.1)
    assert turns.listen(9.0) is None


def test_who_goes_on_in_a_pause_keeps_the_turn() -> None:
    turns = Turns(silence=0.5, padding=0.0)
    turns.voice(1.0)
    turns.pause(1.6)
    assert turns.voice(1.9) is None
    assert turns.listen(5.0) is None
    turns.pause(5.0)
    assert turns.listen(5.5) == Over(1.0, 5.5)


def test_the_padding_reaches_neither_before_the_start_nor_into_the_turn_before() -> None:
    turns = Turns(silence=0.0, padding=0.3)
    assert turns.voice(0.1) == Began(0.0)
    turns.pause(1.0)
    turns.listen(1.0)
    assert turns.voice(1.1) == Began(1.0)


def test_a_pause_without_a_turn_is_nothing() -> None:
    turns = Turns(silence=0.0, padding=0.3)
    turns.pause(1.0)
    assert not turns.is_open
    assert turns.listen(2.0) is None


@pytest.mark.parametrize("paused", [False, True])
def test_a_cut_ends_a_turn_where_it_is_made(paused: bool) -> None:
    turns = Turns(silence=0.5, padding=0.0)
    turns.voice(1.0)
    if paused:
        turns.pause(1.2)
    assert turns.cut(1.3) == Over(1.0, 1.3)
    assert turns.cut(1.4) is None
    assert turns.voice(1.35) == Began(1.4)


def test_a_turn_whose_start_was_guessed_too_late_is_not_over_before_it() -> None:
    turns = Turns(silence=0.1, padding=0.0)
    turns.voice(2.0)
    turns.pause(1.0)
    assert turns.listen(2.0) == Over(2.0, 2.0)


def test_every_state_can_be_left() -> None:
    assert {state for state, _ in TABLE} == set(TABLE.values())
