import pytest

from engine.events import Mark
from engine.verbs import Clear, Flush, MarkAt
from signaling.asked import MOST_MARKS, Asked
from signaling.errors import BadMessage


def test_marks_wait_up_to_a_number() -> None:
    asked = Asked()
    for id in range(MOST_MARKS):
        assert asked.counts(MarkAt(id))
    with pytest.raises(BadMessage, match="wait already"):
        asked.counts(MarkAt(-1))
    asked.told(Mark(0))
    assert asked.counts(MarkAt(-1))


@pytest.mark.parametrize("verb", [Flush(), Clear()])
def test_what_nothing_has_come_behind_is_done_once(verb: Flush | Clear) -> None:
    asked = Asked()
    assert [asked.counts(verb) for _ in range(3)] == [True, False, False]
    asked.heard(0)
    assert not asked.counts(verb)
    asked.heard(1)
    assert [asked.counts(verb) for _ in range(2)] == [True, False]


def test_a_flush_is_no_clear() -> None:
    asked = Asked()
    assert asked.counts(Flush())
    assert asked.counts(Clear())
    assert not asked.counts(Flush())
