"""Who takes over from the one who speaks."""

from media.rivals import KEPT, Rivals
from media.rtp import Arrival


def packet(ssrc: int, number: int = 0) -> Arrival:
    return Arrival(ssrc, 111, number, 0, b"x")


def test_two_packets_in_a_row_take_over() -> None:
    rivals = Rivals()
    assert rivals.hear(packet(1, 0), speaking=True) == []
    assert rivals.hear(packet(1, 1), speaking=True) == [packet(1, 0), packet(1, 1)]
    assert rivals.dropped == 0


def test_whoever_comes_while_nobody_speaks_takes_over_at_once() -> None:
    assert Rivals().hear(packet(1), speaking=False) == [packet(1)]


def test_between_packets_of_the_speaker_nobody_takes_over_and_what_is_kept_is_bounded() -> None:
    rivals = Rivals()
    for number in range(100):
        assert rivals.hear(packet(1, number), speaking=True) == []
        rivals.hear_speaker()
    assert rivals.dropped == 100 - KEPT
    rivals.hear(packet(1, 100), speaking=True)
    taken = rivals.hear(packet(1, 101), speaking=True)
    assert [one.sequence_number for one in taken] == list(range(101 - KEPT, 102))


def test_of_several_only_the_last_is_kept() -> None:
    rivals = Rivals()
    for ssrc in range(300):
        assert rivals.hear(packet(ssrc), speaking=True) == []
    assert rivals.dropped == 299
    assert rivals.hear(packet(299, 1), speaking=True) == [packet(299), packet(299, 1)]
