"""Who takes over from the one who speaks."""

import pytest

from media.rivals import KEPT, KEPT_FOR, TURN, Rivals
from media.rtp import Arrival

PTIME = 0.02


def packet(ssrc: int, number: int = 0) -> Arrival:
    return Arrival(ssrc, 111, number, 0, b"x")


def test_two_packets_in_a_row_take_over() -> None:
    rivals = Rivals()
    assert rivals.hear(packet(1, 0), 0.0, speaking=True) == []
    assert rivals.hear(packet(1, 1), PTIME, speaking=True) == [packet(1, 0), packet(1, 1)]
    assert rivals.dropped == 0


def test_whoever_comes_while_nobody_speaks_takes_over_at_once() -> None:
    assert Rivals().hear(packet(1), 0.0, speaking=False) == [packet(1)]


def test_between_packets_of_the_speaker_nobody_takes_over_and_what_is_kept_is_bounded() -> None:
    rivals = Rivals()
    for number in range(100):
        assert rivals.hear(packet(1, number), number * PTIME, speaking=True) == []
        rivals.hear_speaker()
    assert rivals.dropped == 100 - KEPT
    rivals.hear(packet(1, 100), 100 * PTIME, speaking=True)
    taken = rivals.hear(packet(1, 101), 101 * PTIME, speaking=True)
    assert [one.sequence_number for one in taken] == list(range(101 - KEPT, 102))


def test_of_several_only_the_last_is_kept() -> None:
    rivals = Rivals()
    for ssrc in range(300):
        assert rivals.hear(packet(ssrc), 0.0, speaking=True) == []
    assert rivals.dropped == 299
    assert rivals.hear(packet(299, 1), 0.0, speaking=True) == [packet(299), packet(299, 1)]


@pytest.mark.parametrize("later", [KEPT_FOR + 0.1, 3_600.0])
def test_what_a_rival_said_long_ago_is_not_heard_when_it_takes_over(later: float) -> None:
    rivals = Rivals()
    for number in range(3):
        rivals.hear(packet(1, number), number * PTIME, speaking=True)
        rivals.hear_speaker()
    assert rivals.hear(packet(1, 3), 2 * PTIME + later, speaking=False) == [packet(1, 3)]
    assert rivals.dropped == 3


def test_two_who_take_turns_by_twos_change_once_in_a_second() -> None:
    rivals, speaker, changes = Rivals(), 0, 0
    for number in range(500):
        ssrc = number // 2 % 2
        if ssrc == speaker:
            rivals.hear_speaker()
        elif rivals.hear(packet(ssrc, number), number * PTIME / 2, speaking=True):
            speaker, changes = ssrc, changes + 1
    assert 2 <= changes <= 500 * PTIME / 2 / TURN + 1


def test_whoever_has_just_taken_over_and_falls_silent_is_followed_without_a_loss() -> None:
    rivals = Rivals()
    for number in range(2):
        rivals.hear(packet(1, number), 0.0, speaking=True)
    waiting = [packet(2, number) for number in range(10)]
    for number, arrival in enumerate(waiting[:-1], 1):
        assert rivals.hear(arrival, number * PTIME, speaking=True) == []
    assert rivals.hear(waiting[-1], 10 * PTIME, speaking=False) == waiting
    assert rivals.dropped == 0
